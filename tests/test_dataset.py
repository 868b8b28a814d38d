"""Tables in files: order, chunks, types, memory, and what is refused."""

import datetime
import decimal
import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.data.formats.opening import open_table
from ihcli.data.formats.table import matrix_of
from ihcli.data.survey import Missing
from ihcli.data.tables import ArrayDataset, open_dataset
from ihcli.errors import DataError, IhcliError, OptionError

MIB = 1 << 20


def write_csv(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def write_parquet(path: Path, **columns: object) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


def sample(n_rows: int, n_features: int = 3) -> pd.DataFrame:
    values = np.random.default_rng(0).standard_normal((n_rows, n_features))
    frame = pd.DataFrame(values, columns=[f"f{i}" for i in range(n_features)])
    frame.insert(0, "id", [f"{row:05d}" for row in range(n_rows)])
    return frame


def all_inputs(path: str, chunk_rows: int = 64, **roles: object) -> np.ndarray:
    return np.concatenate([chunk.inputs for chunk in open_dataset(path, **roles).chunks(chunk_rows)])


@pytest.fixture
def both(tmp_path: Path) -> tuple[str, str]:
    frame = sample(50)
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_parquet(tmp_path / "table.parquet", row_group_size=7)
    return str(tmp_path / "table.csv"), str(tmp_path / "table.parquet")


# Reading


def test_csv_and_parquet_hold_the_same_rows(both):
    from_csv, from_parquet = (open_dataset(path, keys=["id"]).head(50) for path in both)
    np.testing.assert_array_equal(from_csv.inputs, from_parquet.inputs)
    assert from_csv.keys["id"].to_pylist() == from_parquet.keys["id"].to_pylist() == sample(50)["id"].tolist()


@pytest.mark.parametrize("chunk_rows", [1, 7, 16, 50, 1000])
def test_chunks_do_not_depend_on_row_groups_and_blocks(both, chunk_rows, monkeypatch):
    monkeypatch.setattr("ihcli.data.formats.parquet.BATCH_VALUES", 20)
    monkeypatch.setattr("ihcli.data.formats.csv.CSV_BLOCK_BYTES", 300)
    for path in both:
        chunks = list(open_dataset(path, keys=["id"]).chunks(chunk_rows))
        assert [chunk.first_row for chunk in chunks] == list(range(0, 50, chunk_rows))
        assert all(len(chunk) == chunk.keys.num_rows == chunk_rows for chunk in chunks[:-1])
        np.testing.assert_array_equal(np.concatenate([chunk.inputs for chunk in chunks]), sample(50).iloc[:, 1:])
        assert pa.concat_tables([chunk.keys for chunk in chunks])["id"].to_pylist() == sample(50)["id"].tolist()


def test_chunks_stop_at_the_limit(both):
    for path in both:
        assert [len(chunk) for chunk in open_dataset(path, keys=["id"]).chunks(8, limit=20)] == [8, 8, 4]


def test_nothing_is_read_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("ihcli.data.formats.csv.CSV_BLOCK_BYTES", 64)
    dataset = open_dataset(write_csv(tmp_path / "t.csv", "a\n" + "1\n" * 200 + "x\n"))
    assert sum(len(chunk) for chunk in dataset.chunks(8, limit=20)) == 20
    assert dataset.scan(limit=20).n_rows == 20


def test_chunks_without_keys_know_their_rows(both, monkeypatch):
    monkeypatch.setattr("ihcli.data.formats.parquet.BATCH_VALUES", 20)
    chunks = list(open_dataset(both[1], exclude=["id"]).chunks(16))
    assert [chunk.keys.num_rows for chunk in chunks] == [16, 16, 16, 2]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_of_a_directory_and_a_glob_follow_the_sorted_names(tmp_path, suffix):
    frame = sample(30)
    for name, part in (("b", frame[10:20]), ("c", frame[20:]), ("a", frame[:10])):
        path = tmp_path / f"{name}.{suffix}"
        part.to_csv(path, index=False) if suffix == "csv" else part.to_parquet(path)
    (tmp_path / "_SUCCESS").touch()
    for path in (str(tmp_path), str(tmp_path / f"*.{suffix}")):
        np.testing.assert_array_equal(all_inputs(path, 7, keys=["id"]), frame.iloc[:, 1:])


def test_format_is_recognised_by_content(tmp_path):
    assert open_dataset(write_parquet(tmp_path / "table.csv", a=[1.0])).format == "Parquet"
    assert open_dataset(write_csv(tmp_path / "table.txt", "a\n1\n")).format == "CSV"
    with gzip.open(tmp_path / "zipped", "wb") as stream:
        stream.write(b"a\n1\n2\n")
    np.testing.assert_array_equal(all_inputs(str(tmp_path / "zipped")), [[1], [2]])


def test_every_kind_of_number_is_a_feature(tmp_path):
    path = write_parquet(
        tmp_path / "t.parquet",
        whole=pa.array([1, None], pa.int16()),
        single=pa.array([0.5, 2], pa.float32()),
        half=pa.array(np.array([0.5, 2], np.float16)),
        flag=[True, False],
        price=pa.array([decimal.Decimal("1.25"), None]),
        coded=pa.array([3, 4]).dictionary_encode(),
        empty=pa.nulls(2),
        huge=pa.array([2**62 + 1, 0]),
    )
    nan = np.nan
    expected = [[1, 0.5, 0.5, 1, 1.25, 3, nan, 2.0**62], [nan, 2, 2, 0, nan, 4, nan, 0]]
    np.testing.assert_array_equal(all_inputs(path), expected)


def test_csv_booleans_missing_values_and_byte_order_mark(tmp_path):
    path = write_csv(tmp_path / "t.csv", "\ufeffa,b\n1,true\n,false\nNA,\ninf,true\n")
    np.testing.assert_array_equal(all_inputs(path), [[1, 1], [np.nan, 0], [np.nan, np.nan], [np.inf, 1]])


def test_csv_integers_that_turn_into_fractions_after_the_first_block_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ihcli.data.formats.csv.CSV_BLOCK_BYTES", 64)
    path = write_csv(tmp_path / "t.csv", "a\n" + "1\n" * 200 + "1.5\n")
    assert all_inputs(path)[-1, 0] == 1.5


def test_features_come_in_the_order_asked(tmp_path):
    path = write_csv(tmp_path / "t.csv", "a,b,c,d\n1,2,x,3\n")
    np.testing.assert_array_equal(all_inputs(path, features=["d", "a"]), [[3, 1]])
    np.testing.assert_array_equal(all_inputs(path, model_features=("b", "a")), [[2, 1]])


def test_only_needed_columns_are_read(tmp_path, monkeypatch):
    asked = []
    original = pq.ParquetFile.iter_batches

    def spy(self, *args, columns, **kwargs):
        asked.append(columns)
        return original(self, *args, columns=columns, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    path = write_parquet(tmp_path / "t.parquet", a=[1.0], b=[2.0], c=["x"], d=[0])
    open_dataset(path, keys=["c"], features=["b"]).head(1)
    assert {name for columns in asked for name in columns} == {"b", "c"}


# Keys and labels


@pytest.mark.parametrize(
    "values",
    [
        pa.array([7, None], pa.int32()),
        pa.array(["007", "8"]),
        pa.array([datetime.datetime(2024, 1, 2), None], pa.timestamp("us", tz="UTC")),
        pa.array([datetime.date(2024, 1, 2), None]),
        pa.array(["x", "y"]).dictionary_encode(),
    ],
)
def test_parquet_keys_keep_type_and_value(tmp_path, values):
    path = write_parquet(tmp_path / "t.parquet", key=values, a=[1.0, 2.0])
    keys = open_dataset(path, keys=["key"]).head(2).keys
    assert keys.schema.field("key").type == values.type
    assert keys["key"].combine_chunks().to_pylist() == values.to_pylist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-20", "0"], [1, -20, 0]),
        (["007", "8", "9"], ["007", "8", "9"]),
        (["1", "2", "+3"], ["1", "2", "+3"]),
        (["1", "NA", "2"], ["1", "NA", "2"]),
        (["12345678901234567890", "1", "2"], ["12345678901234567890", "1", "2"]),
        (["2024-01-02", "2024-01-03", ""], ["2024-01-02", "2024-01-03", ""]),
        (["1.50", "2", "3"], ["1.50", "2", "3"]),
    ],
)
def test_csv_keys_are_integers_only_where_they_print_as_written(tmp_path, values, expected):
    path = write_csv(tmp_path / "t.csv", "key,a\n" + "".join(f"{value},1\n" for value in values))
    assert open_dataset(path, keys=["key"]).head(3).keys["key"].to_pylist() == expected


def test_a_leading_zero_far_below_keeps_the_csv_key_as_text(tmp_path, monkeypatch):
    monkeypatch.setattr("ihcli.data.formats.csv.CSV_BLOCK_BYTES", 64)
    path = write_csv(tmp_path / "t.csv", "key,a\n" + "12,1\n" * 200 + "007,1\n")
    keys = [value for chunk in open_dataset(path, keys=["key"]).chunks(50) for value in chunk.keys["key"].to_pylist()]
    assert keys == ["12"] * 200 + ["007"]


def test_labels_are_python_objects(tmp_path):
    path = write_csv(tmp_path / "t.csv", "a,y,name\n1,0,cat\n2,1,dog\n")
    assert open_dataset(path, label="y", exclude=["name"]).head(2).labels.tolist() == [0, 1]
    assert open_dataset(path, label="name", exclude=["y"]).head(2).labels.tolist() == ["cat", "dog"]
    path = write_parquet(tmp_path / "t.parquet", a=[1.0, 2.0], y=[1.0, None])
    assert open_dataset(path, label="y").head(2).labels.tolist() == [1, None]


def test_one_column_may_be_key_and_label(tmp_path):
    chunk = open_dataset(write_csv(tmp_path / "t.csv", "a,y\n1,cat\n"), keys=["y"], label="y").head(1)
    assert (chunk.keys["y"].to_pylist(), chunk.labels.tolist()) == (["cat"], ["cat"])


# The scan


def test_scan_counts_means_and_missing_values(tmp_path, monkeypatch):
    monkeypatch.setattr("ihcli.data.formats.parquet.BATCH_VALUES", 4)
    nan, inf = np.nan, np.inf
    path = write_parquet(
        tmp_path / "t.parquet", a=[1.0, 2.0, None, nan, 6.0], b=[1.0, inf, 3.0, -inf, 5.0], c=[1, 2, 3, 4, 5]
    )
    scan = open_dataset(path).scan()
    assert (scan.n_rows, scan.n_complete) == (5, 2)
    np.testing.assert_allclose(scan.mean, [3, 3, 3], rtol=1e-15)
    assert scan.missing == (Missing("a", 2, 2, "null"), Missing("b", 2, 1, "non-finite"))
    assert open_dataset(path).scan(limit=2).n_rows == 2
    assert open_dataset(path).scan().n_rows == 5


def test_scan_of_an_array_equals_that_of_its_file(tmp_path):
    x = np.random.default_rng(1).standard_normal((1000, 3)) + 1e6
    scan = open_dataset(write_parquet(tmp_path / "t.parquet", **dict(zip("abc", x.T, strict=True)))).scan()
    np.testing.assert_allclose(scan.mean, x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(ArrayDataset(x).scan().mean, x.mean(axis=0), rtol=1e-14)


def test_fingerprint_depends_on_names_and_content_only(tmp_path):
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
        write_csv(tmp_path / directory / "t.csv", "a\n1\n")
    one, two = (open_dataset(str(tmp_path / directory / "t.csv")).fingerprint() for directory in ("one", "two"))
    assert one == two
    assert open_dataset(write_csv(tmp_path / "t.csv", "a\n2\n")).fingerprint() != one
    assert open_dataset(write_csv(tmp_path / "u.csv", "a\n1\n")).fingerprint() != one


def test_memory_does_not_grow_with_rows(tmp_path):
    def peak_mib(n_rows: int) -> float:
        path = tmp_path / f"{n_rows}.parquet"
        table = pa.table({f"f{i}": np.random.default_rng(i).standard_normal(n_rows) for i in range(10)})
        pq.write_table(table, path, row_group_size=n_rows)
        del table
        arrow = 0
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        for _ in open_dataset(str(path)).chunks(1000):
            arrow = max(arrow, pa.total_allocated_bytes() - before)
        python = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return (arrow + python) / MIB

    small, large = peak_mib(150_000), peak_mib(600_000)
    assert large < small + 5  # the larger table alone is 46 MiB


# What is refused


@pytest.mark.parametrize(
    ("text", "roles", "message"),
    [
        (
            "id,city,a\n1,Oslo,2\n",
            {"keys": ["id"]},
            "{path}: column 'city' holds text, such as 'Oslo'. Expected numbers or booleans in every feature. "
            "Try `key=city` to carry it along, `exclude=city`, or `features` to list the features. "
            "Where it is a category, {listing}",
        ),
        (
            "day,city\n2024-01-02,Oslo\n",
            {},
            "{path}: column 'day' holds dates, such as '2024-01-02'. No numbers either: 'city'. "
            "Expected numbers or booleans in every feature. "
            "Try `key=day` to carry it along, `exclude=day`, or `features` to list the features. "
            "Where it is a category, {listing}",
        ),
        (
            "a,b\n1,2\n?,3\n",
            {"features": ["a"]},
            "{path}: column 'a' holds text, such as '?'. Expected numbers or booleans in every feature. "
            "It holds marks such as '?' for missing values. Try python -c 'import pandas; "
            't = pandas.read_csv("{path}", na_values=["?"]); t.to_parquet("{made}", index=False)\' and {made}.',
        ),
        (
            "mean radius,b\n1,2\n",
            {"keys": ["mean_radius"]},
            "`key=mean_radius`: {path} has no such column. Expected one of its 2 columns: 'mean radius', 'b'. "
            "Did you mean 'mean radius'?",
        ),
        ("a\n1\n", {"label": "y"}, "`label=y`: {path} has no such column. Expected one of its 1 columns: 'a'."),
        ("a\n1\n", {"exclude": ["y"]}, "`exclude=y`: {path} has no such column. Expected one of its 1 columns: 'a'."),
        ("a\n1\n", {"features": ["y"]}, "`features=y`: {path} has no such column. Expected one of its 1 columns: 'a'."),
        ("a,b\n1,1\n", {"features": []}, "`features`: names no column. Expected at least one."),
        (
            "a,b\n1,1\n",
            {"features": ["a", "a"]},
            "`features`: column 'a' is listed twice. Expected each column once.",
        ),
        (
            "a,Age\n1,1\n",
            {"model_features": ("a", "age")},
            "{path}: lacks 1 of the 2 columns that the model takes: 'age'. Expected 'a', 'age', "
            "got 2 columns: 'a', 'Age'. Did you mean 'Age'? Try `features` to list other columns in the model's order.",
        ),
        (
            "a,b\n1,1\n",
            {"keys": ["a"], "features": ["a"]},
            "`key=a`: the column is also a feature. Expected one role for a column. "
            "Try without `key=a`, or a list of `features` that leaves it out.",
        ),
        (
            "a,b,a\n1,1,1\n",
            {},
            "{path}: column name 'a' occurs 2 times. Expected each name once. Try to rename the columns.",
        ),
        (
            ",a\n0,1\n",
            {},
            "{path}: column 'Unnamed: 0' has no name, as the index that pandas writes. Expected features only. Try "
            "`key='Unnamed: 0'` to carry it along, `exclude='Unnamed: 0'` to leave it out, or `features` to list the "
            "features where it is one.",
        ),
        (
            "a,_row\n1,1\n",
            {},
            "{path}: feature '_row' has the name of a column that a run writes. Expected none of _row, _target, "
            "_prediction, _baseline_prediction, _completeness_gap, _relative_error, _interaction_error, _drift, "
            "_sampling_error, _interaction_sampling_error, _evaluations, _truncated, _imputed, _status. Try to "
            "rename the column, or `exclude=_row`.",
        ),
        ("a\n", {}, "{path}: has no rows. Expected at least one."),
        ("", {}, "{path}: has no rows. Expected a header line and at least one row."),
        (
            "a,b\n1\n",
            {},
            "{path}: cannot be read as CSV: CSV parse error: Row #2: Expected 2 columns, got 1: 1. "
            "Expected comma-separated UTF-8 with a header line.",
        ),
        (
            "a\n1\n",
            {"keys": ["a"]},
            "{path}: no column is left for features. Expected at least one that is neither key, label nor excluded, "
            "got columns 'a'.",
        ),
    ],
)
def test_unfit_columns_are_refused_in_words(tmp_path, text, roles, message):
    path = write_csv(tmp_path / "t.csv", text)
    with pytest.raises(IhcliError) as caught:
        open_dataset(path, **roles)
    made = str(path).replace("t.csv", "t-converted.parquet")
    listing = open_table(path).listing(["city"]) if "{listing}" in message else ""
    assert str(caught.value) == message.format(path=path, made=made, listing=listing)


@pytest.mark.parametrize("name", ["_row", "interactions", "attributions"])
def test_keys_named_like_a_run_column_are_refused(tmp_path, name):
    path = write_csv(tmp_path / "t.csv", f"{name},a\n1,1\n")
    with pytest.raises(DataError, match=rf"t\.csv: `key` '{name}' has the name of a column that a run writes\."):
        open_dataset(path, keys=[name])


def test_long_column_lists_are_shortened(tmp_path):
    path = write_csv(tmp_path / "t.csv", ",".join(f"f{i}" for i in range(40)) + "\n")
    with pytest.raises(OptionError, match=r"one of its 40 columns: 'f0', .*'f11' and 28 more\. Did you mean 'f39'\?"):
        open_dataset(path, keys=["f399"])


def test_a_csv_value_that_is_no_number_is_named_with_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr("ihcli.data.formats.csv.CSV_BLOCK_BYTES", 64)
    path = write_csv(tmp_path / "t.csv", "a,b\n" + "1,2\n" * 200 + "3,x\n")
    with pytest.raises(DataError) as caught:
        open_dataset(path).scan()
    assert str(caught.value) == (
        f"{path}: column 'b', row 200: invalid value 'x'. Expected a number. "
        "Try `exclude=b`, or leave the value empty and use `missing=flag`."
    )


def test_duplicate_parquet_columns_are_refused(tmp_path):
    pq.write_table(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column name 'a' occurs 2 times"):
        open_dataset(str(tmp_path / "t.parquet"))


@pytest.mark.parametrize(
    ("values", "type_"),
    [([[1.0]], "list<element: double>"), ([{"x": 1.0}], "struct<x: double>"), ([b"x"], "binary")],
)
def test_parquet_columns_that_are_no_numbers_are_refused(tmp_path, values, type_):
    path = write_parquet(tmp_path / "t.parquet", a=[1.0], odd=values)
    with pytest.raises(DataError, match=rf"column 'odd' holds {type_} values\."):
        open_dataset(path)


def test_the_index_that_pandas_stores_is_no_feature(tmp_path):
    sample(3).set_index("f0").set_axis([5, 6, 7]).drop(columns="id").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column '__index_level_0__' is the index that pandas stored\."):
        open_dataset(str(tmp_path / "t.parquet"))


def test_empty_parquet_is_refused(tmp_path):
    path = write_parquet(tmp_path / "t.parquet", a=pa.array([], pa.float64()))
    with pytest.raises(DataError, match=r"t\.parquet: has no rows\. Expected at least one\."):
        open_dataset(path)


def test_paths_without_a_table_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    expected = {
        "none.csv": "no such file or directory. Expected a Parquet or CSV file, a directory of them, or a glob. "
        "Try checking the path.",
        "*.csv": "no file matches. Try the pattern with ls.",
        "empty": "the directory holds no table. Expected .parquet, .pq, .csv, .csv.gz files directly in it.",
    }
    for name, words in expected.items():
        with pytest.raises(DataError) as caught:
            open_dataset(str(tmp_path / name))
        assert str(caught.value) == f"{tmp_path / name}: {words}"


def test_truncated_and_foreign_files_are_refused(tmp_path):
    whole = Path(write_parquet(tmp_path / "t.parquet", a=np.arange(1000.0))).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"cut\.parquet: cannot be read as Parquet: Parquet magic bytes not found"):
        open_dataset(str(tmp_path / "cut.parquet"))
    (tmp_path / "torn.parquet").write_bytes(whole[:40] + b"\0" * 400 + whole[440:])
    with pytest.raises(DataError, match=r"torn\.parquet: cannot be read as Parquet"):
        open_dataset(str(tmp_path / "torn.parquet")).scan()
    (tmp_path / "table.xls").write_bytes(b"\xd0\xcf\x11\xe0\0\0\0")
    with pytest.raises(DataError, match=r"table\.xls: is a workbook of old Excel\. .* pandas\.read_excel"):
        open_dataset(str(tmp_path / "table.xls"))
    zipped = gzip.compress(b"a\n" + b"1.5\n" * 5000)
    (tmp_path / "cut.csv.gz").write_bytes(zipped[: len(zipped) // 2])
    with pytest.raises(DataError, match=r"cut\.csv\.gz: cannot be read as CSV"):
        open_dataset(str(tmp_path / "cut.csv.gz")).scan()


def test_files_of_different_tables_are_refused(tmp_path):
    write_csv(tmp_path / "a.csv", "a,b\n1,2\n")
    write_csv(tmp_path / "b.csv", "a,c\n1,2\n")
    with pytest.raises(DataError, match=r"b\.csv: its columns differ from those of a\.csv by 'b', 'c'\."):
        open_dataset(str(tmp_path))
    (tmp_path / "b.csv").unlink()
    write_parquet(tmp_path / "b.parquet", a=[1.0], b=[2.0])
    with pytest.raises(DataError, match=r"holds both CSV \(a\.csv\) and Parquet \(b\.parquet\)\."):
        open_dataset(str(tmp_path))


def test_a_column_that_is_text_in_a_later_file_is_refused(tmp_path):
    write_parquet(tmp_path / "a.parquet", a=[1.0])
    write_parquet(tmp_path / "b.parquet", a=["1.0"])
    with pytest.raises(
        DataError, match=r"b\.parquet: column 'a' is string here\. Expected numbers, as in the first file\."
    ):
        open_dataset(str(tmp_path)).scan()


# Arrays


def test_an_array_streams_like_a_table():
    x = np.arange(30, dtype=np.float32).reshape(10, 3)
    dataset = ArrayDataset(x, ["a", "b", "c"])
    chunks = list(dataset.chunks(4))
    assert [(chunk.first_row, len(chunk), chunk.keys.num_rows) for chunk in chunks] == [(0, 4, 4), (4, 4, 4), (8, 2, 2)]
    np.testing.assert_array_equal(np.concatenate([chunk.inputs for chunk in chunks]), x)
    assert dataset.columns.features == ("a", "b", "c")
    assert dataset.fingerprint() == ArrayDataset(x.copy(order="F")).fingerprint()


@pytest.mark.parametrize(
    ("x", "names", "message"),
    [
        (
            np.zeros(3),
            None,
            "x: has shape (3,). Expected (rows, features), at least one of each. Try [x] where it is one row, "
            "numpy.c_[x] where it is one feature.",
        ),
        (np.zeros((0, 3)), None, "x: has shape (0, 3). Expected (rows, features), at least one of each."),
        (
            np.array([["a"]]),
            None,
            "x: holds <U1 values. Expected numbers or booleans. Try numpy.asarray(x, float) where these are numbers.",
        ),
        (np.zeros((2, 3)), ["a", "b"], "x: has 3 features. Expected as many different names, got 2."),
    ],
)
def test_unfit_arrays_are_refused_in_words(x, names, message):
    with pytest.raises(DataError) as caught:
        ArrayDataset(x, names)
    assert str(caught.value) == message


def test_a_survey_scans_and_samples_in_one_pass(tmp_path, monkeypatch):
    monkeypatch.setattr("ihcli.data.formats.parquet.BATCH_VALUES", 12)
    x = np.random.default_rng(0).standard_normal((200, 3))
    x[::5, 1] = np.nan
    dataset = open_dataset(write_parquet(tmp_path / "t.parquet", **dict(zip("abc", x.T, strict=True))))
    inputs, passes = type(dataset).inputs, []
    monkeypatch.setattr(type(dataset), "inputs", lambda self: passes.append(1) or inputs(self))
    survey = dataset.survey(20, seed=1)
    sample = survey.sample.first(20)
    assert survey.scan.n_complete == 160
    assert survey.sample.first(5).shape == (5, 3)
    assert len(passes) == 1
    monkeypatch.undo()
    np.testing.assert_array_equal(sample, open_dataset(dataset.path).survey(20, seed=1).sample.values)
    np.testing.assert_array_equal(sample, ArrayDataset(x).survey(40, seed=1).sample.first(20))
    complete = x[np.isfinite(x).all(axis=1)]
    places = [np.flatnonzero((complete == row).all(axis=1)).item() for row in sample]
    assert places == sorted(set(places))
    first = dataset.survey(9, 1, limit=50).sample.values
    assert max(np.flatnonzero((x == row).all(axis=1)).item() for row in first) < 50


def test_values_that_overflow_or_cancel_in_their_sum_are_finite_ones_that_count():
    x = np.array([[1e308, 1.0], [1e308, np.inf], [-1e308, -np.inf], [1.0, 2.0]])
    scan = ArrayDataset(x).scan()
    assert (scan.n_rows, scan.n_complete) == (4, 2)
    assert scan.missing == (Missing("1", 2, 1, "non-finite"),)
    assert scan.mean[1] == 1.5


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "types", [(pa.float32(), pa.float32()), (pa.float64(), pa.float64()), (pa.float32(), pa.int64())], ids=str
)
def test_numbers_are_a_matrix_of_their_own_whatever_they_are_stored_as(order, types):
    columns = [pa.array([1, None, 3], types[0]), pa.array([4, 5, None], types[1]), pa.array(["x", "y", "z"])]
    batch = pa.RecordBatch.from_arrays(columns, ["a", "b", "key"])
    for part in (batch, batch.slice(1)):
        matrix = matrix_of(part, ["b", "a"], order)
        expected = np.array([[4, 1], [5, np.nan], [np.nan, 3]])[3 - part.num_rows :]
        np.testing.assert_array_equal(matrix, expected)
        assert matrix.dtype == np.float64
        assert matrix.flags.writeable
        assert matrix.flags[f"{order}_CONTIGUOUS"]


def test_files_that_store_a_feature_in_other_types_are_one_table(tmp_path):
    for i, type_ in enumerate((pa.float32(), pa.float64(), pa.int8(), pa.bool_())):
        values = pa.array([True, False] if type_ == pa.bool_() else [i, i + 1], type_)
        pq.write_table(pa.table({"a": values, "b": pa.array([0.5, None], pa.float32())}), tmp_path / f"{i}.parquet")
    found = open_dataset(str(tmp_path)).head(8).inputs
    np.testing.assert_array_equal(found[:, 0], [0, 1, 1, 2, 2, 3, 1, 0])
    pq.write_table(pa.table({"a": ["x"], "b": [0.5]}), tmp_path / "9.parquet")
    with pytest.raises(DataError, match=r"9\.parquet: column 'a' is string here\. Expected numbers, as in the first"):
        open_dataset(str(tmp_path)).scan()
