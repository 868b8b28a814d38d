"""Assembly: second derivatives summed over the nodes of a mesh into each row's matrix of interactions.

Of few groups panels have their matrices with them, which are only added up; of many, second derivatives are taken once
a mesh is accepted.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.derivatives import Matrices as Found
from ihcli.derivatives.transfers import Coming, download, upload
from ihcli.explanation.factors import Factored
from ihcli.explanation.factors import Matrices as AnyMatrices
from ihcli.integration.panels import Panels
from ihcli.integration.quadrature import PanelRule
from ihcli.integration.spread import share_of, standard_error

BAND_VALUES = 1 << 18
"""Of a matrix that is looked at in bands: 1 MiB in float32, which stays in cache."""


class Matrices:
    """Matrices of N rows: sums over baselines, and of their squares where these were drawn from a population.

    norms  (M, 2) of the panels last assembled, what `ihcli.integration.matrix` asks for; NaN where they were forgotten
    """

    def __init__(self, along: Along, rule: PanelRule, population: int | None) -> None:
        paths = along.paths
        self._along, self._rule = along, rule
        self._sums = paths.inputs.new_zeros(paths.n_rows, self._width, self._width)
        self._population = population
        is_spread_known = population is not None and paths.n_baselines > 1
        self._squares = torch.zeros_like(self._sums) if is_spread_known else None
        self._diagonal = np.zeros((paths.n_rows * paths.n_baselines, paths.n_groups))
        self.norms = np.zeros((0, 2))

    def add(self, panels: Panels, which: np.ndarray, tell: Tell = unheard) -> None:
        """Add -t ln t H, summed over the panels of these paths (N B,) bool, and note the norms of these panels.

        Each sum is taken with half its weight and added to its transpose, so that rounding leaves matrices symmetric.
        Cost: G Hessian-vector products at every node.
        """
        if not len(self.norms):
            self.norms = np.full((len(panels), 2), np.nan)
        chosen = which[panels.path]
        self._diagonal[which] = 0
        np.add.at(self._diagonal, panels.path[chosen], panels.log_integral[chosen])
        for rule, order in self._by_path(panels, chosen):
            done = 0
            for norms in self._sum_up(panels.take(order), rule, 1.0, tell):
                self.norms[order[done : done + len(norms)]] = norms
                done += len(norms)

    def remove(self, panels: Panels, which: np.ndarray) -> None:
        """Take away what was added for these paths, on the panels that they had then."""
        if self._along.paths.n_baselines == 1:
            (rows,) = upload(self._sums.device, np.flatnonzero(which))
            self._sums.index_fill_(0, rows, 0)
            return
        for rule, order in self._by_path(panels, which[panels.path]):
            for _ in self._sum_up(panels.take(order), rule, -1.0):
                pass

    def _by_path(self, panels: Panels, chosen: np.ndarray) -> Iterator[tuple[PanelRule, np.ndarray]]:
        """Yield each rule with the positions of the chosen panels (M,) that it measured, path by path.

        A path has panels of one rule only: of an extension, one that is all of it.
        """
        for rule, which in panels.by_rule(self._rule):
            some = which[chosen[which]]
            if len(some):
                yield rule, some[np.argsort(panels.path[some], kind="stable")]

    def _sum_up(self, mesh: Panels, rule: PanelRule, sign: float, tell: Tell = unheard) -> Iterator[np.ndarray]:
        """Add the sums of whole paths, with that sign, to their rows; yield the norms of the panels of each batch."""
        n_nodes, done = len(rule.nodes), 0
        nodes = rule.on(mesh.a, mesh.b)
        weights, last = nodes.log_weights * nodes.t / 2, rule.last_pairs

        def found(some: slice) -> tuple[Found, Coming | None]:
            path = np.repeat(mesh.path[some], n_nodes)
            sums = self._found(path, nodes.t[some].ravel(), weights[some].ravel(), last)
            return sums, None if sums.norms is None else Coming(sums.norms)

        held: tuple[np.ndarray, Tensor] | None = None  # the last path of a batch, which the next may go on with
        for some, coming in self._along.in_batches(len(mesh), n_nodes, self._width, found):
            path, sums = some.path, some.sums
            if held is not None and held[0][0] == path[0]:
                sums[0] += held[1][0]
            elif held is not None:
                self._add(*held, sign)
            self._add(path[:-1], sums[:-1], sign)
            held = path[-1:], sums[-1:].clone()
            if coming is not None:
                (norms,) = coming.arrays()
                done += len(norms)
                yield norms
            tell(done / len(mesh))
        if held is not None:
            self._add(*held, sign)

    @property
    def _width(self) -> int:
        return self._along.paths.n_groups

    def _found(self, path: np.ndarray, t: np.ndarray, weights: np.ndarray, last: np.ndarray) -> Found:
        return self._along.matrices(path, t, weights, last)

    def forget(self, chosen: np.ndarray) -> None:
        """Follow panels that are bisected: the chosen (M,) go, and both halves of each stand behind the others."""
        self.norms = np.concatenate([self.norms[~chosen], np.full((2 * np.count_nonzero(chosen), 2), np.nan)])

    def size(self) -> np.ndarray:
        """Return the L1 norms of the rows' matrices, (N,)."""
        b, norm = self._along.paths.n_baselines, torch.linalg.vector_norm(self._sums, 1, dim=(1, 2))
        size, diagonal = Coming(norm, self._sums.diagonal(dim1=1, dim2=2)).arrays()
        beside = size - np.abs(diagonal).sum(1, dtype=np.float64)
        found: np.ndarray = beside / b + np.abs(diagonal / b + self._mean_diagonal()).sum(1)
        return found

    def mean(self) -> AnyMatrices:
        """Return the mean over baselines, (N, G, G) in the model's dtype; this ends the assembly."""
        return self._with_diagonal(self._sums.div_(self._along.paths.n_baselines))

    def spread(self, mean: np.ndarray) -> np.ndarray | None:
        """Return the standard error of this mean over baselines, (N, G, G); None where they were not drawn, or one."""
        if self._squares is None or self._population is None:
            return None
        b = self._along.paths.n_baselines
        variance = download(self._squares) - b * mean**2
        return standard_error(np.maximum(variance, 0) / (b - 1), b, self._population)

    @np.errstate(over="ignore", invalid="ignore")  # of paths that are not finite, whose rows have no figures
    def sampling_error(self) -> np.ndarray:
        """Return the relative L1 standard error of all entries, (N,); NaN where baselines were not drawn, or one."""
        mean = None if self._squares is None else self._with_diagonal(self._sums / self._along.paths.n_baselines)
        if mean is None or (spread := self.spread(mean)) is None:
            return np.full(len(self._sums), np.nan)
        return share_of(*(np.abs(part).sum((1, 2), dtype=np.float64) for part in (spread, mean)))

    def _with_diagonal(self, mean: Tensor) -> np.ndarray:
        """Add to the mean of the sums what stands on the diagonal beside them; on CPU in place."""
        found = download(mean)
        np.einsum("ngg->ng", found)[...] += self._mean_diagonal()
        return found

    def _add(self, path: np.ndarray, sums: Tensor, sign: float) -> None:
        """Add sums of whole paths to their rows with that sign, with their transposes."""
        if not len(path):
            return
        paths, row = self._along.paths, self._along.paths.rows(path)
        first, last = int(row[0]), int(row[-1])
        if paths.n_baselines == 1 and last - first + 1 == len(row):
            torch.add(sums, sums.transpose(1, 2), out=self._sums[first : last + 1])
            return
        whole = sums + sums.transpose(1, 2)
        index, diagonal = self._along.placed(row, self._diagonal[path])
        self._sums.index_add_(0, index, whole, alpha=sign)
        if self._squares is not None:
            whole.diagonal(dim1=1, dim2=2).add_(diagonal)
            self._squares.index_add_(0, index, whole.square_(), alpha=sign)

    def _mean_diagonal(self) -> np.ndarray:
        """Return what stands on the diagonal beside the sums, (N, G)."""
        paths = self._along.paths
        return self._diagonal.reshape(paths.n_rows, paths.n_baselines, -1).mean(1)


class KeptMatrices(Matrices):
    """Matrices that panels have with them, of few groups: added up anew each time, at no further cost."""

    def add(self, panels: Panels, which: np.ndarray, tell: Tell = unheard) -> None:
        """Add up the matrices of all paths; those of others than `which` have not changed."""
        self.norms = panels.norms
        per_path = torch.zeros(len(which), *panels.matrix.shape[1:], dtype=self._sums.dtype)
        per_path.index_add_(0, torch.as_tensor(panels.path), torch.as_tensor(panels.matrix))
        self._diagonal[:] = 0
        np.add.at(self._diagonal, panels.path, panels.log_integral)
        of_rows = per_path.unflatten(0, (-1, self._along.paths.n_baselines))
        self._sums = of_rows.sum(1)
        if self._squares is not None:
            per_path.diagonal(dim1=1, dim2=2).add_(torch.as_tensor(self._diagonal, dtype=per_path.dtype))
            self._squares = of_rows.square_().sum(1)

    def remove(self, panels: Panels, which: np.ndarray) -> None:
        """Take nothing away: `add` begins anew."""


class FactoredMatrices(Matrices):
    """Matrices P' S P of rows with one path each and far more gates than directions: what is summed are the cores S.

    Norms are taken of bands of the matrices, which are made anew for it: no G x G numbers are held of any row.
    """

    def __init__(self, along: Along, rule: PanelRule, population: int | None) -> None:
        super().__init__(along, rule, population)
        rows = np.arange(along.paths.n_rows)
        self._maps = along.maps(rows)
        self._whole_diagonal = self._maps.new_zeros(len(rows), along.paths.n_groups)
        self._margins = self._maps.new_zeros(self._whole_diagonal.shape, dtype=torch.float64)
        self._is_new = np.ones(len(rows), bool)

    def add(self, panels: Panels, which: np.ndarray, tell: Tell = unheard) -> None:
        """Add the cores of these rows, see `Matrices.add`."""
        super().add(panels, which, tell)
        self._is_new |= which

    def size(self) -> np.ndarray:
        """Return the L1 norms of the rows' matrices, (N,), of which those are made that are not known yet."""
        (added,) = self._along.placed(self._mean_diagonal())
        for row in np.flatnonzero(self._is_new):
            self._whole_diagonal[row], self._margins[row] = diagonal_and_margins(
                self._maps[row], self._sums[row], added[row]
            )
        self._is_new[:] = False
        return download(self._margins.sum(1))

    def mean(self) -> Factored:
        """Return the matrices as products."""
        return Factored(*map(download, (self._maps, self._sums, self._whole_diagonal, self._margins)))

    @property
    def _width(self) -> int:
        width = self._along.core_width
        assert width is not None
        return width

    def _found(self, path: np.ndarray, t: np.ndarray, weights: np.ndarray, last: np.ndarray) -> Found:
        return self._along.cores(path, t, weights, last)


def diagonal_and_margins(maps: Tensor, core: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
    """Return the diagonal (G,) of P' S P with what is added to it, and the sums of sizes of every row in float64."""
    carried, g = core @ maps, maps.shape[1]
    diagonal = (maps * carried).sum(0)
    margins = torch.zeros(g, dtype=torch.float64, device=maps.device)
    rows = max(1, BAND_VALUES // g)
    for start in range(0, g, rows):
        stop = start + rows
        sizes = (maps[:, start:stop].T @ carried[:, start:]).abs_()
        sizes.diagonal().zero_()
        margins[start:stop] += sizes.sum(1, dtype=torch.float64)
        margins[stop:] += sizes[:, rows:].sum(0, dtype=torch.float64)
    diagonal += added
    return diagonal, margins + diagonal.abs()


def matrices_of(along: Along, rule: PanelRule, population: int | None) -> Matrices:
    """Return matrices to which nothing is added yet."""
    if along.core_width is not None:
        return FactoredMatrices(along, rule, population)
    return (KeptMatrices if along.has_few_groups else Matrices)(along, rule, population)
