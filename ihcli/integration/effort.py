"""How hard to try: tolerance, budget, and the rule that a path begins with.

Where baselines are drawn from more of them, their mean is off by a sampling error that no evaluation mends, and an
integral need not be known far better. Where nobody asks for a tolerance, a row is done at

    max(tolerance, sampling_share * its own sampling error),    at most MOST_TOLERANCES * tolerance

Errors of paths add to the spread that is seen, but the reported error has that spread too, and would miss such a
tolerance: refinement goes on until what is left is a spread of baselines (`tests/test_sampling_honesty.py`).
"""

from dataclasses import dataclass

import numpy as np

from ihcli.data.sampling import SAMPLING_SHARE, TOLERANCE
from ihcli.data.thinning import Balance

NODES = 8
"""Of the Gauss-Legendre rule on a panel, exact up to degree 15; the rule embedded in it leaves out one."""
NODES_OF_MEANS, MANY_BASELINES, FINE = 6, 20, 0.005
"""Nodes where at least so many baselines are averaged, over which errors cancel, and the tolerance is not finer: on
networks of 30 inputs with 200 baselines 6 nodes are within 1 % and 8 need not begin."""
NODES_OF_DRAWN = 5
"""The same where the tolerance follows the sampling error."""
MOST_TOLERANCES = 10.0
"""Of integrals is asked as much however large a sampling error is."""
EVALUATIONS_PER_BASELINE = 1000
"""Budget of a row where `max_evaluations` gives none: 125 panels a path."""
STEPS = range(3, 513)
"""Sizes that a single rule may have: below there is no error estimate, above its table is not exact."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    tolerance        relative error at which a row is done
    start            nodes that whole paths begin with, see `ihcli.integration.starting`; None: NODES, or those of means
    sampling_share   of a row's own sampling error, which its tolerance is where that is more; 0: it is not
    max_evaluations  most evaluations a row may take over all its baselines; None: EVALUATIONS_PER_BASELINE for each
    steps            use this many nodes on [0, 1] instead, and only report the error
    follows_kinks    without steps, follow kinks: of first order, where f is piecewise linear along the paths
    population       how many baselines those of the paths were drawn from; None: they are all there are
    balance          how they stand to more of these that were drawn at random; None: they were drawn so themselves
    """

    tolerance: float = TOLERANCE
    max_evaluations: int | None = None
    steps: int | None = None
    follows_kinks: bool = False
    population: int | None = None
    balance: Balance | None = None
    sampling_share: float = 0.0
    start: int | None = None

    @classmethod
    def asked(cls, tolerance: float | None, max_evaluations: int | None, steps: int | None) -> "Effort":
        """Return what is asked for; without a tolerance, TOLERANCE or SAMPLING_SHARE of a sampling error."""
        share = SAMPLING_SHARE if tolerance is None else 0.0
        return cls(TOLERANCE if tolerance is None else tolerance, max_evaluations, steps, sampling_share=share)

    @property
    def share_that_counts(self) -> float:
        """Return `sampling_share` where baselines are drawn from a population, and integrals refined, else 0."""
        return 0.0 if self.population is None or self.steps is not None else self.sampling_share

    def may_start_short(self, n_baselines: int) -> bool:
        """Return whether it is open with how many nodes whole paths begin, and worth finding out.

        A row may be tried with a few, held to NODES, and begin with these once more.
        """
        is_open = self.start is None and self.steps is None and not self.follows_kinks
        return is_open and n_baselines == 1 and self.budget(1) >= 4 * NODES

    @property
    def is_short(self) -> bool:
        """Return whether whole paths begin with fewer nodes than NODES, as they did best on some rows."""
        return self.steps is None and self.start is not None and self.start < NODES

    def tolerances(self, sampling_error: np.ndarray) -> np.ndarray:
        """Return the relative error at which rows with these sampling errors are done, (N,)."""
        return tolerances(self.tolerance, self.share_that_counts, sampling_error)

    def budget(self, n_baselines: int) -> int:
        """Return the most evaluations that a row may take."""
        return EVALUATIONS_PER_BASELINE * n_baselines if self.max_evaluations is None else self.max_evaluations

    def first_nodes(self, n_baselines: int) -> int:
        """Return how many nodes panels have."""
        if self.steps is not None:
            return self.steps
        if self.start is not None and n_baselines == 1:
            return self.start
        if n_baselines < MANY_BASELINES or self.tolerance < FINE:
            return NODES
        return NODES_OF_DRAWN if self.share_that_counts else NODES_OF_MEANS


def tolerances(tolerance: float, sampling_share: float, sampling_error: np.ndarray) -> np.ndarray:
    """Return the relative error at which rows with these sampling errors are done, see the top of this module, (N,).

    Of a row whose sampling error is not known, NaN, it is the tolerance.
    """
    if not sampling_share:
        return np.full(len(sampling_error), tolerance)
    found: np.ndarray = np.fmin(np.fmax(tolerance, sampling_share * sampling_error), MOST_TOLERANCES * tolerance)
    return found
