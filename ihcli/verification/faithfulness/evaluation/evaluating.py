"""An evaluation of a run on its model and data: what it will cost, and the figures that come of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ihcli.advance import Tell, unheard, within
from ihcli.methods import METHODS
from ihcli.results.result import Result
from ihcli.verification.faithfulness import removals
from ihcli.verification.faithfulness.curves import Curve, block_curves, curve_forwards
from ihcli.verification.faithfulness.evaluation import shifting
from ihcli.verification.faithfulness.evaluation.bending import bends
from ihcli.verification.faithfulness.evaluation.joining import MOST_IMPUTED, Joined, TargetBlock
from ihcli.verification.faithfulness.evaluation.labels import TrueValues
from ihcli.verification.faithfulness.figures import (
    PAIR,
    RANDOM,
    ROW,
    RUN,
    SECOND_DIFFERENCES,
    TIMES_INPUT,
    UNEXPLAINED,
    Figure,
    TargetFigures,
)
from ihcli.verification.faithfulness.filling import Fill
from ihcli.verification.faithfulness.metrics import ABSOLUTE, INFIDELITY, PAIRS, SENSITIVITY, Metric, Wanted
from ihcli.verification.faithfulness.pairs import Pairs
from ihcli.verification.faithfulness.removals import Removals
from ihcli.verification.faithfulness.sampled import Entries

TIMED_ROWS, MOST_NUMBERS = 200, 1 << 19
"""Masked rows on a clock, of wide inputs fewer."""
CLOSING = "closing"
"""Beside what fills curves: with the run's own baselines."""


@dataclass(frozen=True)
class Cost:
    """What an evaluation takes at most.

    rows      of all targets
    forwards  points at which outputs are taken, and about how many seconds these take
    explained rows that are explained once more
    """

    rows: int
    forwards: int
    seconds: float
    explained: int


@dataclass(frozen=True)
class Evaluation:
    """A run that was joined with its model and data.

    truth  what outputs are held against by the absolute curves; None: f(x)
    """

    result: Result
    wanted: Wanted
    entries: list[Entries]
    joined: Joined
    truth: TrueValues | None
    seed: int

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The curves that are taken: those wanted, as far as there is what fills."""
        return tuple(metric for metric in self.wanted.curves if metric.fill in self.joined.fill_names)

    def absolute_in_words(self, target: str) -> str:
        """Return what the absolute curves of a target are scores of; nothing where there are none."""
        if not any(metric.sign == ABSOLUTE for metric in self.metrics):
            return ""
        judged = "R2 of the output, for f(x)" if self.truth is None else self.truth.in_words(target)
        return f"Absolute curves: {judged}{', as no `label` is given' if self.truth is None else ''}."

    @property
    def notes(self) -> Iterator[str]:
        """Yield what is wanted and left out, and what stands in the place of what."""
        missing = " and ".join(name for name in self.joined.wanted if name not in self.joined.fill_names)
        if missing and self.joined.background is None:
            yield f"{missing}: left out, as rows have units of their own; mean is the run's baseline here."
        elif missing:
            yield f"{missing}: left out, as a covariance is taken of {MOST_IMPUTED:,} inputs at most."
        if PAIRS in self.wanted.others and METHODS[self.result.method].second_order and not self._has_pairs:
            yield "pairs: left out, as the run stores none of single rows. Expected `interactions=full` or top:K of it."

    def cost(self) -> Cost:
        """Return what this takes, and how long, by a few forwards on a clock."""
        counts: dict[str, int] = {}
        for entries in self.entries:
            for block in self.joined.blocks(entries):
                for name, count in self._forwards(entries, block):
                    counts[name] = counts.get(name, 0) + count
        timed = self.joined.blocks(self.entries[0])[0]
        fills = {**timed.filled.fills, CLOSING: timed.closing}
        seconds = sum(count * _seconds(timed, fills[name]) for name, count in counts.items())
        rows = sum(len(entries.row) for entries in self.entries)
        explained = shifting.explanations(rows) if SENSITIVITY in self.wanted.others else 0
        return Cost(rows, sum(counts.values()), seconds, explained)

    def _forwards(self, entries: Entries, block: TargetBlock) -> Iterator[tuple[str, int]]:
        """Yield how many forwards rows take at most, by what fills them."""
        copies = block.closing.copies
        for metric in self.metrics:
            yield metric.fill, curve_forwards([block.filled], [metric])
        if self._has_pairs:
            yield CLOSING, self._pairs(entries, block).forwards(copies)
        if INFIDELITY in self.wanted.others:
            yield CLOSING, removals.forwards(len(block.own), copies)

    def evaluate(self, tell: Tell = unheard) -> Iterator[TargetFigures]:
        """Give the figures of one target after the other; `tell` hears what share is done."""
        for place, entries in enumerate(self.entries):
            n = len(self.entries)
            yield self._of_target(entries, within(tell, place / n, (place + 1) / n))

    def _of_target(self, entries: Entries, tell: Tell) -> TargetFigures:
        blocks = self.joined.blocks(entries)
        curves = self._curves(entries, blocks, within(tell, 0, 0.8)) if self.metrics else ()
        figures = [Figure.area(curve) for curve in curves]
        if self._has_pairs:
            figures += self._second_differences(entries, blocks, within(tell, 0.8, 0.85))
        if INFIDELITY in self.wanted.others:
            figures += self._infidelity(blocks, within(tell, 0.85, 0.9))
        if SENSITIVITY in self.wanted.others:
            figures += self._sensitivity(blocks, within(tell, 0.9, 1))
        return TargetFigures(entries.target, len(entries.row), tuple(figures), curves)

    def _curves(self, entries: Entries, blocks: Sequence[TargetBlock], tell: Tell) -> tuple[Curve, ...]:
        truth = None
        if self.truth is not None and any(metric.sign == ABSOLUTE for metric in self.metrics):
            truth = self.truth.of(entries)[np.concatenate([block.own for block in blocks])]
        return block_curves([block.filled for block in blocks], truth, self.metrics, self.seed, tell)

    @property
    def _has_pairs(self) -> bool:
        return PAIRS in self.wanted.others and self.entries[0].pairs is not None

    def _pairs(self, entries: Entries, block: TargetBlock) -> Pairs:
        return Pairs.of([entries.pairs[place] for place in block.own] if entries.pairs is not None else [])

    def _second_differences(self, entries: Entries, blocks: Sequence[TargetBlock], tell: Tell) -> list[Figure]:
        found, rng = _ByName(), np.random.default_rng(self.seed)
        for place, block in enumerate(blocks):
            pairs, told = self._pairs(entries, block), within(tell, place / len(blocks), (place + 1) / len(blocks))
            differences, rounding = pairs.differences(block.f, block.units, block.closing, told)
            found.add(RUN, pairs.agreement(pairs.effects, differences, rounding))
            if (bent := bends(block, pairs)) is not None:
                found.add(TIMES_INPUT, pairs.agreement(bent, differences, rounding))
            found.add(RANDOM, pairs.agreement(rng.normal(size=len(differences)), differences, np.zeros_like(rounding)))
        return [Figure.mean(PAIR, SECOND_DIFFERENCES, by, values, self.seed) for by, values in found.joined()]

    def _infidelity(self, blocks: Sequence[TargetBlock], tell: Tell) -> list[Figure]:
        plain, scaled = _ByName(), _ByName()
        for place, block in enumerate(blocks):
            told = within(tell, place / len(blocks), (place + 1) / len(blocks))
            removals = Removals.drawn(block.f, block.units, block.closing, self.seed, told)
            for by, values in block.rankings.items():
                scaled.add(by, removals.unexplained(values))
                if self._is_part(by):
                    plain.add(by, removals.infidelity(values))
        return [
            Figure.mean(ROW, metric, by, values, self.seed)
            for metric, found in ((INFIDELITY, plain), (UNEXPLAINED, scaled))
            for by, values in found.joined()
        ]

    def _is_part(self, by: str) -> bool:
        """Return whether values are parts of the output, whose sums can be held against its changes."""
        return by == TIMES_INPUT or (by == RUN and not METHODS[self.result.method].is_slope)

    def _sensitivity(self, blocks: Sequence[TargetBlock], tell: Tell) -> list[Figure]:
        found = _ByName()
        for place, block in enumerate(blocks):
            told = within(tell, place / len(blocks), (place + 1) / len(blocks))
            for by, values in shifting.sensitivity(block, self.seed, told).items():
                found.add(by, values)
        return [Figure.mean(ROW, SENSITIVITY, by, values, self.seed) for by, values in found.joined()]


class _ByName:
    """Figures of rows by whose values they are of, block by block."""

    def __init__(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {}

    def add(self, by: str, figures: np.ndarray) -> None:
        self._parts.setdefault(by, []).append(figures)

    def joined(self) -> list[tuple[str, np.ndarray]]:
        return [(by, np.concatenate(parts)) for by, parts in self._parts.items()]


def _seconds(block: TargetBlock, fill: Fill) -> float:
    """Return about how long a forward takes, and what fills its point, by some that come after a first one."""
    units = block.units
    count = int(np.clip(MOST_NUMBERS // (units.inputs.shape[1] * fill.copies), 1, TIMED_ROWS))
    row = np.arange(count) % len(units.inputs)
    masked = np.random.default_rng(0).random((count, int(units.n_units.max()))) < 0.5
    units.outputs(block.f, fill, row[:1], masked[:1])
    begun = perf_counter()
    units.outputs(block.f, fill, row, masked)
    return (perf_counter() - begun) / (count * fill.copies)
