"""Records explained, of whatever kind: a model made ready, and a reader that knows what the records are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, parts_told, unheard
from ihcli.derivatives import Engine
from ihcli.derivatives.transfers import Coming
from ihcli.errors import ModelCallError
from ihcli.explainers.gathering import Form, gathered, nothing
from ihcli.explainers.seeing import Spreads, seen_of
from ihcli.explanation import AnyExplanation, in_order, join_explanations, scatter
from ihcli.explanation.seen import Meaning, Seen
from ihcli.heads.scales import Finish
from ihcli.integration.computing import computation_of
from ihcli.integration.effort import Effort
from ihcli.methods import Method
from ihcli.models import Model
from ihcli.models.targets import PREDICTED, Target
from ihcli.readers import Encoded, Reader, Shape
from ihcli.readers.opening import inputs_of, paths_to
from ihcli.readers.reader import Load
from ihcli.smoothing import Smoothing

T = TypeVar("T")

MEMORY_RAN_OUT = (
    "memory ran out, so batches were made smaller and done again; nothing is lost. Try a smaller `memory_bytes`."
)


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """Explains records with one model, reader, method and target; `ihcli.explainers.settling.prepare` makes one.

    model      as explained, smoothed where asked;  original is the model as it came, on its scale
    scale      on which outputs are explained;  finish is how the model ends, None where its own are
    reader     of the records, put on the model
    smoothing  what replacing did, None when nothing was replaced
    engine_reason  why this engine was taken, in words;  engine_bytes is what it was given for a batch
    longest    groups that a record has; of those with units of their own, the most of a sample
    largest    shape of the largest record of a sample
    warnings   sentences the user should read before trusting the result
    jumps      what helps where jumps, or steeper parts than float32 resolves, were found that no evaluations mend, in
               words; empty: none were
    meaning    what the outputs mean; None where it is not told what rows show of the model
    in_factors  whether matrices may stay products of smaller ones, see `ihcli.explanation.factors`
    """

    model: Model
    original: Model
    scale: str
    finish: Finish | None
    reader: Reader
    smoothing: Smoothing | None
    method: Method
    target: Target
    engine: Engine
    engine_reason: str
    engine_bytes: int
    effort: Effort
    memory_bytes: int
    longest: int
    largest: Shape
    warnings: tuple[str, ...]
    jumps: str = ""
    meaning: Meaning | None = None
    in_factors: bool = False

    @property
    def targets_per_row(self) -> int:
        """Return how many entries each row of the data gets."""
        return len(self.target.names) if self.target.spec == "all" else 1

    @property
    def memory_ran_out(self) -> bool:
        """Return whether a batch did not fit, so that batches were made smaller."""
        return self.engine.memory_bytes < self.engine_bytes

    @property
    def load(self) -> Load:
        """Return what decides how much memory a record holds, beside its shape."""
        refined = self.effort.follows_kinks or self.method.second_order
        is_sampled, width = self.effort.population is not None, None
        if self.in_factors and self.reader.units is not None:
            width = self.engine.core_width(len(self.reader.units), self.reader.n_baselines)
        return Load(self.model.dtype.itemsize, self.method.second_order, refined, is_sampled, width)

    @property
    def row_bytes(self) -> int:
        """Return about what one row of the data and its explanation hold in memory, in bytes, or more."""
        return self.reader.row_bytes(self.longest, self.targets_per_row, self.load)

    def working_bytes(self, rows: int) -> int:
        """Return about what panels and matrices hold while so many rows are explained, in bytes."""
        entries = min(rows * self.targets_per_row, self.block_size(self.largest))
        return entries * self.reader.held_bytes(self.largest, self.load)

    def description(self) -> Mapping[str, Any]:
        """Return what run.json says of features and baselines."""
        return self.reader.description()

    def explain(
        self,
        records: Sequence[Any] | np.ndarray,
        labels: np.ndarray | None = None,
        first_row: int = 0,
        tell: Tell = unheard,
    ) -> AnyExplanation:
        """Explain N records; those without input are returned as such, without figures.

        `tell` hears now and then what share of them is done.

        Raises DataError when the target is each row's label and a label names no output.
        """
        encoded = self.reader.encode(records)
        numbers = first_row + np.arange(len(records))
        outputs = self._outputs_of(encoded, numbers)
        row, output = self.target.select(outputs, labels, first_row)
        original = outputs[row, output]
        blocks = list(self._blocks(encoded, row))

        def explained(block: np.ndarray, told: Tell) -> AnyExplanation:
            return self.telling_rows(
                lambda some: self._explain_block(encoded.values[row[some]], output[some], original[some], told),
                block,
                numbers[row],
            )

        parts = [explained(*part) for part in parts_told(blocks, tell)]
        known = encoded.present[row]
        explanation = join_explanations(parts or [nothing(self.reader, self._form)])
        explanation = scatter(in_order(explanation, np.concatenate([*blocks, np.zeros(0, np.int64)])), known)
        names = np.array(self.target.names, dtype=object)[output]
        if self.target.spec == PREDICTED:
            names[~known] = None
        seen = None if self.meaning is None else seen_of(self.meaning, self._spreads, records, outputs, labels)
        return replace(explanation, row=numbers[row], target=names, seen=seen)

    def see(self, records: Sequence[Any] | np.ndarray, labels: np.ndarray | None, first_row: int = 0) -> Seen:
        """Return what N records show of the model beside labels, without explaining them. Cost: a forward each."""
        if self.meaning is None:
            raise ValueError("an explainer that was not asked what outputs mean")
        outputs = self._outputs_of(self.reader.encode(records), first_row + np.arange(len(records)))
        return seen_of(self.meaning, None, records, outputs, labels)

    def outputs(self, inputs: Tensor) -> np.ndarray:
        """Return the original model's outputs (n, K) as float64, in batches that fit."""
        size = max(1, self.memory_bytes // (64 * max(1, inputs.shape[1]) * inputs.element_size()))
        with torch.no_grad():
            coming = [Coming(self.original.outputs(some)) for some in inputs.split(size)]
        return np.concatenate([some.arrays()[0] for some in coming], dtype=np.float64)

    def telling_rows(self, work: Callable[[np.ndarray], T], entries: np.ndarray, rows: np.ndarray) -> T:
        """Return what `work` makes of entries (n,), indices into `rows`, which are numbers of rows of the data.

        Raises ModelCallError where the model fails on them, which names the first row that it fails on alone: found by
        halving, at the cost of doing them once more.
        """
        try:
            return work(entries)
        except ModelCallError as error:
            culprit = _first_failing(work, entries)
            if culprit is None:
                raise
            reason = f"fails on row {rows[culprit]} of the data: {error.reason}"
            raise ModelCallError(
                f"{self.original.subject}: {reason}. Expected outputs for every row, and for points on the way to it "
                "from baselines. Try looking at that row, or leaving it out.",
                reason,
            ) from error

    @cached_property
    def _spreads(self) -> Spreads | None:
        return Spreads.of(self.reader, self.original, self.target.names, self.outputs)

    def _outputs_of(self, encoded: Encoded, numbers: np.ndarray) -> np.ndarray:
        """Return what the original model gives for records of these numbers (N,), (N, K), NaN without input."""
        outputs = np.full((len(numbers), len(self.target.names)), np.nan)
        for _, alike in encoded.alike():
            outputs[alike] = self.telling_rows(
                lambda some: self.outputs(inputs_of(self.reader, self.original, encoded.values[some])), alike, numbers
            )
        return outputs

    def _blocks(self, encoded: Encoded, row: np.ndarray) -> Iterator[np.ndarray]:
        """Put entries of one shape together, as many as half of the memory budget holds."""
        for shape, alike in encoded.alike(row):
            size = self.block_size(shape)
            yield from (alike[i : i + size] for i in range(0, len(alike), size))

    def block_size(self, shape: Shape) -> int:
        """Return how many entries of one shape are explained at once."""
        return max(1, self.memory_bytes // 2 // self.reader.held_bytes(shape, self.load))

    def _explain_block(self, some: np.ndarray, output: np.ndarray, original: np.ndarray, tell: Tell) -> AnyExplanation:
        paths, compute = paths_to(self.reader, self.model, some, output), computation_of(self.method)
        along = replace(self.engine.along(paths), in_factors=self.in_factors)
        found = compute(along, self.method, self.effort, tell)
        return gathered(self.reader, self._form, some, found, original)

    @property
    def _form(self) -> Form:
        dtype = np.float64 if self.model.dtype == torch.float64 else np.float32
        return Form(dtype, self.method, self.smoothing is not None)


def _first_failing(work: Callable[[np.ndarray], object], entries: np.ndarray) -> int | None:
    """Return the first entry that the model fails on, None where it fails on all together only."""
    while len(entries) > 1:
        half = entries[: len(entries) // 2]
        entries = half if _fails(work, half) else entries[len(half) :]
    return int(entries[0]) if _fails(work, entries) else None


def _fails(work: Callable[[np.ndarray], object], entries: np.ndarray) -> bool:
    try:
        work(entries)
    except ModelCallError:
        return True
    return False
