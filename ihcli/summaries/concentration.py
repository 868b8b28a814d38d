"""How an explanation is spread over features and pairs: shares, Gini coefficients, and how many make nine tenths."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from ihcli.summaries.figures import Line
from ihcli.summaries.ranking import by_target, floats
from ihcli.summaries.rest import Rest, rest_of

MOST, ROUNDING = 0.9, 1e-12
SHARE_OF_PAIRS, GINI, MAKE_90, MAIN = "share_of_pairs", "gini", "make_90", "main_mean_abs"
NOTHING = Rest(0, 0, 0.0, 0.0, 0.0)


def gini(sizes: np.ndarray) -> float | None:
    """Return the Gini coefficient of sizes (p,): sum_ij |a_i - a_j| / (2 p sum_i a_i); None where all are 0.

    Erion et al. (2021) print n, the number of rows, in the place of p, of which the same sum cannot be an average.
    """
    p, total = len(sizes), sizes.sum()
    if not total > 0:
        return None
    rising = np.sort(sizes)
    return float((2 * np.arange(1, p + 1) - p - 1) @ rising / (p * total))


def how_many(shares: np.ndarray, most: float = MOST) -> int | None:
    """Return how many of the largest shares (p,) make so much of all; None where more than these are needed."""
    reached = np.cumsum(np.sort(shares)[::-1]) >= most * (1 - ROUNDING)
    return int(reached.argmax()) + 1 if reached.any() else None


def concentration(attributions: pa.Table, interactions: pa.Table | None, *, counts: bool) -> Iterator[Line]:
    """Give these figures of every target of a summary, from its tables.

    Parameters:
        counts: whether lines weigh as often as they occur, see `AnySummary`.
    """
    pairs = {} if interactions is None else by_target(interactions)
    rest = {} if interactions is None else rest_of(interactions)
    for target, features in by_target(attributions).items():
        yield from _spread("features", features, target, NOTHING)
        if target not in pairs:
            continue
        others = rest.get(target, NOTHING)
        yield from _spread("pairs", pairs[target], target, others)
        if MAIN in features.column_names:
            mains, effects = (_total(*told, counts) for told in ((features, MAIN), (pairs[target], "mean_abs")))
            effects += others.mean_abs
            share = effects / (mains + effects) if mains + effects > 0 else None
            yield Line("target", SHARE_OF_PAIRS, share, _rows(pairs[target]), output=target)


def _spread(of: str, ranking: pa.Table, target: str, others: Rest) -> Iterator[Line]:
    """Give how shares are spread; those of others, which are not listed one by one, are taken to be alike."""
    shares, rows = floats(ranking, "share"), _rows(ranking)
    even = np.full(others.pairs, max(0.0, 1 - shares.sum()) / max(1, others.pairs))
    every = np.concatenate([shares, even])
    yield Line("target", of, len(every), rows, output=target)
    yield Line("target", f"{GINI}_of_{of}", gini(every), rows, output=target)
    needed = how_many(shares) if shares.sum() > 0 else None
    yield Line("target", f"{MAKE_90}_of_{of}", needed, rows, output=target)


def _rows(ranking: pa.Table) -> int:
    return int(ranking["rows"][0].as_py()) if ranking.num_rows else 0


def _total(ranking: pa.Table, name: str, counts: bool) -> float:
    """Return the sum of a statistic over the lines of a ranking."""
    values = np.nan_to_num(floats(ranking, name))
    return float((values * floats(ranking, "rows")).sum() if counts else values.sum())
