"""What people save as TorchScript is read without trust, and computes what it did: layers, functions, control flow."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import model_files
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ihcli.models import load_model
from ihcli.smoothing.torchscript import smooth_script

D = 6


def words(text: str) -> list[str]:
    return text.split()


ACTIVATIONS = words(
    """ReLU ReLU6 ELU CELU SELU GELU SiLU Mish Softplus Softsign Sigmoid Tanh Hardtanh Hardswish Hardsigmoid
LeakyReLU LogSigmoid Hardshrink Softshrink Tanhshrink PReLU RReLU Softmin GLU Identity Flatten AlphaDropout Dropout
FeatureAlphaDropout"""
)
IMAGES = [
    *(f"{layer}{d}d(2)" for layer in ("MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool") for d in (1, 2, 3)),
    *(f"{side}Pad{d}d(1)" for side in ("Reflection", "Replication", "Zero", "Circular") for d in (1, 2, 3)),
    *(f"Conv{kind}{d}d(2, 4, 3, padding=1)" for kind in ("", "Transpose") for d in (1, 2, 3)),
    *(f"BatchNorm{d}d(2)" for d in (1, 2, 3)),
    *("Conv2d(2, 4, 3, padding='same')", "Conv1d(2, 4, 3, padding=1, padding_mode='reflect')", "LPPool2d(2, 2)"),
    *("Upsample(scale_factor=2, mode='bilinear')", "Upsample(scale_factor=2, mode='bicubic')", "PixelUnshuffle(2)"),
    *("InstanceNorm2d(2, affine=True, track_running_stats=True)", "ChannelShuffle(2)"),
]
ROWS = words(
    """Linear(6,3) BatchNorm1d(6) LayerNorm(6) GroupNorm(2,6) RMSNorm(6) LSTMCell(6,4) GRUCell(6,4) RNNCell(6,4)
Unflatten(1,(2,3)) Softmax(1) LogSoftmax(1)"""
)


class Steps(nn.Module):
    """A layer over steps, called as people do."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.last = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.layer(x.unsqueeze(2))
        return self.last(steps[:, -1]).relu()


class Flow(nn.Module):
    """Control flow, lists, dictionaries, words, optional values, assertions and in-place changes."""

    names: list[str]
    table: dict[str, float]
    weight: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.names, self.table, self.weight = ["a", "b"], {"a": 1.0, "b": 2.0}, torch.ones(D)
        self.layers = nn.ModuleList([nn.Linear(D, D) for _ in range(2)])
        self.parts = nn.ParameterList([nn.Parameter(torch.ones(D)) for _ in range(2)])

    def forward(self, x: Tensor, scale: float = float("inf"), mode: str = "mean") -> Tensor:
        assert x.dim() == 2, f"bad {x.shape}"
        if x.shape[1] != 6:
            raise ValueError(f"{x.shape}")
        found: list[Tensor] = []
        i = 0
        while i < 3:
            i += 1
            if i == 2:
                continue
            found.append(x * self.table[self.names[i % 2]])
        for name, value in self.table.items():
            if name.startswith("a") and "b" in self.table:
                found.append(x + value)
        for layer in self.layers:
            x = layer(x)
        for part in self.parts:
            x = x * part
        y = torch.stack(found).mean(0) + x
        weight = self.weight
        if weight is not None:
            y = y * weight
        y[:, 1:3] += 1
        y.clamp_(min=-3)
        if mode == "mean":
            y = y.mean(1, keepdim=True)
        with torch.no_grad():
            z = y * min(3, len(found)) + round(2.5) + int(2.7) + max([1, 2])
        return y + z.to(y.dtype)


class Pair(NamedTuple):
    a: Tensor
    b: Tensor


class Functions(nn.Module):
    """Functions of every family, added up."""

    def forward(self, x: Tensor) -> Tensor:
        pair = Pair(x.sort(1)[0], x.topk(2, 1)[0])
        square = x.t() @ x + torch.eye(6) * 9
        total = (pair.a.sum() + pair.b.sum()).reshape(1, 1)
        for part in (
            torch.where(x > 0, x, -x),
            torch.einsum("bi,bj->bij", x, x),
            x.cumsum(1),
            x.quantile(0.5, 1),
            x.gather(1, x.argsort(1)),
            x[:, [0, 2]],
            x.masked_fill(x > 0, 0.0),
            torch.cdist(x, x),
            torch.fft.rfft(x).abs(),
            torch.linalg.svd(x)[1],
            torch.linalg.solve(square, x.t()),
            torch.searchsorted(x[0].sort()[0], x),
            torch.repeat_interleave(x, torch.tensor([1, 2, 1, 1]), 0),
            functional.one_hot(x[:, 0].long().clamp(0, 3), 4),
            functional.normalize(x),
            functional.scaled_dot_product_attention(x[None], x[None], x[None]),
            functional.pad(x, (1, 1)),
            x.scatter_add(1, torch.zeros(4, 6, dtype=torch.long), x),
            torch.as_strided(x, (2, 2), (1, 1)),
            x.unique(),
            x.new_zeros(3).fill_(1.0),
        ):
            total = total + part.sum().float()
        return x + total


def layer(text: str) -> nn.Module:
    return eval(f"nn.{text}", {"nn": nn})  # written above, in this file


MODELS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    **{name: lambda name=name: (layer(f"{name}()"), torch.randn(4, D)) for name in ACTIVATIONS},
    **{text: lambda text=text: (layer(text), torch.randn(4, D)) for text in ROWS},
    **{
        text: lambda text=text: (
            layer(text),
            torch.randn(2, 2, *(4,) * (int(text.split("d(")[0][-1]) if "d(" in text else 2)),
        )
        for text in IMAGES
    },
    "LSTM": lambda: (Steps(nn.LSTM(1, 4, 2, batch_first=True, bidirectional=True)), torch.randn(4, D)),
    "LSTM without biases": lambda: (Steps(nn.LSTM(1, 8, bias=False, batch_first=True)), torch.randn(4, D)),
    "LSTM of projections": lambda: (Steps(nn.LSTM(1, 9, proj_size=8, batch_first=True)), torch.randn(4, D)),
    "GRU": lambda: (Steps(nn.GRU(1, 8, batch_first=True)), torch.randn(4, D)),
    "RNN": lambda: (Steps(nn.RNN(1, 8, batch_first=True, nonlinearity="relu")), torch.randn(4, D)),
    "transformer": lambda: (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(D, 2, 8, batch_first=True), 2, enable_nested_tensor=False),
        torch.randn(2, 3, D),
    ),
    "control flow": lambda: (Flow(), torch.randn(4, D)),
    "functions": lambda: (Functions(), torch.rand(4, D) + 0.1),
}
WAYS: dict[str, Callable[[nn.Module, Tensor], torch.jit.ScriptModule]] = {
    "scripted": lambda module, x: torch.jit.script(module),
    "traced": lambda module, x: torch.jit.trace(module, x, check_trace=False),
    "frozen": lambda module, x: torch.jit.freeze(torch.jit.script(module)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_an_honest_script_needs_no_trust(name: str, way: str, tmp_path: Path) -> None:
    if (name, way) in UNSCRIPTED:
        return
    torch.manual_seed(0)
    module, x = MODELS[name]()
    made = model_files.quietly(WAYS[way], module.eval(), x)
    model_files.quietly(made.save, str(tmp_path / "model"))
    read = load_model(tmp_path / "model").module
    torch.testing.assert_close(model_files.quietly(read, x), model_files.quietly(made, x), rtol=0, atol=1e-5)


UNSCRIPTED = {("functions", "scripted"), ("functions", "frozen")}
"""A tuple of tensors of different kinds is none that a scripted loop takes."""


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN", "control flow", "transformer", "ReLU", "BatchNorm1d(6)"])
def test_a_script_that_was_looked_through_is_smoothed_and_saved(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = MODELS[name]()
    model_files.save_script(module.eval(), tmp_path / "model")
    read = load_model(tmp_path / "model").module
    assert isinstance(read, torch.jit.ScriptModule)
    model_files.quietly(torch.jit.save, read, io.BytesIO())
    smooth = model_files.quietly(smooth_script, read, 50.0, torch.float32)
    assert (smooth(x) - module(x)).abs().max() < 0.2
