"""ReLU nets under ig: gradients that Gauss panels take against following the kinks, and whether errors are honest."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.lines import Counted, chosen_engine, paths_from_zero
from benchmarks.setup import Setup, alone, normal_rows, relu_net, watch
from benchmarks.tables import Cell, Result
from ihcli.derivatives import Engine
from ihcli.derivatives.paths import Paths
from ihcli.integration.certify import Certificate, certify
from ihcli.integration.effort import Effort
from ihcli.integration.kinks import certify_piecewise

TOLERANCE = 1e-2
FEATURES = 30
ROWS = 300
SCALE = 3.0
NETS = ((3, 32), (3, 128))
MOST_EVALUATIONS = 20_000
COLUMNS = (
    "net",
    "by",
    "rows",
    "gradients per row",
    "forwards per row",
    "wall s",
    "median error",
    "99 % error",
    "within tolerance",
    "honest",
    "gradients, times kinks",
)
NOTES = (
    f"ReLU nets with torch's default initialisation, D = {FEATURES}, rows {SCALE:g} N(0, 1), zero baseline, ig at "
    f"tolerance {TOLERANCE:g}, float32, at most {MOST_EVALUATIONS:,} evaluations a row.",
    "Error: relative L1 error of the attributions, against the exact integral: the path is cut at every kink, found "
    "layer by layer in float64. Honest: rows whose reported error is at least the true one.",
)


def measure(setup: Setup) -> list[Result]:
    """Measure both ways on each net."""
    rows: list[list[Cell]] = []
    for hidden, width in NETS:
        n = setup.rows(ROWS, 20)
        kinks, gauss = (alone(_run, way, hidden, width, n) for way in ("kinks", "Gauss panels"))
        for way, line in (("kinks", kinks), ("Gauss panels", gauss)):
            rows.append([f"{hidden} x {width}", way, n, *line, float(line[0]) / float(kinks[0])])
    return [Result("relu", "ReLU nets: following kinks against Gauss panels", COLUMNS, rows, NOTES)]


def _run(way: str, hidden: int, width: int, n: int) -> list[Cell]:
    net = relu_net(FEATURES, width, hidden).requires_grad_(False)
    rows = SCALE * normal_rows(n, FEATURES)
    paths = paths_from_zero(rows)
    engine = chosen_engine(net, paths)

    def run() -> tuple[Certificate, Counted]:
        counted = Counted(engine)
        return WAYS[way](counted, paths), counted

    seen = watch(run)
    certificate, counted = seen.value
    truth = np.array([_exact_attributions(net, row) for row in rows])
    errors = np.abs(certificate.attributions.mean(1) - truth).sum(1) / np.abs(truth).sum(1)
    return [
        counted.gradients_taken / n,
        counted.values_taken / n,
        seen.wall_s,
        float(np.median(errors)),
        float(np.quantile(errors, 0.99)),
        f"{(certificate.status == 'ok').mean():.1%}",
        f"{(certificate.relative_error >= errors).mean():.1%}",
    ]


def _follow_kinks(engine: Engine, paths: Paths) -> Certificate:
    return certify_piecewise(engine.along(paths), Effort(TOLERANCE, MOST_EVALUATIONS))


def _cover_with_panels(engine: Engine, paths: Paths) -> Certificate:
    return certify(engine.along(paths), False, Effort(TOLERANCE, MOST_EVALUATIONS))


WAYS: dict[str, Callable[[Engine, Paths], Certificate]] = {
    "kinks": _follow_kinks,
    "Gauss panels": _cover_with_panels,
}


def _exact_attributions(net: nn.Module, row: np.ndarray) -> np.ndarray:
    """Return int_0^1 delta * df/dz dt from 0, exactly: between kinks the gradient is that of any point."""
    x = torch.as_tensor(row).double()
    layers = [(layer.weight.double(), layer.bias.double()) for layer in net if isinstance(layer, nn.Linear)]
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for depth in range(1, len(layers)):
        t = _with_crossings(t, _pre_activations(layers[:depth], t, x)[-1])
    width, middle = t.diff(), (t[1:] + t[:-1]) / 2
    gradient = layers[-1][0].expand(len(middle), -1)
    pre_activations = _pre_activations(layers[:-1], middle, x)
    for a, (weight, _) in zip(reversed(pre_activations), reversed(layers[:-1]), strict=True):
        gradient = (gradient * (a > 0)) @ weight
    return ((width @ gradient) * x).numpy()


def _pre_activations(layers: list[tuple[Tensor, Tensor]], t: Tensor, x: Tensor) -> list[Tensor]:
    found, h = [], t[:, None] * x
    for weight, bias in layers:
        found.append(h @ weight.T + bias)
        h = found[-1].relu()
    return found


def _with_crossings(t: Tensor, a: Tensor) -> Tensor:
    """Return t (Q,) with the points where a (Q, m), linear in between, changes sign."""
    left, right = a[:-1], a[1:]
    crosses = (left < 0) != (right < 0)
    share = (left / (left - right))[crosses]
    at = torch.nonzero(crosses)[:, 0]
    return torch.cat([t, t[at] + share * t.diff()[at]]).unique()
