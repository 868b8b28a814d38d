"""A seeded choice of some of what streams by, each as likely as any other; what is not chosen is not held."""

import numpy as np


class Drawing:
    """At most so many of the values that were added: those with the smallest of random numbers, one for each.

    All of them, as they came, where they are no more.
    """

    def __init__(self, most: int, seed: int, dtype: type[np.generic] = np.float64) -> None:
        self.most = most
        self.seen = 0
        self._rng = np.random.default_rng(seed)
        self._keys: np.ndarray = np.zeros(0)
        self._values: np.ndarray = np.zeros(0, dtype)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, values: np.ndarray) -> None:
        """Add values (n,)."""
        self.seen += len(values)
        self._waiting.append((self._rng.random(len(values)), values))
        if sum(len(keys) for keys, _ in self._waiting) > self.most:
            self._settle()

    def chosen(self) -> np.ndarray:
        """Return the chosen ones, sorted."""
        self._settle()
        return np.sort(self._values)

    def _settle(self) -> None:
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._waiting)])
        values = np.concatenate([self._values, *(values for _, values in self._waiting)])
        if len(keys) > self.most:
            some = np.argpartition(keys, self.most)[: self.most]
            keys, values = keys[some], values[some]
        self._keys, self._values, self._waiting = keys, values, []
