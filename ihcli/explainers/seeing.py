"""What rows show of a model while they are explained: what its outputs mean, and how far off the rows are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from ihcli.errors import ModelCallError, ModelError
from ihcli.explanation.seen import Meaning, Nearness, Seen
from ihcli.explanation.truth import truth_of
from ihcli.heads.scales import Finish, finish_of
from ihcli.models.model import MANY_LABELS, REGRESSION, Model
from ihcli.models.targets import OutputNames, Target
from ihcli.readers import Reader
from ihcli.readers.opening import inputs_of
from ihcli.scales import MODEL

LEAST_BASELINES = 10
"""Of fewer a standard deviation says little."""


def meaning_of(
    model: Model, rows: Tensor, scaled: tuple[str, Finish | None], target: Target, outputs: OutputNames
) -> Meaning:
    """Return what the outputs of a model mean; `rows` (P, D) are some that it is tried on.

    Parameters:
        scaled: the scale that outputs are on, and how the model ends where that is known.
        outputs: what somebody called them, the label column among these.
    """
    (scale, finish), several = scaled, len(target.names) > 1
    if finish is None:
        finish = _finish(model, rows)
    unknown = Meaning(
        names=target.names,
        scale=None,
        own=None,
        are_classes=several and model.task not in (REGRESSION, MANY_LABELS),
        is_share=False,
        is_raw=False,
        judged=_judged(target, outputs) if several else 0,
    )
    if finish is None:
        return unknown
    return replace(
        unknown,
        scale=finish.gives if scale == MODEL else scale,
        own=finish.gives,
        is_share=finish.is_share,
        is_raw=finish.is_raw,
        words=finish.words,
    )


def _finish(model: Model, rows: Tensor) -> Finish | None:
    try:
        return finish_of(model, rows)
    except ModelCallError:
        raise
    except ModelError:
        return None


def _judged(target: Target, outputs: OutputNames) -> int | None:
    """Return the output that the label column is the true value of: of its name, or else the one that is explained."""
    name = next((name for name in (outputs.sole, target.spec) if name in target.names), None)
    return None if name is None else target.names.index(name)


@dataclass(frozen=True)
class Spreads:
    """How baselines are spread: over the columns of rows, and over the outputs of the model.

    columns  places of the compared columns in rows, whose names come first in `places`
    centre, width  (P,) means and standard deviations
    """

    places: tuple[tuple[str, str], ...]
    columns: np.ndarray
    centre: np.ndarray
    width: np.ndarray

    @classmethod
    def of(
        cls, reader: Reader, model: Model, names: Sequence[str], outputs: Callable[[Tensor], np.ndarray]
    ) -> "Spreads | None":
        """Return that of a reader's baselines; None where they are too few, or stand for no rows.

        Parameters:
            names: of the model's outputs, which `outputs` gives of flat inputs.
        """
        compared = reader.compared()
        if compared is None or len(compared.rows) < LEAST_BASELINES:
            return None
        given = outputs(inputs_of(reader, model, compared.rows))
        both = np.concatenate([compared.rows[:, compared.columns], given], axis=1)
        places = (*(("column", name) for name in compared.names), *(("output", name) for name in names))
        return cls(places, compared.columns, both.mean(axis=0), both.std(axis=0))

    def nearness(self, rows: np.ndarray, outputs: np.ndarray) -> Nearness:
        """Return how near rows (N, C) and their outputs (N, K) come."""
        both = np.concatenate([np.asarray(rows, np.float64)[:, self.columns], outputs], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            away = (both - self.centre) / self.width
        known = np.isfinite(away)
        least, most = np.where(known, away, np.inf).min(axis=0, initial=np.inf), np.where(known, away, -np.inf)
        return Nearness(self.places, least, most.max(axis=0, initial=-np.inf))


def seen_of(
    meaning: Meaning, spreads: Spreads | None, rows: Sequence[Any] | np.ndarray, outputs: np.ndarray, labels: Any
) -> Seen:
    """Return what rows show; `labels` (N,) are None where no column holds any."""
    truth = None if labels is None else truth_of(labels, meaning)
    nearness = None if spreads is None else spreads.nearness(np.asarray(rows), outputs)
    return Seen(meaning, outputs, truth, nearness)
