"""What makes a documentation site of these pages: `make site` writes it into build/site, and asks nobody.

The checkout is the source folder, so that links between pages, and from pages to other files, are the same on the site
as where the files lie. The menu is the list in docs/README.md.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
LIST = ROOT / "docs" / "README.md"

project = "ihcli"
author = "The ihcli developers"
copyright = f"2026, {author}"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
root_doc = "README"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/**.md",
    "benchmarks/results/*.md",
]
exclude_patterns = [".*", "build"]

myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_show_tb = True
nb_execution_timeout = 600
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # from servers of others; there are no widgets

default_role = "code"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "ihcli"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
smartquotes = False
html_show_sphinx = False
copybutton_prompt_text = "$ "

HEADING = re.compile(r"^## (.+)\n((?:(?!## ).*\n)+)", flags=re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)\.md\)")
LISTED = re.compile(r"(?:    (?P<parameters>[^\s:][^:]*): |(?P<attributes>\w+(?:, \w+)*)  +)(?P<text>\S.*)")


def menu() -> str:
    """Return the tables of contents that the list of pages stands for: one a heading, of the pages linked below it."""
    parts = HEADING.findall(LIST.read_text(encoding="utf-8"))
    whole = _contents("All pages", [LIST.stem])
    return whole + "".join(_contents(title, LINK.findall(lines)) for title, lines in parts)


def _contents(title: str, links: list[str]) -> str:
    pages = [(LIST.parent / link).resolve().relative_to(ROOT).as_posix() for link in links]
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""])


def with_lists(docstring: list[str]) -> Iterator[str]:
    """Give the lines of a docstring with its parameters, or a class's attributes, as a list in reStructuredText."""
    inside = False
    for line in docstring:
        if found := LISTED.fullmatch(line):
            names = found["parameters"] or found["attributes"]
            yield from () if inside else ("",)
            yield f"- ``{names}``: {found['text']}"
            inside = True
        elif inside and line.startswith(" "):
            yield f"  {line.strip()}"
        else:
            yield "**Parameters**" if line == "Parameters:" else line
            inside = False


def setup(app: Sphinx) -> None:
    """Connect what this file adds to Sphinx."""

    def add_menu(_: Sphinx, page: str, content: list[str]) -> None:
        if page == root_doc:
            content[0] += menu()

    def write_lists(_: Sphinx, kind: str, name: str, thing: object, options: object, lines: list[str]) -> None:
        lines[:] = with_lists(lines)

    def hide_constructor(
        _: Sphinx, kind: str, name: str, thing: object, options: object, signature: str | None, returns: str | None
    ) -> tuple[str, None] | None:
        return ("", None) if kind == "class" and signature else None

    def add_index(_: Sphinx, error: Exception | None) -> None:
        if error is None and app.builder.format == "html":
            shutil.copyfile(app.outdir / f"{root_doc}.html", app.outdir / "index.html")

    app.connect("source-read", add_menu)
    app.connect("autodoc-process-docstring", write_lists)
    app.connect("autodoc-process-signature", hide_constructor)
    app.connect("build-finished", add_index)
