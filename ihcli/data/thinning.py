"""Rows that stand for more of them: of each two neighbours one is kept, so that their means stay what they were.

A mean over B rows drawn at random is off by s / sqrt(B). Here more are drawn, and halved until B are left. Each halving
pairs neighbours, goes through the pairs in random order and keeps of each the row with which the sum of what is kept
less what is left grows least: of the columns, and of their squares and products where these are few (a vector balancing
game, Spencer 1977; halving a sample by one is kernel thinning, Dwivedi and Mackey 2021).
Which of the first two is kept is a fair coin, and all others follow from it: were it to fall the other way, each pair
would keep the other row. So every row is as likely to be kept, and means are unbiased, whatever is averaged.

All sums are of whole numbers, so that every machine keeps the same rows.
"""

import numpy as np

UNIT, MOST_UNITS = 256, 5 * 256
"""Of a standard deviation, and how far from the mean values are told apart."""
MOST_SUMS = 256
"""Columns of wider tables are added up, with random signs, to so many: what many of them share is balanced."""


def thinned(values: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return the places of so many of n rows, which stand for all of them, (size,): neighbours follow one another.

    values  (n, D), finite
    """
    random = np.random.default_rng(seed)
    seen, kept = _whole_numbers(values, size, random), np.arange(len(values))
    while len(kept) > size:
        enough = size
        while 2 * enough < len(kept):
            enough *= 2
        kept = _halved(seen, kept, len(kept) - enough, random)
    return _in_line(seen, kept, random)


def _whole_numbers(values: np.ndarray, balanced: int, random: np.random.Generator) -> np.ndarray:
    """Return what is balanced of each row, in units of its standard deviation, (n, P) int64.

    Squares and products of columns are where there are no more of them than half of the rows that they balance.
    """
    largest = np.abs(values).max(0, initial=0)
    scaled = values / np.where(largest > 0, largest, 1)  # squares of large values are finite then
    centred = scaled - scaled.mean(0)
    deviation = np.sqrt((centred**2).mean(0))
    moves = deviation > 0
    units = np.clip(np.rint(centred[:, moves] / deviation[moves] * UNIT), -MOST_UNITS, MOST_UNITS).astype(np.int64)
    d = units.shape[1]
    if d > MOST_SUMS:
        signed = units[:, random.permutation(d)] * random.choice([-1, 1], d)
        return np.add.reduceat(signed, np.arange(MOST_SUMS) * d // MOST_SUMS, axis=1)
    if d * (d + 1) > balanced:
        return units
    i, j = np.triu_indices(d)
    return np.concatenate([units, units[:, i] * units[:, j] // (2 * UNIT)], axis=1)


def _halved(seen: np.ndarray, rows: np.ndarray, pairs: int, random: np.random.Generator) -> np.ndarray:
    """Make so many pairs of rows, and return those that are kept of them, and all others."""
    mixed = random.permutation(rows)
    paired = _in_line(seen, mixed[: 2 * pairs], random).reshape(-1, 2)
    paired = paired[random.permutation(pairs)]
    coins = random.random(pairs) < 0.5
    total, is_first = np.zeros(seen.shape[1], np.int64), np.empty(pairs, bool)
    for i, apart in enumerate(seen[paired[:, 0]] - seen[paired[:, 1]]):
        along = int(total @ apart)
        is_first[i] = coins[i] if along == 0 else along < 0
        total += apart if is_first[i] else -apart
    return np.concatenate([mixed[2 * pairs :], np.where(is_first, paired[:, 0], paired[:, 1])])


def _in_line(seen: np.ndarray, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the rows so that neighbours follow one another: cut in two along a random direction, and again."""
    if len(rows) <= 2:
        return rows
    one, other = rows[random.integers(len(rows), size=2)]
    ordered = rows[np.argsort(seen[rows] @ (seen[one] - seen[other]), kind="stable")]
    half = 2 * (len(rows) // 4) or 2
    return np.concatenate([_in_line(seen, part, random) for part in (ordered[:half], ordered[half:])])
