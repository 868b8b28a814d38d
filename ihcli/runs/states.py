"""State files of a run under way: what its finished parts hold, from which a resumed run goes on."""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ihcli.files.durable import disk_errors, make_directory, remove_tree, replacing
from ihcli.files.locations import Location
from ihcli.runs.names import STATES


@dataclass(frozen=True)
class StateFiles:
    """The states of one run, each of all parts up to one; the newest counts, the one before is there until it does.

    Mergeable states of single parts would add up to more than the attributions: 3 MB for 500 features, however few
    rows a part has. One state that takes the place of the one before costs the same to write and two files to keep.
    """

    run: Location

    @property
    def path(self) -> Location:
        """Directory of the states."""
        return self.run / STATES

    def write(self, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the state of all parts up to one, of which `parts` holds (start, stop) pairs; raises RunError."""
        file = self._file(index)
        with disk_errors(file):
            make_directory(self.path)
        with replacing(file) as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]

    def keep_only(self, index: int) -> None:
        """Remove the states but one, once its parts are on disk; raises RunError."""
        with disk_errors(self.path):
            for file in self._files():
                if file != self._file(index):
                    file.unlink(missing_ok=True)

    def newest(self, parts: set[int] | range) -> dict[str, np.ndarray] | None:
        """Return the state of the most parts of which each is among those; None where there is none."""
        readable = (arrays for file in self._files() if (arrays := _read(file)) is not None)
        sizes = [(count, arrays) for arrays in readable if (count := _covered(arrays, parts)) is not None]
        return max(sizes, key=lambda item: item[0], default=(0, None))[1]

    def forget(self) -> None:
        """Remove all states; raises RunError."""
        with disk_errors(self.path):
            if self.path.is_dir():
                remove_tree(self.path)

    def _file(self, index: int) -> Location:
        return self.path / f"{index:06d}.npz"

    def _files(self) -> Iterator[Location]:
        yield from self.path.glob("[0-9]*.npz")


def _read(file: Location) -> dict[str, np.ndarray] | None:
    """Return the arrays of a state, or None where it is damaged: its parts are then explained again."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _covered(arrays: Mapping[str, np.ndarray], parts: set[int] | range) -> int | None:
    """Return of how many parts a state is; None where one of them is not among those, or it does not tell."""
    try:
        ranges = [range(start, stop) for start, stop in arrays["parts"].tolist()]
        count = sum(map(len, ranges))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if count > len(parts) or not all(_is_within(some, parts) for some in ranges):
        return None
    return count


def _is_within(some: range, parts: set[int] | range) -> bool:
    """Tell whether all of a range are among parts; of a file that tells of a range without end, by its ends alone."""
    if isinstance(parts, set):
        return parts.issuperset(some)
    return not some or (some[0] in parts and some[-1] in parts and (len(some) == 1 or parts.step == 1))
