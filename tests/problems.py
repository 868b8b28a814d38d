"""Named models with closed-form answers, families of networks, and short ways to explain them."""

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ihcli.derivatives import Engine, Matrices
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.assembly import ExplainedRows, explain_rows
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS

MEMORY_BYTES = 1 << 28
SOFTPLUS_THRESHOLD = 40
"""Where SoftPlus turns linear without a jump in float64; PyTorch's own 20 leaves one of 2e-9 * beta."""

Function = Callable[[Tensor], Tensor]


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def straight_paths(
    inputs: Tensor, baselines: Tensor | None = None, group_of: list[int] | None = None, outputs: Tensor | None = None
) -> Paths:
    """Lead from every baseline (default: one of zeros) to every row of inputs."""
    index = None if group_of is None else torch.tensor(group_of)
    return Paths(
        inputs=inputs,
        baselines=torch.zeros_like(inputs[:1]) if baselines is None else baselines,
        outputs=torch.zeros(len(inputs), dtype=torch.int64) if outputs is None else outputs,
        n_groups=inputs.shape[1] if group_of is None else max(group_of) + 1,
        group_of=index,
    )


def explain(function: Function, paths: Paths, method: str = "ih", effort: Effort | None = None) -> ExplainedRows:
    return explain_rows(AutogradEngine(function, MEMORY_BYTES).along(paths), METHODS[method], effort or Effort())


def baselines_for(method: str, n_inputs: int, seed: int) -> Tensor:
    """Draw the one baseline of ig and ih, or a few for eg and eh."""
    return normal(4 if METHODS[method].many_baselines else 1, n_inputs, seed=seed)


class SpyEngine(Engine):
    """Passes everything on to an autograd engine and writes down every point it was asked about."""

    name = "spy"

    def __init__(self, function: Function, memory_bytes: int = MEMORY_BYTES) -> None:
        self._engine = AutogradEngine(function, memory_bytes)
        self.memory_bytes = memory_bytes
        kinds = ("values", "gradients", "curvatures", "hessians", "matrices")
        self.asked: dict[str, list[tuple[int, float]]] = {kind: [] for kind in kinds}

    def _note(self, kind: str, path: np.ndarray, t: Tensor) -> None:
        self.asked[kind] += zip(path.tolist(), t.tolist(), strict=True)

    def batch_points(self, paths: Paths, directions: int) -> int:
        return self._engine.batch_points(paths, directions)

    def values(self, paths: Paths, path: np.ndarray, t: Tensor) -> Tensor:
        self._note("values", path, t)
        return self._engine.values(paths, path, t)

    def gradients(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor]:
        self._note("gradients", path, t)
        return self._engine.gradients(paths, path, t)

    def curvatures(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self._note("curvatures", path, t)
        return self._engine.curvatures(paths, path, t)

    def hessians(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self._note("hessians", path, t)
        return self._engine.hessians(paths, path, t)

    def matrices(
        self, paths: Paths, path: np.ndarray, t: Tensor, weights: Tensor, combinations: Tensor | None = None
    ) -> Matrices:
        self._note("matrices", path, t)
        return self._engine.matrices(paths, path, t, weights, combinations)

    def evaluations(self, paths: Paths) -> np.ndarray:
        """Return how many points of each row a gradient was asked at, (N,)."""
        asked = self.asked["gradients"] + self.asked["curvatures"] + self.asked["hessians"]
        rows = np.array([path // paths.n_baselines for path, _ in asked], dtype=np.int64)
        return np.bincount(rows, minlength=paths.n_rows)


@dataclass(frozen=True)
class Polynomial:
    """sum of c * prod_i x_i^m_i, as a map from exponents (m_1, ..., m_D) to c.

    Every derivative integral has a closed form. For one monomial f of degree m = sum m_i and the baseline 0,
    phi_i = (m_i / m) f(x) and Gamma_ij = (m_i m_j / m^2) f(x), also for i = j; other baselines are expanded around.
    """

    terms: Mapping[tuple[int, ...], float]

    def __call__(self, x: Tensor) -> Tensor:
        total = torch.zeros(len(x), dtype=x.dtype) + 0 * x[:, 0]
        for exponents, coefficient in self.terms.items():
            term = torch.full_like(total, coefficient)
            for i, m in enumerate(exponents):
                if m:
                    term = term * x[:, i] ** m
            total = total + term
        return total[:, None]

    def around(self, origin: np.ndarray) -> "Polynomial":
        """Return the same polynomial in y = x - origin, by binomials."""
        shifted: dict[tuple[int, ...], float] = {}
        for exponents, coefficient in self.terms.items():
            partial = {(): coefficient}
            for m, o in zip(exponents, origin.tolist(), strict=True):
                partial = {
                    (*done, k): c * math.comb(m, k) * o ** (m - k)
                    for done, c in partial.items()
                    for k in range(m + 1)
                    if c * o ** (m - k)
                }
            for key, c in partial.items():
                shifted[key] = shifted.get(key, 0.0) + c
        return Polynomial(shifted)

    def attributions(self, x: Tensor, baselines: Tensor) -> np.ndarray:
        """Return phi, (N, D), as the mean over baselines."""
        return self._mean_over(x, baselines, lambda shares: shares)

    def interactions(self, x: Tensor, baselines: Tensor) -> np.ndarray:
        """Return Gamma, (N, D, D), as the mean over baselines."""
        return self._mean_over(x, baselines, lambda shares: np.outer(shares, shares))

    def _mean_over(self, x: Tensor, baselines: Tensor, part: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        total = 0.0
        for origin in baselines.numpy():
            y = x.numpy() - origin
            for exponents, coefficient in self.around(origin).terms.items():
                if sum(exponents):
                    value = coefficient * np.prod(y ** np.array(exponents), axis=1)
                    total = total + np.multiply.outer(value, part(np.array(exponents) / sum(exponents)))
        return total / len(baselines)


def random_polynomial(n_inputs: int, degree: int, n_terms: int, seed: int) -> Polynomial:
    """Draw terms of degrees 1 to `degree`, one of them of the full degree, and a constant."""
    rng = np.random.default_rng(seed)
    terms = {(0,) * n_inputs: float(rng.normal())}
    for k in range(n_terms):
        drawn = rng.integers(n_inputs, size=degree if k == 0 else rng.integers(1, degree + 1))
        terms[tuple(np.bincount(drawn, minlength=n_inputs).tolist())] = float(rng.normal())
    return Polynomial(terms)


PRODUCT = Polynomial({(1, 1): 1.0})
XOR = Polynomial({(1, 0): 1.0, (0, 1): 1.0, (1, 1): -2.0})


def soft_xor(x: Tensor) -> Tensor:
    """Return XOR as a network of two SoftPlus units of s = x1 + x2, scaled so that (0, 0) and (1, 1) agree exactly."""
    zero, one, two = (_softplus(torch.tensor(float(s), dtype=x.dtype)) for s in (0, 1, 2))
    scale = (two - zero) / (one - _softplus(torch.tensor(-1.0, dtype=x.dtype)))
    s = x.sum(1, keepdim=True)
    return _softplus(s) - scale * _softplus(s - 1)


def _softplus(z: Tensor, beta: float = 10.0) -> Tensor:
    return F.softplus(z, beta, SOFTPLUS_THRESHOLD)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def softplus(beta: float) -> nn.Module:
    return nn.Softplus(beta, SOFTPLUS_THRESHOLD)


def network(
    sizes: list[int], activation: Callable[[], nn.Module], *, seed: int, scale: float = 1.0, n_outputs: int = 1
) -> nn.Sequential:
    """Build a multi-layer perceptron in float64 with PyTorch's default weights, the matrices times `scale`."""
    with _seeded(seed):
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), activation()]
        module = nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs)).double().requires_grad_(False)
    for layer in module:
        if isinstance(layer, nn.Linear):
            layer.weight.mul_(scale)
    return module


class NormedNetwork(nn.Module):
    """GELU and LayerNorm with a residual connection: sharp near a zero baseline, where LayerNorm's scale vanishes."""

    def __init__(self, n_inputs: int, width: int, seed: int) -> None:
        super().__init__()
        with _seeded(seed):
            self.first, self.second = nn.Linear(n_inputs, width), nn.Linear(width, width)
            self.norm, self.last_norm = nn.LayerNorm(width), nn.LayerNorm(width)
            self.head = nn.Linear(width, 1)
        self.double().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(F.gelu(self.first(x)))
        return self.head(self.last_norm(hidden + F.gelu(self.second(hidden))))


@cache
def trained_classifier(activation: str, beta: float | None = None) -> tuple[nn.Module, Tensor]:
    """Train a scikit-learn classifier on the breast cancer data; return it in torch, and the standardised rows.

    With `beta` a ReLU network has its activations replaced by SoftPlus.
    """
    from sklearn.datasets import load_breast_cancer  # two seconds of imports, which few of these problems need
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    table = load_breast_cancer()
    rows = (table.data - table.data.mean(0)) / table.data.std(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        trained = MLPClassifier((32, 16), activation=activation, max_iter=60, random_state=0).fit(rows, table.target)
    layers: list[nn.Module] = []
    for weights, bias in zip(trained.coefs_, trained.intercepts_, strict=True):
        linear = nn.Linear(*weights.shape).double().requires_grad_(False)
        linear.weight.copy_(torch.tensor(weights.T))
        linear.bias.copy_(torch.tensor(bias))
        layers += [linear, nn.Tanh() if activation == "tanh" else nn.ReLU() if beta is None else softplus(beta)]
    return nn.Sequential(*layers[:-1], nn.Sigmoid()), torch.tensor(rows)


class Of(nn.Module):
    """A function of rows (P, D) as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)
