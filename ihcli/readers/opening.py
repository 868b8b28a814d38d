"""A model behind a reader: its outputs as a function of flat inputs, and paths to encoded records."""

from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from ihcli.derivatives.paths import Paths
from ihcli.derivatives.transfers import sent, upload
from ihcli.models.around import Around
from ihcli.models.model import Model
from ihcli.readers.reader import Reader


def opened(reader: Reader, model: Model) -> Model:
    """Return the model as a function of inputs that come flat, itself where it takes them so."""
    own = reader.opened(model)
    if own is not None:
        return own
    if type(reader).outputs is Reader.outputs:
        return model
    return replace(model, module=_Opened(reader, model.module), n_inputs=None)


def inputs_of(reader: Reader, model: Model, some: np.ndarray) -> Tensor:
    """Return the inputs (n, D) of encoded records of one shape, in the model's dtype and on its device."""
    return sent(reader.inputs(some), model.device, model.dtype)


def paths_to(
    reader: Reader, model: Model, some: np.ndarray, output: np.ndarray, most_baselines: int | None = None
) -> Paths:
    """Return the paths to encoded records of one shape, of which `output` (n,) is explained."""
    baselines = reader.baseline(some)[..., :most_baselines, :]
    owners = reader.owners(some)
    return Paths(
        inputs=inputs_of(reader, model, some),
        baselines=sent(baselines, model.device, model.dtype),
        outputs=upload(model.device, output.astype(np.int64))[0],
        n_groups=max(map(len, reader.own_units(some))) if reader.units is None else len(reader.units),
        group_of=None if owners is None else upload(model.device, owners)[0],
    )


class _Opened(Around):
    """A module that takes flat inputs, as a reader puts them to it."""

    def __init__(self, reader: Reader, module: nn.Module) -> None:
        super().__init__(module)
        self._reader = reader

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the reader makes of the module's outputs."""
        return self._reader.outputs(self.module, inputs)
