"""Support vector machines and Gaussian processes of scikit-learn: sums over rows of training of a smooth kernel.

Support vector classifiers give the values of decision_function, others what predict does.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.models.estimators.layering import linear
from ihcli.models.estimators.reading import (
    MOST_NUMBERS,
    BrokenError,
    UnfoldedError,
    broken,
    class_of,
    fitted,
    fitted_numbers,
    parameter,
)
from ihcli.models.layers import Affine, Power, RadialBasis, SquaredDistances, Together
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import SUPPORT_CLASSIFIERS
from ihcli.wording import printable

_MOST_PARTS = 64
_SUPPORT_KERNELS = ("linear", "rbf", "poly", "sigmoid")
VOTES = "which counts votes between its classes, and is not smooth"
"""What is said of a support vector classifier of several classes; with decision_function_shape="ovo" it gives a number
for every two instead."""


def machine_width(machine: Record) -> int:
    """Return how many inputs it takes."""
    return _rows_of(machine).shape[1]


def n_machine_outputs(machine: Record) -> int:
    """Return how many numbers it gives."""
    return len(_weights(machine, len(_rows_of(machine)))[0])


def machine_names(machine: Record) -> tuple[str, ...] | None:
    """Return the second of two classes, or a name for every two of more; None of a regressor."""
    if machine.name not in SUPPORT_CLASSIFIERS:
        return None
    names = tuple(str(value) for value in fitted(machine, "classes_"))
    return names[1:] if len(names) == 2 else tuple(f"{first} over {second}" for first, second in combinations(names, 2))


def why_machine_is_closed(machine: Record) -> str | None:
    """Return why no layers stand for a machine, as a clause; None where they do."""
    if machine.name == "GaussianProcessRegressor":
        strange = next((name for name in _parts_of(machine.attributes.get("kernel_")) if name not in _KERNELS), None)
        return None if strange is None else f"whose kernel has {strange}, which is not read"
    if isinstance(machine.attributes.get("support_vectors_"), Record):
        return "which was fitted to a sparse matrix"
    kernel = parameter(machine, "kernel", "rbf")
    if kernel not in _SUPPORT_KERNELS:
        return f"whose kernel {printable(repr(kernel), 40)} is not read"
    is_voting = machine.name in SUPPORT_CLASSIFIERS and parameter(machine, "decision_function_shape", "ovr") != "ovo"
    return VOTES if is_voting and len(machine.attributes.get("classes_", ())) > 2 else None


def _parts_of(kernel: Any) -> Iterator[str]:
    """Yield the classes in a kernel."""
    pending = [kernel]
    for _ in range(_MOST_PARTS):
        if not pending:
            return
        part = pending.pop()
        if isinstance(part, Record):
            yield class_of(part)
            pending += [part.attributes.get(name) for name in ("k1", "k2", "kernel") if name in part.attributes]


def machine_layers(machine: Record, order: np.ndarray) -> list[nn.Module]:
    """Return the layers of a machine whose inputs come in this order."""
    reason = why_machine_is_closed(machine)
    if reason is not None:
        raise UnfoldedError(f"{machine.name}, {reason}")
    rows = _rows_of(machine)
    n_parts = len(list(_parts_of(machine.attributes.get("kernel_")))) or 1
    _require_small(machine, rows.size * n_parts)
    weight, bias = _weights(machine, len(rows))
    if machine.name == "GaussianProcessRegressor":
        kernel = [_Covariance(rows[:, order], order).of(fitted(machine, "kernel_"))]
    else:
        kernel = _support_kernel(machine, rows[:, order])
    return [*kernel, linear(weight, bias)]


def _require_small(machine: Record, n_numbers: int) -> None:
    """Refuse what would take much more memory than its file: one array may stand in it many times."""
    if n_numbers > MOST_NUMBERS:
        raise UnfoldedError(f"{machine.name}, which takes more than {MOST_NUMBERS} numbers")


def _rows_of(machine: Record) -> np.ndarray:
    """Return the rows of training that it sums over, (S, n)."""
    return _numbers(machine, "X_train_" if machine.name == "GaussianProcessRegressor" else "support_vectors_", 2)


def _numbers(record: Record, name: str, n_axes: int) -> np.ndarray:
    found = fitted(record, name)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iuf" or found.ndim != n_axes or not found.size:
        raise broken(record, name)
    if not np.isfinite(found).all():
        raise broken(record, name)
    return found.astype(np.float64, copy=False)


def _weights(machine: Record, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the kernel of each row counts in each output, (k, S), and what is added, (k,)."""
    if machine.name == "GaussianProcessRegressor":
        alpha = np.asarray(fitted(machine, "alpha_"))
        weight = _numbers(Record(machine.name, {"alpha_": alpha.reshape(len(alpha), -1).T}), "alpha_", 2)
        scale, bias = (np.asarray(fitted(machine, name), np.float64) for name in ("_y_train_std", "_y_train_mean"))
        if weight.shape[1] != n_rows or scale.size not in (1, len(weight)) or bias.size not in (1, len(weight)):
            raise broken(machine, "alpha_")
        return weight * scale.reshape(-1, 1), np.broadcast_to(bias.reshape(-1), len(weight))
    weight, bias = _numbers(machine, "dual_coef_", 2), fitted_numbers(machine, "intercept_", None)
    if machine.name in SUPPORT_CLASSIFIERS and len(fitted(machine, "classes_")) > 2:
        weight = _of_pairs(machine, weight)
    if weight.shape != (len(bias), n_rows):
        raise broken(machine, "dual_coef_")
    return weight, bias


def _of_pairs(machine: Record, weight: np.ndarray) -> np.ndarray:
    """Return the weights of every two classes, (K (K - 1) / 2, S), of libsvm's (K - 1, S).

    Rows are sorted by class. Of the classes i < j, those of i count as line j - 1 says, those of j as line i does.
    """
    counts = np.asarray(fitted(machine, "_n_support" if "_n_support" in machine.attributes else "n_support_"))
    k = len(fitted(machine, "classes_"))
    if counts.shape != (k,) or len(weight) != k - 1 or counts.sum() != weight.shape[1] or (counts < 0).any():
        raise broken(machine, "dual_coef_")
    of_class = np.repeat(np.arange(k), counts)
    _require_small(machine, k * (k - 1) // 2 * len(of_class))
    pairs = list(combinations(range(k), 2))
    found = np.zeros((len(pairs), len(of_class)))
    for place, (first, second) in enumerate(pairs):
        for one, other in ((first, second - 1), (second, first)):
            found[place, of_class == one] = weight[other, of_class == one]
    return found


def _support_kernel(machine: Record, rows: np.ndarray) -> list[nn.Module]:
    kernel, zeros = parameter(machine, "kernel", "rbf"), np.zeros(len(rows))
    if kernel == "linear":
        return [linear(rows, zeros)]
    gamma, shift = (float(parameter(machine, name, 0.0)) for name in ("_gamma", "coef0"))
    if kernel == "rbf":
        return [RadialBasis(*_scaled(rows, np.sqrt(gamma)))]
    inner = linear(gamma * rows, zeros + shift)
    return [inner, nn.Tanh() if kernel == "sigmoid" else Power(float(parameter(machine, "degree", 3)))]


def _scaled(rows: np.ndarray, scale: Any) -> tuple[Tensor, Tensor]:
    """Return the scale of each input, (n,), and rows (S, n) on it."""
    every = np.broadcast_to(np.asarray(scale, np.float64), rows.shape[1])
    return torch.tensor(every.copy()), torch.tensor(rows * every)


class _Covariance:
    """Kernels of a Gaussian process between inputs and rows of training (S, n), as modules."""

    def __init__(self, rows: np.ndarray, order: np.ndarray) -> None:
        self._rows, self._order, self._left = rows, order, _MOST_PARTS

    def of(self, kernel: Any) -> nn.Module:
        """Return the module of a kernel, from (P, n) to (P, S)."""
        self._left -= 1
        if not isinstance(kernel, Record) or self._left < 0:
            raise BrokenError(
                f"the kernel_ of its GaussianProcessRegressor is none, or of more than {_MOST_PARTS} parts"
            )
        return _KERNELS[kernel.name](self, kernel)

    def together(self, kernel: Record) -> nn.Module:
        """Return a sum or product of two."""
        parts = [self.of(fitted(kernel, name)) for name in ("k1", "k2")]
        return Together(parts, is_product=kernel.name == "Product")

    def powered(self, kernel: Record) -> nn.Module:
        """Return k^p."""
        return nn.Sequential(self.of(fitted(kernel, "kernel")), Power(_number(kernel, "exponent")))

    def constant(self, kernel: Record) -> nn.Module:
        """Return c; noise is of rows with themselves alone."""
        value = 0.0 if kernel.name == "WhiteKernel" else _number(kernel, "constant_value")
        return linear(np.zeros_like(self._rows), np.full(len(self._rows), value))

    def radial(self, kernel: Record) -> nn.Module:
        """Return e^(-d^2 / 2 l^2)."""
        return RadialBasis(*self._in_lengths(kernel, np.sqrt(0.5)))

    def rational(self, kernel: Record) -> nn.Module:
        """Return (1 + d^2 / 2 a l^2)^-a."""
        alpha = _number(kernel, "alpha")
        distances = SquaredDistances(*self._in_lengths(kernel, np.sqrt(0.5 / alpha)))
        one = torch.ones(len(self._rows), dtype=torch.float64)
        return nn.Sequential(distances, Affine(one, one), Power(-alpha))

    def product(self, kernel: Record) -> nn.Module:
        """Return s^2 + x.x'."""
        return linear(self._rows, np.full(len(self._rows), _number(kernel, "sigma_0") ** 2))

    def _in_lengths(self, kernel: Record, scale: float) -> tuple[Tensor, Tensor]:
        lengths = np.asarray(fitted(kernel, "length_scale"), np.float64)
        if lengths.size not in (1, len(self._order)) or not np.isfinite(lengths).all() or (lengths <= 0).any():
            raise broken(kernel, "length_scale")
        lengths = lengths.reshape(-1)
        return _scaled(self._rows, scale / (lengths if lengths.size == 1 else lengths[self._order]))


def _number(kernel: Record, name: str) -> float:
    found = fitted(kernel, name)
    if not isinstance(found, int | float | np.number) or not np.isfinite(found):
        raise broken(kernel, name)
    return float(found)


_KERNELS: dict[str, Callable[[_Covariance, Record], nn.Module]] = {
    "Sum": _Covariance.together,
    "Product": _Covariance.together,
    "Exponentiation": _Covariance.powered,
    "ConstantKernel": _Covariance.constant,
    "WhiteKernel": _Covariance.constant,
    "RBF": _Covariance.radial,
    "RationalQuadratic": _Covariance.rational,
    "DotProduct": _Covariance.product,
}
"""Kernels that have derivatives everywhere. Others take the distance itself, which has a kink at 0."""
