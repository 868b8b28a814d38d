"""Checks before a run: each defect of a model is caught and named, and sound models pass."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files
import pytest
import torch
from preflights import preflight
from torch import Tensor, nn

import ihcli
from ihcli.errors import ModelError
from ihcli.explainers import settling
from ihcli.heads import stabilise
from ihcli.models import Model, load_model, wrap_module
from ihcli.models.checking.preflight import Preflight, check_second_derivatives, check_values

DTYPES = (torch.float32, torch.float64)


class Function(nn.Module):
    """A module around a function of the inputs."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Any:
        return self.function(inputs)


class DoubledBackward(torch.autograd.Function):
    """x^2, whose derivative is right and whose second derivative is twice what it should be."""

    @staticmethod
    def forward(context: Any, inputs: Tensor) -> Tensor:
        context.save_for_backward(inputs)
        return inputs**2

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (inputs,) = context.saved_tensors
        return gradient * (4 * inputs - 2 * inputs.detach())


def checked(function: Any, dtype: torch.dtype = torch.float64, second_order: bool = True) -> Preflight:
    model = wrap_module(Function(function).eval(), dtype=dtype)
    return preflight(model, model_files.rows(6, dtype=dtype), second_order)


def refused(function: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        checked(function)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.Tanh(), nn.GELU(), nn.Softplus(1), nn.Softplus(50, 40), nn.Hardtanh(), nn.ELU()]
)
def test_sound_networks_pass(activation: nn.Module, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    hidden = [layer for _ in range(4) for layer in (nn.Linear(128, 128), activation)]
    module = nn.Sequential(nn.Linear(3, 128), activation, *hidden, nn.Linear(128, 2), nn.Softmax(1)).to(dtype).eval()
    assert preflight(wrap_module(module), model_files.rows(8, dtype=dtype), True) == Preflight(2, ())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [512, 100_000])
def test_wide_networks_with_many_kinks_pass(dtype: torch.dtype, width: int) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(30, width), nn.ReLU(), nn.Linear(width, 1)).to(dtype).eval()
        assert preflight(wrap_module(module), model_files.rows(8, 30, dtype), True) == Preflight(1, ())


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_models_and_inputs_in_large_units_pass(dtype: torch.dtype) -> None:
    assert checked(lambda x: x.sum(1), dtype) == Preflight(1, ())
    assert checked(lambda x: x[:, :1], dtype) == Preflight(1, ())
    module = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 20), nn.Tanh(), nn.Linear(20, 1)).to(dtype)
    inputs = 1000 + 300 * model_files.rows(8, dtype=dtype)
    for _ in range(100):
        module(inputs)
    assert preflight(wrap_module(module.eval()), inputs, True) == Preflight(1, ())


def test_a_read_model_of_every_format_passes(tmp_path: Path) -> None:
    module = model_files.network()
    for path in (
        model_files.save_script(module, tmp_path / "scripted"),
        model_files.save_trace(module, model_files.rows(), tmp_path / "traced"),
        model_files.save_zip(module, tmp_path / "zip"),
    ):
        assert preflight(load_model(path), model_files.rows(6), True) == Preflight(2, ())


@pytest.mark.parametrize("n_rows", [1, 2, 8])
def test_any_number_of_rows_will_do(n_rows: int) -> None:
    model = wrap_module(model_files.network())
    assert preflight(model, model_files.rows(n_rows), True).n_outputs == 2
    assert preflight(model, torch.zeros(n_rows, 3), True).n_outputs == 2


def test_training_mode_is_refused() -> None:
    module = model_files.network()
    module[3].train()
    with pytest.raises(ModelError, match=r"in training mode \(3\), .* Try module\.eval\(\)\."):
        preflight(wrap_module(module), model_files.rows(), True)


def test_a_wrong_feature_count_names_both_numbers() -> None:
    model = wrap_module(model_files.network(), feature_names=["a", "b", "c"])
    with pytest.raises(ModelError) as caught:
        preflight(model, model_files.rows(n_inputs=4), True)
    assert str(caught.value) == (
        "model: takes 3 inputs (a, b, c) but the data has 4 features. Try `features` to choose columns, or `exclude`, "
        "`key` and `label` to take columns out."
    )


def test_a_wrong_feature_count_is_read_off_the_failure_where_the_model_does_not_tell() -> None:
    linear = nn.Linear(5, 2, dtype=torch.float64)
    refused(linear.forward, "takes 5 inputs but the data has 3 features")


def test_a_forward_that_fails_is_one_message() -> None:
    def fail(inputs: Tensor) -> Tensor:
        raise RuntimeError("no such thing\nand more")

    refused(fail, r"fails on a batch of shape \(6, 3\) in float64: no such thing\. Expected")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: (x, x), r"returns a tuple\. Expected one tensor"),
        (lambda x: x.sum(), r"returns shape \(\) for 6 rows\. Expected \(N,\), \(N, 1\) or \(N, K\)\."),
        (lambda x: x.T, r"returns shape \(3, 6\) for 6 rows"),
        (lambda x: x.unsqueeze(2), r"returns shape \(6, 3, 1\) for 6 rows"),
        (lambda x: x.argmax(1), r"returns int64 for inputs of float64"),
        (lambda x: x.half(), r"returns float16 for inputs of float64"),
        (lambda x: x.log(), r"the output of probe row \d is not finite"),
    ],
)
def test_outputs_of_another_kind_are_refused(function: Any, words: str) -> None:
    refused(function, words)


def test_random_outputs_are_refused() -> None:
    refused(lambda x: nn.functional.dropout(x), "two calls on the same rows give different outputs")


def test_rows_that_influence_each_other_are_refused() -> None:
    refused(lambda x: x - x.mean(0), r"rows influence each other\. .* operations over the batch \(dim=0\)")
    refused(lambda x: x.softmax(0), "rows influence each other")
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(ModelError, match=r"fails on a batch|\(1: batch normalisation without running statistics\)"):
        preflight(wrap_module(module), model_files.rows(), True)


def test_a_model_that_fails_on_rows_alone_is_refused_for_that() -> None:
    """And is not taken for one of sequences, whose channels batch normalisation would count."""
    batch = r"takes batches of rows, and fails on a row alone: Expected more than 1 value.* operations over the batch"
    refused(lambda x: nn.functional.batch_norm(x, None, None, training=True).sum(1), batch)


def test_writes_that_a_gradient_misses_are_named() -> None:
    def written(x: Tensor) -> Tensor:
        x[:, 0] = x[:, 0].sin()
        return x.sum(1)

    def anew(x: Tensor) -> Tensor:
        return torch.cat([x[:, :1].sin(), x[:, 1:]], 1).sum(1)

    refused(written, r"Try taking writes out of the forward pass .* a new tensor of torch\.cat")
    assert checked(anew).n_outputs == 1


def test_squeezed_single_rows_are_refused() -> None:
    refused(
        lambda x: x.sum(1, keepdim=True).squeeze(),
        r"returns shape \(\) for one row and \(6,\) for 6\. .* Try squeeze\(-1\)",
    )


def test_outputs_without_a_gradient_are_refused() -> None:
    refused(lambda x: x.detach() ** 2, "does not depend differentiably on its inputs")
    refused(lambda x: torch.ones(len(x), dtype=x.dtype, requires_grad=True) * 2, "does not depend differentiably")


def test_a_gradient_of_zero_everywhere_is_a_warning() -> None:
    assert "The gradient is zero on every row" in checked(lambda x: (x * 3).round()).warnings[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_second_derivatives_that_are_wrong_are_refused(dtype: torch.dtype) -> None:
    assert checked(DoubledBackward.apply, dtype, second_order=False).n_outputs == 3
    with pytest.raises(ModelError, match=r"disagree with finite differences of the gradient on 6 of 6 rows\."):
        checked(DoubledBackward.apply, dtype)


def test_second_derivatives_that_are_silently_zero_are_refused() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, inputs: Tensor) -> Tensor:
            context.save_for_backward(inputs)
            return inputs**2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context: Any, gradient: Tensor) -> Tensor:
            return gradient * 2 * context.saved_tensors[0]

    refused(Once.apply, r"disagree with finite differences .* custom autograd functions in the model\.")


def test_a_singular_second_derivative_is_refused() -> None:
    model: Model = wrap_module(Function(lambda x: x.norm(dim=1) ** 1.5).eval(), dtype=torch.float64)
    with pytest.raises(ModelError, match="a second derivative is not finite"):
        preflight(model, torch.zeros(3, 2, dtype=torch.float64), True)


def test_the_module_is_called_on_whole_batches_and_single_rows_only() -> None:
    shapes: list[tuple[int, ...]] = []

    def spy(inputs: Tensor) -> Tensor:
        shapes.append(tuple(inputs.shape))
        return (inputs**2).sum(1)

    checked(spy)
    assert set(shapes) == {(6, 3), (1, 3)}
    assert shapes.count((1, 3)) == 6 + 6  # alone for their outputs, and for their second derivatives


SATURATING: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": lambda u: torch.softmax(torch.cat([u, -u], 1), 1),
    "scores": lambda u: torch.exp(u) / (torch.exp(u) + torch.exp(-u)),
    "log": lambda u: u - torch.logsumexp(torch.cat([u, -u], 1), 1, keepdim=True),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SATURATING)
def test_nearly_saturated_networks_pass_as_they_are_differentiated(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1)).to(dtype).eval()
    rows = model_files.rows(8, dtype=dtype)
    for bias in (0.0, 8.0, 12.0, 15.0, 16.0, 17.0, 20.0, 40.0):
        model = wrap_module(Function(lambda x, bias=bias: SATURATING[name](body(x) + bias)).eval(), dtype=dtype)
        stable = stabilise(model, rows)
        n_outputs = check_values(model, rows).n_outputs
        check_second_derivatives(stable.model, rows, n_outputs, bool(stable.unknown))


def test_wrong_second_derivatives_are_refused_before_a_run_that_needs_them() -> None:
    """Also those of a chain, whose closed form knows nothing of them, and where an engine is asked for."""
    chain = nn.Sequential(nn.Linear(3, 8), Function(DoubledBackward.apply), nn.Linear(8, 1)).double().eval()
    rows = model_files.rows(6).double().numpy()
    for module in (chain, Function(lambda x: DoubledBackward.apply(x.roll(1, 1)) * x).eval()):
        for engine in ("auto", "autograd"):
            with pytest.raises(ModelError, match="disagree with finite differences"):
                ihcli.explain(module, rows, method="ih", target=0, engine=engine, dtype="float64")
        assert (ihcli.explain(module, rows, method="ig", target=0, dtype="float64").status == "ok").all()


def test_a_closed_form_that_agrees_is_witness_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Model]()
    monkeypatch.setattr(settling, "check_second_derivatives", lambda model, *_: asked.append(model))
    rows, module = model_files.rows(6).numpy(), model_files.network()
    for engine, n_asked in (("auto", 0), ("autograd", 1)):
        ihcli.explain(module, rows, method="ih", target=0, engine=engine)
        assert len(asked) == n_asked


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wrong_second_derivative_is_seen_behind_a_large_offset(dtype: torch.dtype) -> None:
    with pytest.raises(ModelError, match="disagree with finite differences"):
        checked(lambda x: 1000 + 100 * (x.detach() * x).sum(1), dtype)


def test_distances_that_torch_cannot_differentiate_twice_are_a_line_from_those_that_it_can() -> None:
    points = torch.linspace(-2, 2, 12).view(4, 3)

    def prototypes(distances: str) -> Function:
        return Function(lambda x: torch.softmax(-eval(distances, {"torch": torch, "a": x, "b": points}), dim=1))

    rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ModelError, match="'_cdist_backward' is not implemented") as caught:
        ihcli.explain(prototypes("torch.cdist(a, b)"), rows, target=0)
    advice = re.search(r"Try (.+) in place of (.+?), or methods", str(caught.value))

    assert advice is not None
    assert advice[2] == "torch.cdist(a, b)"
    got = ihcli.explain(prototypes(advice[1]), rows, target=0)
    wanted = prototypes(advice[2])(rows)[:, 0]
    assert (got.status == "ok").all()
    assert got.prediction == pytest.approx(wanted.numpy(), rel=1e-5)
