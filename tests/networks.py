"""Classes of networks as users have them in files of their own, written into a directory for tests."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

NET = """
import torch
import torch.nn.functional as F
from layers import Block
from torch import nn


class Net(nn.Module):
    def __init__(self, width, hidden=8, classes=2, activation="relu"):
        super().__init__()
        self.first, self.norm = Block(width, hidden), nn.BatchNorm1d(hidden)
        self.activation = getattr(torch, activation)
        self.last = nn.Linear(hidden, classes)

    def forward(self, inputs):
        return self.last(self.activation(self.norm(self.first(inputs))))


class MLP(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class Lit(nn.Module):
    def __init__(self, width=4, hidden=8, lr=0.1):
        super().__init__()
        self.model = Net(width, hidden)

    def forward(self, x):
        return self.model(x)


class Configured(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.Linear(config.width, config["classes"])

    def forward(self, x):
        return self.layer(x)


class Tied(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.encode = nn.Linear(width, width)
        self.decode = nn.Linear(width, width)
        self.decode.weight = self.encode.weight

    def forward(self, x):
        return self.decode(torch.tanh(self.encode(x)))


class Masked(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layer = nn.Linear(width, 1)
        self.register_buffer("mask", torch.ones(width), persistent=False)

    def forward(self, x):
        return self.layer(self.mask * x)


class Fourier(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.frequencies = torch.randn(width, 6)
        self.last = nn.Linear(6, 1)

    def forward(self, x):
        return self.last(torch.sin(x @ self.frequencies))


class OldNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.utils.weight_norm(nn.Linear(4, 3))
        self.last = nn.utils.spectral_norm(nn.Linear(3, 2))

    def forward(self, x):
        return self.last(torch.tanh(self.layer(x)))


class NewNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
        self.last = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))

    def forward(self, x):
        return self.last(torch.tanh(self.layer(x)))


class Lazy(nn.Module):
    def __init__(self, classes=2):
        super().__init__()
        self.first, self.last = nn.LazyLinear(5), nn.LazyLinear(classes)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x)


class Outer:
    class Inner(Small):
        pass


def make_net(width, hidden=8):
    return Net(width, hidden)


def compiled(width):
    return torch.compile(Net(width), backend="eager")


def parallel(width):
    return nn.DataParallel(Net(width))


def keywords(**settings):
    return Net(settings["width"])


def nothing():
    return {"not": "a network"}


def a_class():
    return Net


def broken(width):
    raise ValueError(f"no such width: {width}")


ready = Small()
constant = 3
"""
LAYERS = """
from torch import nn


class Block(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.layer = nn.Linear(width, hidden)

    def forward(self, inputs):
        return self.layer(inputs)
"""


def write(directory: Path) -> Path:
    """Write net.py, and layers.py that it imports, and return the first."""
    (directory / "net.py").write_text(NET)
    (directory / "layers.py").write_text(LAYERS)
    return directory / "net.py"


def imported(directory: Path, name: str = "net") -> ModuleType:
    """Return net.py, or another file, as a training script knows it, and leave no trace of it."""
    before = list(sys.path)
    sys.path.insert(0, str(directory))
    _forget()
    try:
        importlib.invalidate_caches()
        return importlib.import_module(name)
    finally:
        sys.path[:] = before
        _forget()


def _forget() -> None:
    for name in ("net", "layers", "lstm", "entities"):
        sys.modules.pop(name, None)


MODEL = """
import argparse
import dataclasses
import types

import torch
import torch.nn.functional as F
from layers import Block
from torch import nn


@dataclasses.dataclass
class Config:
    scale: float = 2.0


def double(x):
    return 2 * x


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.first, self.norm, self.last = Block(width, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)
        self.functions = [F.relu, double, torch.tanh]
        self.config, self.args, self.more = Config(), argparse.Namespace(factor=3), types.SimpleNamespace(shift=1)
        self.lr = 10**9

    def forward(self, x):
        x = self.norm(self.first(x))
        for function in self.functions:
            x = function(x)
        return self.last(x) * self.config.scale * self.args.factor + self.more.shift

    @property
    def width(self):
        return self.first.layer.in_features


class Logging(nn.Module):
    def __init__(self, width):
        super().__init__()
        import logging

        self.block, self.formatter = Block(width, 2), logging.Formatter()

    def forward(self, x):
        return self.block(x)
"""


ZOO = """
import math

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads, tokens):
        super().__init__()
        self.heads, self.all, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.register_buffer("mask", torch.tril(torch.ones(tokens, tokens)))

    def forward(self, x):
        n, tokens, width = x.shape
        q, k, v = (part.view(n, tokens, self.heads, -1).transpose(1, 2) for part in self.all(x).chunk(3, -1))
        scores = (q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)).masked_fill(self.mask == 0, -1e9)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, tokens, width))


class GPT(nn.Module):
    def __init__(self, tokens=4, width=8):
        super().__init__()
        self.embed, self.place = nn.Linear(1, width), nn.Parameter(torch.randn(tokens, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.attention, self.mlp = Attention(width, 2, tokens), nn.Sequential(nn.Linear(width, width), nn.GELU())
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        x = self.embed(x[..., None]) + self.place
        x = x + self.attention(self.norms[0](x))
        x = x + self.mlp(self.norms[1](x))
        return self.head(self.norms[2](x)[:, -1])


class LSTM(nn.Module):
    def __init__(self, channels: int = 2):
        super().__init__()
        self.channels = channels
        self.layers = nn.LSTM(channels, 5, 2, batch_first=True, dropout=0.2)
        self.head = nn.Linear(5, 1)

    def forward(self, x):
        steps = x.reshape(len(x), -1, self.channels)
        return self.head(self.layers(steps)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
        self.embed, self.layers = nn.Linear(1, 8), nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.layers(self.embed(x[..., None])).mean(1))


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = F.relu(self.first(x))
        return torch.sigmoid(self.last(x + self.drop(F.relu(self.second(x))))).squeeze(-1)


class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers, self.norm = nn.ModuleList([nn.Linear(4, 7), nn.Linear(7, 5), nn.Linear(5, 2)]), nn.BatchNorm1d(7)

    def forward(self, x):
        x = self.norm(F.relu(self.layers[0](x)))
        return F.log_softmax(self.layers[2](torch.relu(self.layers[1](x))), dim=-1)
"""
