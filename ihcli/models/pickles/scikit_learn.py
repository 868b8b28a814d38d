"""scikit-learn's multi-layer perceptrons as torch modules, scalers folded in; scikit-learn is not imported.

A converted model is an nn.Sequential of `Affine` (scalers), `nn.Hardtanh` (a scaler that clips), `nn.Linear`, the
activation, and the output: `nn.Softmax`, `nn.Sigmoid` (+ `Complement` for two classes), `Exponential` or nothing.
Its outputs are those of predict_proba for a classifier, of predict for a regressor, of inputs in raw units.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.errors import ModelError
from ihcli.files.foreign import AGAIN
from ihcli.models.layers import Affine, Complement, Exponential
from ihcli.models.model import Model
from ihcli.models.pickles.allow_list import SCALER_CLASSES, Record
from ihcli.models.wrapping import Names, Source, place_module
from ihcli.wording import printable

EXPECTED = (
    "an MLPClassifier or MLPRegressor, alone or in a Pipeline with StandardScaler, MinMaxScaler, MaxAbsScaler or "
    "RobustScaler"
)
_MOST_LAYERS = 1024
_MOST_REPETITION, _HARMLESS_BYTES = 4, 1 << 20
_NETWORKS = ("MLPClassifier", "MLPRegressor")
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


def as_record(estimator: Any) -> Record | None:
    """Return the attributes of a live scikit-learn object, its steps included; None for anything else."""
    if not type(estimator).__module__.startswith("sklearn."):
        return None
    attributes = dict(vars(estimator))
    if "steps" in attributes:
        attributes["steps"] = [(name, as_record(step) or step) for name, step in attributes["steps"]]
    return Record(type(estimator).__name__, attributes)


def is_fitted_network(record: Record) -> bool:
    """Return whether the record is a network alone that has been fitted."""
    return record.name in _NETWORKS and "coefs_" in record.attributes


def is_scaler(step: Any) -> bool:
    """Return whether a step of a pipeline is folded into the network behind it, or does nothing."""
    if isinstance(step, Record) and step.name == "Pipeline":
        return all(is_scaler(inner) for _, inner in step.attributes.get("steps", []))
    return step in (None, "passthrough") or (isinstance(step, Record) and step.name in SCALER_CLASSES)


def convert(record: Record, source: Source) -> Model:
    """Return the Model of a network or a pipeline, in float64 unless the source asks otherwise.

    Raises ModelError where a step cannot be folded in or was never fitted.
    """
    *scalers, network = _steps(record, source)
    for step in scalers:
        if step.name not in SCALER_CLASSES:
            raise ModelError(f"{source.path}: its step {step.name} cannot be folded in. Expected {EXPECTED}.")
    if network.name not in _NETWORKS:
        raise ModelError(f"{source.path}: ends in a {network.name}, not in a network. Expected {EXPECTED}.")
    _check_shapes(scalers, network, source)
    first = scalers[0] if scalers else network
    layers = [layer for scaler in scalers for layer in _scaler_layers(scaler, source)]
    zero = _zero(layers, int(_fitted(network, "coefs_", source)[0].shape[0]))
    layers += _network_layers(network, source)
    features = first.attributes.get("feature_names_in_")
    names = Names(
        features=None if features is None else tuple(str(name) for name in features),
        outputs=_class_names(network, source) if network.name == "MLPClassifier" else None,
        zero=zero if scalers else None,
    )
    wanted = Source(source.path, source.trust, source.device, source.dtype or torch.float64)
    kind = "scikit-learn Pipeline with an" if record.name == "Pipeline" else "scikit-learn"
    return place_module(nn.Sequential(*layers), wanted, f"{kind} {network.name}", names)


def _check_shapes(scalers: list[Record], network: Record, source: Source) -> None:
    """Refuse weights that do not fit each other, and a count of inputs that would be believed before they are seen."""
    weights, biases = _fitted(network, "coefs_", source), _fitted(network, "intercepts_", source)
    shapes: list[tuple[int, ...]] = [getattr(weight, "shape", ()) for weight in weights]
    widths = [getattr(bias, "shape", ()) for bias in biases]
    fits = 0 < len(shapes) == len(widths) <= _MOST_LAYERS and all(
        len(shape) == 2 and width == shape[1:] for shape, width in zip(shapes, widths, strict=True)
    )
    if not fits or any(left[1] != right[0] for left, right in pairwise(shapes)):
        raise ModelError(
            f"{source.path}: the weights of its {network.name} do not fit each other (coefs_ {printable(str(shapes))}, "
            f"intercepts_ {printable(str(widths))}). Try saving or copying it again."
        )
    distinct = {id(weight): weight.nbytes for weight in weights}
    if sum(weight.nbytes for weight in weights) > _MOST_REPETITION * sum(distinct.values()) + _HARMLESS_BYTES:
        raise ModelError(f"{source.path}: weights that are the same array many times over. {AGAIN}")
    for scaler in scalers:
        counted = _fitted(scaler, "n_features_in_", source)
        if counted != shapes[0][0]:
            raise ModelError(
                f"{source.path}: its {scaler.name} takes {printable(repr(counted))} inputs, but the {network.name} "
                f"behind it {shapes[0][0]}. Try saving or copying it again."
            )


def _steps(record: Record, source: Source) -> list[Record]:
    """Return the steps of a pipeline in order, pipelines within it opened, steps that do nothing left out."""
    if record.name != "Pipeline":
        return [record]
    steps: list[Record] = []
    for _, step in record.attributes.get("steps", []):
        if isinstance(step, Record):
            steps += _steps(step, source)
        elif step not in (None, "passthrough"):
            raise ModelError(f"{source.path}: its step {type(step).__name__} cannot be folded in. Expected {EXPECTED}.")
    if not steps:
        raise ModelError(f"{source.path}: a Pipeline without steps. Expected {EXPECTED}.")
    return steps


def _fitted(record: Record, name: str, source: Source) -> Any:
    try:
        return record.attributes[name]
    except KeyError:
        raise ModelError(
            f"{source.path}: its {record.name} was not fitted (it has no {name}). Try calling fit before saving it."
        ) from None


def _scaler_layers(scaler: Record, source: Source) -> list[nn.Module]:
    """Return y = scale * x + shift of a scaler, and the clamp after it where it clips."""
    scale, shift = _scale_and_shift(scaler, source)
    layers: list[nn.Module] = [Affine(_tensor(scale), _tensor(shift))]
    if scaler.attributes.get("clip", False):
        low, high = scaler.attributes["feature_range"] if scaler.name == "MinMaxScaler" else (-1.0, 1.0)
        layers.append(nn.Hardtanh(float(low), float(high)))
    return layers


def _scale_and_shift(scaler: Record, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Return the affine map that the scaler's `transform` is."""
    if scaler.name == "MinMaxScaler":
        return _fitted(scaler, "scale_", source), _fitted(scaler, "min_", source)
    centre_name, with_centre, with_scale = {
        "StandardScaler": ("mean_", "with_mean", "with_std"),
        "RobustScaler": ("center_", "with_centering", "with_scaling"),
        "MaxAbsScaler": (None, None, None),
    }[scaler.name]
    ones = np.ones(int(_fitted(scaler, "n_features_in_", source)))
    is_scaled = with_scale is None or scaler.attributes[with_scale]
    is_centred = with_centre is not None and scaler.attributes[with_centre]
    scale = ones / _fitted(scaler, "scale_", source) if is_scaled else ones
    return scale, -_fitted(scaler, str(centre_name), source) * scale if is_centred else 0 * ones


def _network_layers(network: Record, source: Source) -> list[nn.Module]:
    weights, biases = _fitted(network, "coefs_", source), _fitted(network, "intercepts_", source)
    layers: list[nn.Module] = []
    for weight, bias in zip(weights, biases, strict=True):
        layers += [_linear(weight, bias), _ACTIVATIONS[network.attributes["activation"]]()]
    output = _fitted(network, "out_activation_", source)
    layers[-1] = _OUTPUTS[output]()
    if network.name == "MLPClassifier" and output == "logistic" and weights[-1].shape[1] == 1:
        layers.append(Complement())
    return [layer for layer in layers if not isinstance(layer, nn.Identity)]


def _linear(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    layer = nn.Linear(weight.shape[0], weight.shape[1], dtype=torch.float64)
    layer.weight = nn.Parameter(_tensor(weight.T))
    layer.bias = nn.Parameter(_tensor(bias))
    return layer


def _class_names(network: Record, source: Source) -> tuple[str, ...]:
    """Return the classes in the order of the outputs of predict_proba."""
    return tuple(str(value) for value in _fitted(network, "classes_", source))


def _zero(layers: list[nn.Module], n_inputs: int) -> tuple[float, ...]:
    """Return the raw inputs that the scalers map to 0, or where 0 is clipped away to the value nearest to it."""
    values = torch.zeros(n_inputs, dtype=torch.float64)
    for layer in reversed(layers):
        if isinstance(layer, Affine):
            values = torch.where(layer.scale == 0, 0.0, (values - layer.shift) / layer.scale)
        elif isinstance(layer, nn.Hardtanh):
            values = values.clamp(layer.min_val, layer.max_val)
    return tuple(values.tolist())


def _tensor(values: Any) -> Tensor:
    return torch.tensor(np.array(values, dtype=np.float64))
