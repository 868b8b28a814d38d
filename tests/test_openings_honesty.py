"""What is reported of networks that look codes up holds: errors of phi, of row sums and of all of Gamma.

The networks are trained for a moment on a table of codes and numbers. Truth is `oracles.true_integrals` of the same
network written by hand as a function of what codes are looked up as. Run with -s for the table; HONESTY_ROWS=200 judges
more rows than the suite has time for.
"""

import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from category_models import ARCHITECTURES, CARDINALITIES, N_CODES, ByHand, OneMatrix, category_rows
from judging import BASELINES, Case, Judged, judge
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from zoo import Table, Trained, train

import ihcli

TOLERANCES = {torch.float64: (0.1, 0.01, 0.001), torch.float32: (0.01, 0.001)}
ROWS = int(os.environ.get("HONESTY_ROWS", "12"))
ROWS_OF_MANY_BASELINES = ROWS if "HONESTY_ROWS" in os.environ else ROWS // 4
STEPS = 400
HONEST = 0.99
"""Share of rows whose errors are at most the reported ones."""

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ihcli.library.IhcliWarning")]


def answers(rows: np.ndarray, seed: int = 5) -> Tensor:
    """Return the classes of rows: effects of codes, of pairs of them, and of what numbers make of them."""
    rng = np.random.default_rng(seed)
    codes, numbers = rows[:, :N_CODES].astype(int), rows[:, N_CODES:]
    effects = [rng.normal(size=size)[codes[:, i]] for i, size in enumerate(CARDINALITIES)]
    job, marital, month, education = effects
    pair = rng.normal(size=CARDINALITIES[:2])[codes[:, 0], codes[:, 1]]
    score = job + pair + np.sin(2 * numbers[:, 0]) * month + education * marital + numbers[:, 1] * numbers[:, 2]
    return torch.tensor(score > np.median(score), dtype=torch.int64)


@cache
def table() -> np.ndarray:
    """Return rows of codes and of numbers that float32 holds."""
    return category_rows(1200).astype(np.float32)


@cache
def trained(architecture: str) -> nn.Module:
    rows = table()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = OneMatrix(ARCHITECTURES[architecture]())
        return train(net, Table(torch.as_tensor(rows), answers(rows), 2), STEPS, 1e-2)


class TwiceDifferentiable(ByHand):
    """A network by hand whose attention has second derivatives, as ihcli's own calls see to it."""

    def forward(self, flat: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            return super().forward(flat)


@dataclass(frozen=True)
class CodedCase(Case):
    """Rows of codes; what is true of them is said by the network by hand."""

    @property
    def trained(self) -> Trained:
        hand = TwiceDifferentiable(deepcopy(trained(self.family).inner))
        owners = [column for column, width in enumerate([*hand.widths, 1, 1, 1]) for _ in range(width)]
        return Trained(hand, self._flat(table()), tuple(owners))

    @property
    def baselines(self) -> Tensor:
        return self._flat(table()[-BASELINES:] if self.many_baselines else self._usual[None])

    def answered(self, method: str, tolerance: float, dtype: torch.dtype) -> ihcli.Explanation:
        return ihcli.explain(
            deepcopy(trained(self.family)).to(dtype),
            table()[: self.n_rows],
            method=method,
            baseline=table()[-BASELINES:] if self.many_baselines else self._usual,
            tolerance=tolerance,
        )

    @property
    def _usual(self) -> np.ndarray:
        rows = table()
        modes = [np.bincount(rows[:, i].astype(int)).argmax() for i in range(N_CODES)]
        return np.array([*modes, *rows[:, N_CODES:].mean(axis=0)], dtype=np.float32)

    def _flat(self, rows: np.ndarray) -> Tensor:
        return torch.as_tensor(ByHand(trained(self.family).inner).flat(rows))


def lines(architecture: str, many_baselines: bool) -> Iterator[tuple[str, Judged]]:
    """Judge an architecture under every method and dtype, over all tolerances; print a line for each of these."""
    case = CodedCase(architecture, ROWS_OF_MANY_BASELINES if many_baselines else ROWS, many_baselines)
    for method in case.methods:
        for dtype, tolerances in TOLERANCES.items():
            for tolerance in tolerances:
                j = judge(case, method, tolerance, dtype)
                title = f"{architecture}, {method} float{torch.finfo(dtype).bits}, tolerance {tolerance:g}"
                print(
                    f"{title:52} rows {len(j.is_ok):3}  ok {j.is_ok.mean():.3f}  "
                    f"right {j.is_within_tolerance[j.is_ok].mean():.3f}  honest {j.is_honest.mean():.3f}  "
                    f"of all entries {j.is_honest_of_all.mean():.3f}  evaluations {j.evaluations.mean():5.1f}",
                    flush=True,
                )
                yield title, j


@pytest.mark.parametrize("many_baselines", [False, True], ids=["ig and ih", "eg and eh"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_reported_of_rows_with_codes_holds(architecture: str, many_baselines: bool) -> None:
    judged = Judged.join(each for _, each in lines(architecture, many_baselines))

    assert judged.is_honest.mean() >= HONEST
    assert judged.is_honest_of_all.mean() >= HONEST
    assert judged.is_within_tolerance[judged.is_ok].mean() >= HONEST
    assert judged.is_ok.mean() >= HONEST


def test_the_networks_have_learned_what_codes_mean() -> None:
    rows = torch.as_tensor(table())
    for architecture in ARCHITECTURES:
        right = (trained(architecture)(rows).argmax(1) == answers(table())).double().mean()
        assert right > 0.8, architecture
