"""What the rest of ihcli knows of a model: a module from (P, D) to (P, K), and what its file said about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.derivatives.calling import calling
from ihcli.errors import ModelCallError
from ihcli.files.locations import Location
from ihcli.models.fixed import has_fast_path, has_recurrence
from ihcli.models.precision import Precision
from ihcli.models.texts import TextEmbedder
from ihcli.vocabulary import Vocabulary
from ihcli.wording import printable

REGRESSION, MANY_LABELS = "regression", "many labels"
"""Tasks whose outputs are not shares of classes that exclude each other."""


RETURNS = "returns "
"""How the reason of a call begins that came through, and gave no outputs of rows."""


def described(outputs: Any) -> str:
    """Return what a module gave in the place of outputs, in words."""
    if isinstance(outputs, Tensor):
        return f"shape {tuple(outputs.shape)}"
    name = type(outputs).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {printable(name)}"


@dataclass(frozen=True)
class RunCode:
    """Code of the user's own that made a network.

    name       what was named: FILE.py:NAME or package.module:NAME
    arguments  that were given, as JSON; None: none
    files      SHA-256 of every file of it that was run, by its place below the root
    root       the directory that Python imported it from
    """

    name: str
    arguments: str | None
    files: Mapping[str, str]
    root: Path


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
    fills          what its own imputer replaces in each of D columns (NaN: a missing value) and by what number, before
                   the module is called, None in one: nothing; None: in none
    vocabulary     what the codes 0, 1, ... of category columns stand for, by their feature names; None: all are numbers
    sequence_shape  (T, F) of the sequences that it takes in place of rows, where the file says so
    text           turns texts into inputs, D being any multiple of its width; None for a model of tables
    task           "regression" or "many labels", where the file says so
    code           what made the network of a file that has only its weights; None where the file, or torch, did
    notes          what a user should know of how it was read
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
    fills: tuple[tuple[float, float] | None, ...] | None = None
    vocabulary: Vocabulary | None = None
    sequence_shape: tuple[int, int] | None = None
    text: TextEmbedder | None = None
    task: str | None = None
    code: RunCode | None = None
    notes: tuple[str, ...] = ()

    def order_of(self, features: Sequence[str]) -> list[int]:
        """Return the places of features among the model's inputs, where they are called alike, else as they come."""
        if self.feature_names is None or set(self.feature_names) != set(features):
            return list(range(len(features)))
        return [self.feature_names.index(name) for name in features]

    def vocabulary_of(self, features: Sequence[str] | None) -> Vocabulary | None:
        """Return what codes stand for, where features are listed in the place of the model's own as well."""
        own = self.feature_names
        if self.vocabulary is None or own is None or features is None or len(features) != len(own):
            return self.vocabulary
        if set(features) == set(own):
            return self.vocabulary
        return self.vocabulary.renamed(dict(zip(own, features, strict=True)))

    @property
    def subject(self) -> str:
        """What messages call it."""
        return str(self.path or "model")

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs as (P, K), whatever shape the module gives a single output.

        Raises ModelCallError where the module raises, or returns anything but numbers for every one of the inputs.
        """
        outputs = self.call(inputs)
        if not isinstance(outputs, Tensor) or outputs.dim() not in (1, 2) or len(outputs) != len(inputs):
            reason = f"{RETURNS}{described(outputs)} for {len(inputs)} rows"
            raise ModelCallError(f"{self.subject}: {reason}. Expected (N,), (N, 1) or (N, K) for any N rows.", reason)
        return outputs.unsqueeze(1) if outputs.dim() == 1 else outputs

    def around(self, module: nn.Module) -> "Model":
        """Return the same around another module."""
        return replace(self, module=module)

    def call(self, inputs: Tensor) -> Any:
        """Return what the module makes of inputs (P, D), whatever that is; raises ModelCallError where it raises.

        The module gets a copy: a first layer that works in place would change the caller's rows, or fail on a leaf.
        What a module from a file prints goes nowhere; one that was given in memory may print.
        """
        with calling(self.subject, quietly=self.path is not None, is_recurrent=self._is_recurrent):
            if self._has_fast_path and not torch.is_grad_enabled():
                return self._call_slowly(inputs)
            return self._run(inputs.clone())

    @property
    def rounding(self) -> float:
        """Relative rounding of the lowest precision that it was seen to compute in, eps."""
        return float(torch.finfo(self._precision.least if self.dtype == torch.float64 else self.dtype).eps)

    def _run(self, inputs: Tensor) -> Any:
        return self._precision.call(self.module, inputs) if self.dtype == torch.float64 else self.module(inputs)

    def _call_slowly(self, inputs: Tensor) -> Any:
        """Keep scripted attention off its fast path, which smoothing and the switches of torch do not reach.

        It is taken without gradients only, so that values would be those of another function than gradients.
        """
        with torch.enable_grad():
            outputs = self._run(inputs.clone().requires_grad_(inputs.is_floating_point()).clone())
        return outputs.detach() if isinstance(outputs, Tensor) else outputs

    @cached_property
    def _precision(self) -> Precision:
        return Precision()

    @cached_property
    def _is_recurrent(self) -> bool:
        return has_recurrence(self.module)

    @cached_property
    def _has_fast_path(self) -> bool:
        return has_fast_path(self.module)
