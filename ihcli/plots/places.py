"""Where values stand along an axis: numbers where they are, categories side by side, few values spread a little."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ihcli.wording import told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW_VALUES = 12  # of a feature: more are drawn where they are, these are spread
CATEGORY_WIDTH = 18
MOST_NAMED = 40  # categories along an axis
MOST_LETTERS = 30  # that stand side by side below a panel
SPREAD = 0.13  # of the smallest distance between two values, to either side


@dataclass(frozen=True)
class Places:
    """A feature along an axis.

    values  (n,) numbers, or places of categories, one beside the other; NaN where there is no value
    words   the categories that occur, in order, cut to fit; None of numbers
    """

    values: np.ndarray
    words: tuple[str, ...] | None = None

    @classmethod
    def of(cls, values: np.ndarray, categories: Sequence[str] | None) -> "Places":
        """Return where rows (n,) stand, given numbers, or codes and the categories that they are."""
        if categories is None:
            return cls(values)
        present, places = np.unique(values, return_inverse=True)
        names = [categories[int(code)] for code in present if np.isfinite(code)]
        cut = told_apart(names, CATEGORY_WIDTH)
        return cls(np.where(np.isnan(values), np.nan, places), tuple(cut[name] for name in names))

    @property
    def distinct(self) -> np.ndarray:
        """The different values, ascending."""
        return np.unique(self.values[np.isfinite(self.values)])

    @property
    def are_few(self) -> bool:
        """Whether values are so few that each can be named."""
        return self.words is not None or 1 < len(self.distinct) <= FEW_VALUES

    @property
    def step(self) -> int:
        """Of how many categories one is named, so that names can be read."""
        return 1 if self.words is None else max(1, -(-len(self.words) // MOST_NAMED))

    def spread(self, seed: int, share: float = SPREAD) -> np.ndarray:
        """Return the values (n,), moved sideways by up to that share of the smallest distance where they are few."""
        return spread(self.values, seed, is_always=self.words is not None, share=share)[0]

    def name(self, axes: "Axes", axis: Literal["x", "y"] = "x") -> None:
        """Write few values, or their categories, along an axis; of numbers nothing is changed."""
        if not self.are_few:
            return
        names = self.words or [f"{value:g}" for value in self.distinct]
        (axes.set_xticks if axis == "x" else axes.set_yticks)(self.distinct[:: self.step], names[:: self.step])
        if axis == "x" and self.words is not None and sum(map(len, names)) > MOST_LETTERS:
            axes.tick_params("x", rotation=90, labelsize=8)

    def notes(self) -> list[str]:
        """Return what the reader has to know of the names along the axis."""
        if self.step == 1 or self.words is None:
            return []
        return [f"Of {len(self.words)} categories one in {self.step} is named."]


def spread(values: np.ndarray, seed: int, is_always: bool = False, share: float = SPREAD) -> tuple[np.ndarray, bool]:
    """Move values (n,) a little sideways where they are few different ones; tell whether that was done."""
    distinct = np.unique(values[np.isfinite(values)])
    if not is_always and not 1 < len(distinct) <= FEW_VALUES:
        return values, False
    width = share * float(np.diff(distinct).min(initial=1.0 if is_always else np.inf))
    return values + np.random.default_rng(seed).uniform(-width, width, len(values)), True
