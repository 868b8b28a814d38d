"""Columns of lists as sequences of any length: read whole in any form, streamed, and refused where they do not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.data import lists
from ihcli.data.columns import Roles
from ihcli.data.formats import parquet
from ihcli.data.lists import SequenceScan, channel_baseline, open_sequences
from ihcli.errors import DataError, OptionError

LENGTHS = (3, 1, 4, 2, 4)
HR = [[float(10 * i + t) for t in range(n)] for i, n in enumerate(LENGTHS)]
BP = [[-value for value in row] for row in HR]
ARRAYS = [np.stack([hr, bp], axis=1) for hr, bp in zip(HR, BP, strict=True)]
DOUBLES = pa.list_(pa.float64())
FORMS = {
    "lists": (pa.array(HR, DOUBLES), pa.array(BP, DOUBLES)),
    "floats and large lists": (pa.array(HR, pa.list_(pa.float32())), pa.array(BP, pa.large_list(pa.float64()))),
    "whole numbers": (pa.array(HR, pa.list_(pa.int16())), pa.array(BP, DOUBLES)),
    "lists of lists": (pa.array([row.tolist() for row in ARRAYS], pa.list_(DOUBLES)),),
    "lists of pairs": (pa.array([row.tolist() for row in ARRAYS], pa.list_(pa.list_(pa.float64(), 2))),),
}


def write(path: Path, *columns: pa.Array, **others: Any) -> Path:
    names = ("hr", "bp") if len(columns) == 2 else ("vitals",)
    table = pa.table(
        {"id": [f"P{i}" for i in range(len(columns[0]))], **dict(zip(names, columns, strict=True)), **others}
    )
    pq.write_table(table, path, row_group_size=2)
    return path


@pytest.mark.parametrize("batch_rows", [1, 2, 256])
@pytest.mark.parametrize("form", FORMS)
def test_lists_of_any_form_are_read_whole(
    form: str, batch_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "BATCH_ROWS", batch_rows)
    dataset = open_sequences(write(tmp_path / "s.parquet", *FORMS[form]), Roles(keys=("id",)))
    assert dataset.channels == (("hr", "bp") if len(FORMS[form]) == 2 else ("channel 0", "channel 1"))
    chunks = list(dataset.chunks(2))
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]
    rows = np.concatenate([chunk.inputs for chunk in chunks])[:, 0]
    for row, wanted in zip(rows, ARRAYS, strict=True):
        np.testing.assert_array_equal(row, wanted)
    assert [key for chunk in chunks for key in chunk.keys["id"].to_pylist()] == [f"P{i}" for i in range(5)]


def test_lists_of_one_length_and_several_files_are_read(tmp_path: Path) -> None:
    fixed = pa.list_(pa.float64(), 3)
    for name, rows in (("a", [[1.0, 2.0, 3.0]]), ("b", [[4.0, 5.0, 6.0], None])):
        pq.write_table(pa.table({"hr": pa.array(rows, fixed)}), tmp_path / f"{name}.parquet")
    dataset = open_sequences(tmp_path, Roles())
    rows = np.concatenate(list(dataset.inputs()))[:, 0]
    np.testing.assert_array_equal(rows[1], [[4.0], [5.0], [6.0]])
    assert rows[2] is None


def test_few_rows_of_lists_are_in_memory_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "LIST_ROWS", 7)
    pq.write_table(pa.table({"hr": [[1.0]] * 50}), tmp_path / "s.parquet")
    assert [len(block) for block in open_sequences(tmp_path / "s.parquet", Roles()).inputs()] == [7] * 7 + [1]


@pytest.mark.parametrize("nested", [False, True])
def test_what_lacks_a_number_has_no_input(nested: bool, tmp_path: Path) -> None:
    hr: list[Any] = [[1.0], None, [], [1.0, None], [np.inf, 1.0], [np.nan], [3.0, 5.0]]
    bp: list[Any] = [[2.0], [2.0], [], [2.0, 2.0], [2.0, 2.0], [2.0], [4.0, 8.0]]
    columns = [pa.array(hr, DOUBLES), pa.array(bp, DOUBLES)]
    if nested:
        rows = [None if h is None else [[a, b] for a, b in zip(h, c, strict=True)] for h, c in zip(hr, bp, strict=True)]
        rows[3] = [[1.0, 2.0], None]
        columns = [pa.array(rows, pa.list_(DOUBLES))]
    dataset = open_sequences(write(tmp_path / "s.parquet", *columns), Roles(keys=("id",)))
    rows = np.concatenate(list(dataset.inputs()))[:, 0]
    assert [row is not None for row in rows] == [True, False, False, False, False, False, True]
    scan = dataset.scan()
    assert isinstance(scan, SequenceScan)
    assert (scan.n_rows, scan.n_complete, scan.longest) == (7, 2, 2)
    np.testing.assert_allclose(scan.mean, [3.0, 14 / 3])
    assert (scan.missing[0].count, scan.missing[0].first_row) == (5, 1)
    assert dataset.scan(limit=1).missing == ()


def test_baselines_are_one_number_for_each_channel(tmp_path: Path) -> None:
    dataset = open_sequences(write(tmp_path / "s.parquet", *FORMS["lists"]), Roles(keys=("id",)))
    survey, steps = dataset.survey(10, 0), np.concatenate(ARRAYS)
    (tmp_path / "start.csv").write_text("bp,hr\n7,8\n")
    wanted = {None: [0, 0], "zeros": [0, 0], "mean": steps.mean(0), "median": np.median(steps, axis=0)}
    for spec, values in wanted.items():
        np.testing.assert_allclose(channel_baseline(spec, dataset, survey, None, True).values, [values])
    from_file = channel_baseline(str(tmp_path / "start.csv"), dataset, survey, None, True)
    np.testing.assert_array_equal(from_file.values, [[8, 7]])
    np.testing.assert_array_equal(channel_baseline(None, dataset, survey, (1.0, 2.0), True).values, [[1, 2]])
    limited = dataset.survey(1, 0, limit=1)
    np.testing.assert_allclose(channel_baseline("mean", dataset, limited, None, False).values, [wanted["mean"]])


def test_channels_of_other_lengths_are_refused_with_their_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "BATCH_ROWS", 2)
    other = [*BP[:3], [1.0], BP[4]]
    dataset = open_sequences(write(tmp_path / "s.parquet", FORMS["lists"][0], pa.array(other, DOUBLES)), Roles(("id",)))
    with pytest.raises(DataError, match=r"row 3 has 2 steps in column 'hr' and 1 in 'bp'\. Expected as many in each"):
        dataset.scan()


def test_steps_of_other_widths_are_refused_with_their_row(tmp_path: Path) -> None:
    rows = [[[1.0, 2.0]], [[1.0, 2.0], [3.0]]]
    dataset = write(tmp_path / "s.parquet", pa.array(rows, pa.list_(DOUBLES)))
    with pytest.raises(DataError, match=r"row 1 has a step of 1 numbers in column 'vitals', .* first one of all has 2"):
        open_sequences(dataset, Roles(("id",))).scan()


REFUSED = {
    "numbers": ({"age": [1, 2, 3, 4, 5]}, {}, r"column 'age' holds int64 values\. .* `exclude=age`, or `key=age`"),
    "texts": ({"name": list("abcde")}, {}, r"column 'name' holds text\. Expected lists of numbers"),
    "lists of texts": ({"names": [["a"]] * 5}, {}, r"column 'names' holds list<\w+: string> values"),
    "two kinds": (
        {"other": pa.array([[[1.0]]] * 5)},
        {},
        r"column 'other' holds lists of lists, .* Try `features=other`",
    ),
    "none": ({}, {"exclude": ("hr", "bp")}, r"no column is left for features"),
    "reserved": ({"_row": [[1.0]] * 5}, {}, r"feature '_row' has the name of a column that a run writes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_are_no_columns_of_lists_is_refused(case: str, tmp_path: Path) -> None:
    others, roles, words = REFUSED[case]
    file = write(tmp_path / "s.parquet", *FORMS["lists"], **others)
    with pytest.raises(DataError, match=words):
        open_sequences(file, Roles(keys=("id",), **roles))


def test_a_table_without_lists_is_told_of_steps_and_channels(tmp_path: Path) -> None:
    pq.write_table(pa.table({"hr_0": [1.0], "hr_1": [2.0]}), tmp_path / "flat.parquet")
    with pytest.raises(DataError, match=r"no column holds lists of numbers, .* Try `sequence=TxF` where"):
        open_sequences(tmp_path / "flat.parquet", Roles())


def test_a_column_has_one_role(tmp_path: Path) -> None:
    file = write(tmp_path / "s.parquet", *FORMS["lists"])
    for roles in (Roles(keys=("hr",), features=("hr", "bp")), Roles(label="nobody"), Roles(features=("hr", "hr"))):
        with pytest.raises(OptionError):
            open_sequences(file, roles)
