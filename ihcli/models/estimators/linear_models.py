"""Linear models of scikit-learn as layers of torch: one linear layer and a link.

Classifiers that have predict_proba give its probabilities, others the values of decision_function: of two classes one
number, which is above 0 for the second. Regressors give what predict does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from ihcli.models.estimators.layering import linear
from ihcli.models.estimators.reading import BrokenError, UnfoldedError, broken, fitted, parameter
from ihcli.models.layers import Complement, Exponential, Shares
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import LINEAR_CLASSIFIERS

_PROBABLE, _BETWEEN = ("log_loss", "log"), "modified_huber"
_OF_ITS_OWN = ("LogisticRegression", "LogisticRegressionCV", "LinearDiscriminantAnalysis")


def linear_width(model: Record) -> int:
    """Return how many inputs a linear model takes; raises BrokenError where its weights do not fit each other."""
    return _weights(model)[0].shape[1]


def n_linear_outputs(model: Record) -> int:
    """Return how many numbers its linear layer gives."""
    return _weights(model)[0].shape[0]


def linear_layers(model: Record, order: np.ndarray) -> list[nn.Module]:
    """Return the layers of a linear model whose inputs come in this order."""
    weight, bias = _weights(model)
    scale = _slope(model, len(weight))
    return [linear(scale * weight[:, order], scale * bias), *_link(model, len(weight))]


def linear_names(model: Record) -> tuple[str, ...] | None:
    """Return the classes in the order of the outputs, the second of two where there is one output; None of a regressor.

    A classifier of many labels has no names for them but their places.
    """
    if model.name not in LINEAR_CLASSIFIERS:
        return None
    classes = parameter(
        model, "classes_", getattr(parameter(model, "_label_binarizer"), "attributes", {}).get("classes_")
    )
    if not isinstance(classes, np.ndarray) or classes.ndim != 1:
        raise broken(model, "classes_")
    k, names = n_linear_outputs(model), tuple(str(value) for value in classes)
    if k == 1 and len(names) == 2:
        return names if _is_probable(model) else names[1:]
    if k != len(names):
        raise BrokenError(f"its {model.name} gives {k} numbers for {len(names)} classes")
    return names


def why_linear_is_closed(model: Record) -> str | None:
    """Return why no layers stand for a linear model, as a clause; None where they do."""
    if parameter(model, "loss") == _BETWEEN and _is_probable(model) and n_linear_outputs(model) > 1:
        return f"whose loss {_BETWEEN!r} gives probabilities of several classes that are not smooth"
    return None


def _weights(model: Record) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight (k, n) and the bias (k,)."""
    weight, bias = (np.asarray(fitted(model, name)) for name in ("coef_", "intercept_"))
    for name, values, most in (("coef_", weight, 2), ("intercept_", bias, 1)):
        if values.dtype.kind not in "iuf" or values.ndim > most or not values.size or not np.isfinite(values).all():
            raise broken(model, name)
    weight = np.atleast_2d(weight).astype(np.float64, copy=False)
    if bias.size not in (1, len(weight)):
        raise broken(model, "intercept_")
    return weight, np.broadcast_to(bias.astype(np.float64).reshape(-1), len(weight))


def _slope(model: Record, k: int) -> float:
    """Return 2 where the softmax of -u and u is taken, which is the sigmoid of 2 u, else 1."""
    return 2.0 if k == 1 and model.name in _OF_ITS_OWN and _choice(model) == "multinomial" else 1.0


def _choice(model: Record) -> Any:
    """Return how several classes were told apart, in releases where that could be chosen."""
    return parameter(model, "multi_class", "auto")


def _link(model: Record, k: int) -> list[nn.Module]:
    if model.name in _GLM_LINKS:
        return [Exponential()] if _GLM_LINKS[model.name](model) else []
    if not _is_probable(model):
        return []
    if parameter(model, "loss") == _BETWEEN:
        if k > 1:
            raise UnfoldedError(model.name)
        return [nn.Hardtanh(), linear(np.array([[0.5]]), np.array([0.5])), Complement()]
    if k == 1:
        return [nn.Sigmoid(), Complement()]
    return [nn.Sigmoid(), Shares()] if _is_one_against_rest(model) else [nn.Softmax(dim=1)]


def _is_probable(model: Record) -> bool:
    """Return whether it has predict_proba."""
    return model.name in _OF_ITS_OWN or (
        model.name == "SGDClassifier" and parameter(model, "loss") in (*_PROBABLE, _BETWEEN)
    )


def _is_one_against_rest(model: Record) -> bool:
    """Return whether the probabilities of several classes are shares of those of each against all others."""
    is_chosen = _choice(model) in ("ovr", "warn")
    return model.name == "SGDClassifier" or is_chosen or parameter(model, "solver") == "liblinear"


def _tweedie_is_logarithmic(model: Record) -> bool:
    link, power = parameter(model, "link", "auto"), parameter(model, "power", 0.0)
    if link == "auto" and isinstance(power, int | float):
        return power > 0
    if link not in ("log", "identity"):
        raise broken(model, "link")
    return bool(link == "log")


_GLM_LINKS: dict[str, Callable[[Record], bool]] = {
    "PoissonRegressor": lambda model: True,
    "GammaRegressor": lambda model: True,
    "TweedieRegressor": _tweedie_is_logarithmic,
}
"""Whether the link of a generalised linear model is the logarithm, else it is none."""
