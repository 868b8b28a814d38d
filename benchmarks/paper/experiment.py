"""What an experiment is asked, and what the page is told of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.tables import Cell

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """How much to measure, and where what is not part of the project lies.

    small       the smallest size, to see that it works; its figures mean little
    data        a directory with heart.csv and HTRU_2.csv.gz, itself or in folders
    checkpoint  a directory of a fine-tuned text classifier with the outputs NEGATIVE and POSITIVE
    """

    small: bool = False
    data: Path | None = None
    checkpoint: Path | None = None

    def of(self, full: T, small: T) -> T:
        """Return what belongs to the size that is asked for."""
        return small if self.small else full

    def file(self, name: str) -> Path:
        """Return a file of the data; raises SystemExit where there is none."""
        found = sorted(self.data.rglob(name)) if self.data is not None else []
        if not found:
            raise SystemExit(f"DATA={self.data}: has no {name}. Expected it there or in a folder of it.")
        return found[0]


@dataclass(frozen=True)
class Claim:
    """A statement with what was published of it and what was measured.

    holds  whether the goal was met; None where there was none
    """

    what: str
    published: str
    measured: str
    goal: str = ""
    holds: bool | None = None


@dataclass(frozen=True)
class Grid:
    """A table of the page."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Section:
    """What the page says of an experiment: how it was done, tables, statements, and what to make of them."""

    how: str
    claims: Sequence[Claim] = ()
    grids: Sequence[Grid] = ()
    remarks: Sequence[str] = ()
    picture: str = ""


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    title    with where it stands in a paper
    needs    what has to be given, "data" or "checkpoint", or nothing
    alone    whether it is about seconds, so that nothing else may run beside it
    figures  the class of what is measured: made of what JSON can hold
    measure  does it
    section  says it
    draw     draws it into a file; None where there is nothing to see
    """

    title: str
    figures: type[Any]
    measure: Callable[[Asked], Any]
    section: Callable[[Any], Section]
    draw: Callable[[Any, Path], None] | None = None
    needs: str = ""
    alone: bool = False


def over(values: Sequence[float], digits: int = 3) -> str:
    """Return the mean of figures of several seeds and their standard deviation."""
    n = len(values)
    mean = sum(values) / n
    if n == 1:
        return f"{mean:.{digits}f}"
    deviation = (sum((value - mean) ** 2 for value in values) / (n - 1)) ** 0.5
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def mean_of(values: Sequence[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


def by_name(table: Mapping[str, Sequence[float]], digits: int = 3) -> str:
    """Return names with their figures, the largest first."""
    ordered = sorted(table, key=lambda name: -mean_of(table[name]))
    return ", ".join(f"{name} {mean_of(table[name]):.{digits}f}" for name in ordered)
