"""The mean of runs, written as a run: exact for an ensemble where what a method gives is linear in the network."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.explanation import AnyExplanation, in_order, join_explanations, scatter
from ihcli.files.durable import remove_tree
from ihcli.files.locations import Location, locate
from ihcli.files.lock import locked
from ihcli.integration.effort import tolerances
from ihcli.layouts.layout import Sized
from ihcli.quality import ATTRIBUTIONS, COLUMNS, STATUS, QualityColumn, Status, has_values
from ihcli.results.comparing.joining import Block, Joined
from ihcli.results.comparing.members import described_as_mean, doubts_of_mean, require_mean
from ihcli.results.result import Result
from ihcli.runs.directory import REFUSE, REPLACE, refuse_existing
from ihcli.runs.info import RunInfo
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.told import now
from ihcli.runs.totals import RunTotals
from ihcli.runs.whole import WholePart, write_whole
from ihcli.runs.writer import RunWriter, create_run

LINEAR = ("prediction", "baseline_prediction", "drift")
"""Figures of which the mean is that of the mean network."""
RELATIVE = ("relative_error", "interaction_error", "sampling_error", "interaction_sampling_error")
"""Errors relative to the size of values: the absolute ones add up."""
CERTIFIED = ("relative_error", "interaction_error")
OF_MATRICES = ("interaction_error", "interaction_sampling_error")


def write_mean(
    results: Sequence[Result], out: str | Location, warned: Callable[[str], None], *, overwrite: bool = False
) -> RunTotals:
    """Write the mean of runs of one method over the same rows as a run.

        phi = mean_r phi_r,    Gamma = mean_r Gamma_r,    error = sum_r error_r |phi_r|_1 / (R |phi|_1)

    Values of ig, eg, ih, eh, of derivatives, occlusion and Shapley values are linear in the network, so that the mean
    over members is what the mean of their outputs gives, on the scale that was explained; of other methods it is the
    mean of their values, and `warned` hears so. An error is a bound where
    those of the runs are: absolute errors add up. Of smoothed networks it is the mean of those.

    Cost: each run is read once. Memory: a block of rows and a summary. Raises RunError where runs cannot be averaged,
    or the run cannot be written.
    """
    path, began = locate(out), time.monotonic()
    require_mean(results, path)
    refuse_existing(path, REPLACE if overwrite else REFUSE)
    for doubt in doubts_of_mean(results):
        warned(doubt)
    with locked(path, warned):
        averaging = _Averaging.of(results, path, overwrite)
        try:
            return averaging.write(began)
        except BaseException:
            remove_tree(path / ATTRIBUTIONS)
            averaging.writer.abandon()
            raise


@dataclass(frozen=True)
class _Averaging:
    """A mean that is being written."""

    joined: Joined
    info: RunInfo
    writer: RunWriter

    @classmethod
    def of(cls, results: Sequence[Result], path: Location, overwrite: bool) -> "_Averaging":
        joined = Joined(tuple(results))
        info = described_as_mean(results, path, joined.rows_at_once, now())
        storage = InteractionStorage.parse(info.arguments.interactions)
        return cls(joined, info, create_run(path, storage, overwrite=overwrite))

    def write(self, began: float) -> RunTotals:
        """Write parts, summary and run.json."""
        return write_whole(self.writer, self.info, self._parts(), began)

    def _parts(self) -> Iterator[WholePart]:
        first = self.joined.results[0]
        for block in self.joined.blocks(self.info.chunk_rows):
            is_same = (block.is_same_target & block.is_same_text) | ~block.has_values
            if not is_same.all():
                place = int(np.argmin(is_same))
                raise RunError(
                    f"{first.path}: row {block.row[place]} has another target or other units in another run. Expected "
                    "the same. Try ihcli explain of all with the same `target` and `units`."
                )
            starts = np.flatnonzero(np.diff(block.row, prepend=-1))
            yield WholePart(len(starts), self._mean(block), block.entries[0].select(list(first.keys)).take(starts))

    def _mean(self, block: Block) -> AnyExplanation:
        """Return the mean of the entries of a block; those without values in one of the runs have none."""
        layout, dtype = self.joined.results[0].layout, np.dtype(self.info.dtype)
        places, parts, columns = [np.zeros(0, np.int64)], [], _columns(block)
        for sized in block.sized() if block.compared.any() else [self._empty()]:
            gammas = [part.gamma for part in sized if part.gamma is not None]
            gamma = _mean_of(gammas).astype(dtype) if gammas else None
            mean = Sized(sized[0].place, _mean_of([part.phi for part in sized]).astype(dtype), gamma)
            places.append(mean.place)
            parts.append(layout.explanation(block.entries[0], mean, _known(block, sized, mean, columns)))
        place, present = np.concatenate(places), np.zeros(len(block), bool)
        present[place] = True
        found = scatter(in_order(join_explanations(parts), place), present)
        evaluations = np.sum([table["_evaluations"].to_numpy() for table in block.entries], axis=0).astype(np.int32)
        found = replace(found, row=block.row, target=block.target, evaluations=evaluations)
        return replace(found, status=self._statuses(block, found))

    def _empty(self) -> tuple[Sized, ...]:
        """Return no entries, of each run."""
        n = max(1, len(self.joined.results[0].feature_names))
        gamma = np.zeros((0, n, n)) if self.joined.results[0].told.second_order else None
        return (Sized(np.zeros(0, np.int64), np.zeros((0, n)), gamma),) * len(self.joined.results)

    def _statuses(self, block: Block, found: AnyExplanation) -> np.ndarray:
        """Return how entries ended: within the tolerance or not, and without values as in the first run without."""
        told = np.stack([table[STATUS].to_numpy(zero_copy_only=False) for table in block.entries])
        without = ~np.stack([has_values(some) for some in told])
        status = told[without.argmax(axis=0), np.arange(len(block))]
        if not (errors := [error for error in (found.relative_error, found.interaction_error) if error is not None]):
            return status
        if np.isnan(errors[0][found_in := ~without.any(axis=0)]).all():
            return status
        drawn = (found.sampling_error, found.interaction_sampling_error)
        within: np.ndarray = np.ones(len(block), bool)
        for error, spread in zip(errors, drawn, strict=False):
            known = np.full(len(block), np.nan) if spread is None else spread
            within = within & (error <= tolerances(self.info.tolerance or np.inf, self.info.sampling_share, known))
        status[found_in] = np.where(within, Status.OK, Status.NOT_CONVERGED)[found_in]
        return status


def _columns(block: Block) -> tuple[QualityColumn, ...]:
    """Return the columns beside the values that all runs have."""
    return tuple(column for column in COLUMNS if all(column.name in table.column_names for table in block.entries))


def _known(
    block: Block, sized: Sequence[Sized], mean: Sized, columns: Sequence[QualityColumn]
) -> dict[str, np.ndarray | None]:
    """Return what is known of the mean of some entries beside its values; what replaces it later is left as it is."""
    place, first = mean.place, block.entries[0]
    told = {
        column.attribute: np.stack([_numbers(table[column.name])[place] for table in block.entries])
        for column in columns
        if column.is_measure
    }
    known: dict[str, np.ndarray | None] = {column.attribute: None for column in COLUMNS}
    known |= {name: _mean_of(told[name]) for name in LINEAR if name in told}
    change = _mean_of(told["prediction"] - told["baseline_prediction"])
    gap = mean.phi.sum(axis=1, dtype=np.float64) - change
    known["completeness_gap"] = np.where(np.isnan(told["completeness_gap"]).any(axis=0), np.nan, gap)
    floor = np.abs(told["prediction"]).max(axis=0) + np.abs(told["baseline_prediction"]).max(axis=0)
    known |= _errors(told, sized, mean, floor)
    present = {column.attribute: column.name for column in columns if column.attribute in ("imputed", "truncated")}
    known |= {name: first[column].to_numpy(zero_copy_only=False)[place] for name, column in present.items()}
    status = first[STATUS].to_numpy(zero_copy_only=False)[place]
    return {**known, "row": block.row[place], "target": block.target[place], "evaluations": place, "status": status}


def _errors(
    told: Mapping[str, np.ndarray], sized: Sequence[Sized], mean: Sized, outputs: np.ndarray
) -> dict[str, np.ndarray | None]:
    """Return the errors of the mean, relative to its size, or to rounding of outputs (m,) where that is more."""
    found: dict[str, np.ndarray | None] = {}
    eps = float(np.finfo(mean.phi.dtype).eps)
    floor = eps * outputs + np.finfo(np.float64).tiny
    for name in RELATIVE:
        if name not in told:
            continue
        values, ours = [part.phi for part in sized], mean.phi
        if name in OF_MATRICES and mean.gamma is not None:
            values, ours = [part.gamma for part in sized if part.gamma is not None], mean.gamma
        absolute = np.stack([error * _size(some) for error, some in zip(told[name], values, strict=True)])
        found[name] = _mean_of(absolute) / np.maximum(_size(ours), floor) + (eps if name in CERTIFIED else 0.0)
    return found


def _mean_of(values: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    return np.asarray(np.mean(values, axis=0, dtype=np.float64))


def _size(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.abs(values).reshape(len(values), -1).sum(axis=1, dtype=np.float64)
    return found


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    found: np.ndarray = column.cast(pa.float64()).to_numpy()
    return found
