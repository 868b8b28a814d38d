"""The sizes in config.json, held against the tensors of a checkpoint before a model of that size is made."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ihcli.errors import ModelError
from ihcli.files.foreign import one_message
from ihcli.models.checkpoints.safetensors import Shapes
from ihcli.wording import printable

MOST_LAYERS = 1024
_MOST_SIZE = 1 << 17
"""Of what no tensor bears out, such as the positions of a rotary embedding; more where there are many weights."""
_WEIGHTS_FOR_A_SIZE = 64
_REPEATED = re.compile(r"^(num|n)_.*(layer|block|group|expert|stage|stack)s?$|layers$|inner_group_num")
_VALUES = re.compile(r"theta|seed|flos|token_id|base|parameters")
_MOST_LABELS = ("id2label", "label2id")
_HARMLESS_NUMBERS, _MOST_GROWTH = 1 << 24, 4


def check_sizes(path: Path, settings: dict[str, Any], shapes: Shapes) -> None:
    """Refuse counts that no tensor bears out.

    path    config.json, for messages
    shapes  of the tensors in the checkpoint's files

    Raises ModelError.
    """
    largest = max((length for shape in shapes.values() for length in shape), default=0)
    weights = sum(map(_product, shapes.values()))
    most_size = max(_MOST_SIZE, largest, weights // _WEIGHTS_FOR_A_SIZE)
    for name, number in _numbers("", settings):
        if name == "num_labels":
            _check(path, name, number, largest, "the longest side of any tensor")
        elif _REPEATED.search(name):
            _check(path, name, number, min(len(shapes), MOST_LAYERS), "the number of tensors")
        elif not _VALUES.search(name):
            _check(path, name, number, most_size, "any size in its files")
    for name in _MOST_LABELS:
        if isinstance(settings.get(name), dict):
            _check(path, f"length of {name}", len(settings[name]), largest, "the longest side of any tensor")


def check_growth(path: Path, config: Any, shapes: Shapes) -> None:
    """Refuse settings whose model would be far larger than the tensors in the files; it is made without memory.

    Raises ModelError.
    """
    from transformers import AutoModelForSequenceClassification

    with one_message(path.parent, ModelError, "made a model"), torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    wanted = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    stored = sum(map(_product, shapes.values()))
    if wanted > _MOST_GROWTH * stored + _HARMLESS_NUMBERS:
        raise ModelError(
            f"{path}: asks for a model of {wanted} numbers, but the files hold {stored}. Expected the settings that "
            "the weights were trained with. Try copying the checkpoint again."
        )


def _check(path: Path, name: str, number: float, most: int, what: str) -> None:
    if number > most:
        raise ModelError(
            f"{path}: its {printable(name, 80)} is {number}, more than {what} ({most}). Expected the settings that the "
            "weights were trained with. Try copying the checkpoint again."
        )


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield every whole number in settings, at any depth, under the name that it stands by."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(str(key), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(name, inner)
    elif type(value) is int:
        yield name, value


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product
