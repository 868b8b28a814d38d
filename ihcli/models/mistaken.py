"""What is given in place of a model: files, archives and directories of other kinds, by content, and what to do."""

import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ihcli.files.locations import Location
from ihcli.models.steps import CODE_STEP, python_line, quoted
from ihcli.wording import listed, printable

POINTER = b"version https://git-lfs.github.com/spec/"
LFS_STEP = "git lfs install, then git lfs pull where the repository is"
MODEL_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".bin", ".pt2", ".safetensors")
_REBUILD = "the same network in torch, with its weights, saved by torch.jit.script(model).save(path)"
_NO_TREES = "a neural network: trees have no derivatives"
_SWAP = "swapping MODEL and DATA"
_MOST_ENTRIES = 1000
_INDEX = re.compile(rb'\s*\{\s*"')


class Mistaken(NamedTuple):
    """What something is, and what to try."""

    what: str
    step: str


_MAGIC: tuple[tuple[int, bytes, Mistaken], ...] = (
    (0, b"PAR1", Mistaken("a Parquet table, not a model: the model comes first, the data second", _SWAP)),
    (0, b"\x89HDF", Mistaken("an HDF5 file, in which Keras keeps its models (.h5), which are not read", _REBUILD)),
    (0, b"\x04\x22\x4d\x18", Mistaken("compressed with lz4, which is not read", "joblib.dump with compress='zlib'")),
    (0, b"\x28\xb5\x2f\xfd", Mistaken("compressed with zstd, which is not read", "decompressing it with unzstd")),
    (0, b"ZF", Mistaken("written by joblib 0.9 or older", "loading and dumping it with a newer joblib")),
    (0, b"GGUF", Mistaken("a GGUF file, whose weights are quantized", "the checkpoint that it was made from")),
    (0, POINTER, Mistaken("a Git LFS pointer, a few lines in place of the model", LFS_STEP)),
    (0, b"\x93NUMPY", Mistaken("an array of NumPy, not a model", _SWAP)),
    (0, b"CBM1", Mistaken("a model of CatBoost", _NO_TREES)),
    (0, b"tree\nversion=", Mistaken("a model of LightGBM", _NO_TREES)),
    (0, b"7z\xbc\xaf\x27\x1c", Mistaken("a 7-Zip archive", "unpacking it, and the model in it")),
    (0, b"Rar!", Mistaken("a RAR archive", "unpacking it, and the model in it")),
    (0, b"MATLAB 5.0", Mistaken("a file of MATLAB", _REBUILD)),
    (0, b"RDX", Mistaken("a file of R", _REBUILD)),
    (4, b"TFL3", Mistaken("a model of TensorFlow Lite", _REBUILD)),
    (257, b"ustar", Mistaken("a tar archive", "tar -xf on it, and the model in it")),
)
_TEXTS: tuple[tuple[re.Pattern[bytes], Mistaken], ...] = (
    (
        re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype html|html)", re.I | re.S),
        Mistaken("a web page in place of the model", "downloading the file itself, not the page that shows it"),
    ),
    (re.compile(rb"\s*<(\?xml|PMML)"), Mistaken("an XML file, not a model", _REBUILD)),
    (re.compile(rb'\{L.{0,8}learner|\s*\{\s*"learner"', re.S), Mistaken("a model of XGBoost", _NO_TREES)),
    (re.compile(rb'\s*\{\s*"'), Mistaken("a JSON file, not a model", "the model file or directory next to it")),
    (re.compile(rb"[\s\S]*^(import|from) torch\b", re.M), Mistaken("a Python script, not a model", "what it saves")),
)


def mistaken_file(path: Location, head: bytes, n_bytes: int) -> Mistaken | None:
    """Return what a file with these first bytes is, where it is something known that is not read."""
    for offset, magic, mistaken in _MAGIC:
        if head.startswith(magic, offset):
            return mistaken
    if is_safetensors(head, n_bytes):
        return weights(path)
    if _is_onnx(head):
        return Mistaken("an ONNX model, which is not read", "the torch model it was exported from, as TorchScript")
    if _is_msgpack(head):
        return Mistaken("a MessagePack file, in which Flax keeps weights, which is not read", _REBUILD)
    return next((mistaken for pattern, mistaken in _TEXTS if pattern.match(head)), None)


def mistaken_archive(path: Location, names: Collection[str]) -> Mistaken:
    """Return what a zip archive of these names is, which torch did not write."""
    if "model.weights.h5" in names:
        return Mistaken("a model of Keras (.keras), which is not read", _REBUILD)
    if names and all(name.endswith(".npy") for name in names):
        return Mistaken("arrays of NumPy (.npz), not a model", _SWAP)
    models = [name for name in names if name.endswith(MODEL_SUFFIXES)]
    models += [str(PurePosixPath(name).parent) for name in names if PurePosixPath(name).name == "config.json"]
    what = "a model archive of TorchServe (.mar)" if "MAR-INF/MANIFEST.json" in names else "a zip archive"
    if not models:
        return Mistaken(f"{what} without a model in it", "saving the model again")
    inner = printable(f"unpacked/{models[0]}")
    return Mistaken(
        f"{what} with {listed(sorted(models), 3)} in it",
        f"python -m zipfile -e {shlex.quote(str(path))} unpacked, and {inner} as MODEL",
    )


def mistaken_directory(path: Location) -> Mistaken:
    """Return what a directory without config.json is."""
    entries = _entries(path)
    names = {entry.name for entry in entries}
    if "adapter_config.json" in names:
        return adapter(path)
    if "saved_model.pb" in names:
        return Mistaken("a SavedModel of TensorFlow, which is not read", _REBUILD)
    checkpoints = sorted((e for e in entries if (e / "config.json").is_file()), key=lambda e: _number(e.name))
    if checkpoints:
        return Mistaken(
            f"a directory without config.json, over checkpoints ({listed([e.name for e in checkpoints], 3)})",
            str(checkpoints[-1]),
        )
    models = sorted(str(entry) for entry in _files(entries) if entry.name.endswith(MODEL_SUFFIXES))
    if models:
        return Mistaken(f"a directory without config.json, with {listed(models, 3)} in it", models[0])
    if any(name.endswith((".csv", ".parquet")) for name in names):
        return Mistaken("a directory without config.json, with tables in it", _SWAP)
    what = "a directory without config.json" if names else "an empty directory"
    return Mistaken(what, "the path of a file")


def adapter(path: Location) -> Mistaken:
    """Return what the directory of a LoRA adapter is, and the line that merges it into its model."""
    merged = f"{path.name}-merged"
    line = python_line(
        "import peft, transformers",
        f"a = {quoted(path)}",
        "m = peft.AutoPeftModelForSequenceClassification.from_pretrained(a)",
        f"m.merge_and_unload().save_pretrained({quoted(merged)})",
        "t = transformers.AutoTokenizer.from_pretrained(m.active_peft_config.base_model_name_or_path)",
        f"t.save_pretrained({quoted(merged)})",
    )
    return Mistaken(
        "holds an adapter (adapter_config.json), not whole weights",
        f"merging it into its model with {line}, from_pretrained(a, num_labels=K) where there are K classes and not 2, "
        f"and {merged} as MODEL",
    )


def weights(path: Location) -> Mistaken:
    """Return what weights in safetensors are, and what brings them to their network."""
    what = "weights (safetensors), without the network"
    if (path.parent / "config.json").is_file():
        return Mistaken(
            what,
            f"{path.parent}, the directory of the checkpoint; or, for a network that transformers lacks, {CODE_STEP}",
        )
    return Mistaken(what, CODE_STEP)


def is_safetensors(head: bytes, n_bytes: int) -> bool:
    """Return whether a file of so many bytes that begins with these can hold weights, or an index of such files."""
    if _INDEX.match(head) and b'"weight_map"' in head:
        return True
    return head[8:9] == b"{" and head[9:10] in b'"}' and int.from_bytes(head[:8], "little") + 8 <= n_bytes


def is_pointer(file: Path) -> bool:
    """Return whether a few lines of Git LFS stand in place of a file."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(POINTER)) == POINTER
    except OSError:  # told where the file is read, if it is
        return False


def _is_onnx(head: bytes) -> bool:
    """A protocol buffer whose first field is a small version, and whose next is a producer, a graph or operators."""
    return len(head) > 3 and head[0] == 0x08 and 0 < head[1] < 0x20 and head[2] in (0x12, 0x1A, 0x3A, 0x42)


def _is_msgpack(head: bytes) -> bool:
    """A map of up to 15 entries, the first of them named by a short word."""
    word = head[2 : 2 + (head[1] & 0x1F)] if len(head) > 2 and 0xA1 <= head[1] <= 0xBF else b""
    return 0x81 <= head[0] <= 0x8F and bool(word) and word.isascii() and word.decode().isprintable()


def _entries(directory: Location) -> list[Location]:
    """Return the first entries of a directory, which may be of any size."""
    found: list[Location] = []
    for entry in directory.iterdir():
        if len(found) == _MOST_ENTRIES:
            break
        found.append(entry)
    return sorted(found, key=str)


def _files(entries: Iterable[Location]) -> Iterator[Location]:
    """Yield files, and those of directories one level below."""
    for entry in entries:
        yield from _entries(entry) if entry.is_dir() else (entry,)


def _number(name: str) -> tuple[int, str]:
    digits = re.search(r"(\d{1,9})\D*$", name)
    return (int(digits[1]) if digits else -1), name
