"""Networks over sequences (N, T, F), small and bent enough to interact, and every way of saving them."""

from collections.abc import Callable
from pathlib import Path

import model_files
import torch
from torch import Tensor, nn

GAIN = 2.0
"""Of the weights as they are drawn, with which these networks are as good as linear."""


class Recurrent(nn.Module):
    """The last state of a recurrent layer, through a head."""

    def __init__(self, layer: Callable[..., nn.Module], channels: int, layers: int = 1, **settings: bool) -> None:
        super().__init__()
        self.layer = layer(channels, 6, layers, batch_first=True, **settings)
        self.head = nn.Linear(12 if settings else 6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


class Convolution(nn.Module):
    """A convolution over steps of (N, F, T), which takes no (N, T, F)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv1d(channels, 6, 3, padding=1), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.nn.functional.gelu(self.layer(x)).mean(2))


class Temporal(Convolution):
    """The same behind a transposition."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.nn.functional.gelu(self.layer(x.transpose(1, 2))).mean(2))


class Attention(nn.Module):
    """A transformer over T steps, which have places of their own."""

    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        self.up, self.place = nn.Linear(channels, 8), nn.Parameter(torch.randn(steps, 8) / 2)
        layer = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.up(x) + self.place).mean(1))


MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "lstm": lambda steps, channels: Recurrent(nn.LSTM, channels, 2),
    "gru": lambda steps, channels: Recurrent(nn.GRU, channels, bidirectional=True),
    "temporal": lambda steps, channels: Temporal(channels),
    "convolution": lambda steps, channels: Convolution(channels),
    "transformer": Attention,
}
FORMS = ("script", "trace", "frozen", "pickle", "pt2")


def network(name: str, steps: int, channels: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Module:
    """Make one in eval mode, its weights larger than they are drawn."""
    torch.manual_seed(seed)
    module = MODELS[name](steps, channels)
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(GAIN if weight.dim() > 1 else 1.0)
    return module.to(dtype).eval()


def example(module: nn.Module, steps: int, channels: int) -> Tensor:
    """Return two sequences as the network takes them."""
    shape = (channels, steps) if type(module) is Convolution else (steps, channels)
    return torch.randn(2, *shape, dtype=next(module.parameters()).dtype)


def save(form: str, module: nn.Module, given: Tensor, path: Path) -> Path:
    """Save a network in one of FORMS."""
    if form == "script":
        return model_files.save_script(module, path)
    if form == "frozen":
        model_files.quietly(lambda: torch.jit.freeze(torch.jit.script(module)).save(str(path)))
        return path
    if form == "trace":
        with torch.enable_grad():  # else attention is traced on its fast path, which has no derivative
            return model_files.save_trace(module, given.requires_grad_(), path)
    if form == "pickle":
        return model_files.save_zip(module, path)
    rows = torch.export.Dim("rows", min=1, max=4096)
    model_files.quietly(
        lambda: torch.export.save(torch.export.export(module, (given,), dynamic_shapes=({0: rows},)), path)
    )
    return path
