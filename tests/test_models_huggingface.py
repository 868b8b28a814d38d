"""Hugging Face checkpoints: logits from embeddings are those from ids, and what is not whole is refused."""

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import model_files
import pytest
import torch
import transformers
from preflights import preflight
from prepared import python
from safetensors.torch import load_file, save_file
from torch import Tensor

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models import Model, load_model
from ihcli.models.texts import EncodedText
from ihcli.smoothing import find_operations, smooth_model

# The same sums in another order, through two layers.
ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-12}
# A central difference of a gradient at this step is exact to about its square, times the curvature of the gradient.
# Were a part of the model float32, it would be off by 1e-1 or more.
STEP, DIFFERENCE = 1e-5, 1e-6
# Called by ids, which ihcli does not, these compute parts in float32 whatever they are asked for.
MIXED = ("llama", "modernbert")
SAME_LENGTH = ("this movie was not bad", "films are good not bad", "bad movie this was not")
EVERY = pytest.mark.parametrize("name", checkpoints.ARCHITECTURES)


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """One checkpoint of every architecture, written when it is first asked for."""
    root = tmp_path_factory.mktemp("checkpoints")

    def directory(name: str) -> Path:
        path = root / name
        return path if path.exists() else checkpoints.save(path, name)

    return directory


def of_one_length(model: Model, texts: tuple[str, ...] = SAME_LENGTH) -> list[EncodedText]:
    """Encode texts and cut them to the shortest, so that they make one batch."""
    encoded = model.text.encode(texts)
    length = min(len(text.ids) for text in encoded)
    return [
        EncodedText(
            text.tokens[:length], text.ids[:length], text.segments[:length], text.special[:length], *rest(text, length)
        )
        for text in encoded
    ]


def rest(text: EncodedText, length: int) -> tuple[Any, ...]:
    return text.unit[:length], text.units, text.truncated, text.unknown


def by_ids(model: Model, texts: list[EncodedText]) -> Tensor:
    """The logits that transformers gives for ids, one text at a time: a decoder looks for padding in a batch."""
    logits = []
    for text in texts:
        ids, segments = torch.from_numpy(text.ids)[None], torch.from_numpy(text.segments)[None]
        extra = {"token_type_ids": segments} if model.text.has_segments else {}
        with torch.no_grad():
            logits.append(model.module.classifier(input_ids=ids, **extra).logits)
    return torch.cat(logits)


def edit(path: Path, **settings: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def refused(directory: Path, kind: type[ModelError] = ModelError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        load_model(directory, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@EVERY
def test_logits_from_embeddings_are_those_from_ids_alone_and_in_a_batch(
    name: str, directories: Callable[[str], Path]
) -> None:
    for dtype in (torch.float32, torch.float64):
        model = load_model(directories(name), dtype=dtype)
        texts = of_one_length(model)
        inputs = model.text.inputs(texts)
        wanted = by_ids(model, texts)
        allowed = ROUNDING[torch.float32 if name in MIXED else dtype]
        assert model.outputs(inputs).dtype is dtype
        assert (wanted - wanted[0]).abs().max() > 0.01
        assert torch.allclose(model.outputs(inputs), wanted, rtol=0, atol=allowed)
        for row, logits in zip(inputs, model.outputs(inputs), strict=True):
            assert torch.allclose(model.outputs(row[None])[0], logits, rtol=0, atol=ROUNDING[dtype])


@EVERY
def test_segments_of_a_pair_reach_the_model_and_have_no_gradient(name: str, directories: Callable[[str], Path]) -> None:
    model = load_model(directories(name))
    pair = model.text.encode(["this movie was bad"], ["good films"])
    assert model.text.has_segments is checkpoints.ARCHITECTURES[name].has_segments
    inputs = model.text.inputs(pair)
    assert torch.allclose(model.outputs(inputs), by_ids(model, pair), rtol=0, atol=ROUNDING[torch.float32])
    inputs.requires_grad_()
    (gradient,) = torch.autograd.grad(model.outputs(inputs)[0, 0], inputs)
    by_token = gradient.reshape(-1, model.text.width)
    embedding = by_token[:, : model.text.embedding.embedding_dim]
    assert embedding.any(dim=1).all()
    if model.text.has_segments:
        assert pair[0].segments.any()
        assert not by_token[:, -1].any()


def directional(model: Model, inputs: Tensor, create_graph: bool = False) -> Tensor:
    weights = torch.tensor([1.0, -0.4], dtype=inputs.dtype)
    return torch.autograd.grad((model.outputs(inputs) * weights).sum(), inputs, create_graph=create_graph)[0]


def direction_of(model: Model, inputs: Tensor) -> Tensor:
    """A random direction that leaves segments as they are."""
    direction = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(1), dtype=inputs.dtype)
    if model.text.has_segments:
        direction.view(len(direction), -1, model.text.width)[:, :, -1] = 0
    return direction


def difference_error(model: Model, step: float) -> float:
    """How far a Hessian-vector product is from a central difference of the gradient, relatively."""
    inputs = model.text.inputs(of_one_length(model)).requires_grad_()
    direction = direction_of(model, inputs)
    gradient = directional(model, inputs, create_graph=True)
    (product,) = torch.autograd.grad((gradient * direction).sum(), inputs)
    ahead, behind = ((inputs + sign * step * direction).detach().requires_grad_() for sign in (1, -1))
    difference = (directional(model, ahead) - directional(model, behind)) / (2 * step)
    assert difference.norm() > 0.1
    return float((product - difference).norm() / difference.norm())


@EVERY
def test_second_derivatives_match_differences_of_the_gradient(name: str, directories: Callable[[str], Path]) -> None:
    model = load_model(directories(name), dtype=torch.float64)
    assert difference_error(model, STEP) < DIFFERENCE
    assert model.rounding == torch.finfo(torch.float64).eps


@EVERY
def test_directions_taken_together_give_the_products_of_each(name: str, directories: Callable[[str], Path]) -> None:
    model = load_model(directories(name), dtype=torch.float64)
    inputs = model.text.inputs(of_one_length(model)).requires_grad_()
    gradient = directional(model, inputs, create_graph=True)
    directions = torch.randn(3, *inputs.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (together,) = torch.autograd.grad(gradient, inputs, directions, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(gradient, inputs, one, retain_graph=True)[0] for one in directions]
    assert torch.allclose(together, torch.stack(each), rtol=1e-10, atol=1e-10)


@EVERY
def test_every_architecture_passes_the_checks_before_a_run(name: str, directories: Callable[[str], Path]) -> None:
    model = load_model(directories(name))
    found = preflight(model, model.text.inputs(of_one_length(model)), second_order=True)
    assert (found.n_outputs, found.warnings) == (2, ())


def test_the_relu_of_distilbert_is_seen_and_smoothed(directories: Callable[[str], Path]) -> None:
    model = load_model(directories("distilbert"), dtype=torch.float64)
    assert find_operations(model, model.text.inputs(of_one_length(model))).replaceable == ("relu",)
    smooth = smooth_model(model, 20.0)
    inputs = model.text.inputs(of_one_length(model))
    assert 1e-6 < (smooth.outputs(inputs) - model.outputs(inputs)).abs().max() < 0.5
    assert difference_error(smooth, STEP) < 1e-3


def test_what_is_known_of_a_model(directories: Callable[[str], Path]) -> None:
    model = load_model(directories("bert"))
    assert model.format == "Hugging Face checkpoint (BertForSequenceClassification)"
    assert (model.dtype, model.path, model.n_inputs) == (torch.float32, directories("bert"), None)
    assert model.output_names == ("NEGATIVE", "POSITIVE")
    assert not any(part.training for part in model.module.modules())
    assert not any(parameter.requires_grad for parameter in model.module.parameters())


@pytest.mark.parametrize(
    ("labels", "problem"), [(1, None), (1, "regression"), (3, "regression"), (3, "multi_label_classification")]
)
def test_labels_without_names_keep_their_numbers(labels: int, problem: str | None, tmp_path: Path) -> None:
    model = load_model(checkpoints.save(tmp_path, labels=labels, problem_type=problem))
    assert model.output_names == tuple(f"LABEL_{i}" for i in range(labels))
    assert model.outputs(model.text.inputs(model.text.encode(["bad"]))).shape == (1, labels)


def test_labels_that_are_not_numbered_from_0_are_no_names(tmp_path: Path) -> None:
    edit(checkpoints.save(tmp_path) / "config.json", id2label={"1": "a", "2": "b"}, label2id={"a": 1, "b": 2})
    assert load_model(tmp_path).output_names is None


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32_without_loss(stored: torch.dtype, tmp_path: Path) -> None:
    model = load_model(checkpoints.save(tmp_path, dtype=stored))
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.float32}
    weights = load_file(tmp_path / "model.safetensors")
    assert weights["classifier.weight"].dtype is stored
    assert torch.equal(model.module.classifier.classifier.weight, weights["classifier.weight"].float())


def test_float64_is_kept_or_had_for_the_asking(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, dtype=torch.float64)
    assert load_model(tmp_path).dtype is torch.float64
    model = load_model(tmp_path, dtype=torch.float32)
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.float32}


def test_shards_are_read_and_a_missing_one_is_named(tmp_path: Path) -> None:
    whole = load_model(checkpoints.save(tmp_path))
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(weights)
    places = {name: f"model-0000{1 + (i % 2)}-of-00002.safetensors" for i, name in enumerate(names)}
    for place in set(places.values()):
        part = {name: weights[name] for name in names if places[name] == place}
        save_file(part, tmp_path / place, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": places}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    inputs = whole.text.inputs(whole.text.encode(["bad"]))
    assert torch.allclose(load_model(tmp_path).outputs(inputs), whole.outputs(inputs), atol=1e-5)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    assert refused(tmp_path) == (
        f"{tmp_path}: model-00002-of-00002.safetensors missing, which model.safetensors.index.json names. "
        "Try copying the checkpoint again."
    )


def test_weights_that_are_not_in_the_checkpoint_are_named(tmp_path: Path) -> None:
    checkpoints.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    headless = {name: weight for name, weight in weights.items() if not name.startswith("classifier.")}
    save_file(headless, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert refused(tmp_path) == (
        f"{tmp_path}: has no weights for classifier.bias, classifier.weight, so that they would be random. "
        "Expected a fine-tuned model. Try the checkpoint that training wrote."
    )


def test_weights_of_other_shapes_are_named(tmp_path: Path) -> None:
    checkpoints.save(tmp_path)
    edit(tmp_path / "config.json", id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2})
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path}: weights of other shapes than config.json says: classifier.bias")
    assert ", classifier.weight" in message
    if int(transformers.__version__.split(".")[0]) >= 5:
        assert message.endswith("classifier.bias (2,) instead of (3,), classifier.weight (2, 16) instead of (3, 16).")


def test_pickled_weights_need_trust_and_run_nothing_even_then(tmp_path: Path) -> None:
    whole = load_model(checkpoints.save(tmp_path))
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    assert refused(tmp_path, UnsafeModelError) == (
        f"{tmp_path}: holds its weights as a pickle (pytorch_model.bin). Expected model.safetensors. Try saving it "
        "again with save_pretrained(..., safe_serialization=True) or, only if you trust who made it, `trust`."
    )
    inputs = whole.text.inputs(whole.text.encode(["bad"]))
    assert torch.allclose(load_model(tmp_path, trust=True).outputs(inputs), whole.outputs(inputs), atol=1e-5)
    marker = tmp_path / "marker"
    torch.save({"classifier.weight": model_files.touch(marker)}, tmp_path / "pytorch_model.bin")
    assert "cannot be loaded" in refused(tmp_path, trust=True)
    assert not marker.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_the_checkpoint_is_refused_even_with_trust(file: str, tmp_path: Path) -> None:
    checkpoints.save(tmp_path)
    marker = tmp_path / "marker"
    (tmp_path / "code.py").write_text(f"open({str(marker)!r}, 'w')")
    edit(tmp_path / file, auto_map={"AutoConfig": "code.Config", "AutoTokenizer": ["code.Tokenizer", None]})
    assert refused(tmp_path, UnsafeModelError, trust=True) == (
        f"{tmp_path / file}: asks for Python code that comes with the checkpoint (auto_map), which is never run. "
        "Try a checkpoint of an architecture that transformers has itself."
    )
    assert not marker.exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_kernels_that_would_be_fetched_are_refused(key: str, tmp_path: Path) -> None:
    checkpoints.save(tmp_path)
    edit(tmp_path / "config.json", **{key: {"": "somebody/kernel"}})
    message = refused(tmp_path, UnsafeModelError)
    assert message.startswith(f"{tmp_path / 'config.json'}: asks for the implementation 'somebody/kernel', code that")


def test_fused_attention_that_settings_insist_on_has_second_derivatives(tmp_path: Path) -> None:
    """transformers heeds these settings before the attention that it is asked for."""
    checkpoints.save(tmp_path)
    edit(tmp_path / "config.json", _attn_implementation="sdpa", _attn_implementation_autoset=True)
    assert difference_error(load_model(tmp_path, dtype=torch.float64), STEP) < DIFFERENCE


def unlink(*names: str) -> Callable[[Path], None]:
    return lambda directory: [(directory / name).unlink() for name in names] and None


def write(name: str, content: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).write_text(content) and None


def settings(**changes: Any) -> Callable[[Path], None]:
    return lambda directory: edit(directory / "config.json", **changes)


def cut(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).write_bytes((directory / name).read_bytes()[:500]) and None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (write("config.json", "{"), "/config.json: not JSON (Expecting property name"),
        (write("config.json", "[]"), "/config.json: holds a list. Expected the settings of a model"),
        (settings(architectures=["BertForMaskedLM"]), "/config.json: BertForMaskedLM. Expected a text classifier"),
        (settings(architectures=None), "/config.json: a model without a name for its task (no architectures)."),
        (settings(architectures="x"), "/config.json: a model without a name for its task (no architectures)."),
        (settings(quantization_config={}), "/config.json: a quantized model, which has no derivatives."),
        (settings(model_type="roberta"), "would read as RobertaForSequenceClassification. Expected the same."),
        (settings(model_type="nonsense"), ": cannot be loaded (The checkpoint you are trying to load has model type"),
        (settings(initializer_range="wide"), ": cannot be loaded ("),
        (settings(id2label={"0": "a", "1": "a"}), ": carries the output name 'a' twice."),
        (cut("model.safetensors"), "/model.safetensors: cannot be read as safetensors (a header of "),
        (unlink("model.safetensors"), ": holds no weights. Expected model.safetensors, or model.safetensors.index"),
        (write("adapter_config.json", "{}"), ": holds an adapter (adapter_config.json), not whole weights."),
        (unlink("tokenizer.json"), ": holds no tokenizer. Expected one of tokenizer.json, vocab.txt, spiece.model,"),
        (write("tokenizer.json", "{}"), ": its tokenizer cannot be loaded ("),
        (cut("tokenizer.json"), "/tokenizer.json: not JSON ("),
        (write("tokenizer_config.json", "{"), "/tokenizer_config.json: not JSON ("),
    ],
)
def test_a_directory_that_is_not_whole_is_one_message(
    spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    spoil(checkpoints.save(tmp_path))
    assert words in refused(tmp_path)


def test_an_index_of_shards_that_names_none_is_one_message(tmp_path: Path) -> None:
    checkpoints.save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    assert "does not say which file holds which weight (no weight_map)" in refused(tmp_path)


def test_a_model_that_takes_no_embeddings_is_refused(tmp_path: Path) -> None:
    assert refused(checkpoints.save(tmp_path, "bart")) == (
        f"{tmp_path}: a BartForSequenceClassification, which cannot be explained by its token embeddings: Passing "
        "input embeddings is currently not supported for BartForSequenceClassification. Expected a model that takes "
        "inputs_embeds in place of input_ids."
    )


def test_a_model_whose_embeddings_give_other_logits_is_refused(tmp_path: Path) -> None:
    """By ids a decoder reads the last token that is no padding, by embeddings the last: here they are not the same."""
    checkpoints.save(tmp_path, "gpt2", tokenizer=checkpoints.ended)
    load_model(tmp_path)
    edit(tmp_path / "config.json", pad_token_id=0)
    assert "its logits from them differ from those from ids" in refused(tmp_path)


def test_a_checkpoint_is_read_without_the_network(
    directories: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(*arguments: Any, **keywords: Any) -> Any:
        asked.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("bert", "roberta", "llama"):
        load_model(directories(name))
    assert asked == []


@pytest.mark.parametrize("name", ["gpt2", "deberta-v2"])
def test_nothing_is_printed_and_settings_of_transformers_are_put_back(
    name: str, directories: Callable[[str], Path]
) -> None:
    code = (
        "import sys; from transformers.utils import logging; from ihcli.models import load_model\n"
        "before = logging.get_verbosity(), logging.is_progress_bar_enabled()\n"
        "model = load_model(sys.argv[1])\n"
        "inputs = model.text.inputs(model.text.encode(['bad', 'bad'])).requires_grad_()\n"
        "model.outputs(inputs).sum().backward()\n"
        "assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before"
    )
    done = subprocess.run([python(), "-c", code, str(directories(name))], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
