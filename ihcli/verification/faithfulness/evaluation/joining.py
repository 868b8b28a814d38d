"""A run joined with its model and data: rows that were drawn as inputs, with what fills them and what ranks them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ihcli.data.survey import collect
from ihcli.derivatives.calling import gradient
from ihcli.derivatives.paths import Paths
from ihcli.errors import RunError
from ihcli.execution.preparation import PreparedRun
from ihcli.explainers.explainer import Explainer
from ihcli.readers import Encoded, Shape
from ihcli.readers.opening import paths_to
from ihcli.verification.faithfulness.curves import Block, fills_of
from ihcli.verification.faithfulness.evaluation.background import background_rows
from ihcli.verification.faithfulness.figures import GRADIENT, RANDOM, RUN, TIMES_INPUT
from ihcli.verification.faithfulness.filling import Fill, Resampled
from ihcli.verification.faithfulness.masking import Units
from ihcli.verification.faithfulness.metrics import IMPUTE, MEAN
from ihcli.verification.faithfulness.sampled import Entries

MOST_IMPUTED = 4096
"""Inputs of which a covariance is taken."""
ROWS_AT_ONCE = 512
"""Of the background: where layers are opened, inputs are what the model gives there."""


@dataclass(frozen=True)
class Joined:
    """Rows (N,) of the data that were drawn, of whatever targets.

    encoded     as the reader encodes them, texts by whole words
    background  (B, C) rows as the reader takes them; None where rows cannot be put in each other's place
    wanted      fills that are asked for
    draws, seed  of baselines and what is resampled
    """

    explainer: Explainer
    row: np.ndarray
    encoded: Encoded
    background: np.ndarray | None
    wanted: tuple[str, ...]
    draws: int
    seed: int

    @classmethod
    def of(
        cls,
        prepared: PreparedRun,
        entries: Sequence[Entries],
        background: str | None,
        fills: tuple[str, ...],
        draws: int,
        seed: int,
    ) -> "Joined":
        """Read the rows of entries from the data; raises DataError, OptionError and RunError."""
        explainer = prepared.explainer
        row = np.unique(np.concatenate([some.row for some in entries]))
        encoded = explainer.reader.whole().encode(collect((chunk.inputs for chunk in prepared.chunks()), row))
        if len(encoded.values) < len(row) or not encoded.present.all():
            raise RunError(f"{prepared.dataset.path}: lacks rows that the run has values of. Try ihcli verify.")
        return cls(explainer, row, encoded, background_rows(prepared, background, seed), fills, draws, seed)

    @cached_property
    def fill_names(self) -> tuple[str, ...]:
        """The fills that there are, of those wanted: baselines where rows cannot be put in each other's place."""
        background = self.flat_background
        if background is None:
            return tuple(name for name in self.wanted if name == MEAN)
        return tuple(name for name in self.wanted if name != IMPUTE or background.shape[1] <= MOST_IMPUTED)

    def blocks(self, entries: Entries) -> "list[TargetBlock]":
        """Return the rows of a target, those of one shape together."""
        places = np.searchsorted(self.row, entries.row)
        return [self._block(entries, places, shape, own) for shape, own in self.encoded.alike(places)]

    @cached_property
    def flat_background(self) -> np.ndarray | None:
        """The background as the model takes it, (B, D)."""
        if self.background is None:
            return None
        pieces = np.split(self.background, range(ROWS_AT_ONCE, len(self.background), ROWS_AT_ONCE))
        return np.concatenate([_array(self.explainer.reader.inputs(some), self.explainer) for some in pieces])

    @cached_property
    def fills(self) -> dict[str, Fill] | None:
        """What fills inputs from the background."""
        background = self.flat_background
        return None if background is None else fills_of(background, self.fill_names, self.draws, self.seed)

    def _block(self, entries: Entries, places: np.ndarray, shape: Shape, own: np.ndarray) -> "TargetBlock":
        explainer, reader, some = self.explainer, self.explainer.reader, self.encoded.values[places[own]]
        names = reader.own_units(some) if reader.units is None else [reader.units] * len(own)
        if names != [entries.names[place] for place in own]:
            raise RunError(f"target {entries.target}: has other units than the data. Try ihcli verify.")
        output = explainer.target.names.index(entries.target)
        paths = paths_to(reader, explainer.original, some, np.full(len(own), output))
        is_open = None if reader.is_open is None else reader.is_open.numpy()
        owner = None if paths.group_of is None else paths.group_of.cpu().numpy()
        units = Units(_array(paths.inputs, explainer), owner, np.array([len(each) for each in names]), is_open)
        rankings = {RUN: _padded([entries.attributions[place] for place in own])}
        return TargetBlock(self, shape, paths, units, own, rankings).with_others()


@dataclass(frozen=True)
class TargetBlock:
    """Rows of one target and one shape.

    own       (n,) their places among those of the target
    rankings  by name, (n, G) values of units
    """

    joined: Joined
    shape: Shape
    paths: Paths
    units: Units
    own: np.ndarray
    rankings: dict[str, np.ndarray]

    @property
    def output(self) -> int:
        """Index of the explained output."""
        return int(self.paths.outputs[0])

    def f(self, points: np.ndarray) -> np.ndarray:
        """Return the explained output at points (P, D), of the model as it came, on the scale of the run."""
        explainer = self.joined.explainer
        there = torch.as_tensor(points).to(device=explainer.original.device, dtype=explainer.original.dtype)
        found: np.ndarray = explainer.outputs(there)[:, self.output]
        return found

    @cached_property
    def deviations(self) -> np.ndarray:
        """Standard deviations of the inputs (D,): over the background, else that of all numbers of these rows."""
        background = self.joined.flat_background
        if background is None:
            return np.full(self.units.inputs.shape[1], self.units.inputs.std())
        return background.std(0)

    @cached_property
    def closing(self) -> Fill:
        """Fills with the baselines of the run, of more than a few of which some are drawn."""
        starts = _array(self.paths.baselines, self.joined.explainer)
        some = np.arange(starts.shape[-2])
        if len(some) > self.joined.draws:
            some = np.random.default_rng(self.joined.seed).choice(some, self.joined.draws, replace=False)
        return Resampled(starts[..., some, :])

    @property
    def filled(self) -> Block:
        """The rows with what fills them: from the background, else from the run's one baseline."""
        fills = self.joined.fills
        return Block(self.f, self.units, {MEAN: self.closing} if fills is None else fills, self.rankings)

    def with_others(self) -> "TargetBlock":
        """Return the same, ranked by gradients and at random, too."""
        slopes = self.slopes(self.paths.inputs)
        rng = np.random.default_rng([self.joined.seed, int(self.own[0])])
        phi = self.rankings[RUN]
        noise = np.where(np.isnan(phi), np.nan, rng.normal(size=phi.shape))
        return replace(self, rankings={**self.rankings, **slopes, RANDOM: noise})

    def slopes(self, inputs: Tensor) -> dict[str, np.ndarray]:
        """Return gradients at inputs (n, D), and these times input less baseline, summed over units.

        Nothing of a model that has no gradient.
        """
        found = _gradients(self.joined.explainer, inputs, self.output)
        if found is None:
            return {}
        delta = inputs - self.paths.baselines.mean(-2)
        if self.units.is_open is not None:
            found = found * torch.as_tensor(self.units.is_open, device=found.device)
        return {GRADIENT: self._summed(found), TIMES_INPUT: self._summed(found * delta)}

    def _summed(self, per_input: Tensor) -> np.ndarray:
        row = torch.arange(len(per_input), device=per_input.device)
        found = self.paths.to_groups(per_input, row).double().cpu().numpy()[:, : self.rankings[RUN].shape[1]]
        return np.where(np.isnan(self.rankings[RUN]), np.nan, found)


def _gradients(explainer: Explainer, inputs: Tensor, output: int) -> Tensor | None:
    """Return df/dx at inputs (n, D), one backward pass for some at a time; None where f has none."""
    parts = []
    for some in inputs.split(max(1, explainer.memory_bytes // (256 * inputs.shape[1] * inputs.element_size()))):
        at = some.clone().requires_grad_()
        with torch.enable_grad():
            value = explainer.original.outputs(at)[:, output].sum()
            found = gradient(value, at) if value.requires_grad else None
        if found is None:
            return None
        parts.append(found)
    return torch.cat(parts)


def _padded(values: Sequence[np.ndarray]) -> np.ndarray:
    """Return values of different length as an array, NaN where there is none."""
    found = np.full((len(values), max(map(len, values))), np.nan)
    for row, some in enumerate(values):
        found[row, : len(some)] = some
    return found


def _array(tensor: Tensor, explainer: Explainer) -> np.ndarray:
    found: np.ndarray = tensor.detach().to(explainer.original.dtype).cpu().numpy()
    return found
