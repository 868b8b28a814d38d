"""What a model file is, told from its content and never from its name."""

import pickletools
import re
import zipfile
from enum import Enum

from ihcli.errors import ModelError
from ihcli.files.locations import Location, absence
from ihcli.models.mistaken import Mistaken, is_safetensors, mistaken_archive, mistaken_directory, mistaken_file
from ihcli.wording import MODELS_IN_WORDS

COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x5d\x00\x00": "lzma", b"\xfd7zXZ": "xz"}
TORCH_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
_HEAD_BYTES = 4096
# An archive of torch unpacks to its own size, but for the code in it.
_MOST_EXPANSION, _HARMLESS_BYTES = 2, 64 << 20
WEIGHTS, SHARDS = "model.safetensors", "model.safetensors.index.json"
_PROGRAM = re.compile(r"models/[^/]+\.json")


class Kind(Enum):
    """The formats a file is recognised as; the value says it in words."""

    TORCHSCRIPT = "TorchScript"
    TORCH_ZIP = "pickled torch module"
    TORCH_LEGACY = "pickled torch module (torch.save before 1.6)"
    PICKLE = "pickle"
    EXPORTED = "torch.export program (.pt2)"
    HUGGING_FACE = "Hugging Face checkpoint"
    SAFETENSORS = "weights (safetensors)"


def recognise(path: Location) -> Kind:
    """Return what the file or directory is.

    Raises ModelError where it is missing, empty, unreadable, truncated or of no known kind.
    """
    try:
        if path.is_dir():
            return _recognise_directory(path)
        if path.exists() and not path.is_file():
            raise ModelError(f"{path}: a pipe or device, not a file. Expected {MODELS_IN_WORDS}. Try saving it first.")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(max(0, path.stat().st_size - 1))
            last = file.read(1)
    except FileNotFoundError:
        raise ModelError(absence(path, "file", MODELS_IN_WORDS)) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be opened ({error.strerror}). Expected {MODELS_IN_WORDS}.") from None
    return _recognise_bytes(path, head, last)


def refused(path: Location, mistaken: Mistaken) -> ModelError:
    """Return the error for something known that is no model of a format that is read."""
    return ModelError(f"{path}: {mistaken.what}. Expected {MODELS_IN_WORDS}. Try {mistaken.step}.")


def compression(head: bytes) -> str | None:
    """Return "zlib", "gzip", "bz2", "lzma", "xz", or None for bytes that are not compressed."""
    if len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib"
    return next((name for magic, name in COMPRESSIONS.items() if head.startswith(magic)), None)


def is_pickle(head: bytes, last: bytes) -> bool:
    """Return whether bytes with this beginning and last byte can be a pickle stream of protocol 0 to 5."""
    if head[:1] == b"\x80":
        return len(head) > 1 and head[1] <= 5
    if head[:1] not in (b"c", b"(", b"]", b"}", b"l", b"d") or last != b".":
        return False
    try:
        opcodes = pickletools.genops(head)
        return all(next(opcodes) is not None for _ in range(2))
    except (ValueError, StopIteration):
        return False


def _recognise_directory(path: Location) -> Kind:
    if (path / "config.json").is_file():
        return Kind.HUGGING_FACE
    if any((path / name).is_file() for name in (WEIGHTS, SHARDS)):
        return Kind.SAFETENSORS
    raise refused(path, mistaken_directory(path))


def _recognise_bytes(path: Location, head: bytes, last: bytes) -> Kind:
    if not head:
        raise ModelError(f"{path}: the file is empty. Expected {MODELS_IN_WORDS}. Try saving or copying it again.")
    if head.startswith(b"PK"):
        return _recognise_zip(path)
    if TORCH_MAGIC in head[:32]:
        return Kind.TORCH_LEGACY
    if is_safetensors(head, path.stat().st_size):
        return Kind.SAFETENSORS
    mistaken = mistaken_file(path, head, path.stat().st_size)
    if mistaken is not None:
        raise refused(path, mistaken)
    if compression(head) or is_pickle(head, last):
        return Kind.PICKLE
    what = "a text file" if _is_text(head) else "of no known kind"
    raise ModelError(f"{path}: {what}, not a model. Expected {MODELS_IN_WORDS}. Try swapping MODEL and DATA.")


def _recognise_zip(path: Location) -> Kind:
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
            unpacked = sum(record.file_size for record in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise ModelError(
            f"{path}: a zip archive that breaks off or is damaged. Expected {MODELS_IN_WORDS}. "
            "Try saving or copying it again."
        ) from None
    most = max(_HARMLESS_BYTES, _MOST_EXPANSION * path.stat().st_size)
    if unpacked > most:
        raise ModelError(
            f"{path}: a zip archive that unpacks to {unpacked} bytes from {path.stat().st_size}. Expected at most "
            f"{most}, as torch stores weights without compression. Try saving it again with torch."
        )
    inner = {name.partition("/")[2] for name in names}
    # Before torch 2.8 an archive without a directory, whose program has a name of its own.
    if "serialized_exported_program.json" in names or any(_PROGRAM.fullmatch(name) for name in {*inner, *names}):
        return Kind.EXPORTED
    # torch itself takes any archive with constants.pkl for TorchScript: both must be scanned before torch sees them.
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return Kind.TORCHSCRIPT
    if "data.pkl" in inner:
        return Kind.TORCH_ZIP
    raise refused(path, mistaken_archive(path, names))


def _is_text(head: bytes) -> bool:
    try:
        text = head[: _HEAD_BYTES - 4].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\r\n\t" for character in text)
