"""Deep Feature Interaction Maps: how closing the gate of one group changes what gradient times input gives another.

    phi_i(S)  = sum over the inputs of i of (x - x') df/dx, at x on the groups in S and x' elsewhere
    Gamma_ij  = ((phi_i(all) - phi_i(all but j)) + (phi_j(all) - phi_j(all but i))) / 4

Greenside, Shimko, Fordyce, Kundaje (2018), who put every other letter in the place of one and take the largest change;
here the one other value of a group is its baseline's. The effect of a pair, Gamma_ij + Gamma_ji, is the mean of both
changes, which differ where the inputs come in with different powers. The diagonal is what makes a row sum to phi_i.
"""

import numpy as np
import torch

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.derivatives.paths import Paths
from ihcli.derivatives.transfers import Coming
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.compared.closing import with_diagonal
from ihcli.integration.effort import Effort
from ihcli.methods import Method


def interaction_map(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return gradient times input at the records, and the map of what closing each gate changes of it.

    Cost: G + 1 gradients a row.
    """
    paths = along.paths
    n, g = paths.n_rows, paths.n_groups
    phi = along.all_gradients(np.arange(n), np.ones(n))[1].astype(np.float64)
    row, closed = np.nonzero(np.arange(g) < paths.own_groups[:, None])
    changes = np.zeros((n, g, g))
    changes[row, closed] = phi[row] - _with_gates_closed(along, row, closed, tell)
    effects = (changes + changes.transpose(0, 2, 1)) / 2
    effects[:, np.arange(g), np.arange(g)] = 0
    matrices = with_diagonal(effects / 2, phi)
    return ExplainedRows.uncertified(
        phi[:, None],
        *along.ends(),
        evaluations=paths.own_groups + 1,
        interactions=matrices.astype(along.dtype, copy=False),
    )


def _with_gates_closed(along: Along, row: np.ndarray, closed: np.ndarray, tell: Tell) -> np.ndarray:
    """Return gradient times input of these rows (P,), each where one of its gates (P,) is closed, (P, G)."""
    paths, found = along.paths, []

    def taken(some: slice) -> Coming:
        here, is_open = paths.placed(row[some], np.arange(paths.n_groups) != closed[some, None])
        start, _ = paths.ends(here)
        points = torch.where(paths.to_inputs(is_open, here), paths.inputs[here], start)
        chosen = paths.of_rows(row[some])
        lines = Along(along.engine, Paths(points, start[:, None], chosen.outputs, chosen.n_groups, chosen.group_of))
        count = len(points)
        return Coming(lines.gradients(np.arange(count), np.ones(count))[1])

    done = 0
    for coming in along.in_batches(len(row), 1, 0, taken):
        found.append(coming.arrays()[0])
        done += len(found[-1])
        tell(done / len(row))
    return np.concatenate(found, dtype=np.float64)
