"""Derivatives of chains in closed form: matrix products, no graph.

For a chain a_1 = W_1 z + b_1, h_l = phi_l(a_l), a_{l+1} = W_{l+1} h_l + b_{l+1}, f = head(a_L), write g_l = df/da_l
and T_l = da_l/dv for a basis v of directions. Then g_l = phi_l' * (W_{l+1}' g_{l+1}) backwards, forwards
T_{l+1} = W_{l+1} (phi_l' * T_l), and

    d2f/dv2 = sum_l T_l' diag(phi_l'' * (W_{l+1}' g_{l+1})) T_l + T_L' (d2 head/da_L^2) T_L

The basis is the first pre-activation (T_1 = I, width m) where there are at least m groups: sums over nodes are taken
there and mapped to gates once per path through P = W_1 diag(delta) S. With fewer groups it is the gates (T_1 = P).
Derived here; tests/test_derivatives_mlp.py proves it against automatic differentiation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Engine, Matrices
from ihcli.derivatives.blocks import Bends, block_sums, point_matrices
from ihcli.derivatives.chain import Chain
from ihcli.derivatives.columns import columns_at_once, columns_in_turn
from ihcli.derivatives.drawn import Drawn
from ihcli.derivatives.jets import Jet
from ihcli.derivatives.paths import Paths, Runs
from ihcli.derivatives.room import Room

CACHE_BYTES = 2 << 20
"""Tangents handled at a time on CPU: more spill out of the cache between two products and are slower."""
MATRIX_BYTES = 32 << 20
"""Matrices made at a time on CPU: larger arrays are given back to the system and cost page faults when made again."""
POINT_BYTES = 512 << 10
"""Of what every point has of its own in one layer, of so many points at a time on CPU that a pass stays in cache."""
DEVICE_SHARE = 8
"""Of its budget a device may fill this part with one array of tangents, and three of them live at once: small products
would leave it idle between two launches."""
POINTS_PER_PATH = 8
"""At least so many points of a path come together: they share its matrices."""
LEAST_FACTORED, TIMES_FACTORED = 1000, 4
"""Gates, and gates for each unit of the first layer, from which on matrices stay products where these will do."""


@dataclass(frozen=True)
class _Rays:
    """Straight rays of the first pre-activation along U paths, and which of them every point is on.

    start, slope  (U, m): W_1 x' + b_1 and W_1 delta
    delta         (U, D)
    row           (U,); point (P,) index into U, ascending
    block         points that come together: every path has a multiple of it
    """

    start: Tensor
    slope: Tensor
    delta: Tensor
    row: Tensor
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

    def some(self, points: slice) -> "_Rays":
        """Return those of some points, which are whole blocks."""
        return _Rays(self.start, self.slope, self.delta, self.row, self.point[points], self.block)

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
        self.chain = chain
        self.memory_bytes = memory_bytes
        self._room = Room()

    def batch_points(self, paths: Paths, directions: int) -> int:
        """Plan from the arrays that a point leaves behind, on CPU in a block of a batch, and its share of matrices."""
        d, widths, g = paths.inputs.shape[1], sum(self.chain.widths), paths.n_groups
        is_on_cpu, memory_bytes = paths.inputs.device.type == "cpu", self.memory_bytes
        values = 6 * d + (4 if is_on_cpu else 12) * widths + (3 if is_on_cpu else 8) * self.chain.widths[-1] ** 2
        if directions > 1:
            values += (directions**2 + 3 * g * self.chain.widths[0]) // POINTS_PER_PATH
            memory_bytes = min(memory_bytes, MATRIX_BYTES) if is_on_cpu else memory_bytes // 2
        return max(1, memory_bytes // (values * paths.inputs.element_size()))

    @torch.no_grad()
    def values(self, paths: Paths, path: np.ndarray, t: Tensor) -> Tensor:
        """Return f(z(t))."""
        (here,) = paths.placed(path)
        start, delta = paths.ends(here)
        size = self._blocks_at_once(t, max(self.chain.widths), POINT_BYTES)
        inputs = torch.addcmul(start, t[:, None], delta).split(size)
        return paths.explained(paths.rows(here), torch.cat([self.chain.outputs(some) for some in inputs]))

    @torch.no_grad()
    def gradients(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z(t)) and F."""
        rays, room = self._rays(paths, Runs.of(path)), self._room
        value, gradient = t.new_empty(len(t)), t.new_empty(len(t), paths.n_groups)
        for some, here in self._in_cache(rays, 1, room):
            done = self._pass(paths, here, t[some], room, bending=False)
            value[some], gradient[some] = done.value, self._to_gates(paths, here, done.first)
        return value, gradient

    @torch.no_grad()
    def curvatures(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and F': the tangent along the path, and the derivative of the backward pass along it."""
        rays, room = self._rays(paths, Runs.of(path)), self._room
        value, gradient = t.new_empty(len(t)), t.new_empty(len(t), paths.n_groups)
        curvature = torch.empty_like(gradient)
        for some, here in self._in_cache(rays, 1, room):
            done = self._pass(paths, here, t[some], room)
            value[some], gradient[some] = done.value, self._to_gates(paths, here, done.first)
            curvature[some] = self._to_gates(paths, here, self._turned(done, here.slope[here.point], room))
        return value, gradient, curvature

    @torch.no_grad()
    def hessians(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and H: tangents of all gates forwards."""
        rays, room, g = self._rays(paths, Runs.of(path)), self._room, paths.n_groups
        basis = _maps(paths, self.chain.affines[0].weight, rays).permute(2, 0, 1).contiguous()
        value, gradient, second = t.new_empty(len(t)), t.new_empty(len(t), g), t.new_empty(len(t), g, g)
        for some, here in self._in_cache(rays, g, room):
            done, gates = self._pass(paths, here, t[some], room), basis[:, here.owner]
            first = done.first.view(-1, here.block, basis.shape[2])
            value[some], gradient[some] = done.value, torch.bmm(first, gates.permute(1, 2, 0)).flatten(0, 1)
            second[some] = point_matrices(self.chain.affines, gates, _bends(done, t[some], None), room)
        return value, gradient, second

    def _turned(self, done: _Pass, along: Tensor, room: Room) -> Tensor:
        """Return the derivative of g_1 where a_1 moves along (P, m_1)."""
        tangents = [along]
        for jet, affine in zip(done.jets, self.chain.affines[1:], strict=True):
            tangents.append(room.product(room.times(jet.first, tangents[-1]), affine.transposed))
        turned = torch.einsum("pij,pj->pi", done.bend, tangents[-1]) if done.bend is not None else None
        for level in reversed(range(len(done.jets))):
            jet, weight = done.jets[level], self.chain.affines[level + 1].weight
            moved = None if turned is None else room.times(jet.first, room.product(turned, weight))
            if jet.second is not None:
                bent = room.times(jet.second, done.backward[level]).mul_(tangents[level])
                moved = bent if moved is None else moved.add_(bent)
            turned = moved
        return torch.zeros_like(along) if turned is None else turned

    def core_width(self, n_groups: int, n_baselines: int) -> int | None:
        """Return m of the first layer where there are far more gates, and a row has one path."""
        width = len(self.chain.affines[0].weight)
        return width if n_baselines == 1 and n_groups >= max(LEAST_FACTORED, TIMES_FACTORED * width) else None

    @torch.no_grad()
    def maps(self, paths: Paths, path: np.ndarray) -> Tensor:
        """Return P = W_1 diag(delta) S of these paths."""
        return _maps(paths, self.chain.affines[0].weight, self._rays(paths, Runs.of(path)))

    @torch.no_grad()
    def cores(
        self, paths: Paths, path: np.ndarray, t: Tensor, weights: Tensor, combinations: Tensor | None = None
    ) -> Matrices:
        """Sum weight * S over each path's points in the basis of the first pre-activation."""
        return self._summed(paths, path, t, weights, combinations, in_gates=False)[0]

    @torch.no_grad()
    def matrices(
        self, paths: Paths, path: np.ndarray, t: Tensor, weights: Tensor, combinations: Tensor | None = None
    ) -> Matrices:
        """Sum weight * H over each path's points in the basis, then to gates."""
        in_gates = paths.n_groups < len(self.chain.affines[0].weight)
        found, maps = self._summed(paths, path, t, weights, combinations, in_gates)
        if in_gates:
            return found
        return replace(found, sums=torch.bmm(maps.transpose(1, 2), torch.bmm(found.sums, maps)))

    def _summed(
        self, paths: Paths, path: np.ndarray, t: Tensor, weights: Tensor, combinations: Tensor | None, in_gates: bool
    ) -> tuple[Matrices, Tensor]:
        """Return sums in the basis or in the gates, and the maps between; norms are of the first combination of H."""
        runs = Runs.of(path)
        rays = self._rays(paths, runs, None if combinations is None else combinations.shape[1])
        maps, room = _maps(paths, self.chain.affines[0].weight, rays), self._room
        drawn, probe = None, None
        if combinations is not None:
            drawn, probe = Drawn.of(maps), (t.view(-1, combinations.shape[1]) * combinations[0]).flatten()
        k = maps.shape[2 if in_gates else 1]
        sums, told = t.new_zeros(len(runs.path), k, k), []
        for some, here in self._in_cache(rays, 1, room):
            done = self._pass(paths, here, t[some], room)
            bends = _bends(done, weights[some], None if probe is None else probe[some])
            told += self._add_sums(sums, here, bends, maps, drawn, room)
        if combinations is None:
            return Matrices(runs.path, sums, None), maps
        norms = torch.cat(told)
        untold = [torch.full_like(norms, torch.nan)] * (len(combinations) - 1)
        return Matrices(runs.path, sums, torch.stack([norms, *untold], dim=1)), maps

    def _rays(self, paths: Paths, runs: Runs, together: int | None = None) -> _Rays:
        """Return the rays of these points, which come in blocks of so many, or of as many as every path has."""
        path, point = paths.placed(runs.path, runs.point)
        start, delta = paths.ends(path)
        first = self.chain.affines[0]
        start = torch.addmm(first.bias, start, first.weight.T)
        return _Rays(start, delta @ first.weight.T, delta, paths.rows(path), point, together or runs.block)

    def _blocks_at_once(self, like: Tensor, numbers: int, bytes_on_cpu: int) -> int:
        """Return how many blocks of so many numbers come together: on CPU what stays in cache, else what fits."""
        room = bytes_on_cpu if like.device.type == "cpu" else self.memory_bytes // DEVICE_SHARE
        return max(1, room // (numbers * like.element_size()))

    def _in_cache(self, rays: _Rays, directions: int, room: Room) -> Iterator[tuple[slice, _Rays]]:
        """Yield which points come together, on CPU as many as stay in cache with so many directions each.

        What stands in the room for some points is no longer needed for the next.
        """
        numbers = directions * max(self.chain.widths) * rays.block
        bytes_on_cpu = POINT_BYTES if directions == 1 else CACHE_BYTES
        n_blocks, most = max(1, len(rays.owner)), self._blocks_at_once(rays.start, numbers, bytes_on_cpu)
        together = -(-n_blocks // -(-n_blocks // most)) * rays.block  # evenly: a small turn takes most of its time too
        for first in range(0, len(rays.point), together):
            some = slice(first, first + together)
            room.again()
            yield some, rays.some(some)

    def _pass(self, paths: Paths, rays: _Rays, t: Tensor, room: Room, bending: bool = True) -> _Pass:
        a, points = rays.at(t), t.shape[0]
        jets: list[Jet] = []
        for affine, activation in zip(self.chain.affines[1:], self.chain.activations, strict=True):
            jets.append(activation.jet(a, bending, room.of_layer(a)))
            following = room.named(f"a{len(jets) % 2}", a, points, affine.bias.shape[0])
            a = torch.addmm(affine.bias, jets[-1].value, affine.transposed, out=following)
        value, g, bend = self._head(paths, rays.row[rays.point], a, bending)
        backward: list[Tensor] = []
        for level in reversed(range(len(jets))):
            jet, weight = jets[level], self.chain.affines[level + 1].weight
            here = room.named(f"g{level % 2}", g, points, weight.shape[1])
            if bending:
                backward.insert(0, room.product(g, weight))
                g = torch.mul(jet.first, backward[0], out=here)
            else:
                g = torch.mm(g, weight, out=here).mul_(jet.first)
        return _Pass(value, jets, backward, g, bend)

    def _head(self, paths: Paths, row: Tensor, a: Tensor, bending: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return f, its gradient and its Hessian (None: zero) in the last pre-activations; its steps take autograd."""
        if not self.chain.head.steps:
            output = paths.outputs[row][:, None]
            return a.gather(1, output)[:, 0], torch.zeros_like(a).scatter_(1, output, 1.0), None

        def explained(row: Tensor, a: Tensor) -> Tensor:
            return paths.explained(row, self.chain.head.outputs(a))

        with torch.enable_grad():
            a = a.detach().requires_grad_()
            value = explained(row, a)
            (g,) = torch.autograd.grad(value.sum(), a, create_graph=bending, materialize_grads=True)
            if not g.requires_grad:
                return value.detach(), g, None
            bend = columns_in_turn(g, a) if a.device.type == "cpu" else columns_at_once(explained, row, a)
        return value.detach(), g.detach(), bend

    def _to_gates(self, paths: Paths, rays: _Rays, g: Tensor) -> Tensor:
        """Return S' diag(delta) W_1' g, (P, G)."""
        per_input = g @ self.chain.affines[0].weight
        return paths.to_groups(rays.times_delta(per_input), rays.row[rays.point])

    def _add_sums(
        self, sums: Tensor, rays: _Rays, bends: Bends, maps: Tensor, drawn: Drawn | None, room: Room
    ) -> list[Tensor]:
        """Add the sums over each path's points in the basis, (U, k, k), and return norms of the blocks' probes.

        Blocks of n points of one path at a time.
        """
        n, owner, k = rays.block, rays.owner, sums.shape[1]
        s, in_gates = 0 if drawn is None else drawn.index.shape[1], k < maps.shape[1]
        size = self._blocks_at_once(sums, n * (s + k) * max(self.chain.widths), CACHE_BYTES)
        norms = []
        for first in range(0, len(owner), size):
            here, path = bends.of_blocks(slice(first * n, (first + size) * n), n), owner[first : first + size]
            basis = maps[path] if in_gates else None
            total = block_sums(self.chain.affines, basis, here, drawn and drawn.of_paths(path), room)
            sums.index_add_(0, path, total[:, s:])
            if drawn is not None:
                rows = total[:, :s]
                norms.append(drawn.norms(rows if in_gates else rows @ maps[path], path))
        return norms


def _bends(done: _Pass, weights: Tensor, probe: Tensor | None) -> Bends:
    second = [None if j.second is None else b.mul_(j.second) for j, b in zip(done.jets, done.backward, strict=True)]
    return Bends([jet.first for jet in done.jets], second, done.bend, weights, probe)


def _maps(paths: Paths, weight: Tensor, rays: _Rays) -> Tensor:
    """Return P = W_1 diag(delta) S of every path, (U, m, G)."""
    scaled = weight[None] * rays.delta[:, None, :]
    if paths.group_of is None:
        return scaled
    row = rays.row[:, None].expand(-1, len(weight)).flatten()
    return paths.to_groups(scaled.flatten(0, 1), row).unflatten(0, scaled.shape[:2])
