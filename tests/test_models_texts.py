"""Texts as tokens: words hold whole pieces, specials stay, nothing is cut unseen, baselines start where they say."""

from collections.abc import Callable
from pathlib import Path

import checkpoints
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from ihcli.errors import ModelError, OptionError
from ihcli.models import load_model
from ihcli.models.texts import EncodedText, TextEmbedder

TEXT = "An unbelievably bad movie, not good!"
EVERY = pytest.mark.parametrize("name", checkpoints.ARCHITECTURES)
Readers = Callable[[str], TextEmbedder]


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Readers:
    """The reader of every architecture, its checkpoint written when it is first asked for."""
    root, found = tmp_path_factory.mktemp("checkpoints"), {}

    def reader(name: str) -> TextEmbedder:
        if name not in found:
            found[name] = load_model(checkpoints.save(root / name, name)).text
        return found[name]

    return reader


def encode(reader: TextEmbedder, text: str, pair: str | None = None, units: str = "word") -> EncodedText:
    (encoded,) = reader.encode([text], None if pair is None else [pair], units)
    return encoded


def pieces(text: EncodedText) -> list[str]:
    """Join the tokens of each unit, marks of spaces and of continuation taken out."""
    joined = [""] * len(text.units)
    for token, unit in zip(text.tokens, text.unit, strict=True):
        joined[unit] += token.removeprefix("##").replace("▁", "").replace("Ġ", "")
    return joined


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("bert", "[CLS] an unbelievably bad movie , not good ! [SEP]"),
        ("distilbert", "[CLS] an unbelievably bad movie , not good ! [SEP]"),
        ("electra", "[CLS] an unbelievably bad movie , not good ! [SEP]"),
        ("roberta", "<s> An unbelievably bad movie , not good ! </s>"),
        ("modernbert", "[CLS] An unbelievably bad movie , not good ! [SEP]"),
        ("gpt2", "An unbelievably bad movie , not good !"),
        ("albert", "[CLS] An unbelievably bad movie, not good! [SEP]"),
        ("deberta-v2", "[CLS] An unbelievably bad movie, not good! [SEP]"),
        ("xlnet", "An unbelievably bad movie, not good! [SEP] [CLS]"),
        ("llama", "<s> An unbelievably bad movie, not good!"),
    ],
)
def test_words_are_those_of_the_tokenizer_and_hold_all_their_pieces(name: str, units: str, readers: Readers) -> None:
    text = encode(readers(name), TEXT)
    assert text.units == tuple(units.split())
    assert len(text.tokens) > len(text.units)
    assert [a for a, b in zip(text.unit, text.unit[1:], strict=False) if b not in (a, a + 1)] == []
    if not text.unknown:
        assert pieces(text) == list(text.units)


@EVERY
def test_tokens_as_units_are_the_tokens(name: str, readers: Readers) -> None:
    text = encode(readers(name), TEXT, units="token")
    assert text.units == text.tokens
    assert text.unit.tolist() == list(range(len(text.ids)))
    assert text.ids.tolist() == readers(name).tokenizer(TEXT)["input_ids"]


@EVERY
def test_an_empty_text_is_its_special_tokens(name: str, readers: Readers) -> None:
    text = encode(readers(name), "")
    assert text.special.all()
    assert text.tokens == text.units == (() if name == "gpt2" else text.tokens)
    assert (len(text.ids), text.unit.dtype, text.ids.dtype) == (len(text.tokens), np.int64, np.int64)
    assert readers(name).inputs([text]).shape == (1, len(text.ids) * readers(name).width)


@EVERY
def test_special_tokens_are_units_of_their_own(name: str, readers: Readers) -> None:
    text = encode(readers(name), "good bad", "good film")
    tokenizer = readers(name).tokenizer
    added = [i for i, token in enumerate(text.ids) if token in (tokenizer.cls_token_id, tokenizer.sep_token_id)]
    assert text.special.nonzero()[0].tolist() == (added or ([0, 3] if name == "llama" else []))
    for i in text.special.nonzero()[0]:
        assert text.units[text.unit[i]] == text.tokens[i]
        assert (text.unit == text.unit[i]).sum() == 1


def test_words_of_a_pair_stay_apart_without_a_special_token_between_them(readers: Readers) -> None:
    text = encode(readers("gpt2"), "good", "good")
    assert text.units == ("good", "good")
    assert text.unit.tolist() == [0, *[1] * (len(text.ids) - 1)]


def test_a_pair_has_two_segments_and_words_from_both_texts(readers: Readers) -> None:
    text = encode(readers("bert"), "bad movie", "an awful film")
    assert text.units == ("[CLS]", "bad", "movie", "[SEP]", "an", "awful", "film", "[SEP]")
    units = [{text.units[unit] for unit in text.unit[text.segments == segment]} for segment in (0, 1)]
    assert units == [{"[CLS]", "bad", "movie", "[SEP]"}, {"an", "awful", "film", "[SEP]"}]


def test_words_stand_as_in_the_text_also_where_the_vocabulary_has_other_letters(readers: Readers) -> None:
    accents = "Café naïve"
    assert encode(readers("bert"), accents).units == ("[CLS]", "café", "naïve", "[SEP]")
    assert encode(readers("gpt2"), accents).units == ("Café", "naïve")
    assert encode(readers("gpt2"), "bad 😀 movie").units == ("bad", "😀", "movie")
    assert encode(readers("gpt2"), "bad \n movie").units[0] == "bad"


def test_byte_level_tokens_are_shown_as_text(readers: Readers) -> None:
    tokens = encode(readers("roberta"), "this movie\n").tokens
    assert "Ġmovie" in tokens
    assert "Ċ" in tokens


def test_unknown_tokens_are_counted(readers: Readers) -> None:
    assert encode(readers("bert"), "bad movie").unknown == 0
    assert encode(readers("bert"), "bad 漢 movie 字").unknown == 2
    assert encode(readers("gpt2"), "bad 漢 movie 字").unknown == 0


@EVERY
def test_long_texts_are_cut_at_the_limit_and_flagged(name: str, readers: Readers) -> None:
    reader = readers(name)
    assert reader.max_tokens == (None if name == "xlnet" else checkpoints.MAX_TOKENS)
    short, long = reader.encode(["bad", "bad " * 60])
    assert not short.truncated
    assert long.truncated is (name != "xlnet")
    assert len(long.ids) == (reader.max_tokens or len(long.ids))
    if name != "xlnet":
        model = load_model(Path(reader.tokenizer.name_or_path))
        assert model.outputs(reader.inputs([long])).isfinite().all()


def test_the_longer_text_of_a_pair_is_cut(readers: Readers) -> None:
    text = encode(readers("bert"), "good film", "bad " * 60)
    assert text.truncated
    assert len(text.ids) == checkpoints.MAX_TOKENS
    assert text.units[:4] == ("[CLS]", "good", "film", "[SEP]")
    assert text.units.count("[SEP]") == 2


def test_a_limit_of_the_tokenizer_below_that_of_the_model_holds(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, model_max_length=12)
    reader = load_model(tmp_path).text
    assert reader.max_tokens == 12
    assert len(encode(reader, "bad " * 60).ids) == 12


def test_cutting_and_padding_saved_with_a_tokenizer_are_not_taken_over(tmp_path: Path) -> None:
    """Sentence encoders are often saved so: the model's own limits count, and no text is padded."""
    whole = encode(load_model(checkpoints.save(tmp_path)).text, TEXT)
    backend = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    backend.enable_truncation(6)
    backend.enable_padding(length=30)
    backend.save(str(tmp_path / "tokenizer.json"))
    again = encode(load_model(tmp_path).text, TEXT)
    assert again.tokens == whole.tokens
    assert not again.truncated


@EVERY
def test_inputs_are_embeddings_and_segments_token_by_token(name: str, readers: Readers) -> None:
    reader = readers(name)
    text = encode(reader, TEXT, "good")
    inputs = reader.inputs([text, text])
    size = reader.embedding.embedding_dim
    assert inputs.shape == (2, len(text.ids) * reader.width)
    tokens = inputs.reshape(2, len(text.ids), reader.width)[1]
    assert torch.equal(tokens[:, :size], reader.embedding.weight[torch.from_numpy(text.ids)])
    assert reader.width == size + reader.has_segments
    if reader.has_segments:
        assert tokens[:, -1].tolist() == text.segments.tolist()


@pytest.mark.parametrize("name", ["bert", "roberta", "albert", "xlnet"])
def test_baselines_replace_what_they_say_and_keep_segments(name: str, readers: Readers) -> None:
    reader = readers(name)
    text = encode(reader, TEXT, "good")
    size = reader.embedding.embedding_dim
    inputs, starts = (
        reader.inputs([text]).reshape(-1, reader.width),
        {kind: reader.baseline([text], kind).reshape(-1, reader.width) for kind in ("zeros", "pad", "mask")},
    )
    assert not starts["zeros"][:, :size].any()
    for kind, token in (("pad", reader.tokenizer.pad_token_id), ("mask", reader.tokenizer.mask_token_id)):
        replaced = starts[kind][~text.special, :size]
        assert torch.equal(replaced, reader.embedding.weight[token].expand_as(replaced))
        assert torch.equal(starts[kind][text.special], inputs[text.special])
    assert all(torch.equal(start[:, size:], inputs[:, size:]) for start in starts.values())


def test_a_baseline_without_its_token_names_those_there_are(readers: Readers) -> None:
    text = encode(readers("gpt2"), "bad")
    with pytest.raises(OptionError) as caught:
        readers("gpt2").baseline([text], "mask")
    assert str(caught.value) == "`baseline=mask`: the model's tokenizer has no mask token. Expected zeros."
    with pytest.raises(OptionError, match=r"'mean' is not a baseline for texts\. Expected zeros, pad or mask"):
        readers("bert").baseline([text], "mean")


def test_unknown_units_are_an_option_error(readers: Readers) -> None:
    with pytest.raises(OptionError, match=r"`units`: 'letter' is not known\. Expected word or token\."):
        readers("bert").encode([TEXT], units="letter")
    assert readers("bert").encode([]) == []


def test_a_token_without_an_embedding_is_named(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, vocab_size=50)
    with pytest.raises(ModelError, match=r"its tokenizer gives 'film' the id \d+, but the model has 50 embeddings"):
        load_model(tmp_path)


def test_inputs_have_the_dtype_of_the_model(tmp_path: Path) -> None:
    reader = load_model(checkpoints.save(tmp_path), dtype=torch.float64).text
    assert reader.inputs([encode(reader, TEXT)]).dtype is torch.float64
    assert reader.baseline([encode(reader, TEXT)], "pad").dtype is torch.float64
