"""Tables at the edges, from file to run: the right result, or one message."""

import datetime
import decimal
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
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
    "no UTF-8": (b"a,\xff\xfe\n1,2\n", ("t.csv: cannot be read as CSV", "UTF-8")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_csv_that_cannot_be_explained_is_one_message(name: str, tmp_path: Path) -> None:
    text, parts = REFUSED[name]
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    refuse(explain(tmp_path, path), *parts)


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
    monkeypatch.setattr("ihcli.tables.CSV_BLOCK_BYTES", 64)
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
