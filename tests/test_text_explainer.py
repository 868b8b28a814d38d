"""Texts explained: what must hold for every architecture, and an oracle that shares neither engines nor panels."""

from collections.abc import Callable
from dataclasses import replace

import checkpoints
import numpy as np
import pytest
import torch

from ihcli.errors import DataError, ModelError, OptionError
from ihcli.explainers.explainer import Explainer
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.explanation import TextExplanation
from ihcli.integration.effort import Effort
from ihcli.models import Model, load_model, wrap_module
from ihcli.models.texts import EncodedText, TextEmbedder
from ihcli.quality import Status
from ihcli.readers.texts import TEXT_BYTES, TextReader

EVERY = pytest.mark.parametrize("name", checkpoints.ARCHITECTURES)
TEXT = "an unbelievably bad movie, not good!"
TEXTS = (TEXT, "good", "not bad", "this movie was not bad", "films are good not bad", "a dull story; it isn't long")
# Without positions beside the embeddings, the zero embedding is where normalisation changes fastest: these cost most.
SHARP = ("modernbert", "llama", "xlnet", "deberta-v2")
# Sums of float64 figures in another order, through two layers.
ROUNDING = 1e-9
TIGHT = {"tolerance": 1e-6, "phi": 1e-6, "gamma": 1e-5}

Models = Callable[[str], Model]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Return a model of every architecture in float64, made when it is first asked for."""
    root, found = tmp_path_factory.mktemp("checkpoints"), {}

    def model(name: str) -> Model:
        if name not in found:
            found[name] = load_model(checkpoints.save(root / name, name), dtype=torch.float64)
        return found[name]

    return model


def as_rows(*texts: str | None) -> np.ndarray:
    rows = np.empty((len(texts), 1), dtype=object)
    rows[:, 0] = texts
    return rows


def encode(embedder: TextEmbedder | None, rows: np.ndarray, units: str) -> list[EncodedText]:
    return TextReader(units, "zeros", embedder).encode(rows).values.tolist()


def prepare_texts(model: Model, sample: np.ndarray, settings: Settings, units: str, baseline: str) -> Explainer:
    return prepare(model, TextReader(units, baseline), sample, settings)


def explainer_of(
    model: Model, *, units: str = "word", baseline: str = "zeros", sample: tuple[str, ...] = TEXTS[:2], **settings
) -> Explainer:
    settings.setdefault("smooth", "none")
    if "DistilBert" in model.format and settings.get("method") != "ig":
        settings["smooth"] = 5.0  # its head has a ReLU
    return prepare_texts(model, as_rows(*sample), Settings(**settings), units, baseline)


def explain(model: Model, *texts: str | None, **settings) -> TextExplanation:
    return explainer_of(model, **settings).explain(as_rows(*texts))


# An oracle

NODES, WEIGHTS = np.polynomial.legendre.leggauss(10)
# Panels that halve towards 0, where the logarithm is singular, and embeddings that are normalised change fast: in a
# model without positions each of its layers does so on a smaller scale.
EDGES = np.concatenate([[0], 2.0 ** np.arange(-48, -2, 0.5), np.linspace(0.25, 1, 17)])


def oracle(
    model: Model, text: EncodedText, baseline: str, output: int, second_order: bool = True
) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Return phi, Gamma and f(x) - f(x'), by plain gradients on a composite rule and differences of them."""
    reader = model.text
    assert reader is not None
    x, start = reader.inputs([text])[0], reader.baseline([text], baseline)[0]
    n = len(text.units)
    membership = torch.zeros(len(x), n, dtype=x.dtype)
    membership[torch.arange(len(x)), torch.tensor(text.unit).repeat_interleave(reader.width)] = 1

    def gate_gradients(gates: np.ndarray) -> np.ndarray:
        parts = []
        for some in torch.tensor(gates).split(512):
            u = some.requires_grad_()
            value = model.outputs(start + (u @ membership.T) * (x - start))[:, output].sum()
            parts.append(torch.autograd.grad(value, u)[0])
        return torch.cat(parts).numpy()

    half = np.diff(EDGES)[:, None] / 2
    t, weights = (EDGES[:-1, None] + half * (1 + NODES)).ravel(), (half * WEIGHTS).ravel()
    along = np.repeat(t[:, None], n, axis=1)
    first = gate_gradients(along)
    with torch.no_grad():
        ends = model.outputs(torch.stack([x, start]))[:, output]
    change = float(ends[0] - ends[1])
    if not second_order:
        return weights @ first, None, change
    step = 1e-5 * t
    moves = np.eye(n)[:, None] * step[:, None]
    ahead, behind = (gate_gradients((along + s * moves).reshape(-1, n)).reshape(n, len(t), n) for s in (1, -1))
    second = (ahead - behind) / (2 * step[:, None])
    gamma = np.einsum("gth,t->gh", second, -t * np.log(t) * weights) + np.diag((-np.log(t) * weights) @ first)
    return weights @ first, gamma, change


def relative(got: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(got - truth).sum() / np.abs(truth).sum())


@EVERY
def test_every_architecture_agrees_with_differences_of_plain_gradients(name: str, models: Models) -> None:
    explainer = explainer_of(models(name), target="POSITIVE", effort=Effort(TIGHT["tolerance"]))
    found = explainer.explain(as_rows("not a bad movie"))
    (text,) = encode(explainer.reader.embedder, as_rows("not a bad movie"), "word")
    phi, gamma, change = oracle(explainer.model, text, "zeros", 1)
    assert found.status.tolist() == [Status.OK]
    assert relative(found.attributions[0], phi) < TIGHT["phi"]
    assert relative(found.interactions[0], gamma) < TIGHT["gamma"]
    assert found.prediction[0] - found.baseline_prediction[0] == pytest.approx(change, rel=1e-6)


@pytest.mark.parametrize("baseline", ["pad", "mask"])
@pytest.mark.parametrize("name", ["bert", "roberta", "xlnet", "modernbert"])
def test_other_baselines_agree_too_and_special_tokens_get_nothing(name: str, baseline: str, models: Models) -> None:
    explainer = explainer_of(models(name), baseline=baseline, target="NEGATIVE", effort=Effort(TIGHT["tolerance"]))
    found = explainer.explain(as_rows(TEXT))
    (text,) = encode(explainer.reader.embedder, as_rows(TEXT), "word")
    phi, gamma, _ = oracle(explainer.model, text, baseline, 0, second_order=name == "bert")
    assert relative(found.attributions[0], phi) < TIGHT["phi"]
    if gamma is not None:
        assert relative(found.interactions[0], gamma) < TIGHT["gamma"]
    special = [i for i, unit in enumerate(text.units) if unit in explainer.reader.embedder.tokenizer.all_special_tokens]
    assert special
    assert not found.attributions[0][special].any()
    assert not found.interactions[0][special].any()
    assert explainer.description()["baseline"]["source"].endswith("in place of every token but the special ones")


# Invariants


def texts_of(name: str) -> tuple[str, ...]:
    return TEXTS[1:4] if name in SHARP else TEXTS


@pytest.fixture(scope="module")
def explained(models: Models) -> Callable[[str], tuple[Explainer, TextExplanation]]:
    """Return TEXTS as every architecture explains them at the default tolerance, and its explainer."""
    found: dict[str, tuple[Explainer, TextExplanation]] = {}

    def explanation(name: str) -> tuple[Explainer, TextExplanation]:
        if name not in found:
            explainer = explainer_of(models(name), target="POSITIVE")
            found[name] = explainer, explainer.explain(as_rows(*texts_of(name)))
        return found[name]

    return explanation


Explained = Callable[[str], tuple[Explainer, TextExplanation]]


@EVERY
def test_interactions_sum_to_attributions_and_these_to_the_change_of_the_output(
    name: str, explained: Explained
) -> None:
    _, found = explained(name)
    n_texts = len(texts_of(name))
    assert found.row.tolist() == list(range(n_texts))
    assert found.target.tolist() == ["POSITIVE"] * n_texts
    for i in range(n_texts):
        phi, gamma = found.attributions[i], found.interactions[i]
        assert phi.shape == (len(found.units[i]),)
        np.testing.assert_array_equal(gamma, gamma.T)
        within = found.relative_error[i] * np.abs(phi).sum()
        assert np.abs(gamma.sum(1) - phi).sum() <= within
        gap = phi.sum() - (found.prediction[i] - found.baseline_prediction[i])
        assert found.completeness_gap[i] == pytest.approx(gap, abs=1e-6)
        assert abs(gap) <= within
    assert (found.status == Status.OK).all()
    assert (found.relative_error <= 0.01).all()


@EVERY
def test_the_reported_error_is_at_least_the_true_one(name: str, explained: Explained) -> None:
    explainer, found = explained(name)
    for i, text in enumerate(encode(explainer.reader.embedder, as_rows(*texts_of(name)[:3]), "word")):
        phi, _, _ = oracle(explainer.model, text, "zeros", 1, second_order=False)
        for got in (found.attributions[i], found.interactions[i].sum(1)):
            assert relative(got, phi) <= found.relative_error[i] + ROUNDING


def assert_same(found: TextExplanation, expected: TextExplanation, of: list[int], rtol: float) -> None:
    """Compare entries of one explanation with chosen ones of another."""
    for i, j in enumerate(of):
        assert found.units[i] == expected.units[j]
        assert (found.status[i], found.target[i]) == (expected.status[j], expected.target[j])
        for name in ("prediction", "baseline_prediction", "relative_error"):
            close = pytest.approx(getattr(expected, name)[j], rel=10 * rtol, abs=rtol)
            assert getattr(found, name)[i] == close, name
        for name in ("attributions", "interactions"):
            got, wanted = getattr(found, name)[i], getattr(expected, name)[j]
            assert np.abs(got - wanted).sum() <= rtol * max(np.abs(wanted).sum(), 1e-3), name


@EVERY
def test_a_text_alone_is_explained_as_in_any_company(name: str, explained: Explained) -> None:
    explainer, whole = explained(name)
    texts = texts_of(name)
    others = [2, 0, 0] if name in SHARP else [4, 0, 0, 5]
    assert_same(explainer.explain(as_rows(*(texts[i] for i in others))), whole, others, ROUNDING)
    assert_same(explainer.explain(as_rows(texts[1])), whole, [1], ROUNDING)


@pytest.mark.parametrize("memory_bytes", [1, 1 << 16, 1 << 20])
def test_any_budget_of_memory_gives_the_same(memory_bytes: int, models: Models, explained: Explained) -> None:
    found = explain(models("bert"), *TEXTS, target="POSITIVE", memory_bytes=memory_bytes)
    assert_same(found, explained("bert")[1], list(range(len(TEXTS))), ROUNDING)


@pytest.mark.parametrize("name", ["bert", "roberta", "albert", "xlnet", "llama"])
def test_words_are_the_sums_of_their_tokens(name: str, models: Models) -> None:
    settings = {"target": "POSITIVE", "effort": Effort(steps=16)}
    words, tokens = (explain(models(name), *TEXTS[:3], units=units, **settings) for units in ("word", "token"))
    for i, text in enumerate(encode(models(name).text, as_rows(*TEXTS[:3]), "word")):
        assert tokens.units[i] == text.tokens
        assert words.units[i] == text.units
        sums = np.eye(len(text.units))[text.unit]  # (tokens, words)
        assert relative(tokens.attributions[i] @ sums, words.attributions[i]) < ROUNDING
        assert relative(sums.T @ tokens.interactions[i] @ sums, words.interactions[i]) < ROUNDING
    assert len(tokens.units[0]) > len(words.units[0])


# What can be asked


def test_first_order_gives_the_same_attributions_alone(models: Models, explained: Explained) -> None:
    _, second = explained("bert")
    first = explain(models("bert"), *TEXTS, target="POSITIVE", method="ig", effort=Effort(1e-6))
    assert first.interactions is None
    for i in range(len(TEXTS)):
        assert (
            relative(second.attributions[i], first.attributions[i])
            <= second.relative_error[i] + first.relative_error[i]
        )


def test_a_fixed_rule_costs_what_was_asked(models: Models) -> None:
    for method in ("ig", "ih"):
        found = explain(models("bert"), *TEXTS[:2], method=method, effort=Effort(steps=5))
        assert found.evaluations.tolist() == [5, 5]
        assert (found.relative_error > 0).all()


def test_targets_choose_the_output(models: Models) -> None:
    model = models("bert")
    every = explain(model, *TEXTS[:3], target="all")
    assert every.row.tolist() == [0, 0, 1, 1, 2, 2]
    assert every.target.tolist() == ["NEGATIVE", "POSITIVE"] * 3
    predicted = explain(model, *TEXTS[:3])
    with torch.no_grad():
        logits = np.array([model.module(model.text.inputs([text]))[0].tolist() for text in encoded(model, *TEXTS[:3])])
    np.testing.assert_allclose(every.prediction.reshape(3, 2), logits, rtol=ROUNDING)
    best = logits.argmax(1)
    assert_same(predicted, every, [2 * i + k for i, k in enumerate(best)], ROUNDING)
    assert_same(explain(model, *TEXTS[:3], target="NEGATIVE"), every, [0, 2, 4], ROUNDING)
    assert_same(explain(model, *TEXTS[:3], target=1), every, [1, 3, 5], ROUNDING)
    explainer = explainer_of(model, target="label")
    labelled = explainer.explain(as_rows(*TEXTS[:3]), np.array(["POSITIVE", 0, "POSITIVE"], object))
    assert_same(labelled, every, [1, 2, 5], ROUNDING)
    with pytest.raises(DataError, match=r"`label`: row 7 of the data holds 'FINE', which is not an output"):
        explainer.explain(as_rows(TEXT), np.array(["FINE"], object), first_row=7)


def encoded(model: Model, *texts: str) -> list[EncodedText]:
    return encode(model.text, as_rows(*texts), "word")


def test_empty_texts_keep_their_place_and_have_no_figures(models: Models) -> None:
    texts = (None, TEXTS[3], "", " \t\n\N{NO-BREAK SPACE}", TEXTS[1])
    explainer = explainer_of(models("bert"))
    found = explainer.explain(as_rows(*texts), first_row=10)
    assert found.row.tolist() == [10, 11, 12, 13, 14]
    missing = [0, 2, 3]
    assert found.status.tolist() == [
        Status.MISSING_INPUT,
        Status.OK,
        Status.MISSING_INPUT,
        Status.MISSING_INPUT,
        Status.OK,
    ]
    for name in ("prediction", "baseline_prediction", "completeness_gap", "relative_error"):
        assert np.isnan(getattr(found, name)[missing]).all()
    for name in ("units", "attributions", "interactions", "target"):
        assert [value is None for value in getattr(found, name)] == [True, False, True, True, False]
    assert found.evaluations[missing].tolist() == [0, 0, 0]
    assert found.truncated.tolist() == [False] * 5
    assert_same(replaced_at(found, [1, 4]), explainer.explain(as_rows(TEXTS[3], TEXTS[1])), [0, 1], ROUNDING)
    every = explain(models("bert"), None, TEXTS[1], target="all")
    assert every.target.tolist() == ["NEGATIVE", "POSITIVE"] * 2
    assert every.status.tolist() == [Status.MISSING_INPUT] * 2 + [Status.OK] * 2


def replaced_at(found: TextExplanation, places: list[int]) -> TextExplanation:
    return replace(found, **{name: values[places] for name, values in vars(found).items() if values is not None})


@pytest.mark.parametrize("method", ["ig", "ih"])
def test_nothing_but_empty_texts_can_be_explained(method: str, models: Models) -> None:
    found = explain(models("bert"), None, "", method=method)
    assert found.status.tolist() == [Status.MISSING_INPUT] * 2
    assert (found.interactions is None) == (method == "ig")


STRANGE = {
    "emoji": "good \N{GRINNING FACE} bad \N{FAMILY}\N{ZERO WIDTH JOINER}\N{BOY}",
    "right to left": "\u05d8\u05d5\u05d1 good \u0644\u0627",
    "HTML": "<b>good</b> &amp; <br/>bad",
    "NUL": "good\0bad \0 film",
    "controls only": "\0\x07\u200b",
    "accents": "cafe\u0301 \u00fcber",
    "one letter": "a",
    "one token": "good",
    "a long word": "good" * 60,
    "full-width": "\uff47\uff4f\uff4f\uff44",
}


@pytest.mark.parametrize("name", ["bert", "gpt2", "albert", "llama"])
def test_strange_texts_are_explained_like_any_other(name: str, models: Models) -> None:
    texts = tuple(STRANGE.values())
    found = explain(models(name), *texts, method="ig", target="POSITIVE", effort=Effort(steps=8))
    for i, kind in enumerate(STRANGE):
        assert found.status[i] in (Status.OK, "not_converged"), kind
        assert len(found.attributions[i]) == len(found.units[i]) > 0, kind
        assert np.isfinite(found.attributions[i]).all(), kind
        assert all(found.units[i]), kind


def test_the_units_of_pairs_are_of_both_texts_and_segments_get_nothing(models: Models) -> None:
    model = models("bert")
    explainer = explainer_of(model, target="POSITIVE", effort=Effort(1e-6))
    pairs = np.array([["not bad", "a good film"], ["good", ""], [None, "good"]], dtype=object)
    found = explainer.explain(pairs)
    assert found.status.tolist() == [Status.OK, Status.MISSING_INPUT, Status.MISSING_INPUT]
    assert found.units[0] == ("[CLS]", "not", "bad", "[SEP]", "a", "good", "film", "[SEP]")
    (text,) = encode(model.text, pairs[:1], "word")
    phi, gamma, _ = oracle(model, text, "zeros", 1)
    assert relative(found.attributions[0], phi) < TIGHT["phi"]
    assert relative(found.interactions[0], gamma) < TIGHT["gamma"]
    classifier = model.module.classifier
    segments, nothing = (
        torch.from_numpy(text.segments)[None],
        torch.zeros(1, len(text.ids), checkpoints.HIDDEN).double(),
    )
    with torch.no_grad():
        whole = classifier(input_ids=torch.from_numpy(text.ids)[None], token_type_ids=segments).logits[0, 1]
        bare = classifier(inputs_embeds=nothing, token_type_ids=segments).logits[0, 1]
        unsegmented = classifier(inputs_embeds=nothing).logits[0, 1]
    assert found.prediction[0] == pytest.approx(float(whole), rel=ROUNDING)
    assert found.baseline_prediction[0] == pytest.approx(float(bare), rel=ROUNDING)
    assert abs(float(bare - unsegmented)) > 1e-3


def test_texts_beyond_the_limit_are_cut_and_flagged(models: Models) -> None:
    model = models("bert")
    explainer = explainer_of(model, sample=("good " * 60, TEXT))
    found = explainer.explain(as_rows("good " * 60, TEXT, "good " * 38))
    assert found.truncated.tolist() == [True, False, False]
    assert [len(units) for units in found.units] == [40, len(found.units[1]), 40]
    assert_same(found, found, [2, 1, 0], ROUNDING)
    assert explainer.warnings == (
        "1 of 2 texts of a sample are longer than the 40 tokens that the model takes: what lies beyond is left out, "
        "and _truncated says so.",
    )


def test_a_model_is_smoothed_where_its_head_has_a_relu(models: Models) -> None:
    model = models("distilbert")
    rows = as_rows(*TEXTS)
    explainer = prepare_texts(model, rows, Settings(target="POSITIVE"), "word", "zeros")
    assert explainer.smoothing is not None
    assert explainer.smoothing.replaced == ("relu",)
    found = explainer.explain(rows)
    with torch.no_grad():
        plain, smooth = (
            [float(one.outputs(explainer.reader.embedder.inputs([text]))[0, 1]) for text in encoded(model, *TEXTS)]
            for one in (model, explainer.model)
        )
    np.testing.assert_allclose(found.drift, np.subtract(smooth, plain), atol=ROUNDING)
    np.testing.assert_allclose(found.prediction, smooth, rtol=ROUNDING)
    assert np.abs(found.drift).max() > 1e-6
    first = prepare_texts(model, rows, Settings(method="ig"), "word", "zeros")
    assert (first.smoothing, first.explain(rows[:1]).drift) == (None, None)


def test_a_relu_that_is_left_is_warned_about(models: Models) -> None:
    settings = Settings(smooth="none", effort=Effort(1e-3))
    explainer = prepare_texts(models("distilbert"), as_rows(*TEXTS), settings, "word", "zeros")
    assert any("the model's gradient jumps along the paths (relu)" in text for text in explainer.warnings)


def test_a_tokenizer_that_knows_little_is_warned_about(models: Models) -> None:
    sample = ("\u6f22\u5b57 \u6f22 good", "good")
    (warning,) = explainer_of(models("bert"), sample=sample).warnings
    assert "of the tokens in a sample of texts are unknown to the tokenizer" in warning
    assert not explainer_of(models("bert")).warnings


def test_chunks_are_small_where_texts_are_long(models: Models) -> None:
    short, long = explainer_of(models("bert")), explainer_of(models("bert"), sample=("good " * 30, "a"))
    assert (short.longest, long.longest) == (10, 32)
    assert short.row_bytes == long.row_bytes == TEXT_BYTES
    assert replace(long, longest=512).row_bytes == 8 * 512**2
    every = explainer_of(models("bert"), target="all")
    assert every.row_bytes == 2 * short.row_bytes


def test_what_cannot_be_is_said_before_any_work(models: Models) -> None:
    model, settings = models("bert"), Settings()
    table = wrap_module(torch.nn.Linear(3, 1).eval())
    with pytest.raises(ModelError, match=r"^model: a .*, which takes numbers\. Expected a Hugging Face checkpoint"):
        prepare_texts(table, as_rows(TEXT), settings, "word", "zeros")
    with pytest.raises(DataError, match=r"^`text`: the tokenizer finds no token in any text of a sample"):
        prepare_texts(model, as_rows(None, " "), settings, "word", "zeros")
    with pytest.raises(
        OptionError, match=r"^`baseline`: 'mean' is not a baseline for texts\. Expected zeros, pad or mask"
    ):
        prepare_texts(model, as_rows(TEXT), settings, "word", "mean")
    with pytest.raises(OptionError, match=r"^`units`: 'char' is not known\. Expected word or token"):
        prepare_texts(model, as_rows(TEXT), settings, "char", "zeros")
    with pytest.raises(
        OptionError, match=r"^`baseline=mask`: the model's tokenizer has no mask token\. Expected zeros"
    ):
        prepare_texts(models("gpt2"), as_rows(TEXT), settings, "word", "mask")
