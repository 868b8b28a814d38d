"""What explaining in memory gives: plain arrays, which can also do what a run can."""

import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from ihcli import explanation as plain
from ihcli.data.rows import no_keys
from ihcli.errors import IhcliError, RunError
from ihcli.explanation import SHARED, at_places
from ihcli.files.locations import Location
from ihcli.layouts.choosing import layout_of
from ihcli.library.overview import Overview
from ihcli.library.provenance import Provenance
from ihcli.library.results import Result, read
from ihcli.library.saving import save
from ihcli.library.speaking import warn
from ihcli.quality import Entries
from ihcli.results.records import Record, record_of, stored_interactions
from ihcli.runs.parts import attributions_table, interactions_table
from ihcli.runs.storage import FULL
from ihcli.summaries.ranked import RankedSummary

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST_SHOWN, MOST_VALUES = 2_000, 1 << 22
"""Entries, and numbers of their matrices, that a notebook's rankings are over."""
NAME = "explanation"
"""Of the directory of a run that is only looked at."""


@contextmanager
def speaking_of(directory: Any) -> Iterator[None]:
    """Let errors speak of the explanation, not of where it lies for the while."""
    try:
        yield
    except IhcliError as error:
        error.args = (str(error).replace(str(directory), NAME), *error.args[1:])
        raise


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class InMemory(Entries):
    """Entries that can be looked at as a run.

    provenance  how they came about; None of entries that were put together by hand
    """

    provenance: Provenance | None = field(default=None, metadata=SHARED)

    def __repr__(self) -> str:
        return self._overview(None).line(type(self).__name__)

    def _repr_html_(self) -> str:
        return self._overview(self._few()).html()

    @overload
    def __getitem__(self, which: int) -> Record: ...
    @overload
    def __getitem__(self, which: slice | Sequence[int] | np.ndarray) -> Self: ...
    def __getitem__(self, which: Any) -> Record | Self:
        """Return an entry as a record, or some of them, by a slice, a mask or places, as an explanation."""
        if isinstance(which, int | np.integer):
            place = range(len(self))[int(which)]  # which raises IndexError
            return _record(at_places(self, np.array([place])))
        return at_places(self, np.arange(len(self))[which])

    def __iter__(self) -> Iterator[Record]:
        """Give all entries as records."""
        return (self[place] for place in range(len(self)))

    def to_frame(self, *, long: bool = False, pairs: bool = False, target: str | int | None = None) -> "pd.DataFrame":
        """Return all entries as a DataFrame of pandas; see `ihcli.Result.to_frame`."""
        with speaking_of(self.as_run.path):
            return self.as_run.to_frame(long=long, pairs=pairs, target=target)

    def to_shap(self, *, interactions: bool = False, target: str | int | None = None, data: Any = None) -> Any:
        """Return a `shap.Explanation` of all rows; see `ihcli.Result.to_shap`."""
        with speaking_of(self.as_run.path):
            return self.as_run.to_shap(interactions=interactions, target=target, data=data)

    def to_shapiq(self, row: int = 0, target: str | int | None = None) -> Any:
        """Return `shapiq.InteractionValues` of one row; see `ihcli.Result.to_shapiq`."""
        with speaking_of(self.as_run.path):
            return self.as_run.to_shapiq(row, target)

    def plot(self, kind: str | None = None, **options: Any) -> "Figure":
        """Return a picture as a figure of matplotlib; see `ihcli.Result.plot`."""
        with speaking_of(self.as_run.path):
            return self.as_run.plot(kind, **options)

    def report(self, file: str | Location, *, overwrite: bool = False, **options: Any) -> Location:
        """Write the page that `ihcli report` writes, and return where it is; see `ihcli.Result.report`."""
        with speaking_of(self.as_run.path):
            return self.as_run.report(file, overwrite=overwrite, **options)

    def save(self, run: str | Location, *, overwrite: bool = False) -> Result:
        """Write a run directory, as `ihcli explain` does, and return what is there.

        Every command takes it. The data that were explained lie beside its parts, as data.parquet; of a model that was
        in memory no file is told, so that `ihcli verify` is given one. Some entries only are saved as a run over their
        rows, numbered anew.

        Raises RunError where something is there that may not be replaced, or the disk refuses.
        """
        save(self._plain, self._known(), run, warn, overwrite=overwrite)
        return read(run)

    @cached_property
    def as_run(self) -> Result:
        """The same as a run, in a directory that goes when this does.

        Made when it is first asked for: all of it is written once, to where the system keeps temporary files.
        """
        directory = Path(tempfile.mkdtemp(prefix="ihcli-"))
        try:
            with speaking_of(directory / NAME):
                save(self._plain, self._known(), directory / NAME, warn)
            found = read(directory / NAME)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        weakref.finalize(found, shutil.rmtree, directory, True)
        return found

    @property
    def _plain(self) -> Any:
        """The same, as the rest of ihcli takes it: one of the kinds below."""
        return self

    def _known(self) -> Provenance:
        if self.provenance is None:
            raise RunError(
                "explanation: how it came about is not told. Expected one that ihcli.explain gave, or entries of it."
            )
        return self.provenance

    def _few(self) -> Self:
        """Return so many entries, evenly from all, that their rankings take a moment."""
        matrices: Any = getattr(self, "interactions", None)
        width = max(1, matrices.shape[1] if getattr(matrices, "ndim", 1) == 3 else 1)
        most = max(1, min(MOST_SHOWN, MOST_VALUES // width**2))
        few = self if len(self) <= most else self[np.linspace(0, len(self) - 1, most).astype(int)]
        return replace(few, interactions=None, interaction_error=None) if width**2 > MOST_VALUES else few  # type: ignore[call-arg]

    def _overview(self, ranked: "InMemory | None") -> Overview:
        layout, told = layout_of(self._plain), self.provenance
        features = pairs = None
        note = ""
        if ranked is not None:
            summary = RankedSummary(layout_of(ranked._plain).summary)
            summary.update(ranked._plain)
            features, pairs = summary.attributions(), summary.interactions()
            note = "" if len(ranked) == len(self) else f"Sizes are over {len(ranked):,} of {len(self):,} entries."
        known = np.isfinite(self.relative_error)
        targets = dict.fromkeys(self.target.tolist())
        return Overview(
            method="unknown method" if told is None else told.info.method.name,
            title="Explanation" if told is None else told.info.method.title,
            n_rows=len(set(self.row.tolist())),
            noun=layout.noun,
            n_names=len(layout.features) if layout.is_aligned else None,
            targets=tuple(str(name) for name in targets if name is not None),
            statuses={str(status): count for status, count in Counter(self.status.tolist()).most_common()},
            worst=float(self.relative_error[known].max()) if known.any() else None,
            circumstances=None if told is None else told.info.circumstances,
            features=features,
            pairs=pairs,
            note=note,
        )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Explanation(InMemory, plain.Explanation):
    """Attributions and interactions of N explained rows; `ihcli.explain` gives it.

    A sequence of `Record`: `explanation[0]` is one, `explanation[:10]` and `explanation[mask]` are explanations.
    """


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TextExplanation(InMemory, plain.TextExplanation):
    """Attributions and interactions of N explained texts; `ihcli.explain_texts` gives it. A sequence as the other."""


KINDS: dict[type[Entries], type[InMemory]] = {
    plain.Explanation: Explanation,
    plain.TextExplanation: TextExplanation,
}


def in_memory(found: plain.AnyExplanation, provenance: Provenance) -> Any:
    """Return plain arrays as what can be looked at as a run."""
    return KINDS[type(found)](**vars(found), provenance=provenance)


def _record(entry: InMemory) -> Record:
    """Return the only entry as a record."""
    found, keys = entry._plain, no_keys(1)
    layout = layout_of(found)
    line = attributions_table(found, keys).to_pylist()[0]
    stored = interactions_table(found, keys, FULL)
    values = {} if stored is None else stored_interactions(stored, layout)[(line["_row"], line["_target"])]
    return record_of(line, keys=(), layout=layout, **values)
