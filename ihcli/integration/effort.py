"""How hard to try: tolerance, budget, and the rule that a path begins with."""

from dataclasses import dataclass

NODES = 8
"""Of the Gauss-Legendre rule on a panel, exact up to degree 15; the rule embedded in it leaves out one."""
NODES_OF_MEANS, MANY_BASELINES, FINE = 6, 20, 0.005
"""Nodes where at least so many baselines are averaged, over which errors cancel, and the tolerance is not finer: on
networks of 30 inputs with 200 baselines 6 nodes are within 1 % and 8 need not begin."""
EVALUATIONS_PER_BASELINE = 1000
"""Budget of a row where `max_evaluations` gives none: 125 panels a path."""
STEPS = range(3, 513)
"""Sizes that a single rule may have: below there is no error estimate, above its table is not exact."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    tolerance        relative error at which a row is done
    max_evaluations  most evaluations a row may take over all its baselines; None: EVALUATIONS_PER_BASELINE for each
    steps            use this many nodes on [0, 1] instead, and only report the error
    follows_kinks    without steps, follow kinks: of first order, where f is piecewise linear along the paths
    population       how many baselines those of the paths were drawn from; None: they are all there are
    """

    tolerance: float = 0.01
    max_evaluations: int | None = None
    steps: int | None = None
    follows_kinks: bool = False
    population: int | None = None

    def budget(self, n_baselines: int) -> int:
        """Return the most evaluations that a row may take."""
        return EVALUATIONS_PER_BASELINE * n_baselines if self.max_evaluations is None else self.max_evaluations

    def first_nodes(self, n_baselines: int) -> int:
        """Return how many nodes panels have."""
        if self.steps is not None:
            return self.steps
        return NODES_OF_MEANS if n_baselines >= MANY_BASELINES and self.tolerance >= FINE else NODES
