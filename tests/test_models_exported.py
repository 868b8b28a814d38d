"""torch.export programs: refused without trust, freed from their batch size, differentiated like other models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pytest
import torch
from preflights import preflight
from problems import MEMORY_BYTES, network, normal, straight_paths
from test_derivatives_mlp import KINKED, SMOOTH
from torch import Tensor, nn

from ihcli import explain
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.choosing import choose_engine
from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models import load_model
from ihcli.quality import Status
from ihcli.smoothing import smooth_model

EXACT = 1e-10
"""Float64, relative to the largest entry: a few hundred terms, in another order."""
CHAIN = "a chain of affine layers and element-wise activations"
BATCH = torch.export.Dim("batch")


class Function(nn.Module):
    """A module around a function of the inputs."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Any:
        return self.function(inputs)


def save(
    module: nn.Module,
    path: Path,
    n_rows: int = 4,
    n_inputs: int = 3,
    dtype: torch.dtype = torch.float32,
    extra_files: dict[str, str] | None = None,
    **options: Any,
) -> Path:
    program = torch.export.export(module, (model_files.rows(n_rows, n_inputs, dtype),), **options)
    with path.open("wb") as stream:
        torch.export.save(program, stream, extra_files=extra_files)
    return path


def test_a_program_is_refused_without_trust_and_told_why(tmp_path: Path) -> None:
    path = save(model_files.network(), tmp_path / "model.pt2")
    with pytest.raises(UnsafeModelError) as caught:
        load_model(path)
    assert str(caught.value) == (
        f"{path}: a torch.export program (.pt2), which can run code of the file's choosing while it is loaded. Nothing "
        "of the file was run. Try saving the model as TorchScript with torch.jit.trace(model.eval(), example_row)"
        ".save(path), or, only if you trust who made the file, the flag `trust`."
    )


@pytest.mark.parametrize("n_rows", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_program_of_one_batch_size_serves_every_other(n_rows: int, dtype: torch.dtype, tmp_path: Path) -> None:
    module, rows = model_files.network(), model_files.rows(11, dtype=dtype)
    model = load_model(save(module, tmp_path / "model", n_rows), trust=True, dtype=dtype)
    assert (model.format, model.dtype, model.n_inputs) == ("torch.export program (.pt2)", dtype, 3)
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    assert not model.module.training
    for count in (1, 4, 11):
        assert torch.allclose(model.outputs(rows[:count]), module.to(dtype)(rows[:count]), atol=1e-6)
    assert preflight(model, rows, second_order=True).n_outputs == 2


def test_a_program_of_any_batch_size_and_one_of_a_range_are_read(tmp_path: Path) -> None:
    module, rows = model_files.network(), model_files.rows(11)
    for dimension in (BATCH, torch.export.Dim("few", min=2, max=5)):
        path = save(module, tmp_path / "model", dynamic_shapes={"input": {0: dimension}})
        assert torch.allclose(load_model(path, trust=True).outputs(rows), module(rows), atol=1e-6)


def pairs(inputs: Tensor) -> Tensor:
    """Rows by a number of them that the graph holds as a constant."""
    return (inputs.reshape(12).view(4, 3) ** 2 * torch.arange(1.0, 4.0)).sum(1)


def test_a_program_that_holds_its_batch_size_is_run_in_padded_pieces(tmp_path: Path) -> None:
    model = load_model(save(Function(pairs), tmp_path / "model"), trust=True, dtype=torch.float64)
    rows, weights = normal(11, 3, seed=1), torch.arange(1.0, 4.0)
    assert torch.allclose(model.outputs(rows)[:, 0], (rows**2 * weights).sum(1), atol=1e-12)
    assert preflight(model, rows[:6], second_order=True).n_outputs == 1
    explanation = explain(model, rows.numpy(), method="ih")
    expected = torch.diag_embed(rows**2 * weights).numpy()
    assert abs(explanation.interactions - expected).max() < 1e-9
    assert set(explanation.status) == {Status.OK}


def mixing(inputs: Tensor) -> Tensor:
    return inputs * inputs.mean(0)


def test_rows_that_influence_each_other_are_refused(tmp_path: Path) -> None:
    model = load_model(save(Function(mixing), tmp_path / "model"), trust=True)
    with pytest.raises(ModelError, match="rows influence each other"):
        preflight(model, model_files.rows(6), second_order=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "/model: feature_names.json: not JSON ("),
        ("[" * 100_000, "/model: feature_names.json: not JSON (lists and objects are nested more than 64 deep)"),
        ('["\\ud800"]', "/model: feature_names.json: not JSON ("),
        ("5", "/model: its feature_names are 5. Expected a list of names."),
        ('"abc"', "/model: its feature_names are 'abc'. Expected a list of names."),
        ('[{"a": 1}]', "/model: its feature_names are [{'a': 1}]. Expected a list of names."),
        ('["u", "u", "w"]', "/model: carries the feature name 'u' twice."),
        ('["u"]', "/model: takes 3 inputs but carries 1 feature names."),
    ],
)
def test_extra_files_of_other_kinds_are_one_message(content: str, words: str, tmp_path: Path) -> None:
    path = save(model_files.network(), tmp_path / "model", extra_files={"feature_names.json": content})
    with pytest.raises(ModelError) as caught:
        load_model(path, trust=True)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_names_are_read_from_extra_files(tmp_path: Path) -> None:
    extra = {"feature_names.json": '["u", "v", "w"]', "output_names.json": '["no", "yes"]'}
    model = load_model(save(model_files.network(), tmp_path / "model", extra_files=extra), trust=True)
    assert (model.feature_names, model.output_names) == (("u", "v", "w"), ("no", "yes"))


ACTIVATIONS = SMOOTH | KINKED


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_closed_form_of_a_program_agrees_with_autograd(activation: str, tmp_path: Path) -> None:
    module = network([6, 9, 8, 7, 8, 9], ACTIVATIONS[activation], seed=2, n_outputs=2).eval()
    path = save(module, tmp_path / "model", n_inputs=6, dtype=torch.float64)
    model = load_model(path, trust=True)
    if activation in KINKED:
        model = smooth_model(model, beta=5.0)
    paths = straight_paths(normal(3, 6, seed=3), normal(2, 6, seed=4), outputs=torch.tensor([0, 1, 0]))
    choice = choose_engine(model.outputs, paths, MEMORY_BYTES)
    assert (choice.engine.name, choice.reason) == ("mlp", CHAIN)
    path_index, t = np.arange(6).repeat(2), torch.linspace(0.05, 0.95, 12, dtype=torch.float64)
    autograd = AutogradEngine(model.outputs, MEMORY_BYTES)
    for ours, theirs in (
        *zip(choice.engine.curvatures(paths, path_index, t), autograd.curvatures(paths, path_index, t), strict=True),
        (choice.engine.assemble(paths, path_index, t, t)[1], autograd.assemble(paths, path_index, t, t)[1]),
    ):
        assert (ours - theirs).abs().max() <= EXACT * theirs.abs().max()


def test_a_program_is_explained_like_the_module_it_was_made_of(tmp_path: Path) -> None:
    module = network([3, 8, 8], nn.ReLU, seed=5).eval()
    model = load_model(save(module, tmp_path / "model", dtype=torch.float64), trust=True)
    rows = normal(5, 3, seed=6).numpy()
    ours, theirs = (explain(either, rows, smooth=5.0, smooth_tolerance=1.0) for either in (model, module))
    assert abs(ours.interactions - theirs.interactions).max() < EXACT
    assert (ours.evaluations == theirs.evaluations).all()


@pytest.mark.parametrize(("layer", "name"), [(nn.Dropout(0.5), "dropout"), (nn.BatchNorm1d(3), "batch_norm")])
def test_a_program_exported_in_training_mode_is_refused(layer: nn.Module, name: str, tmp_path: Path) -> None:
    path = save(nn.Sequential(nn.Linear(3, 3), layer).train(), tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        load_model(path, trust=True)
    assert str(caught.value) == (
        f"{path}: {name} is fixed in training mode, so that outputs are random or depend on other rows. "
        "Try model.eval() before torch.export.export, and save it again."
    )


def test_a_cast_to_float32_that_the_graph_holds_gives_way_to_float64(tmp_path: Path) -> None:
    path, rows = save(Function(lambda x: x.to(torch.float32).exp().sum(1)), tmp_path / "model"), model_files.rows(5)
    for dtype in (torch.float32, torch.float64):
        model = load_model(path, trust=True, dtype=dtype)
        assert torch.equal(model.outputs(rows.to(dtype))[:, 0], rows.to(dtype).exp().sum(1))


def test_a_dtype_that_the_graph_holds_is_refused_with_words(tmp_path: Path) -> None:
    path = save(Function(lambda x: x.to(torch.float64).sum(1)), tmp_path / "model", dtype=torch.float64)
    assert load_model(path, trust=True, dtype=torch.float64).dtype is torch.float64
    with pytest.raises(ModelError) as caught:
        load_model(path, trust=True, dtype=torch.float32)
    assert str(caught.value) == (
        f"{path}: an exported program that holds its dtype as a constant, so that it cannot run in float32. "
        "Try to export it again from a model converted to float32, without casts."
    )


@pytest.mark.parametrize(
    ("module", "inputs", "words"),
    [
        (nn.Flatten(), torch.zeros(4, 3, 2, 1), r"a program of 1 inputs \(\(4, 3, 2, 1\)\) and 1 outputs"),
        (Function(lambda x: (x, x * 2)), torch.zeros(4, 3), r"a program of 1 inputs \(\(4, 3\)\) and 2 outputs"),
    ],
)
def test_a_program_of_other_inputs_or_outputs_is_refused(
    module: nn.Module, inputs: torch.Tensor, words: str, tmp_path: Path
) -> None:
    torch.export.save(torch.export.export(module, (inputs,)), tmp_path / "model.pt2")
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "model.pt2", trust=True)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.99])
def test_a_truncated_program_is_one_message(kept: float, tmp_path: Path) -> None:
    path = save(model_files.network(), tmp_path / "model")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ModelError, match="Try saving or copying it again"):
        load_model(path, trust=True)
