"""Rows to explain, whatever they hold: chunks of inputs, keys and labels in a fixed order, and one pass over them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ihcli.data.columns import Columns
from ihcli.data.fills import Fills
from ihcli.data.survey import NumberTally, Sampler, Scan, Survey, Tally
from ihcli.files.arrays import numbers
from ihcli.vocabulary import Vocabulary


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows.

    first_row  index in the data of the first of them
    inputs     (n, D) float64 in the order of the features, a missing value is NaN; of texts, see `ihcli.data.texts`
    keys       n rows of key columns, typed as stored
    labels     (n,) Python objects, or None where no label column was named
    """

    first_row: int
    inputs: np.ndarray
    keys: pa.Table
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, start: int, stop: int) -> "Chunk":
        """Return rows start to stop of this chunk, as a view."""
        labels = None if self.labels is None else self.labels[start:stop]
        return Chunk(self.first_row + start, self.inputs[start:stop], self.keys.slice(start, stop - start), labels)


class Rows(ABC):
    """Rows that can be streamed any number of times, always in the same order.

    vocabulary  what the codes of category columns among the inputs stand for; None: there are no such columns
    fills       what the model puts in the place of missing numbers, for whoever looks for complete rows
    """

    fills: Fills | None = None

    def __init__(self, path: str, columns: Columns, vocabulary: Vocabulary | None = None) -> None:
        self.path = path
        self.columns = columns
        self.vocabulary = vocabulary

    @abstractmethod
    def inputs(self) -> Iterator[np.ndarray]:
        """Stream the inputs alone, as (n, D) float64 blocks of whatever size is cheap."""

    def filled(self, block: np.ndarray) -> np.ndarray:
        """Return inputs with what the model puts in the place of missing numbers."""
        return block if self.fills is None else self.fills.filled(block)

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a SHA-256 of the content: equal for two copies, wherever they lie."""

    @abstractmethod
    def _blocks(self) -> Iterator[Chunk]: ...

    def chunks(self, chunk_rows: int, limit: int | None = None) -> Iterator[Chunk]:
        """Stream chunks of chunk_rows rows (the last one may be shorter), at most `limit` rows in all.

        Chunk borders do not depend on files, row groups or CSV blocks; memory does not depend on the number of rows.
        """
        pending: list[Chunk] = []
        for piece in _cut(self._blocks(), chunk_rows, limit):
            pending.append(piece)
            if (piece.first_row + len(piece)) % chunk_rows == 0:
                yield _join(pending)
                pending = []
        if pending:
            yield _join(pending)

    def head(self, n: int) -> Chunk:
        """Return the first n rows, or all of them when there are fewer."""
        return next(self.chunks(n, limit=n))

    def scan(self, limit: int | None = None) -> Scan:
        """Count rows and missing values and take the means of the first `limit` rows, or of all, in one pass."""
        return self._passed(limit, None)

    def survey(self, size: int, seed: int, limit: int | None = None) -> Survey:
        """Scan the rows and draw up to `size` complete ones, uniformly and without replacement, in the same pass."""
        sampler = Sampler(size, seed)
        return Survey(self._passed(limit, sampler), sampler.sample())

    def _tally(self) -> Tally:
        """Return what counts the rows of a pass."""
        return NumberTally(self.columns.features)

    def _passed(self, limit: int | None, sampler: Sampler | None) -> Scan:
        tally, counts = self._tally(), np.zeros(len(self.columns.features), np.int64)
        for block in self.inputs():
            rows = block if limit is None else block[: limit - tally.n_rows]
            if self.fills is not None:
                counts += self.fills.where(rows).sum(axis=0)
            complete = tally.add(self.filled(rows))
            if sampler is not None:
                sampler.add(complete)
            if tally.n_rows == limit:
                break
        scan = tally.scan()
        return scan if self.fills is None else replace(scan, filled=self.fills.told(counts))


def no_keys(n_rows: int) -> pa.Table:
    """Return a table of so many rows and no columns."""
    return pa.table({"row": numbers(np.empty(n_rows, np.int8))}).select([])


def _cut(blocks: Iterator[Chunk], chunk_rows: int, limit: int | None) -> Iterator[Chunk]:
    """Cut blocks so that none crosses a multiple of chunk_rows or the limit."""
    for block in blocks:
        end = block.first_row + len(block) if limit is None else min(block.first_row + len(block), limit)
        row = block.first_row
        while row < end:
            stop = min(end, row - row % chunk_rows + chunk_rows)
            yield block.rows(row - block.first_row, stop - block.first_row)
            row = stop
        if end == limit:
            return


def _join(pieces: Sequence[Chunk]) -> Chunk:
    if len(pieces) == 1:
        return pieces[0]
    inputs = np.concatenate([piece.inputs for piece in pieces])
    # Concatenating tables without columns forgets how many rows they have.
    has_keys = pieces[0].keys.num_columns > 0
    keys = pa.concat_tables([piece.keys for piece in pieces]) if has_keys else no_keys(len(inputs))
    labels = [piece.labels for piece in pieces if piece.labels is not None]
    return Chunk(pieces[0].first_row, inputs, keys, np.concatenate(labels) if labels else None)
