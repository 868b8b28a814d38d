"""`ihcli interactions`: ranked pairs of a run, or of a model and data, in five formats."""

import csv
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from pages import write_table_run
from prepared import light_python
from rich.cells import cell_len
from runs import FEATURES, made_up_explanation, on_terminal, write_cut_short, write_run, write_text_run

import ihcli
from ihcli.bars import certain_ranks, pair_bars
from ihcli.cli import main
from ihcli.cli.showing.certainty import certainty_in_words
from ihcli.cli.showing.words import number_in_words
from ihcli.errors import OptionError
from ihcli.results.rankings import Choice, ranked_pairs
from ihcli.runs.info import RunInfo
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest
from ihcli.runs.run import open_run
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.totals import Observer, RunTotals
from ihcli.runs.writer import create_run
from ihcli.summaries.ranked import RankedSummary
from ihcli.summaries.tables import Summary

BOTH = ("benign", "malignant")
ALL = 1000


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["interactions", *map(str, arguments)])


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", targets=BOTH)
    return tmp_path / "run"


def test_a_pipe_gets_csv_with_all_digits(run: Path) -> None:
    done = ask(run)
    expected = open_run(run).summary_interactions()
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == (
        "target,feature_i,feature_j,rank,mean_abs,mean,std,share,rows,error_bar,left_out,certain"
    )
    assert [float(record["mean_abs"]) for record in records(done.stdout)] == expected["mean_abs"].to_pylist()


def test_top_k_counts_within_every_target(run: Path) -> None:
    found = records(ask(run, "--top-k", 2).stdout)
    assert [(record["target"], record["rank"]) for record in found] == [
        *(("benign", "1"), ("benign", "2")),
        *(("malignant", "1"), ("malignant", "2")),
    ]


def test_target_shows_one_target(run: Path) -> None:
    assert {record["target"] for record in records(ask(run, "--target", "malignant").stdout)} == {"malignant"}
    assert {record["target"] for record in records(ask(run, "--target", "all").stdout)} == set(BOTH)


def test_an_unknown_target_lists_the_valid_ones(run: Path) -> None:
    done = ask(run, "--target", "cat")
    assert done.exit_code == 1
    assert done.stderr == f"Error: --target: {run} has no target 'cat'. Expected benign, malignant or all, got cat.\n"


def test_json_lines_hold_one_record_a_line(run: Path) -> None:
    lines = ask(run, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == ranked_pairs(open_run(run), Choice(ALL)).to_pylist()


def test_parquet_and_arrow_hold_the_same_table(run: Path) -> None:
    expected = ranked_pairs(open_run(run), Choice(ALL))
    assert expected.drop_columns(["certain"]).equals(open_run(run).summary_interactions())
    assert pq.read_table(io.BytesIO(ask(run, "--format", "parquet").stdout_bytes)).equals(expected)
    assert pa.ipc.open_stream(ask(run, "--format", "arrow").stdout_bytes).read_all().equals(expected)


def test_the_name_of_the_file_chooses_the_format(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    done = ask(run, "-o", file)
    assert (done.exit_code, done.stdout) == (0, "")
    assert pq.read_table(file).equals(ranked_pairs(open_run(run), Choice(ALL)))


def test_a_file_that_exists_is_replaced_only_when_asked(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("precious")
    done = ask(run, "-o", file)
    assert done.exit_code == 1
    assert done.stderr == f"Error: -o {file}: exists already. Try --overwrite to replace it, or another -o.\n"
    assert file.read_text() == "precious"
    assert ask(run, "-o", file, "--overwrite").exit_code == 0
    assert len(records(file.read_text())) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.csv", "run"]


def test_a_directory_that_is_missing_is_named(run: Path, tmp_path: Path) -> None:
    done = ask(run, "-o", tmp_path / "nowhere" / "pairs.csv")
    assert done.exit_code == 1
    assert f"there is no directory {tmp_path / 'nowhere'}. Try creating it first." in done.stderr


def test_a_table_has_four_digits_and_a_title_per_target(run: Path) -> None:
    text = ask(run, "--format", "table").stdout
    first = open_run(run).summary_interactions().to_pylist()[0]
    assert "target benign, 6 rows" in text
    assert "target malignant, 6 rows" in text
    row = next(line for line in text.splitlines() if line.split()[:1] == ["1"])
    assert row.split()[:4] == ["1", first["feature_i"], first["feature_j"], number_in_words(first["mean_abs"])]


def test_a_terminal_gets_a_table_that_breaks_names_before_numbers(run: Path) -> None:
    lines = on_terminal("interactions", str(run), "--target", "benign", columns=50).splitlines()
    sizes = [number_in_words(size) for size in open_run(run).summary_interactions()["mean_abs"].to_pylist()[:3]]
    assert "target benign, 6 rows" in lines[0]
    assert any("mean_abs" in line for line in lines)
    for rank, size in enumerate(sizes, 1):
        assert any(line.split()[:1] == [str(rank)] and size in line for line in lines)


@pytest.mark.parametrize("columns", [60, 80, 100, 300])
@pytest.mark.parametrize("odd", ["", "日本語の長い名前", "\x1b[31m"])
def test_a_terminal_cuts_long_names_in_their_middle_and_tells_them_apart(
    tmp_path: Path, columns: int, odd: str
) -> None:
    names = tuple(f"worst_concave_points_{odd}_of_the_{side}_side_of_the_sample" for side in ("left", "right", "upper"))
    write_table_run(tmp_path / "made", names, ("risk",))
    lines = on_terminal("interactions", str(tmp_path / "made/run"), columns=columns).splitlines()
    lines = [line.rstrip() for line in lines if line.split()[:1] in (["1"], ["2"], ["3"])]
    pairs = [tuple(line.split()[1:3]) for line in lines]
    assert (len(set(pairs)), len({name for pair in pairs for name in pair})) == (3, 3)
    assert all(len(line.split()) == (8 if columns > 60 else 6) and cell_len(line) <= columns for line in lines)
    assert any("…" in name for pair in pairs for name in pair) == (columns < 300)
    rows = records(ask(tmp_path / "made/run", "--format", "csv").stdout)
    assert {row["feature_i"] for row in rows} <= set(names)


def test_binary_formats_are_refused_on_a_terminal(run: Path) -> None:
    text = on_terminal("interactions", str(run), "--format", "arrow")
    assert "Error: --format arrow: is not for a terminal. Try -o FILE, or a pipe." in text


def test_names_with_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    write_run(tmp_path / "run", targets=("[bold]x",))
    assert "target [bold]x, 6 rows" in ask(tmp_path / "run", "--format", "table").stdout


def test_a_closed_pipe_ends_quietly(run: Path) -> None:
    shell = f"{light_python()} -m ihcli interactions {run} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_head_gets_the_first_line(run: Path) -> None:
    shell = f"{light_python()} -m ihcli interactions {run} | head -1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("target,feature_i,feature_j")
    assert done.stderr == ""


@pytest.mark.parametrize("format_name", ["csv", "jsonl", "parquet", "arrow", "table"])
def test_a_pipe_that_closes_is_no_error_in_any_format(run: Path, format_name: str) -> None:
    shell = f"{light_python()} -m ihcli interactions {run} --format {format_name} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def piped(run: Path, format_name: str, code: str) -> str:
    """Return what a Python program prints that reads a ranking from its standard input."""
    shell = f"set -o pipefail; {light_python()} -m ihcli interactions {run} --format {format_name} -o - | "
    shell += f'{light_python()} -c "{code}"'
    return subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout


def test_json_lines_are_read_from_a_pipe(run: Path) -> None:
    code = "import json, sys; print([json.loads(line)['rank'] for line in sys.stdin])"
    assert piped(run, "jsonl", code) == "[1, 2, 3, 1, 2, 3]\n"


def test_arrow_is_a_stream_that_is_read_from_a_pipe(run: Path) -> None:
    code = "import pyarrow.ipc, sys; print(pyarrow.ipc.open_stream(sys.stdin.buffer).read_all()['rank'].to_pylist())"
    assert piped(run, "arrow", code) == "[1, 2, 3, 1, 2, 3]\n"


def test_duckdb_reads_arrow_from_a_pipe(run: Path) -> None:
    code = "import duckdb, pyarrow.ipc, sys; pairs = pyarrow.ipc.open_stream(sys.stdin.buffer); "
    code += "print(duckdb.sql('select target, count(*) from pairs group by target order by target').fetchall())"
    assert piped(run, "arrow", code) == "[('benign', 3), ('malignant', 3)]\n"


@pytest.mark.parametrize(
    "options", [[], ["--by", "std"], ["--main-effects", "--feature", "age"], ["--target", "benign"]]
)
def test_ranking_a_run_imports_neither_torch_nor_pandas(run: Path, options: list[str]) -> None:
    code = "import sys; from ihcli.cli import main; main(sys.argv[1:], standalone_mode=False); "
    code += "assert not {'torch', 'pandas', 'pyarrow.dataset'} & set(sys.modules)"
    command = [sys.executable, "-c", code, "interactions", str(run), *options]
    subprocess.run(command, capture_output=True, check=True)


def test_ranking_reads_no_part(run: Path) -> None:
    for part in run.glob("*/part-*.parquet"):
        part.write_bytes(b"torn")
    assert ask(run, "--by", "share", "--main-effects").exit_code == 0


@pytest.mark.parametrize(("by", "size"), [("mean_abs", float), ("mean", abs), ("std", float), ("share", float)])
def test_by_ranks_by_any_statistic(run: Path, by: str, size: Callable[[float], float]) -> None:
    found = records(ask(run, "--by", by, "--target", "malignant").stdout)
    sizes = [size(float(record[by])) for record in found]
    assert sizes == sorted(sizes, reverse=True)
    assert [record["rank"] for record in found] == ["1", "2", "3"]
    assert by != "mean" or any(float(record["mean"]) < 0 for record in found)


def test_rows_that_did_not_converge_do_not_rank(tmp_path: Path) -> None:
    kept = write_cut_short(tmp_path / "run")
    gamma = made_up_explanation().interactions
    assert gamma is not None
    done = ask(tmp_path / "run")
    for record in records(done.stdout):
        effects = 2 * gamma[kept][:, FEATURES.index(record["feature_i"]), FEATURES.index(record["feature_j"])]
        assert float(record["mean_abs"]) == pytest.approx(np.abs(effects).mean())
        assert (record["rows"], record["left_out"]) == ("4", "2")
    assert done.stderr == "Left out: 2 of 6 rows, with errors beyond 10 tolerances; --all-rows takes them.\n"
    text = ask(tmp_path / "run", "--format", "table")
    assert "target risk, 4 rows" in text.stdout
    assert "Left out: 2 of 6 rows, with errors beyond 10 tolerances; --all-rows takes them." in text.stdout
    assert text.stderr == ""
    result = ihcli.read(tmp_path / "run")
    assert result.interaction_summary["left_out"].tolist() == result.attribution_summary["left_out"].tolist() == [2] * 3


def test_all_rows_takes_them_all(tmp_path: Path) -> None:
    write_cut_short(tmp_path / "run")
    done = ask(tmp_path / "run", "--all-rows")
    assert done.stderr == ""
    assert {(record["rows"], record["left_out"]) for record in records(done.stdout)} == {("6", "0")}
    assert all(float(record["mean_abs"]) > 1e4 for record in records(done.stdout))
    assert "Left out" not in ask(tmp_path / "run", "--all-rows", "--format", "table").stdout
    result = ihcli.read(tmp_path / "run", all_rows=True)
    assert result.interaction_summary["rows"].tolist() == [6] * 3
    assert {"6"} == {record["rows"] for record in records(ask(tmp_path / "run", "--all-rows", "--main-effects").stdout)}


def test_where_no_row_ranks_that_is_said_and_the_advice_helps(tmp_path: Path) -> None:
    write_cut_short(tmp_path / "run", BOTH, n_unfinished=6)
    for options in ((), ("--main-effects",), ("--target", "benign")):
        done = ask(tmp_path / "run", *options)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "has an error within 10 times the tolerance, so none ranks. Try --all-rows, or ihcli" in done.stderr
        assert "a larger --max-evaluations or --tolerance" in done.stderr
        assert len(records(ask(tmp_path / "run", *options, "--all-rows").stdout)) > 0
    assert ihcli.read(tmp_path / "run").targets == BOTH


@pytest.mark.parametrize("option", [["--row", "1"], ["--key", "patient=P1"]])
def test_all_rows_is_not_for_one_row(run: Path, option: list[str]) -> None:
    done = ask(run, *option, "--all-rows")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--all-rows: ranks over all rows, so it cannot be used with --row or --key. Try again" in done.stderr


def test_rankings_show_bars_and_certain_ranks(run: Path) -> None:
    claims = []
    for statistic, target in product(("mean_abs", "mean"), BOTH):
        asked = ["--by", statistic, "--target", target]
        found = records(ask(run, *asked).stdout)
        values, bars = (np.array([float(record[name]) for record in found]) for name in (statistic, "error_bar"))
        certain = certain_ranks(values, bars)
        claims.append(certain)
        assert [record["certain"] for record in found] == [str(rank < certain) for rank in range(3)]
        text = ask(run, *asked, "--top-k", 1, "--format", "table").stdout
        assert certainty_in_words(certain, 3, "pairs") in text.splitlines()
        assert f"±{number_in_words(bars[0], digits=2)}" in text
    assert len(set(claims)) > 1
    assert "certain" not in records(ask(run, "--by", "std").stdout)[0]


def test_pairs_within_two_standard_errors_of_zero_are_marked(tmp_path: Path) -> None:
    explanation = made_up_explanation()
    assert explanation.interactions is not None
    spread = np.zeros_like(explanation.interactions)
    spread[:, 0, 1] = spread[:, 1, 0] = 10.0
    summary, writer = RankedSummary(Summary), create_run(tmp_path / "run")
    summary.update(replace(explanation, interaction_spread=spread))
    writer.write_summary(summary.attributions(), summary.interactions())
    writer.write_info(RunInfo.of({"status": "done", "features": list(FEATURES), "keys": [], "method": {"name": "eh"}}))
    found = records(ask(tmp_path / "run").stdout)
    marked = {(record["feature_i"], record["feature_j"]) for record in found if record["near_zero"] == "True"}
    assert marked == {FEATURES[:2]}
    assert {float(record["standard_error"]) for record in found} == {0.0, 20.0}
    assert {record["certain"] for record in found} == {"False"}
    text = ask(tmp_path / "run", "--format", "table").stdout
    assert "~ within two standard errors of zero: with other baselines there may be no such effect." in text
    assert "Two standard errors over the drawn baselines count as error." in text
    assert [line.split()[1] for line in text.splitlines() if FEATURES[0] in line and "~" in line.split()] == ["~"]


def test_feature_shows_the_pairs_with_it(run: Path) -> None:
    found = records(ask(run, "--feature", "age", "--target", "benign").stdout)
    assert len(found) == 2
    assert all("age" in (record["feature_i"], record["feature_j"]) for record in found)
    assert ask(run, "--feature", "agee").stderr == (
        "Error: --feature: there is no 'agee'. Expected one of 3 names, got agee. Try age.\n"
    )


def test_main_effects_rank_among_pairs(run: Path) -> None:
    found = records(ask(run, "--main-effects", "--target", "benign").stdout)
    assert {record["feature_i"] for record in found if record["kind"] == "main"} == set(FEATURES)
    assert sum(float(record["share"]) for record in found) == pytest.approx(1)
    assert "kind" in ask(run, "--main-effects", "--format", "table").stdout


def test_one_row_shows_its_signed_effects(run: Path) -> None:
    gamma = made_up_explanation(targets=BOTH).interactions
    assert gamma is not None
    for arguments in (["--row", 3], ["--key", "patient=P3"]):
        found = records(ask(run, *arguments).stdout)
        assert [(record["target"], record["rank"]) for record in found[::3]] == [("benign", "1"), ("malignant", "1")]
        for record in found:
            i, j = FEATURES.index(record["feature_i"]), FEATURES.index(record["feature_j"])
            assert float(record["effect"]) == 2 * gamma[6 + BOTH.index(record["target"]), i, j]
            assert (record["_row"], record["patient"]) == ("3", "P3")
    assert {record["target"] for record in records(ask(run, "--row", 3, "--target", "benign").stdout)} == {"benign"}


def test_one_row_shows_error_bars_and_how_many_ranks_are_certain(tmp_path: Path) -> None:
    errors = {0.0: 3, 0.05: 1, 0.5: 0}
    gamma = np.array([[0.5, 3.0, 1.0], [3.0, 0.2, 0.9], [1.0, 0.9, 0.1]])
    known = {"interactions": np.stack([gamma] * 3), "interaction_error": np.array(list(errors))}
    explanation = replace(made_up_explanation(3), **known)
    writer = create_run(tmp_path / "run")
    writer.write_part(0, explanation, pa.table({"patient": ["P0", "P1", "P2"]}))
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["patient"]}))
    bars = 2 * pair_bars(known["interactions"], known["interaction_error"])
    sentences = {
        3: "The order of all 3 pairs is certain.",
        1: "The first of the pairs is certain; the order of the rest is within error.",
        0: "No rank is certain: the order of the pairs is within error.",
    }
    for row, certain in enumerate(errors.values()):
        found = records(ask(tmp_path / "run", "--row", row).stdout)
        assert [record["certain"] for record in found] == [str(rank < certain) for rank in range(3)]
        for record in found:
            bar = bars[row, FEATURES.index(record["feature_i"]), FEATURES.index(record["feature_j"])]
            assert float(record["error_bar"]) == pytest.approx(bar)
        text = ask(tmp_path / "run", "--key", f"patient=P{row}", "--format", "table").stdout
        assert sentences[certain] in text.splitlines()
        assert f"±{number_in_words(float(found[0]['error_bar']), digits=2)}" in text
        told = json.loads(ask(tmp_path / "run", "--row", row, "--format", "jsonl").stdout.splitlines()[0])
        assert told["certain"] is (certain > 0)
    mains = ask(tmp_path / "run", "--row", 0, "--main-effects", "--format", "table").stdout
    assert "The order of all 6 effects is certain." in mains.splitlines()


def test_what_is_certain_of_drawn_baselines_says_so(tmp_path: Path) -> None:
    explanation = replace(made_up_explanation(), interaction_sampling_error=np.full(6, 0.123))
    writer = create_run(tmp_path / "run")
    writer.write_part(0, explanation, pa.table({}))
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": []}))
    text = " ".join(ask(tmp_path / "run", "--row", 0, "--format", "table").stdout.split())
    assert "That holds for the baselines that were drawn" in text
    assert "the relative standard error of the interactions is 0.1230." in text


@pytest.mark.parametrize("interactions", ["full", "top:2"])
def test_a_run_of_before_has_no_error_bars_and_says_so(tmp_path: Path, interactions: str) -> None:
    writer = create_run(tmp_path / "run", InteractionStorage.parse(interactions))
    writer.write_part(0, replace(made_up_explanation(), interaction_error=None), pa.table({}))
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": []}))
    text = ask(tmp_path / "run", "--row", 0, "--format", "table").stdout
    assert "Error bars are missing: an older ihcli made the run. Try ihcli explain again." in text
    assert "±" not in text
    assert "error_bar" not in records(ask(tmp_path / "run", "--row", 0).stdout)[0]


@pytest.mark.parametrize(
    ("certain", "listed", "sentence"),
    [
        (0, 1, ""),
        (1, 1, ""),
        (0, 2, "No rank is certain: the order of the pairs is within error."),
        (1, 5, "The first of the pairs is certain; the order of the rest is within error."),
        (2, 5, "The first 2 pairs are certain; the order of the rest is within error."),
        (5, 5, "The order of all 5 pairs is certain."),
    ],
)
def test_certainty_has_words_for_every_number(certain: int, listed: int, sentence: str) -> None:
    assert certainty_in_words(certain, listed, "pairs") == sentence


def test_the_title_of_a_row_says_who_it_is_and_how_well_it_is_explained(run: Path) -> None:
    text = ask(run, "--row", 3, "--target", "benign", "--format", "table").stdout
    prediction = number_in_words(made_up_explanation(targets=BOTH).prediction[6])
    expected = (
        f"row 3, patient P3, target benign: prediction {prediction}, baseline 0.5000, relative error 0.001000, "
        "interaction error 0.002000, ok"
    )
    assert text.splitlines()[0] == expected


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--key", "patient"], 2, "--key patient: Expected COL=VALUE with a RUN, got 'patient'. Try --key patient="),
        (["--key", "name=x"], 1, "--key name: RUN has no such key column. Expected one of patient."),
        (["--key", "patient=P9"], 1, "--key patient=P9: no row of RUN has it."),
        (["--row", "1", "--key", "patient=P1"], 2, "--row, --key: both select a row. Try one of them."),
        (["--row", "1", "--by", "std"], 2, "--by: ranks over all rows, so it cannot be used with --row or --key."),
        (["--row", "6"], 1, "--row 6: there is no such row. Expected 0 to 5."),
        (["--row", "-1"], 2, "'--row': Expected a whole number of at least 0, got '-1'."),
        (["--row", "1", "--target", "x"], 1, "--target: row 1 has no target 'x'. Expected benign, malignant."),
        (["--keep", "copy"], 2, "--keep: for MODEL and DATA only; a RUN is computed already. Try again without."),
        (["--by", "max"], 2, "'max' is not one of 'mean_abs', 'mean', 'std', 'share'."),
    ],
)
def test_rows_and_keys_that_cannot_be_shown_are_named(
    run: Path, arguments: list[str], exit_code: int, message: str
) -> None:
    done = ask(run, *arguments)
    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert message.replace("RUN has", f"{run} has").replace("of RUN", f"of {run}") in done.stderr


def test_a_key_column_may_hold_an_equals_sign(tmp_path: Path) -> None:
    writer = create_run(tmp_path / "run")
    writer.write_part(0, made_up_explanation(), pa.table({"a=b": ["=1", "=2", "=3", "4", "5", "6"]}))
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["a=b"]}))
    assert {record["_row"] for record in records(ask(tmp_path / "run", "--key", "a=b==2").stdout)} == {"1"}


def test_a_row_of_a_text_names_units_by_position(tmp_path: Path) -> None:
    write_text_run(tmp_path / "run")
    found = records(ask(tmp_path / "run", "--row", 0).stdout)
    assert list(found[0])[2:8] == ["target", "position_i", "feature_i", "position_j", "feature_j", "rank"]
    assert ("0", "not", "2", "not") in {tuple(list(record.values())[3:7]) for record in found}
    assert "target positive, rows: occurrences in texts" in ask(tmp_path / "run", "--format", "table").stdout


def test_a_text_is_drawn_as_a_matrix_on_a_terminal_only(tmp_path: Path) -> None:
    gamma = write_text_run(tmp_path / "run")[0]
    text = on_terminal("interactions", str(tmp_path / "run"), "--row", "0")
    assert "Gamma in percent of" in text
    assert f"{100 * gamma[1, 3] / np.abs(gamma).max():+.0f}" in text
    assert "Gamma in percent" not in ask(tmp_path / "run", "--row", 0, "--format", "table").stdout


@pytest.mark.parametrize(
    ("units", "columns", "message"),
    [
        (31, 200, "The matrix of 31 units is not drawn: it is readable up to 30."),
        (20, 80, "The matrix of 20 units is not drawn: it takes 96 columns, the terminal has 80."),
    ],
)
def test_a_matrix_that_nobody_could_read_is_not_drawn(tmp_path: Path, units: int, columns: int, message: str) -> None:
    write_text_run(tmp_path / "run", (tuple(f"w{i}" for i in range(units)),))
    text = on_terminal("interactions", str(tmp_path / "run"), "--row", "0", "--top-k", "2", columns=columns)
    assert message in " ".join(text.split())
    assert "position_i" in text


def test_a_run_without_interactions_names_the_methods_that_give_them(tmp_path: Path) -> None:
    write_run(tmp_path / "run", second_order=False)
    done = ask(tmp_path / "run")
    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: {tmp_path / 'run'}: has no interactions, only attributions. Expected a run of ih, eh, hessian, "
        "hessian-input, dfim, cd, occlusion-pairs or sii. "
        "Try ihcli explain with --method ih.\n"
    )


def test_a_run_that_did_not_finish_says_so(tmp_path: Path) -> None:
    create_run(tmp_path / "run")
    done = ask(tmp_path / "run")
    assert done.exit_code == 1
    assert "the run did not finish (status running), so it has no summary. " in done.stderr
    assert "Try the same ihcli explain with --resume" in done.stderr


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = ask(tmp_path / "none")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {tmp_path / 'none'}: no such run.")


def test_a_model_without_data_is_a_usage_error(tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    model.touch()
    done = ask(model)
    assert done.exit_code == 2
    assert f"Missing argument 'DATA': {model} is a file, not a run. Try ihcli interactions MODEL DATA." in done.stderr


def test_options_of_a_computation_are_refused_for_a_run(run: Path) -> None:
    done = ask(run, "-m", "eh", "--tolerance", 0.1)
    assert done.exit_code == 2
    assert (
        "--method, --tolerance: for MODEL and DATA only; a RUN is computed already. Try again without." in done.stderr
    )


def test_first_order_methods_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.cli.showing.progress.run", lambda *_: pytest.fail("computed"))
    done = ask("m.pt", "d.csv", "-m", "eg")
    assert done.exit_code == 1
    others = "ih, eh, hessian, hessian-input, dfim, cd, occlusion-pairs or sii"
    assert done.stderr == f"Error: --method eg: gives no interactions. Expected {others}. Try --method eh.\n"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RunRequest, Path]]:
    """Let computations write a made-up run of which two rows missed; returns what was asked."""
    asked = []

    def compute(request: RunRequest, out: Path, observer: Observer, *_: object) -> RunTotals:
        asked.append((request, out))
        write_run(out)
        observer.chunk_done(Progress.of_part(0, 6, made_up_explanation()))
        return RunTotals(out, 6, 6, {"ok": 4, "not_converged": 2}, 48, 0.25)

    monkeypatch.setattr("ihcli.cli.showing.progress.run", compute)
    monkeypatch.setattr("ihcli.execution.refusals.refuse_early", lambda *_: None)  # nothing here is a file
    return asked


def test_model_and_data_are_explained_first_and_nothing_is_kept(computed: list[tuple[RunRequest, Path]]) -> None:
    done = ask("m.pt", "d.csv", "-m", "eh", "--target", "risk", "--exclude", "a,b", "--top-k", 1)
    request, out = computed[0]
    assert done.exit_code == 0
    assert request == RunRequest("m.pt", "d.csv", method="eh", target="risk", exclude=("a", "b"), interactions="none")
    assert len(records(done.stdout)) == 1
    assert done.stderr == (
        "Explained 6 rows in 0.2 s: 8.0 evaluations per row, 66.7 % within tolerance 0.01.\n"
        "2 of 6 rows missed the tolerance (not_converged 2). Try a larger --max-evaluations or --tolerance.\n"
    )
    assert not out.exists()
    assert out.parent.parent == Path(tempfile.gettempdir())


def test_keep_names_the_run_that_is_kept(computed: list[tuple[RunRequest, Path]], tmp_path: Path) -> None:
    done = ask("m.pt", "d.csv", "--keep", tmp_path / "kept", "--top-k", 1)
    request, out = computed[0]
    assert (done.exit_code, request.interactions, out) == (0, "full", tmp_path / "kept")
    assert f"within tolerance 0.01. Run written to {out}.\n" in done.stderr
    assert "they are flagged in _status" in done.stderr
    assert ask(out, "--top-k", 1).stdout == done.stdout


def test_a_kept_run_is_replaced_only_when_asked(computed: list[tuple[RunRequest, Path]], run: Path) -> None:
    done = ask("m.pt", "d.csv", "--keep", run)
    assert (done.exit_code, done.stdout, computed) == (1, "", [])
    assert done.stderr == f"Error: {run}: holds a run already. Try --overwrite to replace it, or another --keep.\n"
    assert ask("m.pt", "d.csv", "--keep", run, "--overwrite").exit_code == 0


def test_one_row_of_a_model_and_data_needs_what_is_stored_of_rows(computed: list[tuple[RunRequest, Path]]) -> None:
    done = ask("m.pt", "d.csv", "--key", "patient", "--row", 2)
    request, out = computed[0]
    assert (request.interactions, request.key) == ("full", ("patient",))
    assert {record["patient"] for record in records(done.stdout)} == {"P2"}
    assert not out.exists()


def test_a_value_of_a_key_is_for_runs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OptionError("`key=id=P1`: d.csv has no such column. Expected one of 'id', 'x'.")

    monkeypatch.setattr("ihcli.cli.showing.progress.run", refuse)
    monkeypatch.setattr("ihcli.execution.refusals.refuse_early", lambda *_: None)
    done = ask("m.pt", "d.csv", "--key", "id=P1")
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: --key id=P1: d.csv has no such column. Expected one of 'id', 'x'. With MODEL and DATA --key names a "
        "column only: try --row N, or --keep RUN and then --key id=P1 with that RUN.\n"
    )


def test_strict_ends_with_3_after_the_table(computed: list[tuple[RunRequest, Path]]) -> None:
    done = ask("m.pt", "d.csv", "--strict", "--quiet")
    assert done.exit_code == 3
    assert len(records(done.stdout)) == 3
    assert done.stderr == ""
