"""Rows of a table that are sequences: how their columns are put to a model, and which of them are explained as one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ihcli.data.columns import Columns
from ihcli.data.groups import Groups
from ihcli.data.sequences import ANY, BY_CHANNEL, BY_STEP, Grid, SequenceForm, SequenceUnits
from ihcli.errors import ModelError, OptionError
from ihcli.models.model import Model
from ihcli.models.sequences import Axes, axes_of


@dataclass(frozen=True)
class SequenceQuestion:
    """What is asked of rows that are sequences.

    form            steps and channels of a row
    units           what is explained, as text; None: what is told by nobody
    channels_first  whether the model takes (N, F, T); else it is found out
    """

    form: SequenceForm
    units: str | None = None
    channels_first: bool = False

    @classmethod
    def of(
        cls, sequence: Any, units: str | None, channels_first: bool, others: Mapping[str, object]
    ) -> "SequenceQuestion | None":
        """Return what is asked, None where rows are no sequences; raises OptionError for what does not go together.

        Parameters:
            others: `groups` and `inputs`, None where they are not given.
        """
        if sequence is None:
            for option, is_given in (("units", units is not None), ("channels_first", channels_first)):
                if is_given:
                    raise OptionError(
                        f"`{option}`: is for sequences, and `sequence` is not given. Try `sequence=24x5`."
                    )
            return None
        if sequence == ANY:
            raise OptionError(
                f"`sequence={ANY}`: is for columns of lists in files. Expected TxF, such as 24x5. Try one call for "
                "each length, with an array (N, T, F), or ihcli.explain_records with a reader of your own."
            )
        if others["groups"] is not None and units is not None:
            raise OptionError("`units`: cannot be used together with `groups`. Try one of them.")
        if others["inputs"] is not None:
            raise OptionError("`inputs`: cannot be used together with `sequence`. Try one of them.")
        return cls(SequenceForm.of(sequence), units, channels_first)

    def column_names(self, model: Model) -> tuple[str, ...] | None:
        """Return the names of columns that a model says, which may be those of channels instead."""
        names = model.feature_names
        return None if names is not None and len(names) == self.form.channels != self.form.size else names

    def answer(self, model: Model, columns: Columns, subject: str) -> "FlatSequences":
        """Read the columns, and find out what the model takes, which is in eval mode.

        Raises DataError, which begins with the subject, where columns are not as many; OptionError where their names
        say something else; ModelError where the model takes no such sequences.
        """
        grid = Grid.of(columns.features, self.form, subject)
        if not grid.is_named and len(model.feature_names or ()) == self.form.channels:
            grid = replace(grid, channels=tuple(model.feature_names or ()))
        units = SequenceUnits.of(self.units, self.form.steps)
        return FlatSequences(grid, units, axes_of(model, grid.shape, grid.by_channel, self.channels_first or None))


@dataclass(frozen=True)
class FlatSequences:
    """Rows that are sequences: their columns, what of them is explained, and how they are put to a model.

    units  None where groups of columns say it
    """

    grid: Grid
    units: SequenceUnits | None
    axes: Axes

    def groups(self, columns: Columns) -> Groups:
        """Return the columns of each unit."""
        return Groups.of(columns.features) if self.units is None else self.grid.groups(columns, self.units)

    def in_words(self) -> str:
        """Return what the rows are taken for."""
        by = "groups" if self.units is None else self.units.in_words()
        return f"{self.grid.in_words()}; the model takes {self.axes.taken}; explained by {by}."

    def told(self) -> dict[str, Any]:
        """Return what run.json says of them."""
        steps, channels = self.grid.shape
        order = BY_CHANNEL if self.grid.by_channel else BY_STEP
        about = {"steps": steps, "channels": channels, "columns": order, "named": self.grid.is_named}
        return {**about, "model": self.axes.taken, "units": None if self.units is None else str(self.units)}

    def warnings(self, model: Model) -> tuple[str, ...]:
        """Return what the data could not tell."""
        return either_warnings(model, self.axes, *self.grid.shape)


def either_warnings(model: Model, axes: Axes, steps: int, channels: int) -> tuple[str, ...]:
    """Return the warning that a model takes sequences both ways, where it does."""
    if not axes.either:
        return ()
    return (
        f"{model.subject}: takes rows as (N, T, F), here (N, {steps}, {channels}), and as (N, F, T) too: the first is "
        "taken. Try `channels_first` where it was trained on the other.",
    )


def refuse_sequences(model: Model, n_features: int) -> None:
    """Raise ModelError where its file says that a model takes sequences, and nobody said what the rows are."""
    if model.sequence_shape is None:
        return
    first, last = model.sequence_shape
    steps = n_features // last
    form = f"{first}x{last}" if first * last == n_features or steps * last != n_features else f"{steps}x{last}"
    raise ModelError(
        f"{model.subject}: takes (N, {first}, {last}), sequences, but the data has rows of {n_features} features. "
        f"Expected steps and channels of a row. Try `sequence={form}`, or `sequence={last}x{first}` where it takes "
        "channels first."
    )


def flattened(
    x: Any, baseline: str | np.ndarray | None, sequence: Any, channels_first: bool
) -> tuple[Any, str | np.ndarray | None, Any]:
    """Return sequences (N, T, F), or (N, F, T), and baselines like them, as rows, and what these are sequences of."""
    if getattr(x, "ndim", 2) != 3:
        return x, baseline, sequence
    t, f = x.shape[:0:-1] if channels_first else x.shape[1:]
    told = f"{t}x{f}:{BY_CHANNEL if channels_first else BY_STEP}"
    form = SequenceForm.of(told if sequence is None else sequence)
    if (form.steps, form.channels) != (t, f):
        turned = "x.swapaxes(1, 2), or " if (form.channels, form.steps) == (t, f) else ""
        raise OptionError(
            f"`sequence={form}`: x has {t} steps of {f}. Expected the same. Try {turned}without `sequence`."
        )
    if not isinstance(baseline, str | None) and np.shape(baseline)[-2:] == tuple(x.shape[1:]):
        baseline = np.reshape(baseline, (*np.shape(baseline)[:-2], t * f))
    return x.reshape(len(x), t * f), baseline, told
