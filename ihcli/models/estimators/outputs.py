"""What a regressor's target passed before training, undone behind the network: TransformedTargetRegressor."""

from typing import Any

import numpy as np
from torch import nn

from ihcli.models.estimators.columns import Number, Raw, Scaled
from ihcli.models.estimators.composing import steps_of
from ihcli.models.estimators.layering import elementwise
from ihcli.models.estimators.numbers import function_of, scale_and_shift
from ihcli.models.estimators.reading import MOST_STEPS, BrokenError, UnfoldedError, class_of, require_width
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import SCALERS
from ihcli.wording import printable


def undone(transformer: Any, width: int) -> list[nn.Module]:
    """Return the layers of a transformer's `inverse_transform`, for so many outputs; raises UnfoldedError."""
    columns = [Number(Raw(place)) for place in range(width)]
    pending, left = [transformer], MOST_STEPS
    while pending:
        step, left = pending.pop(), left - 1
        if left < 0:
            raise BrokenError(f"it has more than {MOST_STEPS} steps")
        if isinstance(step, Record) and step.name == "Pipeline":
            pending += [inner for _, inner in steps_of(step)]  # the last one is undone first
        elif isinstance(step, Record):
            columns = _before(step, columns)
        elif step is not None and step != "passthrough":
            raise UnfoldedError(f"{printable(type(step).__name__)} of the target")
    return elementwise(columns) if any(column.steps for column in columns) else []


def _before(transformer: Record, columns: list[Number]) -> list[Number]:
    if transformer.name == "FunctionTransformer":
        step = function_of(transformer, "inverse_func", "inv_kw_args")
        return columns if step is None else [column.then(step) for column in columns]
    if transformer.name not in SCALERS:
        raise UnfoldedError(f"{class_of(transformer)} of the target")
    require_width(transformer, len(columns))
    scale, shift = scale_and_shift(transformer, len(columns))
    if not np.all(scale):
        raise BrokenError(f"the scale_ of its {transformer.name} has zeros")
    steps = [Scaled(float(1 / a), float(-b / a)) for a, b in zip(scale, shift, strict=True)]
    return [column.then(step) for column, step in zip(columns, steps, strict=True)]
