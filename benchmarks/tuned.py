"""The best that an expert could write today against ihcli: what peers leave to choose is chosen with hindsight.

Each peer is a script that answers requests (`answering.py`), in a process of its own. jax lives in an environment of
its own, which `make bench-peers` makes (JAX=directory of another); where a peer is not there, the table says so.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from benchmarks.answering import Points
from benchmarks.asking import Process, Request, Took
from benchmarks.setup import Setup, normal_rows, relative_errors, softplus_net
from benchmarks.tables import Cell, Result
from ihcli.integration.quadrature import panel_rule

JAX = Path(os.environ.get("JAX", ".venv-jax"), "bin", "python")
PYTHON = Path(sys.executable)
ROUNDS = 5
ENOUGH_S = 0.5
"""A peer explains fewer rows where it takes longer than that."""
FEW_ROWS = 8
NODES = range(3, 65)
POINTS_A_CALL = {1: (256, 1024, 4096), 2: (64, 128, 256, 1024)}
"""By order: of what fits into caches, and what does not."""
MOST_BYTES = 1 << 29
"""Of second derivatives that one call may hold."""
BATCHES_OF_CAPTUM = (1024, 4096, 16_384, None)
BATCHES_OF_SHAP = (50, 200, 1000)
CAPTUM_STEPS, CAPTUM_DEFAULT, SHAP_DEFAULT = (4, 8), 50, 200
BASELINES, POPULATION = 200, 2000
EXACT = {"ih": 1e-7, "ig": 1e-9, "eg": 1e-4, "eh": 1e-3}
"""Tolerance of what errors are measured against: of eg and eh far below what 200 baselines leave open."""
COLUMNS = (
    "task",
    "implementation",
    "points a call",
    "evaluations per row",
    "rows run",
    "CPU s per 1,000 rows",
    "wall s per 1,000 rows",
    "median error",
    "99 % error",
    "first call s",
    "CPU, times ihcli",
)
NOTES = (
    "5 x 128 net, SoftPlus beta 10, torch's default initialisation, float32, rows N(0, 1), zero baseline, one thread. "
    f"Every implementation in a process of its own; medians of {ROUNDS} rounds in which all take turns, also of their "
    "ratios. ihcli: the whole call of ihcli.explain at the tolerance of the task, checks included.",
    "Peers certify nothing. Their nodes are the fewest whose median and 99 % error are both no larger than ihcli's, "
    "found with the truth at hand; their points a call are the fastest of some. 4, 8 and 50 steps were asked for "
    "whatever comes of them.",
    "jax: jit of vmap of forward over reverse (ig, eg: of vmap of grad), compiled at the first call, which is apart. "
    "torch: the same by torch.func. captum: IntegratedGradients with the fastest internal_batch_size; 50 steps are its "
    "default. shap: GradientExplainer, 200 draws by default, with the fastest batch_size.",
    "Error of ih and ig: relative L1 error of a row against ihcli in float64 at 1e-7 or 1e-9. Of eg and eh: against "
    f"the mean over a population of {POPULATION:,} baselines, from which ihcli draws {BASELINES} and integrates, to "
    "its default tolerance, a fifth of their sampling error, and peers draw with a place on the path for every "
    f"evaluation. At equal error they draw as often as their error at {SHAP_DEFAULT} draws says is enough for ihcli's "
    "median, by the law of the square root.",
)


@dataclass(frozen=True)
class Task:
    """What is explained: rows of so many features by a method, at a tolerance; errors are those of the first rows.

    Of none it is ihcli's own, which is a share of the sampling error where baselines are drawn.
    """

    method: str
    features: int
    tolerance: float | None
    rows: int
    judged: int

    @property
    def is_sampled(self) -> bool:
        return self.method in ("eg", "eh")

    @property
    def order(self) -> int:
        return 2 if self.method in ("ih", "eh") else 1

    @property
    def label(self) -> str:
        return f"{self.method}, D = {self.features}, {'default' if self.tolerance is None else f'{self.tolerance:g}'}"


TASKS = (
    Task("ih", 5, 1e-3, 1000, 200),
    Task("ih", 5, 1e-2, 1000, 200),
    Task("ih", 50, 1e-2, 500, 100),
    Task("ih", 500, 1e-2, 100, 20),
    Task("ig", 50, 1e-2, 10_000, 500),
    Task("eg", 50, None, 20, 20),
    Task("eh", 5, None, 20, 20),
)


@dataclass(frozen=True)
class Line:
    """An implementation as it was set: its process, name and request; what the first call of its kind took."""

    process: Process
    name: str
    request: Request
    errors: np.ndarray
    rows: int
    first_s: float | str = ""


def measure(setup: Setup) -> list[Result]:
    """Measure every task."""
    lines: list[list[Cell]] = []
    for task in TASKS:
        with tempfile.TemporaryDirectory() as folder:
            rows, judged = setup.rows(task.rows, max(10, task.rows // 50)), setup.rows(task.judged, 5)
            bench = _Bench(replace(task, rows=rows, judged=min(rows, judged)), Path(folder))
            started = time.monotonic()
            try:
                lines += bench.measured(setup.rows(ROUNDS, 1))
            finally:
                bench.end()
            print(f"{time.monotonic() - started:7.1f} s  {task.label}", file=sys.stderr, flush=True)
    return [Result("tuned", "The strongest peers, tuned with hindsight", COLUMNS, lines, NOTES)]


class _Bench:
    """One task: the processes that take turns, and the truth."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._task, self._folder = task, folder
        self._work = folder / "work.npz"
        baselines = normal_rows(POPULATION, task.features, seed=2) if task.is_sampled else np.zeros((1, task.features))
        layers = [layer for layer in softplus_net(task.features) if isinstance(layer, nn.Linear)]
        weights = {f"weight{i}": layer.weight.detach().numpy() for i, layer in enumerate(layers)}
        biases = {f"bias{i}": layer.bias.detach().numpy() for i, layer in enumerate(layers)}
        self._baselines = baselines.astype(np.float32)
        rows = normal_rows(task.rows, task.features)
        np.savez(self._work, rows=rows, baselines=self._baselines, **weights, **biases)
        self._processes: list[Process] = []
        self._ihcli = self._begun(PYTHON, "ihcli")
        exactly = {"method": task.method, "baselines": len(baselines), "tolerance": EXACT[task.method], "exactly": True}
        self._truth = self._ihcli.found(exactly, task.judged)

    def measured(self, rounds: int) -> list[list[Cell]]:
        """Return the lines of the table, ours first."""
        task = self._task
        n = BASELINES if task.is_sampled else 1
        request = {"method": task.method, "baselines": n, "tolerance": task.tolerance}
        ours = Line(self._ihcli, "ihcli", request, self._errors(self._ihcli, request), task.rows)
        lines, absent = [ours], []
        for name, python, tuned in self._peers(ours):
            try:
                lines += tuned(self._begun(python, name))
            except (OSError, RuntimeError) as reason:
                absent.append(f"{name}: {'not installed' if isinstance(reason, OSError) else reason}")
        unknown = [""] * (len(COLUMNS) - 2)
        return [*self._taken_in_turns(lines, rounds), *([task.label, name, *unknown] for name in absent)]

    def end(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.end()

    def _begun(self, python: Path, script: str) -> Process:
        self._processes.append(Process(python, script, self._work))
        return self._processes[-1]

    def _peers(self, ours: Line) -> list[tuple[str, Path, Callable[[Process], list[Line]]]]:
        if self._task.is_sampled:
            draws = ("jax", JAX, lambda process: self._by_draws(process, ours))
            shap = ("shap", PYTHON, lambda process: self._of_shap(process, ours))
            return [draws, shap] if self._task.order == 1 else [draws]
        nodes = self._fewest_nodes(ours)
        sums = [
            ("jax", JAX, lambda process: [self._at_nodes(process, "jax", nodes)]),
            ("vmap", PYTHON, lambda process: [self._at_nodes(process, "torch vmap", nodes)]),
        ]
        return [*sums, ("captum", PYTHON, self._of_captum)] if self._task.order == 1 else sums

    def _fewest_nodes(self, ours: Line) -> int:
        """Return the fewest nodes of one rule for all rows whose errors are no larger than ours."""
        request = {"method": self._task.method, "baselines": 1}
        for nodes in NODES:
            errors = self._errors(self._ihcli, {**request, "steps": nodes})
            if all(theirs <= mine for theirs, mine in zip(_figures(errors), _figures(ours.errors), strict=True)):
                return nodes
        return NODES[-1]

    def _at_nodes(self, process: Process, name: str, nodes: int) -> Line:
        rule = panel_rule(nodes).on(np.zeros(1), np.ones(1))
        t, plain, log = rule.t[0], rule.weights[0], rule.log_weights[0]
        start = np.repeat(self._baselines, nodes, 0)
        points = Points(start, t, plain, None) if self._task.order == 1 else Points(start, t, log, log * t)
        return self._fastest(process, f"{name}, {nodes} nodes", self._saved(points), POINTS_A_CALL[self._task.order])

    def _of_captum(self, process: Process) -> list[Line]:
        lines = []
        for steps in (*CAPTUM_STEPS, CAPTUM_DEFAULT):
            name = f"captum, {steps} steps"
            lines.append(self._fastest(process, name, {"steps": steps}, BATCHES_OF_CAPTUM))
        return lines

    def _of_shap(self, process: Process, ours: Line) -> list[Line]:
        few = self._fastest(process, f"shap, {SHAP_DEFAULT} draws", {"draws": SHAP_DEFAULT}, BATCHES_OF_SHAP)
        draws = _enough(few, ours)
        return [few, self._fastest(process, f"shap, {draws:,} draws", {"draws": draws}, BATCHES_OF_SHAP)]

    def _by_draws(self, process: Process, ours: Line) -> list[Line]:
        few = self._fastest(
            process, f"jax, {SHAP_DEFAULT} draws", self._drawn(SHAP_DEFAULT), POINTS_A_CALL[self._task.order]
        )
        draws = _enough(few, ours)
        return [
            few,
            self._fastest(process, f"jax, {draws:,} draws", self._drawn(draws), POINTS_A_CALL[self._task.order]),
        ]

    def _drawn(self, draws: int) -> Request:
        """Return the published expectation: a baseline and a place, of eh a product of two, drawn for each point."""
        random = np.random.default_rng(0)
        t = np.prod(random.random((self._task.order, draws)), axis=0)
        even = np.full(draws, 1 / draws)
        start = self._baselines[random.integers(len(self._baselines), size=draws)]
        return self._saved(Points(start, t, even, None if self._task.order == 1 else even * t))

    def _saved(self, points: Points) -> Request:
        path = self._folder / f"points{len(points)}.npz"
        points.save(str(path))
        return {"points": str(path)}

    def _fastest(self, process: Process, name: str, request: Request, sizes: tuple[int | None, ...]) -> Line:
        """Return the line at the size of call that takes the least time for a row."""
        held = 4 * self._task.features**self._task.order
        tried = []
        for size in sizes:
            if size is None or size * held <= MOST_BYTES:
                asked = {**request, "points_a_call": size}
                first = process.ask(asked, FEW_ROWS)
                rows = self._rows(process.ask(asked, FEW_ROWS), FEW_ROWS, 2 * (size or 0))
                again = min(process.ask(asked, rows).cpu_s for _ in range(2))
                tried.append((again / rows, size, rows, first.wall_s))
        _, size, rows, first_s = min(tried, key=lambda one: one[0])
        asked = {**request, "points_a_call": size}
        return Line(process, name, asked, self._errors(process, asked), rows, first_s)

    def _rows(self, took: Took, rows: int, least_points: int = 0) -> int:
        """Return how many rows to run where so many took that."""
        enough = max(ENOUGH_S * rows / took.cpu_s, FEW_ROWS, least_points / took.evaluations)
        return min(int(enough), self._task.rows)

    def _errors(self, process: Process, request: Request) -> np.ndarray:
        return relative_errors(process.found(request, self._task.judged), self._truth)

    def _taken_in_turns(self, lines: list[Line], rounds: int) -> list[list[Cell]]:
        taken = []
        for turn in range(rounds):
            order = range(len(lines)) if turn % 2 == 0 else reversed(range(len(lines)))
            took = {i: lines[i].process.ask(lines[i].request, lines[i].rows) for i in order}
            taken.append([took[i] for i in range(len(lines))])
        return [
            self._cells(line, lines[0], list(zip(*taken, strict=True))[i], [once[0] for once in taken])
            for i, line in enumerate(lines)
        ]

    def _cells(self, line: Line, our_line: Line, taken: Sequence[Took], ours: Sequence[Took]) -> list[Cell]:
        cpu_s, wall_s = (statistics.median(getattr(one, name) for one in taken) for name in ("cpu_s", "wall_s"))
        rows = line.rows
        ratios = [one.cpu_s / rows / (mine.cpu_s / our_line.rows) for one, mine in zip(taken, ours, strict=True)]
        size = line.request.get("points_a_call", "")
        return [
            self._task.label,
            line.name,
            "all" if size is None else size,
            taken[0].evaluations,
            rows,
            cpu_s / rows * 1000,
            wall_s / rows * 1000,
            *_figures(line.errors),
            line.first_s,
            statistics.median(ratios),
        ]


def _figures(errors: np.ndarray) -> list[float]:
    """Return the median and the 99th percentile."""
    return [float(np.median(errors)), float(np.quantile(errors, 0.99))]


def _enough(few: Line, ours: Line) -> int:
    """Return how many draws come to our median error where so few come to theirs."""
    return round(SHAP_DEFAULT * float(np.median(few.errors) / np.median(ours.errors)) ** 2)
