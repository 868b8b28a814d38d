"""Derivatives of chains in closed form: matrix products, no graph.

For a chain a_1 = W_1 z + b_1, h_l = phi_l(a_l), a_{l+1} = W_{l+1} h_l + b_{l+1}, f = head(a_L), write g_l = df/da_l
and T_l = da_l/dv for a basis v of directions. Then g_l = phi_l' * (W_{l+1}' g_{l+1}) backwards, forwards
T_{l+1} = W_{l+1} (phi_l' * T_l), and

    d2f/dv2 = sum_l T_l' diag(phi_l'' * (W_{l+1}' g_{l+1})) T_l + T_L' (d2 head/da_L^2) T_L

The basis is the first pre-activation (T_1 = I, width m) where there are at least m groups: sums over nodes are taken
there and mapped to gates once per path through P = W_1 diag(delta) S. With fewer groups it is the gates (T_1 = P).
Derived here; tests/test_derivatives_mlp.py proves it against automatic differentiation.
"""

from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor

from ihcli.derivatives import Engine
from ihcli.derivatives.chain import Chain
from ihcli.derivatives.jets import Jet
from ihcli.derivatives.paths import Paths

CACHE_BYTES = 2 << 20
"""Tangents handled at a time on CPU: more spill out of the cache between two products and are slower."""
MATRIX_BYTES = 32 << 20
"""Matrices made at a time on CPU: larger arrays are given back to the system and cost page faults when made again."""
POINTS_PER_PATH = 8
"""At least so many points of a path come together: they share its matrices."""


@dataclass(frozen=True)
class _Rays:
    """Straight rays of the first pre-activation along U paths, and which of them every point is on.

    start, slope  (U, m): W_1 x' + b_1 and W_1 delta
    delta         (U, D)
    path          (U,); point (P,) index into U, ascending
    block         points that come together: every path has a multiple of it
    """

    start: Tensor
    slope: Tensor
    delta: Tensor
    path: Tensor
    point: Tensor
    block: int

    @property
    def owner(self) -> Tensor:
        """Return the path of each block, as an index into U."""
        return self.point[:: self.block]

    def at(self, t: Tensor) -> Tensor:
        """Return start + t slope at the points, (P, m)."""
        per_block = t.view(-1, self.block, 1)
        return torch.addcmul(self.start[self.owner, None], per_block, self.slope[self.owner, None]).flatten(0, 1)

    def times_delta(self, values: Tensor) -> Tensor:
        """Multiply (P, D) values by each point's delta, in place."""
        values.view(-1, self.block, values.shape[1]).mul_(self.delta[self.owner, None])
        return values


@dataclass(frozen=True)
class _Pass:
    """What one pass forwards and one backwards leave behind at P points.

    value        (P,) f
    jets         element-wise functions of layers 1 to L - 1
    backward     W_{l+1}' g_{l+1} of the same layers, (P, m_l); none where nothing bends
    first        g_1 (P, m_1);  bend: d2 head / da_L^2 (P, m_L, m_L) or None where it is zero
    """

    value: Tensor
    jets: list[Jet]
    backward: list[Tensor]
    first: Tensor
    bend: Tensor | None


class MlpEngine(Engine):
    """Closed-form derivatives of a chain; see `Engine`. Cost of assembly: about 4 m^3 a point for each hidden layer."""

    name = "mlp"

    def __init__(self, chain: Chain, memory_bytes: int) -> None:
        self._chain = chain
        self.memory_bytes = memory_bytes

    def batch_points(self, paths: Paths, directions: int) -> int:
        """Plan from the arrays that a point leaves behind, and its share of the matrices."""
        d, widths, g = paths.inputs.shape[1], sum(self._chain.widths), paths.n_groups
        values, memory_bytes = 6 * d + 12 * widths + 3 * self._chain.widths[-1] ** 2, self.memory_bytes
        if directions > 1:
            values += (g * g + 3 * g * self._chain.widths[0]) // POINTS_PER_PATH
            memory_bytes = min(memory_bytes, MATRIX_BYTES) if paths.inputs.device.type == "cpu" else memory_bytes
        return max(1, memory_bytes // (values * paths.inputs.element_size()))

    @torch.no_grad()
    def values(self, paths: Paths, path: Tensor, t: Tensor) -> Tensor:
        """Return f(z(t))."""
        start, delta = paths.ends(path)
        return self._explained(paths, path, self._chain.outputs(torch.addcmul(start, t[:, None], delta)))

    @torch.no_grad()
    def gradients(self, paths: Paths, path: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z(t)) and F."""
        rays = self._rays(paths, path)
        done = self._pass(paths, path, rays.at(t), bending=False)
        return done.value, self._to_gates(paths, rays, done.first)

    @torch.no_grad()
    def curvatures(self, paths: Paths, path: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and F': the tangent along the path, and the derivative of the backward pass along it."""
        rays = self._rays(paths, path)
        done = self._pass(paths, path, rays.at(t))
        along = rays.slope[rays.point]
        tangents = [along]
        for jet, affine in zip(done.jets, self._chain.affines[1:], strict=True):
            along = (jet.first * along) @ affine.weight.T
            tangents.append(along)
        turned = torch.zeros_like(along) if done.bend is None else torch.einsum("pij,pj->pi", done.bend, along)
        for level in reversed(range(len(done.jets))):
            jet, carried = done.jets[level], turned @ self._chain.affines[level + 1].weight
            turned = jet.first * carried
            if jet.second is not None:
                turned += jet.second * done.backward[level] * tangents[level]
        return done.value, self._to_gates(paths, rays, done.first), self._to_gates(paths, rays, turned)

    @torch.no_grad()
    def assemble(self, paths: Paths, path: Tensor, t: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Sum weight * H over each row's points: over those of a path first, in the basis, then mapped to gates."""
        rays = self._rays(paths, path)
        done = self._pass(paths, path, rays.at(t))
        to_basis = self._chain.affines[0].weight
        in_gates = paths.n_groups < len(to_basis)
        maps = _maps(paths, to_basis, rays)
        bends = [_weighted(weights, jet.second, back) for jet, back in zip(done.jets, done.backward, strict=True)]
        last = None if done.bend is None else weights[:, None, None] * done.bend
        sums = self._sums(rays, maps if in_gates else None, done.jets, bends, last)
        if not in_gates:
            sums = torch.bmm(maps.transpose(1, 2), torch.bmm(sums, maps))
        rows, position = torch.unique_consecutive(paths.rows(rays.path), return_inverse=True)
        if len(rows) == len(rays.path):
            return rows, sums
        return rows, sums.new_zeros(len(rows), *sums.shape[1:]).index_add_(0, position, sums)

    def _rays(self, paths: Paths, path: Tensor) -> _Rays:
        unique, point, count = torch.unique_consecutive(path, return_inverse=True, return_counts=True)
        start, delta = paths.ends(unique)
        first = self._chain.affines[0]
        slope = delta @ first.weight.T
        block = gcd(*count.tolist())
        return _Rays(torch.addmm(first.bias, start, first.weight.T), slope, delta, unique, point, block)

    def _pass(self, paths: Paths, path: Tensor, a: Tensor, bending: bool = True) -> _Pass:
        jets = []
        for affine, activation in zip(self._chain.affines[1:], self._chain.activations, strict=True):
            jets.append(activation.jet(a, bending))
            a = torch.addmm(affine.bias, jets[-1].value, affine.weight.T)
        value, g, bend = self._head(paths, path, a, bending)
        backward: list[Tensor] = []
        for jet, affine in zip(reversed(jets), reversed(self._chain.affines[1:]), strict=True):
            carried = g @ affine.weight
            if bending:
                backward.insert(0, carried)
            g = jet.first * carried if bending else carried.mul_(jet.first)
        return _Pass(value, jets, backward, g, bend)

    def _head(self, paths: Paths, path: Tensor, a: Tensor, bending: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return f, its gradient and its Hessian (None: zero) in the last pre-activations, by autograd."""
        with torch.enable_grad():
            a = a.detach().requires_grad_()
            value = self._explained(paths, path, self._chain.head.outputs(a))
            (g,) = torch.autograd.grad(value.sum(), a, create_graph=bending, materialize_grads=True)
            if not g.requires_grad:
                return value.detach(), g, None
            columns = [
                torch.autograd.grad(g[:, j].sum(), a, retain_graph=True, materialize_grads=True)[0]
                for j in range(a.shape[1])
            ]
        return value.detach(), g.detach(), torch.stack(columns, dim=1)

    def _explained(self, paths: Paths, path: Tensor, outputs: Tensor) -> Tensor:
        return outputs.gather(1, paths.outputs[paths.rows(path)][:, None])[:, 0]

    def _to_gates(self, paths: Paths, rays: _Rays, g: Tensor) -> Tensor:
        """Return S' diag(delta) W_1' g, (P, G)."""
        per_input = g @ self._chain.affines[0].weight
        return paths.to_groups(rays.times_delta(per_input), paths.rows(rays.path)[rays.point])

    def _sums(
        self, rays: _Rays, maps: Tensor | None, jets: list[Jet], bends: list[Tensor | None], last: Tensor | None
    ) -> Tensor:
        """Return the sums over each path's points in the basis, (U, k, k): blocks of n points of one path at a time."""
        n, owner = rays.block, rays.owner
        m = self._chain.widths[0]
        k = m if maps is None else maps.shape[2]
        sums = rays.start.new_zeros(len(rays.path), k, k)
        size = max(1, CACHE_BYTES // (n * k * max(self._chain.widths) * sums.element_size()))
        for some in torch.arange(len(owner), device=owner.device).split(size):
            block = slice(int(some[0]) * n, (int(some[-1]) + 1) * n)
            basis = None if maps is None else maps[owner[some]].transpose(1, 2)
            here = [_shaped(jet.first[block], n) for jet in jets]
            bent = [None if bend is None else _shaped(bend[block], n) for bend in bends]
            end = None if last is None else last[block].unflatten(0, (-1, n))
            sums.index_add_(0, owner[some], self._block_sums(basis, here, bent, end, (len(some), k, n)))
        return sums

    def _block_sums(
        self,
        basis: Tensor | None,
        slopes: list[Tensor],
        bends: list[Tensor | None],
        last: Tensor | None,
        shape: tuple[int, int, int],
    ) -> Tensor:
        """Return sum_l T_l' diag(bend_l) T_l of every block, (blocks, k, k); basis None is the identity.

        slopes, bends  (blocks, 1, n, m_l);  basis (blocks, k, m_1);  tangents (blocks, k, n, m_l)
        """
        blocks, k, n = shape
        weight = self._chain.affines[0].weight
        total = weight.new_zeros(blocks, k, k)
        tangents: Tensor | None = None
        for level, affine in enumerate(self._chain.affines):
            if level > 0:
                tangents = self._next_tangents(tangents, basis, slopes[level - 1], affine.weight)
            bend = bends[level] if level < len(bends) else None
            if bend is not None:
                _add_level(total, tangents, basis, bend)
        if last is not None:
            reached = tangents if tangents is not None else _start(basis, weight, blocks, n)
            bent = torch.einsum("bknj,bnij->bkni", reached, last)
            total.baddbmm_(bent.flatten(2), reached.flatten(2).transpose(1, 2))
        return total

    def _next_tangents(self, tangents: Tensor | None, basis: Tensor | None, slope: Tensor, weight: Tensor) -> Tensor:
        """Return W (phi' * T), (blocks, k, n, m'); None for both: T is the identity."""
        if tangents is None and basis is None:
            return slope[:, 0].transpose(1, 2).unsqueeze(-1) * weight.T[:, None, :]
        reached = tangents if tangents is not None else basis.unsqueeze(2)  # type: ignore[union-attr]
        scaled = reached * slope
        return (scaled.reshape(-1, scaled.shape[-1]) @ weight.T).view(*scaled.shape[:-1], len(weight))


def _start(basis: Tensor | None, weight: Tensor, blocks: int, n: int) -> Tensor:
    first = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)[None] if basis is None else basis
    return first[:, :, None, :].expand(blocks, -1, n, -1).contiguous()


def _add_level(total: Tensor, tangents: Tensor | None, basis: Tensor | None, bend: Tensor) -> None:
    """Add T' diag(bend) T; at the first level T is the basis and the same at every node."""
    if tangents is not None:
        scaled = tangents * bend
        total.baddbmm_(scaled.flatten(2), tangents.flatten(2).transpose(1, 2))
    elif basis is None:
        total.diagonal(dim1=1, dim2=2).add_(bend.sum(2)[:, 0])
    else:
        total.baddbmm_(basis * bend.sum(2), basis.transpose(1, 2))


def _shaped(values: Tensor, n: int) -> Tensor:
    """Put (P, m) values into blocks of n points: (blocks, 1, n, m)."""
    return values.unflatten(0, (-1, n)).unsqueeze(1)


def _weighted(weights: Tensor, second: Tensor | None, backward: Tensor) -> Tensor | None:
    return None if second is None else weights[:, None] * second * backward


def _maps(paths: Paths, weight: Tensor, rays: _Rays) -> Tensor:
    """Return P = W_1 diag(delta) S of every path, (U, m, G)."""
    scaled = weight[None] * rays.delta[:, None, :]
    if paths.group_of is None:
        return scaled
    row = paths.rows(rays.path).repeat_interleave(len(weight))
    return paths.to_groups(scaled.flatten(0, 1), row).unflatten(0, scaled.shape[:2])
