"""What the directory of a checkpoint holds, looked at before anything of it is loaded."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.foreign import foreign_json
from ihcli.models.wrapping import Source

TASK = "ForSequenceClassification"
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "merges.txt")
WEIGHTS, SHARDS = "model.safetensors", "model.safetensors.index.json"
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")
# Weights for other frameworks, which checkpoints hold beside those for torch.
_FOREIGN_WEIGHTS = (".h5", ".msgpack", ".onnx", ".ot", ".gguf", ".tflite")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
# What no code has to be fetched for; transformers heeds these settings whatever attention it is asked for.
_PLAIN = ("eager", "sdpa", "grouped_mm", "batched_mm")
_SHOWN = 5


def read_settings(source: Source) -> dict[str, Any]:
    """Return what config.json says of a text classifier whose files are all there.

    Raises UnsafeModelError for pickled weights without `trust` and for code of the checkpoint's own; ModelError for
    anything else than a text classifier, its weights and its tokenizer.
    """
    settings = _json(source.path / "config.json")
    _check_settings(settings, source)
    _check_tokenizer(source.path)
    _check_weights(source)
    return settings


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


def _json(path: Path) -> dict[str, Any]:
    content = foreign_json(path, ModelError, advice="Try saving or copying the checkpoint again.", finite=False)
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
    if "quantization_config" in settings:
        raise ModelError(f"{path}: a quantized model, which has no derivatives. Try the checkpoint it was made from.")
    architectures = settings.get("architectures")
    architectures = architectures if isinstance(architectures, list) else []
    if not any(str(name).endswith(TASK) for name in architectures):
        what = ", ".join(map(str, architectures)) or "a model without a name for its task (no architectures)"
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
    if path.exists() and "auto_map" in _json(path):
        _refuse_code(path)


def _check_weights(source: Source) -> None:
    directory = source.path
    if (directory / "adapter_config.json").exists():
        raise ModelError(
            f"{directory}: holds an adapter (adapter_config.json). Expected whole weights. "
            "Try merging it into its model and saving that."
        )
    if (directory / WEIGHTS).is_file():
        return
    if (directory / SHARDS).is_file():
        _check_shards(directory)
    elif not any((directory / name).is_file() for name in PICKLED_WEIGHTS):
        raise ModelError(f"{directory}: holds no weights. Expected {WEIGHTS}, or {SHARDS} and the files it names.")
    elif not source.trust:
        raise UnsafeModelError(
            f"{directory}: holds its weights as a pickle ({PICKLED_WEIGHTS[0]}). Expected {WEIGHTS}. Try saving it "
            "again with save_pretrained(..., safe_serialization=True) or, only if you trust who made it, --trust."
        )


def _check_shards(directory: Path) -> None:
    places = _json(directory / SHARDS).get("weight_map")
    if not isinstance(places, dict):
        raise ModelError(f"{directory / SHARDS}: does not say which file holds which weight (no weight_map).")
    missing = sorted(name for name in set(map(str, places.values())) if not (directory / name).is_file())
    if missing:
        raise ModelError(
            f"{directory}: {listed(missing)} missing, which {SHARDS} names. Try copying the checkpoint again."
        )
