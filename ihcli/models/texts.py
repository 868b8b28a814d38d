"""Texts as a checkpoint's tokenizer cuts them: tokens, the words they belong to, and their embeddings as inputs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.errors import ModelError, OptionError
from ihcli.quality import CUTS, TOKEN, WORD

ZEROS, PAD, MASK = "zeros", "pad", "mask"
BASELINES = (ZEROS, PAD, MASK)
# What SentencePiece and byte-level vocabularies write for the space before a word.
_WORD_MARKS = ("▁", "Ġ")


@dataclass(frozen=True, eq=False)
class EncodedText:
    """One text, or a pair of them, as L tokens.

    tokens     as the vocabulary spells them, byte-level ones decoded
    ids        (L,) int64
    segments   (L,) int64: which text of a pair a token is from, as the tokenizer counts
    special    (L,) bool: tokens that the tokenizer added, such as [CLS]
    unit       (L,) int64: index into units
    units      what is explained: words as they stand in the text, lower-cased where the tokenizer lower-cases, special
               tokens under their own names; or the tokens themselves
    truncated  whether tokens beyond the model's limit were left out
    unknown    number of tokens that stand for something that is not in the vocabulary
    """

    tokens: tuple[str, ...]
    ids: np.ndarray
    segments: np.ndarray
    special: np.ndarray
    unit: np.ndarray
    units: tuple[str, ...]
    truncated: bool
    unknown: int


@dataclass(frozen=True, eq=False)
class TextEmbedder:
    """Turns texts into the flat rows of embeddings that the model of the same checkpoint takes.

    tokenizer     a fast tokenizer of transformers
    embedding     the model's embedding of ids, shared with it: inputs have its dtype and device
    has_segments  whether each token carries its segment id behind its embedding
    max_tokens    the most tokens that the model takes, special ones included; None where there is no limit
    """

    tokenizer: Any
    embedding: nn.Embedding
    has_segments: bool
    max_tokens: int | None

    @property
    def width(self) -> int:
        """Inputs that one token takes: its embedding, and its segment id where there are segments."""
        return self.embedding.embedding_dim + self.has_segments

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None, units: str = WORD) -> list[EncodedText]:
        """Cut texts into tokens, at most `max_tokens` of them; the longer text of a pair is cut first.

        An empty text has special tokens only, or none where the tokenizer adds none.
        Raises OptionError for units other than "word" and "token", ModelError for an id without an embedding.
        """
        if units not in CUTS:
            raise OptionError(f"`units`: {units!r} is not known. Expected {WORD} or {TOKEN}.")
        if not texts:
            return []
        limit = {} if self.max_tokens is None else {"max_length": self.max_tokens}
        encodings = self.tokenizer(
            list(texts),
            None if pairs is None else list(pairs),
            truncation="longest_first" if limit else False,
            padding=False,
            verbose=False,
            **limit,
        ).encodings
        whole = [(text,) for text in texts] if pairs is None else list(zip(texts, pairs, strict=True))
        return [self._encoded(encoding, parts, units) for encoding, parts in zip(encodings, whole, strict=True)]

    def inputs(self, texts: Sequence[EncodedText]) -> Tensor:
        """Return the embeddings of texts of one length L, flat, (N, L * width)."""
        return self._flat(self._embedded(np.stack([text.ids for text in texts])), texts)

    def baseline(self, texts: Sequence[EncodedText], kind: str) -> Tensor:
        """Return where the paths to texts of one length L start, (N, L * width); segments are those of the texts.

        kind  "zeros": the zero embedding for every token; "pad" or "mask": the embedding of that token in place of
              every token but the special ones, which stay as they are

        Raises OptionError for another kind, or where the tokenizer has no such token.
        """
        if kind not in BASELINES:
            raise OptionError(f"`baseline`: {kind!r} is not a baseline for texts. Expected {self._kinds()}.")
        ids = np.stack([text.ids for text in texts])
        if kind == ZEROS:
            return self._flat(torch.zeros_like(self._embedded(ids)), texts)
        special = np.stack([text.special for text in texts])
        return self._flat(self._embedded(np.where(special, ids, self._replacement(kind))), texts)

    def _encoded(self, encoding: Any, parts: Sequence[str], units: str) -> EncodedText:
        ids = np.array(encoding.ids, dtype=np.int64)
        special = np.array(encoding.special_tokens_mask, dtype=bool)
        tokens = tuple(self._readable(token) for token in encoding.tokens)
        unit, names = np.arange(len(ids)), tokens
        if units == WORD:
            begins = np.fromiter(_beginnings(encoding), dtype=bool, count=len(ids))
            unit, names = np.cumsum(begins) - 1, self._words(encoding, parts, tokens, begins)
        self._check_ids(ids, tokens)
        return EncodedText(
            tokens=tokens,
            ids=ids,
            segments=np.array(encoding.type_ids, dtype=np.int64),
            special=special,
            unit=unit.astype(np.int64),
            units=names,
            truncated=bool(encoding.overflowing),
            unknown=int(((ids == self.tokenizer.unk_token_id) & ~special).sum()),
        )

    def _words(self, encoding: Any, parts: Sequence[str], tokens: Sequence[str], begins: np.ndarray) -> tuple[str, ...]:
        """Return the text that each run of tokens stands for; its first token where that is nothing but space."""
        starts = np.flatnonzero(begins).tolist()
        names = []
        for first, end in zip(starts, [*starts, len(begins)][1:], strict=True):
            part = None if encoding.special_tokens_mask[first] else encoding.sequence_ids[first]
            if part is None:
                names.append(tokens[first])
                continue
            span = slice(encoding.offsets[first][0], encoding.offsets[end - 1][1])
            word = parts[part][span].strip()
            names.append((word.lower() if self._is_uncased else word) or tokens[first])
        return tuple(names)

    @cached_property
    def _is_uncased(self) -> bool:
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        return normalizer is not None and "A" not in normalizer.normalize_str("A")

    def _readable(self, token: str) -> str:
        """Return a byte-level token as text, the space before it still marked; others as they are."""
        decoder = self.tokenizer.backend_tokenizer.decoder
        if type(decoder).__name__ != "ByteLevel":
            return token
        text = decoder.decode([token])
        if "\N{REPLACEMENT CHARACTER}" in text or not text.strip():
            return token
        return f"Ġ{text[1:]}" if text.startswith(" ") else text

    def _check_ids(self, ids: np.ndarray, tokens: Sequence[str]) -> None:
        beyond = np.flatnonzero(ids >= self.embedding.num_embeddings)
        if len(beyond):
            token, number = tokens[beyond[0]], ids[beyond[0]]
            raise ModelError(
                f"{self.tokenizer.name_or_path}: its tokenizer gives {token!r} the id {number}, but the model has "
                f"{self.embedding.num_embeddings} embeddings. Try the tokenizer that the model was trained with."
            )

    def _embedded(self, ids: np.ndarray) -> Tensor:
        with torch.no_grad():
            embedded: Tensor = self.embedding(torch.from_numpy(ids).to(self.embedding.weight.device))
        return embedded

    def _flat(self, embedded: Tensor, texts: Sequence[EncodedText]) -> Tensor:
        if self.has_segments:
            segments = torch.from_numpy(np.stack([text.segments for text in texts])).to(embedded)
            embedded = torch.cat([embedded, segments.unsqueeze(2)], dim=2)
        return embedded.flatten(1)

    def _replacement(self, kind: str) -> int:
        token = getattr(self.tokenizer, f"{kind}_token_id")
        if token is None or token >= self.embedding.num_embeddings:
            raise OptionError(
                f"`baseline={kind}`: the model's tokenizer has no {kind} token. Expected {self._kinds()}."
            )
        return int(token)

    def _kinds(self) -> str:
        """Return the baselines that this checkpoint has, in words."""
        ids = {kind: getattr(self.tokenizer, f"{kind}_token_id") for kind in (PAD, MASK)}
        had = [kind for kind, token in ids.items() if token is not None and token < self.embedding.num_embeddings]
        return f"{', '.join([ZEROS, *had[:-1]])} or {had[-1]}" if had else ZEROS


def _beginnings(encoding: Any) -> Iterator[bool]:
    """Yield for each token whether a unit begins with it.

    A word is what the tokenizer's own splitting calls one; where it splits nothing, the mark of a space tells.
    """
    previous: object = None
    for token, part, word in zip(encoding.tokens, encoding.sequence_ids, encoding.word_ids, strict=True):
        place = None if part is None or word is None else (part, word)
        yield place is None or place != previous or token.startswith(_WORD_MARKS)
        previous = place
