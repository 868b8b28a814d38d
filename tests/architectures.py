"""Kinds of networks that tables meet, small, twice differentiable and written by hand: from (P, D) to (P, K)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[Tensor], Tensor]


def perceptron(
    n_inputs: int, widths: tuple[int, ...], activation: Callable[[], nn.Module], n_outputs: int
) -> nn.Module:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(n_inputs, width), activation()]
        n_inputs = width
    return nn.Sequential(*layers, nn.Linear(n_inputs, n_outputs))


def deep_tanh(n_inputs: int, n_outputs: int, depth: int = 20, width: int = 24) -> nn.Module:
    """Layers of tanh with matrices large enough for gradients to come through; closed form."""
    net = perceptron(n_inputs, (width,) * depth, nn.Tanh, n_outputs)
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.weight *= 1.7
    return net


class Residual(nn.Module):
    """Blocks of norm, layer, activation and layer beside the identity."""

    def __init__(self, n_inputs: int, n_outputs: int, norm: Callable[[int], nn.Module], activation: Activation) -> None:
        super().__init__()
        width, n_blocks = 32, 4
        self.first, self.last = nn.Linear(n_inputs, width), nn.Linear(width, n_outputs)
        self.norms = nn.ModuleList(norm(width) for _ in range(n_blocks))
        self.into = nn.ModuleList(nn.Linear(width, width) for _ in range(n_blocks))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(n_blocks))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        for norm, into, out in zip(self.norms, self.into, self.out, strict=True):
            hidden = hidden + out(self.activation(into(norm(hidden))))
        return self.last(hidden)


class Gated(nn.Module):
    """Residual blocks of activation(A h) * B h: SwiGLU and GLU."""

    def __init__(self, n_inputs: int, n_outputs: int, activation: Activation) -> None:
        super().__init__()
        width, n_blocks = 32, 3
        self.first, self.last = nn.Linear(n_inputs, width), nn.Linear(width, n_outputs)
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(n_blocks))
        self.linear = nn.ModuleList(nn.Linear(width, width) for _ in range(n_blocks))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        for gate, linear in zip(self.gates, self.linear, strict=True):
            hidden = hidden + self.activation(gate(hidden)) * linear(hidden)
        return self.last(hidden)


class _Attention(nn.Module):
    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.keys, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        points, length, width = tokens.shape
        split = self.keys(self.norm(tokens)).view(points, length, 3, self.n_heads, width // self.n_heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        share = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(width // self.n_heads), -1)
        tokens = tokens + self.mix((share @ value).transpose(1, 2).reshape(points, length, width))
        return tokens + self.narrow(F.gelu(self.wide(self.after(tokens))))


class FeatureTransformer(nn.Module):
    """A token for each feature, two layers of attention, the answer at a token of its own (Gorishniy et al. 2021)."""

    def __init__(self, n_inputs: int, n_outputs: int, width: int = 12) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(n_inputs, width) * 0.6)
        self.shift = nn.Parameter(torch.randn(n_inputs, width) * 0.6)
        self.answer = nn.Parameter(torch.randn(1, width))
        self.layers = nn.Sequential(*(_Attention(width, 2) for _ in range(2)))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        features = x[:, :, None] * self.scale + self.shift
        tokens = torch.cat([self.answer.expand(len(x), 1, -1), features], 1)
        return self.head(self.layers(tokens)[:, 0])


class Siren(nn.Module):
    """Layers of sin(omega z), initialised as Sitzmann et al. (2020) do."""

    def __init__(self, n_inputs: int, n_outputs: int, omega: float) -> None:
        super().__init__()
        width = 32
        self.omega = omega
        self.layers = nn.ModuleList([nn.Linear(n_inputs, width), *(nn.Linear(width, width) for _ in range(2))])
        self.head = nn.Linear(width, n_outputs)
        for depth, layer in enumerate(self.layers):
            bound = math.sqrt(6 / width) / omega if depth else 1 / n_inputs
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.sin(self.omega * layer(x))
        return self.head(x)


class FourierFeatures(nn.Module):
    """Sines and cosines of random projections, then a layer (Tancik et al. 2020)."""

    def __init__(self, n_inputs: int, n_outputs: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("directions", torch.randn(n_inputs, 32) * scale)
        self.net = perceptron(64, (32,), nn.SiLU, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        phase = x @ self.directions
        return self.net(torch.cat([phase.sin(), phase.cos()], 1))


class RadialBasis(nn.Module):
    """Bumps around points of the data."""

    def __init__(self, centres: Tensor, n_outputs: int, gamma: float) -> None:
        super().__init__()
        self.centres = nn.Parameter(centres.clone())
        self.log_gamma = nn.Parameter(torch.full((len(centres),), math.log(gamma)))
        self.head = nn.Linear(len(centres), n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        distance = ((x[:, None] - self.centres) ** 2).sum(2)
        return self.head(torch.exp(-self.log_gamma.exp() * distance))


class Products(nn.Module):
    """A factorisation machine (Rendle 2010) and products of two projections."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.randn(n_inputs, 6) * 0.3)
        self.linear = nn.Linear(n_inputs, n_outputs)
        self.left, self.right, self.head = nn.Linear(n_inputs, 4), nn.Linear(n_inputs, 4), nn.Linear(4, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        pairs = ((x @ self.factors) ** 2 - x**2 @ self.factors**2).sum(1, keepdim=True) / 2
        left = self.left(x)
        return self.linear(x) + pairs + self.head(left * self.right(x) * torch.tanh(left))


class Monotone(nn.Module):
    """Positive weights and sigmoids up to a probability, which falls as a feature rises."""

    def __init__(self, n_inputs: int, gain: float = 2.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(n_inputs, 24), nn.Linear(24, 24), nn.Linear(24, 1)])
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        x = -x
        for depth, layer in enumerate(self.layers):
            z = F.linear(x, F.softplus(layer.weight), layer.bias)
            x = torch.sigmoid(z if depth == len(self.layers) - 1 else self.gain * z)
        return x


class MixtureDensity(nn.Module):
    """The density of y = 0.3 under a mixture of four normal laws whose parameters depend on x, or its logarithm."""

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        self.net = perceptron(n_inputs, (32, 32), nn.Tanh, 12)
        self.in_logarithms = False

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        weight, mean, log_width = self.net(x).chunk(3, 1)
        if self.training:
            log_width = log_width.clamp(-5, 3)
        exponent = ((y[:, None] - mean) / log_width.exp()) ** 2 / 2 + log_width + math.log(2 * math.pi) / 2
        return torch.logsumexp(F.log_softmax(weight, 1) - exponent, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = self.log_density(x, x.new_full((len(x),), 0.3))[:, None]
        return found if self.in_logarithms else found.exp()


class Head(nn.Module):
    """A probability, of logits made `sharper` times larger after training: many rows are saturated."""

    def __init__(self, net: nn.Module, squash: Activation, sharper: float) -> None:
        super().__init__()
        self.net, self.squash, self.sharper = net, squash, sharper

    def forward(self, x: Tensor) -> Tensor:
        return self.squash(self.net(x) * self.sharper)


class SoftTrees(nn.Module):
    """Oblivious trees whose splits are sigmoids of that temperature (Popov et al. 2020)."""

    def __init__(self, n_inputs: int, n_outputs: int, temperature: float, n_trees: int = 16, depth: int = 3) -> None:
        super().__init__()
        self.choice = nn.Parameter(torch.randn(n_trees, depth, n_inputs))
        self.threshold = nn.Parameter(torch.randn(n_trees, depth) * 0.7)
        self.leaves = nn.Parameter(torch.randn(n_trees, 2**depth, n_outputs) * 0.3)
        self.temperature = temperature

    def forward(self, x: Tensor) -> Tensor:
        feature = torch.einsum("pd,ntd->pnt", x, torch.softmax(2 * self.choice, -1))
        right = torch.sigmoid((feature - self.threshold) / self.temperature)
        reach = torch.ones_like(right[..., :1])
        for split in right.split(1, dim=-1):
            reach = torch.cat([reach * split, reach * (1 - split)], -1)
        return torch.einsum("pnl,nlk->pk", reach, self.leaves)


class Experts(nn.Module):
    """Small networks, mixed by a softmax of the inputs."""

    def __init__(self, n_inputs: int, n_outputs: int, n_experts: int = 6) -> None:
        super().__init__()
        self.choice = nn.Linear(n_inputs, n_experts)
        self.experts = nn.ModuleList(perceptron(n_inputs, (12,), nn.Tanh, n_outputs) for _ in range(n_experts))

    def forward(self, x: Tensor) -> Tensor:
        share = torch.softmax(3 * self.choice(x), 1)
        return (share[:, :, None] * torch.stack([expert(x) for expert in self.experts], 1)).sum(1)


class Embeddings(nn.Module):
    """An embedding for each category, given as one-hot columns, the columns' embeddings crossed by products."""

    def __init__(self, group_of: list[int], n_outputs: int, width: int = 6) -> None:
        super().__init__()
        n_groups = max(group_of) + 1
        self.embedding = nn.Parameter(torch.randn(len(group_of), width) * 0.5)
        self.register_buffer("membership", F.one_hot(torch.tensor(group_of)).float())
        self.net = perceptron(width * (1 + n_groups), (32,), nn.SiLU, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.einsum("pd,de,dg->pge", x, self.embedding, self.membership)
        crossed = (tokens.sum(1) ** 2 - (tokens**2).sum(1)) / 2
        return self.net(torch.cat([crossed, tokens.flatten(1)], 1))


class MaxPool(nn.Module):
    """Convolution and max-pooling of 4 x 4 pixels: a kink wherever another pixel becomes the largest."""

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(1, 8, 2), nn.Linear(8, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(self.convolution(x.view(-1, 1, 4, 4)), 3)
        return self.head(torch.tanh(pooled.flatten(1)))


class Recurrent(nn.Module):
    """A GRU that reads one feature after the other, with its place."""

    def __init__(self, n_inputs: int, n_outputs: int, width: int = 16) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(2, width), nn.Linear(width, n_outputs)
        self.place = nn.Parameter(torch.randn(n_inputs))

    def forward(self, x: Tensor) -> Tensor:
        hidden = x.new_zeros(len(x), self.cell.hidden_size)
        for feature, place in zip(x.T, self.place, strict=True):
            hidden = self.cell(torch.stack([feature, place.expand(len(x))], 1), hidden)
        return self.head(hidden)


class Cosine(nn.Module):
    """A network of the inputs' direction: nearly singular at a zero baseline."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.net = perceptron(n_inputs, (32,), nn.Tanh, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(2 * x / torch.sqrt((x**2).sum(1, keepdim=True) + 1e-3))


class Siamese(nn.Module):
    """How far apart two records lie in a learnt space, weighted by where they lie: blind to all where they agree."""

    def __init__(self, n_inputs: int, gain: float) -> None:
        super().__init__()
        self.half = n_inputs // 2
        self.embed = perceptron(self.half, (24,), nn.Tanh, 8)
        self.weigh = perceptron(self.half, (24,), nn.Tanh, 8)
        self.head, self.gain = nn.Linear(1, 1), gain

    def forward(self, x: Tensor) -> Tensor:
        one, other = x[:, : self.half], x[:, self.half :]
        apart = (self.embed(one) - self.embed(other)) ** 2
        return self.head((apart * torch.sigmoid(self.gain * self.weigh(one + other))).sum(1, keepdim=True))


class Comparison(nn.Module):
    """(x1 - x2)^2 times `where` of x1 + x2, and a plain rest: what is compared shows in no row sum where x1 = x2."""

    def __init__(self, where: Activation, weight: float = 1.0) -> None:
        super().__init__()
        self.where, self.weight = where, weight

    def forward(self, x: Tensor) -> Tensor:
        compared = (x[:, 0] - x[:, 1]) ** 2 * self.where(x[:, 0] + x[:, 1])
        return (self.weight * compared + torch.tanh(x[:, 2] + x[:, 3] / 2))[:, None]
