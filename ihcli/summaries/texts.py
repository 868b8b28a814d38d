"""Ranked units and pairs of units of a corpus, by their text, accumulated while texts stream by; no text is held."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pyarrow as pa

from ihcli.bars import pair_bars
from ihcli.explanation import TextExplanation
from ihcli.summaries.ranking import ATTRIBUTION_COLUMNS, INTERACTION_COLUMNS, MAIN_COLUMNS

if TYPE_CHECKING:
    from ihcli.summaries.occurrences import Occurrences

UNIT_KEYS, PAIR_KEYS = ("target", "feature"), ("target", "feature_i", "feature_j")
KINDS = ("units", "mains", "pairs")
BLOCK_PAIRS = 1 << 20
"""Pairs spelled out at once, about 100 MB: eight texts of 512 words have as many."""


class TextSummary:
    """Statistics per target over all occurrences of every unit, and of every pair of units in one text.

    Memory: about 150 bytes for each distinct unit and pair, `most_lines` of them at most, however many texts there are.
    """

    counts_occurrences: ClassVar[bool] = True

    def __init__(self) -> None:
        from ihcli.summaries.occurrences import Occurrences  # and pandas, which a run over a table does without

        self._units = Occurrences.none(UNIT_KEYS)
        self._mains = Occurrences.none(UNIT_KEYS)
        self._pairs = Occurrences.none(PAIR_KEYS)
        self._has_interactions = self._has_bars = False

    def update(self, explanation: TextExplanation) -> None:
        """Add the texts of an explanation; those without figures are left out."""
        known = np.flatnonzero(explanation.has_values)
        if explanation.interactions is not None:
            has_bars = explanation.interaction_error is not None
            self._has_bars = has_bars and (self._has_bars or not self._has_interactions)
            self._has_interactions = True
        pairs = np.cumsum([len(explanation.units[i]) ** 2 // 2 for i in known], dtype=np.int64)
        for block in np.split(known, np.searchsorted(pairs, np.arange(BLOCK_PAIRS, pairs[-1:].sum(), BLOCK_PAIRS))):
            if len(block):
                self._add(explanation, block)

    def _add(self, explanation: TextExplanation, known: np.ndarray) -> None:
        """Add these entries, all of which have figures."""
        targets = [str(explanation.target[i]) for i in known]
        units = [explanation.units[i] for i in known]
        keys = {
            "target": np.repeat(np.array(targets, object), [len(names) for names in units]),
            "feature": np.array([name for names in units for name in names], object),
        }
        self._units = self._units.add(keys, np.concatenate([explanation.attributions[i] for i in known]))
        if explanation.interactions is not None:
            matrices = [explanation.interactions[i] for i in known]
            errors = explanation.interaction_error
            bars = None if errors is None else [pair_bars(explanation.interactions[i], errors[i]) for i in known]
            on_diagonals = None if bars is None else np.concatenate([np.diagonal(each) for each in bars])
            self._mains = self._mains.add(
                keys, np.concatenate([np.diagonal(gamma) for gamma in matrices]), on_diagonals
            )
            self._pairs = self._pairs.add(
                _pair_keys(targets, units), _effects(matrices), None if bars is None else _effects(bars)
            )

    def merge(self, other: "TextSummary") -> None:
        """Add what another summary has seen; halves merged equal the whole up to rounding."""
        self._units = self._units.merge(other._units)
        self._mains = self._mains.merge(other._mains)
        self._pairs = self._pairs.merge(other._pairs)
        if other._has_interactions:
            self._has_bars = other._has_bars and (self._has_bars or not self._has_interactions)
            self._has_interactions = True

    def without_interactions(self) -> "TextSummary":
        """Return what was seen of the attributions alone."""
        found = TextSummary()
        found._units = self._units
        return found

    @property
    def lines(self) -> tuple[int, int]:
        """Return how many lines the tables of units and of pairs have, over all targets."""
        return len(self._units.settled().frame), len(self._pairs.settled().frame)

    @property
    def held(self) -> int:
        """Return how many units and pairs there are figures of: a line for each."""
        return sum(self.lines)

    @property
    def most_lines(self) -> int:
        """Return how many lines a table can have; what would be beyond is dropped."""
        from ihcli.summaries.occurrences import MOST_KEPT

        return MOST_KEPT

    def narrowed(self, lines: int, times: float = 1.0) -> Self:
        """Return this: a few texts have few lines, of numbers with all their digits."""
        return self

    @property
    def note(self) -> str | None:
        """A sentence on what was dropped, None where nothing was."""
        dropped = max(found.settled().dropped for found in (self._units, self._pairs))
        if not dropped:
            return None
        return (
            f"there were more than {self.most_lines} different pairs of words: those seen {dropped} times or less may "
            "be missing from the summary, and other counts too low by as much. The parts hold them all."
        )

    def attributions(self) -> pa.Table:
        """Return the units of every target, ranked by mean |phi|; main effects too where there are interactions."""
        if not self._has_interactions:
            return self._units.ranked(ATTRIBUTION_COLUMNS)
        columns = MAIN_COLUMNS + (("main_error_bar",) if self._has_bars else ())
        statistics = self._mains.statistics_of(self._units)
        mains = {name: statistics[name.removeprefix("main_")] for name in columns}
        return self._units.ranked(ATTRIBUTION_COLUMNS + columns, mains)

    def interactions(self) -> pa.Table | None:
        """Return the pairs of every target, names in alphabetical order, ranked by mean |pair effect|; None for ig."""
        bars = ("error_bar",) if self._has_bars else ()
        return self._pairs.ranked(INTERACTION_COLUMNS + bars) if self._has_interactions else None

    def state(self) -> dict[str, np.ndarray]:
        """Return all that was seen as arrays by name, from which `of_state` makes an equal summary.

        What is pending stays so: merged in another order, figures would have another rounding.
        """
        arrays = {"has_interactions": np.array(self._has_interactions), "has_bars": np.array(self._has_bars)}
        for kind in KINDS:
            found: Occurrences = getattr(self, f"_{kind}")
            arrays |= {f"{kind}.{name}": values for name, values in found.state().items()}
        return arrays

    @classmethod
    def of_state(cls, arrays: Mapping[str, np.ndarray]) -> "TextSummary":
        """Return the summary of which these arrays are the state; other names among them are passed over."""
        summary = cls()
        summary._has_interactions = bool(arrays["has_interactions"])
        summary._has_bars = bool(arrays.get("has_bars", False))
        for kind in KINDS:
            mine = {name.partition(".")[2]: arrays[name] for name in arrays if name.startswith(f"{kind}.")}
            nothing: Occurrences = getattr(summary, f"_{kind}")
            setattr(summary, f"_{kind}", nothing.of_state(nothing.keys, mine))
        return summary


def _pair_keys(targets: Sequence[str], units: Sequence[tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Return the keys of all pairs of units in each text."""
    columns: dict[str, list[np.ndarray]] = {"target": [], "feature_i": [], "feature_j": []}
    for target, names in zip(targets, units, strict=True):
        first, second = np.triu_indices(len(names), 1)
        spelled = np.array(names, object)
        one, other = spelled[first], spelled[second]
        is_ordered = (one <= other).astype(bool)
        columns["target"].append(np.full(len(first), target, object))
        columns["feature_i"].append(np.where(is_ordered, one, other))
        columns["feature_j"].append(np.where(is_ordered, other, one))
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _effects(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sums of what stands on either side of the diagonal, of all pairs of units in each text."""
    found = []
    for matrix in matrices:
        first, second = np.triu_indices(len(matrix), 1)
        found.append(matrix[first, second].astype(np.float64) + matrix[second, first])
    return np.concatenate(found)
