"""What a module returns in the place of one tensor, and how one of the tensors in it is taken."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ihcli.models.around import Around
from ihcli.models.model import RETURNS, Model, described
from ihcli.models.steps import Loader, imports, python_line, quoted

_WRAPPED = "wrapping it in a module that picks the output"
_EXPECTED = "Expected one tensor of shape (N,), (N, 1) or (N, K)"
RETURN_ONE = f"{_EXPECTED}. Try {_WRAPPED}"


def returned_message(model: Model, outputs: Any, rows: Tensor) -> str:
    """Say that outputs for rows (N, D) are not one tensor, and what makes a model of one of the tensors in them."""
    taken = next(_usable(outputs, len(rows)), None)
    step = _WRAPPED if taken is None or isinstance(model.module, Around) else _step(model, taken, rows.shape[1])
    return f"{model.subject}: {RETURNS}{described(outputs)}. {_EXPECTED}. Try {step}."


def _usable(outputs: Any, n_rows: int) -> Iterator[str]:
    """Yield how a tensor with a row for each of n_rows is taken out of outputs."""
    for taken, value in _entries(outputs):
        if isinstance(value, Tensor) and value.is_floating_point() and value.dim() in (1, 2) and len(value) == n_rows:
            yield taken


def _entries(outputs: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(outputs, Mapping):
        yield from ((f"[{quoted(name)}]", value) for name, value in outputs.items() if isinstance(name, str))
    elif isinstance(outputs, tuple | list):
        yield from ((f"[{place}]", value) for place, value in enumerate(outputs))
    elif dataclasses.is_dataclass(outputs):
        names = (field.name for field in dataclasses.fields(outputs))
        yield from ((f".{name}", getattr(outputs, name)) for name in names)


def _step(model: Model, taken: str, n_inputs: int) -> str:
    name = type(model.module).__name__
    if model.path is None:
        return f"lambda x: model(x){taken} in the place of the model, or another of them"
    if model.code is not None and model.code.name.endswith(f":{name}"):
        file = model.code.name.removesuffix(f":{name}")
        return (
            f"class Picked({name}): forward = lambda self, *inputs: {name}.forward(self, *inputs){taken} in its file, "
            f"and `code={file}:Picked`"
        )
    if model.format != "TorchScript" or not isinstance(model.path, Path):
        return _WRAPPED
    loader = Loader(model.path, "torch")
    line = python_line(
        imports("torch"),
        f"m = torch.jit.load({quoted(model.path)})",
        f'p = type("Picked", (torch.nn.Module,), {{"forward": lambda self, x: self.m(x){taken}}})()',
        "p.m = m",
        f"torch.jit.trace(p, torch.zeros(2, {n_inputs}, dtype={model.dtype})).save({quoted(loader.written('.pt'))})",
    )
    return f"{line}, only if you trust who made it, and {loader.written('.pt')} as MODEL"
