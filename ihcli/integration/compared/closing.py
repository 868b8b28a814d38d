"""Outputs with some gates closed: groups whose inputs are those of the baseline, while the others are the record's.

    v(S)       = f(x on the groups in S, x' elsewhere)
    occlusion    phi_g = v(all) - v(all but g)
                 Gamma_gh = (v(all) - v(all but g) - v(all but h) + v(all but both)) / 2

so that the effect of a pair, Gamma_gh + Gamma_hg, is the second difference at the record. The diagonal is what makes a
row sum to phi_g.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.derivatives.paths import Paths
from ihcli.derivatives.transfers import Coming
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.certify import Settled
from ihcli.integration.effort import Effort
from ihcli.methods import Method
from ihcli.quality import Status


@dataclass(frozen=True)
class Gates:
    """v(S) of N rows over one baseline."""

    along: Along

    def values(self, rows: np.ndarray, sets: np.ndarray, tell: Tell = unheard) -> np.ndarray:
        """Return v of these rows (R,) with each of the sets (S, G) of open gates, (R, S) float64: a forward each."""
        count = len(rows) * len(sets)
        found = np.empty(count)
        done = 0
        for coming in self.along.in_batches(count, 1, 0, lambda some: self._values(some, rows, sets)):
            (values,) = coming.arrays()
            found[done : done + len(values)] = values
            done += len(values)
            tell(done / count)
        return found.reshape(len(rows), len(sets))

    def each(self, rows: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Return v of each row (P,) with a set of its own (P, G), (P,) float64: a forward each."""
        found = self.along.in_batches(len(rows), 1, 0, lambda some: self._at(rows[some], sets[some]))
        return np.concatenate([coming.arrays()[0] for coming in found], dtype=np.float64)

    def _values(self, some: slice, rows: np.ndarray, sets: np.ndarray) -> Coming:
        place = np.arange(some.start, some.stop)
        return self._at(rows[place // len(sets)], sets[place % len(sets)])

    def _at(self, rows: np.ndarray, sets: np.ndarray) -> Coming:
        paths = self.along.paths
        row, is_open = paths.placed(rows, sets)
        start, _ = paths.ends(row)
        return values_at(self.along, row, torch.where(paths.to_inputs(is_open, row), paths.inputs[row], start))


@dataclass(frozen=True)
class Estimates:
    """What was found of N rows.

    attributions  (N, G);  matrices (N, G, G) half the effects of pairs, and the diagonal; None where not asked for
    error, matrix_error  (N,) L1 norms that they may be off by
    evaluations   (N,)
    prediction    (N,) f(x);  baseline_prediction (N, 1) f(x')
    """

    attributions: np.ndarray
    matrices: np.ndarray | None
    error: np.ndarray
    matrix_error: np.ndarray
    evaluations: np.ndarray
    prediction: np.ndarray
    baseline_prediction: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[tuple[np.ndarray, "Estimates"]], n_groups: int) -> "Estimates":
        """Return all rows, given those of some rows each, which may have fewer groups: 0 for those they lack."""
        n = sum(len(rows) for rows, _ in parts)
        found: dict[str, Any] = {"matrices": None}
        for field in fields(cls):
            pieces = [(rows, getattr(part, field.name)) for rows, part in parts]
            first = pieces[0][1]
            if first is None:
                continue
            is_of_groups = field.name in ("attributions", "matrices")
            whole = np.zeros((n, *((n_groups,) * (first.ndim - 1) if is_of_groups else first.shape[1:])), first.dtype)
            for rows, piece in pieces:
                places: tuple[Any, ...] = (rows, *(slice(size) for size in piece.shape[1:]))
                whole[places] = piece
            found[field.name] = whole
        return cls(**found)

    @cached_property
    def relative(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the relative errors of attributions, (N,), and of matrices."""
        of_phi = _share(self.error, np.abs(self.attributions).sum(1))
        if self.matrices is None:
            return of_phi, None
        return of_phi, _share(self.matrix_error, np.abs(self.matrices).sum((1, 2)))

    @property
    def is_finite(self) -> np.ndarray:
        """Return of which rows all that was computed is finite, (N,)."""
        return np.isfinite(self.attributions).all(1) & np.isfinite(self.prediction) & np.isfinite(self.error)

    def is_within(self, tolerance: float) -> np.ndarray:
        """Return which rows need no more, (N,): their errors are within the tolerance, or nothing of them is known."""
        errors = [error for error in self.relative if error is not None]
        return ~self.is_finite | np.all([error <= tolerance for error in errors], axis=0)

    def replaced(self, rows: np.ndarray, others: "Estimates") -> "Estimates":
        """Return these with others for some of the rows, whose evaluations are added."""
        changed = {}
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(others, field.name)
            if ours is not None:
                changed[field.name] = ours.copy()
                changed[field.name][rows] = theirs + ours[rows] if field.name == "evaluations" else theirs
        return replace(self, **changed)

    def explained(self, along: Along, tolerance: float, missed: str | np.ndarray) -> ExplainedRows:
        """Return the rows of paths; those whose error is beyond the tolerance end with this status, theirs if (N,)."""
        known = self._known_to_be_zero(along.paths.lead_nowhere() & self.is_finite)
        return known._as_rows(along, tolerance, missed)

    def _known_to_be_zero(self, rows: np.ndarray) -> "Estimates":
        """Return these with values of 0 that are off by nothing for rows (N,) bool that are their own baseline."""
        names = ("attributions", "matrices", "error", "matrix_error")
        changed = {name: getattr(self, name).copy() for name in names if getattr(self, name) is not None}
        for values in changed.values():
            values[rows] = 0
        return replace(self, **changed)

    def _as_rows(self, along: Along, tolerance: float, missed: str | np.ndarray) -> ExplainedRows:
        relative, relative_of_pairs = self.relative
        status = np.where(self.is_within(tolerance), Status.OK.value, missed).astype(object)
        status[~self.is_finite] = Status.NON_FINITE.value
        attributions = np.where(self.is_finite[:, None], self.attributions, np.nan)
        settled = Settled(
            attributions=attributions[:, None],
            relative_error=relative,
            evaluations=self.evaluations.astype(np.int32),
            status=status,
            prediction=self.prediction,
            baseline_prediction=self.baseline_prediction,
        )
        matrices = None if self.matrices is None else self.matrices.astype(along.dtype, copy=False)
        return ExplainedRows(settled, attributions, matrices, relative_of_pairs)


def values_at(along: Along, row: Tensor, points: Tensor) -> Coming:
    """Return f of these rows (P,) at other inputs than theirs, (P, D), one batch."""
    paths = along.paths
    there = Paths(points, points[:, None], paths.outputs[row], paths.n_groups, None)
    return Coming(Along(along.engine, there).values(np.arange(len(points)), np.zeros(len(points))))


def rounding_of(along: Along, values: np.ndarray) -> np.ndarray:
    """Return how far each of the values (N, S) of a row may be rounded, (N,)."""
    return along.value_rounding(np.abs(values).max(1))


def occlusion(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return what closing each gate does, and under second order each two of them.

    Cost: G forwards a row, and under second order one for each pair.
    """
    n, g = along.paths.n_rows, along.paths.n_groups
    first, second = np.triu_indices(g if method.second_order else 0, 1)
    closed = np.concatenate([np.eye(g, dtype=bool), np.zeros((len(first), g), bool)])
    closed[g + np.arange(len(first)), first] = closed[g + np.arange(len(first)), second] = True
    prediction, start = along.ends()
    values = Gates(along).values(np.arange(n), ~closed, tell)
    alone, both = values[:, :g], values[:, g:]
    pairs = None
    if method.second_order:
        pairs = np.zeros((n, g, g))
        pairs[:, first, second] = (prediction[:, None] - alone[:, first] - alone[:, second] + both) / 2
        pairs = with_diagonal(pairs + pairs.transpose(0, 2, 1), prediction[:, None] - alone)
    rounding = rounding_of(along, np.column_stack([prediction, values]))
    estimates = Estimates(
        attributions=prediction[:, None] - alone,
        matrices=pairs,
        error=2 * g * rounding,
        matrix_error=2 * g * (2 * g - 1) * rounding,
        evaluations=np.full(n, values.shape[1]),
        prediction=prediction,
        baseline_prediction=start,
    )
    return estimates.explained(along, effort.tolerance, Status.ROUNDING.value)


def with_diagonal(pairs: np.ndarray, attributions: np.ndarray) -> np.ndarray:
    """Return matrices (N, G, G) of half-effects whose diagonal makes rows sum to the attributions (N, G)."""
    matrices, places = pairs.copy(), np.arange(pairs.shape[1])
    matrices[:, places, places] = attributions - pairs.sum(2)
    return matrices


def _share(error: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return errors relative to sizes, or to themselves where nothing larger is left; 0 where both are 0."""
    most = np.maximum(size, error)
    found: np.ndarray = np.divide(error, most, out=np.zeros_like(most), where=most > 0)
    return found
