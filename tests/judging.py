"""What explanations of trained networks are worth: public answers beside the truth, row by row."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from oracles import Truth, true_integrals
from problems import straight_paths
from zoo import Trained, built

import ihcli
from ihcli.bars import certain_ranks, pair_bars
from ihcli.methods import METHODS
from ihcli.quality import Status

BASELINES = 5
"""Rows of the table that eg and eh start from."""


@dataclass(frozen=True)
class Case:
    """The first `n_rows` rows of a family, from zeros or from many baselines."""

    family: str
    n_rows: int
    many_baselines: bool = False

    @property
    def trained(self) -> Trained:
        return built(self.family)

    @property
    def methods(self) -> tuple[str, ...]:
        """Those of so many baselines which the family has derivatives for."""
        return tuple(
            name
            for name, method in METHODS.items()
            if method.is_integral
            and method.many_baselines == self.many_baselines
            and (self.trained.second_order or not method.second_order)
        )

    @property
    def rows(self) -> torch.Tensor:
        return self.trained.rows[: self.n_rows]

    @property
    def baselines(self) -> torch.Tensor:
        return self.trained.rows[-BASELINES:] if self.many_baselines else torch.zeros_like(self.rows[:1])

    def answered(self, method: str, tolerance: float, dtype: torch.dtype) -> ihcli.Explanation:
        baselines = self.baselines.numpy()
        return ihcli.explain(
            deepcopy(self.trained.module).to(dtype),
            self.rows.numpy(),
            method=method,
            baseline=baselines if self.many_baselines else baselines[0],
            tolerance=tolerance,
            groups=self.trained.groups,
        )


@cache
def truth_of(case: Case) -> Truth:
    """Return what float64 gives with the same weights and rows, which float32 holds; the mean over baselines."""
    module, rows = deepcopy(case.trained.module).double(), case.rows.double()
    group_of = None if case.trained.group_of is None else list(case.trained.group_of)
    paths = straight_paths(rows, case.baselines.double(), group_of, module(rows).argmax(1))
    return true_integrals(module, paths, case.trained.second_order).mean


@dataclass(frozen=True)
class Judged:
    """What is reported of N rows beside the truth; errors are relative L1 errors.

    tolerance       asked for
    is_ok           whether a row is said to be within the tolerance
    reported        error of phi and of the row sums of Gamma; theirs are `attributions` and `row_sums`
    reported_of_all error of all entries of Gamma; the true one is `interactions`
    covered         share of a row's entries that lie within their bars
    certain         how many leading pairs are said to be in a certain order; is_order_right: whether they are
    evaluations     of one baseline

    Under first order there are no row sums, pairs and bars: their errors are 0, all is covered and right.
    """

    tolerance: np.ndarray
    is_ok: np.ndarray
    reported: np.ndarray
    attributions: np.ndarray
    row_sums: np.ndarray
    reported_of_all: np.ndarray
    interactions: np.ndarray
    covered: np.ndarray
    certain: np.ndarray
    is_order_right: np.ndarray
    evaluations: np.ndarray

    @property
    def is_honest(self) -> np.ndarray:
        """Whether phi and the row sums are no more off than reported, (N,)."""
        return np.maximum(self.attributions, self.row_sums) <= self.reported

    @property
    def is_honest_of_all(self) -> np.ndarray:
        """Whether all entries together are no more off than reported, (N,)."""
        return self.interactions <= self.reported_of_all

    @property
    def is_within_tolerance(self) -> np.ndarray:
        """Whether phi, row sums and all entries are, in truth, (N,)."""
        return np.maximum(np.maximum(self.attributions, self.row_sums), self.interactions) <= self.tolerance

    @classmethod
    def join(cls, parts: Iterable["Judged"]) -> "Judged":
        every = list(parts)
        return cls(*(np.concatenate([getattr(part, field.name) for part in every]) for field in fields(cls)))


def judge(case: Case, method: str, tolerance: float, dtype: torch.dtype) -> Judged:
    got, truth = case.answered(method, tolerance, dtype), truth_of(case)
    n = len(got)
    of_pairs = {
        "row_sums": np.zeros(n),
        "reported_of_all": np.zeros(n),
        "interactions": np.zeros(n),
        "covered": np.ones(n),
        "certain": np.zeros(n),
        "is_order_right": np.ones(n, bool),
    }
    if got.interactions is not None:
        assert truth.interactions is not None
        of_pairs = _of_pairs(got, truth.attributions, truth.interactions)
    return Judged(
        tolerance=np.full(n, tolerance),
        is_ok=got.status == Status.OK,
        reported=got.relative_error,
        attributions=relative(got.attributions, truth.attributions),
        evaluations=got.evaluations / len(case.baselines),
        **of_pairs,
    )


def _of_pairs(got: ihcli.Explanation, phi: np.ndarray, gamma: np.ndarray) -> dict[str, np.ndarray]:
    assert got.interactions is not None
    assert got.interaction_error is not None
    found = got.interactions.astype(np.float64)
    bars = pair_bars(found, got.interaction_error)
    certain, is_right = zip(*map(_claimed_order, found, bars, gamma), strict=True)
    return {
        "row_sums": relative(found.sum(2), phi),
        "reported_of_all": got.interaction_error,
        "interactions": relative(found, gamma),
        "covered": (np.abs(found - gamma) <= bars).mean((1, 2)),
        "certain": np.array(certain),
        "is_order_right": np.array(is_right),
    }


def _claimed_order(found: np.ndarray, bars: np.ndarray, truth: np.ndarray) -> tuple[int, bool]:
    """Return how many leading pairs of features are certain, and whether they lead in truth and in that order."""
    pairs = np.triu_indices(len(found), 1)
    order = np.argsort(-np.abs(found[pairs]), kind="stable")
    certain = certain_ranks(found[pairs][order], bars[pairs][order])
    sizes = np.abs(truth[pairs][order])
    return certain, all(sizes[rank] > sizes[rank + 1 :].max(initial=-1.0) for rank in range(certain))


def relative(got: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return ||got - truth||_1 / ||truth||_1 for each row, (N,); infinite or NaN where truth is nothing."""
    axes = tuple(range(1, truth.ndim))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(got - truth).sum(axes) / np.abs(truth).sum(axes)
