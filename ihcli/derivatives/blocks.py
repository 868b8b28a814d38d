"""Sums of second derivatives over blocks of points of one path, layer by layer: the inner loop of the closed form.

T_l is the derivative of the pre-activations of layer l by k directions, tangents (blocks, k, n, m_l), and a block's sum
is

    sum over its n points and the layers l of weight * T_l' diag(bend_l) T_l

Below it stand s drawn rows of the same sum with other weights, the probe: see `ihcli.derivatives.drawn`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ihcli.derivatives.chain import Affine
from ihcli.derivatives.drawn import Drawn


@dataclass(frozen=True)
class Bends:
    """What second derivatives are made of at P points, (P, ...), or at blocks of n of them, (blocks, 1, n, ...).

    slopes, second  phi' and phi'' * (W_{l+1}' g_{l+1}) of every layer, m_l numbers; second is None where it is zero
    last            d2 head / da_L^2, (m_L, m_L), or None
    weights, probe  one number, of the sums and of what is drawn; probe is None where nothing is
    """

    slopes: list[Tensor]
    second: list[Tensor | None]
    last: Tensor | None
    weights: Tensor
    probe: Tensor | None

    def of_blocks(self, some: slice, n: int) -> "Bends":
        """Return those of some points, in blocks of n."""

        def shaped(values: Tensor) -> Tensor:
            return values[some].unflatten(0, (-1, n)).unsqueeze(1)

        return Bends(
            [shaped(slope) for slope in self.slopes],
            [None if bend is None else shaped(bend) for bend in self.second],
            None if self.last is None else shaped(self.last),
            shaped(self.weights[:, None]),
            None if self.probe is None else shaped(self.probe[:, None]),
        )


def block_sums(affines: Sequence[Affine], basis: Tensor | None, bends: Bends, drawn: Drawn | None) -> Tensor:
    """Return the sums of every block, (blocks, k + s, k); s is 0 where nothing is drawn.

    basis  (blocks, k, m_1), or None for the identity;  drawn are rows of every block's path
    """
    blocks, _, n, _ = bends.weights.shape
    first = affines[0].weight
    k, s = len(first) if basis is None else basis.shape[1], 0 if drawn is None else drawn.index.shape[1]
    total = first.new_zeros(blocks, k + s, k)
    tangents: Tensor | None = None
    for level, affine in enumerate(affines[: _deepest(bends) + 1]):
        if level > 0:
            tangents = _next_tangents(tangents, basis, bends.slopes[level - 1], affine.weight, drawn)
        bend = bends.second[level] if level < len(bends.second) else None
        if bend is None:
            continue
        if tangents is None:
            _add_first(total, basis, bend, bends, drawn)
        else:
            _add_level(total, tangents, bend, bends, drawn)
    if bends.last is not None:
        if tangents is None:
            tangents = _spread(basis, drawn, first, blocks, n)
        _add_last(total, tangents, bends, drawn)
    return total


def point_matrices(affines: Sequence[Affine], basis: Tensor, bends: Bends) -> Tensor:
    """Return the sums over layers alone, of every point, (P, k, k), in the directions (blocks, k, m_1) of its block.

    Two arrays serve all layers: of few points they stay in cache, where new ones would not be.
    """
    blocks, k, _ = basis.shape
    points = len(bends.weights)
    total = basis.new_zeros(points, k, k)
    room = basis.new_empty(2, points * k * max(len(affine.weight) for affine in affines))

    def shaped(values: Tensor) -> Tensor:
        return values.view(blocks, -1, 1, values.shape[1])

    tangents = basis[:, None].expand(-1, points // blocks, -1, -1)  # (blocks, n, k, m_l)
    deepest = _deepest(bends)
    for level, affine in enumerate(affines[: deepest + 1]):
        if level > 0:
            scaled = torch.mul(tangents, shaped(bends.slopes[level - 1]), out=_like(room[0], tangents))
            width = len(affine.weight)
            tangents = _like(room[1], scaled, width)
            torch.mm(scaled.flatten(0, 2), affine.weight.T, out=tangents.flatten(0, 2))
        bend = bends.second[level] if level < len(bends.second) else None
        if bend is not None:
            scaled = torch.mul(tangents, shaped(bend), out=_like(room[0], tangents))
            total.baddbmm_(scaled.flatten(0, 1), tangents.flatten(0, 1).transpose(1, 2))
    if bends.last is not None:
        flat = tangents.flatten(0, 1)
        total.baddbmm_(torch.bmm(flat, bends.last), flat.transpose(1, 2))
    return total


def _deepest(bends: Bends) -> int:
    """Return the last layer at which anything bends, whose tangents are the last that are needed."""
    if bends.last is not None:
        return len(bends.second)
    return max((level for level, bend in enumerate(bends.second) if bend is not None), default=0)


def _like(room: Tensor, tangents: Tensor, width: int = 0) -> Tensor:
    """Return part of `room` in the shape of tangents, of another width where one is given."""
    shape = (*tangents.shape[:3], width or tangents.shape[3])
    return room[: math.prod(shape)].view(shape)


def _next_tangents(
    tangents: Tensor | None, basis: Tensor | None, slope: Tensor, weight: Tensor, drawn: Drawn | None
) -> Tensor:
    """Return W (phi' * T), (blocks, k, n, m'); None for both: T is the identity, and drawn directions follow it."""
    if tangents is not None:
        return _propagated(tangents * slope, weight)
    if basis is not None:
        return _propagated(basis.unsqueeze(2) * slope, weight)
    of_identity = slope[:, 0].transpose(1, 2).unsqueeze(-1) * weight.T[:, None, :]
    if drawn is None:
        return of_identity
    return torch.cat([of_identity, _propagated(drawn.directions.unsqueeze(2) * slope, weight)], 1)


def _propagated(scaled: Tensor, weight: Tensor) -> Tensor:
    return (scaled.reshape(-1, scaled.shape[-1]) @ weight.T).view(*scaled.shape[:-1], len(weight))


def _add_first(total: Tensor, basis: Tensor | None, bend: Tensor, bends: Bends, drawn: Drawn | None) -> None:
    """Add the first level, at which T is the basis and the same at every point."""
    k = total.shape[2]
    summed = (bend * bends.weights).sum(2)
    if basis is None:
        total[:, :k].diagonal(dim1=1, dim2=2).add_(summed[:, 0])
    else:
        total[:, :k].baddbmm_(basis * summed, basis.transpose(1, 2))
    if drawn is None or bends.probe is None:
        return
    probed = drawn.directions * (bend * bends.probe).sum(2)
    total[:, k:] += probed if basis is None else probed @ basis.transpose(1, 2)


def _add_level(total: Tensor, tangents: Tensor, bend: Tensor, bends: Bends, drawn: Drawn | None) -> None:
    """Add T' diag(bend) T, in one product for the sum and for what is drawn."""
    k = total.shape[2]
    right = tangents[:, :k]
    left = tangents.new_empty(len(tangents), total.shape[1], *tangents.shape[2:])
    torch.mul(right, bend * bends.weights, out=left[:, :k])
    if drawn is not None and bends.probe is not None:
        torch.mul(_drawn_of(tangents, k, drawn), bend * bends.probe, out=left[:, k:])
    total.baddbmm_(left.flatten(2), right.flatten(2).transpose(1, 2))


def _add_last(total: Tensor, tangents: Tensor, bends: Bends, drawn: Drawn | None) -> None:
    """Add T' (d2 head / da_L^2) T."""
    k, bend = total.shape[2], bends.last
    assert bend is not None
    right = tangents[:, :k]
    left = [torch.einsum("bknj,bnij->bkni", right, (bend * bends.weights.unsqueeze(-1))[:, 0])]
    if drawn is not None and bends.probe is not None:
        drawn_bend = (bend * bends.probe.unsqueeze(-1))[:, 0]
        left.append(torch.einsum("bknj,bnij->bkni", _drawn_of(tangents, k, drawn), drawn_bend))
    total.baddbmm_(torch.cat(left, 1).flatten(2), right.flatten(2).transpose(1, 2))


def _drawn_of(tangents: Tensor, k: int, drawn: Drawn) -> Tensor:
    """Return the tangents of drawn gates: they follow those of the identity, or are some of the gates' own."""
    return tangents[:, k:] if tangents.shape[1] > k else drawn.taken(tangents)


def _spread(basis: Tensor | None, drawn: Drawn | None, first: Tensor, blocks: int, n: int) -> Tensor:
    """Return the tangents of the first level, (blocks, k, n, m)."""
    if basis is None:
        basis = torch.eye(len(first), dtype=first.dtype, device=first.device).expand(blocks, -1, -1)
        basis = basis if drawn is None else torch.cat([basis, drawn.directions], 1)
    return basis.unsqueeze(2).expand(-1, -1, n, -1).contiguous()
