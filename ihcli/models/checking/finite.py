"""Rows at which a model has no finite output: what is settled on a sample leaves them out, and no baseline is one."""

import torch
from torch import Tensor

from ihcli.errors import DataError, ModelCallError
from ihcli.methods import names_of
from ihcli.models.model import Model

_BATCH = 256


def has_values(model: Model, rows: Tensor) -> Tensor:
    """Return at which rows (P, D) all outputs are finite, (P,) bool; at all where the model fails, which others say.

    Cost: one forward of the rows.
    """
    try:
        with torch.no_grad():
            return torch.cat([model.outputs(some).isfinite().all(dim=1).cpu() for some in rows.split(_BATCH)])
    except ModelCallError:
        return torch.ones(len(rows), dtype=torch.bool)


def lacking_warning(lacking: int, tried: int, is_double: bool) -> str:
    """Say of how many rows of a sample the output is not finite."""
    remedy = "" if is_double else ", or `dtype=float64`"
    return (
        f"the output of {lacking} of {tried} rows looked at is not finite: such rows have no values, and are flagged "
        f"non_finite. Try checking that the data is scaled as in training{remedy}."
    )


def check_baselines(model: Model, baselines: Tensor) -> None:
    """Raise DataError where the output at a baseline, of (B, D), is not finite: no row would have values then.

    Cost: one forward of the baselines.
    """
    lacking = int((~has_values(model, baselines)).sum())
    if not lacking:
        return
    if len(baselines) == 1:
        what, remedy = "the baseline", "Try `baseline=mean`, or a FILE with one row at which the model has an output"
    else:
        what = f"{lacking} of {len(baselines)} baselines"
        remedy = (
            "Try a FILE of rows at all of which the model has an output; "
            f"`method={names_of(many_baselines=False, integrals=True)[0]}` flags those without"
        )
    raise DataError(
        f"`baseline`: {model.subject} has no finite output at {what}, so that no row would have values. Expected "
        f"numbers. {remedy}."
    )
