"""Checks of a model on a few real rows, before a run: what every later number takes for granted."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.derivatives.calling import gradient
from ihcli.errors import ModelCallError, ModelError
from ihcli.models.checking.failing import (
    FIRST_ORDER,
    count_message,
    fails,
    failure_message,
    gradient_message,
    outputs_message,
    sequence_message,
    training_message,
)
from ihcli.models.fixed import ROWS_SECOND, fixed_dtypes, fixed_in_training, has_recurrence, has_rows_second
from ihcli.models.layers import layer_name
from ihcli.models.model import Model
from ihcli.models.returned import returned_message
from ihcli.models.wrapping import FULL_DTYPES, named

# Two calls, or a row alone and in a batch, may differ by the rounding of differently ordered sums.
_AGREEMENT = {torch.float32: 1e-4, torch.float64: 1e-9}
# A finite difference counts where two step sizes agree to this; it convicts where it is off by more than this.
_TRUSTED, _CONVICTING = 0.1, 0.3
_CALLS_OF_SUSPECTS = 8
"""Of a model with dropout fixed in training mode, which may drop seldom."""
_BATCH_NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm")


@dataclass(frozen=True)
class Preflight:
    """What the checks found out: K outputs, and sentences about what may be wrong without being fatal."""

    n_outputs: int
    warnings: tuple[str, ...]


def check_values(model: Model, probe: Tensor) -> Preflight:
    """Check on a few real rows that a model in eval mode has values to explain.

    probe  (P, D) rows, P at most about 8, in the model's dtype and on its device

    Cost: P + 3 forwards.

    Raises ModelError where the model is in training mode, fails on the rows, gives outputs of another shape than
    (N,), (N, 1) or (N, K), non-finite outputs, or other outputs on a second call or for a row alone.
    """
    _check_mode(model)
    outputs = check_repeatable(model, _rows(probe))
    halves = [named(dtype) for dtype in fixed_dtypes(model.module) if dtype not in FULL_DTYPES]
    warnings = []
    if halves:
        warnings.append(f"The model computes in {', '.join(halves)} inside: its derivatives are rounded by percents.")
    return Preflight(1 if outputs.dim() == 1 else outputs.shape[1], tuple(warnings))


def check_gradients(model: Model, probe: Tensor, n_outputs: int) -> tuple[str, ...]:
    """Check on these rows that a model whose values are checked has a gradient, and return warnings.

    Cost: a gradient. Raises ModelError where there is none, or none that is finite.
    """
    found = _gradients(model, _rows(probe), _weights(model, n_outputs))
    if not found.isfinite().all(dim=1).any():
        raise ModelError(
            f"{model.subject}: its gradient is not finite on any of the rows looked at. Expected numbers. Try "
            "operations that have one (sqrt has none at 0), and numbers in both branches of torch.where: the one that "
            "is not taken counts as well."
        )
    zero = "The gradient is zero on every row looked at: the output may be saturated, or rounded."
    return () if bool(found.any()) else (zero,)


def check_second_derivatives(
    model: Model, probe: Tensor, n_outputs: int, is_rounded: bool = False, is_open: Tensor | None = None
) -> None:
    """Check on these rows a product with the Hessian, by two backward passes, along the row itself.

    It is compared with central differences of the gradient. Believed differences must convict half of the rows, so that
    a kink or two in the way does not.

    is_open  (D,) bool: inputs that are moved, as all others are the same all along every path; None: all
    is_rounded  whether its gradient may have the rounding of its outputs, as one of 1 - 1e-9 has where 1e-9 is left

    Cost: 7 gradients. Raises ModelError where second derivatives are missing or wrong.
    """
    rows = _rows(probe)
    convicted = _convicted(model, rows, _weights(model, n_outputs), is_rounded, is_open)
    if 2 * convicted >= len(rows):
        raise ModelError(
            f"{model.subject}: second derivatives by automatic differentiation disagree with finite differences of "
            f"the gradient on {convicted} of {len(rows)} rows. Expected them to agree. Try "
            f"{FIRST_ORDER}, or looking for detach() or custom autograd functions in the model."
        )


def _weights(model: Model, n_outputs: int) -> Tensor:
    """Return the weights of outputs that make one number of them."""
    return torch.cos(torch.arange(n_outputs, dtype=model.dtype, device=model.device))


def _rows(probe: Tensor) -> Tensor:
    return probe if len(probe) > 1 else torch.cat([probe, probe / 2])


def check_repeatable(model: Model, rows: Tensor) -> Tensor:
    """Check that rows (P, D) give outputs of a known shape, the same again and alone, and return them.

    Raises ModelError where they do not.
    """
    with torch.no_grad():
        outputs = _forward(model, rows)
        _check_outputs(model, outputs, rows)
        _check_deterministic(model, outputs, rows)
        _check_independent(model, outputs, rows)
    return outputs


def _check_mode(model: Model) -> None:
    training = [name or "the model" for name, part in model.module.named_modules() if getattr(part, "training", False)]
    if training:
        raise ModelError(
            f"{model.subject}: in training mode ({', '.join(training[:3])}), where dropout is random and batch "
            "normalisation mixes rows. Expected eval mode. Try module.eval()."
        )


def _forward(model: Model, rows: Tensor) -> Any:
    if model.n_inputs is not None and model.n_inputs != rows.shape[1]:
        raise ModelError(count_message(model, model.n_inputs, rows.shape[1]))
    try:
        return model.call(rows)
    except ModelCallError as error:
        raise ModelError(failure_message(model, rows, error.reason)) from error


def _check_outputs(model: Model, outputs: Any, rows: Tensor) -> None:
    subject = model.subject
    if not isinstance(outputs, Tensor):
        raise ModelError(returned_message(model, outputs, rows))
    if outputs.dim() not in (1, 2) or len(outputs) != len(rows) or outputs.numel() == 0:
        raise ModelError(
            f"{subject}: returns shape {tuple(outputs.shape)} for {len(rows)} rows. Expected (N,), (N, 1) or (N, K). "
            "Try wrapping it in a module that flattens or picks the output."
        )
    if outputs.dtype != model.dtype:
        raise ModelError(outputs_message(model, outputs.dtype))
    finite = outputs.isfinite().reshape(len(rows), -1).all(dim=1)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise ModelError(
            f"{subject}: the output of probe row {row} is not finite. Expected numbers. Try checking that the data "
            "is scaled as in training, or `dtype=float64`."
        )


def _differs(outputs: Tensor, others: Tensor) -> bool:
    scale = float(outputs.abs().max())
    return not bool((outputs - others).abs().max() <= _AGREEMENT[outputs.dtype] * max(scale, 1e-30))


def _check_deterministic(model: Model, outputs: Tensor, rows: Tensor) -> None:
    suspect = fixed_in_training(model.module)
    for _ in range(1 if suspect is None else _CALLS_OF_SUSPECTS):
        if _differs(outputs, _forward(model, rows)):
            if suspect is not None:
                raise ModelError(training_message(model, suspect))
            raise ModelError(
                f"{model.subject}: two calls on the same rows give different outputs. Expected a deterministic model. "
                "Try passing training=self.training to functional dropout, and taking random numbers out."
            )


def _check_independent(model: Model, outputs: Tensor, rows: Tensor) -> None:
    suspect = fixed_in_training(model.module)
    try:
        alone = [model.call(row.unsqueeze(0)) for row in rows]
    except ModelCallError as error:
        if suspect is not None:
            raise ModelError(training_message(model, suspect)) from error
        more = torch.cat([rows, rows[:1]])
        said = failure_message(model, rows[:1], error.reason) if fails(model, more) else _lone_message(model, error)
        raise ModelError(said) from error
    for single in alone:
        if single.dim() != outputs.dim() or len(single) != 1:
            raise ModelError(
                f"{model.subject}: returns shape {tuple(single.shape)} for one row and {tuple(outputs.shape)} for "
                f"{len(rows)}. Expected the rows first in both. Try squeeze(-1) instead of squeeze()."
            )
    if _differs(outputs, torch.cat(alone)):
        raise ModelError(training_message(model, suspect) if suspect is not None else _mixing_message(model, rows))


def _mixing_message(model: Model, rows: Tensor) -> str:
    # A recurrent layer takes a matrix for one sequence, and rows for its steps.
    sequences = sequence_message(model, rows.shape[1]) if has_recurrence(model.module) else None
    if sequences is not None:
        return sequences
    if has_rows_second(model.module):
        return f"{model.subject}: {ROWS_SECOND}"
    return (
        f"{model.subject}: a row alone and the same row in a batch give different outputs, so that rows "
        f"influence each other. Expected independent rows. {_unmixing(model)}."
    )


def _lone_message(model: Model, error: ModelCallError) -> str:
    return (
        f"{model.subject}: takes batches of rows, and fails on a row alone: {error.reason}. Expected independent rows. "
        f"{_unmixing(model)}, such as batch normalisation in training mode."
    )


def _unmixing(model: Model) -> str:
    mixers = [name for name, part in model.module.named_modules() if _mixes_rows(part)]
    suspect = f"{', '.join(mixers)}: batch normalisation without running statistics" if mixers else "dim=0"
    return f"Try looking for operations over the batch ({suspect})"


def refuse_training(model: Model, rows: Tensor) -> None:
    """Refuse a model that a graph fixed in training mode, where that shows on rows (P, D): random, or mixed.

    Dropout with p = 0, or in a branch that is never taken, is neither. Outputs that are refused for another reason are
    left to the checks before a run, which know the data.
    """
    suspect = fixed_in_training(model.module)
    if suspect is None:
        return
    try:
        check_repeatable(model, rows)
    except ModelError as error:
        if str(error) == training_message(model, suspect):
            raise


def _mixes_rows(part: nn.Module) -> bool:
    return layer_name(part) in _BATCH_NORMS and getattr(part, "running_mean", None) is None


def _weighted(model: Model, inputs: Tensor, weights: Tensor) -> Tensor:
    """Return one number that no softmax makes constant: the outputs of all rows under different weights."""
    return (model.outputs(inputs) * weights).sum()


def _gradients(model: Model, rows: Tensor, weights: Tensor, create_graph: bool = False) -> Tensor:
    """Return the gradient of every row, (P, D); with create_graph it can be differentiated again."""
    inputs = rows if create_graph else rows.detach().requires_grad_()
    try:
        with torch.enable_grad():
            value = _weighted(model, inputs, weights)
            found = gradient(value, inputs, create_graph=create_graph) if value.requires_grad else None
    except ModelCallError as error:
        raise ModelError(gradient_message(model, "the gradient", error.reason, is_second=False)) from error
    if found is None:
        raise ModelError(
            f"{model.subject}: its output does not depend differentiably on its inputs. Expected a gradient. "
            "Try taking detach(), .data, no_grad, argmax, numpy and casts to whole numbers such as .long() out of the "
            "forward pass, with one-hot columns in place of codes."
        )
    return found


def _convicted(model: Model, rows: Tensor, weights: Tensor, is_rounded: bool, is_open: Tensor | None) -> int:
    """Return how many rows have products that differ from a difference that is believed.

    It is where a step of half its size gives the same: across a kink the two differ by a factor of 2.
    """
    moved = rows if is_open is None else rows * is_open
    norms = moved.norm(dim=1, keepdim=True)
    evenly = rows.shape[1] ** -0.5 if is_open is None else is_open * is_open.sum() ** -0.5
    directions = torch.where(norms > 0, moved / norms.clamp_min(torch.finfo(rows.dtype).tiny), evenly)
    products = _hessian_products(model, rows, weights, directions)
    is_finite = products.isfinite().all(dim=1)
    if not is_finite.any():
        raise ModelError(
            f"{model.subject}: a second derivative is not finite on the rows looked at. Expected numbers. "
            f"Try {FIRST_ORDER}, or an operation without a singularity there (sqrt and norm have one at 0)."
        )
    eps, lengths = torch.finfo(rows.dtype).eps, torch.where(norms > 0, norms, 1.0)
    steps = eps**0.5 * lengths
    coarse = _difference(model, rows, weights, directions, steps)
    fine = _difference(model, rows, weights, directions, steps / 2)
    size, slopes = fine.norm(dim=1), _gradients(model, rows, weights).norm(dim=1)
    if is_rounded:
        with torch.no_grad():
            slopes = slopes + model.outputs(rows).abs().amax(dim=1) / lengths.squeeze(1)
    noise = 100 * eps * slopes / steps.squeeze(1)
    believed = is_finite & ((coarse - fine).norm(dim=1) <= _TRUSTED * size)
    return int((believed & ((products - fine).norm(dim=1) > _CONVICTING * size + noise)).sum())


def _hessian_products(model: Model, rows: Tensor, weights: Tensor, directions: Tensor) -> Tensor:
    """Return H v of every row, (P, D), by reverse over reverse; zeros where the gradient is constant.

    One row at a time: of a large model, the graph of a gradient's gradient is what memory must be kept for.
    """
    pairs = zip(rows.split(1), directions.split(1), strict=True)
    return torch.cat([_hessian_product(model, row, weights, direction) for row, direction in pairs])


def _hessian_product(model: Model, rows: Tensor, weights: Tensor, directions: Tensor) -> Tensor:
    inputs = rows.detach().requires_grad_()
    gradients = _gradients(model, inputs, weights, create_graph=True)
    if not gradients.requires_grad:
        return torch.zeros_like(rows)
    try:
        products = gradient((gradients * directions).sum(), inputs)
    except ModelCallError as error:
        raise ModelError(gradient_message(model, "the second derivative", error.reason, is_second=True)) from error
    return torch.zeros_like(rows) if products is None else products


def _difference(model: Model, rows: Tensor, weights: Tensor, directions: Tensor, steps: Tensor) -> Tensor:
    ahead = _gradients(model, rows + steps * directions, weights)
    behind = _gradients(model, rows - steps * directions, weights)
    return (ahead - behind) / (2 * steps)
