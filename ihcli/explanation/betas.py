"""How interactions of a smoothed network depend on the beta of SoftPlus: every beta beside sharper ones.

As beta grows the curvature of a smoothed ReLU gathers at its kink, and interactions tend to those of the kinks that a
path crosses. How far a beta is from there is seen in the pairs: their order in each row, and their signs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile

import numpy as np

from ihcli.errors import OptionError
from ihcli.explanation import AnyExplanation
from ihcli.explanation.factors import whole
from ihcli.explanation.ranks import spearman
from ihcli.methods import METHODS, Method
from ihcli.quality import Status

AUTO, SCAN = "auto", "scan"
MOST_TOP = 20
STABLE = 0.95
"""Median rank correlation with sharper ones from which a scan takes the pairs of a beta for those of the network."""
COUNTS = 0.01
"""Share of the largest pair's effect that a pair must have for its sign to count, under both betas."""
LISTED = 100  # pairs whose sign depends on beta, in run.json
CONVERGED = 0.9  # of rows, where a beta counts as one that converges


@dataclass(frozen=True)
class TriedBeta:
    """What smoothing with one beta gave on a sample of rows.

    drift, changed, within_tolerance  see `ihcli.smoothing.Smoothing`
    evaluations  a row
    converged    share of rows within the tolerance of their integrals
    pairs_share  of pairs in all effects, by sizes
    agreement    median over rows of the rank correlation (Spearman) of pairs, signed, with those of the sharpest beta
    following    the same with those of the next sharper one
    top          how many of the largest pairs are among the sharpest beta's; see `BetaScan.top_k`
    turned       how many pairs have the other sign than under the sharpest

    The last four are None where nothing can be compared: without a sharper beta that converges, or with one pair.
    """

    beta: float
    drift: float
    changed: float
    within_tolerance: bool
    evaluations: float
    converged: float
    pairs_share: float | None
    agreement: float | None = None
    following: float | None = None
    top: int | None = None
    turned: int | None = None

    @property
    def converges(self) -> bool:
        """Whether nearly all rows do."""
        return self.converged >= CONVERGED

    def beside(self, pairs: "Pairs", sharpest: "Pairs", sharper: "Pairs") -> tuple["TriedBeta", np.ndarray]:
        """Return this compared with sharper ones, and which pairs have another sign than under the sharpest."""
        turned = pairs.turned(sharpest)
        compared = replace(
            self,
            agreement=pairs.agreement(sharpest),
            following=pairs.agreement(sharper),
            top=pairs.common(sharpest) if sharpest.top_k else None,
            turned=len(turned),
        )
        return compared, turned


@dataclass(frozen=True)
class TurningPair:
    """A pair whose effect has the other sign under some betas.

    row        of the sample, of texts, whose pairs are their own; else the effect is the mean over rows
    effect     under the sharpest beta
    betas      under which the sign is the other, gentlest first
    """

    feature_1: str
    feature_2: str
    row: int | None
    effect: float
    betas: tuple[float, ...]


@dataclass(frozen=True)
class BetaScan:
    """Betas tried on the same rows, gentlest first.

    rows      of the sample that were explained under each
    chosen    the beta that was taken
    sharpest  the beta that others are compared with: the sharpest that converges; None: there is none, or nobody asked
    top_k     how many largest pairs are compared
    stable    agreement asked for;  is_stable: whether the beta that was taken has it, None where that is not known
    turning   pairs whose sign depends on beta, those first that turn at the sharpest ones, and the largest of these,
              at most LISTED;  n_turning: how many there are
    """

    rows: int
    chosen: float
    stable: float
    is_stable: bool | None
    betas: tuple[TriedBeta, ...]
    sharpest: float | None = None
    top_k: int = 0
    turning: tuple[TurningPair, ...] = ()
    n_turning: int = 0


@dataclass(frozen=True)
class Pairs:
    """Effects of pairs, 2 Gamma_ij, under one beta.

    by_row   of each row with values, in one order for all betas
    names    of the units of each row, which are its own or those of all
    share    of pairs in all effects, by sizes
    """

    names: tuple[tuple[str, ...], ...]
    by_row: tuple[np.ndarray, ...]
    share: float | None
    has_own_units: bool

    @classmethod
    def of(cls, explanation: AnyExplanation) -> "Pairs":
        """Take the pairs of explained rows."""
        if explanation.interactions is None:
            raise ValueError("no interactions")
        own_units = getattr(explanation, "units", None)  # where records share none
        found, main, names = list[np.ndarray](), 0.0, list[tuple[str, ...]]()
        for place in range(len(explanation.status)):
            if explanation.status[place] == Status.MISSING_INPUT:
                continue
            matrix = whole(explanation.interactions[place : place + 1])[0]
            found.append(2 * np.asarray(matrix, np.float64)[np.triu_indices(len(matrix), 1)])
            main += float(np.abs(np.diag(matrix)).sum())
            names.append(getattr(explanation, "feature_names", ()) if own_units is None else own_units[place])
        pairs = sum(float(np.abs(row).sum()) for row in found)
        total = pairs + main
        return cls(tuple(names), tuple(found), pairs / total if total > 0 else None, own_units is not None)

    @cached_property
    def overall(self) -> np.ndarray:
        """Means over rows, (P,); of texts, whose pairs are their own, all of them one after the other."""
        if not self.by_row:
            return np.zeros(0)
        return np.concatenate(self.by_row) if self.has_own_units else np.mean(self.by_row, axis=0)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Sizes by which pairs are ranked: means over rows of absolute effects, (P,), or those of `overall`."""
        return np.abs(self.overall) if self.has_own_units or not self.by_row else np.mean(np.abs(self.by_row), axis=0)

    def named(self, place: int) -> tuple[str, str, int | None]:
        """Return what the entry of `overall` is of: two features, and the row of texts."""
        row = 0
        while self.has_own_units and place >= len(self.by_row[row]):
            place -= len(self.by_row[row])
            row += 1
        names = self.names[row]
        first, second = np.triu_indices(len(names), 1)
        return names[first[place]], names[second[place]], row if self.has_own_units else None

    def agreement(self, sharper: "Pairs") -> float | None:
        """Return the median over rows of the rank correlation of pairs with those of a sharper beta."""
        found = [rank_correlation(*both) for both in zip(self.by_row, sharper.by_row, strict=True)]
        known = [value for value in found if value is not None]
        return float(np.median(known)) if known else None

    @property
    def top_k(self) -> int:
        """How many largest pairs are worth comparing: of few pairs half of them."""
        return min(MOST_TOP, len(self.overall) // 2)

    def common(self, sharper: "Pairs") -> int:
        """Return how many of the largest pairs are among the largest of a sharper beta."""
        return len(self._largest & sharper._largest)

    @property
    def _largest(self) -> set[int]:
        return set(np.argsort(-self.sizes, kind="stable")[: self.top_k].tolist())

    def turned(self, sharper: "Pairs") -> np.ndarray:
        """Return which pairs, as places in `overall`, have the other sign than under a sharper beta; largest first."""
        weight = np.minimum(self._weight, sharper._weight)
        places = np.flatnonzero((weight >= COUNTS) & (self.overall * sharper.overall < 0))
        return places[np.argsort(-weight[places], kind="stable")]

    @cached_property
    def _weight(self) -> np.ndarray:
        sizes = np.abs(self.overall)
        largest = sizes.max(initial=0.0)
        return sizes / largest if largest > 0 else sizes


def is_scan(method: Method, smooth: str | float, stable: float | None) -> bool:
    """Return whether betas are to be tried.

    Raises OptionError where none can be compared: by a method without integrals of second derivatives, or with one.
    """
    if smooth != SCAN and stable is None:
        return False
    asked = f"`smooth={SCAN}`" if smooth == SCAN else "`smooth_stable`"
    if smooth not in (AUTO, SCAN):
        raise OptionError(
            f"`smooth_stable`: chooses among betas, and `smooth={smooth}` leaves nothing to choose. Expected "
            f"`smooth={AUTO}` or `smooth={SCAN}`. Try without `smooth_stable`."
        )
    if not (method.is_integral and method.second_order):
        fitting = [each.name for each in METHODS.values() if each.is_integral and each.second_order]
        raise OptionError(
            f"{asked}: compares interactions along paths, which {method.name} does not give. "
            f"Expected `method={fitting[0]}` or `method={fitting[1]}`. Try `smooth={AUTO}`."
        )
    if stable is not None and not 0 < stable <= 1:
        raise OptionError(
            f"`smooth_stable`: cannot be {stable!r}. Expected a correlation above 0, at most 1. Try {STABLE}."
        )
    return True


def chosen_of(tried: Sequence[TriedBeta], by_default: float, stable: float) -> tuple[float, bool | None]:
    """Return the beta of a scan that is taken, and whether its pairs are as stable as was asked for, None: not known.

    It is the smallest within the tolerance that agrees with the sharpest that converges, as all sharper ones do. Where
    only the sharpest itself does, it is taken, and nothing is known of it; where nothing can be compared, `by_default`.
    """
    compared = [each for each in tried if each.agreement is not None and each.within_tolerance]
    if not compared:
        return by_default, None
    agreeing = list(takewhile(lambda each: (each.agreement or 0) >= stable, reversed(compared)))
    if agreeing:
        return agreeing[-1].beta, True
    return next(each.beta for each in tried if each.beta > compared[-1].beta), None


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return Spearman's rank correlation of values (P,), with mean ranks where some are equal; None where all are."""
    if len(one) < 2 or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return None
    found = float(spearman(one[None], other[None])[0])
    return None if np.isnan(found) else found


def turning_pairs(found: Sequence[tuple[float, np.ndarray]], sharpest: Pairs | None) -> tuple[list[TurningPair], int]:
    """Return the pairs that turn, those first that do at the sharpest betas, at most LISTED, and how many there are.

    found     a beta, and which pairs turn under it
    sharpest  the pairs that they are compared with
    """
    if sharpest is None:
        return [], 0
    betas = dict[int, list[float]]()
    for beta, places in sorted(found, key=lambda each: each[0]):
        for place in places.tolist():
            betas.setdefault(place, []).append(beta)
    foremost = sorted(betas, key=lambda place: (-betas[place][-1], -abs(sharpest.overall[place])))[:LISTED]
    pairs = [
        TurningPair(*sharpest.named(place), float(sharpest.overall[place]), tuple(betas[place])) for place in foremost
    ]
    return pairs, len(betas)
