"""What a summary tells of the pairs that it does not list: of wide tables, the largest are, and the rest are summed up.

It stands in the metadata of the table's schema, which follows the table through slices, filters and files.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

MOST_PAIRS = 200_000
"""Pairs of a target that a summary lists: all of those of up to 632 features."""
REST = b"rest"


@dataclass(frozen=True)
class Rest:
    """The pairs of one target that are not listed.

    listed    how many others are
    pairs     how many these are
    mean_abs  the sum of theirs, which shares of listed pairs are of too
    largest   the largest of theirs
    most      the most that any of them can be whatever its errors: bars, and two standard errors; `largest` where
              neither is known
    """

    listed: int
    pairs: int
    mean_abs: float
    largest: float
    most: float

    def with_more(self, listed: int, mean_abs: np.ndarray) -> "Rest":
        """Return this of so many more that are listed, and of others (n,) that are not, all of at most `largest`."""
        total = self.mean_abs + float(mean_abs.sum())
        return replace(self, listed=self.listed + listed, pairs=self.pairs + len(mean_abs), mean_abs=total)

    def in_words(self, noun: str = "pairs") -> str:
        """Return a sentence for whoever reads a ranking."""
        return (
            f"Ranked are the {self.listed:,} largest of {self.listed + self.pairs:,} {noun}: the others have a "
            f"mean_abs of at most {self.largest:.3g} each, and {self.mean_abs:.3g} together."
        )


def with_rest(table: pa.Table, rest: Mapping[str, Rest]) -> pa.Table:
    """Return a summary that tells of the pairs of each target that it does not list; where it lists all, itself."""
    if not rest:
        return table
    told = json.dumps({target: asdict(found) for target, found in rest.items()})
    return table.replace_schema_metadata({**(table.schema.metadata or {}), REST: told})


def rest_of(table: pa.Table) -> dict[str, Rest]:
    """Return what a summary tells of pairs that it does not list, by target; nothing where it lists all.

    Raises what reading raises where the metadata are not what `with_rest` made.
    """
    told = (table.schema.metadata or {}).get(REST)
    return {} if told is None else {target: _read(found) for target, found in json.loads(told).items()}


def _read(found: Mapping[str, Any]) -> Rest:
    listed, pairs = found["listed"], found["pairs"]
    if not all(isinstance(count, int) and count >= 0 for count in (listed, pairs)):
        raise ValueError("not counts of pairs")
    return Rest(listed, pairs, *(float(found[name]) for name in ("mean_abs", "largest", "most")))
