"""The last operations of a model, in every format, against derivatives written by hand that lose no digits."""

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from problems import normal
from torch import Tensor, nn

from ihcli.derivatives.chain import find_chain
from ihcli.heads import stabilise
from ihcli.heads.forms import ALONG_AXIS, ELEMENTWISE
from ihcli.models import Model, wrap_module
from ihcli.models.formats.exported import Batch, read_program

D = 4
LOGITS = (-80.0, -40.0, -17.0, -3.0, -0.1, 0.0, 0.1, 3.0, 8.0, 15.0, 17.0, 20.0, 40.0, 80.0)
# Rounding of float64 in a handful of operations; exponents of up to 80 magnify it.
FORM_ROUNDING = 1e-13
# Of float32 in the layers before; relative to each derivative, however small that is.
LAYER_ROUNDING = 1e-4

Head = Callable[[Tensor], Tensor]


def share(u: float) -> float:
    """Return 1 / (1 + e^-u), to the accuracy of its own size on both sides."""
    return 1 / (1 + math.exp(-u))


EXACT = {  # first and second derivative
    "sigmoid": lambda u: (share(u) * share(-u), share(u) * share(-u) * (share(-u) - share(u))),
    "log_sigmoid": lambda u: (share(-u), -share(u) * share(-u)),
    "tanh": lambda u: (math.cosh(u) ** -2, -2 * math.tanh(u) * math.cosh(u) ** -2),
}


def derivatives(function: Head, at: Tensor) -> tuple[Tensor, Tensor]:
    at = at.clone().requires_grad_()
    (first,) = torch.autograd.grad(function(at).sum(), at, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), at)
    return first.detach(), second


@pytest.mark.parametrize("name", EXACT)
def test_forms_have_derivatives_exact_to_their_own_size(name: str) -> None:
    at = torch.tensor(LOGITS, dtype=torch.float64)
    for found, exact in zip(
        derivatives(ELEMENTWISE[name], at), zip(*map(EXACT[name], LOGITS), strict=True), strict=True
    ):
        for logit, ours, theirs in zip(LOGITS, found.tolist(), exact, strict=True):
            # Of a logarithm that is nearly linear, the bend is far less than the rounding of the slope.
            straight = 1e-15 if name == "log_sigmoid" else 0
            assert abs(ours - theirs) <= FORM_ROUNDING * abs(theirs) + straight, (logit, ours)


@pytest.mark.parametrize("lead", LOGITS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_softmax_of_two_is_a_sigmoid_of_their_difference(name: str, lead: float) -> None:
    logits = torch.tensor([[lead / 2, -lead / 2]], dtype=torch.float64)
    exact = EXACT["sigmoid" if name == "softmax" else "log_sigmoid"]
    for column, sign in ((0, 1), (1, -1)):
        u = logits.clone().requires_grad_()
        (first,) = torch.autograd.grad(ALONG_AXIS[name](u, 1)[:, column].sum(), u, create_graph=True)
        (second,) = torch.autograd.grad(first[0, 0], u)
        slope, bend = exact(sign * lead)
        assert first.tolist()[0] == pytest.approx([sign * slope, -sign * slope], rel=1e-12)
        assert second.tolist()[0] == pytest.approx(
            [bend, -bend], rel=1e-12, abs=1e-15 * abs(slope) if name == "log_softmax" else 0
        )


def test_values_are_those_of_torch() -> None:
    u = 20 * normal(50, 3, seed=0)
    others = {"special_expit": torch.sigmoid, "logsigmoid": F.logsigmoid, "log_sigmoid": F.logsigmoid}
    for name, form in ELEMENTWISE.items():
        theirs = others.get(name) or getattr(torch, name)
        assert torch.allclose(form(u.clone()), theirs(u.clone()), rtol=1e-13, atol=1e-16), name
    for name, form in ALONG_AXIS.items():
        assert torch.allclose(form(u, 1), getattr(F, name.removeprefix("special_").strip("_"))(u, dim=1), rtol=1e-12)


class Ending(nn.Module):
    """A network of two layers and a head."""

    def __init__(self, head: Head, n_logits: int, hidden: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(D, 24), hidden or nn.Tanh(), nn.Linear(24, n_logits))
        self.head = head

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs))


def grades(u: Tensor) -> Tensor:
    return torch.softmax(u, 1) @ torch.arange(3, dtype=u.dtype)


HEADS: dict[str, tuple[int, Head]] = {
    "torch.sigmoid": (1, torch.sigmoid),
    "method": (1, lambda u: u.sigmoid()),
    "in place": (1, lambda u: u.sigmoid_()),
    "expit": (1, torch.special.expit),
    "several": (3, torch.sigmoid),
    "complement": (1, lambda u: 1 - torch.sigmoid(u)),
    "both classes": (1, lambda u: torch.cat([1 - torch.sigmoid(u), torch.sigmoid(u)], dim=1)),
    "calibrated": (1, lambda u: 0.98 * torch.sigmoid(1.3 * u + 0.2) + 0.01),
    "mean": (3, lambda u: torch.sigmoid(u).mean(dim=1)),
    "product": (2, lambda u: torch.sigmoid(u[:, 0]) * F.softplus(u[:, 1])),
    "softmax": (3, lambda u: torch.softmax(u, 1)),
    "one class": (3, lambda u: F.softmax(u, dim=-1)[:, 1]),
    "softmin": (3, lambda u: F.softmin(u, dim=1)),
    "expected grade": (3, grades),
    "log-softmax": (3, lambda u: u.log_softmax(-1)),
    "log of a softmax": (3, lambda u: torch.log(torch.softmax(u, 1))),
    "log of a guarded one": (1, lambda u: torch.log(torch.sigmoid(u) + 1e-9)),
    "log-sigmoid": (1, F.logsigmoid),
    "tanh": (1, torch.tanh),
    "large offset": (1, lambda u: 2e5 + 1000 * torch.tanh(u)),
    "guarded": (1, lambda u: torch.sigmoid(u).clamp(1e-6, 1 - 1e-6)),
}
AS_THEY_ARE: dict[str, tuple[int, Head]] = {
    "linear": (2, lambda u: u),
    "offset": (1, lambda u: 3 * u + 2e5),
    "softplus": (1, F.softplus),
    "exp": (1, torch.exp),
    "written out": (1, lambda u: 1 / (1 + torch.exp(-u))),
}
STRANGERS: dict[str, tuple[int, Head]] = {
    "scores": (3, lambda u: u.exp() / u.exp().sum(1, keepdim=True)),
    "softsign": (1, F.softsign),
    "difference": (3, lambda u: u - u.logsumexp(1, keepdim=True)),
    "log of a complement": (1, lambda u: torch.log(1 - torch.sigmoid(u))),
}


@contextmanager
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated")
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        yield


def traced(module: nn.Module) -> nn.Module:
    with quietly():
        return torch.jit.trace(module, normal(3, D, seed=1, dtype=torch.float32), check_trace=False)


def frozen(module: nn.Module) -> nn.Module:
    with quietly():
        return torch.jit.freeze(traced(module))


def reloaded(module: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    with quietly():
        torch.jit.save(traced(module), buffer)
        buffer.seek(0)
        return torch.jit.load(buffer)


def exported(module: nn.Module) -> nn.Module:
    rows = normal(3, D, seed=1, dtype=torch.float32)
    program = torch.export.export(module, (rows,), dynamic_shapes=({0: torch.export.Dim("n")},))
    return read_program(program, Batch(1, None))


FORMATS = {
    "eager": lambda module: module,
    "traced": traced,
    "frozen": frozen,
    "reloaded": reloaded,
    "exported": exported,
}


def model_of(named: tuple[int, Head], convert: Callable[[nn.Module], nn.Module] = lambda module: module) -> Model:
    return wrap_module(convert(Ending(named[1], named[0]).eval()), dtype=torch.float32)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", HEADS)
def test_every_head_is_found_in_every_format(name: str, format_: str) -> None:
    model = model_of(HEADS[name], FORMATS[format_])
    rows = normal(9, D, seed=2, dtype=torch.float32)
    stable = stabilise(model, rows)
    assert stable.final
    assert stable.unknown == ()
    size = model.outputs(rows).abs().max()
    assert (stable.model.outputs(rows) - model.outputs(rows)).abs().max() <= 3e-7 * size
    assert stable.model.outputs(rows).dtype == torch.float32


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_heads_whose_derivatives_are_accurate_stay_as_they_are(name: str) -> None:
    model = model_of(AS_THEY_ARE[name])
    stable = stabilise(model, normal(9, D, seed=2, dtype=torch.float32))
    assert (stable.model, stable.unknown) == (model, ())


@pytest.mark.parametrize("format_", ["eager", "reloaded", "exported"])
@pytest.mark.parametrize("name", STRANGERS)
def test_other_heads_are_told(name: str, format_: str) -> None:
    assert stabilise(model_of(STRANGERS[name], FORMATS[format_]), normal(9, D, seed=2, dtype=torch.float32)).unknown


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("bias", [10.0, 17.0, 30.0])
def test_saturated_gradients_and_hessians_keep_their_digits_in_every_format(format_: str, bias: float) -> None:
    module = Ending(torch.sigmoid, 1).eval()
    with torch.no_grad():
        module.body[2].bias += bias
    rows = normal(5, D, seed=3, dtype=torch.float32)
    stable = stabilise(wrap_module(FORMATS[format_](module), dtype=torch.float32), rows).model
    found = derivatives_of(stable.outputs, rows)
    module.double()
    truth = derivatives_of(lambda z: torch.exp(-F.softplus(-module.body(z))), rows.double())
    for ours, theirs in zip(found, truth, strict=True):
        assert (ours - theirs).abs().max() <= LAYER_ROUNDING * theirs.abs().max()


def derivatives_of(function: Head, rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(rows).sum(), rows, create_graph=True)
    directions = torch.eye(D, dtype=rows.dtype)[:, None].expand(-1, *rows.shape)
    (hessian,) = torch.autograd.grad(gradient, rows, directions, is_grads_batched=True)
    return gradient.detach(), hessian


@pytest.mark.parametrize("hidden", [nn.Sigmoid(), nn.Tanh()])
def test_hidden_units_stay_as_they_are_and_chains_stay_chains(hidden: nn.Module) -> None:
    model = wrap_module(Ending(torch.sigmoid, 1, hidden).eval())
    rows = normal(9, D, seed=2, dtype=torch.float32)
    stable = stabilise(model, rows)
    assert stable.final == {"sigmoid"}
    assert find_chain(stable.model.outputs, rows).widths == (24, 1)


@pytest.mark.parametrize("width", [1, 2, 3, 8, 16])
def test_hidden_units_of_narrow_networks_stay_as_they_are(width: int) -> None:
    for n_outputs in (1, 3, 16):
        module = nn.Sequential(nn.Linear(D, 24), nn.Sigmoid(), nn.Linear(24, width + 2), nn.Tanh())
        module = nn.Sequential(*module, nn.Linear(width + 2, n_outputs)).eval()
        assert stabilise(wrap_module(module), normal(9, D, seed=2, dtype=torch.float32)).final == frozenset()


def test_a_model_given_in_memory_is_left_alone() -> None:
    module = Ending(torch.sigmoid, 1).eval()
    before = torch.sigmoid(module.body(normal(3, D, seed=4, dtype=torch.float32)))
    stable = stabilise(wrap_module(module), normal(9, D, seed=2, dtype=torch.float32)).model
    stable.outputs(normal(3, D, seed=4, dtype=torch.float32))
    assert torch.equal(module(normal(3, D, seed=4, dtype=torch.float32)), before)


class Attending(nn.Module):
    """Attention by torch's own function and written out, and a softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.last = nn.Linear(1, 8), nn.Linear(8, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.embed(inputs[:, :, None])
        hidden = F.scaled_dot_product_attention(hidden, hidden, hidden)
        weights = torch.softmax(hidden @ hidden.transpose(1, 2), dim=-1)
        return torch.softmax(self.last((weights @ hidden).mean(1)), dim=-1)


@pytest.mark.parametrize("format_", ["eager", "reloaded", "exported"])
def test_attention_stays_as_it_is_while_the_last_softmax_is_rewritten(format_: str) -> None:
    rows = normal(5, D, seed=5, dtype=torch.float32)
    stable = stabilise(wrap_module(FORMATS[format_](Attending().eval()), dtype=torch.float32), rows)
    assert (stable.final, stable.unknown) == ({"_softmax"}, ())


def test_a_sigmoid_in_a_part_that_nobody_can_rewrite_is_told() -> None:
    module = nn.Sequential(reloaded(Ending(torch.sigmoid, 1).eval()))
    assert stabilise(wrap_module(module, dtype=torch.float32), normal(9, D, seed=2).float()).unknown


class Doubled(torch.autograd.Function):
    """2 x, by an operation that no script can hold."""

    @staticmethod
    def forward(context: Any, inputs: Tensor) -> Tensor:
        return 2 * inputs

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient


def test_a_script_that_cannot_be_copied_stays_as_it_is_and_is_told() -> None:
    module = Ending(torch.sigmoid, 1).eval()
    module.body.insert(0, Called(Doubled.apply))
    model = wrap_module(traced(module), dtype=torch.float32)
    stable = stabilise(model, normal(9, D, seed=2).float())
    assert stable.model is model
    assert stable.unknown


class Called(nn.Module):
    """A function as a module."""

    def __init__(self, function: Head) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs)
