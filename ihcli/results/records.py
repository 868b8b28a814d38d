"""One explained row: what part files hold of it, as numbers and names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ihcli.bars import certain_ranks, pair_bars
from ihcli.layouts.columns import CERTAIN, ERROR_BAR, STANDARD_ERROR, holds_top_pairs
from ihcli.layouts.layout import Layout
from ihcli.quality import INTERACTIONS, ROW, STATUS, TARGET
from ihcli.wording import counted, shortened

_MOST_SHOWN, _NAME_LETTERS = 10, 60
BESIDE = "border-collapse:collapse;display:inline-table;vertical-align:top;margin:4px 24px 4px 0"
"""How tables of a notebook stand side by side."""


class Pair(NamedTuple):
    """A pair of features of a record, and its effect.

    i, j            names, in the order of the record's
    effect          Gamma_ij + Gamma_ji, in units of the explained output
    error_bar       what it may be off, see `ihcli.bars`; None where the run does not tell
    standard_error  over the baselines that were drawn; None where the run does not tell
    certain         whether its rank holds whatever errors within the bars; None without bars
    """

    i: str
    j: str
    effect: float
    error_bar: float | None
    standard_error: float | None
    certain: bool | None


@dataclass(frozen=True)
class Effects:
    """Signed effects of a record, the largest size first.

    first, second    (n,) positions among the record's names; equal for main effects
    values           (n,): Gamma_gh + Gamma_hg, or Gamma_gg, in units of the explained output
    error_bars       (n,) what each may be off; None where nothing is known of it
    standard_errors  (n,) over drawn baselines; None where nothing is known of them
    certain          how many of the leading ranks hold whatever errors within the bars; None without bars
    """

    first: np.ndarray
    second: np.ndarray
    values: np.ndarray
    error_bars: np.ndarray | None = None
    standard_errors: np.ndarray | None = None
    certain: int | None = None

    @property
    def shares(self) -> np.ndarray:
        """Size of each over the size of all."""
        sizes = np.abs(self.values)
        return sizes / max(float(sizes.sum()), np.finfo(np.float64).tiny)


@dataclass(frozen=True, repr=False)
class Record:
    """One explained row for one target.

    row           index of the row in the data
    keys          its key columns
    target        name of the explained output
    names         G features or groups; of a text its units, in reading order
    attributions  (G,): phi; NaN where the row has no values
    interactions  (G, G): Gamma; None where the run stores no matrices
    top_effects   of a run with `interactions=top:K` the effects of the largest pairs; else None
    quality       what the columns beside the values say: prediction, relative_error, status and others, by their names
                  without the underscore; None where the row has no value
    """

    row: int
    keys: dict[str, Any]
    target: str
    names: tuple[str, ...]
    attributions: np.ndarray
    interactions: np.ndarray | None
    top_effects: Effects | None
    quality: dict[str, Any]

    def __repr__(self) -> str:
        keys = "".join(f", {name} {value!r}" for name, value in self.keys.items())
        prediction = self.quality["prediction"]
        told = "" if prediction is None else f", prediction {prediction:.4g}"
        names = counted(len(self.names), "names")
        return f"<Record: row {self.row}{keys}, target {self.target!r}, {names}{told}, {self.quality['status']}>"

    def _repr_html_(self) -> str:
        """Return the record as a small table of its strongest features and pairs, for a notebook."""
        told = (attribution_effects(self), pair_effects(self)) if self.has_values else ()
        tables = [_html_table(self.names, effects) for effects in told if effects is not None and len(effects.values)]
        return f"<div><div>{escape(repr(self)[1:-1])}</div>{''.join(tables)}</div>"

    @property
    def has_values(self) -> bool:
        """Whether the row was explained; rows with missing or non-finite inputs were not."""
        return bool(self.quality["prediction"] is not None)

    @property
    def pairs(self) -> tuple[Pair, ...] | None:
        """All pairs that the run stores of it, the largest effect first; None where it stores none."""
        effects = pair_effects(self)
        return None if effects is None else tuple(_pairs(self.names, effects))

    @property
    def top_pairs(self) -> tuple[tuple[str, str, float], ...] | None:
        """Feature, feature and effect of the pairs of a run with `interactions=top:K`; None of other runs."""
        return None if self.top_effects is None else tuple(pair[:3] for pair in _pairs(self.names, self.top_effects))

    @property
    def error_bars(self) -> np.ndarray | None:
        """What each of the interactions may be off, (G, G); None where the run does not tell."""
        error = self.quality.get("interaction_error")
        return None if error is None or self.interactions is None else pair_bars(self.interactions, error)


def _html_table(names: Sequence[str], effects: Effects) -> str:
    lines = ['<tr><th style="text-align:left">name</th><th>effect</th></tr>']
    strongest = zip(effects.first, effects.second, effects.values, strict=True)
    for one, other, value in islice(strongest, _MOST_SHOWN):
        ends = [names[place] for place in dict.fromkeys((one, other))]
        who = escape(" x ".join(shortened(name, _NAME_LETTERS) for name in ends))
        lines.append(f'<tr><td style="text-align:left">{who}</td><td>{value:.4g}</td></tr>')
    return f'<table style="{BESIDE}">{"".join(lines)}</table>'


def pair_effects(record: Record, main_effects: bool = False) -> Effects | None:
    """Return the effects of all pairs, also of a feature with itself if asked; None where the run stores none.

    Of a run that stores the largest pairs of every row, those; it has no main effects, and None is returned.
    """
    if record.interactions is not None:
        first, second = np.triu_indices(len(record.names), 0 if main_effects else 1)
        gamma = record.interactions.astype(np.float64)
        counts = np.where(first == second, 1.0, 2.0)  # as matrices are symmetric
        bars = record.error_bars
        bars = None if bars is None else counts * bars[first, second]
        return _largest_first(first, second, counts * gamma[first, second], bars)
    return None if main_effects else record.top_effects


def attribution_effects(record: Record) -> Effects:
    """Return the attributions as effects of a feature with itself."""
    position = np.arange(len(record.names))
    return _largest_first(position, position, record.attributions)


def record_of(
    entry: Mapping[str, Any],
    *,
    keys: Sequence[str],
    layout: Layout[Any],
    interactions: np.ndarray | None = None,
    top_pairs: Sequence[Mapping[str, Any]] | None = None,
) -> Record:
    """Put a record together from an entry of an attributions part and what is stored of its interactions.

    Parameters:
        layout: of the run.
        interactions: G^2 numbers, row by row.
    """
    names, phi = layout.record(entry)
    fields = list(entry)
    quality = fields[fields.index(TARGET) + 1 : fields.index(STATUS) + 1]
    return Record(
        row=entry[ROW],
        keys={name: entry[name] for name in keys},
        target=entry[TARGET],
        names=names,
        attributions=np.array(phi, dtype=np.float64),
        interactions=None if interactions is None else interactions.reshape(len(names), len(names)),
        top_effects=None if top_pairs is None else _stored_effects(names, top_pairs),
        quality={name.removeprefix("_"): entry[name] for name in quality},
    )


def stored_interactions(table: pa.Table, layout: Layout[Any]) -> dict[tuple[int, str], dict[str, Any]]:
    """Return what entries of an interactions part hold, by row and target: the argument of `record_of` that it is."""
    column = table[INTERACTIONS]
    if holds_top_pairs(column.type):
        name, found = "top_pairs", column.to_pylist()
    else:
        name, found = "interactions", layout.matrices(column)
    entries = zip(table[ROW].to_pylist(), table[TARGET].to_pylist(), strict=True)
    return {entry: {name: values} for entry, values in zip(entries, found, strict=True)}


def _pairs(names: Sequence[str], effects: Effects) -> Iterator[Pair]:
    n = len(effects.values)
    nothing = [None] * n
    bars, errors = (
        nothing if found is None else [None if np.isnan(value) else value for value in found.tolist()]
        for found in (effects.error_bars, effects.standard_errors)
    )
    certain = nothing if effects.certain is None else (np.arange(n) < effects.certain).tolist()
    ends = ([names[place] for place in places] for places in (effects.first, effects.second))
    yield from map(Pair, *ends, effects.values.tolist(), bars, errors, certain)


def _stored_effects(names: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> Effects:
    """Return the effects of the largest pairs as an interactions part holds them, also as one of 0.1.0 does."""
    place = {name: position for position, name in enumerate(names)}

    def column(name: str) -> np.ndarray | None:
        return np.array([pair[name] for pair in pairs], np.float64) if pairs and name in pairs[0] else None

    first, second = (np.array([place[pair[end]] for pair in pairs], np.int64) for end in ("i", "j"))
    values, certain = np.array([pair["value"] for pair in pairs], np.float64), column(CERTAIN)
    found = _largest_first(first, second, values, column(ERROR_BAR), column(STANDARD_ERROR))
    return found if certain is None else replace(found, certain=int((certain == 1).sum()))


def _largest_first(
    first: np.ndarray,
    second: np.ndarray,
    values: np.ndarray,
    bars: np.ndarray | None = None,
    standard_errors: np.ndarray | None = None,
) -> Effects:
    order = np.argsort(-np.abs(values), kind="stable")
    values = values[order]
    if bars is not None:
        bars = bars[order].astype(np.float64)
    if standard_errors is not None:
        standard_errors = standard_errors[order]
    certain = None if bars is None else certain_ranks(values, bars)
    return Effects(first[order], second[order], values, bars, standard_errors, certain)
