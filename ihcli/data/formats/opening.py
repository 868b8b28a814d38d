"""Tables as users name them: the files behind a path, and their format told by content."""

import gzip
import zlib

from ihcli.data.formats.csv import CsvFiles
from ihcli.data.formats.mistaken import foreign_format
from ihcli.data.formats.parquet import ParquetFiles
from ihcli.data.formats.separators import GZIP_MAGIC
from ihcli.data.formats.table import TableFiles
from ihcli.errors import DataError
from ihcli.files.locations import Location, absence, distinct, is_glob, locate, matching

TABLE_SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz")
PARQUET_MAGIC = b"PAR1"
START_BYTES = 4096  # by which a file is told


def open_table(path: str) -> TableFiles:
    """Find the files behind a path (file, directory or glob) and recognise their format by content.

    Raises DataError where there is no file, the formats differ, or a file is neither Parquet nor CSV.
    """
    files = find_files(path)
    formats = [_recognise(file) for file in files]
    for file, format_ in zip(files, formats, strict=True):
        if format_ is not formats[0]:
            raise DataError(
                f"{path}: holds both {formats[0].format} ({files[0].name}) and {format_.format} ({file.name}). "
                "Expected one format. Try a glob that names only the files of one table."
            )
    return formats[0](path, files)


def find_files(path: str) -> list[Location]:
    """Return the files behind a path, sorted; raises DataError where there are none."""
    found = locate(path)
    if found.is_dir():
        files = distinct(file for file in found.iterdir() if _is_table_name(file) and file.is_file())
        if not files:
            _refuse_partitions(found)
            raise DataError(
                f"{path}: the directory holds no table. Expected {', '.join(TABLE_SUFFIXES)} files directly in it."
            )
        return files
    if found.exists():
        return [found]
    if is_glob(found):
        files = matching(found)
        if not files:
            raise DataError(f"{path}: no file matches. Try the pattern with ls.")
        return files
    raise DataError(absence(found, "file or directory", "a Parquet or CSV file, a directory of them, or a glob"))


def _refuse_partitions(directory: Location) -> None:
    """Refuse a directory whose subdirectories are named by values, which would have to become a column."""
    named = min((entry.name for entry in directory.iterdir() if entry.is_dir() and "=" in entry.name), default=None)
    if named is not None:
        raise DataError(
            f"{directory}: is partitioned by {named.partition('=')[0]!r}, and values in names of directories are not "
            f"read. Expected files with all their columns. Try the glob '{directory}/*/*.parquet' to go without that "
            "column, or to write the table without partitions."
        )


def _is_table_name(file: Location) -> bool:
    return file.name.lower().endswith(TABLE_SUFFIXES) and not file.name.startswith((".", "_"))


def _recognise(file: Location) -> type[TableFiles]:
    if not file.is_file():
        raise DataError(f"{file}: a pipe or device. Expected a file, which can be read more than once. Try saving it.")
    try:
        with file.open("rb", buffering=0) as stream:
            start = stream.read(START_BYTES)
    except OSError as error:
        raise DataError(f"{file}: cannot be opened: {error.strerror}.") from error
    if start.startswith(PARQUET_MAGIC):
        return ParquetFiles
    is_zipped = start.startswith(GZIP_MAGIC)
    start = _unzipped(file) if is_zipped else start
    foreign = foreign_format(file, start, is_unzipped=is_zipped)
    if foreign is not None:
        raise DataError(f"{file}: is {foreign.words}. Expected Parquet or CSV. Try {foreign.advice}")
    if b"\0" not in start and file.suffix.lower() not in (".parquet", ".pq"):
        return CsvFiles
    raise DataError(
        f"{file}: is neither Parquet nor CSV. Expected one of them; other tables can be saved so with pandas."
    )


def _unzipped(file: Location) -> bytes:
    """Return the first bytes of what is zipped; nothing where they cannot be unzipped, which reading them will tell."""
    try:
        with file.open("rb") as stream:
            return gzip.GzipFile(fileobj=stream).read(START_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""
