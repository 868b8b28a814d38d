"""What the directory of a checkpoint holds, looked at before anything of it is loaded."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.files.foreign import MOST_JSON_BYTES, foreign_json
from ihcli.models.checkpoints.safetensors import Shapes, declared_shapes
from ihcli.models.checkpoints.settings import check_sizes
from ihcli.models.checkpoints.tokenization import check_pipeline
from ihcli.models.mistaken import LFS_STEP, adapter, is_pointer
from ihcli.models.sniffing import SHARDS, WEIGHTS, refused
from ihcli.models.wrapping import Source
from ihcli.wording import printable, quoted

TASK = "ForSequenceClassification"
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "merges.txt")
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")
# Weights for other frameworks, which checkpoints hold beside those for torch.
_FOREIGN_WEIGHTS = (".h5", ".msgpack", ".onnx", ".ot", ".gguf", ".tflite")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
# What no code has to be fetched for; transformers heeds these settings whatever attention it is asked for.
_PLAIN = ("eager", "sdpa", "grouped_mm", "batched_mm")
_SHOWN = 5
_COPY = "Try saving or copying the checkpoint again."
_VOCABULARIES = ("tokenizer.json", "vocab.json")
_READ_JSON = ("special_tokens_map.json", "added_tokens.json", "generation_config.json", "vocab.json")
"""JSON that transformers reads beside what is read here."""
_MOST_VOCABULARY_BYTES = 64 << 20
_PATHS = ("tokenizer_file", "vocab_file", "merges_file", "spm_file")


def read_settings(source: Source) -> dict[str, Any]:
    """Return what config.json says of a text classifier whose files are all there.

    Raises UnsafeModelError for pickled weights without `trust` and for code of the checkpoint's own; ModelError for
    anything else than a text classifier, its weights and its tokenizer.
    """
    _check_files(source.path)
    settings = _json(source.path / "config.json")
    _check_settings(settings, source)
    _check_tokenizer(source.path)
    _check_weights(source)
    if has_safetensors(source.path):
        check_sizes(source.path / "config.json", settings, stored_shapes(source.path))
    return settings


def stored_shapes(directory: Path) -> Shapes:
    """Return the shapes of the tensors in the safetensors files of a checkpoint, by name."""
    return declared_shapes(*weight_files(directory))


def weight_files(path: Path) -> list[Path]:
    """Return the safetensors files of a file, an index of them, or a directory.

    The files of an index lie beside it. Raises ModelError where one is not there.
    """
    if not path.is_dir() and not path.name.endswith(".json"):
        return [path]
    directory, index = (path, SHARDS) if path.is_dir() else (path.parent, path.name)
    if path.is_dir() and not has_safetensors(path):
        raise ModelError(
            f"{path}: holds no weights (safetensors). Expected {WEIGHTS}, or {SHARDS} and its files. {_COPY}"
        )
    if path.is_dir() and (directory / WEIGHTS).is_file():
        return [directory / WEIGHTS]
    _check_shards(directory, index)
    return [directory / name for name in _shards(directory, index)]


def has_safetensors(directory: Path) -> bool:
    """Return whether weights are there in the format that can hold nothing but numbers."""
    return any((directory / name).is_file() for name in (WEIGHTS, SHARDS))


def is_read(name: str, names: Collection[str]) -> bool:
    """Return whether reading a checkpoint of files of these names can need this one."""
    suffix = Path(name).suffix.lower()
    has_others = WEIGHTS in names or SHARDS in names
    return suffix not in _FOREIGN_WEIGHTS and not (suffix in _PICKLES and has_others)


def listed(entries: list[str]) -> str:
    """Return the first few entries, and how many there are where that is not all."""
    shown = ", ".join(entries[:_SHOWN])
    return shown if len(entries) <= _SHOWN else f"{shown}, ... ({len(entries)} in all)"


def _check_files(directory: Path) -> None:
    """Refuse what would be waited for or never ends where a file is meant; links to files are what a hub's cache has.

    And JSON that is damaged or without bound, whoever may open it.
    """
    below = [entry for entry in directory.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    for entry in (each for folder in (directory, *below) for each in folder.iterdir()):
        if not entry.is_dir() and not entry.is_file():
            what = "a link to nothing" if entry.is_symlink() and not entry.exists() else "a pipe or device"
            raise ModelError(
                f"{printable(str(entry), None)}: {what}. Expected files. Try copying the checkpoint again."
            )
        if entry.is_file() and is_pointer(entry):
            where = printable(str(entry), None)
            raise ModelError(f"{where}: a Git LFS pointer, a few lines in place of the file. Try {LFS_STEP}.")
    for name in _READ_JSON:
        if (directory / name).exists():
            _json(directory / name)


def _json(path: Path) -> dict[str, Any]:
    most = _MOST_VOCABULARY_BYTES if path.name in _VOCABULARIES else MOST_JSON_BYTES
    content = foreign_json(path, ModelError, at_most_bytes=most, advice=_COPY, finite=False)
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds a {type(content).__name__}. Expected the settings of a model, by name.")
    return content


def _check_settings(settings: dict[str, Any], source: Source) -> None:
    path = source.path / "config.json"
    if "auto_map" in settings:
        _refuse_code(path)
    foreign = [name for name in _implementations(settings) if name not in _PLAIN]
    if foreign:
        raise UnsafeModelError(
            f"{path}: asks for the implementation {foreign[0]!r}, code that transformers may fetch and run. "
            f"Expected {_PLAIN[0]} or {_PLAIN[1]}, or none. Try taking that line out of config.json."
        )
    if "transformers_weights" in settings:
        raise ModelError(f"{path}: names its weights itself (transformers_weights). Expected {WEIGHTS}. {_COPY}")
    if "quantization_config" in settings:
        raise ModelError(f"{path}: a quantized model, which has no derivatives. Try the checkpoint it was made from.")
    architectures = settings.get("architectures")
    architectures = architectures if isinstance(architectures, list) else []
    if not all(isinstance(name, str) for name in architectures):
        raise ModelError(f"{path}: its architectures are not names. Expected a list of them. {_COPY}")
    if not any(str(name).endswith(TASK) for name in architectures):
        what = (
            printable(", ".join(map(str, architectures[:_SHOWN])))
            or "a model without a name for its task (no architectures)"
        )
        if (source.path / "modules.json").is_file():
            what = f"a model of sentence-transformers, which gives embeddings and no classes ({what})"
        raise ModelError(
            f"{path}: {what}. Expected a text classifier or regressor, whose name ends in {TASK}. "
            "Try the checkpoint of a fine-tuned classifier."
        )


def _implementations(settings: Any, is_one: bool = False) -> Iterator[str]:
    """Yield every attention and other implementation that settings name, at any depth."""
    if isinstance(settings, dict):
        for name, value in settings.items():
            yield from _implementations(value, is_one or "implementation" in name)
    elif isinstance(settings, list):
        for value in settings:
            yield from _implementations(value, is_one)
    elif is_one and isinstance(settings, str):
        yield settings


def _refuse_code(path: Path) -> None:
    raise UnsafeModelError(
        f"{path}: asks for Python code that comes with the checkpoint (auto_map), which is never run. "
        "Try a checkpoint of an architecture that transformers has itself."
    )


def _check_tokenizer(directory: Path) -> None:
    """Refuse a directory without one, which transformers would give an empty vocabulary."""
    if not any((directory / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(
            f"{directory}: holds no tokenizer. Expected one of {', '.join(TOKENIZER_FILES)}. "
            "Try tokenizer.save_pretrained to the same directory."
        )
    path = directory / "tokenizer_config.json"
    settings = _json(path) if path.exists() else {}
    if "auto_map" in settings:
        _refuse_code(path)
    outside = [
        name for name in _PATHS if isinstance(settings.get(name), str) and Path(settings[name]).name != settings[name]
    ]
    if outside:
        raise ModelError(f"{path}: names a file elsewhere ({outside[0]}). Expected files of its own directory. {_COPY}")
    longest = settings.get("model_max_length")
    if longest is not None and (type(longest) not in (int, float) or longest < 1):
        raise ModelError(
            f"{path}: its model_max_length is {printable(repr(longest), 80)}. Expected a number of tokens. {_COPY}"
        )
    if (directory / "tokenizer.json").exists():
        check_pipeline(_json(directory / "tokenizer.json"), directory / "tokenizer.json")


def _check_weights(source: Source) -> None:
    directory = source.path
    if (directory / "adapter_config.json").exists():
        raise refused(directory, adapter(directory))
    if (directory / WEIGHTS).is_file():
        return
    if (directory / SHARDS).is_file():
        _check_shards(directory)
    elif not any((directory / name).is_file() for name in PICKLED_WEIGHTS):
        raise ModelError(f"{directory}: holds no weights. Expected {WEIGHTS}, or {SHARDS} and the files it names.")
    elif not source.trust:
        raise UnsafeModelError(
            f"{directory}: holds its weights as a pickle ({PICKLED_WEIGHTS[0]}). Expected {WEIGHTS}. Try saving it "
            "again with save_pretrained(..., safe_serialization=True) or, only if you trust who made it, `trust`."
        )


def _check_shards(directory: Path, index: str = SHARDS) -> None:
    missing = [name for name in _shards(directory, index) if not (directory / name).is_file()]
    if missing:
        raise ModelError(
            f"{directory}: {listed(missing)} missing, which {index} names. Try copying the checkpoint again."
        )


def _shards(directory: Path, index: str = SHARDS) -> list[str]:
    """Return the names of the files that hold the weights; all of them lie in the directory itself."""
    path = directory / index
    places = _json(path).get("weight_map")
    if not isinstance(places, dict):
        raise ModelError(f"{path}: does not say which file holds which weight (no weight_map).")
    names = {name if isinstance(name, str) else repr(name)[:80] for name in places.values()}
    outside = sorted(name for name in names if Path(name).name != name or not name.endswith(".safetensors"))
    if outside:
        raise ModelError(
            f"{path}: names {quoted(outside[0])}. Expected safetensors files of its own directory. {_COPY}"
        )
    return sorted(names)
