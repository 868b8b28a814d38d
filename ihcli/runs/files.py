"""Files that a run consists of: opened where they are its own, with the columns that whoever reads them relies on."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ihcli.errors import RunError
from ihcli.files.locations import Location, parquet_file
from ihcli.quality import COLUMNS, ROW
from ihcli.wording import first_line, printable, quoted

Types = Mapping[str, tuple[str, Callable[[pa.DataType], bool]]]
"""Columns of ours by name: what they hold in words, and whether a type is that."""
ODD = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
SMALL_BYTES = 1 << 20
WRONG = "Try ihcli verify, and ihcli explain again with `overwrite`."


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


WORDS, WHOLE, FLOATS = ("words", _is_text), ("whole numbers", pa.types.is_integer), ("numbers", pa.types.is_floating)
FLAGS = ("true or false", pa.types.is_boolean)
HELD = {"string": WORDS, "int32": WHOLE, "int64": WHOLE, "double": FLOATS, "bool": FLAGS}
PART: Types = {column.name: HELD[column.type] for column in COLUMNS}
SUMMARY: Types = {
    **dict.fromkeys(("target", "feature", "feature_i", "feature_j"), WORDS),
    **dict.fromkeys(("rank", "rows"), WHOLE),
    **dict.fromkeys(("mean_abs", "mean", "std", "share", "min", "max"), FLOATS),
    **dict.fromkeys(("main_mean_abs", "main_mean", "main_std", "main_opposed"), FLOATS),
    **dict.fromkeys(("main_rows", "left_out"), WHOLE),
    **dict.fromkeys(("error_bar", "standard_error", "main_error_bar", "main_standard_error"), FLOATS),
}
FIGURES: Types = {
    **dict.fromkeys(("of", "output", "name", "figure"), WORDS),
    **dict.fromkeys(("value", "error"), FLOATS),
    "rows": WHOLE,
}
NEVER_NULL = (ROW, "target", "feature", "feature_i", "feature_j", "rank", "rows", "left_out", "of", "figure")


@contextmanager
def opened_part(path: Location, footer: pq.FileMetaData | None = None) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file of a run, without reading its footer a second time where it is known.

    Raises RunError where it is not a file of the run's own, is torn, or the disk refuses, then and while it is read.
    """
    if isinstance(path, Path) and path.parent.is_symlink():
        raise _link(path.parent)
    require_own(path)
    try:
        with parquet_file(path, metadata=footer) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise RunError(
            f"{path}: cannot be read: {first_line(error)}. Try ihcli explain again with `overwrite`."
        ) from error


def read_group(file: pq.ParquetFile, group: int, names: Sequence[str] | None = None) -> pa.Table:
    """Read a row group; a small one without threads, which take longer to start than it to decode."""
    is_large = file.metadata.row_group(group).total_byte_size > SMALL_BYTES
    return file.read_row_group(group, names, use_threads=is_large)


def require_own(path: Location) -> None:
    """Raise RunError for what a run is not made of: a pipe, a device, a directory in a file's place, and a link.

    A pipe would be waited for; a link leads to what somebody else keeps or changes.
    """
    if not isinstance(path, Path):
        return
    mode = path.lstat().st_mode if os.path.lexists(path) else stat.S_IFREG  # what is not there is said by its reader
    if stat.S_ISLNK(mode):
        raise _link(path)
    for is_kind, words in ODD:
        if is_kind(mode):
            raise RunError(f"{path}: is {words}. Expected a file, as ihcli explain writes it. {WRONG}")


def require_types(path: Location, table: pa.Table, types: Types, names: Sequence[str] = ()) -> None:
    """Raise RunError where a table of a run lacks one of these names, or a column of ours holds something else."""
    there = frozenset(table.column_names)
    for name in names:
        if name not in there:
            raise RunError(f"{path}: has no column {quoted(name)}. {WRONG}")
    for name, (words, is_right) in types.items():
        if name not in there:
            continue
        column = table[name]
        if not is_right(column.type):
            raise RunError(f"{path}: column {name!r} holds {printable(str(column.type))}. Expected {words}. {WRONG}")
        if name in NEVER_NULL and column.null_count:
            raise RunError(f"{path}: column {name!r} has nulls. Expected {words}. {WRONG}")


def _link(path: Path) -> RunError:
    return RunError(
        f"{path}: is a link. Expected files and directories of the run's own. Try cp -rL RUN COPY, and ihcli with the "
        "copy."
    )
