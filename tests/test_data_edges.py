"""Tables at the edges, from file to run: the right result, or one message."""

import bz2
import codecs
import datetime
import decimal
import gzip
import io
import json
import lzma
import os
import pickle
import re
import shlex
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from prepared import light_python
from torch import nn

from ihcli.cli import main

EXACT = 1e-5
"""float32 figures of a linear model, relative to the largest."""


def linear(path: Path, n_inputs: int) -> np.ndarray:
    """Save a linear model, and return its weights: under any method each attribution is weight times input."""
    torch.manual_seed(n_inputs)
    module = nn.Sequential(nn.Linear(n_inputs, 1)).eval()
    torch.save(module, path)
    return module[0].weight.detach().double().numpy()[0]


def explain(directory: Path, data: Path | str, *more: str, n_inputs: int = 2, method: str = "ig") -> Result:
    linear(directory / "model.pt", n_inputs)
    command = ["explain", str(directory / "model.pt"), str(data), "-o", str(directory / "run"), "-m", method, *more]
    return CliRunner().invoke(main, command)


def check(directory: Path, done: Result, inputs: object, names: list[str] | None = None) -> None:
    assert done.exit_code == 0, done.output
    written = pq.read_table(directory / "run" / "attributions", partitioning=None)
    features = names or [name for name in written.column_names if not name.startswith("_")]
    got = np.stack([written[name].to_numpy() for name in features], axis=1)
    expected = np.asarray(inputs, dtype=float) * linear(directory / "model.pt", len(features))
    assert got.shape == expected.shape
    assert abs(got - expected).max() <= EXACT * max(abs(expected).max(), 1e-9)


def refuse(done: Result, *parts: str) -> None:
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


TEXTS = {
    "quotes": ('"a","b"\n"1","2"\n3,"4"\n', [[1, 2], [3, 4]]),
    "line ends of Windows": ("a,b\r\n1,2\r\n3,4\r\n", [[1, 2], [3, 4]]),
    "byte order mark": ("\ufeffa,b\n1,2\n3,4\n", [[1, 2], [3, 4]]),
    "no last line end": ("a,b\n1,2\n3,4", [[1, 2], [3, 4]]),
    "semicolons": ("a;b\n1;2\n3;4\n", [[1, 2], [3, 4]]),
    "tabs": ("a\tb\n1\t2\n3\t4\n", [[1, 2], [3, 4]]),
    "bars": ("a|b\n1|2\n3|4\n", [[1, 2], [3, 4]]),
    "separators in quoted names": ('"a,1";b\n1;2\n3;4\n', [[1, 2], [3, 4]]),
    "blanks around numbers": ("a,b\n 1, 2\n3 ,4\n", [[1, 2], [3, 4]]),
    "duplicated rows": ("a,b\n1,2\n1,2\n1,2\n", [[1, 2], [1, 2], [1, 2]]),
    "constant features": ("a,b\n5,1\n5,2\n5,3\n", [[5, 1], [5, 2], [5, 3]]),
    "one row": ("a,b\n1,2\n", [[1, 2]]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_csv_of_every_kind_is_explained(name: str, tmp_path: Path) -> None:
    text, inputs = TEXTS[name]
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    check(tmp_path, explain(tmp_path, path), inputs)


REFUSED = {
    "text among numbers": ("a,b\n1,2\n3,x\n", ("column 'b' holds text, such as 'x'",)),
    "a longer row": ("a,b\n1,2\n1,2,3\n", ("cannot be read as CSV",)),
    "decimal commas": ("a;b\n1,5;2\n", ("column 'a' holds text, such as '1,5'",)),
    "a header alone": ("a,b\n", ("has no rows",)),
    "a reserved name": ("_row,b\n1,2\n", ("feature '_row'", "rename the column")),
    "a missing value": ("a,b\n1,2\n,4\n", ("column 'a' has 1 null value", "row 1")),
    "no UTF-8": (b"a,\xff\xfe\n1,2\n", ("t.csv: its header is not UTF-8", "iconv -f WINDOWS-1252")),
    "a line without an end": (f'a,b\n1,"{"2" * (12 << 20)}\n', ("a line of more than 4 MiB", "quotation mark")),
    "a name without an end": (f"a,{'b' * 10_001}\n1,2\n", ("has 10001 letters", "Expected at most 10000")),
    "no table of ours": (b"7z\xbc\xaf\x27\x1c", ("an archive of 7-Zip", "saving it as CSV")),
    "neither text nor table": (b"a,b\n1,\0\n", ("neither Parquet nor CSV",)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_csv_that_cannot_be_explained_is_one_message(name: str, tmp_path: Path) -> None:
    text, parts = REFUSED[name]
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    refuse(explain(tmp_path, path), *parts)


NUMBERS = "a,b\n1.5,2\n3.25,4\n"
FRAME = pd.DataFrame({"a": [1.5, 3.25], "b": [2.0, 4.0]})
INPUTS = [[1.5, 2.0], [3.25, 4.0]]


def zipped(text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("inside.csv", text)
    return stream.getvalue()


def stored(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    FRAME.to_sql("TABLE_1", connection, index=False)
    return connection.serialize()


def zstd(text: str) -> bytes:
    return pa.Codec("zstd").compress(text.encode(), asbytes=True)


def arrow_stream(stream: io.BytesIO) -> None:
    table = pa.Table.from_pandas(FRAME)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)


def with_index(*names: str | None) -> bytes:
    frame = FRAME.set_index(pd.MultiIndex.from_arrays([[9.5, 2.0]] * len(names), names=names))
    return stored(frame.to_parquet)


ADVISED: dict[str, tuple[str, bytes | str, tuple[str, ...], tuple[str, ...]]] = {
    "decimal commas between semicolons": ("t.csv", "a;b\n1,5;2\n3,25;4\n", (), ("decimal commas, such as '1,5'",)),
    "decimal commas and points": ("t.csv", "a;b\n1,5;2\n0.003,25;4\n", (), ("decimal commas", "thousands=")),
    "decimal commas in quotes": ("t.csv", 'a,b\n"1,5",2\n"3,25",4\n', (), ("decimal commas",)),
    "decimal commas and keys": ("t.csv", "id;a;b\n007;1,5;2\n008;3,25;4\n", ("--key", "id"), ("decimal commas",)),
    "thousands": ("t.csv", 'a,b\n1.5,"2"\n3.25,"1,004"\n', (), ("thousands with commas, such as '1,004'",)),
    "percent signs": ("t.csv", "a,b\n1.5%,2\n3.25 %,4\n", (), ("numbers with signs, such as '1.5%'",)),
    "currency": ("t.csv", "a,b\n$1.5,2\n€3.25,4\n", (), ("numbers with signs",)),
    "currency and thousands": ("t.csv", 'a,b\n$1.50,2\n"$3.25","€1,004.00"\n', (), ("numbers with signs",)),
    "question marks": ("t.csv", NUMBERS + "?,1\n", (), ("marks such as '?' for missing values", "--missing flag")),
    "dashes": ("t.csv", NUMBERS + "1,-\n", (), ("marks such as '-'", "1 null value", "row 2")),
    "None of Python": ("t.csv", NUMBERS + "None,1\n", (), ("marks such as 'None'",)),
    "several marks": ("t.csv", NUMBERS + "n.a.,1\n--,\n", (), ("marks such as '--'", "has 2 null values")),
    "marks and decimal commas": (
        "t.csv",
        "a;b\n1,5;2\n3,25;4\n?;1\n",
        (),
        ("decimal commas, such as '1,5' and marks",),
    ),
    "UTF-16": ("t.csv", NUMBERS.encode("utf-16"), (), ("text in UTF-16",)),
    "UTF-16 of big ends": ("t.csv", codecs.BOM_UTF16_BE + NUMBERS.encode("utf-16-be"), (), ("text in UTF-16",)),
    "UTF-16 without a mark": ("t.csv", NUMBERS.encode("utf-16-le"), (), ("text in UTF-16",)),
    "UTF-32": ("t.csv", NUMBERS.encode("utf-32"), (), ("text in UTF-32",)),
    "UTF-16, gzipped": (
        "t.csv.gz",
        gzip.compress(NUMBERS.encode("utf-16")),
        (),
        ("gzipped, and text in UTF-16 within",),
    ),
    "a header in Latin-1": ("t.csv", "prix é,b\n1.5,2\n3.25,4\n".encode("latin-1"), (), ("its header is not UTF-8",)),
    "keys in Latin-1": (
        "t.csv",
        "a,b,id\n1.5,2,x\n3.25,4,é\n".encode("latin-1"),
        ("--key", "id"),
        ("column 'id', row 1 is not UTF-8",),
    ),
    "features in Latin-1": (
        "t.csv",
        "a,b\n1.5,2 €\n3.25,4 €\n".encode("cp1252"),
        (),
        ("column 'b', row 0 is not UTF",),
    ),
    "keys in Latin-1, gzipped": (
        "t.csv.gz",
        gzip.compress("a,b,id\n1.5,2,ü\n3.25,4,é\n".encode("latin-1")),
        ("--key", "id"),
        ("row 0 is not UTF-8", "gzip -dc"),
    ),
    "bzip2": ("t.csv.bz2", bz2.compress(NUMBERS.encode()), (), ("compressed by bzip2",)),
    "xz": ("t.csv.xz", lzma.compress(NUMBERS.encode()), (), ("compressed by xz",)),
    "zip": ("t.zip", zipped(NUMBERS), (), ("an archive of zip",)),
    "JSON": ("t.json", FRAME.to_json(orient="records"), (), ("is JSON",)),
    "lines of JSON": ("t.csv", FRAME.to_json(orient="records", lines=True), (), ("is JSON", "lines=True")),
    "a pickle": ("t.pkl", pickle.dumps(FRAME), (), ("a pickle, which can run code", "only if you trust")),
    "Feather": ("t.feather", stored(FRAME.to_feather), (), ("an Arrow or Feather file",)),
    "an array of numpy": (
        "t.npy",
        stored(lambda stream: np.save(stream, FRAME.to_numpy())),
        (),
        ("an array of numpy",),
    ),
    "zstd": ("t.csv.zst", zstd(NUMBERS), (), ("compressed by zstd",)),
    "a stream of Arrow": ("data-00000-of-00001.arrow", stored(arrow_stream), (), ("a stream of Arrow",)),
    "a tensor of torch": (
        "t.pt",
        stored(lambda stream: torch.save(torch.tensor(FRAME.to_numpy()), stream)),
        (),
        ("a file of torch", "swapping MODEL and DATA"),
    ),
    "numbers as text": (
        "t.parquet",
        stored(FRAME.astype({"a": str}).to_parquet),
        (),
        ("It holds numbers as text, such as '1.5'",),
    ),
    "features in lists": (
        "t.parquet",
        stored(pd.DataFrame({"x": FRAME.to_numpy().tolist()}).to_parquet),
        (),
        ("where its entries are features", "--sequence any"),
    ),
    "blanks between columns": ("t.txt", "a   b\n1.5 2\n3.25\t4\n", (), ("has blanks between its columns",)),
    "a comment before the header": ("t.csv", "# of 2024\n" + NUMBERS, (), ("Its first line is a comment",)),
    "SQLite": ("t.db", database(), (), ("a database of SQLite", "in place of TABLE")),
    "no header": ("t.csv", "1.5,2\n3.25,4\n", (), ("such as '1.5': does the file lack a header?", "--features")),
    "no header, semicolons": ("t.csv", "1.5;2\n3.25;4\n", (), ("does the file lack a header?", 'sep=";"')),
    "no header, twice the same": ("t.csv", "1.5,1.5\n3.25,4\n", (), ("does the file lack a header?",)),
    "no header, and a gap": ("t.csv", "1.5,2,\n3.25,4,\n", ("--exclude", "2"), ("does the file lack a header?",)),
    "an index": ("t.csv", FRAME.to_csv(), (), ("column 'Unnamed: 0' has no name", "--exclude 'Unnamed: 0'")),
    "a named index": (
        "t.parquet",
        with_index("who, when"),
        (),
        ("column 'who, when' is the index", "--key 'who, when'"),
    ),
    "an index without a name": ("t.parquet", with_index(None), (), ("column '__index_level_0__' is the index",)),
    "an index of two": (
        "t.parquet",
        with_index("x", None),
        (),
        ("'x' is the index", "--key x --key __index_level_1__"),
    ),
    "a column of blanks at the end": ("t.csv", "a,b,\n1.5,2,\n3.25,4,\n", (), ("column 'Unnamed: 2' has no name",)),
    "a name that a run writes": ("t.csv", "a,b,_row\n1.5,2,0\n3.25,4,1\n", (), ("--exclude _row",)),
    "text with a comma in its name": ("t.csv", 'a,b,"c, d"\n1.5,2,x\n3.25,4,y\n', (), ("column 'c, d' holds text",)),
    "text with blanks around its name": ("t.csv", "a,b, c \n1.5,2,x\n3.25,4,y\n", (), ("--exclude '\" c \"'",)),
    "text with quotes in its name": ("t.csv", 'a,b,"""it\'s"""\n1.5,2,x\n3.25,4,y\n', (), ("holds text",)),
}


LINE = re.compile(r"Try ((?:python|iconv|gzip) .+) and ('[^']*(?:'\"'\"'[^']*)*-converted[^']*')")
CASES = [(name, "--exclude") for name in ADVISED]
CASES += [(name, "--key") for name in ADVISED if "index" in name or "text" in name or "column" in name]


def advised(message: str, option: str) -> tuple[list[str], str | None]:
    """Do what a message says, as a user would; return the options to add, and the data to explain instead."""
    if made := LINE.search(message):
        path = os.pathsep.join((str(Path(light_python()).parent), os.environ["PATH"]))
        line = made[1].replace("TABLE", "TABLE_1")
        subprocess.run(line, shell=True, check=True, env={**os.environ, "PATH": path})
        return [], shlex.split(made[2])[0]
    if "null value" in message:
        return ["--missing", "flag"], None
    found = re.search(rf"((?:{option} (?:'(?:[^']|'\"'\"')*'|\S+) ?)+)", message)
    assert found, message
    return shlex.split(found[1].strip().removesuffix(".").removesuffix(",")), None


@pytest.mark.parametrize(("name", "option"), CASES)
def test_a_table_that_needs_work_is_one_message_whose_advice_works(name: str, option: str, tmp_path: Path) -> None:
    file, content, options, parts = ADVISED[name]
    (tmp_path / "a b'c").mkdir()
    data = str(tmp_path / "a b'c" / file)
    Path(data).write_bytes(content if isinstance(content, bytes) else content.encode())
    told, more = "", list(options)
    while (done := explain(tmp_path, data, *more)).exit_code:
        refuse(done)
        assert told.count("Error: ") < 3, told
        told += done.stderr
        added, made = advised(done.stderr, option)
        more, data = [*more, *added], made or data
    assert all(part in told for part in parts), told
    written = pq.read_table(tmp_path / "run" / "attributions", partitioning=None).filter(pc.field("_status") == "ok")
    features = json.loads((tmp_path / "run" / "run.json").read_text())["features"]
    got = np.stack([written[feature].to_numpy() for feature in features], axis=1)
    inputs = [[1.5, 1.5 if "twice" in name else 2.0], [3.25, 1004.0 if "thousands" in name else 4.0]]
    np.testing.assert_allclose(got[:2], np.array(inputs) * linear(tmp_path / "model.pt", 2), rtol=EXACT)
    if "keys" in name:
        assert written["id"][0].as_py() in ("007", "x", "ü")


LEGITIMATE = {
    "0, 1, ...": "0,1\n1.5,2\n3.25,4\n",
    "from one": "1,2\n1.5,2\n3.25,4\n",
    "a number among words": "1.5,b\n1.5,2\n3.25,4\n",
    "a name of blanks": " ,b\n1.5,2\n3.25,4\n",
    "line ends in names": '"a;\nx";b\n1.5;2\n3.25;4\n',
    "empty lines before a header": '\n\r\n"a",b\n1.5,2\n3.25,4\n',
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_an_odd_header_that_is_one_is_taken(name: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(LEGITIMATE[name])
    done = explain(tmp_path, tmp_path / "t.csv")
    features = json.loads((tmp_path / "run" / "run.json").read_text())["features"] if done.exit_code == 0 else []
    check(tmp_path, done, INPUTS, features)


def test_names_that_are_numbers_are_taken_where_they_are_listed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("400.5,402.5\n1.5,2\n3.25,4\n")
    refuse(explain(tmp_path, tmp_path / "t.csv"), "does the file lack a header?", "--features with these names")
    check(tmp_path, explain(tmp_path, tmp_path / "t.csv", "--features", "400.5,402.5"), INPUTS)


def test_columns_without_names_are_called_as_pandas_calls_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n,a,,b\n7,1.5,x,2\n8,3.25,y,4\n")
    done = explain(tmp_path, tmp_path / "t.csv", "--key", "Unnamed: 2", "--exclude", "Unnamed: 0")
    check(tmp_path, done, INPUTS, ["a", "b"])
    written = pq.read_table(tmp_path / "run" / "attributions", partitioning=None)
    assert written["Unnamed: 2"].to_pylist() == ["x", "y"]


TOO_LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "model.pt", "t.csv", "-o", TOO_LONG],
        ["explain", "model.pt", f"{TOO_LONG}.csv", "-o", "run"],
        ["explain", "model.pt", "t.csv", "-o", "run", "--baseline", f"{TOO_LONG}.csv"],
        ["explain", "model.pt", "t.csv", "-o", "run", "--groups", TOO_LONG],
        ["explain", TOO_LONG, "t.csv", "-o", "run"],
        ["interactions", "model.pt", "t.csv", "-o", TOO_LONG],
        ["interactions", "model.pt", "t.csv", "--keep", TOO_LONG],
        *[[command, TOO_LONG] for command in ("attributions", "interactions", "verify", "inspect", "merge")],
    ],
)
def test_a_name_that_no_file_can_have_is_one_message(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear(tmp_path / "model.pt", 2)
    (tmp_path / "t.csv").write_text(NUMBERS)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, arguments)
    refuse(done, "too long")
    assert "unexpected" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "t.csv"]


def test_a_result_may_have_the_longest_name_that_a_file_can_have(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(NUMBERS)
    check(tmp_path, explain(tmp_path, tmp_path / "t.csv"), INPUTS)
    for letters in ("n" * 251, "ö" * 125):
        ranked = CliRunner().invoke(
            main, ["attributions", str(tmp_path / "run"), "-o", str(tmp_path / f"{letters}.csv")]
        )
        assert ranked.exit_code == 0, ranked.output


def test_a_csv_whose_name_is_not_utf8_is_explained(tmp_path: Path) -> None:
    data = Path(os.fsdecode(os.fsencode(tmp_path) + b"/t\xff.csv"))
    data.write_text(NUMBERS)
    check(tmp_path, explain(tmp_path, data), INPUTS)


def test_a_working_directory_that_is_gone_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = f"rmdir {tmp_path}/gone; {sys.executable} -m ihcli attributions {tmp_path}/run"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, shell=True, cwd=tmp_path / "gone", capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr == "Error: The working directory is gone. Expected one that is there. Try cd first.\n"


@pytest.mark.parametrize("option", ["--baseline", "--groups", "--features"])
def test_a_pipe_for_an_option_is_one_message(option: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(NUMBERS)
    os.mkfifo(tmp_path / "pipe.csv")
    done = explain(tmp_path, tmp_path / "t.csv", option, f"{'@' * (option == '--features')}{tmp_path}/pipe.csv")
    assert done.exit_code in (1, 2)
    assert "a pipe or device" in done.stderr or "is not a file" in done.stderr


@pytest.mark.parametrize(
    "names", [["a b", 'say "x"'], ["größe", "体重"], ["_a", "b'c"], ["a,b", "a\tb"], ["[red]", "{}"]]
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_of_every_kind_are_kept(names: list[str], suffix: str, tmp_path: Path) -> None:
    frame, path = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=names), tmp_path / f"t.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    check(tmp_path, explain(tmp_path, path), frame, names)
    for command in ("attributions", "interactions"):
        ranked = CliRunner().invoke(main, [command, str(tmp_path / "run")])
        assert ranked.exit_code == (0 if command == "attributions" else 1), ranked.output


def test_numbers_that_turn_into_text_far_below_are_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.data.formats.csv.CSV_BLOCK_BYTES", 64)
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 100 + "1,n.d.\n")
    refuse(explain(tmp_path, tmp_path / "t.csv"), "column 'b', row 100", "'n.d.'", "Expected a number")


def test_ten_thousand_features_are_explained(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).standard_normal((2, 10_000)).round(3)
    names = [f"f{i}" for i in range(10_000)]
    pd.DataFrame(inputs, columns=names).to_csv(tmp_path / "t.csv", index=False)
    check(tmp_path, explain(tmp_path, tmp_path / "t.csv", n_inputs=10_000), inputs, names)


def test_one_feature_is_explained_with_its_interaction(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n2\n")
    check(tmp_path, explain(tmp_path, tmp_path / "t.csv", n_inputs=1, method="ih"), [[1], [2]])


def test_parquet_of_every_number_type_and_many_row_groups_is_explained(tmp_path: Path) -> None:
    table = pa.table(
        {
            "half": pa.array(np.array([0.5, 2, 3], np.float16)),
            "price": pa.array([decimal.Decimal("1.25"), decimal.Decimal("-2.50"), decimal.Decimal("0.25")]),
            "coded": pa.array([3, 4, 3]).dictionary_encode(),
            "flag": [True, False, True],
        }
    )
    with pq.ParquetWriter(tmp_path / "t.parquet", table.schema) as writer:
        for part in (table[:1], table[:0], table[1:2], table[2:]):
            writer.write_table(part)
    inputs = [[0.5, 1.25, 3, 1], [2, -2.5, 4, 0], [3, 0.25, 3, 1]]
    check(tmp_path, explain(tmp_path, tmp_path / "t.parquet", n_inputs=4), inputs)


COLUMNS = {
    "nested": (pa.array([{"x": 1.0}, {"x": 2.0}]), "holds struct"),
    "lists": (pa.array([[1.0], [2.0]]), "holds list"),
    "dates": (pa.array([datetime.date(2024, 1, 1)] * 2), "holds dates"),
    "nulls alone": (pa.nulls(2), "has 2 null values"),
    "text of numbers": (pa.array(["1", "2"]), "holds text"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_parquet_column_that_is_no_feature_is_one_message(name: str, tmp_path: Path) -> None:
    column, words = COLUMNS[name]
    pq.write_table(pa.table({"a": [1.0, 2.0], "b": column}), tmp_path / "t.parquet")
    refuse(explain(tmp_path, tmp_path / "t.parquet"), "column 'b'", words)


def test_a_parquet_table_without_rows_is_one_message(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.float64()), "b": pa.array([], pa.float64())}), tmp_path / "t.parquet")
    refuse(explain(tmp_path, tmp_path / "t.parquet"), "has no rows")


def test_files_of_other_columns_are_one_message_and_of_other_types_are_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pq.write_table(pa.table({"a": [1, 2], "b": [1.5, 2.5]}), data / "0.parquet")
    pq.write_table(pa.table({"b": pa.array([3, 4], pa.int8()), "a": [0.5, 1.0]}), data / "1.parquet")
    check(tmp_path, explain(tmp_path, data), [[1, 1.5], [2, 2.5], [0.5, 3], [1, 4]])
    pq.write_table(pa.table({"a": [1.0], "c": [1.0]}), data / "2.parquet")
    refuse(explain(tmp_path, data, "--overwrite"), "2.parquet: its columns differ", "'b', 'c'")


def test_a_partitioned_directory_is_refused_with_a_way_out(tmp_path: Path) -> None:
    for city in ("oslo", "rome"):
        (tmp_path / "data" / f"city={city}").mkdir(parents=True)
        pq.write_table(pa.table({"a": [1.0], "b": [2.0]}), tmp_path / "data" / f"city={city}" / "0.parquet")
    refuse(explain(tmp_path, tmp_path / "data"), "partitioned by 'city'", "*/*.parquet")
    check(tmp_path, explain(tmp_path, f"{tmp_path}/data/*/*.parquet"), [[1, 2], [1, 2]])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    refuse(explain(tmp_path, tmp_path / "t.csv"), "a pipe or device")
