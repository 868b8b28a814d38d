"""What the rest of ihcli knows of a model: a module from (P, D) to (P, K), and what its file said about it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ihcli.locations import Location
from ihcli.models.texts import TextReader


@dataclass(frozen=True)
class Model:
    """A network ready to be explained: in eval mode, on one device, in one dtype.

    module         maps (P, D) inputs in raw units to (P,), (P, 1) or (P, K) outputs
    format         what the file was recognised as, in words ("TorchScript", "scikit-learn MLP", ...)
    dtype, device  of inputs and outputs
    path           where it was read from; None when it was given in memory
    n_inputs       D, or None when the file does not say
    feature_names  the D names the model was trained with, or None
    output_names   the K class or output names, or None
    zero           the D raw inputs that the network itself sees as 0 (behind a folded scaler: its centre); None: zeros
    text           turns texts into inputs, D being any multiple of its width; None for a model of tables
    """

    module: nn.Module
    format: str
    dtype: torch.dtype
    device: torch.device
    path: Location | None = None
    n_inputs: int | None = None
    feature_names: tuple[str, ...] | None = None
    output_names: tuple[str, ...] | None = None
    zero: tuple[float, ...] | None = None
    text: TextReader | None = None

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs as (P, K), whatever shape the module gives a single output.

        The module gets a copy: a first layer that works in place would change the caller's rows, or fail on a leaf.
        """
        outputs = self.module(inputs.clone())
        return outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
