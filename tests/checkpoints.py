"""Builders of tiny Hugging Face checkpoints: random weights that spread the logits, tokenizers of a few lines."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = (
    "this movie was not bad",
    "a bad, terrible, awful movie!",
    "an unbelievably good film, and not a boring one",
    "the acting was wonderful; the story was dull",
    "I do not like it. You may, though: it isn't long",
    "good films are good, bad films are boring",
)
HIDDEN, MAX_TOKENS = 16, 40


def word_piece() -> tuple[Tokenizer, dict[str, str]]:
    """BERT's: lower-cased, split at spaces and punctuation, [CLS] a [SEP] b [SEP]."""
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(CORPUS, _quiet(trainers.WordPieceTrainer, 90, special))
    tokenizer.post_processor = _template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return tokenizer, dict(zip(names, special, strict=True))


def byte_level(special: tuple[str, ...] = (), **roles: str) -> tuple[Tokenizer, dict[str, str]]:
    """GPT-2's: cased bytes, split before spaces and at punctuation, nothing added."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}
    tokenizer.train_from_iterator(CORPUS, _quiet(trainers.BpeTrainer, 310, special or ("<|endoftext|>",), **alphabet))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer, roles or {"unk_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}


def ended() -> tuple[Tokenizer, dict[str, str]]:
    """GPT-2's with the end of the text added."""
    tokenizer, roles = byte_level()
    tokenizer.post_processor = _template(tokenizer, "$A <|endoftext|>", "$A <|endoftext|> $B:1 <|endoftext|>:1")
    return tokenizer, roles


def roberta() -> tuple[Tokenizer, dict[str, str]]:
    """RoBERTa's: GPT-2's with <s> a </s></s> b </s>."""
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    names = ("cls_token", "pad_token", "sep_token", "unk_token", "mask_token")
    tokenizer, roles = byte_level(special, **dict(zip(names, special, strict=True)))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer, roles


def modern() -> tuple[Tokenizer, dict[str, str]]:
    """ModernBERT's: GPT-2's splitting with BERT's special tokens."""
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    tokenizer, roles = byte_level(special, **dict(zip(names, special, strict=True)))
    tokenizer.post_processor = _template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]")
    return tokenizer, roles


def unigram(
    form: str = "[CLS] $A [SEP]", pair: str = "[CLS] $A [SEP] $B:1 [SEP]:1"
) -> tuple[Tokenizer, dict[str, str]]:
    """SentencePiece's, as ALBERT and DeBERTa-v2 have it: cased, split at spaces only, which become a mark."""
    special = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = _quiet(trainers.UnigramTrainer, 70, special, unk_token="<unk>")
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = _template(tokenizer, form, pair)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return tokenizer, dict(zip(names, special, strict=True))


def xlnet() -> tuple[Tokenizer, dict[str, str]]:
    """XLNet's: special tokens at the end, in a segment of their own."""
    return unigram("$A [SEP] [CLS]:2", "$A [SEP] $B:1 [SEP]:1 [CLS]:2")


def llama() -> tuple[Tokenizer, dict[str, str]]:
    """Llama's: byte-pair encoding in which a normaliser marks spaces and nothing splits words."""
    special = ("<unk>", "<s>", "</s>")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(CORPUS, _quiet(trainers.BpeTrainer, 120, special))
    tokenizer.pre_tokenizer = None  # type: ignore[assignment]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = _template(tokenizer, "<s> $A", "<s> $A <s>:1 $B:1")
    return tokenizer, {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


def _quiet(trainer: Callable[..., Any], size: int, special: tuple[str, ...], **settings: Any) -> Any:
    return trainer(vocab_size=size, special_tokens=list(special), show_progress=False, **settings)


def _template(tokenizer: Tokenizer, single: str, pair: str) -> Any:
    names = {word.partition(":")[0] for word in pair.split() if not word.startswith("$")}
    special = [(name, tokenizer.token_to_id(name)) for name in sorted(names)]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=special)


@dataclass(frozen=True)
class Architecture:
    """A family of models: its tokenizer, its settings, and whether its tokenizer tells segments."""

    tokenizer: Callable[[], tuple[Tokenizer, dict[str, str]]]
    settings: dict[str, Any]
    has_segments: bool = False


_BERT = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": MAX_TOKENS,
    "initializer_range": 0.3,
}
ARCHITECTURES = {
    "bert": Architecture(word_piece, _BERT, has_segments=True),
    "distilbert": Architecture(
        word_piece,
        {
            "dim": HIDDEN,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dim": 24,
            "max_position_embeddings": MAX_TOKENS,
            "initializer_range": 0.3,
        },
    ),
    "electra": Architecture(word_piece, {**_BERT, "embedding_size": 8}, has_segments=True),
    "albert": Architecture(unigram, {**_BERT, "embedding_size": 8}, has_segments=True),
    "roberta": Architecture(roberta, {**_BERT, "max_position_embeddings": MAX_TOKENS + 2, "pad_token_id": 1}),
    "deberta-v2": Architecture(
        unigram,
        {
            **_BERT,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
        has_segments=True,
    ),
    "xlnet": Architecture(
        xlnet,
        {"d_model": HIDDEN, "n_layer": 2, "n_head": 2, "d_inner": 24, "initializer_range": 0.3},
        has_segments=True,
    ),
    "modernbert": Architecture(
        modern,
        {
            **_BERT,
            "num_hidden_layers": 3,
            "local_attention": 4,
            "pad_token_id": 0,
            "cls_token_id": 2,
            "sep_token_id": 3,
        },
    ),
    "gpt2": Architecture(
        byte_level,
        {"n_embd": HIDDEN, "n_layer": 2, "n_head": 2, "n_positions": MAX_TOKENS, "initializer_range": 0.3},
    ),
    "llama": Architecture(llama, {**_BERT, "num_key_value_heads": 1, "pad_token_id": None}),
}
"""By transformers' model_type. Sizes are small, and unlike each other where an architecture lets them be."""
REFUSED = {
    "bart": Architecture(
        roberta,
        {
            "d_model": HIDDEN,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 24,
            "max_position_embeddings": MAX_TOKENS,
            "pad_token_id": 1,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": 2,
        },
    )
}
"""One that takes ids only."""


def save(
    directory: Path,
    name: str = "bert",
    *,
    labels: tuple[str, ...] | int = ("NEGATIVE", "POSITIVE"),
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    tokenizer: Callable[[], tuple[Tokenizer, dict[str, str]]] | None = None,
    model_max_length: int | None = None,
    **settings: Any,
) -> Path:
    """Write a checkpoint of an architecture; labels are names, or the number of nameless ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier, fast = _built(name, labels, dtype, seed, tokenizer, settings)
        classifier.save_pretrained(directory)
        fast.model_max_length = model_max_length or fast.model_max_length
        fast.save_pretrained(directory)
    return directory


def _built(
    name: str,
    labels: tuple[str, ...] | int,
    dtype: torch.dtype,
    seed: int,
    tokenizer: Callable[[], tuple[Tokenizer, dict[str, str]]] | None,
    settings: dict[str, Any],
) -> tuple[Any, Any]:
    import transformers

    architecture = (ARCHITECTURES | REFUSED)[name]
    backend, roles = _trained(tokenizer or architecture.tokenizer)
    kinds = {"num_labels": labels} if isinstance(labels, int) else {"id2label": dict(enumerate(labels))}
    wanted = {"vocab_size": backend.get_vocab_size(), **architecture.settings, **kinds, **settings}
    config = transformers.AutoConfig.for_model(name, **wanted)
    torch.manual_seed(seed)
    classifier = transformers.AutoModelForSequenceClassification.from_config(config)
    _spread(classifier)
    inputs = ["input_ids", "attention_mask"] + ["token_type_ids"] * architecture.has_segments
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(backend.to_str()), model_input_names=inputs, **roles
    )
    return classifier.to(dtype), fast


@cache
def _trained(tokenizer: Callable[[], tuple[Tokenizer, dict[str, str]]]) -> tuple[Tokenizer, dict[str, str]]:
    return tokenizer()


def _spread(classifier: Any) -> None:
    """Draw the vectors too, which an initialisation leaves at 0 or 1: a bias that is lost must show."""
    with torch.no_grad():
        for parameter in classifier.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
