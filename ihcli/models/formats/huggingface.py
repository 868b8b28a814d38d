"""Hugging Face checkpoints: read without the network and without code of their own, called by embeddings."""

import inspect
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from logging import CRITICAL
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.errors import IhcliError, ModelCallError, ModelError
from ihcli.files.foreign import one_message
from ihcli.files.locations import Location
from ihcli.models.checkpoints.settings import check_growth
from ihcli.models.checkpoints.tokenization import check_pipeline
from ihcli.models.formats.directories import has_safetensors, listed, read_settings, stored_shapes
from ihcli.models.model import MANY_LABELS, REGRESSION, Model
from ihcli.models.sniffing import Kind
from ihcli.models.texts import TextEmbedder
from ihcli.models.wrapping import Names, Source, place_module

# Outputs beside the logits, which hold memory, and compilation, which has no second derivative.
_UNWANTED = ("use_cache", "use_mems_eval", "output_hidden_states", "output_attentions", "reference_compile")
_TASKS = {"regression": REGRESSION, "multi_label_classification": MANY_LABELS}
# A tokenizer without a limit says so with an enormous one.
_NO_LIMIT = 10**9
_PROBE = "A film that was not bad at all."
# Two ways to the same logits, as large as they come, may differ by the rounding of a deep network.
_AGREEMENT = {torch.float32: 1e-3, torch.float64: 1e-4}


class EmbeddedText(nn.Module):
    """A text classifier as a function of its token embeddings.

    classifier    a model of transformers that takes inputs_embeds
    width         inputs that one token takes: its embedding, then its segment id where there are segments
    has_segments  whether there are; they are constant along a path, and no derivative is taken by them
    """

    def __init__(self, classifier: nn.Module, width: int, has_segments: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.width = width
        self.has_segments = has_segments
        self.training = classifier.training

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (P, K) of texts of one length, (P, L * width): no point is padded, and each sees all of L."""
        tokens = inputs.reshape(len(inputs), -1, self.width)
        segments = {}
        if self.has_segments:
            segments = {"token_type_ids": tokens[:, :, -1].detach().round().long()}
            tokens = tokens[:, :, :-1]
        mask = torch.ones(tokens.shape[:2], dtype=torch.int64, device=tokens.device)
        logits: Tensor = self.classifier(inputs_embeds=tokens, attention_mask=mask, return_dict=True, **segments).logits
        return logits


def read(source: Source) -> Model:
    """Read the directory of a text classifier, with the reader of its texts as `Model.text`.

    Weights are read from safetensors; from pickles, restricted to tensors, with `trust` only. Code that the directory
    brings along is never run. Nothing is fetched.

    Raises UnsafeModelError for pickled weights without `trust` and for code; ModelError where files are missing or
    damaged, weights do not fit, the model is no sequence classifier, or embeddings and ids give different logits.
    """
    with one_message(source.path, ModelError, "read as a Hugging Face checkpoint"):
        settings = read_settings(source)
        return _read(settings, source)


def _read(settings: dict[str, Any], source: Source) -> Model:
    with _quietly():
        classifier = _classifier(settings, source)
        tokenizer = _tokenizer(source)
        reader = _reader(classifier, tokenizer, source)
        module = EmbeddedText(classifier, reader.width, reader.has_segments)
        wanted = replace(source, dtype=_dtype(settings, source))
        model = place_module(
            module, wanted, f"{Kind.HUGGING_FACE.value} ({type(classifier).__name__})", _names(classifier.config)
        )
        _check_agreement(model, classifier, reader)
    return replace(model, text=reader, task=_TASKS.get(str(getattr(classifier.config, "problem_type", None))))


def _dtype(settings: dict[str, Any], source: Source) -> torch.dtype:
    """Return the dtype asked for, or float64 where the checkpoint says so, or float32 in place of anything less."""
    stored = settings.get("dtype", settings.get("torch_dtype"))
    return source.dtype or (torch.float64 if stored == "float64" else torch.float32)


def _classifier(settings: dict[str, Any], source: Source) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    try:
        if has_safetensors(source.path):
            config = AutoConfig.from_pretrained(str(source.path), local_files_only=True, trust_remote_code=False)
            check_growth(source.path / "config.json", config, stored_shapes(source.path))
        classifier, report = AutoModelForSequenceClassification.from_pretrained(
            str(source.path),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=has_safetensors(source.path),
            attn_implementation="eager",
            dtype=_dtype(settings, source),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except IhcliError:
        raise
    except Exception as error:
        # Settings and weights are somebody's files, and transformers raises anything over them.
        raise ModelError(
            f"{source.path}: cannot be loaded ({_reason(error)}). Try saving or copying it again."
        ) from error
    _check_weights(classifier, report, settings, source)
    for name in _UNWANTED:
        if hasattr(classifier.config, name):
            setattr(classifier.config, name, False)
    return classifier


def _check_weights(classifier: Any, report: dict[str, Any], settings: dict[str, Any], source: Source) -> None:
    """Refuse a model of which a part is random: absent from the checkpoint, or there in another shape."""
    if type(classifier).__name__ not in settings["architectures"]:
        raise ModelError(
            f"{source.path}: a {', '.join(settings['architectures'])}, which this version of transformers would read "
            f"as {type(classifier).__name__}. Expected the same. Try another version of transformers."
        )
    others = [_mismatch(entry) for entry in report["mismatched_keys"]]
    if others:
        raise ModelError(f"{source.path}: weights of other shapes than config.json says: {listed(sorted(others))}.")
    if report["missing_keys"]:
        raise ModelError(
            f"{source.path}: has no weights for {listed(sorted(report['missing_keys']))}, so that they would be "
            "random. Expected a fine-tuned model. Try the checkpoint that training wrote."
        )


def _mismatch(entry: str | tuple[str, Any, Any]) -> str:
    """Return the name of a weight and its shapes, which transformers tells from version 5 on."""
    if isinstance(entry, str):
        return entry
    name, stored, wanted = entry
    return f"{name} {tuple(stored)} instead of {tuple(wanted)}"


def _names(config: Any) -> Names:
    """Return the names of the labels, none where they are not numbered from 0."""
    labels = config.id2label or {}
    if sorted(labels) != list(range(config.num_labels)):
        return Names()
    return Names(outputs=tuple(str(labels[i]) for i in range(config.num_labels)))


def _tokenizer(source: Source) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(source.path), local_files_only=True, trust_remote_code=False, use_fast=True
        )
    except Exception as error:
        # As above: these are somebody's files.
        raise ModelError(
            f"{source.path}: its tokenizer cannot be loaded ({_reason(error)}). Expected a tokenizer.json. Try "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...) where it can."
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{source.path}: its {type(tokenizer).__name__} is written in Python and does not say which tokens make a "
            "word. Expected a fast tokenizer. Try saving one next to the weights (tokenizer.json)."
        )
    _check_tokenizer(tokenizer.backend_tokenizer, source)
    return tokenizer


def _check_tokenizer(backend: Any, source: Source) -> None:
    """Refuse the tokenizer that came of all files together, where it can multiply a text."""
    stages = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
    parts = {stage: getattr(backend, stage) for stage in stages}
    check_pipeline(
        {stage: None if part is None else json.loads(part.__getstate__()) for stage, part in parts.items()}, source.path
    )


def _reader(classifier: Any, tokenizer: Any, source: Source) -> TextEmbedder:
    embedding = classifier.get_input_embeddings()
    takes = inspect.signature(classifier.forward).parameters
    if not isinstance(embedding, nn.Embedding) or "inputs_embeds" not in takes:
        raise ModelError(_no_embeddings_message(source.path, classifier, "its forward takes ids only"))
    return TextEmbedder(
        tokenizer=tokenizer,
        embedding=embedding,
        has_segments="token_type_ids" in takes and "token_type_ids" in tokenizer.model_input_names,
        max_tokens=_max_tokens(classifier, tokenizer),
    )


def _max_tokens(classifier: Any, tokenizer: Any) -> int | None:
    """Return the tightest of the limits that the tokenizer and the position embeddings set."""
    limits = [int(tokenizer.model_max_length)] if tokenizer.model_max_length < _NO_LIMIT else []
    positions = getattr(classifier.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and positions > 0:
        limits.append(positions - _first_position(classifier))
    return min(limits, default=None)


def _first_position(classifier: nn.Module) -> int:
    """Return how many positions come before a text's first: RoBERTa and its kin leave those up to padding out."""
    for name, part in classifier.named_modules():
        padding = getattr(part, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            return int(padding) + 1
    return 0


def _check_agreement(model: Model, classifier: Any, reader: TextEmbedder) -> None:
    """Compare logits from embeddings, two texts at a time, with those from ids."""
    path = model.path or Path()
    (text,) = reader.encode([_PROBE])
    ids = torch.from_numpy(text.ids).to(model.device)[None]
    segments = {"token_type_ids": torch.from_numpy(text.segments).to(ids)[None]} if reader.has_segments else {}
    try:
        with torch.no_grad():
            wanted = classifier(input_ids=ids, attention_mask=torch.ones_like(ids), **segments).logits
            _name_padding(classifier.config.get_text_config())
            got = model.outputs(reader.inputs([text, text]))
    except Exception as error:
        # An architecture may refuse embeddings in any words.
        raise ModelError(_no_embeddings_message(path, classifier, _reason(error))) from error
    allowed = _AGREEMENT[model.dtype] * max(float(wanted.abs().max()), 1e-30)
    if not bool((got - wanted).abs().max() <= allowed):
        raise ModelError(_no_embeddings_message(path, classifier, "its logits from them differ from those from ids"))


def _name_padding(config: Any) -> None:
    """Give a decoder without a padding token one: it refuses batches otherwise, and finds the last token by it."""
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = 0


def _no_embeddings_message(path: Location, classifier: Any, reason: str) -> str:
    return (
        f"{path}: a {type(classifier).__name__}, which cannot be explained by its token embeddings: {reason}. "
        "Expected a model that takes inputs_embeds in place of input_ids."
    )


def _reason(error: Exception) -> str:
    """Return a model's own sentence, or the first one of an error, with the line after it where it announces that."""
    if isinstance(error, ModelCallError):
        return error.reason
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1]).rstrip(".,")


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers' progress bars and advice off the terminal; what is wrong is raised as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers.utils import logging

        verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity(CRITICAL)
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            if bars:
                logging.enable_progress_bar()
