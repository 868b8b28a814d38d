"""Sequences in flat columns: how many steps of how many channels, in which order, and what of them is explained."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ihcli.data.columns import Columns
from ihcli.data.groups import Groups
from ihcli.data.stepnames import Reading, has_number, readings
from ihcli.errors import DataError, OptionError
from ihcli.quality import RESERVED
from ihcli.wording import column_list, listed, printable, quoted

STEP, CHANNEL, COLUMN = "step", "channel", "column"
ANY = "any"
"""Sequences of any length, in columns of lists."""
BY_STEP, BY_CHANNEL = "by-step", "by-channel"
MOST_STEPS = 32
"""Of a sequence that is explained step by step where nobody says how; longer ones by blocks, as many at most. A row
costs about T x G steps of a recurrent network: 24 s by step and 4 s by 10 blocks, of 200 steps of an LSTM."""
_FORM = re.compile(rf"\s*(\d{{1,9}})\s*[xX*]\s*(\d{{1,9}})\s*(?::({BY_STEP}|{BY_CHANNEL}))?")
_BLOCKS = re.compile(rf"{STEP}:0*([1-9]\d{{0,8}})")


@dataclass(frozen=True)
class SequenceForm:
    """T steps of F channels, and in which order the columns have them; None: as their names say, else by step."""

    steps: int
    channels: int
    order: str | None = None

    @classmethod
    def of(cls, value: Any) -> "SequenceForm":
        """Read "24x5", "24x5:by-channel" or (24, 5); raises OptionError."""
        text = "x".join(map(str, value)) if isinstance(value, list | tuple) else value
        found = _FORM.fullmatch(text) if isinstance(text, str) else None
        if found is None or not int(found[1]) or not int(found[2]):
            raise OptionError(
                f"`sequence`: {printable(repr(value))} cannot be. Expected TxF, steps and channels, such as 24x5, also "
                f"24x5:{BY_CHANNEL} where columns come channel by channel, or {ANY} for columns of lists. Try 24x5."
            )
        return cls(int(found[1]), int(found[2]), found[3])

    @property
    def size(self) -> int:
        """Numbers of a row."""
        return self.steps * self.channels

    def __str__(self) -> str:
        return f"{self.steps}x{self.channels}{'' if self.order is None else f':{self.order}'}"


@dataclass(frozen=True)
class SequenceUnits:
    """What is explained of a sequence: each step, channel or column, or blocks of so many steps."""

    kind: str
    size: int = 1

    @classmethod
    def of(cls, text: str | None, steps: int) -> "SequenceUnits":
        """Read what is asked for of T steps; None: each step of a few, blocks of more. Raises OptionError."""
        if text is None:
            return cls(STEP, -(-steps // MOST_STEPS))
        block = _BLOCKS.fullmatch(text)
        if text not in (STEP, CHANNEL, COLUMN) and block is None:
            raise OptionError(
                f"`units={printable(text)}`: cannot be for a sequence. Expected {STEP}, {STEP}:K for blocks of K "
                f"steps, {CHANNEL} or {COLUMN}. Try `units={STEP}`."
            )
        return cls(text) if block is None else cls(STEP, int(block[1]))

    def in_words(self) -> str:
        """Return what it is called."""
        return f"blocks of {self.size} {self.kind}s" if self.size > 1 else self.kind

    def __str__(self) -> str:
        return f"{self.kind}:{self.size}" if self.size > 1 else self.kind


@dataclass(frozen=True)
class Grid:
    """D = T x F columns as steps of channels.

    steps, channels  what they are called
    by_channel  whether the columns come channel by channel, and not step by step
    is_named    whether the columns' own names say so
    """

    steps: tuple[str, ...]
    channels: tuple[str, ...]
    by_channel: bool
    is_named: bool

    @classmethod
    def of(cls, columns: Sequence[str], form: SequenceForm, subject: str) -> "Grid":
        """Read columns as a sequence of that form, by their names where these say anything.

        Raises DataError, which begins with the subject, where there are not T x F of them; OptionError where their
        names say something else.
        """
        _require_count(columns, form, subject)
        found = _likeliest([reading for reading in readings(columns) if reading.is_whole])
        fitting = [reading for reading in found if reading.shape == (form.steps, form.channels)]
        if form.order is not None:
            by_channel = form.order == BY_CHANNEL
            told = [reading for reading in fitting if reading.by_channel == by_channel]
            return cls.named(told[0], by_channel) if len(told) == 1 else cls.numbered(form, by_channel)
        if len(fitting) > 1:
            raise OptionError(_unclear(columns, form, "can be read in two ways"))
        if fitting:
            order = fitting[0].by_channel
            if order is None:
                raise OptionError(_unclear(columns, form, "come neither step by step nor channel by channel"))
            return cls.named(fitting[0], order)
        _refuse_another(columns, found, form)
        return cls.numbered(form, by_channel=False)

    @classmethod
    def named(cls, reading: Reading, by_channel: bool) -> "Grid":
        """Return the grid that names tell of."""
        return cls(reading.steps, reading.channels, by_channel, is_named=True)

    @classmethod
    def numbered(cls, form: SequenceForm, by_channel: bool) -> "Grid":
        """Return the grid of columns whose names tell nothing: t-3, t-2, t-1, and channel 0, channel 1."""
        steps = tuple(f"t-{back}" for back in range(form.steps, 0, -1))
        return cls(steps, tuple(f"channel {i}" for i in range(form.channels)), by_channel, is_named=False)

    @property
    def shape(self) -> tuple[int, int]:
        """T and F."""
        return len(self.steps), len(self.channels)

    def groups(self, columns: Columns, units: SequenceUnits) -> Groups:
        """Return the columns of each unit; raises OptionError where a unit has the name of another column."""
        if units.kind == COLUMN:
            return Groups.of(columns.features)
        by_step = np.arange(len(self.steps)) // units.size
        names = self.channels if units.kind == CHANNEL else tuple(_blocks(self.steps, units.size))
        place = np.broadcast_to(by_step[:, None] if units.kind == STEP else np.arange(len(self.channels)), self.shape)
        _refuse_taken(names, columns, units)
        owner = (place.T if self.by_channel else place).reshape(-1)
        return Groups(names, owner.astype(np.int64), columns.features)

    def in_words(self) -> str:
        """Return what it is taken for."""
        order = "channel by channel" if self.by_channel else "step by step"
        why = "as their names say" if self.is_named else "as their names say nothing else"
        return f"{_counted(len(self.steps), STEP)} of {_counted(len(self.channels), CHANNEL)}, columns {order}, {why}"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _require_count(columns: Sequence[str], form: SequenceForm, subject: str) -> None:
    n, t, f = len(columns), form.steps, form.channels
    if n == t * f:
        return
    others = [f"`sequence={n // f}x{f}`"] if n % f == 0 else []
    if n % t == 0:
        others.append(f"`sequence={t}x{n // t}`")
    raise DataError(
        f"{subject}: has {n} features ({listed(columns)}), but `sequence={form}` is {t * f}. Expected T x F of them. "
        f"Try {', '.join([*others, ''])}`features` to choose columns, or `exclude`, `key` and `label` to take them out."
    )


def _likeliest(found: list[Reading]) -> list[Reading]:
    """Return those that words speak for, where they do for any, and without those that words speak against."""
    found = [reading for reading in found if not reading.tells_channels] or found
    return [reading for reading in found if reading.tells_steps] or found


def _refuse_another(columns: Sequence[str], found: list[Reading], form: SequenceForm) -> None:
    """Raise OptionError where names are those of steps and channels, though not of so many."""
    told = [reading for reading in found if min(reading.shape) > 1]
    if told:
        t, f = told[0].shape
        raise OptionError(
            f"`sequence={form}`: the names of the columns, {listed(columns, 4)}, say {t} steps "
            f"({listed(told[0].steps, 2)}) of {f} channels ({listed(told[0].channels, 2)}). Expected them to agree. "
            f"Try `sequence={t}x{f}`, or `sequence={form}:{BY_STEP}` where the names mislead."
        )
    numbered = [name for name in columns if has_number(name)]
    some = [reading for reading in readings(numbered) if 1 < len(reading.steps) < len(columns)]
    if any(not reading.is_whole or len(numbered) < len(columns) for reading in some):
        raise OptionError(_unclear(columns, form, f"name steps, but not {form.steps} of each channel"))


def _unclear(columns: Sequence[str], form: SequenceForm, words: str) -> str:
    return (
        f"`sequence={form}`: the names of the columns {words}: {listed(columns, 6)}. Expected names such as hr_0, hr_1 "
        f"or x_t0_f0, x_t0_f1, or none that hold numbers. Try `sequence={form}:{BY_STEP}` or "
        f"`sequence={form}:{BY_CHANNEL}`, which take the columns as they stand, and `features` to put them in order."
    )


def last_blocks(steps: int, size: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Return blocks of so many steps, counted from the last one, t-1, and the block of each step."""
    back = np.arange(steps, 0, -1)
    count = -(-steps // size)
    names = []
    for block in range(count, 0, -1):
        first, last = min(steps, block * size), (block - 1) * size + 1
        names.append(f"t-{first}" if first == last else f"t-{first}..t-{last}")
    return tuple(names), count - 1 - (back - 1) // size


def _blocks(steps: Sequence[str], size: int) -> list[str]:
    blocks = [steps[start : start + size] for start in range(0, len(steps), size)]
    return [block[0] if len(block) == 1 else f"{block[0]}..{block[-1]}" for block in blocks]


def _refuse_taken(names: Sequence[str], columns: Columns, units: SequenceUnits) -> None:
    for name in names:
        if name in columns.keys or name in RESERVED:
            what = "a key" if name in columns.keys else "a column that a run writes"
            raise OptionError(
                f"`units={units}`: {quoted(name)} would have the name of {what}. Expected a name of its own. Try "
                f"`units={COLUMN}`, or to rename the column {column_list([name])}."
            )
