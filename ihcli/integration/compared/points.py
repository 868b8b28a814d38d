"""Derivatives at a record itself, at no other point of its paths.

    gradient        sum of df/dx over the inputs of a group            hessian        sums of d2f/dx dx' over two groups
    gradient-input  the same, each input times delta = x - x'          hessian-input  the same, each times both deltas

Simonyan et al. (2014); hessian is what Janizek et al. (2021) compare with. Where f saturates all of them are 0, however
much an input did to get there.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.derivatives.paths import Paths
from ihcli.derivatives.transfers import Coming
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.effort import Effort
from ihcli.methods import Method


@dataclass(frozen=True)
class Directions(Paths):
    """Lines through the records along which every input grows by 1, so that t = 0 is at the record."""

    def ends(self, path: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and ones, both (P, D)."""
        start = self.inputs[self.rows(path)]
        return start, torch.ones_like(start)

    @classmethod
    def of(cls, paths: Paths) -> "Directions":
        """Return those through the records that paths lead to."""
        return cls(paths.inputs, paths.inputs[:, None], paths.outputs, paths.n_groups, paths.group_of)


def gradient(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return gradients at the records, and under second order Hessians.

    Cost: one gradient a row, and under second order G Hessian-vector products.
    """
    return _explained(along, Along(along.engine, Directions.of(along.paths)), 0.0, method)


def times_input(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return these times x - x', of Hessians for both of their inputs, at the same cost."""
    return _explained(along, along, 1.0, method)


def _explained(along: Along, lines: Along, t: float, method: Method) -> ExplainedRows:
    n = along.paths.n_rows
    row, at = np.arange(n), np.full(n, t)
    if method.second_order:
        slopes, bends = _hessians(lines, row, at)
    else:
        slopes, bends = lines.all_gradients(row, at)[1], None
    return ExplainedRows.uncertified(
        slopes[:, None].astype(np.float64), *along.ends(), evaluations=1, interactions=bends
    )


def _hessians(lines: Along, row: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return F (N, G) and H (N, G, G), symmetric to the bit."""

    def taken(some: slice) -> Coming:
        _, slopes, bends = lines.hessians(row[some], t[some])
        return Coming(slopes, (bends + bends.transpose(1, 2)) / 2)

    parts = [coming.arrays() for coming in lines.in_batches(len(row), 1, lines.paths.n_groups, taken)]
    slopes, bends = (np.concatenate(part) for part in zip(*parts, strict=True))
    return slopes, bends
