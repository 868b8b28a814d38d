"""Summaries of wide tables list the largest pairs, say how many there are more, and are right about those they list."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import explanations
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from forgeries import Folder

from ihcli.cli.group import main
from ihcli.errors import RunError
from ihcli.plots import draw
from ihcli.plots.request import PlotRequest
from ihcli.report.contents import contents_of
from ihcli.results.certainty import judged
from ihcli.results.rankings import Choice, ranked_pairs
from ihcli.results.result import read
from ihcli.runs.run import open_run
from ihcli.summaries.ranking import largest_first
from ihcli.summaries.rest import MOST_PAIRS, REST, rest_of
from ihcli.summaries.tables import Summary
from ihcli.verification import FAILED, NOT_CHECKED, verify_run

LISTED, NAMES = 4, ("a", "b", "c", "d", "e")  # of ten pairs
SUMMARY = "summary/interactions.parquet"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.summaries.tables.MOST_PAIRS", LISTED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("rest"))


@pytest.fixture
def run_path(narrow: None, folder: Folder, tmp_path: Path) -> Path:
    """Return a copy of a run whose summary lists some pairs."""
    return Path(shutil.copytree(folder.run("ih"), tmp_path / "run"))


def summed(*seeds: int, targets: tuple[str, ...] = ("x", "y")) -> Summary:
    summary = Summary()
    for seed in seeds:
        half = np.random.default_rng(seed).standard_normal((20, len(NAMES), len(NAMES)))
        target = np.array(targets)[np.arange(20) % len(targets)]
        summary.update(explanations.of_table(half + half.transpose(0, 2, 1), NAMES, target))
    return summary


def footnote(run_path: Path, kind: str, **asked: object) -> str:
    return draw(read(str(run_path)), PlotRequest(kind, **asked)).get_supxlabel().replace("\n", " ")


def found(summary: Summary) -> pa.Table:
    table = summary.interactions()
    assert table is not None
    return table


@pytest.mark.parametrize("most", [0, 1, 7, 50, 99, 100, 1000])
@pytest.mark.parametrize("ties", [1, 3, 1000])
def test_the_largest_of_many_are_the_first_of_all_in_order(most: int, ties: int) -> None:
    values = np.random.default_rng(0).integers(0, 1000, 100).astype(float) // ties
    expected = np.argsort(-values, kind="stable")[:most]
    if most:
        np.testing.assert_array_equal(largest_first(values, most), expected)


def test_what_is_listed_stands_first_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found(summed(0, 1))
    assert rest_of(whole) == {}
    monkeypatch.setattr("ihcli.summaries.tables.MOST_PAIRS", LISTED)
    some = found(summed(0, 1))
    for target in ("x", "y"):
        lines, all_lines = (
            table.filter(pa.compute.equal(table["target"], target)).to_pylist() for table in (some, whole)
        )
        assert lines == all_lines[:LISTED]
        rest, others = rest_of(some)[target], all_lines[LISTED:]
        assert (rest.listed, rest.pairs) == (LISTED, len(others))
        assert rest.mean_abs == pytest.approx(sum(line["mean_abs"] for line in others))
        assert rest.largest == others[0]["mean_abs"]
        assert rest.most == max(line["mean_abs"] + line["error_bar"] for line in others)


def test_no_rank_is_certain_that_a_pair_which_is_not_listed_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(20):
        whole = judged(found(summed(seed, targets=("x",))), None)["certain"].to_pylist()
        with monkeypatch.context() as patched:
            patched.setattr("ihcli.summaries.tables.MOST_PAIRS", LISTED)
            assert judged(found(summed(seed, targets=("x",))), None)["certain"].to_pylist() == whole[:LISTED]


def test_merged_and_stored_summaries_list_the_same(narrow: None) -> None:
    merged = Summary.of_state(summed(0).state())
    merged.merge(summed(1))
    assert found(merged).equals(found(summed(0, 1)), check_metadata=True)


def test_tables_of_usual_width_list_all_pairs() -> None:
    assert 632 * 631 // 2 <= MOST_PAIRS < 633 * 632 // 2
    assert Summary().lines == (0, 0)


def test_readers_say_how_many_are_ranked(run_path: Path) -> None:
    whole = CliRunner().invoke(main, ["interactions", str(run_path)])
    assert (whole.exit_code, "Ranked are the 4 largest of 10 pairs: the others" in whole.stderr) == (0, True)
    assert len(whole.stdout.splitlines()) == 1 + LISTED
    written = CliRunner().invoke(main, ["interactions", str(run_path), "--format", "table"])
    assert "Ranked are the 4 largest of 10 pairs" in " ".join(written.stdout.split())
    target = contents_of(read(str(run_path))).targets[0]
    assert target.all_pairs == 10
    assert target.not_listed is not None
    assert "Grey: not among the 4 pairs that the run ranks, of 10." in footnote(run_path, "heatmap")
    assert "The 2 strongest of 10 pairs" in footnote(run_path, "bar", pairs=True, top_k=2)


def test_main_effects_rank_where_no_pair_that_is_not_listed_can_stand_before_them(
    folder: Folder, run_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ihcli.summaries.tables.MOST_PAIRS", MOST_PAIRS)
    whole_path = tmp_path / "whole"
    shutil.copytree(Folder(tmp_path).run("ih"), whole_path)
    choice = Choice(100, main_effects=True)
    some, whole = (ranked_pairs(open_run(path), choice) for path in (run_path, whole_path))
    for target, rest in rest_of(some).items():
        lines, all_lines = (
            table.filter(pa.compute.equal(table["target"], target)).to_pylist() for table in (some, whole)
        )
        assert LISTED <= len(lines) == rest.listed
        assert rest.listed + rest.pairs == len(all_lines) == 15
        for line, expected in zip(lines, all_lines, strict=False):
            assert {**line, "share": 0, "certain": 0} == {**expected, "share": 0, "certain": 0}
            assert line["share"] == pytest.approx(expected["share"])
            assert line["certain"] <= expected["certain"]


def test_a_feature_of_which_nothing_is_listed_is_known(run_path: Path) -> None:
    for name in NAMES:
        done = CliRunner().invoke(main, ["interactions", str(run_path), "--feature", name, "--main-effects"])
        assert done.exit_code == 0, done.stderr


def test_ranks_by_another_statistic_say_among_what(run_path: Path) -> None:
    table = ranked_pairs(open_run(run_path), Choice(3, by="std"))
    assert b"among the entries listed" in table.schema.field("rank").metadata[b"definition"]


def test_a_run_that_lists_some_passes(run_path: Path) -> None:
    findings = {finding.check: finding for finding in verify_run(run_path)}
    assert {check for check, finding in findings.items() if finding.outcome in (FAILED, NOT_CHECKED)} == set()
    assert findings["pairs of interactions"].checked == LISTED


def _told(change: Callable[[dict], None]) -> Callable[[pa.Table], pa.Table]:
    def alter(table: pa.Table) -> pa.Table:
        told = json.loads(table.schema.metadata[REST])
        for found in told.values():
            change(found)
        return table.replace_schema_metadata({REST: json.dumps(told)})

    return alter


DAMAGES: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "nothing told": ("pairs of interactions", lambda table: table.replace_schema_metadata(None)),
    "fewer": ("pairs of interactions", _told(lambda rest: rest.update(pairs=rest["pairs"] - 1))),
    "listed": ("pairs of interactions", _told(lambda rest: rest.update(listed=3))),
    "largest": ("pairs of interactions", _told(lambda rest: rest.update(largest=1e9, mean_abs=1e9))),
    "smaller": ("summary of interactions", _told(lambda rest: rest.update(largest=rest["largest"] / 2))),
    "sum": ("summary of interactions", _told(lambda rest: rest.update(mean_abs=rest["mean_abs"] * 1.01))),
    "share": ("ranks of interactions", _told(lambda rest: rest.update(mean_abs=rest["mean_abs"] * 1.01))),
    "bars": ("summary of interactions", _told(lambda rest: rest.update(most=rest["most"] * 1.01))),
    "another pair": ("summary of interactions", lambda table: table.slice(0, 0)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_told_wrongly_of_the_rest_is_found(run_path: Path, damage: str) -> None:
    check, alter = DAMAGES[damage]
    pq.write_table(alter(pq.read_table(run_path / SUMMARY)), run_path / SUMMARY)
    failed = {finding.check for finding in verify_run(run_path) if finding.outcome == FAILED}
    assert check in failed


@pytest.mark.parametrize(
    "told", [b"", b"[]", b"7", b'{"1": 7}', b'{"1": {"pairs": 1}}', b'{"0": {"listed": -1, "pairs": 1}}', b"\xff"]
)
def test_odd_words_on_the_rest_are_one_message(run_path: Path, told: bytes) -> None:
    table = pq.read_table(run_path / SUMMARY).replace_schema_metadata({REST: told})
    pq.write_table(table, run_path / SUMMARY)
    with pytest.raises(RunError, match=r"interactions\.parquet: cannot be read .* Try ihcli verify"):
        open_run(run_path).summary_interactions()


def test_a_summary_says_how_much_it_holds_beside_what_it_lists(narrow: None) -> None:
    summary = summed(0)
    assert summary.lines == (2 * len(NAMES), 2 * LISTED)
    assert summary.held == 2 * (len(NAMES) + 10)
