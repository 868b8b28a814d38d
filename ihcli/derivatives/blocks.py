"""Sums of second derivatives over blocks of points of one path, layer by layer: the inner loop of the closed form.

T_l is the derivative of the pre-activations of layer l by k directions, tangents (blocks, m_l, n, k), and a block's sum
is

    sum over its n points and the layers l of weight * T_l' diag(bend_l) T_l

Above it stand s drawn rows of the same sum with other weights, the probe: see `ihcli.derivatives.drawn`. Directions
come last, so that products run along the rows of a sum: 1.3 times faster than where points come last. To leave out half
of the products, because sums are symmetric, has gained nothing: narrow ones are slower by as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ihcli.derivatives.chain import Affine
from ihcli.derivatives.drawn import Drawn
from ihcli.derivatives.room import Room


@dataclass(frozen=True)
class Bends:
    """What second derivatives are made of at P points, (P, ...), or at blocks of n of them, (blocks, ..., n, 1).

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
            return values[some].view(-1, n, values.shape[1]).transpose(1, 2).contiguous().unsqueeze(3)

        return Bends(
            [shaped(slope) for slope in self.slopes],
            [None if bend is None else shaped(bend) for bend in self.second],
            None if self.last is None else self.last[some].unflatten(0, (-1, n)),
            shaped(self.weights[:, None]),
            None if self.probe is None else shaped(self.probe[:, None]),
        )


def block_sums(
    affines: Sequence[Affine], basis: Tensor | None, bends: Bends, drawn: Drawn | None, room: Room
) -> Tensor:
    """Return the sums of every block, (blocks, s + k, k); s is 0 where nothing is drawn.

    basis  (blocks, m_1, k), or None for the identity;  drawn are rows of every block's path
    """
    k, s = len(affines[0].weight) if basis is None else basis.shape[2], 0 if drawn is None else drawn.index.shape[1]
    total = bends.weights.new_zeros(len(bends.weights), s + k, k)
    tangents = None if basis is None else basis.unsqueeze(2)
    for level, affine in enumerate(affines[: _deepest(bends) + 1]):
        if level > 0:
            tangents = _next_tangents(tangents, bends.slopes[level - 1], affine, drawn, room)
        bend = bends.second[level] if level < len(bends.second) else None
        if bend is None or tangents is None:
            continue
        if level > 0:
            left, right = _sides(tangents, bend, bends, k, drawn, room)
        else:
            left, right = _first_sides(tangents, bend, bends, drawn)
        total.baddbmm_(left.transpose(1, 2), right)
    if bends.last is not None:
        left, right = _last_sides(_spread(tangents, bends, affines[0].weight, drawn), bends, k, drawn)
        total.baddbmm_(left.transpose(1, 2), right)
    if basis is None and bends.second and bends.second[0] is not None:
        _add_identity(total, bends.second[0], bends, drawn)
    return total


def point_matrices(affines: Sequence[Affine], basis: Tensor, bends: Bends, room: Room) -> Tensor:
    """Return the sums over layers alone, of every point, (P, k, k), in the directions (k, blocks, m_1) of its block."""
    k, blocks, m = basis.shape
    points = len(bends.weights)
    tangents = room.named("tangents", basis, k, points, m)  # then (k, P, m_l)
    tangents.view(k, blocks, -1, m).copy_(basis[:, :, None])
    total = basis.new_zeros(points, k, k)
    for level, affine in enumerate(affines[: _deepest(bends) + 1]):
        if level > 0:
            scaled = _scaled(tangents, bends.slopes[level - 1][None], room)
            tangents = room.named("tangents", basis, k, points, len(affine.bias))
            torch.mm(scaled.flatten(0, 1), affine.transposed, out=tangents.flatten(0, 1))
        bend = bends.second[level] if level < len(bends.second) else None
        if bend is not None:
            scaled = _scaled(tangents, bend[None], room)
            total.baddbmm_(scaled.transpose(0, 1), tangents.permute(1, 2, 0))
    if bends.last is not None:
        total.baddbmm_(torch.bmm(tangents.transpose(0, 1), bends.last), tangents.permute(1, 2, 0))
    return total


def _deepest(bends: Bends) -> int:
    """Return the last layer at which anything bends, whose tangents are the last that are needed."""
    if bends.last is not None:
        return len(bends.second)
    return max((level for level, bend in enumerate(bends.second) if bend is not None), default=0)


def _scaled(tangents: Tensor, factor: Tensor, room: Room) -> Tensor:
    """Return tangents times numbers of every point, in an array of the room."""
    shape = torch.Size(map(max, tangents.shape, factor.shape))
    return torch.mul(tangents, factor, out=room.named("scaled", factor, *shape))


def _next_tangents(tangents: Tensor | None, slope: Tensor, affine: Affine, drawn: Drawn | None, room: Room) -> Tensor:
    """Return W (phi' * T), (blocks, m', n, k); None: T is the identity, and drawn directions come before it."""
    blocks, m, n, _ = slope.shape
    width = len(affine.bias)
    if tangents is not None:
        scaled = _scaled(tangents, slope, room)
        following = room.named("tangents", slope, blocks, width, n, scaled.shape[3])
        torch.bmm(affine.weight.expand(blocks, -1, -1), scaled.flatten(2), out=following.view(blocks, width, -1))
        return following
    s = 0 if drawn is None else drawn.index.shape[1]
    following = room.named("tangents", slope, blocks, width, n, s + m)
    torch.mul(affine.weight[:, None], slope.transpose(1, 3).contiguous(), out=following[..., s:])
    if drawn is not None:
        scaled = (drawn.directions.transpose(1, 2).unsqueeze(2) * slope).flatten(2)
        following[..., :s] = (affine.weight @ scaled).view(blocks, width, n, s)
    return following


def _sides(
    tangents: Tensor, bend: Tensor, bends: Bends, k: int, drawn: Drawn | None, room: Room
) -> tuple[Tensor, Tensor]:
    """Return both sides of T' diag(bend) T and of its drawn rows, units and points in one axis."""
    right, of_drawn = _parts(tangents, k, drawn)
    s = 0 if of_drawn is None else of_drawn.shape[3]
    left = room.named("scaled", tangents, *right.shape[:3], s + k)
    torch.mul(right, bend * bends.weights, out=left[..., s:])
    if of_drawn is not None and bends.probe is not None:
        torch.mul(of_drawn, bend * bends.probe, out=left[..., :s])
    return left.flatten(1, 2), right.flatten(1, 2)


def _first_sides(basis: Tensor, bend: Tensor, bends: Bends, drawn: Drawn | None) -> tuple[Tensor, Tensor]:
    """Return the same of the first level, at which T is the basis and the same at every point."""
    right = basis[:, :, 0]
    left = right * (bend * bends.weights).sum(2)
    if drawn is not None and bends.probe is not None:
        left = torch.cat([drawn.directions.transpose(1, 2) * (bend * bends.probe).sum(2), left], 2)
    return left, right


def _last_sides(tangents: Tensor, bends: Bends, k: int, drawn: Drawn | None) -> tuple[Tensor, Tensor]:
    """Return both sides of T' (d2 head / da_L^2) T and of its drawn rows."""
    (right, of_drawn), bend = _parts(tangents, k, drawn), bends.last
    assert bend is not None
    left = [torch.einsum("bnij,bjnk->bink", bend, right * bends.weights)]
    if of_drawn is not None and bends.probe is not None:
        left.insert(0, torch.einsum("bnij,bjnk->bink", bend, of_drawn * bends.probe))
    return torch.cat(left, 3).flatten(1, 2), right.flatten(1, 2)


def _parts(tangents: Tensor, k: int, drawn: Drawn | None) -> tuple[Tensor, Tensor | None]:
    """Return the tangents of the basis, and of drawn gates: before those of the identity, or some of the gates' own."""
    if drawn is None:
        return tangents, None
    s = tangents.shape[3] - k
    return (tangents[..., s:], tangents[..., :s]) if s > 0 else (tangents, drawn.taken(tangents))


def _add_identity(total: Tensor, bend: Tensor, bends: Bends, drawn: Drawn | None) -> None:
    """Add the first level where T is the identity."""
    s = total.shape[1] - total.shape[2]
    total[:, s:].diagonal(dim1=1, dim2=2).add_((bend * bends.weights).sum(2)[:, :, 0])
    if drawn is not None and bends.probe is not None:
        total[:, :s] += drawn.directions * (bend * bends.probe).sum(2).transpose(1, 2)


def _spread(tangents: Tensor | None, bends: Bends, first: Tensor, drawn: Drawn | None) -> Tensor:
    """Return tangents with all points of a block apart, also those of the first level, which are the same at each."""
    blocks, _, n, _ = bends.weights.shape
    if tangents is None:
        basis = torch.eye(len(first), dtype=first.dtype, device=first.device).expand(blocks, -1, -1)
        tangents = (basis if drawn is None else torch.cat([drawn.directions.transpose(1, 2), basis], 2)).unsqueeze(2)
    return tangents.expand(-1, -1, n, -1)
