"""Tables are written whole, in directories whose names are on the disk, and compressed where that saves something."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.files.parquet import LEAST_COMPRESSED_BYTES, write_table


def codecs(path: Path) -> dict[str, str]:
    group = pq.ParquetFile(path).metadata.row_group(0)
    return {column.path_in_schema: column.compression for column in map(group.column, range(group.num_columns))}


def test_a_new_directory_is_synced_into_the_one_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    write_table(tmp_path / "run" / "interactions" / "part.parquet", pa.table({"a": [1]}))
    assert {str(tmp_path), str(tmp_path / "run"), str(tmp_path / "run" / "interactions")} <= set(synced)


def test_only_large_columns_are_compressed(tmp_path: Path) -> None:
    n = LEAST_COMPRESSED_BYTES // 8 + 1
    table = pa.table({"large": np.zeros(n), "small": pa.array(np.zeros(n), pa.float16())})
    write_table(tmp_path / "t.parquet", table)
    assert codecs(tmp_path / "t.parquet") == {"large": "ZSTD", "small": "UNCOMPRESSED"}
    assert pq.read_table(tmp_path / "t.parquet").equals(table)


@pytest.mark.parametrize(("share_of_zeros", "codec"), [(0.0, "UNCOMPRESSED"), (0.95, "ZSTD")])
def test_matrices_are_sampled_all_over(tmp_path: Path, share_of_zeros: float, codec: str) -> None:
    values = np.random.default_rng(0).standard_normal(400_000).astype(np.float32)
    values[: int(share_of_zeros * len(values))] = 0
    type_ = pa.fixed_shape_tensor(pa.float32(), (20, 20))
    storage = pa.FixedSizeListArray.from_arrays(pa.array(values), 400)
    write_table(tmp_path / "t.parquet", pa.table({"gamma": pa.ExtensionArray.from_storage(type_, storage)}))
    assert codecs(tmp_path / "t.parquet") == {"gamma.list.element": codec}


def test_numbers_that_count_up_take_next_to_nothing(tmp_path: Path) -> None:
    n = 200_000
    ranks = np.tile(np.arange(1, n // 2 + 1, dtype=np.int32), 2)  # of two targets
    rows = np.repeat(np.arange(n // 4), 4)  # steps of 0 mostly: left to the dictionary
    table = pa.table({"rank": ranks, "row": rows, "key": pa.array([None, *range(1, n)], pa.int64())})
    write_table(tmp_path / "t.parquet", table)
    group = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(0)
    assert group.column(0).encodings == ("RLE", "DELTA_BINARY_PACKED")
    assert "DELTA_BINARY_PACKED" not in (*group.column(1).encodings, *group.column(2).encodings)
    assert group.column(0).total_compressed_size < n // 100
    assert pq.read_table(tmp_path / "t.parquet").equals(table)


def test_names_with_dots_are_compressed_by_their_own_column(tmp_path: Path) -> None:
    n = LEAST_COMPRESSED_BYTES // 8 + 1
    table = pa.table(
        {"a": pa.array(np.zeros(n), pa.float16()), "a.b": np.zeros(n), ".": ["some words"] * n, "b..": [True] * n}
    )
    write_table(tmp_path / "t.parquet", table)
    assert codecs(tmp_path / "t.parquet") == {"a": "UNCOMPRESSED", "a.b": "ZSTD", ".": "ZSTD", "b..": "UNCOMPRESSED"}
    assert pq.read_table(tmp_path / "t.parquet").equals(table)


def test_a_key_named_as_the_leaf_of_a_list_is_written_beside_it(tmp_path: Path) -> None:
    table = pa.table({"x.list.element": [1, 2], "x": [[1.0], [2.0]], "y.list.z": ["c", "d"]})
    write_table(tmp_path / "t.parquet", table)
    assert pq.read_table(tmp_path / "t.parquet").equals(table)
    last = pq.read_metadata(tmp_path / "t.parquet").row_group(0).column(2)
    assert last.statistics.min == "c"
