"""What errors leave certain of a ranking over rows: which leading ranks, and which sizes may be nothing but chance."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.bars import DEVIATIONS, are_certain, within_chance
from ihcli.files.arrays import numbers
from ihcli.layouts.columns import CERTAIN, ERROR_BAR, STANDARD_ERROR
from ihcli.summaries.ranking import field_of, floats
from ihcli.summaries.rest import rest_of

NEAR_ZERO = "near_zero"
OF_STATISTIC = {None: "mean_abs", "mean_abs": "mean_abs", "mean": "mean"}
"""Statistics that an error bar is of, by what a ranking is by."""


def judged(ranking: pa.Table, by: str | None) -> pa.Table:
    """Append to a ranking of one target, all of it, which ranks are certain and which sizes may be chance.

    A rank is certain where its entry stands above all later ones, and those that are not listed, whatever errors within
    the bars, and within two standard errors where baselines were drawn. What the summary does not tell is left out.
    """
    statistic = OF_STATISTIC.get(by)
    known = set(ranking.column_names)
    if statistic is None or not known & {ERROR_BAR, STANDARD_ERROR}:
        return ranking
    values, chance = floats(ranking, statistic), np.zeros(ranking.num_rows)
    if STANDARD_ERROR in known:
        chance = floats(ranking, STANDARD_ERROR)
    if ERROR_BAR in known:
        certain = are_certain(values, floats(ranking, ERROR_BAR) + DEVIATIONS * chance, _most_of_rest(ranking))
        ranking = _with(ranking, CERTAIN, certain)
    return _with(ranking, NEAR_ZERO, within_chance(values, chance)) if STANDARD_ERROR in known else ranking


def certain_of(rankings: Mapping[str, pa.Table]) -> dict[str, tuple[int, int]]:
    """Return of whole rankings by target how many ranks are certain, of how many; nothing where that is not known."""
    return {
        target: (pc.sum(ranking[CERTAIN]).as_py() or 0, ranking.num_rows)
        for target, ranking in rankings.items()
        if CERTAIN in ranking.column_names
    }


def _most_of_rest(ranking: pa.Table) -> float:
    """Return the most that any entry may be that the ranking does not list."""
    rest = rest_of(ranking)
    return rest[ranking["target"][0].as_py()].most if rest and ranking.num_rows else -np.inf


def _with(ranking: pa.Table, name: str, flags: np.ndarray) -> pa.Table:
    return ranking.append_column(field_of(name), numbers(flags))
