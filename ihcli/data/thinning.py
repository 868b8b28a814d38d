"""Rows that stand for more of them: of each two neighbours one is kept, so that their means stay what they were.

A mean over B rows drawn at random is off by s / sqrt(B). Here more are drawn, and halved until B are left. Each halving
pairs neighbours, goes through the pairs in random order and keeps of each the row with which the sum of what is kept
less what is left grows least: of the columns, and of their squares and products where these are few (a vector balancing
game, Spencer 1977; halving a sample by one is kernel thinning, Dwivedi and Mackey 2021).
Which of the first two is kept is a fair coin, and all others follow from it: were it to fall the other way, each pair
would keep the other row. So every row is as likely to be kept, and means are unbiased, whatever is averaged.

All sums are of whole numbers, so that every machine keeps the same rows.
"""

from dataclasses import dataclass

import numpy as np

UNIT, MOST_UNITS = 256, 5 * 256
"""Of a standard deviation, and how far from the mean values are told apart."""
MOST_SUMS = 256
"""Columns of wider tables are added up, with random signs, to so many: what many of them share is balanced."""
ROWS_OF_DIRECTION, LEAST_SPREAD = 4, 1e-9
"""Rows for each direction that what is averaged is split along, and the least share of the largest spread it has."""


def thinned(values: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return the places of so many of n rows, which stand for all of them, (size,), ascending.

    values  (n, D), finite
    """
    random = np.random.default_rng(seed)
    seen, kept = _whole_numbers(values, size, random), np.arange(len(values))
    while len(kept) > size:
        enough = size
        while 2 * enough < len(kept):
            enough *= 2
        kept = _halved(seen, kept, len(kept) - enough, random)
    return np.sort(kept)


@dataclass(frozen=True, eq=False)
class Balance:
    """How B rows stand to n that they were thinned from.

    rows   n
    basis  (B, Q) orthonormal, of the directions in which the B rows spread most, B / ROWS_OF_DIRECTION at most
    lack   (Q,) by what a mean over the n rows exceeds that over the B, for each unit of what goes along a direction
    """

    rows: int
    basis: np.ndarray
    lack: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, places: np.ndarray) -> "Balance":
        """Compare the rows at these places with all values (n, D)."""
        every = _in_deviations(values)
        some = every[places]
        basis, spread, directions = np.linalg.svd(some - some.mean(0), full_matrices=False)
        q = min(len(places) // ROWS_OF_DIRECTION, np.count_nonzero(spread > LEAST_SPREAD * spread.max(initial=0)))
        lack = directions[:q] @ (every.mean(0) - some.mean(0)) / spread[:q]
        return cls(len(values), basis[:, :q], lack)


def _whole_numbers(values: np.ndarray, balanced: int, random: np.random.Generator) -> np.ndarray:
    """Return what is balanced of each row, in units of its standard deviation, (n, P) int64.

    Squares and products of columns are where there are no more of them than half of the rows that they balance.
    """
    units = np.clip(np.rint(_in_deviations(values) * UNIT), -MOST_UNITS, MOST_UNITS).astype(np.int64)
    d = units.shape[1]
    if d > MOST_SUMS:
        signed = units[:, random.permutation(d)] * random.choice([-1, 1], d)
        return np.add.reduceat(signed, np.arange(MOST_SUMS) * d // MOST_SUMS, axis=1)
    if d * (d + 1) > balanced:
        return units
    i, j = np.triu_indices(d)
    return np.concatenate([units, units[:, i] * units[:, j] // (2 * UNIT)], axis=1)


def _in_deviations(values: np.ndarray) -> np.ndarray:
    """Return the columns that move, about their means and in units of their standard deviations."""
    largest = np.abs(values).max(0, initial=0)
    scaled = values / np.where(largest > 0, largest, 1)  # squares of large values are finite then
    centred = scaled - scaled.mean(0)
    deviation = np.sqrt((centred**2).mean(0))
    moves = deviation > 0
    found: np.ndarray = centred[:, moves] / deviation[moves]
    return found


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
