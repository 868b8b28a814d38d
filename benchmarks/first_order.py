"""Integrated Gradients against captum, Expected Gradients against shap: at their defaults and at equal true error."""

import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import ihcli
from benchmarks.setup import Seen, Setup, alone, as_tensor, normal_rows, relative_errors, softplus_net, watch
from benchmarks.tables import Cell, Result, absent

ROWS, FEATURES, BASELINES = 10_000, 50, 200
TRUTH_ROWS = 500
EG_ROWS, SHAP_ROWS = 500, 20
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5)
CAPTUM_STEPS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40)
CAPTUM_DEFAULT = 50
CAPTUM_BATCH = 10_000
SHAP_DEFAULT = 200
SHAP_MOST = 20_000
COLUMNS = (
    "implementation",
    "device",
    "rows run",
    "s per 10,000 rows",
    "gradients per row",
    "median error",
    "99 % error",
    "peak MiB",
    "time, times ihcli",
    "gradients, times ihcli",
)
_NET = f"5 x 128 SoftPlus net (beta 10), D = {FEATURES}, float32"
IG_NOTES = (
    f"{_NET}, zero baseline. ihcli: the whole call of ihcli.explain. Ratios are to ihcli at the loosest tolerance "
    "whose median error is no larger than the line's own, or at its tightest.",
    f"captum: IntegratedGradients, {CAPTUM_DEFAULT} Gauss-Legendre steps by default, internal_batch_size "
    f"{CAPTUM_BATCH:,}; at equal error: the fewest steps whose median error is no larger than ihcli's there.",
    f"Error: relative L1 error of a row's attributions against ihcli at 1e-9 in float64, {TRUTH_ROWS} rows.",
)
EG_NOTES = (
    f"{_NET}, {BASELINES} baselines N(0, 1). Errors are those of the mean over these baselines, which ihcli integrates "
    "and shap's GradientExplainer samples. Ratios as above.",
    f"shap: {SHAP_DEFAULT} draws by default. At {SHAP_MOST:,} draws it is capped; the error of draws falls with the "
    "square root of their number, and the last line says from that how many would be needed.",
)


def measure(setup: Setup) -> list[Result]:
    """Measure ig and eg."""
    ig: list[list[Cell]] = []
    eg: list[list[Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        for method, n in (("ig", setup.rows(TRUTH_ROWS)), ("eg", setup.rows(SHAP_ROWS * 5, 8))):
            np.save(Path(folder, f"{method}.npy"), alone(_truth, method, n))
        for device in setup.devices():
            ig += _ig_lines(setup, device, Path(folder, "ig.npy"))
            eg += _eg_lines(setup, device, Path(folder, "eg.npy"))
    for lines in (ig, eg):
        if len(setup.devices()) == 1:
            lines.append(absent(COLUMNS, "cuda"))
    return [
        Result("ig", "Integrated Gradients of 10,000 rows, D = 50", COLUMNS, ig, IG_NOTES),
        Result("eg", f"Expected Gradients over {BASELINES} baselines, D = 50", COLUMNS, eg, EG_NOTES),
    ]


def _ig_lines(setup: Setup, device: str, truth: Path) -> list[list[Cell]]:
    n = setup.rows(ROWS)
    ours = [_measured("ig", f"ihcli, tolerance {t:g}", n, device, truth, _explain, t) for t in TOLERANCES]
    lines = [_compared(line, ours) for line in ours]
    if importlib.util.find_spec("captum") is None:
        return [*lines, _missing("captum", device)]
    default = _measured("ig", f"captum, default {CAPTUM_DEFAULT} steps", n, device, truth, _captum, CAPTUM_DEFAULT)
    lines.append(_compared(default, ours))
    few = min(n, TRUTH_ROWS)
    errors = {steps: _measured("ig", "", few, device, truth, _captum, steps)[5] for steps in CAPTUM_STEPS}
    for line in ours:
        enough = next((steps for steps in CAPTUM_STEPS if errors[steps] <= line[5]), CAPTUM_DEFAULT)
        name = f"captum, {enough} steps: equal to {line[0]}"
        theirs = _measured("ig", name, n, device, truth, _captum, enough)
        lines.append([*theirs, theirs[3] / line[3], theirs[4] / line[4]])
    return lines


def _eg_lines(setup: Setup, device: str, truth: Path) -> list[list[Cell]]:
    n, few = setup.rows(EG_ROWS, 20), setup.rows(SHAP_ROWS, 4)
    ours = [_measured("eg", f"ihcli, tolerance {t:g}", n, device, truth, _explain, t) for t in (0.1, *TOLERANCES[:2])]
    lines = [_compared(line, ours) for line in ours]
    if importlib.util.find_spec("shap") is None:
        return [*lines, _missing("shap", device)]
    for draws, rows in ((SHAP_DEFAULT, 5 * few), (SHAP_MOST, few)):
        theirs = _measured("eg", f"shap, {draws:,} draws", rows, device, truth, _shap, draws)
        lines.append(_compared(theirs, ours))
    needed = SHAP_MOST * max(1.0, float(theirs[5]) / float(ours[0][5])) ** 2
    times = [needed * theirs[3] / SHAP_MOST / ours[0][3], needed / ours[0][4]]
    name = f"shap, by extrapolation equal to {ours[0][0]}"
    lines.append([name, device, 0, needed * theirs[3] / SHAP_MOST, needed, ours[0][5], "", "", *times])
    return lines


def _compared(line: list[Cell], ours: list[list[Cell]]) -> list[Cell]:
    """Add the ratios to the loosest of ours that is no worse."""
    equal = next((one for one in ours if one[5] <= line[5]), ours[-1])
    return [*line, line[3] / equal[3], line[4] / equal[4]]


def _missing(package: str, device: str) -> list[Cell]:
    return [f"{package}: not installed", device, *[""] * (len(COLUMNS) - 2)]


def _measured(
    method: str, name: str, n: int, device: str, truth: Path, work: Callable[..., tuple[Seen, float]], setting: float
) -> list[Cell]:
    seen, gradients, errors = alone(_run, method, n, device, truth, work, setting)
    quantiles = [float(np.median(errors)), float(np.quantile(errors, 0.99))]
    return [name, device, n, seen.wall_s / n * 10_000, gradients, *quantiles, seen.peak_mib]


def _run(
    method: str, n: int, device: str, truth: Path, work: Callable[..., tuple[Seen, float]], setting: float
) -> tuple[Seen, float, np.ndarray]:
    net = softplus_net(FEATURES).requires_grad_(False).to(device)
    seen, gradients = work(net, *_workload(method, n), device, setting)
    return Seen(None, seen.wall_s, seen.peak_mib), gradients, relative_errors(seen.value, np.load(truth))


def _workload(method: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    baselines = np.zeros((1, FEATURES), np.float32) if method == "ig" else normal_rows(BASELINES, FEATURES, seed=2)
    return normal_rows(ROWS, FEATURES)[:n], baselines


def _truth(method: str, n: int) -> np.ndarray:
    rows, baselines = _workload(method, n)
    tolerance = 1e-9 if method == "ig" else 1e-6
    return _explained(softplus_net(FEATURES).double(), rows.astype(np.float64), baselines, tolerance).attributions


def _explained(net: torch.nn.Module, rows: np.ndarray, baselines: np.ndarray, tolerance: float) -> ihcli.Explanation:
    method, baseline = ("ig", baselines[0]) if len(baselines) == 1 else ("eg", baselines)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ihcli.explain(net, rows, method=method, baseline=baseline, tolerance=tolerance, smooth="none")


def _explain(
    net: torch.nn.Module, rows: np.ndarray, baselines: np.ndarray, device: str, tolerance: float
) -> tuple[Seen, float]:
    _explained(net, rows[:8], baselines, tolerance)
    seen = watch(lambda: _explained(net, rows, baselines, tolerance), device)
    return Seen(seen.value.attributions, seen.wall_s, seen.peak_mib), float(seen.value.evaluations.mean())


def _captum(
    net: torch.nn.Module, rows: np.ndarray, baselines: np.ndarray, device: str, steps: int
) -> tuple[Seen, float]:
    from captum.attr import IntegratedGradients

    attribution, zero = IntegratedGradients(net), as_tensor(baselines, device)

    def run(some: np.ndarray) -> np.ndarray:
        x = as_tensor(some, device)
        found = attribution.attribute(x, zero.expand_as(x), target=0, n_steps=steps, internal_batch_size=CAPTUM_BATCH)
        return found.detach().cpu().numpy()

    run(rows[:8])
    return watch(lambda: run(rows), device), float(steps)


def _shap(net: torch.nn.Module, rows: np.ndarray, baselines: np.ndarray, device: str, draws: int) -> tuple[Seen, float]:
    import shap

    explainer = shap.GradientExplainer(net, as_tensor(baselines, device), batch_size=1_000)

    def run(some: np.ndarray) -> np.ndarray:
        return np.asarray(explainer.shap_values(as_tensor(some, device), nsamples=draws, rseed=0)).reshape(some.shape)

    explainer.shap_values(as_tensor(rows[:1], device), nsamples=SHAP_DEFAULT)
    return watch(lambda: run(rows), device), float(draws)
