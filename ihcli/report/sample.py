"""Which rows a page holds, and what of each: so many numbers in all, whatever the run."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import RunError
from ihcli.layouts.tables import TableLayout
from ihcli.quality import PREDICTION, RELATIVE_ERROR, ROW, STATUS, TARGET, Status
from ihcli.report.numbers import clipped, rounded
from ihcli.report.outcomes import Outcomes
from ihcli.results.records import Record, pair_effects, record_of, stored_interactions
from ihcli.results.result import Result

MOST_ROWS = 1_000
MOST_BYTES = 6_500_000  # of all records on the page
UNIT_BYTES, PAIR_BYTES, CELL_BYTES, RECORD_BYTES = 11, 30, 10, 300  # of a record, about
MOST_MATRIX_BYTES = 256 << 20  # that are read for the sample
MATRIX_UNITS = 40  # of a record whose whole matrix is kept; of larger ones the largest pairs are
RECORD_PAIRS, BAR_DIGITS = 20, 2
WORST_ROWS = 20
NOTABLE_ROWS = 20  # of each kind, such as wrong ones, and at most every twentieth row of a page
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
    drawn  how many of them were drawn at random
    added  the others, in words: the first of "20 of 31 wrong ones", with so many of them
    """

    rows: list[int]
    drawn: int
    added: list[str]


@dataclass(frozen=True)
class PageRows:
    """The records of a page.

    features  positions of the names that attributions and values of a table's records are of
    records   see `_kept`, and `_outcome`; "values" are of the features, (n,), None where they are not known
    quality   names of the figures of a record
    rows      how many rows of the data the records are of
    drawn     how many of them were drawn at random;  added  the others, see `ChosenRows`
    classes   that are chosen or true in these rows; none of a regressor
    label     the column of labels, None where the run has none
    why_no_labels, why_no_classes  sentences, where there is a reason that labels or predicted classes are not shown
    wrong     how many rows of the run have another class than their label; None where that is not known
    commands  that show any row, when the option for one, and its number, are put behind them
    """

    features: list[int]
    records: list[dict[str, Any]]
    quality: list[str]
    rows: int
    drawn: int
    added: list[str]
    classes: list[str]
    label: str | None
    why_no_labels: str | None
    why_no_classes: str | None
    wrong: int | None
    commands: list[str]


def choose_rows(result: Result, entries: pa.Table, outcomes: Outcomes, shown: Shown, seed: int) -> ChosenRows:
    """Return rows drawn at random, and those that somebody may look for.

    Parameters:
        entries: `_row`, `_target`, `_prediction`, `_relative_error` and `_status` of all of them.
    """
    rows = outcomes.rows
    most = _most_rows(result, shown, entries.num_rows / max(1, len(rows)))
    if most >= len(rows):
        return ChosenRows(rows.tolist(), len(rows), [])
    kinds = dict(_notable(entries, outcomes, list(shown.targets), max(1, min(NOTABLE_ROWS, most // 20))))
    added = {row for found in kinds.values() for row in found}
    n_drawn = most - min(most // 2, len(added))
    drawn = np.random.default_rng(seed).choice(rows, n_drawn, replace=False).tolist()
    return ChosenRows(sorted({*drawn, *added}), n_drawn, [words for words, found in kinds.items() if found])


def read_records(
    result: Result, chosen: ChosenRows, outcomes: Outcomes, shown: Shown, values: np.ndarray | None
) -> PageRows:
    """Read the rows and keep what the page shows of them.

    Parameters:
        values: (len(chosen.rows), len(shown.names)) of the features, or None.
    """
    value_of = dict(zip(chosen.rows, () if values is None else values, strict=False))
    of_page, classes = _of_page(outcomes, chosen.rows)
    place_of = {row: place for place, row in enumerate(chosen.rows)}
    target_of = {name: position for position, name in enumerate(shown.targets)}
    records, quality = [], []
    for record in _records(result, chosen.rows, shown):
        quality = list(record.quality)
        kept = _kept(record, shown, result.layout.own_names(record.names))
        kept |= _outcome(of_page, place_of[record.row], record.target)
        records.append({"target": target_of[record.target], **kept, "values": value_of.get(record.row)})
    return PageRows(
        features=[shown.place[name] for name in shown.names],
        records=records,
        quality=quality,
        rows=len(chosen.rows),
        drawn=chosen.drawn,
        added=chosen.added,
        classes=[clipped(name) for name in classes],
        label=None if outcomes.label is None else clipped(outcomes.label),
        why_no_labels=outcomes.why_no_labels,
        why_no_classes=outcomes.why_no_classes,
        wrong=int(outcomes.is_wrong.sum()) if outcomes.is_known.any() else None,
        commands=_commands(result),
    )


def _of_page(outcomes: Outcomes, rows: Sequence[int]) -> tuple[Outcomes, list[str]]:
    """Return what is known of some rows, their classes counted among those that occur, and the names of these."""
    found = outcomes.at(rows)
    if not found.classes:
        return found, []
    known = np.concatenate([found.predicted[found.predicted >= 0], found.true[np.isfinite(found.true)]])
    present = np.unique(known.astype(np.int64))
    predicted = np.where(found.predicted >= 0, np.searchsorted(present, found.predicted), -1)
    true = np.where(np.isfinite(found.true), np.searchsorted(present, np.nan_to_num(found.true)), np.nan)
    return replace(found, predicted=predicted, true=true), [found.classes[place] for place in present]


def _commands(result: Result) -> list[str]:
    names = ["attributions", *(["interactions"] if result.run.has_interactions else [])]
    return [f"ihcli {name} {shlex.quote(str(result.path))}" for name in names]


def _most_rows(result: Result, shown: Shown, targets: float) -> int:
    size = result.layout.typical_size(len(shown.names))
    cells = size * (size + 1) // 2 if size <= MATRIX_UNITS else 0
    n_bytes = UNIT_BYTES * size + PAIR_BYTES * RECORD_PAIRS + CELL_BYTES * cells + RECORD_BYTES
    most = min(MOST_BYTES // n_bytes, MOST_ROWS)
    if result.stores_matrices:
        most = min(most, MOST_MATRIX_BYTES // max(1, 4 * result.layout.typical_size(len(result.feature_names)) ** 2))
    return max(1, int(most / targets))


def _notable(
    entries: pa.Table, outcomes: Outcomes, targets: Sequence[str], most: int
) -> Iterator[tuple[str, list[int]]]:
    """Give kinds of rows that somebody may look for, in words, and at most so many rows of each."""
    rows = entries[ROW].to_numpy()
    worst = _largest(entries[RELATIVE_ERROR].to_numpy(), rows, WORST_ROWS)
    yield f"{len(worst)} with the largest relative errors", worst
    for status, count in _counts(entries[STATUS]).items():
        if status not in (Status.OK, Status.UNCERTIFIED):
            found = rows[pc.equal(entries[STATUS], status).to_numpy(zero_copy_only=False)][:most].tolist()
            yield f"{len(found)} of {count:,} of status {status}", found
    wrong = _largest(np.where(outcomes.is_wrong, outcomes.margin, np.nan), outcomes.rows, most)
    yield f"{len(wrong)} of {int(outcomes.is_wrong.sum()):,} wrong ones, of which the model is surest", wrong
    unsure = _largest(-outcomes.margin, outcomes.rows, most)
    yield f"{len(unsure)} of which it is least sure", unsure
    off = _largest(np.abs(outcomes.off), outcomes.rows, most)
    yield f"{len(off)} whose predictions are farthest from their labels", off
    found, each = list[int](), max(1, most // (2 * max(1, len(targets))))
    for target in targets:
        of_target = pc.fill_null(pc.equal(entries[TARGET], target), False).to_numpy(zero_copy_only=False)
        values = np.where(of_target, entries[PREDICTION].to_numpy(), np.nan)
        found += [*_largest(values, rows, each), *_largest(-values, rows, each)]
    yield f"{len(set(found))} with the highest and lowest predictions", found


def _largest(values: np.ndarray, rows: np.ndarray, most: int) -> list[int]:
    """Return the rows (n,) of the largest of numbers (n,), those that are none left out."""
    order = np.argsort(-values.astype(np.float64), kind="stable")
    found: list[int] = rows[order[np.isfinite(values[order])]].tolist()
    return list(dict.fromkeys(found))[:most]


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {found["values"]: found["counts"] for found in column.value_counts().to_pylist()}


def _records(result: Result, rows: Sequence[int], shown: Shown) -> Iterator[Record]:
    """Give the entries of the rows that have a shown target, in the order of the files."""
    tables = result.interaction_entries(rows=rows)
    stored = ((key, found) for table in tables for key, found in stored_interactions(table, result.layout).items())
    columns, layout = _needed(result, shown), result.layout
    for table in result.entries(columns, rows=rows):
        for entry in table.to_pylist():
            key, found = next(stored, (None, {}))
            if result.run.has_interactions and key != (entry[ROW], entry[TARGET]):
                raise RunError(f"{result.path}: attributions and interactions are not of the same rows.")
            if entry[TARGET] not in shown.targets:
                continue
            if columns is not None:
                ends = (pair[end] for pair in found.get("top_pairs") or () for end in ("i", "j"))
                others = dict.fromkeys(end for end in ends if end not in entry)
                entry, layout = entry | others, TableLayout((*shown.names, *others))
            yield record_of(entry, keys=result.keys, layout=layout, **found)


def _needed(result: Result, shown: Shown) -> list[str] | None:
    """Return the columns that are read where a page shows few of very many features; None: all."""
    features = frozenset(result.layout.features)
    if len(shown.names) == len(features) or result.stores_matrices:
        return None
    beside = [name for name in result.run.attribution_parts.schema.names if name not in features]
    return [*beside, *shown.names]


def _kept(record: Record, shown: Shown, own: tuple[str, ...] | None) -> dict[str, Any]:
    """Return a record as the page has it.

    phi      of the sample's features, or of the record's own units, (n,)
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
        "phi": record.attributions[chosen] if record.has_values else None,
    }
    if own is not None:
        kept["units"] = [clipped(unit, UNIT_CHARACTERS) for unit in own]
    if record.has_values:
        kept |= _pairs(record, shown, positions=None if own is not None else shown.place)
    return kept


def _outcome(outcomes: Outcomes, place: int, target: str) -> dict[str, Any]:
    """Return what the page tells of the model beside the label, as far as that is known.

    predicted    place of the chosen class among the classes;  probability  of it
    true         place of the true class, or the number that the prediction should be
    """
    known: dict[str, Any] = {}
    if outcomes.classes and outcomes.predicted[place] >= 0:
        known["predicted"] = int(outcomes.predicted[place])
        known["probability"] = _figure(float(outcomes.probability[place]))
    true = float(outcomes.true[place])
    if np.isfinite(true) and outcomes.judged in (None, target):
        known["true"] = int(true) if outcomes.classes else _figure(true)
    return known


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
