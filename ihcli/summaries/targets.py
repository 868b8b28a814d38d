"""What is known of one target of a table: moments of attributions and effects, and means of their error bars."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ihcli.summaries.moments import Means, Moments

BARS = "bars."  # before the names of such means in a state


@dataclass(frozen=True)
class TargetSummary:
    """What is known of one target: attributions, and main and pair effects where there are interactions.

    bars    means of error bars and standard errors of effects, by names such as "pairs.error_bar": those of all rows
    """

    attributions: Moments
    smallest: np.ndarray
    largest: np.ndarray
    mains: Moments | None
    pairs: Moments | None
    bars: Mapping[str, Means]

    def state(self) -> dict[str, np.ndarray]:
        """Return all figures as arrays by name."""
        arrays = {"smallest": self.smallest, "largest": self.largest}
        kinds = {"attributions": self.attributions, "mains": self.mains, "pairs": self.pairs}
        for kind, figures in {**kinds, **{f"{BARS}{name}": means for name, means in self.bars.items()}}.items():
            if figures is not None:
                arrays |= {f"{kind}.{name}": np.asarray(values) for name, values in vars(figures).items()}
        return arrays

    @classmethod
    def of_state(cls, arrays: Mapping[str, np.ndarray]) -> "TargetSummary":
        """Return what `state` was taken of."""

        def moments(kind: str) -> Moments:
            mean, mean_abs, squares = (arrays[f"{kind}.{name}"] for name in ("mean", "mean_abs", "squares"))
            return Moments(int(arrays[f"{kind}.count"]), mean, mean_abs, squares)

        has_interactions = "mains.count" in arrays
        known = [name.removesuffix(".count") for name in arrays if name.startswith(BARS) and name.endswith(".count")]
        return cls(
            moments("attributions"),
            arrays["smallest"],
            arrays["largest"],
            moments("mains") if has_interactions else None,
            moments("pairs") if has_interactions else None,
            {name.removeprefix(BARS): Means(int(arrays[f"{name}.count"]), arrays[f"{name}.mean"]) for name in known},
        )

    def narrowed(self, n: int, times: float) -> "TargetSummary":
        """Return what is known of the first n features and of their pairs, see `Summary.narrowed`."""
        first, width = np.arange(n), len(self.smallest)
        starts = [g * (2 * width - 1 - g) // 2 for g in range(n)]
        among = np.concatenate([np.arange(starts[g], starts[g] + n - 1 - g) for g in range(n)])
        return TargetSummary(
            self.attributions.take(first, times),
            self.smallest[first],
            self.largest[first],
            None if self.mains is None else self.mains.take(first, times),
            None if self.pairs is None else self.pairs.take(among, times),
            {
                name: means.take(among if name.startswith("pairs") else first, times)
                for name, means in self.bars.items()
            },
        )

    def merge(self, other: "TargetSummary") -> "TargetSummary":
        """Return the summary of both sets of rows; of effects, and their error bars, that of rows that have some."""
        return TargetSummary(
            self.attributions.merge(other.attributions),
            np.minimum(self.smallest, other.smallest),
            np.maximum(self.largest, other.largest),
            _merged(self.mains, other.mains),
            _merged(self.pairs, other.pairs),
            self._both_bars(other),
        )

    def without_effects(self) -> "TargetSummary":
        """Return what is known of the attributions alone."""
        return TargetSummary(self.attributions, self.smallest, self.largest, None, None, {})

    def _both_bars(self, other: "TargetSummary") -> Mapping[str, Means]:
        if self.pairs is None or other.pairs is None:
            return other.bars if self.pairs is None else self.bars
        return {name: means.merge(other.bars[name]) for name, means in self.bars.items() if name in other.bars}


def _merged(one: Moments | None, other: Moments | None) -> Moments | None:
    if one is None or other is None:
        return other if one is None else one
    return one.merge(other)
