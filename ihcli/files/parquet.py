"""Tables of a run as Parquet: what is compressed, in which encoding, and how much stands in a row group."""

import hashlib
import io
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ihcli.files.arrays import values_of
from ihcli.files.durable import disk_errors, make_directory, replacing
from ihcli.files.leaves import leaves_of
from ihcli.files.locations import Location
from ihcli.files.pages import has_bare_matrices, write_with_pages

COLUMN_BYTES = 4 << 20  # of the widest column in a row group: stays in cache, and one row is read without many others
LEAST_COMPRESSED_BYTES = 64 << 10  # of a column: below, starting a compressor costs more than it saves
LEAST_BARE_BYTES = 1 << 20  # of matrices whose pages are made here: below, that saves next to nothing
SAMPLES, SAMPLE_VALUES = 16, 1024
WORTHWHILE = 0.8  # of its size that a compressed sample of matrices may take


def write_table(path: Location, table: pa.Table) -> bytes:
    """Write a table as a whole file or not at all, and return its SHA-256; raises RunError where the disk refuses."""
    with disk_errors(path):
        make_directory(path.parent)
    with replacing(path) as stream:
        digesting = _Digesting(stream)
        encode(table, digesting)
    return digesting.digest.digest()


def encode(table: pa.Table, stream: BinaryIO | pa.NativeFile, as_rows: int | None = None) -> None:
    """Write a table to a stream, compressed as if it had `as_rows` rows, where it stands for a longer one."""
    longer = 1.0 if as_rows is None else as_rows / max(1, table.num_rows)
    leaves = list(leaves_of(table.schema))
    columns = dict(zip(table.column_names, table.columns, strict=True))
    n_bytes = {name: column.nbytes for name, column in columns.items()}
    worthwhile = {name for name, column in columns.items() if _is_worth_compressing(column, n_bytes[name] * longer)}
    compressed = {leaf.path for leaf in leaves if leaf.column in worthwhile}
    paths = dict.fromkeys(leaf.path for leaf in leaves)  # a key named as the leaf of a nested column shares its path
    floats = paths.keys() - {leaf.path for leaf in leaves if not pa.types.is_floating(leaf.type)}
    counting = {name for name, column in columns.items() if _counts_up(column)}
    counting -= {leaf.path for leaf in leaves if leaf.is_nested}
    plain = floats | counting
    widest = max(n_bytes.values())
    options = {
        "compression": {name: "zstd" if name in compressed else "none" for name in paths},
        "use_dictionary": [name for name in paths if name not in plain],
        "column_encoding": dict.fromkeys(counting, "DELTA_BINARY_PACKED"),
        # Floats hardly repeat: splitting their bytes lets zstd find the common exponents.
        "use_byte_stream_split": [name for name in paths if name in floats and name in compressed],
        # No filter asks for the smallest element of a list, and finding it takes another pass.
        "write_statistics": [leaf.path for leaf in leaves if not leaf.is_nested],
        "row_group_size": max(1, COLUMN_BYTES * table.num_rows // max(1, widest)),
    }
    large = [name for name, size in n_bytes.items() if name not in worthwhile and size >= LEAST_BARE_BYTES]
    bare = [name for name in large if has_bare_matrices(columns[name])]
    if bare:
        write_with_pages(table, bare[0], stream, **options)
    else:
        pq.write_table(table, stream, **options)


class _Digesting(io.RawIOBase):
    """A stream that takes the SHA-256 of what passes through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self.stream.write(content)


def _is_worth_compressing(column: pa.ChunkedArray, n_bytes: float) -> bool:
    """Tell whether compressing a column saves what it costs; of large ones from a sample.

    Matrices of real inputs lose an eighth of their bytes, which more than doubles the time that writing them takes;
    those of rows with many zeros lose most.
    """
    is_large = n_bytes >= LEAST_COMPRESSED_BYTES
    if not is_large or not isinstance(column.type, pa.FixedShapeTensorType):
        return is_large
    values = values_of(column.chunk(0).storage.flatten())
    starts = np.linspace(0, max(0, len(values) - SAMPLE_VALUES), SAMPLES, dtype=int)
    sample = np.concatenate([values[start : start + SAMPLE_VALUES] for start in starts])
    planes = np.ascontiguousarray(sample.view(np.uint8).reshape(len(sample), -1).T)
    return len(pa.compress(planes.tobytes(), "zstd", asbytes=True)) < WORTHWHILE * sample.nbytes


def _counts_up(column: pa.ChunkedArray) -> bool:
    """Tell whether most values of a column of integers are the one before and 1, as in ranks and indices of rows.

    Their differences take next to nothing, where zstd leaves 4 bytes of each.
    """
    if not pa.types.is_integer(column.type) or column.null_count or len(column) < 2:
        return False
    steps = np.diff(np.concatenate([values_of(chunk) for chunk in column.chunks]))
    return bool(2 * np.count_nonzero(steps == 1) > len(steps))
