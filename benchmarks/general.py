"""The engines for any model: against vmap of torch.func.hessian, and operations against products of backwards."""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks.lines import autograd_engine, paths_from_zero
from benchmarks.published import by_vmap_of_hessian, gauss_nodes
from benchmarks.setup import Seen, Setup, alone, as_tensor, normal_rows, relative_errors, softplus_net, watch
from benchmarks.tables import Cell, Result, absent
from ihcli.derivatives.calling import calling
from ihcli.derivatives.operations import OperationsEngine
from ihcli.integration.assembly import explain_rows
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS

FEATURES = 500
NODES = 8
ROWS = 64
HESSIAN_POINTS = (32, 128)
MEMORY_MIB = (128, 512, 2048)
COLUMNS = (
    "implementation",
    "device",
    "rows",
    "wall s",
    "peak MiB beside result",
    "times fastest of ours",
    "difference",
)
NOTES = (
    f"5 x 128 SoftPlus net, D = {FEATURES}, {NODES} Gauss-Legendre nodes a row, float32. The autograd engine certifies "
    "as well; vmap of hessian only sums. Difference: relative L1, largest of the rows, to vmap of hessian in float64.",
    "Points: Hessians in one call of vmap. Memory: what the engine is given as its bound.",
)

WIDTHS = (8, 16, 40)
OPERATIONS_ROWS = {"residual": 300, "feature transformer": 24}
OPERATIONS_BYTES, OPERATIONS_TOLERANCE, ROUNDS = 1 << 28, 0.01, 5
TURNS = ("network", "features", "rows", "backwards, cpu s", "operations, cpu s", "times faster", "difference")
TURNS_NOTES = (
    f"Whole rows under ih at tolerance {OPERATIONS_TOLERANCE:g}, certified and assembled, float32, one thread, both in "
    f"turns; medians of {ROUNDS}. Residual: 4 blocks of LayerNorm, layer, GELU, layer, 32 wide; feature transformer: 2 "
    "layers of torch's, 32 wide, 4 heads. Difference: relative L1, largest of the rows.",
)


def measure(setup: Setup) -> list[Result]:
    """Measure all at some sizes."""
    n = setup.rows(ROWS, 16)
    rows: list[list[Cell]] = []
    for device in setup.devices():
        ours = [(f"autograd engine, {mib} MiB", alone(_ours, n, device, mib)) for mib in MEMORY_MIB]
        theirs = [(f"vmap of hessian, {points} points", alone(_theirs, n, device, points)) for points in HESSIAN_POINTS]
        fastest = min(seen.wall_s for _, seen in ours)
        truth = alone(_truth, min(n, 8))
        for name, one in ours + theirs:
            error = float(relative_errors(one.value, truth).max())
            rows.append([name, device, n, one.wall_s, one.peak_mib, one.wall_s / fastest, error])
    if len(setup.devices()) == 1:
        rows.append(absent(COLUMNS, "cuda"))
    general = Result("general", "General models: autograd engine against vmap of hessian", COLUMNS, rows, NOTES)
    return [general, _by_operation(setup)]


def _by_operation(setup: Setup) -> Result:
    found = [alone(_turns, name, d, setup.rows(rows, 8)) for name, rows in OPERATIONS_ROWS.items() for d in WIDTHS]
    return Result("operations", "Curvature by operation against products of backwards", TURNS, found, TURNS_NOTES)


def _turns(name: str, n_inputs: int, n_rows: int) -> list[Cell]:
    """Explain the same rows with both engines in turns."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = NETS[name](n_inputs).eval().requires_grad_(False)
    paths = paths_from_zero(normal_rows(n_rows, n_inputs))
    engines = (autograd_engine(net, OPERATIONS_BYTES), OperationsEngine(net, OPERATIONS_BYTES))
    taken: list[list[float]] = []
    for _ in range(ROUNDS + 1):
        started = [time.process_time()]
        explained = []
        for engine in engines:
            explained.append(explain_rows(engine.along(paths), METHODS["ih"], Effort(OPERATIONS_TOLERANCE)))
            started.append(time.process_time())
        taken.append(list(np.diff(started)))
    theirs, ours = (rows.interactions for rows in explained)
    before, now = np.array(taken[1:]).T
    difference = float(relative_errors(ours, theirs).max())
    return [name, n_inputs, n_rows, *(float(np.median(s)) for s in (before, now, before / now)), difference]


class Residual(nn.Module):
    """Blocks of norm, layer, GELU and layer beside the identity."""

    def __init__(self, n_inputs: int, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(n_inputs, width), nn.Linear(width, 1)
        parts = (nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(nn.Sequential(*map(copy.deepcopy, parts)) for _ in range(blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.last(hidden)


class FeatureTransformer(nn.Module):
    """A token for each feature, two layers of attention, the answer at a token of its own."""

    def __init__(self, n_inputs: int, width: int = 32) -> None:
        super().__init__()
        self.scale, self.shift = (nn.Parameter(torch.randn(n_inputs, width) * 0.6) for _ in range(2))
        self.answer, self.head = nn.Parameter(torch.randn(1, width)), nn.Linear(width, 1)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = x[:, :, None] * self.scale + self.shift
        tokens = torch.cat([self.answer.expand(len(x), 1, -1), features], 1)
        with calling("net"):
            return self.head(self.layers(tokens)[:, 0])


NETS: dict[str, Callable[[int], nn.Module]] = {"residual": Residual, "feature transformer": FeatureTransformer}


def _ours(n: int, device: str, memory_mib: int) -> Seen:
    engine = autograd_engine(_net(device), memory_mib << 20)
    paths = paths_from_zero(normal_rows(n, FEATURES), device)
    explain_rows(engine.along(paths_from_zero(normal_rows(2, FEATURES), device)), METHODS["ih"], Effort(steps=NODES))
    return _beside_result(
        watch(lambda: explain_rows(engine.along(paths), METHODS["ih"], Effort(steps=NODES)).interactions, device)
    )


def _theirs(n: int, device: str, batch_points: int) -> Seen:
    net, x = _net(device), as_tensor(normal_rows(n, FEATURES), device)
    points = gauss_nodes(torch.zeros(1, FEATURES, device=device), NODES)
    by_vmap_of_hessian(net, x[:2], points, batch_points)
    return _beside_result(watch(lambda: by_vmap_of_hessian(net, x, points, batch_points).cpu().numpy(), device))


def _beside_result(seen: Seen) -> Seen:
    return Seen(seen.value[:8].copy(), seen.wall_s, max(0.0, seen.peak_mib - seen.value.nbytes / 2**20))


def _truth(n: int) -> np.ndarray:
    x = torch.as_tensor(normal_rows(n, FEATURES)).double()
    points = gauss_nodes(torch.zeros(1, FEATURES, dtype=torch.float64), NODES)
    return by_vmap_of_hessian(_net("cpu").double(), x, points, 32).numpy()


def _net(device: str) -> torch.nn.Module:
    return softplus_net(FEATURES).requires_grad_(False).to(device)
