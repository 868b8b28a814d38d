"""The documentation site: it builds without a warning, asks nobody for anything, finds words, and fits a phone."""

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import chromium, complaints, requests, screen, until
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

import ihcli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PHONE = (390, 844)
LOADED = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"|url\(\s*[\"']?([^)\"']+)")
LOOKED_AT = ("index.html", "docs/api.html", "docs/files.html", "docs/commands.html", "docs/heart.html")
NOTEBOOKS = ("tabular", "text", "choosing")


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Make the site of a checkout as `make site` does."""
    switches = ("-q", "-W", "--keep-going", "-j", "auto", "-c", source / "docs")
    words = [sys.executable, "-m", "sphinx", *switches, source, out]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "it's here"
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


def test_every_page_is_in_the_menu_of_every_page(site: Path) -> None:
    made = {page.relative_to(site).as_posix() for page in site.rglob("*.html")} - GENERATED
    assert {page.relative_to(ROOT).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")} < made
    menu = (site / "index.html").read_text(encoding="utf-8").partition("sidebar-tree")[2].partition("</aside>")[0]
    assert set(re.findall(r'href="([^"#]+)"', menu)) == made - {"README.html"}


GENERATED = {"index.html", "search.html", "genindex.html", "py-modindex.html"}


def test_the_reference_tells_of_every_public_name(site: Path) -> None:
    page = (site / "docs" / "api.html").read_text(encoding="utf-8")
    assert {f"ihcli.{name}" for name in ihcli.__all__ if name != "__version__"} <= set(
        re.findall(r'id="([\w.]+)"', page)
    )
    assert "relative error at which a row is done" in page


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        loaded = [one or other for one, other in LOADED.findall(file.read_text(encoding="utf-8"))]
        assert not [link for link in loaded if urlsplit(link).scheme not in ("", "data")], file


@pytest.mark.parametrize("page", [*LOOKED_AT, *(f"docs/notebooks/{name}.html" for name in NOTEBOOKS)])
def test_pages_ask_nobody_and_fit_a_phone(site: Path, chrome: Chrome, page: str) -> None:
    complaints(chrome)
    requests(chrome)
    with screen(chrome, *PHONE):
        chrome.get((site / page).as_uri())
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    assert complaints(chrome) == []
    asked = requests(chrome)
    assert len(asked) > 1
    assert not [url for url in asked if not url.startswith(site.as_uri())]


def test_words_are_found_without_a_network(site: Path, chrome: Chrome) -> None:
    chrome.get(f"{(site / 'search.html').as_uri()}?q=softplus")
    page = "#search-results a[href*='docs/smoothing.html']"
    until(chrome, lambda shown: shown.find_elements(By.CSS_SELECTOR, page))


def test_notebooks_show_what_they_speak_of(site: Path) -> None:
    shown = {name: outputs(site / "docs" / "notebooks" / f"{name}.html") for name in NOTEBOOKS}
    assert "rows that are certified 72 of 72" in shown["tabular"]
    assert re.search(r"not bad: \+[\d.]+ ± [\d.]+\s.*\snot clever: -", shown["text"], flags=re.DOTALL)
    (correlations,) = re.findall(r"\bih ([\d.]+) [\d.]+ ([\d.]+) .*? sii ", shown["choosing"])
    assert min(map(float, correlations)) > 0.9
    assert all(text.count("data:image/png") + text.count("_images") for text in shown.values())


def outputs(page: Path) -> str:
    """Return the text of a page, and the addresses of its pictures, with single spaces."""
    text = page.read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
    return " ".join(html.unescape(re.sub(r"<img[^>]*src=\"([^\"]*)\"[^>]*>|<[^>]+>", r" \1 ", text)).split())


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A checkout of three pages, of which docs/page.md is to be written."""
    (tmp_path / "docs").mkdir()
    for name in ("conf.py", "site.css"):
        (tmp_path / "docs" / name).write_text((DOCS / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "README.md").write_text("# Front\n\n[all](docs/README.md)\n", encoding="utf-8")
    (tmp_path / "docs" / "README.md").write_text("# All\n\n## Pages\n\n- [page](page.md)\n", encoding="utf-8")
    return tmp_path


def test_links_that_lead_nowhere_fail_the_build(small: Path) -> None:
    page = small / "docs" / "page.md"
    page.write_text("# Page\n\n## Heading\n\n[here](#heading) [there](../README.md)\n", encoding="utf-8")
    done = build(small, small / "good")
    assert (done.returncode, done.stderr) == (0, "")
    page.write_text("# Page\n\n[a](#no-heading) [b](README.md#none) [c](no_page.md) ![d](no.png)\n", encoding="utf-8")
    done = build(small, small / "bad")
    assert done.returncode != 0
    assert [name for name in ("no-heading", "none", "no_page.md", "no.png") if name not in done.stderr] == []


def test_a_notebook_that_fails_fails_the_build(small: Path) -> None:
    head = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# Page\n\n"
    cell = "```{code-cell} python\nraise OSError('no such wine')\n```\n"
    (small / "docs" / "page.md").write_text(head + cell, encoding="utf-8")
    done = build(small, small / "out")
    assert done.returncode != 0
    assert "no such wine" in done.stderr
