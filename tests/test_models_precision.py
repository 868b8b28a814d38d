"""Float64 is float64: casts to float32 inside of a model are kept out, in every format; what stays is known."""

from collections.abc import Callable
from pathlib import Path

import model_files
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification, CLIPVisionConfig, CLIPVisionModel, ViTConfig

from ihcli import explain
from ihcli.models import Model, evaluating, load_model, wrap_module
from ihcli.quality import Status

EPS = {dtype: float(torch.finfo(dtype).eps) for dtype in (torch.float16, torch.float32, torch.float64)}
STEP, DIFFERENCE = 1e-5, 1e-6
"""A central difference of a gradient in float64; where a part is float32 it is off by more than 1e-3."""
D = 4


class Casting(nn.Module):
    """A network with something in its middle."""

    def __init__(self, middle: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(D, D), nn.Linear(D, 1)
        self.middle = middle

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(torch.tanh(self.first(x))).to(x.dtype))


def softmax(h: Tensor) -> Tensor:
    return torch.softmax(h, 1, dtype=torch.float32)


def rms_norm(h: Tensor) -> Tensor:
    wide = h.to(torch.float32)
    return wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)


def floated(h: Tensor) -> Tensor:
    return torch.exp(h.float())


def summed(h: Tensor) -> Tensor:
    return torch.exp(h) / torch.exp(h).sum(1, keepdim=True, dtype=torch.float32)


def buffered(h: Tensor) -> Tensor:
    out = torch.zeros(h.shape[0], 4)
    out[:, :4] = torch.exp(h)
    return out


CASTS = {function.__name__: function for function in (softmax, rms_norm, floated, summed, buffered)}


def eager(module: nn.Module, path: Path) -> Model:
    return wrap_module(module.double())


def traced(module: nn.Module, path: Path) -> Model:
    return load_model(model_files.save_trace(module, model_files.rows(3, D), path), dtype=torch.float64)


def scripted(module: nn.Module, path: Path) -> Model:
    return load_model(model_files.save_script(module, path), dtype=torch.float64)


def exported(module: nn.Module, path: Path) -> Model:
    program = torch.export.export(module, (model_files.rows(3, D),))
    with path.open("wb") as stream:
        torch.export.save(program, stream)
    return load_model(path, trust=True, dtype=torch.float64)


FORMATS = {form.__name__: form for form in (eager, traced, scripted, exported)}


def gradient(model: Model, x: Tensor, create_graph: bool = False) -> Tensor:
    weights = torch.cos(torch.arange(model.outputs(x[:1]).shape[1], dtype=x.dtype))
    return torch.autograd.grad((model.outputs(x) * weights).sum(), x, create_graph=create_graph)[0]


def difference_error(model: Model, x: Tensor) -> float:
    """How far a Hessian-vector product is from a central difference of the gradient, relatively."""
    x = x.detach().requires_grad_()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    (product,) = torch.autograd.grad((gradient(model, x, create_graph=True) * direction).sum(), x)
    ahead, behind = (gradient(model, (x + sign * STEP * direction).detach().requires_grad_()) for sign in (1, -1))
    difference = (ahead - behind) / (2 * STEP)
    return float((product - difference).norm() / difference.norm())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("cast", CASTS)
def test_second_derivatives_in_float64_are_those_of_float64(cast: str, form: str, tmp_path: Path) -> None:
    model = FORMATS[form](Casting(CASTS[cast]).eval(), tmp_path / "model")
    assert difference_error(model, model_files.rows(5, D, torch.float64)) < DIFFERENCE
    assert model.rounding == EPS[torch.float64]


@pytest.mark.parametrize("cast", CASTS)
def test_values_are_those_of_the_network_without_casts(cast: str, tmp_path: Path) -> None:
    class Plain(Casting):
        def forward(self, x: Tensor) -> Tensor:
            h = torch.tanh(self.first(x))
            middles = {
                "softmax": lambda: torch.softmax(h, 1),
                "rms_norm": lambda: h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6),
                "summed": lambda: torch.softmax(h, 1),
            }
            return self.last(middles.get(cast, lambda: torch.exp(h))())

    x = model_files.rows(5, D, torch.float64)
    ours, plain = eager(Casting(CASTS[cast]), tmp_path), Plain(CASTS[cast]).double()
    assert (ours.outputs(x) - plain(x)).abs().max() < 1e-14


def test_a_float32_model_is_called_as_it_is() -> None:
    module, x = Casting(softmax).eval(), model_files.rows(5, D)
    model = wrap_module(module)
    assert torch.equal(model.outputs(x), module(x))
    assert model.rounding == EPS[torch.float32]


def halved(h: Tensor) -> Tensor:
    return torch.exp(h.half())


def rounded(h: Tensor) -> Tensor:
    return h * h.detach().long().to(h.dtype) + torch.round(h)


def test_casts_to_integers_stay_and_round_nothing_else() -> None:
    module, x = Casting(rounded).double(), 3 * model_files.rows(5, D, torch.float64)
    model = wrap_module(module)
    assert torch.equal(model.outputs(x), module(x))
    assert model.rounding == EPS[torch.float64]


def test_casts_to_half_stay_and_are_known() -> None:
    module, x = Casting(halved).double(), model_files.rows(5, D, torch.float64)
    model = wrap_module(module)
    assert torch.equal(model.outputs(x), module(x))
    assert model.rounding == EPS[torch.float16]


class Table(Casting):
    """Holds a tensor that is no buffer, so that no conversion reaches it."""

    def __init__(self, use: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(lambda h: use(h, self.table))
        self.table = torch.eye(D)


def into_table(h: Tensor, table: Tensor) -> Tensor:
    out = table.repeat(len(h), 1, 1)
    out[:, 0] = torch.exp(h)
    return out.sum(1)


def by_table(h: Tensor, table: Tensor) -> Tensor:
    return torch.exp(h.float() @ table)


def by_bits(h: Tensor, table: Tensor) -> Tensor:
    return torch.exp(h.float()).view(torch.int32).view(torch.float32)[:, :D]


@pytest.mark.parametrize("use", [into_table, by_table, by_bits])
def test_where_casts_cannot_be_kept_out_the_rounding_is_known_to_be_that_of_float32(
    use: Callable[[Tensor, Tensor], Tensor],
) -> None:
    module, x = Table(use).double(), model_files.rows(5, D, torch.float64)
    model = wrap_module(module)
    assert torch.equal(model.outputs(x), module(x))
    assert model.rounding == EPS[torch.float32]


def test_rounding_inside_counts_in_the_error_of_an_explanation() -> None:
    x = model_files.rows(6, D, torch.float64).numpy()
    tight = {"tolerance": 1e-9, "method": "ig"}
    whole, rounding = explain(Casting(softmax).double(), x, **tight), explain(Table(into_table).double(), x, **tight)
    assert set(whole.status) == {Status.OK}
    assert set(rounding.status) == {Status.ROUNDING}
    assert rounding.relative_error.min() > EPS[torch.float32]


def test_what_fails_is_told_in_the_words_of_the_plain_call() -> None:
    model = wrap_module(Casting(softmax).double())
    with pytest.raises(Exception, match=r"mat1 and mat2 shapes cannot be multiplied \(2x7 and 4x4\)"):
        model.outputs(torch.zeros(2, 7, dtype=torch.float64))
    assert difference_error(model, model_files.rows(5, D, torch.float64)) < DIFFERENCE


SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
PIXELS = {"image_size": 8, "patch_size": 4, "num_channels": 1, "initializer_range": 0.3}


class Pixels(nn.Module):
    """An image classifier, or encoder, of flat pixels."""

    def __init__(self, network: nn.Module, output: str) -> None:
        super().__init__()
        self.network, self.output = network, output

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.reshape(-1, 1, 8, 8))[self.output]


def vit() -> Pixels:
    config = ViTConfig(**SIZES, **PIXELS, num_labels=2, attn_implementation="eager")
    return Pixels(AutoModelForImageClassification.from_config(config), "logits")


def clip() -> Pixels:
    config = CLIPVisionConfig(**SIZES, **PIXELS, initializer_factor=3.0, attn_implementation="eager")
    return Pixels(CLIPVisionModel(config), "pooler_output")


@pytest.mark.parametrize("build", [vit, clip])
def test_image_models_of_transformers_are_float64_in_float64(build: Callable[[], Pixels]) -> None:
    torch.manual_seed(0)
    module = build().double()
    x = model_files.rows(2, 64, torch.float64)
    with evaluating(module):
        assert difference_error(wrap_module(module), x) < DIFFERENCE
        direct = Model(module, "", torch.float32, torch.device("cpu"))  # which leaves casts alone
        assert difference_error(direct, x) > 100 * DIFFERENCE
