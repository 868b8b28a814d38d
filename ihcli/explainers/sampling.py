"""How many baselines are enough: twice as many until the sampling error of a few records is as asked for."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ihcli.data.drawing import Baselines, Pool
from ihcli.data.sampling import Sampling
from ihcli.data.thinning import Balance
from ihcli.explainers.explainer import Explainer
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.explanation.factors import whole
from ihcli.integration.computing import computation_of
from ihcli.integration.effort import NODES, Effort
from ihcli.integration.spread import balanced_error, standard_error
from ihcli.models import Model
from ihcli.models.targets import ALL, LABEL
from ihcli.quality import ATTRIBUTIONS, INTERACTIONS
from ihcli.readers import Reader
from ihcli.readers.opening import inputs_of, paths_to
from ihcli.readers.questions import START

TRIED, TRIED_PAIRS = 16, 8
"""Records that are explained to tell the error, spread evenly over the sample: of attributions, and of interactions."""
WITHIN = 0.75
"""Share of them that must be within the tolerance. In 26 families of trained networks so were 67 to 100 % of rows that
were not tried, and their median in every family, under eg and eh."""
PRODUCTS = 1 << 15
"""Paths times groups, of all records, of which interactions are taken: their error with more baselines is foreseen. A
quarter of it chose 200 baselines where 400 were needed, of a network with LayerNorm, to which few of them matter."""
LEAST_PAIRS = 20
"""Baselines that interactions are taken for, however wide the table: from 20 on their error with 160 was foreseen
within a factor of 2 on the families, from 10 on within 4."""
ROUGH = 0.1
"""Largest tolerance of an integral that tells a spread. Fixed rules of 3 to 8 nodes are no cheaper way: of saturated
classifiers they see 2 to 6 times the spread there is, and so draw up to 36 times as many baselines."""
PER_BASELINE = 64  # evaluations, at most
CHANCE = 0.01
"""Least share of the square of a mean that is not taken for chance."""


def settle_baselines(model: Model, reader: Reader, sample: Sequence[Any] | np.ndarray, settings: Settings) -> Reader:
    """Return the reader with as many baselines as are enough, where nobody said how many.

    From START on twice as many are drawn, until WITHIN of the records tried have a sampling error of at most
    `settings.sampling_tolerance`, or no more may be drawn. The error is that of the attributions of eg, and
    of the interactions of eh; these are taken for few baselines of wide tables, and scaled as the error falls.
    Depends on the sample, the seed and the settings alone. Raises what `prepare` raises.

    Cost: twice what explaining TRIED rows costs at a tolerance of ROUGH.
    """
    if reader.pool is None:
        return reader
    explainer = prepare(model, reader, sample, settings)
    return reader.starting_from(reader.pool.settled(_enough(_Trial.of(explainer, reader.pool, sample, settings))))


def _enough(trial: "_Trial") -> Sampling:
    tolerance, most = trial.tolerance, trial.pool.most
    n = min(START, most)
    while (found := trial.found(n)).error is not None and found.error > tolerance and n < most:
        n = min(2 * n, most)
    if found.error is None or found.error <= tolerance:
        return found
    return replace(found, needed=_needed(found.error, n, trial.pool.population, tolerance))


def _needed(error: float, n: int, population: int, tolerance: float) -> int:
    """Return how many baselines have that tolerance, where n have an error, which falls as sqrt(1 / n - 1 / N)."""
    return math.ceil(1 / ((tolerance / error) ** 2 * (1 / n - 1 / population) + 1 / population))


def foreseen_rows(found: Sampling, population: int, tolerance: float) -> int:
    """Return how many baselines a larger tolerance would be found to take, from what a smaller one took.

    Half as many missed that one: of thinned baselines the error falls faster than with the square root.
    """
    if not found.error:
        return found.rows
    n, before = START, found.rows // 2
    while n < found.rows and (
        _needed(found.error, found.rows, population, tolerance) > n
        or (n <= before and _needed(found.tolerance, before, population, tolerance) >= n)
    ):
        n *= 2
    return min(n, found.rows)


@dataclass
class _Seen:
    """What paths from B baselines gave, of R records: attributions, or all entries of interactions, K of them.

    count, mean, squares  of the baselines so far, (R, K), squares about the mean
    along                 (R, Q, K) products of attributions with the basis of their balance; None: they have none
    """

    count: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))
    squares: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))
    along: np.ndarray | None = None

    def add(self, count: int, mean: np.ndarray, squares: np.ndarray) -> None:
        """Add so many baselines (Chan et al. 1983, pairwise update)."""
        joined, apart = self.count + count, mean - self.mean
        self.squares = self.squares + squares + apart**2 * (self.count * count / joined)
        self.mean = self.mean + apart * (count / joined)
        self.count = joined

    def add_each(self, values: np.ndarray, balance: Balance | None) -> None:
        """Add baselines whose attributions are known one by one, (R, b, K)."""
        b = values.shape[1]
        if balance is not None:
            along = balance.basis[self.count : self.count + b].T @ values
            self.along = along if self.along is None else self.along + along
        self.add(b, values.mean(1), values.var(1) * b)


@dataclass(frozen=True)
class _Trial:
    """Records that are explained along ever more paths.

    some     encoded records, R;  output (R,) is explained of each
    """

    explainer: Explainer
    pool: Pool
    some: np.ndarray
    output: np.ndarray
    effort: Effort
    tolerance: float

    @classmethod
    def of(cls, explainer: Explainer, pool: Pool, sample: Any, settings: Settings) -> "_Trial":
        """Choose records of the sample."""
        tried = TRIED_PAIRS if explainer.method.second_order else TRIED
        encoded = explainer.reader.encode(sample)
        places = np.unique(np.linspace(0, len(sample) - 1, tried).round().astype(int))
        some = encoded.values[places]
        rough = max(explainer.effort.tolerance, min(ROUGH, settings.sampling_tolerance))
        effort = replace(explainer.effort, tolerance=rough, sampling_share=0, population=sys.maxsize, balance=None)
        output, tolerance = _outputs(explainer, some), settings.sampling_tolerance
        return cls(explainer, pool, some, output, effort, tolerance)

    @np.errstate(over="ignore", invalid="ignore")  # of values that are not finite, which have no say
    def found(self, n: int) -> Sampling:
        """Return what n baselines leave: the error that WITHIN of the records with figures have at most."""
        errors = np.zeros(len(self.output)) if n == self.pool.population else self._errors(n)
        known = np.sort(errors[np.isfinite(errors)])
        within = math.ceil(WITHIN * len(known))
        return Sampling(
            rows=n,
            tolerance=self.tolerance,
            error=float(known[within - 1]) if len(known) else None,
            within=within,
            tried=len(known),
            of=INTERACTIONS if self.explainer.method.second_order else ATTRIBUTIONS,
        )

    def _errors(self, n: int) -> np.ndarray:
        """Return the sampling error of each record with n baselines, (R,); see `sampling_error`.

        Where fewer are explained, it is foreseen: the mean of few is larger in size than that of many by what chance
        adds, which is taken off its square.
        """
        drawn, population = self.pool.draw(n), self.pool.population
        some = drawn.values[np.linspace(0, n - 1, min(n, self._affordable)).round().astype(int)]
        seen = self._explained(some, drawn.balance)
        variance = seen.squares / (seen.count - 1)
        chance = 0 if seen.count == n else np.minimum(variance / seen.count, (1 - CHANCE) * seen.mean**2)
        size = np.sqrt(seen.mean**2 - chance).sum(1)
        if drawn.balance is None or seen.along is None:
            error = standard_error(variance, n, population).sum(1)
        else:
            error = balanced_error(variance, seen.along, n, population, drawn.balance).sum(1)
        return np.divide(error, size, out=np.where(np.isfinite(size), 0, np.nan), where=size > 0)

    @property
    def _affordable(self) -> int:
        """Return how many baselines are explained at most."""
        if not self.explainer.method.second_order:
            return sys.maxsize
        return max(LEAST_PAIRS, PRODUCTS // (len(self.output) * self.explainer.longest))

    def _explained(self, baselines: np.ndarray, balance: Balance | None) -> _Seen:
        """Explain along paths from these baselines, as many at once as memory takes."""
        seen = _Seen()
        for begin in range(0, len(baselines), self._at_once):
            self._explain(baselines[begin : begin + self._at_once], balance, seen)
        return seen

    @property
    def _at_once(self) -> int:
        """Return how many baselines fit into half of the memory budget, as of all that is explained."""
        explainer = self.explainer
        of_path = explainer.load.path_bytes(explainer.longest) * len(self.output)
        return max(2, explainer.memory_bytes // 2 // of_path)

    def _explain(self, baselines: np.ndarray, balance: Balance | None, seen: _Seen) -> None:
        """Add what paths from these baselines give: attributions of each, or the mean of interactions."""
        explainer, b = self.explainer, len(baselines)
        reader = explainer.reader.starting_from(Baselines(baselines, self.pool.population, self.pool.source))
        paths = paths_to(reader, explainer.model, self.some, self.output)
        given = explainer.effort.budget(explainer.reader.n_baselines) // explainer.reader.n_baselines
        effort = replace(self.effort, max_evaluations=b * max(NODES, min(given, PER_BASELINE)))
        found = computation_of(explainer.method)(explainer.engine.along(paths), explainer.method, effort)
        if found.interactions is None:
            seen.add_each(found.certificate.attributions, balance)
            return
        spread = found.interaction_spread  # of the mean
        squares = np.zeros_like(found.interactions) if spread is None else spread.astype(np.float64) ** 2 * b * (b - 1)
        mean = whole(found.interactions).reshape(len(squares), -1).astype(np.float64)
        seen.add(b, mean, squares.reshape(len(squares), -1))


def _outputs(explainer: Explainer, some: np.ndarray) -> np.ndarray:
    """Return which output of each record is explained: of all of them one after the other, for a label the largest."""
    outputs = explainer.outputs(inputs_of(explainer.reader, explainer.original, some))
    if explainer.target.spec == ALL:
        return np.arange(len(some)) % outputs.shape[1]
    if explainer.target.spec == LABEL:
        return outputs.argmax(axis=1)
    return explainer.target.select(outputs, None)[1]
