"""Layers: what they give, or take, is opened in the place of the columns, and the rest of the network is explained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.errors import ModelCallError, ModelError
from ihcli.models.around import Around, innermost, through
from ihcli.models.formats.exported import ExportedModule
from ihcli.models.model import Model
from ihcli.openings.cutting.eager import EagerCutter
from ihcli.openings.cutting.exported import ExportedCutter
from ihcli.openings.cutting.places import Cut, Cutter, Place, handing
from ihcli.openings.cutting.scripts import ScriptCutter
from ihcli.wording import did_you_mean, listed, quoted

INPUT = ":input"
"""Behind the name of a layer: what it takes is meant."""
_ROWS = 7
_AGREEMENT = {torch.float32: 1e-4, torch.float64: 1e-9}


@dataclass(frozen=True, eq=False)
class Layers:
    """Places in a network whose values are opened.

    cuts         in the order of the calls of each layer
    is_around    whether the output also depends on the row in another way than through these places: it is held
    placeholder  (C,) a valid row, for where rows do not matter

    Flat inputs are [values of the places | the row, where it is held], D of them.
    """

    cuts: tuple[Cut, ...]
    is_around: bool
    placeholder: Tensor

    @property
    def width(self) -> int:
        """Return how many values are opened, L."""
        return sum(cut.width for cut in self.cuts)

    @property
    def names(self) -> tuple[str, ...]:
        """Return a name for each value: layer[3], and layer#2[3] of its second call."""
        of_layer = [(cut.place.layer, cut.place.is_input) for cut in self.cuts]
        return tuple(
            f"{called(cut.place, of_layer.count((cut.place.layer, cut.place.is_input)))}[{','.join(map(str, at))}]"
            for cut in self.cuts
            for at in product(*map(range, cut.shape))
        )

    def recording(self, model: Model) -> Model:
        """Return a model whose outputs (n, K + L) of rows (n, C) are followed by what is at the places."""
        places = [cut.place for cut in self.cuts]
        return through(model, lambda inner: replace(inner, module=cutter_of(inner).recording(places)))

    def flat(self, recording: Model, rows: Tensor) -> Tensor:
        """Return the flat inputs of rows (n, C). Cost: a forward."""
        values = recording.outputs(rows)[:, -self.width :]
        return torch.cat([values, rows], dim=1) if self.is_around else values

    def opened(self, model: Model) -> Model:
        """Return the model as a function of flat inputs."""
        cut = through(model, lambda inner: replace(inner, module=cutter_of(inner).cut(self.cuts)))
        return replace(cut, module=_Flat(cut.module, self), n_inputs=None)

    def description(self) -> list[Mapping[str, Any]]:
        """Return what run.json says of each place, see `ihcli.runs.openings.OpeningInfo`."""
        return [
            {
                "kind": "layer",
                "columns": (),
                "width": cut.width,
                "codes": None,
                "layer": cut.place.layer + (INPUT if cut.place.is_input else ""),
                "call": cut.place.call + 1,
            }
            for cut in self.cuts
        ]


def called(place: Place, calls: int) -> str:
    """Return what a place is called, numbered where the layer has several calls."""
    name = place.layer + (INPUT if place.is_input else "")
    return name if calls == 1 else f"{name}#{place.call + 1}"


def find_layers(model: Model, wanted: Sequence[str], sample: Tensor) -> Layers:
    """Find layers by their names, and what they give for rows.

    Parameters:
        wanted: names as in `named_modules`; "NAME:input" is what the layer takes.
        sample: (n, C) valid rows, in the model's dtype and on its device.

    Cost: some calls of the model for each layer.
    Raises ModelError where there is no such layer, it is not called, or gives anything but one tensor of numbers with
    the rows first; and where the output does not follow from what is handed there.
    """
    _refuse_nested(model, wanted)
    rows = sample[torch.arange(_ROWS, device=sample.device) % len(sample)]
    cutter = cutter_of(replace(model, module=innermost(model.module)), model, rows)
    cuts = [cut for name in dict.fromkeys(wanted) for cut in _cuts(model, cutter, name, rows)]
    held = Layers(tuple(cuts), True, rows[0].clone())
    try:
        with torch.no_grad():
            flat = held.flat(held.recording(model), rows)
            outputs, again = model.outputs(rows), held.opened(model).outputs(flat)
            moved = torch.cat([flat[:, : held.width], rows.roll(1, 0)], dim=1)
            is_around = not torch.equal(held.opened(model).outputs(moved), again)
    except ModelCallError as error:
        raise ModelError(f"{model.subject}: cannot be cut at {listed(wanted)}: {error.reason}. {_OTHER}") from error
    if not (outputs - again).abs().max() <= _AGREEMENT[model.dtype] * outputs.abs().max().clamp_min(1e-30):
        raise ModelError(f"{model.subject}: gives other outputs once it is cut at {listed(wanted)}. {_OTHER}")
    return replace(held, is_around=is_around)


_OTHER = "Expected layers that give one tensor each, in the order of the rows. Try another layer."


def cutter_of(model: Model, whole: Model | None = None, rows: Tensor | None = None) -> Cutter:
    """Return what cuts an innermost module; with rows (n, C) it can count the calls of an eager one.

    whole  the model around it
    """
    module = model.module
    if isinstance(module, ExportedModule):
        return ExportedCutter(module)
    if isinstance(module, torch.jit.ScriptModule):
        return ScriptCutter(module)

    def run(hooked: nn.Module) -> Any:
        if whole is None or rows is None:
            raise ValueError("no rows to count calls with")
        return through(whole, lambda inner: replace(inner, module=hooked)).call(rows)

    return EagerCutter(module, run)


def layer_names(model: Model, rows: Tensor | None) -> list[str]:
    """Return the names of a model's layers, in order: those that can be opened; of an eager one without rows all."""
    cutter = cutter_of(replace(model, module=innermost(model.module)), model, rows)
    if rows is None and isinstance(cutter, EagerCutter):
        return cutter.layers()
    try:
        return cutter.serving(0 if rows is None else len(rows))
    except ModelCallError:  # made up rows that it does not take
        return cutter.layers()


def _refuse_nested(model: Model, wanted: Sequence[str]) -> None:
    layers = [name.removesuffix(INPUT) for name in wanted]
    for inner, outer in product(layers, layers):
        if inner.startswith(f"{outer}."):
            raise ModelError(
                f"{model.subject}: layer {quoted(inner)} is inside of {quoted(outer)}. Expected layers of which "
                "none is part of another. Try one of the two."
            )


def _cuts(model: Model, cutter: Cutter, name: str, rows: Tensor) -> list[Cut]:
    layer, is_input = name.removesuffix(INPUT), name.endswith(INPUT)
    known = cutter.layers()
    if layer not in known:
        raise ModelError(
            f"`layer={name}`: {model.subject} has no such layer. Expected one of its {len(known)} layers: "
            f"{listed(known)}.{did_you_mean(layer, known)}"
        )
    try:
        places = cutter.calls(Place(layer, is_input))
        if not places:
            raise ModelError(f"`layer={name}`: is not called for rows of the data. {_OTHER}")
        return [Cut(place, _shape(model, cutter, place, rows)) for place in places]
    except RuntimeError as error:  # of a graph that will not be edited, as inside of a loop
        raise ModelError(f"`layer={name}`: {model.subject} cannot be cut there. {_OTHER}") from error


def _shape(model: Model, cutter: Cutter, place: Place, rows: Tensor) -> tuple[int, ...]:
    """Return the shape of what is at a place, without the rows."""
    module = cutter.showing(place)
    with torch.no_grad():
        value = through(model, lambda inner: replace(inner, module=module)).call(rows)
    name = quoted(called(place, 1))
    if not isinstance(value, Tensor) or not value.is_floating_point():
        kind = str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ModelError(f"{model.subject}: at {name} there is {kind}, no tensor of floating point numbers. {_OTHER}")
    if value.dim() == 0 or len(value) != len(rows):
        raise ModelError(
            f"{model.subject}: at {name} there is a tensor of shape {tuple(value.shape)} for {len(rows)} rows. {_OTHER}"
        )
    return tuple(value.shape[1:])


class _Flat(Around):
    """A cut module that takes flat inputs."""

    def __init__(self, module: nn.Module, layers: Layers) -> None:
        super().__init__(module)
        self._layers = layers

    def forward(self, flat: Tensor) -> Any:
        """Return the outputs, what is at the places being handed."""
        width = self._layers.width
        if self._layers.is_around:
            rows = flat[:, width:].detach()
        else:
            rows = self._layers.placeholder.to(flat).expand(len(flat), -1)
        with handing(flat[:, :width]):
            return self.module(rows)
