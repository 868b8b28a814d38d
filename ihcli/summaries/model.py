"""What a run tells of the model and the data beside what it explains, gathered while rows stream by."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from ihcli.explanation.seen import Meaning, Nearness, Seen
from ihcli.summaries.concentration import concentration
from ihcli.summaries.figures import Line, figures_table
from ihcli.summaries.judging import Judging

STATE = "model."
"""Before the names of its arrays in a state."""


class ModelSummary:
    """How good the predictions are, which classes are chosen, and how near rows come to the baselines.

    Where of some rows that is not known, as of parts that an older ihcli explained, nothing is told.
    """

    def __init__(self) -> None:
        self._judging: Judging | None = None
        self._nearness: Nearness | None = None
        self._is_whole = True

    def update(self, seen: Seen | None) -> None:
        """Add what rows show; None: that is not known."""
        added = ModelSummary()
        if seen is None:
            self._is_whole = False
            return
        added._judging = Judging.of(seen.meaning, seen.outputs, seen.truth)
        added._nearness = seen.nearness
        self.merge(added)

    def merge(self, other: "ModelSummary") -> None:
        """Add what another summary has seen."""
        self._is_whole &= other._is_whole
        if self._judging is None or other._judging is None:
            self._judging = self._judging or other._judging
        else:
            self._judging = self._judging.merge(other._judging)
        mine, theirs = self._nearness, other._nearness
        if mine is None or theirs is None:
            self._nearness = mine or theirs
        else:
            least, most = np.minimum(mine.least, theirs.least), np.maximum(mine.most, theirs.most)
            self._nearness = Nearness(mine.places, least, most)

    def table(self, attributions: pa.Table, interactions: pa.Table | None, *, counts: bool) -> pa.Table | None:
        """Return all figures, those that follow of a summary's tables among them; None where no row was seen.

        Parameters:
            counts: see `concentration`.
        """
        if self._judging is None or not self._is_whole:
            return None
        spread = concentration(attributions, interactions, counts=counts)
        return figures_table([*self._judging.lines(), *self._near(), *spread])

    def _near(self) -> Iterator[Line]:
        """Give how near the nearest row comes to the mean of the baselines, where all rows are on one side of it."""
        if self._nearness is None or self._judging is None:
            return
        found, rows = self._nearness, int(self._judging.sums["rows"])
        for (of, name), least, most in zip(found.places, found.least.tolist(), found.most.tolist(), strict=True):
            if np.isfinite(least) and np.isfinite(most):
                output, column = (name, None) if of == "output" else (None, name)
                yield Line(of, "nearest_spreads", max(least, -most, 0.0), rows, output, column)

    def state(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays by name, from which `of_state` makes an equal summary."""
        if self._judging is None or not self._is_whole:
            return {}
        told: dict[str, object] = {"meaning": asdict(self._judging.meaning), "unread": self._judging.first_unread}
        arrays = dict(self._judging.state())
        if self._nearness is not None:
            told["places"] = self._nearness.places
            arrays |= {"least": self._nearness.least, "most": self._nearness.most}
        arrays["told"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
        return {f"{STATE}{name}": values for name, values in arrays.items()}

    @classmethod
    def of_state(cls, arrays: Mapping[str, np.ndarray]) -> "ModelSummary":
        """Return the summary of which these arrays are the state; of an older ihcli there are none of these."""
        summary = cls()
        mine = {name.removeprefix(STATE): values for name, values in arrays.items() if name.startswith(STATE)}
        if "told" not in mine:
            summary._is_whole = False
            return summary
        told = json.loads(mine["told"].tobytes())
        meaning = Meaning(**{**told["meaning"], "names": tuple(told["meaning"]["names"])})
        summary._judging = Judging(meaning, first_unread=told["unread"]).with_state(mine)
        if "places" in told:
            places = tuple((of, name) for of, name in told["places"])
            summary._nearness = Nearness(places, mine["least"], mine["most"])
        return summary
