"""All checks of a model on a few rows, one after the other."""

from torch import Tensor

from ihcli.models import Model
from ihcli.models.checking.preflight import Preflight, check_gradients, check_second_derivatives, check_values


def preflight(model: Model, probe: Tensor, second_order: bool) -> Preflight:
    """Return what checking the values and the derivatives of a model found."""
    checked = check_values(model, probe)
    warnings = check_gradients(model, probe, checked.n_outputs)
    if second_order:
        check_second_derivatives(model, probe, checked.n_outputs)
    return Preflight(checked.n_outputs, (*warnings, *checked.warnings))
