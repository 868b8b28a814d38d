"""The pages in docs/: what they show runs, what is generated is current, and links lead somewhere."""

import importlib.util
import json
import re
import runpy
import shlex
from collections.abc import Iterator, Mapping
from io import StringIO
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import duckdb
import model_files
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ihcli import read
from ihcli.cli import main
from ihcli.data.categories import read_categories
from ihcli.layouts.texts import TextLayout
from ihcli.plots import KINDS
from ihcli.quality import COLUMNS, STATUSES
from ihcli.report import contents_of
from ihcli.summaries.ranking import STATISTICS
from ihcli.vocabulary import Vocabulary

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
TABLE = re.compile(r"(?:^\|.*\n)+", flags=re.MULTILINE)
BLOCK = re.compile(r"(<!-- compiled only -->\n)?^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
SAME_CLASSES = 1e-12
"""float64 means over the same rows, added up in another order."""
FLOAT32_ROUNDING = 1e-5
TWICE_THE_TOLERANCE = 0.02
"""Both runs are within 0.01 of the truth."""


def test_recipes_run_as_shown(checkout: Path) -> None:
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    counts = {"run": 0, "compiled": 0}
    for compiled_only, language, text in BLOCK.findall(page):
        if language == "console":
            run_commands(text)
        elif language == "toml":
            Path(text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
        elif language == "python":
            code = compile(text, "recipes.md", "exec")
            counts["compiled" if compiled_only else "run"] += 1
            if not compiled_only:
                exec(code, names)
    assert counts["run"] >= 12
    assert counts["compiled"] == 3
    check_recipes(names)


def test_the_page_of_contrasts_runs_as_shown(checkout: Path) -> None:
    page = (DOCS / "contrast.md").read_text(encoding="utf-8")
    for _, _, text in BLOCK.findall(page):
        run_commands(text)
    shown = CliRunner().invoke(main, shlex.split("contrast run --by sex --of pair --top-k 1 --format table"))
    (line,) = re.findall(r"^\| 1 \|.+$", page, flags=re.MULTILINE)
    assert line.replace("|", " ").split() in [told.split() for told in shown.stdout.splitlines()]
    assert pd.read_csv("drivers.csv")["column"].iloc[0] == "age"


@pytest.mark.parametrize("page", ["long_tables.md", "business_tools.md"])
def test_the_pages_of_long_tables_run_as_shown(checkout: Path, page: str) -> None:
    found: list[list[tuple[Any, ...]]] = []
    with duckdb.connect() as connection:
        for compiled_only, language, text in BLOCK.findall((DOCS / page).read_text(encoding="utf-8")):
            if language == "console":
                run_commands(text)
            elif language == "python":
                assert compiled_only
                compile(text, page, "exec")
            elif language == "sql":
                found += [connection.execute(each.query).fetchall() for each in connection.extract_statements(text)]
    if page == "business_tools.md":
        assert pd.read_parquet("rows.parquet").columns[:3].tolist() == ["_row", "patient", "_target"]
        return
    strongest, of_value, by_class, pairs, wide = found[-5:]
    summary = read("run").attribution_summary
    assert [line[0] for line in strongest] == summary["feature"].head(10).tolist()
    np.testing.assert_allclose([line[1:] for line in strongest], summary[["mean_abs", "mean", "share"]].head(10))
    assert [line[3] for line in of_value] == sorted(line[3] for line in of_value)
    assert by_class[0][:2] == ("malignant", "worst_concave_points")
    assert pairs[0][:2] == ("mean_texture", "worst_texture")
    assert (len(wide), len(wide[0])) == (569, 33)
    assert f"{len(pd.read_parquet('attributions.parquet')):,} lines" in (DOCS / page).read_text(encoding="utf-8")
    assert pd.read_csv("texture.csv")["feature"].unique().tolist() == ["worst_texture"]


def test_the_page_of_pictures_runs_as_shown_and_has_every_kind(checkout: Path) -> None:
    page = (DOCS / "plots.md").read_text(encoding="utf-8")
    commands = "".join(text for _, _, text in BLOCK.findall(page))
    run_commands(commands)
    drawn = set(re.findall(r"^\$ ihcli plot run (\w+)", commands, re.MULTILINE))
    assert drawn == set(KINDS) - {"text"}
    for kind in KINDS:
        assert f"`{kind}`" in page, kind
    pictures = re.findall(r"\]\(images/(plots-.+?)\)", page)
    assert all((checkout / name.removeprefix("plots-")).is_file() for name in pictures)
    assert sum((DOCS / "images" / name).stat().st_size for name in pictures) < 600_000
    texts = re.search(r"Texts have ([^.]+)\.", page)
    assert texts is not None
    assert tuple(re.findall(r"`(\w+)`", texts[1])) == TextLayout.plots


def test_the_page_of_comparisons_runs_as_shown(checkout: Path) -> None:
    page = (DOCS / "compare.md").read_text(encoding="utf-8")
    shown = "".join(text for _, language, text in BLOCK.findall(page) if language == "console")
    for command, told in re.findall(r"^\$ (ihcli .+)\n(?:(Error: .+))?", shown, re.MULTILINE):
        done = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
        assert done.exit_code == bool(told), done.output
        assert told in done.output
    assert (checkout / "agreement.parquet").is_file()
    assert (checkout / "run-mean" / "summary").is_dir()


def test_the_page_of_reports_runs_as_shown(checkout: Path) -> None:
    page = (DOCS / "report.md").read_text(encoding="utf-8")
    for _, _, text in BLOCK.findall(page):
        run_commands(text)
    (sentence,) = re.findall(r"^ *> (.+)\n *> (.+)$", page, flags=re.MULTILINE)
    assert contents_of(read("diabetes")).headlines == [" ".join(sentence)]
    assert Path("report.html").stat().st_size


def test_the_page_of_evaluations_runs_as_shown(checkout: Path) -> None:
    page = (DOCS / "evaluate.md").read_text(encoding="utf-8")
    for _, language, text in BLOCK.findall(page):
        if language == "console":
            run_commands(text)
        else:
            exec(compile(text, "evaluate.md", "exec"), {})
    areas = pd.read_parquet("areas.parquet").set_index("metric")
    assert set(areas["of"]) == {"feature", "pair"}
    assert (areas["run"] > areas["random"]).all()
    assert (checkout / "curves.png").is_file()
    assert pd.read_parquet("curves.parquet")["metric"].nunique() == 18


def test_the_page_of_choices_runs_as_shown(checkout: Path) -> None:
    page = (DOCS / "choosing.md").read_text(encoding="utf-8")
    (groups,) = (text for _, language, text in BLOCK.findall(page) if language == "toml")
    Path("groups.toml").write_text(groups, encoding="utf-8")
    commands = [text for _, language, text in BLOCK.findall(page) if language == "console"]
    assert sum(text.count("$ ihcli") for text in commands) == 5
    run_commands("".join(commands))
    assert Path("curves.png").is_file()
    head = CliRunner().invoke(main, shlex.split("interactions run-ih --format table")).stdout
    for line in (text.strip() for _, language, text in BLOCK.findall(page) if language == "text"):
        assert line in head or line.startswith("Scale ")
    assert "23 % of all effects are in pairs" in head
    evaluated = "sample_data/breast_cancer_sklearn.joblib sample_data/breast_cancer.csv --metrics mean,pairs --quiet"
    check_cells(page, "compare run-ih run-sii --of runs --format csv", "values")
    check_cells(page, f"evaluate run-ih {evaluated} --format csv", "metric")


def check_cells(page: str, command: str, name: str) -> None:
    """Hold each figure of a page's table with that column to the line of the same name that the command writes."""
    done = CliRunner().invoke(main, shlex.split(command), catch_exceptions=False)
    found = pd.read_csv(StringIO(done.stdout)).set_index(name)
    tables = [[line.strip("| ").split(" | ") for line in block.splitlines()] for block in TABLE.findall(page)]
    (header, _, *lines) = next(cells for cells in tables if name in cells[0])
    shown = pd.DataFrame(lines, columns=header).set_index(name)
    assert len(shown) >= 2
    for metric, column in product(shown.index, set(shown.columns) & set(found.columns) - {"of"}):
        if shown.loc[metric, column] != "-":
            assert float(shown.loc[metric, column]) == pytest.approx(found.loc[metric, column], rel=0.02, abs=0.002)


def test_the_page_of_weights_runs_as_shown(checkout: Path) -> None:
    assert len(run_example("weights.md", "net.py")) == 5


def test_the_page_of_categories_runs_as_shown(checkout: Path) -> None:
    assert len(run_example("categories.md", "bank.py")) == 6
    page = (DOCS / "categories.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| \d \| (\w+) \| (\w+) \| ([\d.]+) \|", page, flags=re.MULTILINE)
    first = read("bank-run").interaction_summary.iloc[0]
    assert shown[0][:2] == (first["feature_i"], first["feature_j"]) == ("job", "contact")
    assert float(shown[0][2]) == pytest.approx(first["mean_abs"], rel=TRAINED_AGAIN)
    stated = read_categories_of(page)
    assert stated.names("month") == ("3", "5", "7", "10", "(unknown)")
    assert stated.code_of_unknown("job") is None


def test_the_page_of_codes_runs_as_shown(checkout: Path) -> None:
    page = (DOCS / "codes.md").read_text(encoding="utf-8")
    blocks = [(language, text) for _, language, text in BLOCK.findall(page)]
    (script,) = [text for language, text in blocks if language == "python"]
    Path("train.py").write_text(script, encoding="utf-8")
    model_files.quietly(runpy.run_path, "train.py", run_name="__main__")
    shown = "".join(text for language, text in blocks if language == "console")
    commands = re.findall(r"^\$ (ihcli .+)\n((?:[^$\n].*\n)*)", shown, re.MULTILINE)
    assert len(commands) == 5
    for command, told in commands:
        done = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        for line in told.replace("...\n", "").splitlines():
            assert line in done.output.splitlines(), command
    check_first_pair(page, "bank-run", r"^\| 1 \| (\w+) \| (\w+) \| ([\d.]+) \|")
    for baseline in ("mean", "zeros"):
        words = [*shlex.split(commands[2][0])[1:-2], "--baseline", baseline, "--limit", "300", "-o", baseline]
        assert CliRunner().invoke(main, words, catch_exceptions=False).exit_code == 0
        check_first_pair(page, baseline, rf"^\| `{baseline}` \|.*\| (\w+), (\w+): ([\d.]+) \|")


def check_first_pair(page: str, run: str, pattern: str) -> None:
    ((one, other, size),) = re.findall(pattern, page, flags=re.MULTILINE)
    first = read(run).interaction_summary.iloc[0]
    assert (first["feature_i"], first["feature_j"]) == (one, other)
    assert first["mean_abs"] == pytest.approx(float(size), rel=TRAINED_AGAIN)


TRAINED_AGAIN = 0.2
"""How far a network that is trained on another machine may be off what the page shows."""


def read_categories_of(page: str) -> Vocabulary:
    """Return the categories that the page shows, with a file of cities."""
    (text,) = [text for _, language, text in BLOCK.findall(page) if language == "toml"]
    Path("shown.toml").write_text(text, encoding="utf-8")
    Path("cities.txt").write_text("Oslo\nBergen\n", encoding="utf-8")
    return read_categories("shown.toml")


def run_example(page: str, script: str) -> list[str]:
    """Run the script and the commands of a page's example, and return these; what a page tells of an error is said."""
    text = (DOCS / page).read_text(encoding="utf-8").partition("## An example")[2]
    blocks = [(language, text) for _, language, text in BLOCK.findall(text)]
    (code,) = [text for language, text in blocks if language == "python"]
    Path(script).write_text(code, encoding="utf-8")
    runpy.run_path(script, run_name="__main__")
    shown = "".join(text for language, text in blocks if language == "console")
    commands = re.findall(r"^\$ (ihcli .+)\n(?:(Error: .+))?", shown, re.MULTILINE)
    for command, told in commands:
        done = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
        assert done.exit_code == bool(told), done.output
        for part in told.replace("; ...", "...").split("..."):
            assert part.strip() in done.output, command
    return [command for command, _ in commands]


def test_the_page_of_raw_tables_runs_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "raw_tables.md").read_text(encoding="utf-8").partition("## An example")[2]
    blocks = [(language, text) for _, language, text in BLOCK.findall(page)]
    (script,) = [text for language, text in blocks if language == "python"]
    Path("train.py").write_text(script, encoding="utf-8")
    names = model_files.quietly(runpy.run_path, "train.py")
    for command in re.findall(r"^\$ (ihcli .+)$", "".join(text for _, text in blocks), flags=re.MULTILINE):
        few = " --limit 200" if "explain" in command else ""
        run_commands(f"$ {command}{few}")
    shown = read("people-run")
    assert len(shown.feature_names) == 14
    table, entries = names["table"].head(200), shown.attributions
    np.testing.assert_allclose(entries["_prediction"], names["search"].predict_proba(table)[:, 1], rtol=SAME_CLASSES)
    np.testing.assert_array_equal(entries["_imputed"], table["hours"].isna())
    first = shown.interaction_summary.iloc[0]
    assert {first["feature_i"], first["feature_j"]} == {"marital", "schooling"}


def test_the_page_of_layers_runs_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "layers.md").read_text(encoding="utf-8").partition("## An example")[2]
    blocks = [(language, text) for _, language, text in BLOCK.findall(page)]
    script, judged = (text for language, text in blocks if language == "python")
    Path("drugs.py").write_text(script, encoding="utf-8")
    model_files.quietly(runpy.run_path, "drugs.py", run_name="__main__")
    for command in re.findall(r"^\$ (ihcli .+)$", "".join(text for _, text in blocks), flags=re.MULTILINE):
        run_commands(f"$ {command}")
    names: dict[str, Any] = {}
    exec(compile(judged, "layers.md", "exec"), names)
    first = names["run"].interaction_summary.iloc[0]
    assert (first["feature_i"], first["feature_j"]) == ("drug_a", "drug_b")
    assert first["mean"] < 0
    assert names["spearman"].iloc[0] < -0.5 < names["spearman"].iloc[1:].min()
    assert names["spearman"].iloc[1:].max() < 0.5
    assert max(names["against_all"], names["against_both"]) < 1e-3
    told = CliRunner().invoke(main, [*shlex.split(DRIVERS), "--format", "jsonl"]).stdout.splitlines()
    found = {line["column"]: line["correlation"] for line in map(json.loads, told)}
    assert next(iter(found)) == "pathway_1"
    np.testing.assert_allclose(pd.Series(found), names["spearman"][list(found)], rtol=SAME_CLASSES)
    assert read("kinds").feature_names == ("pathway", "drug")
    assert "held at each row" in " ".join(read("held").info["warnings"])


DRIVERS = "drivers drug-run --pair drug_a,drug_b --data activity.csv --where drug_a=1 --where drug_b=1"


def run_commands(console: str) -> None:
    for line in console.splitlines():
        done = CliRunner().invoke(main, shlex.split(line.removeprefix("$ "))[1:], catch_exceptions=False)
        assert done.exit_code == 0, f"{line}: {done.stderr}"


def check_recipes(names: Mapping[str, Any]) -> None:
    """Compare recipes for the same thing with each other, and with what the run says itself."""
    one, other = (names[name].set_index(["diagnosis", "feature"]).sort_index() for name in BY_CLASS)
    assert len(one) == 2 * len(names["features"])
    pd.testing.assert_frame_equal(one, other, check_dtype=False, rtol=SAME_CLASSES)
    assert names["quality"].loc["ok", "rows"] == names["status"].set_index("_status").loc["ok", "rows"] == 569
    summary = read("run").interaction_summary
    assert names["top"]["mean_abs"].tolist() == summary["mean_abs"].head(10).tolist()
    counts = names["malignant"].mean()
    pairs = names["pairs"].set_index(["feature_i", "feature_j"])
    mixed = counts * pairs["malignant"] + (1 - counts) * pairs["benign"]
    expected = summary.set_index(["feature_i", "feature_j"])["mean_abs"]
    pd.testing.assert_series_equal(mixed.sort_index(), expected.sort_index(), check_names=False)
    effect = names["pair"]["effect"].abs().mean()
    assert effect == pytest.approx(expected[("mean_texture", "worst_texture")])
    check_groups(names)
    check_texts(names)


BY_CLASS = ("by_class", "by_class_in_sql")


def check_groups(names: Mapping[str, Any]) -> None:
    grouped = read("grouped")
    order = [names["names"].index(name) for name in grouped.feature_names]
    phi = grouped.attributions[list(grouped.feature_names)].to_numpy()
    error = np.abs(names["grouped_phi"][:, order] - phi).sum(axis=1) / np.abs(phi).sum(axis=1)
    assert error.max() < TWICE_THE_TOLERANCE


def check_texts(names: Mapping[str, Any]) -> None:
    record = read("texts-run").record(0)
    words = names["words"].query("id == 'T0'")
    assert words["units"].tolist() == list(record.names)
    np.testing.assert_array_equal(words["attributions"].to_numpy(float), record.attributions)
    np.testing.assert_array_equal(names["matrices"]["T0"], record.interactions)
    effects = names["effects_of_words"].query("id == 'T0'")
    n = len(record.names)
    assert len(effects) == n * (n - 1) // 2
    upper = record.interactions[np.triu_indices(n, 1)]
    np.testing.assert_array_equal(np.sort(effects["effect"]), np.sort(2 * upper))


# What is generated, and what must follow the code


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_make", DOCS / "make.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current() -> None:
    for path, text in generator().pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not what make docs writes"


def test_every_command_has_its_section() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", page, flags=re.MULTILINE)
    assert titles == ["ihcli", *(f"ihcli {name}" for name in main.commands)]


def test_a_new_command_and_its_subcommands_would_be_written() -> None:
    group = click.Group("tool", commands={"make": click.Group("make", commands={"tea": click.Command("tea")})})
    page = generator().commands_page(group)
    assert re.findall(r"^## (.+)$", page, flags=re.MULTILINE) == ["tool", "tool make", "tool make tea"]
    assert "Usage: tool make tea [OPTIONS]" in page


def test_every_column_is_in_the_tables_with_its_definition_and_unit() -> None:
    page = (DOCS / "files.md").read_text(encoding="utf-8")
    for column in COLUMNS:
        line = f"| `{column.name}` | `{column.type}` | {column.unit} | {column.definition} |"
        assert f"\n{line}\n" in page, column.name
    for name, (type_, definition, unit) in STATISTICS.items():
        escaped = definition.replace("|", "\\|")
        assert f"| `{name}` | `{type_}` | {unit} | {escaped} |" in page


def test_every_status_is_explained() -> None:
    page = (DOCS / "files.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| .+ \| (?:yes|null)", page, flags=re.MULTILINE)) == set(STATUSES)


def test_every_key_of_run_json_is_explained_and_no_other(checkout: Path) -> None:
    sample = "sample_data/breast_cancer"
    run_commands(f"$ ihcli explain {sample}_relu.pt {sample}.csv --key patient --limit 3 -o run")
    page = (DOCS / "files.md").read_text(encoding="utf-8").partition("## run.json")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?`) \| ", page, flags=re.MULTILINE)
    explained = {name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)}
    info = json.loads(Path("run/run.json").read_text(encoding="utf-8"))
    assert explained == set(dotted(info)) | ONLY_SOMETIMES
    for name in info["smoothing"]:
        assert f"`{name}`" in page


ONLY_SOMETIMES = {
    "members",
    "model.code",
    "imputed",
    "baseline.sampling",
    "baseline.drawn_from",
    "categories",
    "jumps",
    "resumed",
    "error",
    "units",
} | {
    "integrals.nodes",
    "sequence",
    "scale",
}
WHOLE = ("arguments", "smoothing", "totals.statuses")


def dotted(info: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in info.items():
        name = f"{above}{key}"
        if isinstance(value, dict) and name not in WHOLE:
            yield from dotted(value, f"{name}.")
        else:
            yield name


def test_the_prediction_of_a_smoothed_run_is_that_of_the_smoothed_network(checkout: Path) -> None:
    explain = "$ ihcli explain sample_data/breast_cancer_relu.pt sample_data/breast_cancer.csv --key patient"
    run_commands(f"{explain} --target 0 --limit 5 --smooth 2 -o smooth")
    run_commands(f"{explain} --target 0 --limit 5 -m ig -o plain")
    smooth, plain = read("smooth").attributions, read("plain").attributions
    original = smooth["_prediction"] - smooth["_drift"]
    np.testing.assert_allclose(original, plain["_prediction"], rtol=FLOAT32_ROUNDING)
    assert smooth["_drift"].abs().min() > 100 * FLOAT32_ROUNDING


# Links and tests that pages name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    for link in links:
        file, _, heading = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_file(), f"{page.name}: {link}"
        assert not heading or heading in anchors(target), f"{page.name}: {link}"


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_lists_every_page() -> None:
    links = set(LINK.findall((DOCS / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in PAGES} - {"README.md"} <= links


def test_tests_that_pages_name_exist() -> None:
    tests = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py")}
    everything = "\n".join(tests.values())
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`tests/(test_\w+\.py)`", text):
            assert name in tests, f"{page.name}: {name}"
        for name in re.findall(r"`(test_\w+)`", text):
            assert f"def {name}(" in everything, f"{page.name}: {name}"


def test_tests_that_make_quick_names_exist() -> None:
    listed = re.search(r"^QUICK := ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed is not None
    names = listed[1].replace("\\", " ").split()
    assert len(names) > 20
    assert [name for name in names if not (ROOT / "tests" / f"test_{name}.py").is_file()] == []
