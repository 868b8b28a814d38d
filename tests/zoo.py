"""Networks trained for a moment on the tables of scikit-learn, and networks made to deceive a certificate.

`FAMILIES` and `DECEIVING` map a name to what builds it, always the same: `built(name)` does so once.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import prepared
import torch
from architectures import (
    Comparison,
    Cosine,
    Embeddings,
    Experts,
    FeatureTransformer,
    FourierFeatures,
    Gated,
    Head,
    MaxPool,
    MixtureDensity,
    Monotone,
    Products,
    RadialBasis,
    Recurrent,
    Residual,
    Siamese,
    Siren,
    SoftTrees,
    deep_tanh,
    perceptron,
)
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 64
MOST_CLASSES = 12
"""Targets of whole numbers with more values than these are numbers, not classes."""

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Table:
    """Standardised rows, (N, D) float32, and targets (N,): float32, or int64 of so many classes.

    n_outputs  of a network for it: one for numbers and for two classes
    """

    rows: Tensor
    targets: Tensor
    n_outputs: int


@dataclass(frozen=True)
class Trained:
    """A network in float32 and eval mode, and rows of the table that it was trained on.

    group_of      group of each column where columns are explained together
    second_order  whether it has second derivatives: false where it has kinks
    """

    module: nn.Module
    rows: Tensor
    group_of: tuple[int, ...] | None = None
    second_order: bool = True

    @property
    def groups(self) -> Mapping[str, list[str]] | None:
        """What `ihcli.explain` takes for `groups`, whose columns are named by their place."""
        if self.group_of is None:
            return None
        of_group: dict[str, list[str]] = {}
        for column, group in enumerate(self.group_of):
            of_group.setdefault(f"g{group}", []).append(str(column))
        return of_group


@cache
def table(name: str) -> Table:
    from sklearn import datasets  # seconds of imports, which tests of other things need not wait for

    makers: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
        "wine": partial(datasets.load_wine, return_X_y=True),
        "cancer": lambda: _columns(datasets.load_breast_cancer(return_X_y=True), 10),
        "cancer, all columns": partial(datasets.load_breast_cancer, return_X_y=True),
        "digits": lambda: _pooled(datasets.load_digits(return_X_y=True)),
        "diabetes": partial(datasets.load_diabetes, return_X_y=True),
        "moons": partial(datasets.make_moons, 600, noise=0.15, random_state=0),
        "friedman": partial(datasets.make_friedman1, 600, n_features=8, noise=0.3, random_state=0),
        "clusters": partial(
            datasets.make_classification,
            *(900, 10),
            n_informative=8,
            n_redundant=2,
            n_classes=4,
            class_sep=0.8,
            random_state=0,
        ),
    }
    rows, targets = makers[name]()
    rows = torch.tensor((rows - rows.mean(0)) / rows.std(0), dtype=torch.float32)
    if targets.dtype.kind == "f" and len(np.unique(targets)) > MOST_CLASSES:
        return Table(rows, torch.tensor((targets - targets.mean()) / targets.std(), dtype=torch.float32), 1)
    n_classes = len(np.unique(targets))
    return Table(rows, torch.tensor(targets, dtype=torch.int64), n_classes if n_classes > 2 else 1)


def _columns(both: tuple[np.ndarray, np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    rows, targets = both
    return rows[:, :n], targets


def _pooled(both: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return 4 x 4 means of 8 x 8 pixels."""
    rows, targets = both
    return rows.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16), targets


def _of_outputs(net: nn.Module, rows: Tensor, targets: Tensor) -> Tensor:
    outputs = net(rows)
    if targets.dtype != torch.int64:
        return F.mse_loss(outputs[:, 0], targets)
    if outputs.shape[1] > 1:
        return F.cross_entropy(outputs, targets)
    return F.binary_cross_entropy_with_logits(outputs[:, 0], targets.float())


def _of_probability(net: nn.Module, rows: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy(net(rows)[:, 0], targets.float())


def _of_density(net: nn.Module, rows: Tensor, targets: Tensor) -> Tensor:
    assert isinstance(net, MixtureDensity)
    return -net.log_density(rows, targets).mean()


def train(net: nn.Module, on: Table, steps: int, rate: float, loss: Loss = _of_outputs) -> nn.Module:
    """Train it; where another worker of pytest has done so with the same network and rows, take its weights."""
    kept = _kept(net, on, steps, rate, loss)
    if kept is not None and kept.exists():
        net.load_state_dict(torch.load(kept))
    else:
        _descend(net, on, steps, rate, loss)
        if kept is not None:
            _keep(net.state_dict(), kept)
    return net.eval().requires_grad_(False)


def _descend(net: nn.Module, on: Table, steps: int, rate: float, loss: Loss) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(0)
    net.train()
    for _ in range(steps):
        some = torch.randint(len(on.rows), (BATCH,), generator=generator)
        optimizer.zero_grad()
        loss(net, on.rows[some], on.targets[some]).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()


def _kept(net: nn.Module, on: Table, steps: int, rate: float, loss: Loss) -> Path | None:
    """Return where weights trained so are kept while tests run, None where workers share no directory."""
    if prepared.PLACE not in os.environ:
        return None
    with torch.no_grad():
        begins_with = net.eval()(on.rows[:BATCH])  # tells of what is no weight, such as activations
    known = hashlib.sha256(f"{type(net)} {steps} {rate} {loss.__qualname__}".encode())
    for each in (*net.state_dict().values(), on.rows, on.targets, begins_with):
        known.update(each.numpy().tobytes())
    return Path(os.environ[prepared.PLACE]) / f"{known.hexdigest()}.pt"


def _keep(weights: Mapping[str, Tensor], place: Path) -> None:
    half = place.with_suffix(f".{os.getpid()}")
    torch.save(weights, half)
    half.replace(place)  # whole, for a worker that reads meanwhile


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return make()


def _shuffled(rows: Tensor, seed: int = 2) -> Tensor:
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]


@dataclass(frozen=True)
class Recipe:
    """How to build one: a network `make(n_inputs, n_outputs)`, trained on the table, then perhaps given a head."""

    data: str
    make: Callable[[int, int], nn.Module]
    steps: int = 300
    rate: float = 3e-3
    loss: Loss = _of_outputs
    finish: Callable[[nn.Module], nn.Module] = nn.Module.eval
    second_order: bool = True

    def __call__(self) -> Trained:
        on = table(self.data)
        net = _seeded(lambda: self.make(on.rows.shape[1], on.n_outputs))
        trained = self.finish(train(net, on, self.steps, self.rate, self.loss)).eval()
        return Trained(trained, _shuffled(on.rows), second_order=self.second_order)


def _around_points(data: str, n_centres: int, gamma: float) -> Callable[[int, int], nn.Module]:
    return lambda _, n_outputs: RadialBasis(_shuffled(table(data).rows, seed=3)[:n_centres], n_outputs, gamma)


def _softmax(sharper: float) -> Callable[[nn.Module], nn.Module]:
    return lambda net: Head(net, partial(torch.softmax, dim=1), sharper)


def _in_logarithms(net: nn.Module) -> nn.Module:
    assert isinstance(net, MixtureDensity)
    net.in_logarithms = True
    return net


def _mixture(finish: Callable[[nn.Module], nn.Module]) -> Recipe:
    return Recipe("diabetes", lambda d, k: MixtureDensity(d), steps=500, loss=_of_density, finish=finish)


def _of_categories() -> Trained:
    """Cut some columns into four equally frequent classes each, one-hot; the others stay numbers."""
    on = table("diabetes")
    columns, group_of = [], []
    for place, column in enumerate(on.rows.T[:7].contiguous()):
        if place < 4:
            columns.append(column[:, None])
        else:
            edges = torch.quantile(column, torch.tensor([0.25, 0.5, 0.75]))
            columns.append(F.one_hot(torch.bucketize(column, edges), 4).float())
        group_of += [place] * columns[-1].shape[1]
    rows = torch.cat(columns, 1)
    net = _seeded(lambda: Embeddings(group_of, 1))
    trained = train(net, Table(rows, on.targets, 1), 300, 3e-3)
    return Trained(trained, _shuffled(rows), tuple(group_of))


FAMILIES: Mapping[str, Callable[[], Trained]] = {
    "residual, BatchNorm": Recipe("wine", lambda d, k: Residual(d, k, nn.BatchNorm1d, F.gelu)),
    "residual, LayerNorm": Recipe("cancer", lambda d, k: Residual(d, k, nn.LayerNorm, F.silu)),
    "FT-transformer": Recipe("friedman", FeatureTransformer, steps=150),
    "SwiGLU": Recipe("friedman", lambda d, k: Gated(d, k, F.silu), steps=500),
    "GLU": Recipe("clusters", lambda d, k: Gated(d, k, torch.sigmoid)),
    "SIREN, omega 8": Recipe("friedman", lambda d, k: Siren(d, k, 8.0), steps=500, rate=1e-3),
    "SIREN, omega 30": Recipe("moons", lambda d, k: Siren(d, k, 30.0), rate=1e-3),
    "Fourier features": Recipe("cancer", lambda d, k: FourierFeatures(d, k, 1.0)),
    "Fourier features, fine": Recipe("moons", lambda d, k: FourierFeatures(d, k, 3.0)),
    "radial basis": Recipe("moons", _around_points("moons", 40, 6.0), rate=1e-2),
    "products": Recipe("diabetes", Products),
    "saturated softmax, tanh": Recipe(
        "wine",
        lambda d, k: perceptron(d, (32, 32), nn.Tanh, k),
        steps=600,
        rate=1e-2,
        finish=_softmax(3.0),
    ),
    "saturated softmax, SiLU": Recipe(
        "digits",
        lambda d, k: perceptron(d, (48, 48), nn.SiLU, k),
        steps=900,
        rate=5e-3,
        finish=_softmax(2.0),
    ),
    "saturated sigmoid": Recipe(
        "cancer",
        lambda d, k: perceptron(d, (32, 32), nn.GELU, k),
        steps=600,
        finish=lambda net: Head(net, torch.sigmoid, 2.0),
    ),
    "monotone": Recipe("cancer", lambda d, k: Monotone(d), rate=1e-2, loss=_of_probability),
    "mixture density": _mixture(nn.Module.eval),
    "mixture density, logarithm": _mixture(_in_logarithms),
    "embedded categories": _of_categories,
    "max-pool": Recipe("digits", lambda d, k: MaxPool(k), second_order=False),
    "20 layers of tanh": Recipe("cancer", deep_tanh),
    "soft trees": Recipe("friedman", lambda d, k: SoftTrees(d, k, 0.2), rate=1e-2),
    "soft trees, sharp": Recipe("clusters", lambda d, k: SoftTrees(d, k, 0.05), rate=1e-2),
    "GRU": Recipe("friedman", Recurrent),
    "cosine": Recipe("cancer", Cosine),
    "experts": Recipe("diabetes", Experts),
    "SoftPlus": Recipe("friedman", lambda d, k: perceptron(d, (64, 64, 64), nn.Softplus, k), rate=1e-2),
    "tanh, 30 columns": Recipe("cancer, all columns", lambda d, k: perceptron(d, (24, 24), nn.Tanh, k)),
    "GELU, 30 columns": Recipe("cancer, all columns", lambda d, k: perceptron(d, (32, 32, 32), nn.GELU, k)),
}


def _compared(where: Callable[[Tensor], Tensor], noise: float = 0.0, weight: float = 1.0) -> Trained:
    """Rows whose first two features are 1 and 1, the second but for that noise."""
    drawn = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    rows = torch.cat([torch.ones(40, 1), 1 + noise * drawn[:, :1], drawn[:, 2:]], 1)
    return Trained(Comparison(where, weight), rows)


def _band(width: float, weight: float) -> Trained:
    return _compared(lambda s: torch.exp(-(((s - 1) / width) ** 2)), weight=weight)


def _step(steepness: float, noise: float = 0.0) -> Trained:
    return _compared(lambda s: torch.sigmoid(steepness * (s - 1)), noise)


@cache
def _siamese_net(gain: float) -> nn.Module:
    """Train to tell how far apart the targets of two records are."""
    rows, targets = _records()
    one, other = torch.randint(len(rows), (2, 3000), generator=torch.Generator().manual_seed(0))
    apart = (targets[one] - targets[other]) ** 2
    pairs = Table(torch.cat([rows[one], rows[other]], 1), (apart - apart.mean()) / apart.std(), 1)
    return train(_seeded(lambda: Siamese(10, gain)), pairs, 600, 3e-3)


def _records() -> tuple[Tensor, Tensor]:
    on = table("diabetes")
    return on.rows[:, [2, 3, 4, 8, 9]], on.targets


def _siamese(gain: float, partner: Callable[[Tensor], Tensor]) -> Trained:
    rows, _ = _records()
    return Trained(_siamese_net(gain), torch.cat([rows, rows[partner(rows)]], 1)[:60])


def _itself(rows: Tensor) -> Tensor:
    return torch.arange(len(rows))


def _nearest(rows: Tensor) -> Tensor:
    return (torch.cdist(rows, rows) + 1e9 * torch.eye(len(rows))).argmin(1)


def _anyone(rows: Tensor) -> Tensor:
    return torch.randperm(len(rows), generator=torch.Generator().manual_seed(4))


DECEIVING: Mapping[str, Callable[[], Trained]] = {
    "band, width 0.5": partial(_band, 0.5, 5.0),
    "band, width 0.2": partial(_band, 0.2, 5.0),
    "band, width 0.1": partial(_band, 0.1, 5.0),
    "band, width 0.1, weight 100": partial(_band, 0.1, 100.0),
    "step of 12": partial(_step, 12.0),
    "step of 60": partial(_step, 60.0),
    "step of 30, nearly equal": partial(_step, 30.0, 0.02),
    **{
        f"siamese, gain {gain:g}, {words}": partial(_siamese, gain, partner)
        for gain in (4.0, 10.0)
        for words, partner in (("itself", _itself), ("nearest", _nearest), ("anyone", _anyone))
    },
}
"""Comparisons of two equal things: the path never sees the difference, so that rows cancel and only pairs are wrong."""


@cache
def built(name: str) -> Trained:
    return (FAMILIES | DECEIVING)[name]()
