"""What is reported of trained networks holds: errors of phi, of row sums and of all of Gamma, bars, and certain orders.

Truth is `oracles.true_integrals`. In float32 paths begin with as few nodes as some rows choose, which else only tables
of many rows do; in float64 with as many as ever. Rows that did not converge count too: they may miss the tolerance, but
not understate by how much. Run with -s for the table; HONESTY_ROWS=200 judges more rows of each family than the suite
has time for.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from judging import Case, Judged, judge
from zoo import FAMILIES

from ihcli.readers import tables

TOLERANCES = {torch.float64: (0.1, 0.001), torch.float32: (0.01, 0.001)}
ROWS = int(os.environ.get("HONESTY_ROWS", "50"))
ROWS_OF_MANY_BASELINES = ROWS // 8
SLOW = {"FT-transformer": 4, "GRU": 2, "20 layers of tanh": 2}
"""Of these families, so many times fewer rows: their derivatives take longest."""
HONEST = 0.99
"""Share of rows, in each family, whose errors of phi and of row sums are at most the reported one; of covered pairs."""
HONEST_OF_ALL, HONEST_OF_ALL_IN_WORST = 0.995, 0.98
"""Share of rows whose error of the whole matrix is at most the reported one: over all families, and in each."""
RIGHT, RIGHT_IN_WORST = 0.999, 0.99
"""Share of `ok` rows that are within the tolerance: over all families, and in each."""

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ihcli.library.IhcliWarning")]


@dataclass(frozen=True)
class Line:
    """One line of the table: rows of a family under one method, dtype and tolerance, or several tolerances."""

    title: str
    judged: Judged

    @property
    def honest(self) -> float:
        return float(self.judged.is_honest.mean())

    @property
    def honest_of_all(self) -> float:
        return float(self.judged.is_honest_of_all.mean())

    @property
    def right(self) -> float:
        is_right = self.judged.is_within_tolerance[self.judged.is_ok]
        return float(is_right.mean()) if len(is_right) else 1.0

    def __str__(self) -> str:
        j = self.judged
        return (
            f"{self.title:60} rows {len(j.is_ok):3}  ok {j.is_ok.mean():.2f}  right {self.right:.3f}  "
            f"honest {self.honest:.3f}  of all entries {self.honest_of_all:.3f}  bars {j.covered.mean():.4f}  "
            f"certain {j.certain.mean():4.1f}  wrong orders {(~j.is_order_right).sum()}  "
            f"evaluations {j.evaluations.mean():5.1f}"
        )


@contextmanager
def starts_chosen(always: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if always:
            patch.setattr(tables, "REPAYS", 0)
            patch.setattr(tables, "REPAYS_FEW_UNITS", 0)
        yield


def lines(many_baselines: bool) -> Iterator[Line]:
    """Judge every family under every method and dtype, over all tolerances; print a line for each of these."""
    for family in FAMILIES:
        n_rows = (ROWS_OF_MANY_BASELINES if many_baselines else ROWS) // SLOW.get(family, 1)
        case = Case(family, n_rows, many_baselines)
        for method in case.methods:
            for dtype, tolerances in TOLERANCES.items():
                title, each = f"{family}, {method} float{torch.finfo(dtype).bits}", []
                for tolerance in tolerances:
                    with starts_chosen(dtype is torch.float32):
                        each.append(judge(case, method, tolerance, dtype))
                    print(Line(f"{title}, tolerance {tolerance:g}", each[-1]), flush=True)
                yield Line(title, Judged.join(each))


def hold(claim: str, those: list[Line], holds: Callable[[Line], bool]) -> None:
    __tracebackhide__ = True
    broken = [line for line in those if not holds(line)]
    if broken:
        pytest.fail("\n".join([claim, *map(str, broken)]))


@pytest.mark.parametrize("many_baselines", [False, True], ids=["ig and ih", "eg and eh"])
def test_what_is_reported_holds_in_every_family(many_baselines: bool) -> None:
    every = list(lines(many_baselines))
    of_pairs = [line for line in every if line.judged.interactions.any()]
    total = [Line("all", Judged.join(line.judged for line in of_pairs))]
    hold("errors of phi or of row sums are understated", every, lambda line: line.honest >= HONEST)
    hold("errors of all entries are understated", of_pairs, lambda line: line.honest_of_all >= HONEST_OF_ALL_IN_WORST)
    hold("errors of all entries are understated", total, lambda line: line.honest_of_all >= HONEST_OF_ALL)
    hold("rows are ok and beyond the tolerance", every, lambda line: line.right >= RIGHT_IN_WORST)
    hold("rows are ok and beyond the tolerance", total, lambda line: line.right >= RIGHT)
    hold("bars are too short", total, lambda line: line.judged.covered.mean() >= HONEST)
    hold("orders said to be certain are wrong", of_pairs, lambda line: bool(line.judged.is_order_right.all()))
