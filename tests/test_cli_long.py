"""`--long` of ihcli attributions and interactions, in every format; and `--csv-safe`, wherever CSV is written."""

import json
import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from prepared import python
from test_long import KEYS, MISSING, N_ROWS, numbers, write_data
from written_runs import random_gammas, write_table_run, write_texts

from ihcli.cli import main
from ihcli.cli.showing.bulk import csv_of, json_lines_of
from ihcli.cli.showing.spreadsheets import safe
from ihcli.cli.showing.tables import csv_rows

PEAK_MIB = 600
"""Of a table whose lines take 5 times that in memory; Python, Arrow and numpy alone take 150."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    data = write_data(tmp_path / "data.parquet", {"id": KEYS, **numbers(), "clinic": ["A", "B"] * 5})
    return write_table_run(tmp_path / "run", random_gammas(N_ROWS), keys=KEYS, missing=MISSING, data=data)


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def frame_of(content: bytes, format_name: str) -> pd.DataFrame:
    if format_name == "csv":
        return pd.read_csv(BytesIO(content), dtype={"id": str})
    if format_name == "jsonl":
        return pd.read_json(BytesIO(content), lines=True, dtype={"id": str}, precise_float=True)
    table = pq.read_table(BytesIO(content)) if format_name == "parquet" else pa.ipc.open_stream(content).read_all()
    return table.to_pandas()


@pytest.mark.parametrize("command", ["attributions", "interactions"])
def test_every_format_says_the_same(run: Path, tmp_path: Path, command: str) -> None:
    frames = {}
    for name in ("parquet", "arrow", "csv", "jsonl"):
        done = ask(command, run, "--rows", "all", "--long", "-o", tmp_path / f"long.{name}")
        assert done.exit_code == 0, done.output
        content = (tmp_path / f"long.{name}").read_bytes()
        frames[name] = frame_of(content, name)
        piped = ask(command, run, "--long", "--format", name)
        assert piped.stdout_bytes == content
    for name, frame in frames.items():
        pd.testing.assert_frame_equal(frame, frames["parquet"], check_dtype=name == "arrow", rtol=0, atol=1e-15)
    assert len(frames["csv"]) == (N_ROWS - 1) * {"attributions": 4, "interactions": 6}[command]


def test_the_format_is_told_where_what_is_missing_is_told_too(run: Path) -> None:
    done = ask("attributions", run, "--long")
    assert done.stderr == "Warning: no lines of 1 entry without values (missing_input 1).\n"
    assert done.stdout.splitlines()[0] == "_row,id,_target,feature,value,attribution,_relative_error"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [("all", set(range(N_ROWS)) - {4}), ("0", {0}), ("7,0-2", {0, 1, 2, 7}), ("3-3", {3}), ("@rows.txt", {1, 5, 6})],
)
def test_rows_are_all_or_numbers_and_ranges(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str, expected: set[int]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.txt").write_text("1\n5-6\n")
    done = ask("attributions", run, "--rows", rows, "--long")
    assert set(pd.read_csv(StringIO(done.stdout))["_row"]) == expected


def test_one_row_is_chosen_as_without_long(run: Path) -> None:
    by_row = ask("interactions", run, "--row", 3, "--long")
    assert by_row.stdout == ask("interactions", run, "--key", "id=P3", "--long").stdout
    assert by_row.stdout == ask("interactions", run, "--rows", 3, "--long").stdout
    assert by_row.stdout == ask("interactions", run, "--where", "id=P3", "--long").stdout
    assert len(by_row.stdout.splitlines()) == 7


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--rows", "3"], 2, "--rows: means something only with --long. Try --long, or without --rows."),
        (["--where", "id=P3"], 2, "--where: means something only with --long. Try --long, or without --where."),
        (["--data", "x.csv"], 2, "--data: means something only with --long. Try --long, or without --data."),
        (["--long", "--by", "std"], 2, "--by: ranks over all rows, so it cannot be used with --long"),
        (["--long", "--all-rows"], 2, "--all-rows: ranks over all rows, so it cannot be used with --long"),
        (["--long", "--min-count", "2"], 2, "--min-count: ranks over all rows, so it cannot be used with --long"),
        (["--long", "--rows", "1", "--row", "1"], 2, "--rows, --row: both select rows. Try one of them."),
        (["--long", "--rows", "first"], 2, "numbers of rows from 0 and ranges of them, got 'first'. Try 0,5,10-19."),
        (["--long", "--rows", "5-3"], 2, "got '5-3'. Try 0,5,10-19."),
        (["--long", "--rows", "-1"], 2, "got '-1'. Try 0,5,10-19."),
        (["--long", "--rows", "12"], 1, "--rows 12: there is no such row. Expected 0 to 9. Try --rows all."),
        (["--long", "--target", "rsk"], 1, "has no target 'rsk'. Expected one of 'risk'. Did you mean 'risk'?"),
        (["--long", "--feature", "agee"], 1, "--feature: there is no 'agee'."),
        (["--long", "--where", "clinci=A"], 1, "Did you mean 'clinic'?"),
        (["--long", "--data", "no.parquet"], 1, "no.parquet: no such file"),
    ],
)
def test_what_does_not_go_is_answered(run: Path, arguments: list[str], code: int, message: str) -> None:
    done = ask("attributions", run, *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert message in done.stderr


def test_data_that_moved_are_named_as_the_warning_says(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data.parquet").rename(tmp_path / "moved.parquet")
    done = ask("attributions", run, "--long")
    assert "Warning: Values are null: " in done.stderr
    assert "Try --data FILE with a copy of it." in done.stderr
    assert pd.read_csv(StringIO(done.stdout))["value"].isna().all()
    done = ask("attributions", run, "--long", "--data", tmp_path / "moved.parquet")
    assert pd.read_csv(StringIO(done.stdout))["value"].notna().all()


def test_a_model_and_its_data_have_long_tables_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Path(__file__).parents[1] / "sample_data"
    monkeypatch.chdir(tmp_path)
    model_and_data = [sample / "diabetes_softplus.pkl", sample / "diabetes.csv", "--key", "patient", "--limit", 5]
    done = ask("interactions", *model_and_data, "--long", "--top-k", 3, "-o", "pairs.parquet")
    assert done.exit_code == 0, done.output
    pairs = pd.read_parquet("pairs.parquet")
    assert len(pairs) == 15
    assert pairs[["patient", "value_i", "value_j", "interaction", "error_bar"]].notna().all(axis=None)


def test_a_terminal_shows_the_first_lines_and_says_where_all_are(run: Path) -> None:
    shown = ask("interactions", run, "--long", "--format", "table").stdout.splitlines()
    assert shown[-1] == "The first 40 lines; -o FILE has all."
    assert len(shown) == 40 + 6
    assert "-o FILE" not in ask("interactions", run, "--long", "--rows", 0, "--format", "table").stdout


WORDS = ["=1+1", "+cmd", "-x", "@SUM(A1)", "\tx", "\rx", "plain", "a=b", "-3", "+1.5e3", "", "'quoted", 'a"b,c', "-"]
KEPT = {"plain", "a=b", "-3", "+1.5e3", "", "'quoted", 'a"b,c'}
"""Numbers are none that a spreadsheet runs."""


def test_text_that_begins_as_a_formula_gets_an_apostrophe() -> None:
    for word in WORDS:
        assert safe(word) == (word if word in KEPT else f"'{word}"), word


def test_both_writers_of_csv_write_the_same() -> None:
    words = [*WORDS, "line\nend", "größe", None]
    table = pa.table({"a": words, "=b": pa.array(range(len(words)), pa.int32())})
    for is_safe in (False, True):
        at_once = b"".join(csv_of(table, is_safe=is_safe)).decode()
        line_by_line = csv_rows(zip(*(column.to_pylist() for column in table.columns), strict=True), False, is_safe)
        assert at_once == line_by_line


def test_numbers_survive_text() -> None:
    values = np.concatenate(
        [np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250), [0.0, -0.0, 1e16]]
    )
    for dtype in (np.float64, np.float32):
        with np.errstate(over="ignore"):
            kept = values.astype(dtype)
        kept = kept[np.isfinite(kept)]
        table = pa.table({"x": kept, "n": np.arange(len(kept))})
        lines = b"".join(csv_of(table)).decode().splitlines()
        np.testing.assert_array_equal(np.array([line.split(",")[0] for line in lines], dtype), kept)
        found = [json.loads(line) for line in b"".join(json_lines_of(table)).splitlines()]
        np.testing.assert_array_equal(np.array([line["x"] for line in found], dtype), kept)
        assert [line["n"] for line in found] == list(range(len(kept)))


def test_lines_of_json_are_json_whatever_they_hold() -> None:
    words = [*WORDS, "\x00\x1f\u2028\\", "größe", None]
    floats = [np.nan, np.inf, None, *[1.5] * (len(words) - 3)]
    keys = pa.array([None if word is None else word.encode("utf-8") + b"\xff" for word in words], pa.binary())
    table = pa.table({'na"me': words, "x": pa.array(floats, pa.float32()), "b": [True] * len(words), "k": keys})
    found = [json.loads(line) for line in b"".join(json_lines_of(table)).decode().split("\n")[:-1]]
    assert [line['na"me'] for line in found] == words
    assert [line["x"] for line in found] == [None, None, None, *floats[3:]]
    assert found[0]["k"] == str(b"=1+1\xff")
    assert found[-1]["k"] is None


def test_what_a_terminal_would_obey_is_written_out() -> None:
    table = pa.table({"x": ["\x1b[2J", "plain", '\x1b"']})
    assert b"".join(csv_of(table, is_terminal=True)) == b'\\x1b[2J\nplain\n"\\x1b"""\n'
    assert b"".join(json_lines_of(table, is_terminal=True)).splitlines()[0] == b'{"x": "\\u001b[2J"}'


@pytest.fixture
def risky(tmp_path: Path) -> Path:
    """Write a run whose keys and names a spreadsheet would run."""
    features = ["=cmd|' /C calc'!A0", "@b", "-2", "plain"]
    keys = [f"+K{row}" for row in range(N_ROWS)]
    columns = {"id": keys, **dict(zip(features, numbers().values(), strict=True)), "=clinic": ["A", "B"] * 5}
    data = write_data(tmp_path / "risky.parquet", columns)
    for seed in (0, 1):
        gammas = random_gammas(N_ROWS, seed=seed)
        write_table_run(tmp_path / f"risky{seed}", gammas, features=features, keys=keys, data=data)
    return tmp_path / "risky0"


@pytest.mark.parametrize(
    "command",
    [
        ["attributions", "{run}"],
        ["interactions", "{run}"],
        ["attributions", "{run}", "--row", "3"],
        ["attributions", "{run}", "--long"],
        ["interactions", "{run}", "--long"],
        ["compare", "{run}", "{run}/../risky1"],
        ["contrast", "{run}", "--by", "=clinic"],
        ["drivers", "{run}", "--feature", "plain"],
        ["verify", "{run}", "--format", "csv"],
    ],
    ids=lambda command: " ".join(command),
)
def test_every_csv_can_be_made_safe_for_spreadsheets(risky: Path, command: list[str]) -> None:
    asked = [word.format(run=risky) for word in command]
    plain, careful = ask(*asked), ask(*asked, "--csv-safe")
    assert plain.exit_code == careful.exit_code == (command[0] == "verify"), careful.output  # figures are made up
    both = [pd.read_csv(StringIO(done.stdout), dtype=str, keep_default_na=False) for done in (plain, careful)]
    assert command[0] == "verify" or (both[0] != both[1]).any(axis=None)
    for before, after in zip(*(found.T.reset_index().T.to_numpy().ravel().tolist() for found in both), strict=True):
        assert after == safe(before)


@pytest.mark.parametrize("command", [["attributions"], ["compare", "x"], ["verify"]])
def test_csv_safe_is_for_csv(run: Path, command: list[str]) -> None:
    done = ask(command[0], run, *([run] if len(command) > 1 else []), "--csv-safe", "--format", "jsonl")
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: --csv-safe: is for CSV. Expected csv, got jsonl. Try --format csv, or -o FILE.csv.\n"
    )


def test_a_text_run_streams_too(tmp_path: Path) -> None:
    texts = [("=a", "b"), ("c", "=a", "d")]
    gammas = [random_gammas(1, len(units))[0] for units in texts]
    run = write_texts(tmp_path / "run", texts, gammas, ["x", "y"])
    done = ask("attributions", run, "--long", "--csv-safe")
    assert [line.split(",")[3:5] for line in done.stdout.splitlines()[1:]] == [
        ["0", "'=a"],
        ["1", "b"],
        ["0", "c"],
        ["1", "'=a"],
        ["2", "d"],
    ]


MEASURED = """
import re, sys
from ihcli.cli import main
main(sys.argv[1:], standalone_mode=False)
# Of this process alone: ru_maxrss begins with what the one that started it had.
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["parquet", "csv", "jsonl", "arrow"])
def test_memory_does_not_grow_with_the_lines(long_run: Path, tmp_path: Path, format_name: str) -> None:
    out = tmp_path / f"long.{format_name}"
    command = [sys.executable, "-c", MEASURED, "interactions", str(long_run), "--long", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stderr.split()[-1]) < PEAK_MIB
    assert out.stat().st_size > 30 << 20


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a run of 4,000 rows over 40 features: three million lines of pairs."""
    path = tmp_path_factory.mktemp("long")
    n_rows, features = 4000, [f"feature {place}" for place in range(40)]
    columns: dict[str, Any] = {name: np.arange(n_rows) * 0.5 for name in features}
    data = write_data(path / "data.parquet", columns)
    gammas = np.random.default_rng(0).normal(size=(n_rows, 40, 40))
    return write_table_run(
        path / "run", gammas + gammas.transpose(0, 2, 1), features=features, part_rows=500, data=data
    )


def test_a_reader_that_goes_away_ends_it_quietly(run: Path) -> None:
    command = f"{python()} -m ihcli attributions {run} --long | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("_row,id")
    assert "Traceback" not in done.stderr
