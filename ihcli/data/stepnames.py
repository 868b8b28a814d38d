"""What names of columns say of a sequence: which is of which step and channel, as `hr_0` and `x_t0_f0` do."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

NUMBER = re.compile(r"\d+|(?<![A-Za-z0-9])[tT](?=[^A-Za-z0-9]*$)")
"""A number in a name, or a last t alone, which is where t-2, t-1, t end."""
WORD = re.compile(r"([A-Za-z]+)([^A-Za-z0-9]*)$")
SEPARATORS = " _-.,:;=/|()[]{}#+"
STEP_WORDS = frozenset(
    ("t", "ts", "time", "step", "timestep", "lag", "tick", "frame", "sec", "second", "min", "minute", "hour", "day")
) | frozenset(("week", "month", "quarter", "year", "period"))
CHANNEL_WORDS = frozenset(("f", "feat", "feature", "c", "ch", "chan", "channel", "var", "dim"))


@dataclass(frozen=True)
class Reading:
    """One way to read D names as steps of channels: the number at one place of every name is that of a step.

    steps, channels      what they are called, in the order in which the columns come to them
    numbers              of the steps
    step_of, channel_of  of each column
    words                that stand before the number, in small letters
    """

    steps: tuple[str, ...]
    channels: tuple[str, ...]
    numbers: tuple[int, ...]
    step_of: tuple[int, ...]
    channel_of: tuple[int, ...]
    words: frozenset[str]

    @property
    def shape(self) -> tuple[int, int]:
        """T and F."""
        return len(self.steps), len(self.channels)

    @property
    def is_whole(self) -> bool:
        """Whether each channel has each step, once."""
        cells = {*zip(self.step_of, self.channel_of, strict=True)}
        return len(self.steps) * len(self.channels) == len(self.step_of) == len(cells)

    @property
    def tells_steps(self) -> bool:
        """Whether a word says that the number is that of a step."""
        return self.words <= STEP_WORDS

    @property
    def tells_channels(self) -> bool:
        """Whether a word says that the number is that of a channel."""
        return self.words <= CHANNEL_WORDS

    @property
    def by_channel(self) -> bool | None:
        """Whether the columns of a whole reading come channel by channel, or step by step; None: in neither order.

        Steps may fall as well, as lags do; in the order of text, 1, 10, 11, 2, they are in none.
        """
        t, f = self.shape
        rises = {a < b for a, b in zip(self.numbers, self.numbers[1:], strict=False)}
        cells = [*zip(self.step_of, self.channel_of, strict=True)]
        if len(rises) < 2 and cells == [divmod(i, f) for i in range(t * f)]:
            return False
        swapped = [(step, channel) for channel, step in (divmod(i, t) for i in range(t * f))]
        return True if len(rises) < 2 and cells == swapped else None


def readings(names: Sequence[str]) -> Iterator[Reading]:
    """Yield each way to read the names: by the first number of each, the second and so on, then from the last one."""
    found = [list(NUMBER.finditer(name)) for name in names]
    least, seen = min(map(len, found), default=0), set()
    for place in (*range(least), *range(-1, -least - 1, -1)):
        numbers = [each[place] for each in found]
        spans = tuple(number.span() for number in numbers)
        if spans not in seen:
            seen.add(spans)
            yield _reading([_Cut.of(name, number) for name, number in zip(names, numbers, strict=True)])


def has_number(name: str) -> bool:
    """Return whether a name holds what can be the number of a step."""
    return NUMBER.search(name) is not None


@dataclass(frozen=True)
class _Cut:
    """A name cut at a number.

    before, between, behind  what stands before the word in front of the number, from there on, and behind the number
    """

    before: str
    word: str
    between: str
    digits: str
    behind: str

    @classmethod
    def of(cls, name: str, number: re.Match[str]) -> "_Cut":
        start, behind = name[: number.start()], name[number.end() :]
        if not number[0].isdigit():
            return cls(start, number[0], "", "", behind)
        found = WORD.search(start)
        word, between = ("", "") if found is None else (found[1], found[2])
        return cls(start[: len(start) - len(word) - len(between)], word, between, number[0], behind)

    @property
    def number(self) -> int:
        return int(f"-{self.digits}" if self.between == "-" else self.digits or 0)


def _reading(cuts: Sequence[_Cut]) -> Reading:
    words = frozenset(cut.word.lower() for cut in cuts)
    if words <= STEP_WORDS and len(words) == 1:
        steps = [f"{cut.word}{cut.between}{cut.digits}" for cut in cuts]
        ends = [(cut.before, cut.behind) for cut in cuts]
    else:
        steps = [f"step {cut.digits}" for cut in cuts]
        ends = [(f"{cut.before}{cut.word}{cut.between}", cut.behind) for cut in cuts]
    step_at, end_at = _places(steps), _places(ends)
    numbers = {step: cut.number for step, cut in zip(steps, cuts, strict=True)}
    return Reading(
        steps=tuple(step_at),
        channels=_channel_names(list(end_at)),
        numbers=tuple(numbers[step] for step in step_at),
        step_of=tuple(step_at[step] for step in steps),
        channel_of=tuple(end_at[end] for end in ends),
        words=words,
    )


def _places(values: Sequence[T]) -> dict[T, int]:
    return {value: i for i, value in enumerate(dict.fromkeys(values))}


def _channel_names(ends: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return what channels are called, by the ends of their columns' names; numbered where that is nothing."""
    stripped = [[end.strip(SEPARATORS) for end in both] for both in ends]
    names = ["_".join(end for end in both if end) for both in stripped]
    if len(set(names)) < len(names) or not all(names):
        return tuple(f"channel {i}" for i in range(len(names)))
    return tuple(names)
