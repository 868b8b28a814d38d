"""The result of explaining rows or texts: plain numpy arrays, no torch, no files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np

from ihcli.explanation.factors import Factored, Matrices
from ihcli.explanation.seen import Seen
from ihcli.quality import Entries, Status

SHARED = {"shared": True}
"""Of fields that are the same for all entries, whichever are chosen."""


@dataclass(frozen=True, kw_only=True)
class Explanation(Entries):
    """Attributions and interactions of N explained rows over the same G features or groups.

    feature_names  G names, in the order of the columns of `attributions`
    attributions   (N, G): phi; sums to prediction - baseline_prediction
    interactions   (N, G, G) symmetric: Gamma; rows sum to phi; None under ig and eg; in a run that stores no matrices,
                   of wide chains, as products of smaller ones
    interaction_spread  (N, G, G) standard error of every interaction over the baselines that were drawn; None where
                        all there are were used, or only one
    seen           what the rows show of the model, in a run; of all of them, whichever entries are chosen
    """

    feature_names: tuple[str, ...] = field(metadata=SHARED)
    attributions: np.ndarray
    interactions: Matrices | None
    interaction_spread: np.ndarray | None = None
    seen: Seen | None = field(default=None, metadata=SHARED)


@dataclass(frozen=True, kw_only=True)
class TextExplanation(Entries):
    """Attributions and interactions of N explained texts, each over units of its own.

    Arrays of N objects, None where the status is missing_input:

    units         tuples of n words or tokens, in reading order
    attributions  (n,): phi; sums to prediction - baseline_prediction
    interactions  (n, n) symmetric: Gamma; rows sum to phi; None under ig
    seen          what the texts show of the model, as above
    """

    units: np.ndarray
    attributions: np.ndarray
    interactions: np.ndarray | None
    seen: Seen | None = field(default=None, metadata=SHARED)


AnyExplanation = Explanation | TextExplanation
E = TypeVar("E", bound=Entries)


def join_explanations(parts: Sequence[E]) -> E:
    """Return one explanation of all entries of the parts, in order; parts share features and optional columns."""
    if len(parts) == 1:
        return parts[0]

    def joined(name: str) -> Matrices | None:
        arrays = [getattr(part, name) for part in parts]
        if isinstance(arrays[0], Factored):
            return Factored.joined(arrays)
        return None if arrays[0] is None else np.concatenate(arrays)

    return _with_entries(parts[0], joined)


def scatter(explanation: E, present: np.ndarray) -> E:
    """Put entries where `present` (N,) is True, in order; the others have missing input: NaN, and no evaluations."""
    if present.all():
        return explanation

    def spread(name: str) -> Matrices | None:
        values = getattr(explanation, name)
        if values is None:
            return None
        if isinstance(values, Factored):
            return values.scattered(present)
        full = np.full((len(present), *values.shape[1:]), _nothing(name, values.dtype), dtype=values.dtype)
        full[present] = values
        return full

    return _with_entries(explanation, spread)


def in_order(explanation: E, by: np.ndarray) -> E:
    """Return the entries in ascending order of `by` (N,)."""
    if (by[1:] >= by[:-1]).all():
        return explanation
    order = np.argsort(by, kind="stable")
    return _with_entries(explanation, lambda name: _taken(getattr(explanation, name), order))


def selected(explanation: E, mask: np.ndarray) -> E:
    """Return the entries under a mask (N,)."""
    return (
        explanation if mask.all() else _with_entries(explanation, lambda name: _taken(getattr(explanation, name), mask))
    )


def at_places(explanation: E, places: np.ndarray) -> E:
    """Return the entries at some places (n,), in their order."""
    return _with_entries(explanation, lambda name: _taken(getattr(explanation, name), places))


def _taken(values: Matrices | None, chosen: np.ndarray) -> Matrices | None:
    return None if values is None else values[chosen]


def _nothing(name: str, dtype: np.dtype[Any]) -> Any:
    if name == "status":
        return Status.MISSING_INPUT.value
    return {"f": np.nan, "O": None}.get(dtype.kind, 0)


def _with_entries(explanation: E, values: Callable[[str], Any]) -> E:
    names = [each.name for each in fields(explanation) if each.metadata != SHARED]
    return replace(explanation, **{name: values(name) for name in names})
