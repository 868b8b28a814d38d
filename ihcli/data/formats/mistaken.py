"""Kinds of files that are no table of ours, told from their first bytes, and what makes one of each."""

import re
from dataclasses import dataclass

from ihcli.data.formats.conversions import by_pandas, by_recoding, by_unpacking, by_unzipping
from ihcli.files.locations import Location

PANDAS = {
    b"ARROW1": ("an Arrow or Feather file", "pandas.read_feather(FILE)"),
    b"\xff\xff\xff\xff": ("a stream of Arrow", 'pyarrow.ipc.open_stream(open(FILE, "rb")).read_pandas()'),
    b"FEA1": ("a Feather file", "pandas.read_feather(FILE)"),
    b"\x93NUMPY": ("an array of numpy", "pandas.DataFrame(numpy.load(FILE))"),
    b"\xd0\xcf\x11\xe0": ("a workbook of old Excel", "pandas.read_excel(FILE)"),
    b"ORC": ("an ORC file", "pandas.read_orc(FILE)"),
    b"<stata_dta>": ("a file of Stata", "pandas.read_stata(FILE)"),
    b"\x89HDF": ("an HDF5 file", "pandas.read_hdf(FILE)"),
    b"<?xml": ("XML", "pandas.read_xml(FILE)"),
}
UNPACKED = {
    b"BZh": ("compressed by bzip2", "bz2.open(FILE)"),
    b"\xfd7zXZ\x00": ("compressed by xz", "lzma.open(FILE)"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", 'pyarrow.input_stream(FILE, compression="zstd")'),
}
NAMED = {
    b"7z\xbc\xaf": "an archive of 7-Zip",
    b"Rar!": "an archive of RAR",
    b"PARE": "an encrypted Parquet file",
    b"$FL2": "a file of SPSS",
    b"RDX": "a file of R",
    b"X\n\x00\x00": "a file of R",
    b"Obj\x01": "an Avro file",
    b"%PDF": "a PDF",
    b"<!DOCTYPE": "a page of HTML",
    b"<html": "a page of HTML",
}
ENCODINGS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
JSON = re.compile(rb'\s*(\[\s*)?\{\s*"(?:[^"\\]|\\.)*"\s*:')
ZIP, PICKLE, SQLITE = b"PK\x03\x04", re.compile(rb"\x80[\x02-\x05]"), b"SQLite format 3\x00"
TAR, TAR_AT = b"ustar", 257
ENGINES = {"read_excel(": "openpyxl", "read_hdf(": "tables", "read_xml(": "lxml"}
"""What pandas needs beside itself."""


@dataclass(frozen=True)
class Foreign:
    """A file that is no table of ours: what it is, and what to try, in words."""

    words: str
    advice: str


def foreign_format(file: Location, start: bytes, *, is_unzipped: bool = False) -> Foreign | None:
    """Tell what a file is that begins so; None where that may be CSV or Parquet.

    Parameters:
        is_unzipped: the start is that of the content of a gzipped file.
    """
    found = _foreign(file, start)
    if found is None or not is_unzipped:
        return found
    return Foreign(f"gzipped, and {found.words} within", f"{by_unpacking(file, 'gzip.open(FILE)', '.unzipped')}.")


def _foreign(file: Location, start: bytes) -> Foreign | None:
    for magic, encoding in ENCODINGS.items():
        if start.startswith(magic):
            return _encoded(file, encoding)
    for magic, (words, read) in PANDAS.items():
        if start.startswith(magic):
            return _read_by_pandas(file, words, read)
    for magic, (words, opened) in UNPACKED.items():
        if start.startswith(magic):
            return Foreign(words, f"{by_unpacking(file, opened)}.")
    for magic, words in NAMED.items():
        if start.startswith(magic):
            return Foreign(words, "saving it as CSV or Parquet with the program that made it.")
    return _structured(file, start) or _wide_letters(file, start)


def _structured(file: Location, start: bytes) -> Foreign | None:
    if start.startswith(ZIP):
        return _zipped(file, start)
    if PICKLE.match(start):
        read = by_pandas(file, "pandas.read_pickle(FILE)")
        return Foreign("a pickle, which can run code when it is read", f"{read}, only if you trust who made it.")
    if start.startswith(SQLITE):
        read = by_pandas(file, 'pandas.read_sql("select * from TABLE", sqlite3.connect(FILE))')
        return Foreign("a database of SQLite", f"{read}, with the name of its table in place of TABLE.")
    if start[TAR_AT : TAR_AT + len(TAR)] == TAR:
        return Foreign("an archive of tar", "unpacking it with tar -xf, and the table in it.")
    if found := JSON.match(start):
        lines = "" if found[1] else ", lines=True"
        return _read_by_pandas(file, "JSON", f"pandas.read_json(FILE{lines})")
    return None


def _zipped(file: Location, start: bytes) -> Foreign:
    if b"[Content_Types].xml" in start or b"xl/" in start:
        return _read_by_pandas(file, "a workbook of Excel", "pandas.read_excel(FILE)")
    if b"opendocument.spreadsheet" in start:
        return Foreign("a sheet of OpenDocument", "saving it as CSV with the program that made it.")
    if b"/data.pkl" in start:
        read = by_pandas(file, "pandas.DataFrame(torch.load(FILE, weights_only=True).numpy())", ".csv")
        return Foreign("a file of torch", f"{read} where it is a tensor, or swapping MODEL and DATA.")
    if b".npy" in start:
        return Foreign("arrays of numpy", "numpy.load, and saving the one that is meant as CSV.")
    return Foreign("an archive of zip", f"{by_unzipping(file)}.")


def _wide_letters(file: Location, start: bytes) -> Foreign | None:
    """Tell UTF-16 without a mark: letters of ASCII with a zero before or behind each."""
    for first, encoding in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        zeros, letters = start[first::2], start[1 - first :: 2]
        if len(zeros) > 1 and not any(zeros) and 0 not in letters:
            return _encoded(file, encoding)
    return None


def _encoded(file: Location, encoding: str) -> Foreign:
    return Foreign(f"text in {encoding.removesuffix('LE').removesuffix('BE')}", f"{by_recoding(file, encoding)}.")


def _read_by_pandas(file: Location, words: str, read: str) -> Foreign:
    needed = next((f", for which pandas needs {engine}" for part, engine in ENGINES.items() if part in read), "")
    suffix = ".csv" if "numpy." in read else ".parquet"  # names of columns that count are text in CSV
    return Foreign(words, f"{by_pandas(file, read, suffix)}{needed}.")
