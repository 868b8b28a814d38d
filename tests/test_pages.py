"""Pages of matrices that are made here say what pyarrow's say, to every reader."""

import io
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.files import parquet
from ihcli.files.pages import PAGE_BYTES, _Pages, has_bare_matrices, write_with_pages
from ihcli.files.parquet import LEAST_BARE_BYTES, write_table

OPTIONS = {"compression": "none", "use_dictionary": ["key"], "write_statistics": ["_row"], "row_group_size": 6}
SIZES = {"one number": 1, "small": 3, "longer than a page": int((PAGE_BYTES // 4) ** 0.5) + 20}
GONE = {"none": [], "first and last": [0, 12], "all": list(range(13)), "a whole group": [6, 7, 8, 9, 10, 11]}


def tensors(n: int, size: int, dtype: type[np.floating] = np.float32, gone: list[int] | None = None) -> pa.Array:
    values = np.random.default_rng(size).standard_normal(n * size * size).astype(dtype)
    mask = pa.array([row in (gone or []) for row in range(n)])
    storage = pa.FixedSizeListArray.from_arrays(pa.array(values), size * size, mask=mask)
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.from_numpy_dtype(dtype), (size, size)), storage)


def with_matrices(matrices: pa.Array) -> pa.Table:
    n = len(matrices)
    columns = {
        "_row": range(n),
        "key": [f"k{row % 3}" for row in range(n)],
        "gamma.list.element": np.arange(n) / 3,  # Parquet calls the matrices' numbers so too
        "gamma": matrices,
        "after": [None if row % 4 else row for row in range(n)],
    }
    return pa.table(columns).replace_schema_metadata({"told": "something"})


def written(table: pa.Table) -> bytes:
    with io.BytesIO() as file:
        write_with_pages(table, "gamma", file, **OPTIONS)
        return file.getvalue()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gone", GONE)
@pytest.mark.parametrize("size", SIZES)
def test_every_reader_finds_what_was_written(tmp_path: Path, size: str, gone: str, dtype: type[np.floating]) -> None:
    whole = with_matrices(tensors(13, SIZES[size], dtype, GONE[gone]))
    for table in (whole, whole.slice(5)):  # what is sliced does not begin where its memory does
        file = tmp_path / "t.parquet"
        file.write_bytes(written(table))
        assert pq.read_table(file).equals(table, check_metadata=True)
        assert pq.read_table(file, columns=["gamma"]).equals(table.select(["gamma"]))
        rest, lists = table.drop("gamma"), table["gamma"].chunk(0).storage
        found = duckdb.sql(f"select * from '{file}'").to_arrow_table()
        assert found.drop("gamma").cast(rest.schema).equals(rest)
        assert pa.chunked_array([lists]).equals(found["gamma"].cast(lists.type))
        assert alike(pd.read_parquet(file)["gamma"], table.to_pandas()["gamma"])


def alike(some: pd.Series, others: pd.Series) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize("gone", GONE)
def test_files_say_of_themselves_what_those_of_pyarrow_do(gone: str) -> None:
    table = with_matrices(tensors(13, 5, gone=GONE[gone]))
    with io.BytesIO() as file:
        pq.write_table(table, file, **OPTIONS)
        theirs = pq.ParquetFile(io.BytesIO(file.getvalue()))
    content = written(table)
    ours, sizes = pq.ParquetFile(io.BytesIO(content)), 0
    assert ours.schema.equals(theirs.schema)
    assert ours.metadata.metadata == theirs.metadata.metadata
    assert ours.metadata.num_row_groups == theirs.metadata.num_row_groups == 3
    for number in range(3):
        group, other = ours.metadata.row_group(number), theirs.metadata.row_group(number)
        assert ours.read_row_group(number).equals(theirs.read_row_group(number))
        assert group.num_rows == other.num_rows
        columns = [group.column(index) for index in range(group.num_columns)]
        assert group.total_byte_size == sum(column.total_uncompressed_size for column in columns)
        sizes += sum(column.total_compressed_size for column in columns)
        for index, column in enumerate(columns):
            assert column.num_values == other.column(index).num_values
            assert column.path_in_schema == other.column(index).path_in_schema
            assert column.is_stats_set == other.column(index).is_stats_set
    footer = int.from_bytes(content[-8:-4], "little")
    assert len(content) == 4 + sizes + footer + 8  # nothing else lies in the file


def test_matrices_are_written_from_where_they_lie() -> None:
    matrices = tensors(40, 100)
    values = matrices.storage.values.to_numpy()
    pages = _Pages.of(matrices.storage.slice(3)).buffers[1::2]
    assert len(pages) == 2
    assert all(np.shares_memory(np.frombuffer(page, np.float32), values) for page in pages)


@pytest.mark.parametrize(("size", "is_made_here"), [(40, True), (4, False)])
def test_only_large_columns_are_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, is_made_here: bool
) -> None:
    made = []

    def noted(table: pa.Table, name: str, *arguments: object, **options: object) -> None:
        made.append(name)
        write_with_pages(table, name, *arguments, **options)

    monkeypatch.setattr(parquet, "write_with_pages", noted)
    table = with_matrices(tensors(LEAST_BARE_BYTES // (4 * 40 * 40) + 1, size))
    write_table(tmp_path / "t.parquet", table)
    assert made == ["gamma"] * is_made_here
    assert pq.read_table(tmp_path / "t.parquet").equals(table, check_metadata=True)


def test_what_does_not_lie_in_one_piece_is_left_to_pyarrow(tmp_path: Path) -> None:
    matrices = tensors(2000, 20)
    holey = pa.FixedSizeListArray.from_arrays(pa.array([1.0, None], pa.float32()), 1)
    columns = {
        "two pieces": pa.chunked_array([matrices, matrices]),
        "no matrices": pa.chunked_array([matrices.storage]),
        "an empty number": pa.chunked_array(
            [pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), (1, 1)), holey)]
        ),
    }
    for name, column in columns.items():
        assert not has_bare_matrices(column), name
        write_table(tmp_path / "t.parquet", pa.table({"gamma": column}))
        assert pq.read_table(tmp_path / "t.parquet")["gamma"].combine_chunks().equals(column.combine_chunks())
