"""Entries of part files: the rows that were asked for, and how little is read for them."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.errors import OptionError, RunError
from ihcli.runs import rowgroups
from ihcli.runs.rowgroups import PartFiles

ROWS, PARTS, GROUP_ROWS = 1000, 10, 20
NOISE_BYTES = 16 << 10  # of every row
FOOTER_BYTES = 64 << 10  # what pyarrow reads of the end of a file to find its footer


def write_parts(directory: Path, *, statistics: bool = True, targets: int = 1) -> None:
    """Write ROWS rows, each `targets` times, with noise that nothing compresses."""
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, rows in enumerate(np.split(np.arange(ROWS).repeat(targets), PARTS)):
        table = pa.table(
            {
                "_row": rows,
                "id": [f"P{row:04d}" for row in rows],
                "day": pa.array(rows % 7, pa.int16()),
                "_target": [f"class {i % targets}" for i in range(len(rows))],
                "noise": [rng.bytes(NOISE_BYTES) for _ in rows],
            }
        )
        file = directory / f"part-{part:06d}.parquet"
        pq.write_table(table, file, row_group_size=GROUP_ROWS * targets, write_statistics=statistics)


@pytest.fixture
def parts(tmp_path: Path) -> PartFiles:
    write_parts(tmp_path / "attributions")
    return PartFiles(tmp_path / "attributions")


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what is read of part files: one number a read."""
    counts: list[int] = []

    class Counting(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            found = super().read(size)
            counts.append(len(found))
            return found

    class Watched(pq.ParquetFile):
        def __init__(self, source: Path, metadata: pq.FileMetaData | None = None) -> None:
            self._stream = Counting(source)
            super().__init__(self._stream, metadata=metadata)

        def close(self, force: bool = False) -> None:
            super().close(force)
            self._stream.close()

    monkeypatch.setattr(rowgroups.pq, "ParquetFile", Watched)
    return counts


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Keep which part files are opened, each time."""
    files: list[Path] = []

    class Watched(pq.ParquetFile):
        def __init__(self, source: Path, **options: Any) -> None:
            files.append(source)
            super().__init__(source, **options)

    monkeypatch.setattr(rowgroups.pq, "ParquetFile", Watched)
    return files


def test_rows_come_in_the_order_of_the_files_whatever_was_asked(parts: PartFiles) -> None:
    assert parts.read(["_row"], [999, 0, 500, 499, 500])["_row"].to_pylist() == [0, 499, 500, 999]
    assert parts.read(["_row"], range(95, 105))["_row"].to_pylist() == list(range(95, 105))
    assert parts.read()["_row"].to_pylist() == list(range(ROWS))


def test_rows_that_are_not_there_give_no_entries(parts: PartFiles) -> None:
    found = parts.read(["id", "noise"], [ROWS, ROWS + 5])
    assert (found.num_rows, found.column_names) == (0, ["id", "noise"])


def test_every_target_of_a_row_is_found(tmp_path: Path) -> None:
    write_parts(tmp_path / "attributions", targets=3)
    found = PartFiles(tmp_path / "attributions").read(["_target"], [777])
    assert found["_target"].to_pylist() == ["class 0", "class 1", "class 2"]


def test_parts_without_statistics_are_read_all_the_same(tmp_path: Path) -> None:
    write_parts(tmp_path / "attributions", statistics=False)
    parts = PartFiles(tmp_path / "attributions")
    assert parts.read(["id"], [3, 998])["id"].to_pylist() == ["P0003", "P0998"]
    assert parts.rows_where({"id": "P0998"}) == [998]


def test_one_row_is_read_with_its_row_group_and_few_footers(parts: PartFiles, bytes_read: list[int]) -> None:
    assert parts.read(None, [777]).num_rows == 1
    group = GROUP_ROWS * NOISE_BYTES
    footers = (1 + math.ceil(math.log2(PARTS))) * FOOTER_BYTES
    assert group < sum(bytes_read) < group + footers < ROWS * NOISE_BYTES / 20


@pytest.mark.parametrize("rows", [None, range(0, ROWS, 7)])
def test_each_part_is_opened_once_where_all_are_read(
    parts: PartFiles, opened: list[Path], rows: Sequence[int] | None
) -> None:
    assert parts.read(["_row"], rows).num_rows == len(rows or range(ROWS))
    looks = 0 if rows is None else len(parts.files)  # at the footer, which tells where the part ends
    assert len(opened) == len(parts.files) + looks


@pytest.mark.parametrize("row", [0, 1, 499, 500, 998, 999])
def test_one_row_takes_three_openings_however_many_parts_there_are(
    parts: PartFiles, opened: list[Path], row: int
) -> None:
    assert parts.read(["_row"], [row])["_row"].to_pylist() == [row]
    assert len(opened) <= 3  # the first part, the one where the row is, and that again for its values
    opened.clear()
    assert parts.read(["_row"], [row]).num_rows == len(opened) == 1


def test_where_rows_are_is_remembered_of_parts_that_were_read(parts: PartFiles, opened: list[Path]) -> None:
    parts.read(["_row"])
    opened.clear()
    assert parts.n_rows == ROWS
    assert parts.read(["_row"], [3, 777])["_row"].to_pylist() == [3, 777]
    assert len(opened) == 2


@pytest.mark.parametrize("ends", [(100, 110, 900), (1, 2, 3), (999,), (600, 900)])
def test_rows_are_found_in_parts_of_any_length(tmp_path: Path, ends: tuple[int, ...]) -> None:
    (tmp_path / "attributions").mkdir()
    for part, rows in enumerate(np.split(np.arange(1000), ends)):
        pq.write_table(pa.table({"_row": rows}), tmp_path / "attributions" / f"part-{part:06d}.parquet")
    parts = PartFiles(tmp_path / "attributions")
    assert all(parts.read(["_row"], [row])["_row"].to_pylist() == [row] for row in (0, *ends, 555, 998, 999))
    assert parts.read(["_row"], range(-5, 1200)).num_rows == 1000


def test_footers_are_kept_of_the_last_parts_only(parts: PartFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    size = pq.ParquetFile(parts.files[0]).metadata.serialized_size
    monkeypatch.setattr(rowgroups, "FOOTER_BYTES", 3 * size)
    parts.read(["_row"])
    assert set(parts._footers.found) <= {6, 7, 8, 9}
    assert parts._footers.n_bytes == sum(footer.serialized_size for footer in parts._footers.found.values()) <= 3 * size
    monkeypatch.setattr(rowgroups, "FOOTER_BYTES", 0)
    assert parts.read(["_row"], [3, 999]).num_rows == 2
    assert len(parts._footers.found) == 1


def test_many_small_parts_become_few_pieces(parts: PartFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = ROWS // GROUP_ROWS
    monkeypatch.setattr(rowgroups, "PIECES", 8)
    assert parts.read(["_row"])["_row"].num_chunks == math.ceil(groups / 8)
    monkeypatch.setattr(rowgroups, "PIECES_BYTES", 8 * GROUP_ROWS * NOISE_BYTES)
    assert parts.read(["noise"])["noise"].num_chunks > groups / 2  # what is large is not copied


def test_a_part_without_rows_is_named(tmp_path: Path) -> None:
    (tmp_path / "attributions").mkdir()
    empty = pa.table({"_row": pa.array([], pa.int64())})
    pq.write_table(empty, tmp_path / "attributions" / "part-000000.parquet")
    with pytest.raises(RunError, match=r"part-000000\.parquet: holds no rows\. Try ihcli verify"):
        PartFiles(tmp_path / "attributions").read(["_row"], [3])


def test_a_key_is_searched_without_other_columns(parts: PartFiles, bytes_read: list[int]) -> None:
    assert len(parts.rows_where({"day": 3})) == 143  # in every row group
    assert sum(bytes_read) < 1.2 * PARTS * FOOTER_BYTES < ROWS * NOISE_BYTES / 20


def test_a_sorted_key_is_searched_in_one_row_group(parts: PartFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    groups, original = [], pq.ParquetFile.read_row_group

    def read(file: pq.ParquetFile, group: int, *given: Any, **options: Any) -> pa.Table:
        groups.append(group)
        return original(file, group, *given, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read)
    assert parts.rows_where({"id": "P0777"}) == [777]
    assert groups == [(777 - 700) // GROUP_ROWS]


def test_keys_all_hold_for_the_rows_that_are_found(parts: PartFiles) -> None:
    assert parts.rows_where({"day": "3"}) == list(range(3, ROWS, 7))
    assert parts.rows_where({"day": 3, "id": "P0010"}) == [10]
    assert parts.rows_where({"day": 3, "id": "P0011"}) == []


def test_a_key_of_another_type_is_named(parts: PartFiles) -> None:
    with pytest.raises(OptionError) as caught:
        parts.rows_where({"day": "Monday"})
    assert str(caught.value) == (
        "`key=day=Monday`: the column holds int16. Expected a value of that type, got 'Monday'."
    )


def test_the_rows_of_all_parts_are_counted(parts: PartFiles) -> None:
    assert parts.n_rows == ROWS


def test_a_torn_part_is_named(parts: PartFiles) -> None:
    torn = parts.files[3]
    torn.write_bytes(torn.read_bytes()[:100])
    with pytest.raises(RunError, match=r"part-000003\.parquet: cannot be read: .* Try ihcli explain again with"):
        parts.read()


def test_a_kind_without_parts_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        PartFiles(tmp_path / "interactions").read()
    assert str(caught.value) == (
        f"{tmp_path}: stores no interactions of single rows. Expected interactions/part-000000.parquet."
    )


def test_a_key_with_a_dot_is_not_looked_for_in_a_nested_one(tmp_path: Path) -> None:
    (tmp_path / "attributions").mkdir()
    table = pa.table({"_row": [0, 1], "a": [{"b": "x"}, {"b": "y"}], "a.b": ["p", "q"]})
    pq.write_table(table, tmp_path / "attributions" / "part-000000.parquet")
    assert PartFiles(tmp_path / "attributions").rows_where({"a.b": "q"}) == [1]
