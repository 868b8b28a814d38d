"""The published workload: all pairs for 1,000 rows of a 5 x 128 SoftPlus net, against time, as features grow."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import ihcli
from benchmarks.published import (
    Points,
    by_second_backward,
    by_vmap_of_hessian,
    gauss_nodes,
    published_draws,
    published_grid,
)
from benchmarks.setup import Seen, Setup, alone, as_tensor, normal_rows, relative_errors, softplus_net, watch
from benchmarks.tables import Cell, Result, absent

ROWS = 1_000
FEATURES = (5, 50, 500)
BASELINES = 200
TOLERANCE = 1e-3
OUR_NODES = 8
"""Nodes of one panel of ours; vmap of hessian is also given as many as ours took evaluations, where that is more."""
TRUTH_TOLERANCE = {"ih": 1e-7, "eh": 1e-6}
SECOND_BACKWARD_POINTS = 20_000
HESSIAN_POINTS = {5: 4096, 50: 512, 500: 128}
"""Points a call of the peers, the fastest of some sizes tried on two cores."""

OURS, GRID, HESSIAN = "ihcli", "published procedure", "vmap of hessian"
COLUMNS = (
    "method",
    "implementation",
    "device",
    "D",
    "rows run",
    "s per 1,000 rows",
    "evaluations per row",
    "median error",
    "99 % error",
    "rows within 1e-3",
    "peak MiB beside result",
    "times ihcli",
)
NOTES = (
    f"5 x {128} net, SoftPlus beta 10, torch's default initialisation, float32, rows N(0, 1); ih: zero baseline, eh: "
    f"{BASELINES} baselines N(0, 1).",
    f"ihcli: the whole call of ihcli.explain at tolerance {TOLERANCE:g}, checks of the model included. Others: their "
    "sums alone. Rows run are fewer where a method is slow; seconds are scaled to 1,000 rows.",
    "published procedure: a second backward pass per feature at 200 points, alpha = l/20 and beta = p/10 (ih) or 200 "
    "random draws of alpha, beta and baseline (eh). vmap of hessian: torch.func at Gauss-Legendre nodes on [0, 1] of "
    "each baseline with the weights of -t ln t.",
    "Error: relative L1 error of a row's interactions, against ihcli at tolerance 1e-7 (ih) or 1e-6 (eh) in float64 on "
    "a subset of rows; vmap of hessian at 200 nodes comes to the same by a way of its own.",
    "Peak memory: of a process that runs this alone, beyond what it held before and the result.",
)


@dataclass(frozen=True)
class Case:
    """One line of the table: a method at D features by an implementation, on so many rows."""

    method: str
    features: int
    rows: int
    implementation: str
    device: str = "cpu"
    nodes: int = 0

    @property
    def label(self) -> str:
        """The implementation, with its nodes where it has a choice."""
        return f"{self.implementation}, {self.nodes} nodes" if self.nodes else self.implementation


@dataclass(frozen=True)
class Outcome:
    """What a case gave: seconds of the rows run, evaluations a row, errors of the rows with a known truth."""

    wall_s: float
    evaluations: float
    errors: np.ndarray
    peak_mib: float


def measure(setup: Setup) -> list[Result]:
    """Measure ih and eh at every D."""
    rows: list[list[Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        for method in ("ih", "eh"):
            for features in FEATURES:
                truth = Path(folder, f"{method}-{features}.npy")
                n = setup.rows(truth_rows(method, features), 2)
                np.save(truth, alone(find_truth, method, features, n))
                for device in setup.devices():
                    rows += _lines([*_cases(setup, method, features, device)], truth)
    if len(setup.devices()) == 1:
        rows.append(absent(COLUMNS, "cuda"))
    return [Result("workload", "Integrated and Expected Hessians of all pairs, 1,000 rows", COLUMNS, rows, NOTES)]


def _cases(setup: Setup, method: str, features: int, device: str) -> Iterator[Case]:
    """Yield ours first: the others are compared with it."""
    ours, grid, few_nodes, many_nodes = {
        ("ih", 5): (1000, 1000, 1000, 200),
        ("ih", 50): (1000, 100, 500, 40),
        ("ih", 500): (1000, 3, 100, 6),
        ("eh", 5): (50, 1000, 50, 0),
        ("eh", 50): (50, 100, 10, 0),
        ("eh", 500): (5, 3, 1, 0),
    }[method, features]
    line = Case(method, features, 0, OURS, device)
    yield replace(line, rows=_rows(setup, ours))
    yield replace(line, rows=_rows(setup, grid), implementation=GRID)
    yield replace(line, rows=_rows(setup, few_nodes), implementation=HESSIAN, nodes=OUR_NODES)
    if many_nodes:
        yield replace(line, rows=_rows(setup, many_nodes), implementation=HESSIAN, nodes=200)


def _rows(setup: Setup, full: int) -> int:
    return setup.rows(full, max(1, full // 25))


def _lines(cases: list[Case], truth: Path) -> Iterator[list[Cell]]:
    ours = alone(run_case, cases[0], truth)
    yield line_of(cases[0], ours, 1.0)
    nodes = round(ours.evaluations)
    at_our_nodes = [
        replace(case, nodes=nodes, rows=max(1, case.rows // 2))
        for case in cases
        if case.nodes == OUR_NODES < nodes and case.method == "ih"
    ]
    for case in [*cases[1:], *at_our_nodes]:
        outcome = alone(run_case, case, truth)
        yield line_of(case, outcome, (outcome.wall_s / case.rows) / (ours.wall_s / cases[0].rows))


def line_of(case: Case, outcome: Outcome, ratio: float) -> list[Cell]:
    """Return the line of the table."""
    return [
        case.method,
        case.label,
        case.device,
        case.features,
        case.rows,
        outcome.wall_s / case.rows * ROWS,
        outcome.evaluations,
        *error_cells(outcome.errors),
        outcome.peak_mib,
        ratio,
    ]


def error_cells(errors: np.ndarray) -> list[Cell]:
    """Return the median and 99th percentile of errors, and the share of rows within the tolerance."""
    within = f"{(errors <= TOLERANCE).mean():.1%} of {len(errors)}"
    return [float(np.median(errors)), float(np.quantile(errors, 0.99)), within]


def truth_rows(method: str, features: int) -> int:
    """Return how many rows get a truth to be compared with."""
    return {"ih": 200, "eh": 10}[method] if features < 500 else {"ih": 100, "eh": 2}[method]


def inputs_of(method: str, features: int, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and baselines of the workload; fewer rows are the first of them."""
    if method == "ih":
        return normal_rows(ROWS, features)[:n_rows], np.zeros((1, features), np.float32)
    return normal_rows(ROWS, features)[:n_rows], normal_rows(BASELINES, features, seed=2)


def find_truth(method: str, features: int, n_rows: int) -> np.ndarray:
    """Return interactions in float64 at a tolerance far below any other."""
    rows, baselines = inputs_of(method, features, n_rows)
    net = softplus_net(features).double()
    return _explained(net, rows.astype(np.float64), method, baselines, TRUTH_TOLERANCE[method]).interactions


def run_case(case: Case, truth: Path) -> Outcome:
    """Run a case in this process, once on a row to warm up, then watched."""
    net = softplus_net(case.features).requires_grad_(False).to(case.device)
    rows, baselines = inputs_of(case.method, case.features, case.rows)
    work = _ours if case.implementation == OURS else _theirs
    run, evaluations = work(case, net, baselines)
    run(rows[:1])
    seen = watch(lambda: run(rows), case.device)
    gamma, per_row = evaluations(seen)
    return Outcome(
        wall_s=seen.wall_s,
        evaluations=per_row,
        errors=relative_errors(gamma, np.load(truth, mmap_mode="r")),
        peak_mib=max(0.0, seen.peak_mib - gamma.nbytes / 2**20),
    )


Work = tuple[Callable[[np.ndarray], object], Callable[[Seen], tuple[np.ndarray, float]]]


def _ours(case: Case, net: torch.nn.Module, baselines: np.ndarray) -> Work:
    def finish(seen: Seen) -> tuple[np.ndarray, float]:
        return seen.value.interactions, float(seen.value.evaluations.mean())

    return lambda rows: _explained(net, rows, case.method, baselines, TOLERANCE), finish


def _explained(
    net: torch.nn.Module, rows: np.ndarray, method: str, baselines: np.ndarray, tolerance: float
) -> ihcli.Explanation:
    baseline = baselines[0] if method == "ih" else baselines
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ihcli.explain(net, rows, method=method, baseline=baseline, tolerance=tolerance, smooth="none")


def _theirs(case: Case, net: torch.nn.Module, baselines: np.ndarray) -> Work:
    points = _points(case, as_tensor(baselines, case.device))
    procedure = by_second_backward if case.implementation == GRID else by_vmap_of_hessian
    batch = SECOND_BACKWARD_POINTS if case.implementation == GRID else HESSIAN_POINTS[case.features]

    def run(rows: np.ndarray) -> torch.Tensor:
        return procedure(net, as_tensor(rows, case.device), points, batch)

    return run, lambda seen: (seen.value.cpu().numpy(), float(len(points)))


def _points(case: Case, baselines: torch.Tensor) -> Points:
    if case.implementation == HESSIAN:
        return gauss_nodes(baselines, case.nodes)
    return published_grid(baselines) if case.method == "ih" else published_draws(baselines)
