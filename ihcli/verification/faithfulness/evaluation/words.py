"""Whole words of texts that a run explains token by token: what is masked is a word, whose tokens add up."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.data.survey import collect
from ihcli.execution.preparation import PreparedRun
from ihcli.verification.faithfulness.pairs import RowPairs


@dataclass(frozen=True)
class Merged:
    """The words of one text.

    tokens  as the run names them;  words of the text;  word (tokens,) which of them each is part of
    """

    tokens: tuple[str, ...]
    words: tuple[str, ...]
    word: np.ndarray

    def values(self, of_tokens: np.ndarray) -> np.ndarray:
        """Return sums over the tokens of each word."""
        return np.bincount(self.word, of_tokens, minlength=len(self.words))

    def pairs(self, of_tokens: RowPairs) -> RowPairs:
        """Return sums over the tokens of each two words, the largest first, given all pairs of tokens."""
        ends = np.sort(np.stack([self.word[of_tokens.first], self.word[of_tokens.second]]), axis=0)
        apart = ends[0] != ends[1]
        codes, at = np.unique(ends[0, apart] * len(self.words) + ends[1, apart], return_inverse=True)
        effects = np.bincount(at, of_tokens.effects[apart], minlength=len(codes))
        largest = np.argsort(-np.abs(effects), kind="stable")
        first, second = np.divmod(codes[largest], max(1, len(self.words)))
        return RowPairs(first, second, effects[largest])


@dataclass(frozen=True)
class Words:
    """The texts of a run that explains tokens."""

    prepared: PreparedRun

    @classmethod
    def of(cls, prepared: PreparedRun) -> "Words | None":
        """Return them; None where a run explains anything else."""
        reader = prepared.explainer.reader
        return None if reader.whole() is reader else cls(prepared)

    def merged(self, rows: Sequence[int]) -> dict[int, Merged]:
        """Read ascending rows of the data and return what their tokens are part of; of rows without tokens nothing."""
        reader = self.prepared.explainer.reader
        records = collect((chunk.inputs for chunk in self.prepared.chunks()), np.asarray(rows))
        tokens, words = reader.encode(records).values, reader.whole().encode(records).values
        found = {}
        for row, token, word in zip(rows, tokens, words, strict=True):
            if token is not None and word is not None:
                part_of = np.zeros(len(token.units), np.int64)
                part_of[token.unit] = word.unit
                found[int(row)] = Merged(token.units, word.units, part_of)
        return found
