"""What pipelines end in: every kind of predictor by one interface, from its record to layers of torch."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from torch import nn

from ihcli.models.estimators.kernel_machines import (
    machine_layers,
    machine_names,
    machine_width,
    n_machine_outputs,
    why_machine_is_closed,
)
from ihcli.models.estimators.linear_models import (
    linear_layers,
    linear_names,
    linear_width,
    n_linear_outputs,
    why_linear_is_closed,
)
from ihcli.models.estimators.networks import class_names, n_network_outputs, network_layers, network_width
from ihcli.models.estimators.reading import BrokenError, UnfittedError
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import KERNEL_MACHINES, LINEAR_MODELS, NETWORKS


@dataclass(frozen=True)
class Predictor:
    """How predictors of one kind are read.

    fitted     an attribute that fitting leaves
    width      how many inputs one takes; raises BrokenError where its numbers do not fit each other
    n_outputs  of a regressor
    names      of its outputs; None of a regressor
    layers     whose inputs come in an order; raises UnfoldedError where there are none
    closed     why there are none, as a clause; None where there are
    """

    fitted: str
    width: Callable[[Record], int]
    n_outputs: Callable[[Record], int]
    names: Callable[[Record], tuple[str, ...] | None]
    layers: Callable[[Record, np.ndarray], list[nn.Module]]
    closed: Callable[[Record], str | None] = lambda record: None


_NETWORK = Predictor("coefs_", network_width, n_network_outputs, class_names, network_layers)
_LINEAR = Predictor("coef_", linear_width, n_linear_outputs, linear_names, linear_layers, why_linear_is_closed)
_MACHINE = Predictor(
    "n_features_in_", machine_width, n_machine_outputs, machine_names, machine_layers, why_machine_is_closed
)
PREDICTORS = {
    **dict.fromkeys(NETWORKS, _NETWORK),
    **dict.fromkeys(LINEAR_MODELS, _LINEAR),
    **dict.fromkeys(KERNEL_MACHINES, _MACHINE),
}


def why_closed(record: Record) -> str | None:
    """Return why no layers stand for a fitted predictor of a kind that is read, as a clause; None where they do."""
    if not is_fitted(record):
        return None
    with suppress(BrokenError, UnfittedError):
        return PREDICTORS[record.name].closed(record)
    return None


def is_fitted(record: Record) -> bool:
    """Return whether the record is a predictor alone that has been fitted."""
    return record.name in PREDICTORS and PREDICTORS[record.name].fitted in record.attributes
