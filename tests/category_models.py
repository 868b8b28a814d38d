"""Three shapes of tabular networks with categories, in the forms in which they are saved, and each of them by hand.

By hand, a network is a function of what codes are looked up as: the same layers, without a lookup.
"""

import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

CARDINALITIES = (7, 3, 12, 5)
N_CODES, N_NUMBERS = len(CARDINALITIES), 3
NAMES = ("job", "marital", "month", "education", "age", "balance", "days")
WIDTH = 8


class EntityMlp(nn.Module):
    """An embedding for each category, normalised numbers, a chain of layers (Guo and Berkhahn 2016)."""

    def __init__(self, activation: type[nn.Module] = nn.SiLU) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(codes, (codes + 1) // 2) for codes in CARDINALITIES])
        self.norm = nn.BatchNorm1d(N_NUMBERS)
        width = sum((codes + 1) // 2 for codes in CARDINALITIES) + N_NUMBERS
        self.layers = nn.Sequential(
            nn.Linear(width, 24), activation(), nn.BatchNorm1d(24), nn.Dropout(0.1), nn.Linear(24, 2)
        )

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        return self.rest([table(codes[:, i]) for i, table in enumerate(self.embeddings)], numbers)

    def rest(self, vectors: list[Tensor], numbers: Tensor) -> Tensor:
        return self.layers(torch.cat((torch.cat(vectors, 1), self.norm(numbers)), 1))

    def tables(self) -> list[Tensor]:
        return [table.weight for table in self.embeddings]


class TabTransformer(nn.Module):
    """A transformer over embedded categories, numbers beside it (Huang et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(codes, WIDTH) for codes in CARDINALITIES])
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(N_NUMBERS)
        self.head = nn.Sequential(nn.Linear(N_CODES * WIDTH + N_NUMBERS, 16), nn.GELU(), nn.Linear(16, 2))

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        return self.rest([table(codes[:, i]) for i, table in enumerate(self.embeddings)], numbers)

    def rest(self, vectors: list[Tensor], numbers: Tensor) -> Tensor:
        encoded = self.encoder(torch.stack(vectors, 1)).flatten(1)
        return self.head(torch.cat([encoded, self.norm(numbers)], 1))

    def tables(self) -> list[Tensor]:
        return [table.weight for table in self.embeddings]


class Block(nn.Module):
    """Attention and a gated unit, both behind a norm and beside a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self.qkv(self.first(h)).unflatten(-1, (6, -1)).transpose(1, 2).chunk(3, 1)
        h = h + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        value, gate = self.up(self.second(h)).chunk(2, -1)
        return h + self.down(value * F.gelu(gate))


class FtTransformer(nn.Module):
    """A token for each column, codes from one table with offsets (Gorishniy et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(CARDINALITIES), WIDTH)
        self.register_buffer("offsets", torch.tensor([0, *CARDINALITIES[:-1]]).cumsum(0))
        self.weight = nn.Parameter(torch.randn(N_NUMBERS, WIDTH) / 2)
        self.bias = nn.Parameter(torch.randn(N_NUMBERS + N_CODES, WIDTH) / 2)
        self.cls = nn.Parameter(torch.randn(1, 1, WIDTH) / 2)
        self.block = Block()
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2))

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        return self.tokens(self.table(codes + self.offsets), numbers)

    def tokens(self, embedded: Tensor, numbers: Tensor) -> Tensor:
        tokens = torch.cat([self.weight * numbers.unsqueeze(2), embedded], 1) + self.bias
        h = torch.cat([self.cls.expand(tokens.shape[0], 1, -1), tokens], 1)
        return self.head(self.block(h)[:, 0])

    def rest(self, vectors: list[Tensor], numbers: Tensor) -> Tensor:
        return self.tokens(torch.stack(vectors, 1), numbers)

    def tables(self) -> list[Tensor]:
        return list(self.table.weight.split(CARDINALITIES))


class OneMatrix(nn.Module):
    """A network of codes and numbers behind one matrix of both."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.n_codes = N_CODES

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x[:, : self.n_codes].long(), x[:, self.n_codes :])


class ByHand(nn.Module):
    """A network as a function of [what codes are looked up as | numbers]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.widths = [table.shape[1] for table in inner.tables()]

    def forward(self, flat: Tensor) -> Tensor:
        *vectors, numbers = flat.split([*self.widths, N_NUMBERS], dim=1)
        return self.inner.rest(list(vectors), numbers)

    def flat(self, rows: np.ndarray) -> np.ndarray:
        tables = [table.detach().numpy() for table in self.inner.tables()]
        found = [table[rows[:, i].astype(int)] for i, table in enumerate(tables)]
        return np.concatenate([*found, rows[:, N_CODES:]], axis=1)

    @property
    def groups(self) -> dict[str, list[str]]:
        owners = [name for name, width in zip(NAMES, [*self.widths, 1, 1, 1], strict=True) for _ in range(width)]
        return {name: [str(i) for i, owner in enumerate(owners) if owner == name] for name in NAMES}


ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = {
    "entity MLP": EntityMlp,
    "TabTransformer": TabTransformer,
    "FT-Transformer": FtTransformer,
}


def sharpened(module: nn.Module, seed: int = 1, gain: float = 1.5) -> nn.Module:
    """Make a network bend as trained ones do: weights scaled up, batch statistics that are not 0 and 1; in float64."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            parameter.data = torch.randn(parameter.shape, generator=generator) * parameter.data.std() * gain
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.copy_(0.3 * torch.randn(part.running_mean.shape, generator=generator))
            part.running_var.copy_(0.5 + torch.rand(part.running_var.shape, generator=generator))
    return module.double().eval()


def built(architecture: str, seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return sharpened(ARCHITECTURES[architecture](), seed)


def category_rows(n: int, seed: int = 0) -> np.ndarray:
    """Draw rows of codes, of which low ones are frequent, and numbers."""
    rng = np.random.default_rng(seed)
    codes = [np.minimum(rng.integers(0, size, n), rng.integers(0, size, n)) for size in CARDINALITIES]
    return np.column_stack([*codes, rng.normal(size=(n, N_NUMBERS))]).astype(float)


@dataclass(frozen=True)
class Form:
    """How a module is saved; `of` gives what comes back."""

    name: str
    of: Callable[[nn.Module, tuple[Tensor, ...]], nn.Module]

    def __str__(self) -> str:
        return self.name


def _scripted(module: nn.Module, example: tuple[Tensor, ...]) -> nn.Module:
    return _reloaded(torch.jit.script(module))


def _traced(module: nn.Module, example: tuple[Tensor, ...]) -> nn.Module:
    return _reloaded(torch.jit.trace(module, example, check_trace=False))


def _reloaded(script: torch.jit.ScriptModule) -> nn.Module:
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


FORMS = (
    Form("eager", lambda module, example: module),
    Form("scripted", _scripted),
    Form("traced", _traced),
)


def saved(module: nn.Module, form: Form, example: tuple[Tensor, ...]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = form.of(module, example)
    for parameter in (*module.parameters(), *made.parameters()):
        parameter.requires_grad_(False)
    return made.eval()
