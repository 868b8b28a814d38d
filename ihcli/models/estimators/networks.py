"""Multi-layer perceptrons of scikit-learn as layers of torch: those of predict_proba, or of predict of a regressor."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from torch import nn

from ihcli.models.estimators.layering import linear
from ihcli.models.estimators.reading import BrokenError, fitted
from ihcli.models.layers import Complement, Exponential
from ihcli.models.pickles.allow_list import Record
from ihcli.wording import printable

_MOST_LAYERS = 1024
_MOST_REPETITION, _HARMLESS_BYTES = 4, 1 << 20
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
}
_OUTPUTS: dict[str, Callable[[], nn.Module]] = {
    "softmax": lambda: nn.Softmax(dim=1),
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
    "exp": Exponential,
}


def network_width(network: Record) -> int:
    """Return how many inputs a network takes; raises BrokenError where its weights do not fit each other."""
    weights, biases = fitted(network, "coefs_"), fitted(network, "intercepts_")
    shapes: list[tuple[int, ...]] = [getattr(weight, "shape", ()) for weight in weights]
    widths = [getattr(bias, "shape", ()) for bias in biases]
    fits = 0 < len(shapes) == len(widths) <= _MOST_LAYERS and all(
        len(shape) == 2 and width == shape[1:] for shape, width in zip(shapes, widths, strict=True)
    )
    if not fits or any(left[1] != right[0] for left, right in pairwise(shapes)):
        raise BrokenError(
            f"the weights of its {network.name} do not fit each other (coefs_ {printable(str(shapes))}, intercepts_ "
            f"{printable(str(widths))})"
        )
    distinct = {id(weight): weight.nbytes for weight in weights}
    if sum(weight.nbytes for weight in weights) > _MOST_REPETITION * sum(distinct.values()) + _HARMLESS_BYTES:
        raise BrokenError("weights that are the same array many times over")
    return int(shapes[0][0])


def n_network_outputs(network: Record) -> int:
    """Return how many outputs it has."""
    return int(fitted(network, "coefs_")[-1].shape[1])


def network_layers(network: Record, order: np.ndarray) -> list[nn.Module]:
    """Return the layers of a network whose inputs come in this order."""
    weights, biases = fitted(network, "coefs_"), fitted(network, "intercepts_")
    layers: list[nn.Module] = []
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        layers += [
            linear((weight if index else weight[order]).T, bias),
            _ACTIVATIONS[network.attributes["activation"]](),
        ]
    output = fitted(network, "out_activation_")
    layers[-1] = _OUTPUTS[output]()
    if network.name == "MLPClassifier" and output == "logistic" and weights[-1].shape[1] == 1:
        layers.append(Complement())
    return [layer for layer in layers if not isinstance(layer, nn.Identity)]


def class_names(network: Record) -> tuple[str, ...] | None:
    """Return the classes in the order of the outputs of predict_proba; None of a regressor."""
    if network.name != "MLPClassifier":
        return None
    classes: Any = fitted(network, "classes_")
    return tuple(str(value) for value in classes)
