"""Texts, and pairs of them: units of each text's own, and texts of one length together, so that nothing is padded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ihcli.data.texts import have_words
from ihcli.errors import ModelError
from ihcli.methods import Method, require_one_baseline
from ihcli.models.model import Model
from ihcli.models.texts import MASK, PAD, ZEROS, EncodedText, TextEmbedder
from ihcli.quality import WORD
from ihcli.readers.encoded import Encoded, Shape
from ihcli.readers.reader import REFINED_BYTES, Load, Reader

TEXT_BYTES = 256 << 10
BASELINES_IN_WORDS = {
    ZEROS: "the zero embedding in place of every token",
    PAD: "the embedding of the padding token in place of every token but the special ones",
    MASK: "the embedding of the mask token in place of every token but the special ones",
}
UNKNOWN_SHARE = 0.1
"""Share of tokens outside the vocabulary from which on the tokenizer hardly knows the language."""


@dataclass(frozen=True)
class TextReader(Reader):
    """Reads texts (N, 1), or pairs (N, 2), of strings; one without words, or without any token, has no input.

    cut       "word" or "token": what an attribution belongs to
    start     "zeros", "pad" or "mask", see `TextEmbedder.baseline`
    embedder  of the model's checkpoint; None until the reader is put `on` it
    """

    cut: str = WORD
    start: str = ZEROS
    embedder: TextEmbedder | None = None

    unlike_chain: ClassVar[str] = "the model reads texts"
    looks_for_kinks: ClassVar[bool] = False
    nothing_found: ClassVar[str] = "`text`: the tokenizer finds no token in any text of a sample. Try another column."

    def on(self, model: Model) -> "TextReader":
        """Return this reader with the model's embedder; raises ModelError where the model reads no texts."""
        return replace(self, embedder=embedder_of(model))

    def whole(self) -> "TextReader":
        """Return this reader of words."""
        return self if self.cut == WORD else replace(self, cut=WORD)

    def encode(self, records: Sequence[Any] | np.ndarray) -> Encoded:
        """Cut texts into tokens."""
        texts = np.asarray(records, dtype=object)
        wanted = np.flatnonzero(have_words(texts))
        pairs = texts[wanted, 1].tolist() if texts.shape[1] > 1 else None
        found: list[EncodedText | None] = [None] * len(texts)
        for i, text in zip(wanted, self._own.encode(texts[wanted, 0].tolist(), pairs, self.cut), strict=True):
            found[i] = text if len(text.ids) else None
        return Encoded.of(found, lambda text: (len(text.ids), self._own.width))

    def inputs(self, some: np.ndarray) -> Tensor:
        """Return the embeddings, flat."""
        return self._own.inputs(list(some))

    def baseline(self, some: np.ndarray) -> Tensor:
        """Return where each text's one path starts, (n, 1, D)."""
        return self._own.baseline(list(some), self.start)[:, None]

    def owners(self, some: np.ndarray) -> np.ndarray:
        """Return the unit of every entry of an embedding, (n, D)."""
        return np.repeat(np.stack([text.unit for text in some]), self._own.width, axis=1)

    def check(self, method: Method) -> None:
        """Raise OptionError for a method of many baselines."""
        require_one_baseline(method)

    def warnings(self, sample: Encoded) -> Iterator[str]:
        """Yield what is unusual of the texts: another language, or more tokens than the model takes."""
        texts: list[EncodedText] = list(sample.values[sample.present])
        tokens = sum(int((~text.special).sum()) for text in texts)
        unknown = sum(text.unknown for text in texts)
        if unknown > UNKNOWN_SHARE * tokens:
            yield (
                f"{unknown / tokens:.0%} of the tokens in a sample of texts are unknown to the tokenizer: it may "
                "belong to another model or language, and what the model sees is not what you read."
            )
        truncated = sum(text.truncated for text in texts)
        if truncated:
            yield (
                f"{truncated} of {len(texts)} texts of a sample are longer than the {self._own.max_tokens} tokens that "
                "the model takes: what lies beyond is left out, and _truncated says so."
            )

    def description(self) -> dict[str, Any]:
        """Return what run.json says of features and baselines."""
        return {
            "features": None,
            "units": self.cut,
            "baseline": {"source": BASELINES_IN_WORDS[self.start], "rows": 1, "population": 1},
        }

    def held_bytes(self, shape: Shape, load: Load) -> int:
        """Return about what a text of so many tokens holds while it is explained."""
        length, width = shape
        return (4 * load.itemsize + 8) * width * length + 8 * length**2 + REFINED_BYTES * length

    def row_bytes(self, n_groups: int, targets: int, load: Load) -> int:
        """Return about the bytes of a long text's result; of short ones more, to have enough of each length at once."""
        return targets * max(TEXT_BYTES, load.itemsize * n_groups**2)

    @property
    def _own(self) -> TextEmbedder:
        if self.embedder is None:
            raise ValueError("a reader of texts before it is put on a model")
        return self.embedder


def embedder_of(model: Model) -> TextEmbedder:
    """Return what cuts and embeds a model's texts; raises ModelError where it reads none."""
    if model.text is None:
        raise ModelError(
            f"{model.path or 'model'}: a {model.format}, which takes numbers. Expected a Hugging Face checkpoint of a "
            "text classifier. Try without `text`."
        )
    return model.text


def reads_texts(model: Model) -> bool:
    """Return whether a model reads texts, and no numbers."""
    return model.text is not None
