"""One small layer of every class that a pickle may hold, and pickles of layers whose states were changed by hand."""

import pickle
import warnings
from typing import Any

import model_files
import torch
from torch import nn
from torch.nn.modules import conv, rnn

from ihcli.models.pickles.allow_list import module_classes

SIZES: tuple[tuple[Any, ...], ...] = (
    *((), (3,), (4, 2), (4, 2, 3), (1, (3, 1)), ((4, 4), (2, 2)), (4, 8, [2, 3])),
    *((lambda: nn.TransformerEncoderLayer(4, 2, 8), 2), (lambda: nn.TransformerDecoderLayer(4, 2, 8), 2)),
)
"""Arguments that are tried in turn; functions among them are called first."""
INSTEAD: dict[type[nn.Module], nn.Module] = {
    conv._ConvNd: nn.Conv1d(4, 2, 3),
    conv._ConvTransposeNd: nn.ConvTranspose1d(4, 2, 3),
    conv._ConvTransposeMixin: nn.ConvTranspose1d(4, 2, 3),
    rnn.RNNBase: nn.RNN(3, 2),
    rnn.RNNCellBase: nn.RNNCell(3, 2),
}
"""Layers whose states serve for classes that cannot be made."""
CLASSES = {cls.__name__: cls for cls in module_classes()}


def layer(cls: type[nn.Module]) -> nn.Module:
    """A layer of the class, as small as it comes."""
    if cls in INSTEAD:
        return with_state(cls, vars(INSTEAD[cls]))
    if cls is nn.Transformer:
        return nn.Transformer(4, 2, 1, 1, 8, batch_first=True)
    for arguments in SIZES:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return cls(*(each() if callable(each) else each for each in arguments))
        except (TypeError, ValueError, AssertionError, NotImplementedError):
            continue
    raise AssertionError(f"no layer of {cls.__name__}")


def with_state(cls: type[nn.Module], state: dict[str, Any]) -> nn.Module:
    """An instance that was never initialised, whatever its class says to the state."""
    instance = object.__new__(cls)
    vars(instance).update(state)
    return instance


def changed(original: nn.Module, **changes: Any) -> bytes:
    """The pickle of a layer whose state is another in places; pickle itself would ask the changed layer how."""
    cls = type(original)
    state = {name: value for name, value in vars(original).items() if name != "_flat_weight_refs"} | changes
    made = model_files.stack_global(cls.__module__, cls.__qualname__) + b")\x81"
    return model_files.opcodes(made + pickle.dumps(state, 2)[2:-1] + b"b")


def counts(original: nn.Module) -> dict[str, Any]:
    """The attributes of a layer that are numbers or tuples of them."""
    return {
        name: value
        for name, value in vars(original).items()
        if type(value) is int or (type(value) in (tuple, torch.Size) and all(type(part) is int for part in value))
    }
