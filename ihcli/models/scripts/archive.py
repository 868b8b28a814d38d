"""A TorchScript archive before torch loads it: the names, sizes, pickles and code of its records.

torch finds a record whatever the case of its name, and looks for some that are seldom there; so names that it could
take for one of its own must be written as it writes them, and once.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ihcli.models.scripts.code import Declared, declared_classes, refused_words
from ihcli.models.scripts.pickles import RefusedError, Sketch
from ihcli.models.scripts.types import mismatch
from ihcli.wording import printable, quoted

MOST_RECORDS = 100_000
MOST_CODE_BYTES = 16 << 20
_MOST_EXPANSION, _HARMLESS_BYTES = 2, 64 << 20
_PICKLES = ("data", "constants")
_RECORDS = frozenset(("code", "data", "constants", "extra", "data.pkl", "constants.pkl", "version", "byteorder"))
# Of archives before torch 1.3, which name records of their own, and of what else torch knows to load.
_OTHERS = {"model.json": "was saved by a torch before 1.3", "attributes.pkl": "was saved by a torch before 1.3"}


def refused_in(path: Path) -> Iterator[str]:
    """Yield what an archive asks for that is not done without trust, in words.

    Raises ValueError, or whatever torch's reader does, for one that is damaged.
    """
    sizes = _listed(path)
    if words := _refused_names([name for name, _ in sizes]):
        yield words
        return
    records = dict(sizes)
    reader: Any = torch._C.PyTorchFileReader(str(path))
    listed = reader.get_all_records()
    if sorted(listed) != sorted(records) or any(reader.get_record_size(name) != records[name] for name in listed):
        raise ValueError("its directory can be read in two ways")
    classes: dict[str, Declared] = {}
    for name in _code_in(records):
        content = reader.get_record(name)
        refusals = [f"its code ({name}) {words}" for words in refused_words(content)]
        yield from refusals
        if not refusals:
            prefix = name.removeprefix("code/").removesuffix(".py").replace("/", ".")
            classes |= {f"{prefix}.{word}": declared for word, declared in declared_classes(content).items()}
    yield from _refused_data(reader, records, classes)


def _listed(path: Path) -> list[tuple[str, int]]:
    """Return names and sizes of all records below the top directory, as another reader than torch's sees them.

    Where that reader and torch's agree, and every header with the directory, there are no two ways to read the file.
    """
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_RECORDS:
            raise ValueError(f"holds {len(entries)} records. Expected at most {MOST_RECORDS}")
        for entry in entries:
            archive.open(entry).close()  # compares its own header with the directory
            if entry.header_offset + entry.compress_size > archive.start_dir or entry.filename != entry.orig_filename:
                raise ValueError(f"the record {printable(entry.filename)} is not where the directory says")
    most = max(_HARMLESS_BYTES, _MOST_EXPANSION * path.stat().st_size)
    if sum(entry.file_size for entry in entries) > most:
        raise ValueError(f"unpacks to more than {most} bytes")
    top = f"{entries[0].filename.partition('/')[0]}/" if entries else ""
    return [(entry.filename.removeprefix(top), entry.file_size) for entry in entries]


def _refused_names(names: list[str]) -> str | None:
    """Return what is wrong with the names of records, in words."""
    lowered = [name.lower() for name in names]
    for name, low in zip(names, lowered, strict=True):
        first = low.partition("/")[0]
        if low in _OTHERS:
            return f"it {_OTHERS[low]} ({printable(name)})"
        is_odd = first in _RECORDS and name.partition("/")[0] != first
        is_odd |= first == "code" and not name.endswith((".py", ".debug_pkl"))
        if is_odd or not name.isprintable() or "\\" in name or {"", ".", ".."} & set(name.split("/")):
            return f"it names a record {quoted(name)}, otherwise than torch writes names"
    if len(set(lowered)) < len(names):
        twice = next(name for name, low in zip(names, lowered, strict=True) if lowered.count(low) > 1)
        return f"it holds the record {quoted(twice)} twice, or in upper and lower case"
    return None


def _code_in(records: dict[str, int]) -> list[str]:
    found = [name for name in records if name.startswith("code/") and name.endswith(".py")]
    if sum(records[name] for name in found) > MOST_CODE_BYTES:
        raise ValueError(f"holds more than {MOST_CODE_BYTES} bytes of code")
    return found


def _refused_data(reader: Any, records: dict[str, int], classes: dict[str, Declared]) -> Iterator[str]:
    stored = 0
    for folder in _PICKLES:
        sketch = Sketch(lambda key, folder=folder: records.get(f"{folder}/{key}"))  # type: ignore[misc]
        try:
            value = sketch.read(reader.get_record(f"{folder}.pkl"))
        except RefusedError as error:
            yield f"its data ({folder}.pkl) {error}"
            return
        stored += sketch.stored_bytes
        if words := mismatch(value, classes):
            raise ValueError(f"{folder}.pkl holds {words}")
    if stored > max(_HARMLESS_BYTES, _MOST_EXPANSION * sum(records.values())):
        raise ValueError(f"its tensors take {stored} bytes, more than the file holds")
