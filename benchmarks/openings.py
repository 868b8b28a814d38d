"""Networks that look codes up against the same networks by hand, as functions of what codes are looked up as."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

import ihcli
from benchmarks.setup import Setup, alone
from benchmarks.tables import Cell, Result

CODES, NUMBERS, WIDTH = (7, 3, 12, 5, 20, 4), 6, 8
ROWS = {"ig": 4000, "ih": 1000}
TURNS = 5
COLUMNS = (
    "network",
    "method",
    "rows",
    "CPU s",
    "CPU s by hand",
    "times by hand",
    "times by hand, a row",
    "evaluations",
)
NOTES = (
    f"{len(CODES)} columns of codes and {NUMBERS} numbers, vectors of {WIDTH}; torch's default initialisation, float32"
    ", tolerance 0.001, engine autograd for both; the most frequent codes and the mean of numbers as baseline.",
    f"By hand: the same layers as a function of vectors and numbers, without lookups. CPU seconds of one thread, the "
    f"fastest of {TURNS} turns of both. A row: less what a call with 2 rows takes, which is mostly finding lookups.",
)
Vectors = Sequence[Tensor]


class Chain(nn.Module):
    """Vectors and numbers side by side into a chain of layers (Guo and Berkhahn 2016)."""

    def __init__(self) -> None:
        super().__init__()
        width = len(CODES) * WIDTH + NUMBERS
        self.layers = nn.Sequential(nn.Linear(width, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(self, vectors: Vectors, numbers: Tensor) -> Tensor:
        """Return the outputs (P, 1)."""
        outputs: Tensor = self.layers(torch.cat([*vectors, numbers], 1))
        return outputs


class Attention(nn.Module):
    """Attention over vectors, numbers beside it (Huang et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(
            WIDTH, 2, 4 * WIDTH, activation="gelu", batch_first=True, norm_first=True
        )
        self.head = nn.Linear(len(CODES) * WIDTH + NUMBERS, 1)

    def forward(self, vectors: Vectors, numbers: Tensor) -> Tensor:
        """Return the outputs (P, 1)."""
        outputs: Tensor = self.head(torch.cat([self.encoder(torch.stack(list(vectors), 1)).flatten(1), numbers], 1))
        return outputs


class Coded(nn.Module):
    """Looks the first columns up."""

    def __init__(self, rest: nn.Module) -> None:
        super().__init__()
        self.tables, self.rest = nn.ModuleList([nn.Embedding(size, WIDTH) for size in CODES]), rest

    def forward(self, rows: Tensor) -> Tensor:
        """Return the outputs of rows (P, codes and numbers)."""
        codes, numbers = rows[:, : len(CODES)].long(), rows[:, len(CODES) :]
        outputs: Tensor = self.rest([table(codes[:, i]) for i, table in enumerate(self.tables)], numbers)
        return outputs


class ByHand(nn.Module):
    """The same of vectors and numbers, flat."""

    def __init__(self, rest: nn.Module) -> None:
        super().__init__()
        self.rest = rest

    def forward(self, flat: Tensor) -> Tensor:
        """Return the outputs of (P, vectors and numbers)."""
        vectors = flat[:, : len(CODES) * WIDTH].unflatten(1, (len(CODES), WIDTH)).unbind(1)
        outputs: Tensor = self.rest(vectors, flat[:, len(CODES) * WIDTH :])
        return outputs


NETWORKS: dict[str, type[nn.Module]] = {"embeddings and a chain": Chain, "attention over embeddings": Attention}


def measure(setup: Setup) -> list[Result]:
    """Measure each network under each method, both ways in turns."""
    rows = [
        alone(_line, name, method, setup.rows(n), setup.rows(TURNS, 1))
        for name in NETWORKS
        for method, n in ROWS.items()
    ]
    return [Result("openings", "Codes that are looked up: against networks by hand", COLUMNS, rows, NOTES)]


def _line(name: str, method: str, n: int, turns: int) -> list[Cell]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    coded = Coded(NETWORKS[name]()).eval()
    rows = _rows(n)
    usual = np.array([*(np.bincount(column.astype(int)).argmax() for column in rows.T[: len(CODES)]), *[0.0] * NUMBERS])

    def opened(some: int) -> ihcli.Explanation:
        return ihcli.explain(coded, rows[:some], method=method, baseline=usual, tolerance=1e-3, engine="autograd")

    flat, start, hand = _flat(coded, rows), _flat(coded, usual[None])[0], ByHand(coded.rest).eval()
    groups = {f"g{i}": [str(i * WIDTH + j) for j in range(WIDTH)] for i in range(len(CODES))}

    def by_hand(some: int) -> ihcli.Explanation:
        return ihcli.explain(
            hand, flat[:some], method=method, baseline=start, groups=groups, tolerance=1e-3, engine="autograd"
        )

    fastest = _fastest([lambda: opened(n), lambda: by_hand(n), lambda: opened(2), lambda: by_hand(2)], turns)
    whole, whole_by_hand, two, two_by_hand = fastest
    ratio = (whole - two) / max(1e-9, whole_by_hand - two_by_hand)
    evaluations = float(opened(n).evaluations.mean())
    return [name, method, n, whole, whole_by_hand, whole / whole_by_hand, ratio, evaluations]


def _rows(n: int) -> np.ndarray:
    random = np.random.default_rng(0)
    codes = [np.minimum(random.integers(0, size, n), random.integers(0, size, n)) for size in CODES]
    return np.column_stack([*codes, random.normal(size=(n, NUMBERS))]).astype(np.float32)


def _flat(coded: Coded, rows: np.ndarray) -> np.ndarray:
    codes = torch.as_tensor(rows[:, : len(CODES)]).long()
    with torch.no_grad():
        vectors = [table(codes[:, i]).numpy() for i, table in enumerate(coded.tables)]
    return np.concatenate([*vectors, rows[:, len(CODES) :]], axis=1).astype(np.float32)


def _fastest(works: Sequence[Callable[[], object]], turns: int) -> list[float]:
    """Return the CPU seconds of each work, the fastest of some turns of all after one that does not count."""
    found = [float("inf")] * len(works)
    for turn in range(turns + 1):
        for place, work in enumerate(works):
            started = time.process_time()
            work()
            if turn:
                found[place] = min(found[place], time.process_time() - started)
    return found
