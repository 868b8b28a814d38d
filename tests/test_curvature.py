"""Every rule of the table alone agrees with automatic differentiation, and so do whole architectures."""

from collections.abc import Callable

import architectures
import pytest
import torch
from problems import MEMORY_BYTES, normal, straight_paths
from torch import Tensor, nn
from torch.nn import functional as F

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.calling import calling
from ihcli.derivatives.curvature import RULES
from ihcli.derivatives.operations import OperationsEngine
from ihcli.derivatives.paths import Paths
from ihcli.models import wrap_module

EXACT = 1e-12
"""Float64, relative to the largest entry."""
D = 12
Function = Callable[[Tensor], Tensor]


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return normal(*shape, seed=100 + seed)


def pixels(x: Tensor) -> Tensor:
    return (x @ seeded(D, 16, seed=1)).view(-1, 1, 4, 4)


def both(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return two matrices of each point, (P, 3, 2) and (P, 2, 4)."""
    return (x @ seeded(D, 6, seed=2)).view(-1, 3, 2), (x @ seeded(D, 8, seed=3)).view(-1, 2, 4)


def positive(x: Tensor) -> Tensor:
    return 0.5 + x**2


def within(x: Tensor) -> Tensor:
    return 0.9 * torch.tanh(x)


def bent(x: Tensor) -> Tensor:
    """Give each input another curvature, so that linear operations after it show in the matrix."""
    return torch.tanh(x) + 0.1 * x**2


def weighed(x: Tensor) -> Tensor:
    """End in two outputs that weigh all numbers of a point differently, and bend once more."""
    flat = x.flatten(1)
    return torch.sin(flat @ seeded(flat.shape[1], 2, seed=9) / 3)


UNARY: dict[str, tuple[Function, Function]] = {
    "softplus": (lambda x: F.softplus(x, 2.0, 40.0), bent),
    "tanh": (torch.tanh, bent),
    "sigmoid": (torch.sigmoid, bent),
    "silu": (F.silu, bent),
    "gelu": (F.gelu, bent),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), bent),
    "elu": (F.elu, bent),
    "selu": (F.selu, bent),
    "celu": (F.celu, bent),
    "relu": (F.relu, bent),
    "leaky relu": (F.leaky_relu, bent),
    "relu6": (F.relu6, bent),
    "hardtanh": (F.hardtanh, bent),
    "hardswish": (F.hardswish, bent),
    "threshold": (lambda x: F.threshold(x, 0.2, 0.1), bent),
    "clamp": (lambda x: x.clamp(-0.5, 0.5), bent),
    "clamp from below": (lambda x: x.clamp_min(0.1), bent),
    "clamp from above": (lambda x: x.clamp_max(0.1), bent),
    "exp": (torch.exp, bent),
    "exp2": (torch.exp2, bent),
    "expm1": (torch.expm1, bent),
    "log": (torch.log, positive),
    "log2": (torch.log2, positive),
    "log10": (torch.log10, positive),
    "log1p": (torch.log1p, positive),
    "sin": (torch.sin, bent),
    "cos": (torch.cos, bent),
    "tan": (torch.tan, within),
    "sinh": (torch.sinh, bent),
    "cosh": (torch.cosh, bent),
    "asinh": (torch.asinh, bent),
    "acosh": (lambda x: torch.acosh(1 + x), positive),
    "atanh": (torch.atanh, within),
    "asin": (torch.asin, within),
    "acos": (torch.acos, within),
    "atan": (torch.atan, bent),
    "erf": (torch.erf, bent),
    "erfc": (torch.erfc, bent),
    "sqrt": (torch.sqrt, positive),
    "rsqrt": (torch.rsqrt, positive),
    "reciprocal": (torch.reciprocal, positive),
    "abs": (torch.abs, bent),
    "logsigmoid": (F.logsigmoid, bent),
    "mish": (F.mish, bent),
    "softshrink": (lambda x: F.softshrink(x, 0.1), bent),
    "square": (torch.square, bent),
    "cube": (lambda x: x**3, bent),
    "power of a half": (lambda x: x**0.5, positive),
    "power of zero": (lambda x: x**0 + x, bent),
    "power of one": (lambda x: x**1, bent),
    "hardshrink": (lambda x: F.hardshrink(x, 0.1), bent),
    "logit": (torch.logit, lambda x: torch.sigmoid(bent(x))),
    "sinc": (torch.sinc, bent),
    "log of gamma": (torch.lgamma, positive),
    "sign of a step": (lambda x: x * torch.sign(x.detach()), bent),
}
ONE = torch.ones((), dtype=torch.float64)
PRODUCTS: dict[str, Function] = {
    "a product": lambda x: bent(x) * torch.sin(x.flip(1)),
    "a product with itself": lambda x: (y := bent(x)) * y,
    "a product that broadcasts": lambda x: bent(x)[:, :, None] * torch.sin(x)[:, None, :],
    "a product of other ranks": lambda x: (x @ seeded(D, 6, seed=2)).view(-1, 2, 3).sin() * bent(x)[:, :1, None],
    "a product with constants": lambda x: bent(x) * seeded(D, seed=4),
    "a quotient": lambda x: bent(x) / positive(x.flip(1)),
    "a quotient of constants": lambda x: seeded(D, seed=4) / positive(x),
    "a quotient by constants": lambda x: bent(x) / seeded(D, seed=4),
    "matrices": lambda x: torch.bmm(*both(bent(x))),
    "matrices the other way": lambda x: torch.bmm(both(bent(x))[1].transpose(1, 2), both(bent(x))[0].transpose(1, 2)),
    "matrices of many": lambda x: bent(x).view(-1, 2, 3, 2) @ torch.sin(x).view(-1, 2, 2, 3),
    "matrices and constants": lambda x: both(bent(x))[0] @ seeded(2, 5, seed=5),
    "constants and matrices": lambda x: seeded(5, 3, seed=5) @ both(bent(x))[0],
    "a sum of matrices": lambda x: torch.baddbmm(bent(x)[:, :, None].view(-1, 3, 4), *both(x), alpha=0.5, beta=2),
    "layers": lambda x: F.linear(bent(x), seeded(5, D, seed=6), seeded(5, seed=7)),
    "weights of the row": lambda x: torch.einsum("pi,pij->pj", x[:, :3], bent(x)[:, :9].view(-1, 3, 3)),
    "a product added": lambda x: torch.addcmul(bent(x), torch.sin(x), bent(x.flip(1)), value=0.5),
    "a product added to constants": lambda x: torch.addcmul(seeded(D, seed=4), bent(x), seeded(D, seed=5), value=2),
    "a quotient added": lambda x: torch.addcdiv(x, bent(x), positive(x.flip(1)), value=0.5),
    "constants added": lambda x: torch.addcmul(bent(x), seeded(D, seed=4), seeded(D, seed=5)),
    "an angle of two": lambda x: torch.atan2(bent(x), positive(x.flip(1))) + torch.atan2(x, seeded(D, seed=4)),
    "a length of two": lambda x: torch.hypot(bent(x).view(-1, 3, 4), positive(x.flip(1)).view(-1, 3, 4)[:, :1]),
    "a sum of two exponentials": lambda x: torch.logaddexp(bent(x), torch.sin(x)) + torch.logaddexp(bent(x), 0 * ONE),
    "a number times a logarithm": lambda x: torch.xlogy(bent(x), positive(x)),
    "powers of its own": lambda x: positive(x) ** torch.sin(x.flip(1)) + 2 ** bent(x),
    "gated halves": lambda x: F.glu(bent(x)),
    "gated halves of rows": lambda x: F.glu(bent(x).view(-1, 4, 3), 1),
}
NORMALISED: dict[str, Function] = {
    "softmax": lambda x: torch.softmax(bent(x), 1),
    "softmax of rows": lambda x: torch.softmax(bent(x).view(-1, 4, 3), 1),
    "log-softmax": lambda x: torch.log_softmax(bent(x).view(-1, 4, 3), 2),
    "log-softmax of rows": lambda x: torch.log_softmax(bent(x).view(-1, 4, 3), 1),
    "log of a sum of exponentials": lambda x: torch.logsumexp(bent(x).view(-1, 4, 3), 2),
    "the same of all": lambda x: torch.logsumexp(bent(x), (0, 1) if x.dim() == 1 else 1, keepdim=True),
    "a length": lambda x: torch.linalg.vector_norm(bent(x).view(-1, 4, 3), dim=2),
    "a direction": lambda x: F.normalize(bent(x)),
    "an angle": lambda x: F.cosine_similarity(bent(x), torch.sin(x.flip(1)), 1)[:, None],
    "variance": lambda x: bent(x).view(-1, 4, 3).var(2),
    "variance of all": lambda x: bent(x).var(1, correction=0, keepdim=True),
    "deviation": lambda x: bent(x).view(-1, 4, 3).std(1),
    "variance and mean": lambda x: torch.cat(torch.var_mean(bent(x).view(-1, 4, 3), 2), 1),
    "deviation and mean": lambda x: torch.cat(torch.std_mean(bent(x), 1, keepdim=True), 1),
    "layer norm": lambda x: F.layer_norm(bent(x), (D,), seeded(D, seed=4), seeded(D, seed=5)),
    "layer norm of planes": lambda x: F.layer_norm(bent(x).view(-1, 2, 2, 3), (2, 3)),
    "group norm": lambda x: F.group_norm(bent(x).view(-1, 6, 2), 3, seeded(6, seed=4), seeded(6, seed=5)),
    "RMS norm": lambda x: F.rms_norm(bent(x), (D,), seeded(D, seed=4)),
    "batch norm": lambda x: F.batch_norm(bent(x), seeded(D, seed=4), positive(seeded(D, seed=5)), seeded(D, seed=6)),
    "attention": lambda x: F.scaled_dot_product_attention(*(torch.sin(k * x).view(-1, 1, 4, 3) for k in (1, 2, 3))),
}
SHAPES: dict[str, Function] = {
    "views": lambda x: bent(x).view(-1, 3, 4).transpose(1, 2).reshape(-1, 2, 6).permute(0, 2, 1).contiguous(),
    "slices": lambda x: torch.cat([bent(x)[:, 2:9:2], torch.ones_like(x), x[:, -1:], x.select(1, 3)[:, None]], 1),
    "parts": lambda x: torch.stack([a * b for a, b in zip(bent(x).split(4, 1), x.chunk(3, 1), strict=True)], -1),
    "parts of some size": lambda x: torch.cat([part.sum(1, keepdim=True) for part in bent(x).split([3, 4, 5], 1)], 1),
    "parts one by one": lambda x: torch.stack(bent(x).unbind(1)[::-1], 0).t(),
    "squeezed": lambda x: bent(x)[:, None].squeeze(1)[:, :, None].expand(-1, -1, 2),
    "means": lambda x: bent(x).view(-1, 3, 4).mean(1) + bent(x).view(-1, 3, 4).sum((1, 2), keepdim=True)[..., 0],
    "repeated": lambda x: bent(x).repeat(1, 2),
    "rolled and flipped": lambda x: bent(x).roll(2, 1) + bent(x).flip(1),
    "by constant places": lambda x: bent(x)[:, torch.tensor([3, 3, 0])] + bent(x).index_select(1, torch.arange(3)),
    "by places of its own": lambda x: bent(x).gather(1, x.argsort(1)[:, :4]),
    "padded": lambda x: F.pad(bent(x), (1, 2)),
    "cumulated": lambda x: bent(x).cumsum(1),
    "a diagonal": lambda x: bent(x)[:, :9].view(-1, 3, 3).diagonal(dim1=1, dim2=2),
    "windows": lambda x: bent(x).unfold(1, 4, 2),
    "triangles": lambda x: bent(x)[:, :9].view(-1, 3, 3).tril() + bent(x)[:, :9].view(-1, 3, 3).triu(1),
    "another precision": lambda x: bent(x).to(torch.float32).to(torch.float64),
    "sums": lambda x: torch.add(bent(x), torch.sin(x), alpha=2) - torch.sub(1, x) + (2 - bent(x)) - 3 * -x,
    "sums of other ranks": lambda x: bent(x).view(-1, 3, 4) + torch.sin(x)[:, :4, None].transpose(1, 2),
    "where": lambda x: torch.where(x > 0, bent(x), torch.sin(x)) + torch.where(x > 0.1, bent(x), 1.0),
    "masked": lambda x: bent(x).masked_fill(x < 0, 0.5),
    "overwritten": lambda x: (bent(x) + 1).mul_(torch.sin(x)).add_(x).tanh_(),
    "copied": lambda x: torch.zeros_like(x).copy_(bent(x)),
    "a slope of its own for each channel": lambda x: F.prelu(bent(x).view(-1, 4, 3), positive(seeded(4, seed=4))),
    "between two": lambda x: torch.lerp(bent(x), torch.sin(x), 0.3) + torch.lerp(bent(x), x, seeded(D, seed=4)),
    "finite": lambda x: torch.nan_to_num(bent(x)),
    "on a diagonal": lambda x: torch.diag_embed(bent(x)),
    "times a vector": lambda x: bent(x).view(-1, 3, 4) @ seeded(4, seed=4),
    "a look-up": lambda x: bent(x) + F.embedding(x.argmax(1), seeded(D, D, seed=8)),
}
PADDINGS = ("reflect", "replicate")
PICKED: dict[str, Function] = {
    "largest": lambda x: bent(x).view(-1, 4, 3).max(2)[0],
    "smallest": lambda x: bent(x).view(-1, 4, 3).min(1, keepdim=True)[0],
    "sorted": lambda x: bent(x).sort(1, descending=True)[0],
    "highest": lambda x: bent(x).topk(3, 1)[0],
    "middle": lambda x: bent(x).median(1, keepdim=True)[0],
    "amax": lambda x: bent(x).view(-1, 4, 3).amax(1),
    "amin": lambda x: bent(x).view(-1, 4, 3).amin((1, 2))[:, None],
    "larger": lambda x: torch.maximum(bent(x), torch.sin(x)),
    "smaller": lambda x: torch.minimum(bent(x), torch.tensor(0.1).double()),
    "pooled": lambda x: F.max_pool2d(bent(pixels(x)), 2),
    "pooled in a row": lambda x: F.max_pool1d(bent(x)[:, None], 3),
    "means of pixels": lambda x: F.avg_pool2d(bent(pixels(x)), 2) + F.adaptive_avg_pool2d(bent(pixels(x)), 2),
    "means in a row": lambda x: F.avg_pool1d(bent(x)[:, None], 3),
    "convolved": lambda x: F.conv2d(bent(pixels(x)), seeded(3, 1, 2, 2, seed=4), seeded(3, seed=5), padding=1),
    "convolved in a row": lambda x: F.conv1d(bent(x)[:, None], seeded(3, 1, 3, seed=4)),
    "convolved back": lambda x: F.conv_transpose2d(bent(pixels(x)), seeded(1, 2, 2, 2, seed=4)),
    "made larger": lambda x: F.interpolate(bent(pixels(x)), scale_factor=2),
    "made larger smoothly": lambda x: F.interpolate(bent(pixels(x)), scale_factor=2, mode="bilinear"),
    "a row made longer": lambda x: F.interpolate(bent(x)[:, None], scale_factor=2),
    "a row made longer smoothly": lambda x: F.interpolate(bent(x)[:, None], scale_factor=2, mode="linear"),
    "a row padded by itself": lambda x: torch.cat([F.pad(bent(x)[:, None], (2, 1), mode) for mode in PADDINGS], 2),
    "pixels padded by themselves": lambda x: torch.cat([F.pad(bent(pixels(x)), (2, 1, 0, 1), m) for m in PADDINGS], 2),
    "pixels of channels": lambda x: F.pixel_shuffle(bent(pixels(x)).view(-1, 4, 2, 2), 2),
    "channels in turns": lambda x: F.channel_shuffle(bent(pixels(x)).view(-1, 4, 2, 2), 2),
    "patches": lambda x: F.unfold(bent(pixels(x)), 2),
    "patches put back": lambda x: F.fold(F.unfold(bent(pixels(x)), 2).sin(), (4, 4), 2),
    "pooled to a size": lambda x: F.adaptive_max_pool2d(bent(pixels(x)), 3),
    "means of volumes": lambda x: F.avg_pool3d(bent(pixels(x)).view(-1, 1, 2, 4, 2), 2),
}
CASES: dict[str, Function] = {
    **{name: (lambda x, f=f, first=first: f(first(x))) for name, (f, first) in UNARY.items()},
    **PRODUCTS,
    **NORMALISED,
    **SHAPES,
    **PICKED,
}
ELSEWHERE = {"cudnn_batch_norm", "_native_batch_norm_legit_no_training", "alias", "unsafe_split"}
"""What another device or version of torch dispatches in the place of something here, and recurrent layers."""
GROUPS = {"inputs": None, "groups": [0, 1, 1, 0, 2, 3, 3, 0, 2, 1, 4, 4]}


def paths_of(group_of: list[int] | None = None, seed: int = 0) -> Paths:
    x, base = normal(3, D, seed=seed), 0.3 * normal(2, D, seed=seed + 1)
    return straight_paths(x, base, group_of, torch.tensor([0, 1, 0]))


def differences(function: Function, paths: Paths) -> list[float]:
    """Return how far value, gradient and matrix are from those of automatic differentiation, relative."""
    path = torch.arange(6).repeat_interleave(3).numpy()
    t = torch.tensor([0.2, 0.6, 0.9], dtype=paths.inputs.dtype).repeat(6)
    engine = OperationsEngine(function, MEMORY_BYTES)
    engine.find_program(paths)  # or it would pass the question on
    ours = engine.hessians(paths, path, t)
    theirs = AutogradEngine(function, MEMORY_BYTES, batched=False).hessians(paths, path, t)
    return [float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True)]


def ended(name: str) -> Function:
    def function(x: Tensor) -> Tensor:
        with calling("model"):
            return weighed(CASES[name](x))

    return function


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("name", CASES)
def test_every_operation_agrees_with_autograd(name: str, groups: str) -> None:
    exact = 1e-6 if name == "another precision" else EXACT
    assert max(differences(ended(name), paths_of(GROUPS[groups]))) < exact


def test_every_rule_of_the_table_is_tried() -> None:
    tried: set[str] = set()
    for case in CASES:
        program = OperationsEngine(ended(case), MEMORY_BYTES).find_program(paths_of())
        tried |= {program.steps[index].name for index in program.alive}
    assert RULES.keys() - tried == ELSEWHERE


class Sequences(nn.Module):
    """A recurrent layer over 4 steps of 3 channels."""

    def __init__(self, layer: Callable[..., nn.Module], **options: int | bool) -> None:
        super().__init__()
        self.layer, self.head = layer(3, 5, batch_first=True, **options), nn.LazyLinear(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x.view(-1, 4, 3))[0][:, -1])


class Encoder(nn.Module):
    """Torch's own layers of a transformer over the features, one number each."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.first, self.head, self.batch_first = nn.Linear(1, 8), nn.Linear(8, 2), batch_first

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.first(x[:, :, None])
        if self.batch_first:
            return self.head(self.encoder(tokens).mean(1))
        return self.head(self.encoder(tokens.transpose(0, 1)).mean(0))


class Rotated(nn.Module):
    """A layer as decoders have it: RMS norm, turned queries and keys, a mask, and a gated layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(2, 8), nn.Linear(8, 2)
        self.norm, self.after = nn.RMSNorm(8), nn.RMSNorm(8)
        self.keys, self.mix = nn.Linear(8, 24, bias=False), nn.Linear(8, 8, bias=False)
        self.gate, self.up, self.down = (nn.Linear(*size, bias=False) for size in ((8, 12), (8, 12), (12, 8)))

    def turned(self, x: Tensor) -> Tensor:
        angle = torch.arange(6)[:, None] / (1 + torch.arange(4))
        one, other = x.chunk(2, -1)
        return x * angle.cos().to(x).repeat(1, 2) + torch.cat([-other, one], -1) * angle.sin().to(x).repeat(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.first(x.view(-1, 6, 2))
        query, key, value = self.keys(self.norm(tokens)).chunk(3, -1)
        mixed = F.scaled_dot_product_attention(self.turned(query), self.turned(key), value, is_causal=True)
        tokens = tokens + self.mix(mixed)
        normed = self.after(tokens)
        tokens = tokens + self.down(F.silu(self.gate(normed)) * self.up(normed))
        return self.head(tokens[:, -1])


class Convolved(nn.Module):
    """Convolution, batch norm and both kinds of pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.head = nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.silu(self.norm(self.convolution(x.view(-1, 1, 3, 4))))
        return self.head(torch.cat([hidden.amax((2, 3)), F.adaptive_avg_pool2d(hidden, 1).flatten(1)], 1))


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "residual, layer norm": lambda: architectures.Residual(D, 2, nn.LayerNorm, F.gelu),
    "residual, batch norm": lambda: architectures.Residual(D, 2, nn.BatchNorm1d, F.softplus),
    "gated": lambda: architectures.Gated(D, 2, F.silu),
    "features as tokens": lambda: architectures.FeatureTransformer(D, 2),
    "a transformer, rows first": lambda: Encoder(batch_first=True),
    "a transformer, tokens first": lambda: Encoder(batch_first=False),
    "a decoder": Rotated,
    "lstm": lambda: Sequences(nn.LSTM),
    "gru": lambda: Sequences(nn.GRU, num_layers=2),
    "rnn": lambda: Sequences(nn.RNN, bidirectional=True),
    "cells": lambda: architectures.Recurrent(D, 2),
    "convolution": Convolved,
    "sines": lambda: architectures.Siren(D, 2, 3.0),
    "Fourier features": lambda: architectures.FourierFeatures(D, 2, 0.5),
    "radial": lambda: architectures.RadialBasis(seeded(7, D), 2, 0.05),
    "products": lambda: architectures.Products(D, 2),
    "mixtures": lambda: nn.Sequential(architectures.MixtureDensity(D), nn.Linear(1, 2)),
    "soft trees": lambda: architectures.SoftTrees(D, 2, 1.0),
    "experts": lambda: architectures.Experts(D, 2),
    "embeddings": lambda: architectures.Embeddings([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3], 2),
    "directions": lambda: architectures.Cosine(D, 2),
    "comparison": lambda: nn.Sequential(architectures.Siamese(D, 1.0), nn.Linear(1, 2)),
}


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    module = ARCHITECTURES[name]().eval().double()
    module(normal(2, D, seed=3))
    return module.requires_grad_(False)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_whole_architectures_agree_with_autograd(name: str) -> None:
    assert max(differences(wrap_module(network(name)).outputs, paths_of())) < EXACT
