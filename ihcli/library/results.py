"""A run as Python looks at it: entries, tables, pictures, the page, and objects of shap and shapiq."""

import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa

from ihcli.errors import IhcliError, RunError
from ihcli.files.locations import Location, locate
from ihcli.library.overview import Overview
from ihcli.library.speaking import unknown, warn
from ihcli.methods import METHODS
from ihcli.plots import PlotRequest, draw
from ihcli.plots.options import asked
from ihcli.quality import BASELINE_PREDICTION, ROW, TARGET
from ihcli.report import write_report
from ihcli.results import result
from ihcli.results.bridges import shap_explanation, shap_texts, shapiq_values
from ihcli.results.explained_data import feature_values
from ihcli.results.long.lines import Lines, LongRequest
from ihcli.results.records import Record
from ihcli.results.result import IDENTITY, has_target
from ihcli.runs.directory import REFUSE, REPLACE, refuse_existing
from ihcli.runs.run import open_run
from ihcli.runs.told import if_told

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

VALUES_AT_ONCE, ROWS_AT_ONCE = 1 << 22, 1024
"""Of records that are read together while all of them are looked at one by one."""
DEFAULT_PLOT = "summary"
PLOT_OPTIONS = tuple(each.name for each in fields(PlotRequest) if each.name != "kind")


@dataclass(frozen=True, repr=False)
class Result(result.Result):
    """A run to look at; everything is read when it is asked for, and nothing but what is asked for.

    `ihcli.read` gives it. It is a sequence of `Record`: one for every row and target, in the order of the data.

    run  the files
    """

    def __repr__(self) -> str:
        with suppress(RunError):
            return self._overview(False).line(f"Result {str(self.path)!r}")
        return f"Result({str(self.path)!r})"

    def _repr_html_(self) -> str | None:
        try:
            return self._overview(True).html()
        except RunError:
            return None

    def __len__(self) -> int:
        """Count the entries: rows times targets of each."""
        return self.n_rows * self._targets_per_row

    @overload
    def __getitem__(self, which: int) -> Record: ...
    @overload
    def __getitem__(self, which: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, which: int | slice) -> Record | tuple[Record, ...]:
        """Return an entry by its place, or those of a slice."""
        if isinstance(which, slice):
            return tuple(self._records(range(len(self))[which]))
        place = range(len(self))[which]  # which raises IndexError
        return next(self._records([place]))

    def __iter__(self) -> Iterator[Record]:
        """Give all entries, a block of rows at a time."""
        return self._records(range(len(self)))

    def to_frame(
        self, *, long: bool = False, pairs: bool = False, target: str | int | None = None, data: str | None = None
    ) -> "pd.DataFrame":
        """Return all entries as a DataFrame of pandas. Memory: all of it.

        Wide, a line is an entry: `_row`, keys, `_target`, the columns of quality, and a column for each feature; of
        texts the lists `units` and `attributions`. Long, a line is one value, with the columns that
        `ihcli attributions` writes in long form: `feature`, its `value` in the data, `attribution`, `_relative_error`;
        with pairs those of `ihcli interactions`: `feature_i`, `value_i`, `feature_j`, `value_j`,
        `interaction`, the effect Gamma_ij + Gamma_ji in units of the explained output, and its `error_bar`.

        Parameters:
            long: a line for each feature of an entry.
            pairs: a line for each pair, which is long in any case.
            target: of one output only.
            data: a table to take values from in the place of the recorded one; of data that are gone there are none.

        Raises OptionError for a target that is not there, RunError where the run stores no pairs.
        """
        target = self.target_named(target)
        if not (long or pairs):
            frame = self.attributions
            if target is None:
                return frame
            self.positions(None, target)
            return frame[frame[TARGET] == target].reset_index(drop=True)
        lines = Lines(self, LongRequest(pairs=pairs, target=target, data=data))
        for text in lines.warnings:
            warn(text)
        return pa.Table.from_batches(
            [batch for piece in lines.pieces() for batch in piece.to_batches()], lines.schema
        ).to_pandas()

    def to_shap(self, *, interactions: bool = False, target: str | int | None = None, data: Any = None) -> Any:
        """Return a `shap.Explanation` of all rows: (N, G) attributions, or (N, G, G) interactions.

        Values of the explained data, names of features and base values are filled in. Of texts it is what shap's text
        plot takes: the words of each text, and their attributions. With `interactions` its values are what shap calls
        interaction values: main effects on the diagonal, half of a pair's effect on either side of it.

        Parameters:
            target: may be left out where every row has one.
            data: (N, D) values to show in the place of those of the explained data, where these are still there.

        Raises PackageError without shap; RunError where the run stores no matrices, and where values do not add up.
        """
        self._require_sums()
        names, target = self.layout.columns, self.target_named(target)
        self.positions(None, target)
        entries = self.run.attributions([*IDENTITY, BASELINE_PREDICTION, *names])
        entries = entries.filter(pa.array(has_target(entries, target)))
        base = entries[BASELINE_PREDICTION].to_numpy()
        if not self.layout.is_aligned:
            if interactions:
                self.layout.require_features(self.path, "whose units differ from row to row. Try record(row).")
            units, phi = ([value or () for value in entries[name].to_pylist()] for name in names)
            return shap_texts(units, phi, base)
        values = (
            self.interaction_array(target=target)
            if interactions
            else np.stack([entries[name].to_numpy() for name in names], axis=1)
        )
        shown = None
        if data is None:
            data, shown = self._values(entries[ROW].to_numpy())
        return shap_explanation(values, base, names, data, shown)

    def to_shapiq(self, row: int = 0, target: str | int | None = None) -> Any:
        """Return `shapiq.InteractionValues` of order 2 of one row; see `ihcli.results.bridges.shapiq_values`.

        Parameters:
            row: of the data, from 0.
            target: may be left out where the row has one.

        Raises PackageError without shapiq; RunError where the run stores no matrices, or values do not add up.
        """
        self._require_sums()
        record = self.record(row, target=target)
        return shapiq_values(self.matrix_of(record), record.quality["baseline_prediction"])

    def plot(self, kind: str | None = None, **options: Any) -> "Figure":
        """Return a picture as a figure of matplotlib, which `figure.savefig(file)` writes and notebooks show.

        Parameters:
            kind: summary, bar, heatmap, dependence, effect, waterfall, text, convergence, lorenz, calibration and
                others: what `ihcli plot` draws. None: summary, and bar of texts.
            options: those of `ihcli plot`, as fields of `ihcli.plots.PlotRequest`: target, top_k, row, feature, ...

        Raises OptionError for another kind, and for options that there are not, are not for this kind or hold another
        type; PackageError without matplotlib; RunError and DataError for what cannot be drawn.
        """
        for name in options:
            if name not in PLOT_OPTIONS:
                raise unknown("plot", name, PLOT_OPTIONS)
        if options.get("target") is not None:
            options["target"] = self.target_named(options["target"])
        if kind is None:
            kind = DEFAULT_PLOT if DEFAULT_PLOT in self.layout.plots else self.layout.plots[0]
        request = asked(kind, options)
        run = replace(self.run, all_rows=options.get("all_rows", self.run.all_rows))
        figure = draw(replace(self, run=run), request)
        figure._repr_png_ = lambda: _png_of(figure)  # type: ignore[attr-defined]  # asked for by notebooks
        return figure

    def report(
        self,
        file: str | Location,
        *,
        compare: "Sequence[Result]" = (),
        data: str | None = None,
        seed: int = 0,
        overwrite: bool = False,
    ) -> Location:
        """Write the page about the run that `ihcli report` writes, and return where it is.

        Parameters:
            compare: other runs over the same rows, with which the page says how far this one agrees.
            data: a table to take the values of features from, in the place of the recorded one.
            seed: of the rows that are drawn where the page cannot hold all.
            overwrite: replace the file that is there.

        Raises RunError for a file that is there, and as `ihcli.report.write_report`.
        """
        place = locate(str(file))
        if place.exists() and not overwrite:
            raise RunError(f"{place}: exists already. Try `overwrite=True`, or another name.")
        write_report(self, place, data=data, seed=seed, others=compare)
        return place

    def save(self, run: str | Location, *, overwrite: bool = False) -> "Result":
        """Copy the run to another directory of this machine, and return what is there.

        Raises RunError where something is there that may not be replaced, and for runs and places on a store.
        """
        source, place = self.path, locate(str(run))
        if not (isinstance(source, Path) and isinstance(place, Path)):
            raise RunError(f"{place}: runs are copied on one machine only. Try the client of the store.")
        refuse_existing(place, REPLACE if overwrite else REFUSE)
        if place.exists() and place.resolve() != source.resolve() and overwrite:
            shutil.rmtree(place)
        shutil.copytree(source, place, dirs_exist_ok=True)
        return read(place, all_rows=self.run.all_rows)

    @property
    def _targets_per_row(self) -> int:
        told = if_told(lambda: self.told.totals)
        if told is not None and told.tells("entries") and told.rows:
            return max(1, told.entries // told.rows)
        return 1

    def _records(self, places: Sequence[int]) -> Iterator[Record]:
        """Give the entries at these places, of some rows at a time."""
        each, g = self._targets_per_row, max(1, len(self.feature_names))
        step = max(1, min(ROWS_AT_ONCE, VALUES_AT_ONCE // (g * g)))
        for start in range(0, len(places), step):
            some = places[start : start + step]
            found = self.records_of(sorted({place // each for place in some}))
            yield from (found[place // each][place % each] for place in some)

    def _values(self, rows: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return the values of features in rows of the explained data, and as they are shown, None where these differ.

        Of data that are gone, or have changed, there are none.
        """
        try:
            found = feature_values(self, self.feature_names, rows)
        except IhcliError:
            return None, None
        if not found.categories:
            return found.numbers, None
        shown = found.numbers.astype(object)
        for place, name in enumerate(self.feature_names):
            if name in found.categories:
                shown[:, place] = [found.told(row, place, name) for row in range(len(rows))]
        return found.numbers, shown

    def _require_sums(self) -> None:
        if self.method in METHODS and not METHODS[self.method].adds_up:
            raise RunError(
                f"{self.path}: the values of {self.method} do not add up to the prediction. Expected those of a method "
                "whose values do, as shap's and shapiq's plots say so. Try to_frame()."
            )

    def _overview(self, with_rankings: bool) -> Overview:
        totals, error = if_told(lambda: self.told.totals), None
        features = pairs = None
        if with_rankings:
            features = self.summary_attributions()
            pairs = self.summary_interactions() if self.run.has_summary_of_pairs else None
            error = self._worst()
        return Overview(
            method=self.method,
            title=if_told(lambda: self.told.method.title) or self.method,
            n_rows=self.n_rows,
            noun=self.layout.noun,
            n_names=len(self.feature_names) if self.layout.is_aligned else None,
            targets=self.targets,
            statuses={} if totals is None else dict(totals.statuses),
            worst=error,
            circumstances=if_told(lambda: self.told.circumstances),
            features=features,
            pairs=pairs,
        )

    def _worst(self) -> float | None:
        """Return the largest certified error of a row, where any is known."""
        worst = [
            float(np.nanmax(values))
            for table in self.entries(["_relative_error"])
            if (~np.isnan(values := table["_relative_error"].to_numpy())).any()
        ]
        return max(worst, default=None)


def read(path: str | Location, *, all_rows: bool = False) -> Result:
    """Open a run directory to look at its results; raises RunError where the path is not one.

    Parameters:
        path: the directory that `ihcli explain` or `explanation.save(RUN)` wrote, or its URL on a store.
        all_rows: whether rankings shall be over all rows; else those whose errors are beyond ten tolerances do not
            rank, and the column `left_out` of a summary says how many these are.
    """
    return Result(open_run(path, all_rows=all_rows))


def _png_of(figure: "Figure") -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()
