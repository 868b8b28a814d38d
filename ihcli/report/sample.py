"""Which rows a page holds, and what of each: so many numbers in all, whatever the run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.quality import RELATIVE_ERROR, ROW, TARGET
from ihcli.report.numbers import clipped, rounded
from ihcli.results.records import Record, pair_effects, record_of, stored_interactions
from ihcli.results.result import Result

MOST_ROWS = 1_000
MOST_NUMBERS = 500_000  # of all records, at most about 10 bytes each
MOST_MATRIX_BYTES = 256 << 20  # that are read for the sample
MATRIX_UNITS = 40  # of a record whose whole matrix is kept; of larger ones the largest pairs are
RECORD_PAIRS, BAR_DIGITS = 20, 2
WORST_ROWS = 20
KEY_CHARACTERS, UNIT_CHARACTERS, VALUE_DIGITS, MOST_KEYS = 100, 100, 6, 10


@dataclass(frozen=True)
class Shown:
    """What is kept of a record.

    names    features of a table that are shown, in their order; empty for texts
    place    position of every name of the page
    targets  shown targets, and of each the pairs whose effects dependence views draw
    """

    names: Sequence[str]
    place: Mapping[str, int]
    targets: Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True)
class ChosenRows:
    """Rows of the data that a page holds.

    rows   ascending
    drawn  how many of them were drawn at random; the others have the largest relative errors
    """

    rows: list[int]
    drawn: int


@dataclass(frozen=True)
class PageRows:
    """The records of a page.

    features  positions of the names that attributions and values of a table's records are of
    records   see `_kept`
    quality   names of the figures of a record
    rows      how many rows of the data the records are of
    drawn     how many of them were drawn at random; the others were added for their large relative errors
    """

    features: list[int]
    records: list[dict[str, Any]]
    quality: list[str]
    rows: int
    drawn: int


def choose_rows(result: Result, entries: pa.Table, shown: Shown, seed: int) -> ChosenRows:
    """Return rows drawn at random, and those of the largest relative errors.

    Parameters:
        entries: `_row`, `_relative_error` and `_status` of all of them.
    """
    rows = np.unique(entries[ROW].to_numpy())
    n_drawn = min(len(rows), _most_rows(result, shown, entries.num_rows / max(1, len(rows))))
    drawn = np.random.default_rng(seed).choice(rows, n_drawn, replace=False).tolist()
    return ChosenRows(sorted({*drawn, *_worst(entries)}), n_drawn)


def read_records(result: Result, chosen: ChosenRows, shown: Shown, values: np.ndarray | None) -> PageRows:
    """Read the rows and keep what the page shows of them.

    Parameters:
        values: (len(chosen.rows), len(shown.names)) of the features, or None.
    """
    lines = [] if values is None else [rounded(line, VALUE_DIGITS) for line in values]
    value_of = dict(zip(chosen.rows, lines, strict=False))
    target_of = {name: position for position, name in enumerate(shown.targets)}
    records, quality = [], []
    for record in _records(result, chosen.rows, shown):
        quality = list(record.quality)
        kept = _kept(record, shown, result.layout.own_names(record.names))
        records.append({"target": target_of[record.target], **kept, "values": value_of.get(record.row)})
    features = [shown.place[name] for name in shown.names]
    return PageRows(features, records, quality, len(chosen.rows), chosen.drawn)


def _most_rows(result: Result, shown: Shown, targets: float) -> int:
    size = result.layout.typical_size(len(shown.names))
    numbers = 2 * size + 4 * RECORD_PAIRS + (size * (size + 1) // 2 if size <= MATRIX_UNITS else 0)
    matrix_bytes = 4 * result.layout.typical_size(len(result.feature_names)) ** 2
    most = min(MOST_NUMBERS // max(1, numbers), MOST_MATRIX_BYTES // max(1, matrix_bytes), MOST_ROWS)
    return max(1, int(most / targets))


def _worst(entries: pa.Table) -> list[int]:
    errors = entries[RELATIVE_ERROR].to_numpy().astype(np.float64)
    order = np.argsort(-np.nan_to_num(errors, nan=-1.0), kind="stable")
    rows: list[int] = entries[ROW].to_numpy()[order].tolist()
    return list(dict.fromkeys(rows))[:WORST_ROWS]


def _records(result: Result, rows: Sequence[int], shown: Shown) -> Iterator[Record]:
    """Give the entries of the rows that have a shown target, in the order of the files."""
    tables = result.interaction_entries(rows=rows)
    stored = ((key, found) for table in tables for key, found in stored_interactions(table, result.layout).items())
    for table in result.entries(rows=rows):
        for entry in table.to_pylist():
            key, found = next(stored, (None, {}))
            if result.run.has_interactions and key != (entry[ROW], entry[TARGET]):
                raise RunError(f"{result.path}: attributions and interactions are not of the same rows.")
            if entry[TARGET] in shown.targets:
                yield record_of(entry, keys=result.keys, layout=result.layout, **found)


def _kept(record: Record, shown: Shown, own: tuple[str, ...] | None) -> dict[str, Any]:
    """Return a record as the page has it.

    phi      of the sample's features, or of the record's own units
    units    its own, such as the words of a text
    matrix   upper triangle, diagonal included: pair effects and main effects; of small records
    pairs    position, position, effect, error bar, the largest first; of small records the bars of some are told so
    certain  how many of their leading ranks are certain; None where that is not known
    effects  of the pairs of the target's dependence views
    """
    place = {name: position for position, name in enumerate(record.names)}
    chosen = [place[name] for name in shown.names] if own is None else list(range(len(own)))
    kept: dict[str, Any] = {
        "row": record.row,
        "keys": [_key(value) for value in list(record.keys.values())[:MOST_KEYS]],
        "quality": [_figure(value) for value in record.quality.values()],
        "phi": rounded(record.attributions[chosen]) if record.has_values else None,
    }
    if own is not None:
        kept["units"] = [clipped(unit, UNIT_CHARACTERS) for unit in own]
    if record.has_values:
        kept |= _pairs(record, shown, positions=None if own is not None else shown.place)
    return kept


def _pairs(record: Record, shown: Shown, positions: Mapping[str, int] | None) -> dict[str, Any]:
    """Return the pairs of a record; their ends are at these positions, or at those in the record."""
    kept: dict[str, Any] = {}
    if record.interactions is not None and len(record.names) <= MATRIX_UNITS:
        gamma = record.interactions.astype(np.float64)
        effects = gamma + gamma.T - np.diag(np.diagonal(gamma))
        kept["matrix"] = rounded(effects[np.triu_indices(len(gamma))])
        positions = None
    if (largest := pair_effects(record)) is not None:
        first, second = largest.first[:RECORD_PAIRS].tolist(), largest.second[:RECORD_PAIRS].tolist()
        if positions is not None:
            first, second = ([positions.get(record.names[i], -1) for i in side] for side in (first, second))
        values, bars = largest.values[:RECORD_PAIRS], np.full(len(first), np.nan)
        bars = bars if largest.error_bars is None else largest.error_bars[:RECORD_PAIRS]
        listed = zip(first, second, rounded(values), rounded(bars, BAR_DIGITS), strict=True)
        kept["pairs"] = [list(pair) for pair in listed if -1 not in pair[:2]]
        kept["certain"] = largest.certain
    if shown.targets[record.target] and (record.interactions is not None or record.top_effects is not None):
        kept["effects"] = _effects(record, shown)
    return kept


def _effects(record: Record, shown: Shown) -> list[Any]:
    """Return the effects of the pairs that dependence views draw, None for those that the run does not store."""
    names = list(shown.place)
    pairs = [(names[i], names[j]) for i, j in shown.targets[record.target]]
    if record.interactions is None:
        found = {frozenset((i, j)): value for i, j, value in record.top_pairs or ()}
        return rounded(np.array([found.get(frozenset(pair), np.nan) for pair in pairs]))
    gamma, place = record.interactions, {name: position for position, name in enumerate(record.names)}
    return rounded(np.array([gamma[place[i], place[j]] + gamma[place[j], place[i]] for i, j in pairs]))


def _key(value: Any) -> Any:
    return value if isinstance(value, bool | int) or value is None else clipped(str(value), KEY_CHARACTERS)


def _figure(value: Any) -> Any:
    return rounded(np.array([value]), VALUE_DIGITS)[0] if isinstance(value, float) else value
