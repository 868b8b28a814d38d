"""SoftPlus in the place of every replaced form, in every kind of module, against formulas written by hand."""

import importlib.util
import io
import math
import re
import warnings
from collections.abc import Callable
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ihcli
from ihcli.errors import ModelError, OptionError
from ihcli.models.formats.exported import Batch, read_program
from ihcli.models.model import Model
from ihcli.smoothing import BETA_LADDER, choose_beta, find_operations, resolve_smoothing, smooth_model

# Both sides compute the same float64 formula in another order; second derivatives scale with beta.
ROUNDING = 1e-12
BETA = 5.0

Activation = Callable[[Tensor], Tensor]


def softplus(z: Tensor) -> Tensor:
    return torch.logaddexp(torch.zeros_like(z), BETA * z) / BETA


def leaky(slope: float | Tensor) -> Activation:
    return lambda z: slope * z + (1 - slope) * softplus(z)


def between(low: float, high: float) -> Activation:
    return lambda z: low + softplus(z - low) - softplus(z - high)


def hardsigmoid(z: Tensor) -> Tensor:
    return (softplus(z + 3) - softplus(z - 3)) / 6


def first_two(z: Tensor) -> Tensor:
    return torch.cat([softplus(z[:, :2]), z[:, 2:]], dim=1)


SLOPES = torch.tensor([0.1, 0.3, -0.2, 0.5], dtype=torch.float64)

CASES: dict[str, Activation] = {
    "y = F.relu(z)": softplus,
    "y = F.relu(z, inplace=True)": softplus,
    "y = F.relu(z, True)": softplus,
    "y = torch.relu(z)": softplus,
    "y = torch.relu_(z)": softplus,
    "y = z.relu()": softplus,
    "z.relu_(); y = z": softplus,
    "z[:, :2].relu_(); y = z": first_two,
    "y = self.relu(z)": softplus,
    "y = self.relu_in_place(z)": softplus,
    "y = z.clamp(min=0)": softplus,
    "y = torch.clamp(z, min=0.0)": softplus,
    "z.clamp_(min=0.0); y = z": softplus,
    "y = torch.clip(z, 0.0)": softplus,
    "y = z.clamp_min(0)": softplus,
    "y = torch.clamp_min_(z, 0.0)": softplus,
    "y = F.threshold(z, 0.0, 0.0)": softplus,
    "y = torch.threshold(z, 0.2, 0.2)": lambda z: 0.2 + softplus(z - 0.2),
    "y = self.threshold(z)": lambda z: 0.2 + softplus(z - 0.2),
    "y = F.threshold(z, 0.2, 0.2, inplace=True)": lambda z: 0.2 + softplus(z - 0.2),
    "y = z.clamp(max=0.3)": lambda z: 0.3 - softplus(0.3 - z),
    "y = torch.clamp_max(z, 0.3)": lambda z: 0.3 - softplus(0.3 - z),
    "y = z.clamp_max_(0.3)": lambda z: 0.3 - softplus(0.3 - z),
    "y = z.clamp(-0.5, 0.3)": between(-0.5, 0.3),
    "y = torch.clamp(z, min=-0.5, max=0.3)": between(-0.5, 0.3),
    "y = z.clamp(self.bounds[0], self.bounds[1])": between(-0.5, 0.3),
    "y = z.clamp(-float('inf'), 0.3)": lambda z: 0.3 - softplus(0.3 - z),
    "y = F.hardtanh(z)": between(-1, 1),
    "y = F.hardtanh(z, -0.5, 0.3)": between(-0.5, 0.3),
    "y = F.hardtanh(z, -0.5, 0.3, inplace=True)": between(-0.5, 0.3),
    "y = F.hardtanh_(z, -0.5, 0.3)": between(-0.5, 0.3),
    "y = self.hardtanh(z)": between(-0.5, 0.3),
    "y = F.relu6(z)": between(0, 6),
    "y = F.relu6(z, inplace=True)": between(0, 6),
    "y = self.relu6(z)": between(0, 6),
    "y = F.leaky_relu(z)": leaky(0.01),
    "y = F.leaky_relu(z, 0.2)": leaky(0.2),
    "y = F.leaky_relu(z, negative_slope=0.2, inplace=True)": leaky(0.2),
    "F.leaky_relu_(z, 0.2); y = z": leaky(0.2),
    "y = self.leaky_relu(z)": leaky(0.2),
    "y = F.rrelu(z, 0.1, 0.3)": leaky(0.2),
    "y = self.rrelu(z)": leaky(0.2),
    "y = F.prelu(z, self.prelu.weight)": leaky(SLOPES),
    "y = self.prelu(z)": leaky(SLOPES),
    "y = self.prelu(z.unsqueeze(2)).squeeze(2)": leaky(SLOPES),
    "y = F.hardsigmoid(z)": hardsigmoid,
    "y = F.hardsigmoid(z, inplace=True)": hardsigmoid,
    "y = F.hardswish(z)": lambda z: z * hardsigmoid(z),
    "y = self.hardswish(z)": lambda z: z * hardsigmoid(z),
    "y = F.relu(z) ** 2": lambda z: softplus(z) ** 2,
}

SOURCE = """
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)
        self.relu, self.relu_in_place, self.relu6 = nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6()
        self.threshold, self.hardtanh = nn.Threshold(0.2, 0.2), nn.Hardtanh(-0.5, 0.3)
        self.leaky_relu, self.rrelu, self.prelu = nn.LeakyReLU(0.2), nn.RReLU(0.1, 0.3), nn.PReLU(4)
        self.hardswish = nn.Hardswish()
        self.register_buffer("bounds", torch.tensor([-0.5, 0.3]))

    def forward(self, x):
        z = self.first(x)
        STATEMENT
        return self.last(torch.tanh(y))
"""


@contextmanager
def torchscript_allowed():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.jit")
        yield


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Return a function that compiles a network around a statement; scripting needs sources in a file."""
    folder = tmp_path_factory.mktemp("networks")

    def build_network(statement: str) -> nn.Module:
        path = folder / f"network_{abs(hash(statement))}.py"
        path.write_text(SOURCE.replace("STATEMENT", statement))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        torch.manual_seed(0)
        network = loaded.Net().double().eval()
        with torch.no_grad():
            network.prelu.weight.copy_(SLOPES)
            network.bounds.copy_(torch.tensor([-0.5, 0.3], dtype=torch.float64))
            network.first.weight.mul_(3)
        return network

    return build_network


def rows(n: int = 5, seed: int = 1, width: int = 3) -> Tensor:
    return torch.randn(n, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def as_model(module: nn.Module, dtype: torch.dtype = torch.float64) -> Model:
    return Model(module, "in memory", dtype, torch.device("cpu"))


def scripted(module: nn.Module) -> torch.jit.ScriptModule:
    with torchscript_allowed():
        return torch.jit.script(module)


def traced(module: nn.Module) -> torch.jit.ScriptModule:
    with torchscript_allowed():
        return torch.jit.trace(module, rows())


def reloaded(module: nn.Module) -> torch.jit.ScriptModule:
    buffer = io.BytesIO()
    with torchscript_allowed():
        torch.jit.save(torch.jit.script(module), buffer)
        buffer.seek(0)
        return torch.jit.load(buffer)


def frozen(module: nn.Module) -> torch.jit.ScriptModule:
    with torchscript_allowed():
        return torch.jit.freeze(torch.jit.script(module))


def exported(module: nn.Module) -> nn.Module:
    """Return a program exported at a batch size that its graph does not mention."""
    return read_program(torch.export.export(module, (rows(),)), Batch(1, None))


KINDS = {
    "eager": lambda module: module,
    "scripted": scripted,
    "traced": traced,
    "reloaded": reloaded,
    "frozen": frozen,
    "exported": exported,
}


def derivatives(function: Activation, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs (P, K) and, in one batched backward pass, the Hessians (D, P, D) of their sum."""
    inputs = inputs.clone().requires_grad_()
    outputs = function(inputs)
    (gradient,) = torch.autograd.grad((outputs * torch.tensor([1.0, -2.0])).sum(), inputs, create_graph=True)
    directions = torch.eye(inputs.shape[1], dtype=inputs.dtype).unsqueeze(1).expand(-1, *inputs.shape)
    (hessian,) = torch.autograd.grad(gradient, inputs, directions, is_grads_batched=True)
    return outputs.detach(), hessian


@pytest.mark.parametrize("statement", CASES)
def test_every_replaced_form_has_the_values_and_hessians_of_softplus_written_by_hand(build, statement):
    compare_with_formula(build(statement), statement, ["eager", "traced", "reloaded", "exported"])


@pytest.mark.parametrize("statement", ["y = self.relu_in_place(z)", "y = self.prelu(z)", "y = z.clamp(-0.5, 0.3)"])
def test_modules_scripted_or_frozen_in_memory_are_smoothed_like_saved_ones(build, statement):
    compare_with_formula(build(statement), statement, ["scripted", "frozen"])


def compare_with_formula(network: nn.Module, statement: str, kinds: list[str]) -> None:
    by_hand = CASES[statement]
    outputs, hessian = derivatives(lambda x: network.last(torch.tanh(by_hand(network.first(x)))), rows())
    for kind in kinds:
        smooth = smooth_model(as_model(KINDS[kind](network)), BETA).module
        # TorchScript specialises itself in the first call: the later ones are what a run would see.
        for _ in range(2):
            smooth_outputs, smooth_hessian = derivatives(smooth, rows())
            assert (smooth_outputs - outputs).abs().max() < ROUNDING, kind
            assert (smooth_hessian - hessian).abs().max() < ROUNDING * BETA, kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("statement", ["y = F.relu(z, inplace=True)", "y = self.hardtanh(z)", "y = z.clamp_(min=0)"])
def test_smoothing_leaves_the_given_module_as_it_was(build, statement, kind):
    module = KINDS[kind](build(statement))
    graph = str(getattr(module, "graph", ""))
    requires_grad = [parameter.requires_grad for parameter in module.parameters()]
    before = module(rows()).detach()
    model = as_model(module)
    smooth = smooth_model(model, BETA)
    find_operations(model, rows())
    assert (smooth.outputs(rows()) - before).abs().max() > 1e-3
    assert torch.equal(module(rows()), before)
    assert str(getattr(module, "graph", "")) == graph
    assert [parameter.requires_grad for parameter in module.parameters()] == requires_grad
    assert model.module is module


@pytest.mark.parametrize("beta", [0.5, 3.0, 200.0])
def test_softplus_is_within_ln_2_over_beta_of_relu_and_reaches_it_at_the_knee(beta):
    z = torch.linspace(-3, 3, 101, dtype=torch.float64).unsqueeze(1)
    excess = smooth_model(as_model(nn.ReLU()), beta).module(z) - z.relu()
    assert (excess >= 0).all()
    assert math.isclose(excess.max(), math.log(2) / beta, rel_tol=ROUNDING)


@pytest.mark.parametrize("convert", [KINDS["eager"], KINDS["scripted"]])
def test_softplus_in_float64_has_no_jump_where_torch_would_turn_linear(convert):
    beta = 1000.0
    scaled = torch.tensor([-45.0, -30.0, -21.0, -19.0, 0.0, 19.0, 21.0, 30.0, 39.0, 41.0], dtype=torch.float64)
    z = (scaled / beta).requires_grad_()
    value = smooth_model(as_model(convert(nn.ReLU())), beta).module(z)
    (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), z)
    tail = torch.exp(-scaled.abs())
    assert (value - (z.relu() + torch.log1p(tail) / beta)).abs().max() < 1e-16
    assert (curvature - beta * tail / (1 + tail) ** 2).abs().max() < 1e-15 * beta


@pytest.mark.parametrize("kind", ["eager", "scripted"])
def test_a_model_cast_to_float64_is_smoothed_in_float64(build, kind):
    network = build("y = F.relu(z)").float()
    single = KINDS[kind](network)
    outputs = smooth_model(as_model(single, torch.float32), BETA).outputs(rows().float())
    double = smooth_model(as_model(single.double()), BETA).outputs(rows())
    assert outputs.dtype == torch.float32
    assert double.dtype == torch.float64
    assert (outputs - double).abs().max() < 1e-5


class ClampedWeights(nn.Module):
    """Clamps what is not an activation: its weights and an index."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.01, -0.02, 0.5]], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        first = torch.clamp(x[:, 0].long(), 0, 1)
        return x @ self.weight.clamp(min=0.0).t() + first.unsqueeze(1)


@pytest.mark.parametrize("kind", ["eager", "scripted", "exported"])
def test_clamped_weights_and_indices_are_left_alone(kind):
    model = as_model(KINDS[kind](ClampedWeights()))
    assert torch.equal(smooth_model(model, 0.5).outputs(rows()), model.outputs(rows()))


LEFT_ALONE = ["y = z.clamp(0.5, 0.1)", "y = torch.clamp(z, 0.0, 1.0, out=torch.empty_like(z))"]


@pytest.mark.parametrize("statement", LEFT_ALONE)
def test_clamps_that_are_no_sum_of_relus_are_left_alone(build, statement):
    for convert in (KINDS["eager"], scripted, exported):
        model = as_model(convert(build(statement).requires_grad_(False)))
        assert torch.equal(smooth_model(model, BETA).outputs(rows()), model.outputs(rows()))


def test_a_bound_that_torchscript_computes_is_named_as_a_kink(build):
    statement = "y = z.clamp(min=-0.5, max=0.1 * z.size(1))"
    model = as_model(scripted(build(statement)))
    assert find_operations(model, None).kinks == ("clamp",)
    assert torch.equal(smooth_model(model, BETA).outputs(rows()), model.outputs(rows()))
    assert find_operations(as_model(build(statement)), rows()).replaceable == ("clamp",)


def test_a_scripted_part_of_an_eager_model_is_smoothed_too(build):
    network = build("y = F.relu(z)")
    mixed = nn.Sequential(scripted(network), nn.ReLU())
    whole = nn.Sequential(network, nn.ReLU())
    part = mixed[0]
    assert find_operations(as_model(mixed), rows()).replaceable == ("relu x2",)
    expected = smooth_model(as_model(whole), BETA).outputs(rows())
    assert (smooth_model(as_model(mixed), BETA).outputs(rows()) - expected).abs().max() < ROUNDING
    assert mixed[0] is part


def test_operations_are_counted_in_the_order_they_are_met():
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.LeakyReLU(), nn.ReLU(), nn.GELU())
    module = module.append(nn.Softmax(1)).double()
    operations = find_operations(as_model(module), rows())
    assert operations.activations == ("relu x2", "leaky_relu", "gelu", "softmax")
    assert operations.replaceable == ("relu x2", "leaky_relu")
    assert operations.kinks == ()
    assert find_operations(as_model(scripted(module)), None) == operations
    assert find_operations(as_model(exported(module)), None) == operations
    assert find_operations(as_model(module), None) == operations


KINKS = {
    "y = z.abs()": "abs",
    "y = torch.maximum(z, -z)": "maximum",
    "y = z * z.amax(1, keepdim=True)": "amax",
    "y = z * (z > 0)": "comparison",
    "y = torch.where(z < 0.1, z, z * 2)": "comparison",
    "y = z.sort(dim=1)[0]": "sort",
    "y = torch.topk(z, 4)[0]": "topk",
    "y = z * z.median()": "median",
    "y = z + torch.sign(z)": "sign",
    "y = z + z.round()": "round",
    "y = F.hardshrink(z)": "hardshrink",
    "y = F.softshrink(z)": "softshrink",
    "y = F.selu(z)": "selu",
    "y = F.elu(z, 0.5)": "elu with alpha other than 1",
    "y = F.max_pool1d(z.unsqueeze(1), 3, 1, 1).squeeze(1)": "max_pool1d",
    "y = z * torch.linalg.vector_norm(z, 1.0)": "norm of order 1",
    "y = z * z.norm(p=1)": "norm of order 1",
    "y = F.threshold(z, 0.2, 0.7)": "threshold",
}


@pytest.mark.parametrize("statement", KINKS)
def test_what_bends_or_jumps_and_stays_is_named(build, statement):
    network = build(statement)
    for kind in ("eager", "scripted", "traced", "exported"):
        operations = find_operations(as_model(KINDS[kind](network)), rows())
        assert operations.kinks == (KINKS[statement],), kind
        assert operations.replaceable == (), kind


SMOOTH = [
    "y = z * z.norm(p=2)",
    "y = F.elu(z)",
    "y = F.softplus(z)",
    "y = F.celu(z, 2.0)",
    "y = z * self.first.weight.abs().sum()",
    "y = z * (torch.arange(z.size(1)) < z.size(0))",
]


@pytest.mark.parametrize("statement", SMOOTH)
def test_smooth_operations_and_kinks_of_weights_and_sizes_are_not_named(build, statement):
    for convert in (KINDS["eager"], scripted, exported):
        assert find_operations(as_model(convert(build(statement))), rows()).kinks == ()


class StepGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * 1.0

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient * (ctx.saved_tensors[0] > 0)


class OutOfReach(nn.Module):
    """Bends where no call can be intercepted."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.RNN(3, 2, nonlinearity="relu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden, _ = self.recurrent(StepGradient.apply(x).unsqueeze(1))
        return F.normalize(hidden[:, 0])


def test_kinks_out_of_reach_are_named():
    operations = find_operations(as_model(OutOfReach().double()), rows())
    assert operations.replaceable == ()
    assert operations.kinks == (
        "rnn_relu",
        "clamp_min inside another function",
        "relu inside another function",
        "autograd.Function StepGradient",
    )


def test_classes_of_submodules_tell_of_kinks_without_a_probe():
    module = nn.Sequential(
        nn.Threshold(0, 0), nn.Threshold(0, 1), nn.ELU(0.5), nn.SELU(), nn.MaxPool1d(2), OutOfReach()
    )
    operations = find_operations(as_model(module), None)
    assert operations.replaceable == ("threshold",)
    assert operations.kinks == ("threshold", "elu with alpha other than 1", "selu", "max_pool1d", "rnn_relu")


def relative_drift(module: nn.Module, beta: float, sample: Tensor) -> float:
    exact = module(sample)
    by_hand = torch.logaddexp(torch.zeros(()).double(), beta * module[0](sample)) / beta
    drift = (module[2](by_hand) - exact).square().mean(0).sqrt() / exact.std(0, correction=0)
    return drift.max().item()


@pytest.mark.parametrize("tolerance", [0.1, 0.01, 0.001])
def test_the_smallest_beta_of_the_ladder_within_the_tolerance_is_chosen(tolerance):
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).double().requires_grad_(False)
    sample = rows(200)
    smooth, smoothing = choose_beta(as_model(module), [sample], tolerance)
    drifts = [relative_drift(module, beta, sample) for beta in BETA_LADDER]
    within = [beta for beta, drift in zip(BETA_LADDER, drifts, strict=True) if drift <= tolerance]
    assert BETA_LADDER[0] < smoothing.beta == within[0] < BETA_LADDER[-1]
    assert math.isclose(smoothing.drift, drifts[BETA_LADDER.index(within[0])], rel_tol=1e-9)
    assert smoothing.within_tolerance
    assert smoothing.replaced == ("relu",)
    assert smooth.module.beta == smoothing.beta


def test_changed_predictions_alone_ask_for_a_sharper_softplus():
    class Classes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            # Left of 0 the classes are a hair apart, far less than the first one varies.
            return torch.cat([x.relu() - 1e-3, 0 * x], dim=1)

    sample = torch.linspace(-1, 1, 201, dtype=torch.float64).unsqueeze(1)
    _, smoothing = choose_beta(as_model(Classes()), [sample], 0.05)
    rung = BETA_LADDER.index(smoothing.beta)
    _, gentler = resolve_smoothing(as_model(Classes()), BETA_LADDER[rung - 1], [sample], True, 0.05)
    assert gentler.drift < 0.05 < gentler.changed
    assert smoothing.changed <= 0.05


def test_a_probability_changes_its_prediction_at_one_half():
    sample = torch.tensor([[-0.6], [-0.05], [0.1], [0.4]], dtype=torch.float64)

    class Probability(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0.45 + x.relu() / 2

    class Logit(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0.45 + x.relu() * 5

    exact = Probability()(sample)[:, 0] >= 0.5
    smoothed = (0.45 + torch.logaddexp(torch.zeros(()).double(), 4 * sample) / 8)[:, 0] >= 0.5
    _, smoothing = resolve_smoothing(as_model(Probability()), 4.0, [sample], True, 0.01)
    assert smoothing.changed == (exact != smoothed).double().mean() == 0.25
    _, smoothing = resolve_smoothing(as_model(Logit()), 4.0, [sample], True, 0.01)
    assert smoothing.changed == 0


def test_of_several_outputs_the_worst_drift_counts():
    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[:, 0] * 100, x[:, 0].relu(), x[:, 1] * 0.01], dim=1)

    sample = rows(50)
    drift = (torch.logaddexp(torch.zeros(()).double(), 3 * sample[:, 0]) / 3 - sample[:, 0].relu()).square().mean()
    _, smoothing = resolve_smoothing(as_model(Scaled()), 3.0, [sample], True, 0.01)
    expected = drift.sqrt() / sample[:, 0].relu().std(correction=0)
    assert math.isclose(smoothing.drift, expected, rel_tol=1e-9)


def test_a_model_that_begins_in_place_changes_neither_probe_nor_sample():
    sample = rows()
    assert find_operations(as_model(nn.ReLU(inplace=True)), sample).replaceable == ("relu",)
    _, smoothing = choose_beta(as_model(nn.ReLU(inplace=True)), [sample], 0.01)
    assert smoothing == choose_beta(as_model(nn.ReLU()), [sample], 0.01)[1]
    assert torch.equal(sample, rows())


def test_the_sharpest_beta_is_returned_and_marked_where_none_is_within_the_tolerance():
    smooth, smoothing = choose_beta(as_model(nn.ReLU()), [rows()], 0.0)
    assert smoothing.beta == smooth.module.beta == BETA_LADDER[-1]
    assert not smoothing.within_tolerance


def test_a_constant_output_is_measured_against_its_size():
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (0 * x[:, :1]).relu() + 10

    _, smoothing = resolve_smoothing(as_model(Constant()), 1.0, [rows()], True, 0.01)
    assert math.isclose(smoothing.drift, math.log(2) / 10, rel_tol=1e-9)
    _, smoothing = resolve_smoothing(as_model(nn.Sequential(nn.ReLU())), 1.0, [-rows().abs()[:1]], True, 0.01)
    assert math.isfinite(smoothing.drift)


def test_auto_smooths_only_where_second_derivatives_need_it():
    relu, tanh = as_model(nn.ReLU()), as_model(nn.Tanh())
    assert resolve_smoothing(relu, "auto", [rows()], False, 0.01) == (relu, None)
    assert resolve_smoothing(tanh, "auto", [rows()], True, 0.01) == (tanh, None)
    assert resolve_smoothing(relu, "none", [rows()], True, 0.01) == (relu, None)
    _, smoothing = resolve_smoothing(relu, "auto", [rows()], True, 0.01)
    assert smoothing == choose_beta(relu, [rows()], 0.01)[1]


def test_a_given_beta_is_used_whatever_the_drift():
    for option in (2.0, "2"):
        smooth, smoothing = resolve_smoothing(as_model(nn.ReLU()), option, [rows()], False, 1e-6)
        assert smooth.module.beta == smoothing.beta == 2.0
        assert smoothing.replaced == ("relu",)
        assert not smoothing.within_tolerance


@pytest.mark.parametrize("beta", [0.0, -1.0, float("inf"), float("nan")])
def test_a_beta_that_is_not_finite_and_positive_is_refused(beta):
    with pytest.raises(OptionError) as refusal:
        resolve_smoothing(as_model(nn.ReLU()), beta, [rows()], True, 0.01)
    assert str(refusal.value) == (
        f"`smooth`: beta cannot be {beta!r}. Expected a finite number above 0, got {beta!r}. Try `smooth=auto`."
    )


def test_an_unknown_setting_is_refused_with_the_ones_there_are():
    with pytest.raises(OptionError) as refusal:
        resolve_smoothing(as_model(nn.ReLU()), "soft", [rows()], True, 0.01)
    assert str(refusal.value) == (
        "`smooth`: 'soft' is not a setting. Expected auto, scan, none or a number above 0, got 'soft'. "
        "Try `smooth=auto`."
    )


def test_a_torchscript_module_that_cannot_be_copied_is_refused_with_a_way_out():
    class Custom(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return StepGradient.apply(x)

    model = as_model(traced(Custom()))
    assert find_operations(model, None).kinks == ("a call that cannot be inlined",)
    with pytest.raises(ModelError, match=r"(?s)^model: this TorchScript module cannot be copied.*Try `smooth=none`\.$"):
        smooth_model(model, BETA)


class Guarded(nn.Module):
    """A clip of what a squashing function gives, and views of it in between."""

    def __init__(self, squash: Activation, low: float | None, high: float | None) -> None:
        super().__init__()
        self.squash, self.low, self.high = squash, low, high

    def forward(self, inputs: Tensor) -> Tensor:
        return self.squash(inputs)[:, 0].unsqueeze(1).clamp(self.low, self.high)


GUARDS = [
    (torch.sigmoid, 1e-6, 1 - 1e-6),
    (lambda z: F.softmax(z, dim=1), 1e-12, None),
    (torch.tanh, -0.999, 0.999),
    (lambda z: F.log_softmax(z, dim=1), -20.0, None),
]
BENDS = [(torch.sigmoid, 0.2, 1.0), (torch.tanh, 0.0, None), (lambda z: z, 0.0, 1.0)]


@pytest.mark.parametrize("kind", ["eager", "traced", "exported"])
@pytest.mark.parametrize(("squash", "low", "high"), GUARDS)
def test_clips_that_guard_the_ends_of_a_range_stay_as_they_are(squash, low, high, kind):
    model = as_model(KINDS[kind](Guarded(squash, low, high)))
    found = find_operations(model, rows())
    assert found.replaceable == ()
    assert found.kinks == ("clamp",)
    assert torch.equal(smooth_model(model, BETA).outputs(rows()), model.outputs(rows()))


@pytest.mark.parametrize("kind", ["eager", "traced", "exported"])
@pytest.mark.parametrize(("squash", "low", "high"), BENDS)
def test_clips_that_bend_within_a_range_are_smoothed(squash, low, high, kind):
    found = find_operations(as_model(KINDS[kind](Guarded(squash, low, high))), rows())
    assert found.replaceable == ("clamp",)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Tanh(), r"^`smooth=3` changes nothing: the model has no ReLU to replace with SoftPlus\.$"),
        (nn.ReLU(), None),
    ],
)
def test_a_smoothing_that_has_nothing_to_replace_is_told(layer: nn.Module, words: str | None) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), layer, nn.Linear(4, 1))
    rows = torch.randn(6, 3).numpy()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ihcli.explain(network, rows, smooth=3)
        told = [str(warning.message) for warning in caught if "changes nothing" in str(warning.message)]
        assert [bool(re.search(words, text)) for text in told] == [True] if words else told == []
        ihcli.explain(network, rows)
        ihcli.explain(network, rows, smooth="none")
    assert sum("changes nothing" in str(warning.message) for warning in caught) == len(told)
