"""What came of a comparison, as lines: of each two runs, of features or words, and of pairs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.explanation.ranks import spearman
from ihcli.quality import ATTRIBUTIONS, INTERACTIONS
from ihcli.results.comparing.agreement import k_of
from ihcli.results.comparing.comparison import Comparison
from ihcli.results.comparing.figures import OfTwo, Totals, Two, ranks_of
from ihcli.results.comparing.lines import FEATURE, PAIR, RUNS, VALUES, lines
from ihcli.results.comparing.listing import MOST_LISTED, pairs_of_summaries

SIZES = ("largest_change", "largest_change_row", "mean_abs", "mean_abs_std", "mean", "mean_std")
"""Columns that slopes beside effects do not have."""


@dataclass(frozen=True)
class Known:
    """What is known over rows of n features, words or pairs, whatever they are.

    place        (n,) of features or pairs among all, of words in the order in which they were seen
    sizes, means  (R, n) of each run: mean_abs and mean
    seen         (n,) places in the totals of what was compared row by row, -1 where it was in no row
    """

    place: np.ndarray
    sizes: np.ndarray
    means: np.ndarray
    seen: np.ndarray


def lines_of_runs(found: Comparison) -> pa.Table:
    """Return a line for each two runs that were compared, of each target, after all rows were seen."""
    tables = []
    for kind in VALUES:
        for target in found.targets:
            known = _known(found, kind, target)
            tables += [_of_two(found, kind, target, two, known) for two in found.compared if known is not None]
    return pa.concat_tables([found.schema.empty_table(), *tables])


def lines_of_features(found: Comparison) -> pa.Table:
    """Return a line for each feature or word of each target, the largest first."""
    return _of_names(found, ATTRIBUTIONS)


def lines_of_pairs(found: Comparison) -> pa.Table:
    """Return a line for each pair of features or words of each target, the largest first."""
    return _of_names(found, INTERACTIONS)


def least_of(rows: Iterable[pa.Table], schema: pa.Schema, count: int) -> pa.Table:
    """Return so many of the lines of rows: those that agree least, of each kind of values the one as the other."""
    kept = schema.empty_table()
    for piece in rows:
        both = pa.concat_tables([kept, piece])
        order = pc.sort_indices(both, sort_keys=[("spearman", "ascending"), ("overlap", "ascending")])
        kept = both.take(order[:count])
    return kept


def _of_names(found: Comparison, kind: str) -> pa.Table:
    tables = [found.schema.empty_table()]
    for target in found.targets:
        known = _known(found, kind, target)
        if known is not None and len(known.place):
            tables.append(_lines_of(found, kind, target, known))
    return pa.concat_tables(tables)


def _known(found: Comparison, kind: str, target: str) -> Known | None:
    """Return what is known of features, words or pairs of a target; None where it is nothing."""
    totals = found.totals.get((kind, target))
    if kind == INTERACTIONS and not found.has_matrices:
        return _of_summaries(found, target, totals) if found.have_pairs else None
    if totals is None:
        return None
    n = len(totals.place)
    rows = np.maximum(totals.rows[:n], 1)
    return Known(np.arange(n), totals.sizes[:, :n] / rows, totals.sums[:, :n] / rows, np.arange(n))


def _of_summaries(found: Comparison, target: str, totals: Totals | None) -> Known | None:
    """Return what summaries tell of pairs, and where those that runs store of rows were seen."""
    if not found.first.layout.is_aligned:
        return None
    place, sizes, means = pairs_of_summaries(found.results, target)
    where = {} if totals is None else totals.place
    return Known(place, sizes, means, np.array([where.get(each, -1) for each in place.tolist()], np.int64))


def _of_two(found: Comparison, kind: str, target: str, two: Two, known: Known | None) -> pa.Table:
    of_two = found.of_two.get((kind, target, two), OfTwo())
    columns: dict[str, Any] = {
        **{"of": RUNS, "values": kind, "target": target},
        **{"run": found.names[two[0]], "other": found.names[two[1]]},
        "spearman": [of_two.spearman.median],
        "mean_spearman": [of_two.spearman.mean],
        "least_spearman": [of_two.spearman.least],
        "spearman_abs": [of_two.spearman_abs.median],
        "ranking_spearman": [np.nan],
        "overlap": [of_two.overlap.mean],
        "same_sign": [of_two.sign.mean],
        "largest_change": [of_two.change],
        "largest_change_row": [of_two.change_row],
        "rows": [of_two.rows],
    }
    if known is not None and known.sizes.shape[1]:
        columns["ranking_spearman"] = spearman(*(known.sizes[place][None] for place in two))
    return lines(found.schema, _told(found, columns))


def _lines_of(found: Comparison, kind: str, target: str, known: Known) -> pa.Table:
    ranks = ranks_of(known.sizes)
    alike = found.are_alike_in_size
    over_all = known.sizes.mean(axis=0) if alike else -ranks.mean(axis=0)
    chosen = _listed(found, kind, known, over_all)
    k = k_of(max(known.sizes.shape[1], len(found.pairs[0]) if kind == INTERACTIONS else 0), found.k_asked)
    sizes, means = known.sizes[:, chosen], known.means[:, chosen]
    columns = {
        **{"of": FEATURE if kind == ATTRIBUTIONS else PAIR, "values": kind, "target": target},
        **_names(found, kind, target, known.place[chosen]),
        **_over_rows(found, kind, target, known, chosen),
        **dict(zip(("mean_abs", "mean_abs_std"), _moments(sizes), strict=True)),
        **dict(zip(("mean", "mean_std"), _moments(means), strict=True)),
        "rank": ranks_of(over_all[None])[0][chosen],
        "worst_rank": ranks.max(axis=0)[chosen],
        "in_top": (ranks <= k).sum(axis=0)[chosen],
    }
    return lines(found.schema, _told(found, columns))


def _moments(figures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation over runs (R, n), by way of what differs from the first: of equal runs 0."""
    differences = figures - figures[0]
    return figures[0] + differences.mean(axis=0), differences.std(axis=0)


def _listed(found: Comparison, kind: str, known: Known, over_all: np.ndarray) -> np.ndarray:
    """Return places among what is known, the largest first, of those that are listed."""
    order = np.argsort(-over_all, kind="stable")
    if found.first.layout.is_aligned:
        return order[np.isin(known.place[order], found.listed[kind])]
    return order[:MOST_LISTED]


def _over_rows(found: Comparison, kind: str, target: str, known: Known, chosen: np.ndarray) -> dict[str, Any]:
    """Return what comparing row by row gave; nothing where no row was compared."""
    totals = found.totals.get((kind, target))
    if totals is None:
        return {}
    seen = known.seen[chosen]
    there = seen >= 0
    signed = np.where(there, totals.signed[seen], 0)
    columns = {
        "same_sign": np.where(signed > 0, totals.agreed[seen] / np.maximum(signed, 1), np.nan),
        "largest_change": np.where(there, totals.change[seen], np.nan),
        "largest_change_row": np.where(there, totals.change_row[seen], -1),
        "rows": np.where(there, totals.rows[seen], 0),
    }
    if kind == INTERACTIONS and not found.has_matrices:
        return columns
    listed = found.listed[kind] if found.first.layout.is_aligned else np.sort(seen)
    mean, least, counts = totals.correlations(listed)
    at = np.searchsorted(listed, seen)
    return columns | {"spearman": mean[at], "least_spearman": least[at], "sampled": counts[at]}


def _names(found: Comparison, kind: str, target: str, place: np.ndarray) -> dict[str, Sequence[str]]:
    if kind == ATTRIBUTIONS:
        names = found.first.feature_names or list(map(str, found.totals[kind, target].place))
        return {"feature": [names[i] for i in place]}
    if not found.first.layout.is_aligned:
        pairs = [pair for pair in found.totals[kind, target].place if isinstance(pair, tuple)]
        return {f"feature_{end}": [pairs[i][at] for i in place] for at, end in enumerate("ij")}
    names, (first, second) = found.first.feature_names, found.pairs
    return {"feature_i": [names[i] for i in first[place]], "feature_j": [names[i] for i in second[place]]}


def _told(found: Comparison, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the columns without sizes, where these are not comparable."""
    return {name: told for name, told in columns.items() if found.are_alike_in_size or name not in SIZES}
