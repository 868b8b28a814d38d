"""Sizes of effects in groups of rows: the mean of absolute values in each, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.errors import OptionError
from ihcli.results.contrasting.blocks import Rows
from ihcli.results.contrasting.columns import Columns
from ihcli.results.contrasting.effects import FEATURE, OF, PAIR, Effects, effects_of
from ihcli.results.contrasting.groups import Groups, groups_of
from ihcli.results.result import Result
from ihcli.summaries.moments import Moments
from ihcli.wording import printable


@dataclass(frozen=True)
class Sizes:
    """Mean absolute effects by group, of groups that have rows that rank.

    labels    of groups, in their order, and how many rows each has
    mean_abs  (groups, E)
    effects   the E of which they are
    notes     in sentences
    """

    labels: tuple[str, ...]
    rows: tuple[int, ...]
    mean_abs: np.ndarray
    effects: Effects
    notes: tuple[str, ...]


def sizes_by(
    result: Result,
    by: str,
    target: str,
    names: Sequence[tuple[str, ...]],
    *,
    data: str | None = None,
    all_rows: bool = False,
) -> Sizes:
    """Return the sizes of some effects in each group of rows.

    Memory: three numbers for each effect and group, and a block of rows. Cost: two passes over the parts.

    Parameters:
        by: a column, COLUMN:BINS or a condition; see `ihcli.results.contrasting.groups`.
        names: a feature each, or two of a pair each.

    Raises OptionError and RunError for what cannot be grouped or is not stored, DataError where the data are gone.
    """
    rows = Rows(result, Columns(result, data), (), all_rows)
    groups = groups_of(rows, [by])
    effects = _effects(rows, names)
    moments = _moments(rows, groups, effects, target)
    if not moments:
        raise OptionError(
            f"`by={printable(by)}`: no row of target {target} that ranks is in a group. Expected one at least. "
            "Try another column, or `all_rows`."
        )
    found = dict(sorted(moments.items()))
    return Sizes(
        tuple(groups.labels[group] for group in found),
        tuple(each.count for each in found.values()),
        np.stack([each.mean_abs for each in found.values()]),
        effects,
        groups.notes,
    )


def _effects(rows: Rows, names: Sequence[tuple[str, ...]]) -> Effects:
    """Return what is asked for in that order; of runs that list pairs those that all rows list, in their own."""
    result = rows.result
    place = {name: at for at, name in enumerate(result.feature_names)}
    first, second = (np.array([place[of[end]] for of in names], np.int64) for end in (0, -1))
    if len(names[0]) == 1:
        return Effects(result.feature_names, np.full(len(first), OF.index(FEATURE)), first, second)
    first, second = np.minimum(first, second), np.maximum(first, second)
    if result.stores_matrices:
        return Effects(result.feature_names, np.full(len(first), OF.index(PAIR)), first, second)
    listed = effects_of(rows, [PAIR])
    return listed.only(np.isin(listed.first * len(place) + listed.second, first * len(place) + second))


def _moments(rows: Rows, groups: Groups, effects: Effects, target: str) -> dict[int, Moments]:
    found: dict[int, Moments] = {}
    for block in rows.blocks(groups.columns, effects.features, interactions=effects.need_interactions):
        counts = block.is_of(target) & block.rank[int(effects.need_interactions)]
        codes = np.where(counts, groups.codes(block.beside), -1)
        for some, values in effects.of_some(block):
            for group in np.unique(codes[some][codes[some] >= 0]).tolist():
                more = Moments.of(values[codes[some] == group])
                found[group] = found[group].merge(more) if group in found else more
    return found
