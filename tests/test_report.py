"""The page about a run: what it holds, that it holds it as text only, and how large it gets."""

import base64
import hashlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pages import ENDING, HOSTILE, IMAGE, KEY, unpacked, write_large_run, write_table_run
from runs import write_cut_short, write_run, write_text_run

from ihcli.bars import certain_ranks
from ihcli.cli import main
from ihcli.errors import DataError, PackageError, RunError
from ihcli.explanation import Explanation
from ihcli.report import contents_of, page_of, write_report
from ihcli.report.numbers import packed
from ihcli.report.page import as_script_data
from ihcli.results.result import Result, read
from ihcli.runs.rowgroups import PartFiles

MOST_BYTES = 15_000_000
DIGITS = 5e-4  # numbers stand on the page with four significant digits


class Page(HTMLParser):
    """The elements of a page as a browser would find them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[tuple[dict[str, Any], str]] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and self.scripts:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", {}))

    @property
    def contents(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0][1], object_hook=unpacked)
        return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Explanation, np.ndarray]:
    return write_table_run(tmp_path_factory.mktemp("table") / "run")


@pytest.fixture(scope="module")
def page(table: tuple[Result, Explanation, np.ndarray]) -> Page:
    return Page(page_of(contents_of(table[0])).decode())


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


def test_a_page_has_its_own_three_scripts_whatever_the_names_are(page: Page) -> None:
    assert [attributes for attributes, _ in page.scripts] == [
        {"type": "application/json", "id": "contents"},
        {},
        {},
    ]
    assert not [tag for tag, _ in page.tags if tag in ("img", "b", "iframe", "link", "object", "base", "form")]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "src"]


def test_names_reach_the_page_as_they_are(page: Page) -> None:
    assert set(page.contents["names"]) == set(HOSTILE)
    found = list(texts_in(page.contents))
    assert page.contents["keys"] == [KEY]
    assert f"{ENDING}3" in found
    assert f"beware of {ENDING}" in found
    assert f"good {IMAGE}" in [target["name"] for target in page.contents["targets"]]


def test_a_block_of_data_can_end_no_element_and_open_none() -> None:
    value = {"<!--": ["</script>", "<script>", "\u2028\u2029", "\ud800", "&lt;", "]]>", "{{style}}"]}
    text = as_script_data(value)
    assert text.isascii()
    assert not re.search("[<>&]", text)
    assert json.loads(text) == value


def test_the_policy_allows_the_two_scripts_and_no_request(page: Page) -> None:
    policy = next(
        attributes["content"] for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for _, text in page.scripts[1:]]
    assert rules["script-src"] == " ".join(f"'sha256-{found}'" for found in hashes)
    closed = {"default-src", "connect-src", "base-uri", "form-action"}
    assert set(rules) == {*closed, "script-src", "style-src", "img-src"}
    assert {rules[name] for name in closed} == {"'none'"}
    assert "http" not in policy.replace("http-equiv", "")


def test_records_hold_the_numbers_of_the_run(page: Page, table: tuple[Result, Explanation, np.ndarray]) -> None:
    _, explanation, values = table
    names, sample = page.contents["names"], page.contents["sample"]
    order = [HOSTILE.index(names[place]) for place in sample["features"]]
    targets = [target["name"] for target in page.contents["targets"]]
    assert len(sample["records"]) == len(explanation.row)
    for entry, record in enumerate(sample["records"]):
        assert (record["row"], targets[record["target"]]) == (explanation.row[entry], explanation.target[entry])
        np.testing.assert_allclose(record["values"], values[record["row"], order], rtol=DIGITS)
        if record["phi"] is None:
            assert explanation.status[entry] == "missing_input"
            continue
        gamma = explanation.interactions[entry][np.ix_(order, order)]
        effects = (gamma + gamma.T - np.diag(np.diagonal(gamma)))[np.triu_indices(len(order))]
        np.testing.assert_allclose(record["phi"], explanation.attributions[entry, order], rtol=DIGITS)
        np.testing.assert_allclose(record["matrix"], effects, rtol=DIGITS)
        pairs = page.contents["targets"][record["target"]]["dependence"]
        wanted = [2 * explanation.interactions[entry][tuple(HOSTILE.index(names[i]) for i in pair)] for pair in pairs]
        np.testing.assert_allclose(record["effects"], wanted, rtol=DIGITS)


def test_rankings_and_the_matrix_are_those_of_the_summaries(
    page: Page, table: tuple[Result, Explanation, np.ndarray]
) -> None:
    names = page.contents["names"]
    for target in page.contents["targets"]:
        ranked = table[0].interaction_summary.query("target == @target['name']")
        listed = target["pairs"]
        assert [names[place] for place in listed["first"]] == ranked["feature_i"].tolist()
        assert [names[place] for place in listed["second"]] == ranked["feature_j"].tolist()
        np.testing.assert_allclose(listed["mean_abs"], ranked["mean_abs"], rtol=DIGITS)
        cells = target["matrix"]
        square = np.zeros((len(HOSTILE),) * 2)
        square[np.triu_indices(len(HOSTILE))] = cells["mean"]
        places = {names[place]: position for position, place in enumerate(cells["names"])}
        for pair in ranked.itertuples():
            found = sorted((places[pair.feature_i], places[pair.feature_j]))
            assert square[tuple(found)] == pytest.approx(pair.mean, rel=DIGITS)


def test_trust_tells_of_all_rows(page: Page, table: tuple[Result, Explanation, np.ndarray]) -> None:
    trust, explanation = page.contents["trust"], table[1]
    assert trust["statuses"] == {"ok": 57, "not_converged": 1, "missing_input": 2}
    finite = explanation.relative_error[np.isfinite(explanation.relative_error)]
    spread = trust["spreads"]["relative_error"]
    assert sum(spread["counts"]) == spread["entries"] == len(finite)
    np.testing.assert_allclose(spread["quantiles"], np.quantile(finite, trust["quantiles"]), rtol=DIGITS)
    assert set(trust["spreads"]) == {
        "relative_error",
        "interaction_error",
        "drift",
        "sampling_error",
        "interaction_sampling_error",
        "completeness_gap",
    }
    assert trust["smoothing"]["kinks"] == [f"max_pool {IMAGE}"]


def test_a_page_of_500_features_and_10000_rows_is_small_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    contents = contents_of(write_large_run(tmp_path))
    assert len(page_of(contents)) < MOST_BYTES
    sample, target = contents.sample, contents.targets[0]
    assert 900 < sample.drawn < sample.rows == len(sample.records) < 10_000
    assert contents.trust.rows == 10_000
    assert (len(target.pairs["first"]), target.all_pairs) == (1_000, 124_750)
    assert (len(target.matrix["names"]), contents.features) == (40, 500)
    assert all(len(record["pairs"]) == 20 and len(record["values"]) == 500 for record in sample.records)


@pytest.mark.parametrize("stored", ["top:5", "none"])
def test_of_very_many_features_those_that_are_shown_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    for name, most in {"MOST_FEATURES": 4, "MOST_PAIRS": 2, "MATRIX_FEATURES": 3}.items():
        monkeypatch.setattr(f"ihcli.report.contents.{name}", most)
    names = tuple(f"x{place}" for place in range(30))
    result, explanation, values = write_table_run(tmp_path / "run", names, ("risk",), interactions=stored)
    asked: list[Any] = []
    stream = PartFiles.stream

    def watched(parts: PartFiles, columns: Any = None, rows: Any = None) -> Iterator[Any]:
        asked.extend(columns or parts.schema.names if parts.directory.name == "attributions" else [])
        return stream(parts, columns, rows)

    monkeypatch.setattr(PartFiles, "stream", watched)
    contents = contents_of(result)
    shown = [contents.names[place] for place in contents.sample.features]
    assert 4 <= len(shown) < 12
    assert set(asked) & set(names) == set(shown)
    order = [names.index(name) for name in shown]
    for entry, record in enumerate(contents.sample.records[:-1]):
        np.testing.assert_allclose(record["phi"], explanation.attributions[entry, order])
        np.testing.assert_allclose(record["values"], values[record["row"], order])
        effects = 2 * explanation.interactions[entry]
        largest = np.sort(np.abs(effects[np.triu_indices(30, 1)]))[::-1][:5]
        for first, second, value, *_ in record.get("pairs", []):
            i, j = (names.index(contents.names[place]) for place in (first, second))
            assert value == pytest.approx(effects[i, j], rel=DIGITS)
            assert abs(value) >= largest[-1] * (1 - DIGITS)


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ([0.1, -2.5, 0.0, 3e38, 1.2e-38], 4),
        ([np.nan, 1.0, np.inf, -np.inf], 4),
        ([], 4),
        ([1e39, 1.0], 8),
        ([-1e-40, 1.0, np.nan], 8),
    ],
)
def test_packed_numbers_keep_seven_digits_whatever_they_are(values: list[float], size: int) -> None:
    kept = packed(np.array(values))
    assert kept["size"] == size
    expected = np.where(np.isfinite(values), values, np.nan)
    np.testing.assert_allclose(unpacked(kept), expected, rtol=6e-8, atol=0)
    json.dumps(kept, allow_nan=False)


def test_drawn_rows_are_of_the_seed_and_the_largest_errors_are_among_them(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("ihcli.report.sample.MOST_ROWS", 10)
    monkeypatch.setattr("ihcli.report.sample.WORST_ROWS", 2)
    result, explanation, _ = write_table_run(tmp_path / "run", targets=("risk",), n_rows=200)
    rows = [{record["row"] for record in contents_of(result, seed=seed).sample.records} for seed in (0, 0, 1)]
    worst = np.argsort(-np.nan_to_num(explanation.relative_error, nan=0))[:2]
    assert rows[0] == rows[1] != rows[2]
    assert all(set(worst.tolist()) <= found and len(found) <= 12 for found in rows)


def test_without_its_data_a_page_has_no_dependence_views_and_says_why(tmp_path: Path) -> None:
    result, _, values = write_table_run(tmp_path / "run")
    (tmp_path / "run/data.parquet").rename(tmp_path / "moved.parquet")
    contents = contents_of(result)
    assert not contents.has_values
    assert "data.parquet" in (contents.why_no_values or "")
    moved = contents_of(result, data=tmp_path / "moved.parquet")
    assert moved.has_values
    assert moved.sample.records[0]["values"] == pytest.approx(
        [values[0, HOSTILE.index(moved.names[place])] for place in moved.sample.features], rel=DIGITS
    )
    with pytest.raises(DataError, match="missing"):
        contents_of(result, data=tmp_path / "missing.parquet")


def test_texts_come_with_their_words_and_matrices(tmp_path: Path) -> None:
    gammas = write_text_run(tmp_path / "run")
    records = contents_of(read(tmp_path / "run")).sample.records
    assert records[0]["units"] == ["not", "good", "not", "bad"]
    np.testing.assert_allclose(records[0]["phi"], gammas[0].sum(axis=1), rtol=DIGITS)
    assert records[0]["matrix"][1] == pytest.approx(2 * gammas[0][0, 1], rel=DIGITS)
    assert records[2]["phi"] is None


def test_a_run_of_first_order_has_a_page_without_pairs(tmp_path: Path) -> None:
    write_run(tmp_path / "run", second_order=False)
    contents = contents_of(read(tmp_path / "run"))
    assert contents.targets[0].pairs is None
    assert contents.targets[0].dependence == []


@pytest.mark.parametrize(("stored", "kept"), [("top:4", {"pairs", "effects"}), ("none", set())])
def test_a_run_that_stores_less_has_a_page_with_less(tmp_path: Path, stored: str, kept: set[str]) -> None:
    result, _, _ = write_table_run(tmp_path / "run", interactions=stored)
    record = contents_of(result).sample.records[0]
    assert kept == {"pairs", "effects", "matrix"} & set(record)


def test_pairs_on_the_page_have_bars_and_certain_ranks(
    page: Page, table: tuple[Result, Explanation, np.ndarray]
) -> None:
    result, targets = table[0], [target["name"] for target in page.contents["targets"]]
    for record in (record for record in page.contents["sample"]["records"] if record["phi"] is not None):
        pairs = result.record(record["row"], target=targets[record["target"]]).pairs
        assert pairs is not None
        bars = [f"{pair.error_bar:.2g}" for pair in pairs[:20]]
        assert [f"{bar:.2g}" for _, _, _, bar in record["pairs"]] == bars
        assert record["certain"] == sum(bool(pair.certain) for pair in pairs)
    for target in page.contents["targets"]:
        ranked = result.interaction_summary.query("target == @target['name']")
        np.testing.assert_allclose(target["pairs"]["error_bar"], ranked["error_bar"], rtol=DIGITS)
        assert target["certain"] == certain_ranks(ranked["mean_abs"].to_numpy(), ranked["error_bar"].to_numpy())


def test_rows_that_do_not_rank_are_counted_and_never_hide_a_target(tmp_path: Path) -> None:
    write_cut_short(tmp_path / "run")
    (target,) = contents_of(read(tmp_path / "run")).targets
    assert (target.left_out, target.none_rank) == ({"features": 2, "pairs": 2}, False)
    assert target.pairs is not None
    assert max(target.pairs["mean_abs"]) < 1e3
    (whole,) = contents_of(read(tmp_path / "run", all_rows=True)).targets
    assert (whole.left_out, whole.none_rank) == ({"features": 0, "pairs": 0}, False)
    write_cut_short(tmp_path / "none", n_unfinished=6)
    (target,) = contents_of(read(tmp_path / "none")).targets
    assert target.none_rank
    assert target.pairs is not None
    assert len(target.pairs["first"]) == 3


def test_a_run_that_did_not_finish_has_no_page(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run/summary/attributions.parquet").unlink()
    with pytest.raises(RunError, match="did not finish"):
        write_report(read(tmp_path / "run"), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_without_plotly_the_message_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(PackageError, match=r"pip install plotly"):
        write_report(read(tmp_path / "run"), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_command_writes_a_page_and_replaces_none_unasked(tmp_path: Path) -> None:
    write_table_run(tmp_path / "made")
    arguments = ["report", str(tmp_path / "made/run"), "-o", str(tmp_path / "report.html")]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"Report written to {tmp_path / 'report.html'}.\n"
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1
    assert "exists already" in refused.stderr
    assert CliRunner().invoke(main, [*arguments, "--overwrite", "--quiet"]).stderr == ""


def test_the_command_says_why_there_are_no_dependence_views(tmp_path: Path) -> None:
    write_table_run(tmp_path / "made")
    (tmp_path / "made/data.parquet").unlink()
    done = CliRunner().invoke(main, ["report", str(tmp_path / "made/run"), "-o", str(tmp_path / "report.html")])
    assert done.exit_code == 0
    assert "no dependence views" in done.stderr
    assert "--data FILE" in done.stderr


def test_a_page_is_not_written_to_standard_output(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(tmp_path), "-o", "-"])
    assert done.exit_code == 1
    assert "Try -o report.html" in done.stderr


def test_a_page_is_made_without_torch(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    code = "import sys; from ihcli import read; from ihcli.report import write_report; "
    code += "write_report(read(sys.argv[1]), sys.argv[2]); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "run"), str(tmp_path / "report.html")]
    assert subprocess.run(command, check=False).returncode == 0


def test_pictures_and_page_have_one_palette(tmp_path: Path) -> None:
    from matplotlib.colors import to_rgb

    from ihcli.plots.colours import sign_map, size_map, value_map

    page = page_of(contents_of(write_table_run(tmp_path / "made")[0])).decode()
    # a map of 256 steps seldom hits a stop
    for name, of_pictures in (("values", value_map()), ("sizes", size_map()), ("signs", sign_map())):
        stops = page.split(f"--{name}: ", 1)[1].split(";", 1)[0].split()
        for place, stop in enumerate(stops):
            shade = of_pictures(place / (len(stops) - 1))[:3]
            np.testing.assert_allclose(shade, to_rgb(stop), atol=3 / 255)


@pytest.mark.parametrize("name", ["report.pdf", "a b.PNG", "x.csv"])
def test_a_page_is_not_named_for_something_else(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    refused = CliRunner().invoke(main, ["report", "run", "-o", name])
    assert refused.stderr.startswith(f"Error: -o {name}: a report is a page of HTML.")
    page = name.rpartition(".")[0] + ".html"
    assert f"Try -o {shlex.quote(page)}, and print the page" in refused.stderr
    assert not (tmp_path / name).exists()
    assert CliRunner().invoke(main, ["report", "run", "-o", page]).exit_code == 0
