"""The layout of the package: folders with one purpose, and imports that go down only.

A room is a module or a folder directly in `ihcli/`. ORDER lists the rooms so that each uses only those above it.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ihcli"
ORDER = (
    "errors",
    "wording",
    "vocabulary",
    "advance",
    "memory",
    "methods",
    "scales",
    "quality",
    "explanation",
    "bars",
    "files",
    "data",
    "derivatives",
    "integration",
    "models",
    "smoothing",
    "heads",
    "openings",
    "readers",
    "explainers",
    "summaries",
    "layouts",
    "runs",
    "results",
    "execution",
    "plots",
    "report",
    "verification",
    "library",
    "cli",
)
MOST_ROOMS = 30
MOST_FLOORS = 10
MOST_LINES = 330
NEED_TORCH = {
    "memory",
    "derivatives",
    "integration",
    "models",
    "smoothing",
    "heads",
    "openings",
    "readers",
    "explainers",
    "execution",
}
TORCH_COMES_LATER = ("ihcli.execution.forking", "ihcli.execution.overlap", "ihcli.execution.refusals")
COMPUTES = (
    *(f"ihcli.library.{name}" for name in ("containers", "explaining", "finishing", "models", "records", "rows")),
    "ihcli.verification.recomputation",
    "ihcli.verification.faithfulness.evaluation",
    "ihcli.cli.showing.progress",
)

Graph = Mapping[str, set[str]]


def modules() -> dict[str, Path]:
    """Return every module's file by the module's name; a folder's is its `__init__`."""
    names = {file: ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): file for file, name in sorted(names.items()) if "__main__" not in name}


MODULES = modules()


def imported_modules(file: Path) -> set[str]:
    """Return the modules of the package that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            both = ((f"{node.module}.{alias.name}", node.module) for alias in node.names)
            names.update(inner if inner in MODULES else outer for inner, outer in both)
    return names & MODULES.keys()


@cache
def imports() -> Graph:
    """Return what every module imports: a second of work, which collecting does not wait for."""
    return {name: imported_modules(file) for name, file in MODULES.items()}


def room_of(module: str) -> str:
    """Return the room that a module lies in; the package's own face is none."""
    return module.split(".")[1] if "." in module else ""


def folder_of(module: str) -> str:
    """Return the innermost folder that a module lies in, as a dotted name."""
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def between(places: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which places import which others, from what their modules import."""
    found: dict[str, set[str]] = {place: set() for place in places.values() if place}
    for module, place in places.items():
        if place:
            found[place] |= {places[name] for name in imports()[module] if places[name] not in ("", place)}
    return found


def rooms() -> Graph:
    return between({module: room_of(module) for module in MODULES})


def floors(graph: Graph) -> dict[str, int]:
    """Return the floor of every room: one above the highest of those that it imports."""
    found: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        found[room] = 1 + max((found[below] for below in graph[room]), default=0)
    return found


def siblings(modules: Iterable[str]) -> dict[str, str]:
    """Return, for modules in folders inside a room, that folder; for all others nothing."""
    return {module: folder_of(module) if folder_of(module).count(".") >= 2 else "" for module in modules}


def test_the_table_names_every_room() -> None:
    assert set(rooms()) == set(ORDER)


def test_there_are_few_rooms_on_few_floors() -> None:
    assert len(rooms()) <= MOST_ROOMS
    assert max(floors(rooms()).values()) <= MOST_FLOORS


@pytest.mark.parametrize("room", ORDER)
def test_imports_go_down_only(room: str) -> None:
    below = set(ORDER[ORDER.index(room) + 1 :])
    for module in (name for name in MODULES if room_of(name) == room):
        assert not {name for name in imports()[module] if room_of(name) in below}, module


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert list(TopologicalSorter(imports()).static_order())


def test_no_folders_inside_a_room_import_each_other_in_a_circle() -> None:
    assert list(TopologicalSorter(between(siblings(MODULES))).static_order())


def test_a_circle_is_noticed() -> None:
    with pytest.raises(CycleError):
        floors({"files": {"data"}, "data": {"files"}})


@pytest.mark.parametrize("room", ORDER)
def test_no_module_is_long(room: str) -> None:
    lengths = {
        name: len(MODULES[name].read_text(encoding="utf-8").splitlines()) for name in MODULES if room_of(name) == room
    }
    assert not {name: length for name, length in lengths.items() if length > MOST_LINES}


def kinds_asked_for(file: Path) -> Iterator[str]:
    """Give what asks which kind of record something is: isinstance of a class of one kind, and names that say so."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            words = {word.id for word in ast.walk(node.args[1]) if isinstance(word, ast.Name)}
            yield from words & {f"{kind}{part}" for kind in ("", "Table", "Text") for part in KINDS_HAVE}
        if isinstance(node, ast.Attribute | ast.Name | ast.arg):
            name = {ast.Attribute: "attr", ast.Name: "id", ast.arg: "arg"}[type(node)]
            yield from {getattr(node, name)} & {"is_text", "is_texts", "is_table"}


KINDS_HAVE = ("Explanation", "Reader", "Layout", "Explainer", "Summary")


@pytest.mark.parametrize("room", [room for room in ORDER if room not in ("readers", "layouts")])
def test_kinds_of_records_are_told_apart_by_readers_and_layouts_only(room: str) -> None:
    assert not {
        name: found for name in MODULES if room_of(name) == room and (found := [*kinds_asked_for(MODULES[name])])
    }


def test_a_question_for_the_kind_of_record_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "asks.py"
    file.write_text(
        "def f(x, is_text):\n    return isinstance(x, int | TextExplanation) or x.is_text\n", encoding="utf-8"
    )
    assert sorted(kinds_asked_for(file)) == ["TextExplanation", "is_text", "is_text"]


def test_only_run_info_looks_into_the_content_of_run_json() -> None:
    others = [file for name, file in MODULES.items() if name != "ihcli.runs.info"]
    assert not [file for file in others if re.search(r"info(\[[\"']|\.get\()", file.read_text(encoding="utf-8"))]


def test_the_page_for_maintainers_names_every_folder_and_room() -> None:
    page = (PACKAGE.parent / "docs" / "how_it_works.md").read_text(encoding="utf-8")
    table = page.partition("| room |")[2].partition("\n## ")[0]
    folders = {file.parent.name for file in PACKAGE.rglob("__init__.py") if file.parent != PACKAGE}
    missing = [name for name in sorted(folders) if f"`{name}/`" not in table]
    missing += [name for name in ORDER if not {f"`{name}/`", f"`{name}.py`"} & set(re.findall(r"`[^`]+`", table))]
    assert not missing
    named = re.findall(r"^\|(.+?)\|", table, flags=re.MULTILINE)
    rooms = [room for cell in named for room in re.findall(r"`(\w+)(?:/|\.py)`", cell)]
    assert rooms == list(ORDER), "the page lists the rooms in import order"


def without_torch() -> list[str]:
    free = [name for name in MODULES if room_of(name) not in NEED_TORCH and not name.startswith(COMPUTES)]
    return [*free, *TORCH_COMES_LATER]


def test_modules_without_derivatives_do_not_import_torch() -> None:
    code = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, *without_torch()], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
