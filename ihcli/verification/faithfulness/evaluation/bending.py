"""Second derivatives at rows, times both differences from the baseline: pairs next to which those of a run are set."""

from dataclasses import replace

import numpy as np

from ihcli.integration.compared.points import times_input
from ihcli.verification.faithfulness.evaluation.joining import TargetBlock
from ihcli.verification.faithfulness.pairs import Pairs


def bends(block: TargetBlock, pairs: Pairs) -> np.ndarray | None:
    """Return delta_i delta_j H_ij of pairs of a block's rows, (M,), from the mean of the run's baselines.

    H is of the function that the run explains, smoothed where that is; None where the run takes no second derivatives.
    Cost: a Hessian a row.
    """
    explainer = block.joined.explainer
    if explainer.method.derivatives < 2:
        return None
    paths = replace(block.paths, baselines=block.paths.baselines.mean(-2, keepdim=True))
    found, size = np.empty(len(pairs.row)), explainer.block_size(block.shape)
    for first in range(0, paths.n_rows, size):
        rows = np.arange(first, min(first + size, paths.n_rows))
        here = (pairs.row >= rows[0]) & (pairs.row <= rows[-1])
        matrices = times_input(explainer.engine.along(paths.of_rows(rows)), explainer.method, explainer.effort)
        values = np.asarray(matrices.interactions, np.float64)
        found[here] = values[pairs.row[here] - first, pairs.first[here], pairs.second[here]]
    return found
