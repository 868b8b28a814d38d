"""Matrices in Parquet without a copy: their pages are written from the memory in which they lie.

pyarrow makes two levels of each number of a list and copies it twice, 1.4 core-seconds a GB, where hashing and writing
take 0.9. All matrices of a column have the same levels, which take a few bytes. So pyarrow writes the table as if every
matrix were null, which makes the schema, the other columns and the footer; then the pages of the matrices take the
place of those of the nulls.

Numbers of fields and codes are those of parquet.thrift, https://github.com/apache/parquet-format.
"""

import io
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ihcli.files.arrays import values_of
from ihcli.files.thrift import I32, STRUCT, Struct, Typed, decoded, encoded, varint

PAGE_BYTES = 1 << 20
"""Of the numbers in a page, in whole rows, of which there is one at least."""
LARGEST_ROW_BYTES = 1 << 30  # sizes of pages have 32 bits
MAGIC, LENGTH_BYTES = b"PAR1", 4
ROW_GROUPS = 4
COLUMNS, GROUP_SIZE, NUM_ROWS, FILE_OFFSET, GROUP_COMPRESSED_SIZE = 1, 2, 3, 5, 6
META_DATA, PATH, NUM_VALUES, SIZE, COMPRESSED_SIZE, DATA_OFFSET, DICTIONARY_OFFSET = 3, 3, 5, 6, 7, 9, 11
STATISTICS, ENCODING_STATISTICS, SIZE_STATISTICS = 12, 13, 16
DATA_PAGE, PLAIN, RLE = 0, 0, 3
THERE = 3
"""Definition level of a number: the matrix could be null, or without numbers, or the number could be null."""

Buffers = list[memoryview]


def has_bare_matrices(column: pa.ChunkedArray) -> bool:
    """Tell whether a column holds matrices of floats that lie in one piece, as `write_with_pages` takes them."""
    if not isinstance(column.type, pa.FixedShapeTensorType) or column.num_chunks != 1:
        return False
    values, size = column.chunk(0).storage.values, column.type.storage_type.list_size
    row_bytes = size * values.type.bit_width // 8
    return bool(pa.types.is_floating(values.type) and not values.null_count and 0 < row_bytes <= LARGEST_ROW_BYTES)


def write_with_pages(table: pa.Table, name: str, stream: BinaryIO | pa.NativeFile, **options: Any) -> None:
    """Write a table to a stream, the matrices of one column as they lie in memory.

    Parameters:
        options: for `pyarrow.parquet.write_table`, of all other columns.
    """
    index = table.schema.get_field_index(name)
    storage = table.column(index).chunk(0).storage
    nulls = pa.ExtensionArray.from_storage(table.schema.types[index], _all_null(storage))
    with io.BytesIO() as file:
        pq.write_table(table.set_column(index, table.schema.field(index), nulls), file, **options)
        content = file.getvalue()
    end = len(content) - LENGTH_BYTES - len(MAGIC)
    footer = decoded(content[end - int.from_bytes(content[end : end + LENGTH_BYTES], "little") : end])
    stream.write(MAGIC)
    offset, row = len(MAGIC), 0
    for group in footer[ROW_GROUPS].value[1]:
        n_rows = group[NUM_ROWS].value
        for buffer in _placed(group, offset, content, name, _Pages.of(storage.slice(row, n_rows))):
            stream.write(buffer)
        offset, row = offset + group[GROUP_COMPRESSED_SIZE].value, row + n_rows
    told = encoded(footer)
    stream.write(told + len(told).to_bytes(LENGTH_BYTES, "little") + MAGIC)


@dataclass(frozen=True)
class _Pages:
    """The pages of some rows, one behind the other, and how many numbers and null matrices are in them."""

    buffers: Buffers
    n_values: int

    @classmethod
    def of(cls, storage: pa.FixedSizeListArray) -> "_Pages":
        size = storage.type.list_size
        values = values_of(storage.values.slice(storage.offset * size, len(storage) * size)).reshape(-1, size)
        is_there = storage.is_valid().to_numpy(zero_copy_only=False)
        rows = max(1, PAGE_BYTES // (size * values.itemsize))
        starts = range(0, len(values), rows)
        pages = [_page(values[start : start + rows], is_there[start : start + rows]) for start in starts]
        return cls(list(chain.from_iterable(pages)), len(values) + int(is_there.sum()) * (size - 1))

    @property
    def nbytes(self) -> int:
        """Their size."""
        return sum(buffer.nbytes for buffer in self.buffers)


def _all_null(storage: pa.FixedSizeListArray) -> pa.Array:
    """Return as many null matrices; nothing is copied."""
    none = pa.py_buffer(bytes(-(-(storage.offset + len(storage)) // 8)))
    return pa.Array.from_buffers(storage.type, len(storage), [none], len(storage), storage.offset, [storage.values])


def _page(values: np.ndarray, is_there: np.ndarray) -> Buffers:
    """Return a page of rows: what stands before its numbers, and the numbers of the rows that are there."""
    stored = values if is_there.all() else values[is_there]
    return [
        memoryview(_head(*values.shape, values.itemsize, is_there.tobytes())),
        stored.reshape(-1).view(np.uint8).data,
    ]


@lru_cache(maxsize=16)  # nearly all pages begin alike, and a part has hundreds
def _head(rows: int, size: int, itemsize: int, which: bytes) -> bytes:
    """Return the header and the levels of a page of rows of `size` numbers, of which those are there (bool each).

    The repetition level of a number is 0 where a row begins. A null matrix has both levels once, 0 and 0.
    """
    is_there = np.frombuffer(which, bool)
    n_there = int(is_there.sum())
    begun = _levels(is_there, _run(1, 0) + _run(size - 1, 1))
    defined = _levels(is_there, _run(size, THERE))
    n_bytes = Typed(I32, len(begun) + len(defined) + n_there * size * itemsize)
    of_data = enumerate((rows + n_there * (size - 1), PLAIN, RLE, RLE), 1)
    fields = Typed(STRUCT, {number: Typed(I32, value) for number, value in of_data})
    return encoded({1: Typed(I32, DATA_PAGE), 2: n_bytes, 3: n_bytes, 5: fields}) + begun + defined


def _levels(is_there: np.ndarray, of_matrix: bytes) -> bytes:
    """Return the levels of rows, one behind the other, after their length."""
    of_null = _run(1, 0)
    levels = b"".join([of_matrix if there else of_null for there in is_there.tolist()])
    return len(levels).to_bytes(LENGTH_BYTES, "little") + levels


def _run(count: int, level: int) -> bytes:
    """Return so many equal levels, of less than a byte."""
    return varint(count << 1) + bytes([level]) if count else b""


def _placed(group: Struct, offset: int, content: bytes, name: str, pages: _Pages) -> Buffers:
    """Return what a row group consists of, and make the footer's words for it those of a group at that offset."""
    found: Buffers = []
    columns = [column[META_DATA].value for column in group[COLUMNS].value[1]]
    _tell(group, {FILE_OFFSET: offset})
    for told in columns:
        offsets = {number: told[number].value for number in (DATA_OFFSET, DICTIONARY_OFFSET) if number in told}
        first, size = min(offsets.values()), told[COMPRESSED_SIZE].value
        if told[PATH].value[1][0] == name.encode():
            found += pages.buffers
            _tell(told, {NUM_VALUES: pages.n_values, SIZE: pages.nbytes, COMPRESSED_SIZE: pages.nbytes})
            for number in (STATISTICS, ENCODING_STATISTICS, SIZE_STATISTICS):  # of nulls; no reader needs them
                told.pop(number, None)
        else:
            found.append(memoryview(content)[first : first + size])
        _tell(told, {number: offset + before - first for number, before in offsets.items()})
        offset += told[COMPRESSED_SIZE].value
    _tell(group, {GROUP_SIZE: sum(told[SIZE].value for told in columns)})
    _tell(group, {GROUP_COMPRESSED_SIZE: sum(told[COMPRESSED_SIZE].value for told in columns)})
    return found


def _tell(fields: Struct, values: dict[int, int]) -> None:
    for number, value in values.items():
        fields[number] = replace(fields[number], value=value)
