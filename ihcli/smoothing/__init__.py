"""SoftPlus in the place of ReLU and its kin: finding them, replacing them, and choosing how sharp.

SoftPlus_beta(z) = ln(1 + e^(beta z)) / beta, with |SoftPlus_beta(z) - ReLU(z)| <= ln(2) / beta (Janizek, Sturmfels,
Lee 2021): a network of ReLUs has no second derivatives to integrate, its smoothed neighbour has.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from ihcli.errors import OptionError
from ihcli.explanation.betas import BetaScan
from ihcli.models.around import around, innermost, through
from ihcli.models.formats.exported import ExportedModule
from ihcli.models.model import Model
from ihcli.smoothing.eager import SoftPlusModule, scripts_within, smooth_eager, tally_calls, tally_modules
from ihcli.smoothing.exported import smooth_exported, tally_exported
from ihcli.smoothing.torchscript import smooth_script, tally_graph
from ihcli.smoothing.vocabulary import Operations, Tally

__all__ = [
    "BETA_LADDER",
    "Operations",
    "Smoothing",
    "SoftPlusModule",
    "choose_beta",
    "find_operations",
    "looks_at_sample",
    "resolve_smoothing",
    "smooth_model",
]

BETA_LADDER = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4)
"""The sharpnesses tried, gentlest first: the gentler, the fewer evaluations a row costs."""

_PROBE_ROWS = 8


@dataclass(frozen=True)
class Smoothing:
    """What smoothing did to a model, measured on a sample of rows.

    beta              sharpness of SoftPlus
    replaced          the operations now computed with it, as "relu x4"
    kinks             what still bends or jumps
    drift             RMS over the sample of f_smooth - f, in standard deviations of f; of K outputs the worst
    changed           share of the sample's predictions that changed
    within_tolerance  whether neither drift nor changed exceeds the tolerance
    scan              betas that were tried to choose it; None: it was not chosen so
    """

    beta: float
    replaced: tuple[str, ...]
    kinks: tuple[str, ...]
    drift: float
    changed: float
    within_tolerance: bool
    scan: BetaScan | None = None


def find_operations(model: Model, probe: Tensor | None) -> Operations:
    """Return the activations and kinks of a model.

    The graph of a TorchScript module or an exported program is read as it is. Other modules are run once on `probe`
    (P, D), rows in the model's dtype; without a probe only the classes of their submodules are known, and functional
    calls stay unseen.
    """
    tally = Tally()
    for outer in around(model.module):
        for name in outer.bends:
            tally.add(name, replaceable=True)
    module = innermost(model.module)
    if isinstance(module, ExportedModule):
        tally_exported(module, tally)
        return tally.operations()
    if not isinstance(module, torch.jit.ScriptModule):
        if probe is None:
            tally_modules(module, tally)
        else:
            smooth_around = through(model, lambda end: end, lambda outer: outer.smoothed(1.0))
            tally_calls(smooth_around, probe, tally, partial(smooth_script, beta=1.0, dtype=model.dtype))
    for script in scripts_within(module):
        tally_graph(script, tally)
    return tally.operations()


def smooth_model(model: Model, beta: float) -> Model:
    """Return a model computed with SoftPlus_beta; the given one and its parameters stay as they are.

    An eager module is wrapped (and its parameters shared), the graph of a TorchScript module or of an exported program
    copied and rewritten.

    Raises:
        OptionError: beta is not a finite number above 0.
        ModelError: a TorchScript module that cannot be copied.
    """
    if not (math.isfinite(beta) and beta > 0):
        raise OptionError(
            f"`smooth`: beta cannot be {beta!r}. Expected a finite number above 0, got {beta!r}. Try `smooth=auto`."
        )
    return through(model, partial(_smooth, beta=float(beta)), lambda outer: outer.smoothed(float(beta)))


def _smooth(model: Model, beta: float) -> Model:
    if isinstance(model.module, ExportedModule):
        return replace(model, module=smooth_exported(model.module, beta))
    rewrite = partial(smooth_script, beta=beta, dtype=model.dtype)
    if isinstance(model.module, torch.jit.ScriptModule):
        return replace(model, module=rewrite(model.module))
    return replace(model, module=smooth_eager(model.module, beta, rewrite))


def choose_beta(model: Model, sample: Sequence[Tensor], tolerance: float) -> tuple[Model, Smoothing]:
    """Return the model smoothed with the smallest beta of BETA_LADDER that the tolerance admits.

    sample     batches (n, D) of about 256 rows in all, on the model's device and in its dtype
    tolerance  the largest drift, in standard deviations of the output, and the largest share of changed predictions

    Where even the last beta is not within the tolerance, it is returned and says so. Cost: one call of the model with
    the sample for every beta tried.
    """
    operations = find_operations(model, sample[0][:_PROBE_ROWS])
    for beta in BETA_LADDER:
        smooth, smoothing = _smooth_and_measure(model, beta, operations, sample, tolerance)
        if smoothing.within_tolerance:
            break
    return smooth, smoothing


def looks_at_sample(model: Model, option: Literal["auto", "none"] | float | str, few: Tensor, second: bool) -> bool:
    """Return whether `resolve_smoothing` takes the model's outputs of a whole sample; `few` are rows of it, (n, D)."""
    if option == "auto":
        return second and bool(find_operations(model, few[:_PROBE_ROWS]).replaceable)
    return option != "none"


def resolve_smoothing(
    model: Model,
    option: Literal["auto", "none"] | float | str,
    sample: Sequence[Tensor],
    second_order: bool,
    tolerance: float,
) -> tuple[Model, Smoothing | None]:
    """Return the model as `smooth` asks, and what that did to it (None: nothing was replaced).

    auto      `choose_beta` where second derivatives are needed and something can be replaced, else none
    none      the model as it is
    a number  that beta, whatever the drift

    Raises:
        OptionError: any other option.
        ModelError: a TorchScript module that cannot be copied.
    """
    if not looks_at_sample(model, option, sample[0], second_order):
        return model, None
    if option == "auto":
        return choose_beta(model, sample, tolerance)
    beta = _parse_beta(option)
    return _smooth_and_measure(model, beta, find_operations(model, sample[0][:_PROBE_ROWS]), sample, tolerance)


def _parse_beta(option: float | str) -> float:
    try:
        return float(option)
    except ValueError:
        raise OptionError(
            f"`smooth`: {option!r} is not a setting. Expected auto, scan, none or a number above 0, got {option!r}. "
            "Try `smooth=auto`."
        ) from None


def _smooth_and_measure(
    model: Model, beta: float, operations: Operations, sample: Sequence[Tensor], tolerance: float
) -> tuple[Model, Smoothing]:
    smooth = smooth_model(model, beta)
    with torch.no_grad():
        # Clones, because a model that begins with an in-place operation changes what it is given.
        exact, smoothed = (
            torch.cat([either.outputs(batch.clone()).double() for batch in sample]) for either in (model, smooth)
        )
    drift, changed = _relative_drift(exact, smoothed), _changed_share(exact, smoothed)
    within_tolerance = drift <= tolerance and changed <= tolerance
    return smooth, Smoothing(beta, operations.replaceable, operations.kinks, drift, changed, within_tolerance)


def _relative_drift(exact: Tensor, smoothed: Tensor) -> float:
    """Return RMS(f_smooth - f) / std(f) of the output (N, K) where it is largest.

    An output that is constant over the sample, up to rounding, is measured against its size instead.
    """
    rms = (smoothed - exact).square().mean(dim=0).sqrt()
    spread, size = exact.std(dim=0, correction=0), exact.abs().amax(dim=0)
    scale = torch.where(spread > 1e-6 * size, spread, size)
    return float((rms / torch.where(scale > 0, scale, 1.0)).max())


def _changed_share(exact: Tensor, smoothed: Tensor) -> float:
    """Return the share of rows whose predicted class changed: the largest output, or the side of a probability 0.5."""
    if exact.shape[1] > 1:
        changed = exact.argmax(dim=1) != smoothed.argmax(dim=1)
    elif bool(((exact >= 0) & (exact <= 1)).all()):
        changed = ((exact >= 0.5) != (smoothed >= 0.5))[:, 0]
    else:
        return 0.0
    return float(changed.double().mean())
