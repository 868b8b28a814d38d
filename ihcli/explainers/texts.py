"""Texts explained: units of each text's own, and paths of one length together, so that nothing is ever padded."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, parts_told, unheard
from ihcli.data.texts import have_words
from ihcli.derivatives.paths import Paths
from ihcli.errors import DataError, ModelError
from ihcli.explainers.explainer import Explainer, Figures, Sample, Settings, numpy_dtype, settle
from ihcli.explanation import TextExplanation, in_order, join_explanations, scatter
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.computing import computation_of
from ihcli.methods import method_named, require_one_baseline
from ihcli.models import Model
from ihcli.models.targets import PREDICTED
from ihcli.models.texts import MASK, PAD, ZEROS, EncodedText, TextReader

SAMPLE_TEXTS = 64
PROBE_TEXTS = 2
"""Texts that the checks before a run take, the shortest of the sample: a long one can need a GiB for one of them."""
LIKE_TEXTS = 8
CPU_BATCH_BYTES = 256 << 20
TEXT_BYTES = 256 << 10
BASELINES_IN_WORDS = {
    ZEROS: "the zero embedding in place of every token",
    PAD: "the embedding of the padding token in place of every token but the special ones",
    MASK: "the embedding of the mask token in place of every token but the special ones",
}
UNKNOWN_SHARE = 0.1
"""Share of tokens outside the vocabulary from which on the tokenizer hardly knows the language."""


@dataclass(frozen=True, kw_only=True)
class TextExplainer(Explainer):
    """Explains texts with one model, method, target and kind of baseline; see `prepare_text_explainer`.

    reader    cuts texts into tokens and embeds them
    units     "word" or "token": what an attribution belongs to
    baseline  "zeros", "pad" or "mask", see `TextReader.baseline`
    longest   units of the longest text of the sample
    """

    reader: TextReader
    units: str
    baseline: str
    longest: int

    @property
    def row_bytes(self) -> int:
        """Return about the bytes of a long text's result; of short ones more, to have enough of each length at once."""
        return self.targets_per_row * max(TEXT_BYTES, self.model.dtype.itemsize * self.longest**2)

    def working_bytes(self, rows: int) -> int:
        """Return about what panels and matrices hold while so many texts are explained, in bytes."""
        return min(self.memory_bytes // 2, rows * self.targets_per_row * self._held_bytes(self.longest))

    def description(self) -> dict[str, Any]:
        """Return what run.json says of features and baselines."""
        return {
            "features": None,
            "units": self.units,
            "baseline": {"source": BASELINES_IN_WORDS[self.baseline], "rows": 1, "population": 1},
        }

    def explain(
        self, texts: np.ndarray, labels: np.ndarray | None = None, first_row: int = 0, tell: Tell = unheard
    ) -> TextExplanation:
        """Explain texts (N, 1) or pairs (N, 2) of strings; empty and null ones are returned as such, without figures.

        `tell` hears now and then what share of them is done.

        Raises DataError when the target is each text's label and a label names no output.
        """
        encoded = encode(self.reader, texts, self.units)
        known = np.array([text is not None for text in encoded], dtype=bool)
        outputs = np.full((len(texts), len(self.target.names)), np.nan)
        for some in self._blocks(encoded, np.flatnonzero(known)):
            outputs[some] = self.telling_rows(
                lambda few: self.outputs(self.reader.inputs([encoded[i] for i in few])),
                some,
                first_row + np.arange(len(texts)),
            )
        row, output = self.target.select(outputs, labels, first_row)
        order = list(self._blocks([encoded[i] for i in row], np.flatnonzero(known[row])))

        def explained(block: np.ndarray, told: Tell) -> TextExplanation:
            return self.telling_rows(
                lambda few: self._explain_block(
                    [encoded[i] for i in row[few]], output[few], outputs[row[few], output[few]], told
                ),
                block,
                first_row + row,
            )

        parts = [explained(*part) for part in parts_told(order, tell)]
        explanation = join_explanations(parts or [self._nothing()])
        explanation = scatter(in_order(explanation, np.concatenate([*order, np.zeros(0, np.int64)])), known[row])
        names = np.array(self.target.names, dtype=object)[output]
        if self.target.spec == PREDICTED:
            names[~known[row]] = None
        return replace(explanation, row=first_row + row, target=names)

    def _blocks(self, encoded: list[EncodedText | None], wanted: np.ndarray) -> Iterator[np.ndarray]:
        """Put texts of one length together, as many as half of the memory budget holds."""
        lengths = np.array([0 if text is None else len(text.ids) for text in encoded])
        for length in np.unique(lengths[wanted]):
            alike = wanted[lengths[wanted] == length]
            size = max(1, self.memory_bytes // 2 // self._held_bytes(int(length)))
            yield from (alike[i : i + size] for i in range(0, len(alike), size))

    def _held_bytes(self, length: int) -> int:
        inputs = (4 * self.model.dtype.itemsize + 8) * self.reader.width * length
        return inputs + 8 * length**2 + 1024 * length

    def _explain_block(
        self, encoded: list[EncodedText], output: np.ndarray, original: np.ndarray, tell: Tell
    ) -> TextExplanation:
        paths = text_paths(self.reader, encoded, self.baseline, output)
        compute = computation_of(self.method)
        found = compute(self.engine, paths, self.method, self.effort, self.piecewise_linear, tell)
        figures = Figures.of(found, self.method, original, self.smoothing is not None)
        return self._explanation(figures, encoded, found)

    def _explanation(
        self, figures: Figures, encoded: list[EncodedText], found: ExplainedRows | None
    ) -> TextExplanation:
        n, dtype = len(encoded), numpy_dtype(self.model)
        units, attributions, interactions = (np.empty(n, dtype=object) for _ in range(3))
        for i, text in enumerate(encoded):
            g = len(text.units)
            units[i] = text.units
            if found is not None:
                attributions[i] = found.attributions[i, :g].astype(dtype)
                interactions[i] = None if found.interactions is None else found.interactions[i, :g, :g]
        return TextExplanation(
            row=np.zeros(n, np.int64),
            target=np.zeros(n, object),
            units=units,
            attributions=attributions,
            interactions=interactions if self.method.second_order else None,
            sampling_error=None,
            truncated=np.array([text.truncated for text in encoded], dtype=bool),
            **vars(figures),
        )

    def _nothing(self) -> TextExplanation:
        return self._explanation(Figures.of_nothing(self.smoothing is not None), [], None)


def prepare_text_explainer(
    model: Model, sample: np.ndarray, settings: Settings, units: str, baseline: str
) -> TextExplainer:
    """Settle how a model explains texts, on a sample (at most SAMPLE_TEXTS are used) of texts with words; see `settle`.

    Raises ModelError where the model reads no texts, OptionError for eg and eh, DataError where the tokenizer finds
    nothing in the sample.
    """
    require_one_baseline(method_named(settings.method))
    reader = reader_of(model)
    encoded = [text for text in encode(reader, sample[:SAMPLE_TEXTS], units) if text is not None]
    if not encoded:
        raise DataError("`text`: the tokenizer finds no token in any text of a sample. Try another column.")
    shortest = min(len(text.ids) for text in encoded)
    few = [text for text in encoded if len(text.ids) == shortest][:PROBE_TEXTS]

    def probe_paths(smooth: Model) -> Paths:
        with torch.no_grad():
            output = smooth.outputs(reader.inputs(few)).argmax(dim=1).cpu().numpy()
        return text_paths(reader, few, baseline, output)

    batches = (reader.inputs(few), *_batches(reader, encoded))
    tried = Sample(batches, probe_paths, 1, CPU_BATCH_BYTES, is_text=True)
    settled = settle(model, tried, settings)
    warnings = (*settled.warnings, *_warnings(encoded, reader))
    longest = max(len(text.units) for text in encoded)
    return TextExplainer(
        **{**vars(settled), "warnings": warnings}, reader=reader, units=units, baseline=baseline, longest=longest
    )


def reader_of(model: Model) -> TextReader:
    """Return the reader of a model's texts; raises ModelError where it reads none."""
    if model.text is None:
        raise ModelError(
            f"{model.path or 'model'}: a {model.format}, which takes numbers. Expected a Hugging Face checkpoint of a "
            "text classifier. Try without `text`."
        )
    return model.text


def encode(reader: TextReader, texts: np.ndarray, units: str) -> list[EncodedText | None]:
    """Cut texts (N, 1), or pairs (N, 2), into tokens; None for those without words, or without any token."""
    wanted = np.flatnonzero(have_words(texts))
    pairs = texts[wanted, 1].tolist() if texts.shape[1] > 1 else None
    found: list[EncodedText | None] = [None] * len(texts)
    for i, encoded in zip(wanted, reader.encode(texts[wanted, 0].tolist(), pairs, units), strict=True):
        found[i] = encoded if len(encoded.ids) else None
    return found


def text_paths(reader: TextReader, encoded: list[EncodedText], baseline: str, output: np.ndarray) -> Paths:
    """Return a path to each of N texts of one length L: D = L * width inputs, one group for each unit."""
    inputs = reader.inputs(encoded)
    unit = torch.as_tensor(np.stack([text.unit for text in encoded]), device=inputs.device)
    return Paths(
        inputs=inputs,
        baselines=reader.baseline(encoded, baseline)[:, None],
        outputs=torch.as_tensor(output, dtype=torch.int64, device=inputs.device),
        n_groups=max(len(text.units) for text in encoded),
        group_of=unit.repeat_interleave(reader.width, dim=1),
    )


def _batches(reader: TextReader, encoded: list[EncodedText]) -> tuple[Tensor, ...]:
    """Return the inputs of the texts, those of one length together, LIKE_TEXTS of them at most."""
    by_length: dict[int, list[EncodedText]] = {}
    for text in encoded:
        by_length.setdefault(len(text.ids), []).append(text)
    return tuple(reader.inputs(alike[:LIKE_TEXTS]) for alike in by_length.values())


def _warnings(encoded: list[EncodedText], reader: TextReader) -> Iterator[str]:
    tokens = sum(int((~text.special).sum()) for text in encoded)
    unknown = sum(text.unknown for text in encoded)
    if unknown > UNKNOWN_SHARE * tokens:
        yield (
            f"{unknown / tokens:.0%} of the tokens in a sample of texts are unknown to the tokenizer: it may belong to "
            "another model or language, and what the model sees is not what you read."
        )
    truncated = sum(text.truncated for text in encoded)
    if truncated:
        yield (
            f"{truncated} of {len(encoded)} texts of a sample are longer than the {reader.max_tokens} tokens that the "
            "model takes: what lies beyond is left out, and _truncated says so."
        )
