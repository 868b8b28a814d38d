"""How many nodes whole paths begin with: those that take the least on some rows, and miss nothing there."""

from dataclasses import replace

import numpy as np

from ihcli.derivatives import Along
from ihcli.integration.assembly import assembling, settle_matrices
from ihcli.integration.certify import Refinement
from ihcli.integration.effort import NODES, Effort
from ihcli.integration.longer import OF_MATRIX, missed
from ihcli.integration.measuring import Measure
from ihcli.integration.quadrature import panel_rule

STARTS = (6, 5, 4)
"""Tried in this order, until one misses a row: those that are too few may take less with their extensions."""
WORTH = 0.97
"""Of what NODES take, at most, where a start is taken in their place: 16 rows tell no less."""
MOST_HALVED = 0.25
"""Of paths, where a start is taken: rules of few nodes are no way to narrow panels, of which they see too little."""


def chosen_start(along: Along, second_order: bool, effort: Effort) -> int:
    """Return the nodes that whole paths begin with, going by these rows, of one baseline each.

    A start is tried with all that follows of it, but for the assembly of many groups. None is taken that misses what
    the extension of NODES sees on one of the rows. Cost in evaluations a row: about 60.
    """
    usual = Refinement(along, second_order, replace(effort, start=NODES))
    nodes, rule = NODES, panel_rule(NODES)
    longest = Measure(along, rule, second_order, along.has_few_groups)(
        usual.whole_paths(), extends=lambda panels: np.ones(len(panels), bool)
    )
    least = WORTH * _cost(usual, second_order)
    for start in STARTS:
        tried = Refinement(along, second_order, replace(effort, start=start))
        if missed(tried.panels, tried.rule, longest, rule, effort.tolerance).any():
            break
        if (cost := _cost(tried, second_order)) < least:
            nodes, least = start, cost
    return nodes


def _cost(refinement: Refinement, second_order: bool) -> float:
    """Refine, and return what rows take, in evaluations: too much where many of them are halved all the same."""
    along, n_rows = refinement.along, refinement.along.paths.n_rows
    refinement.settle()
    if second_order and along.has_few_groups:
        settle_matrices(refinement)
    halves, cost = len(refinement.panels) - n_rows, float(refinement.evaluations.sum())
    if second_order and not along.has_few_groups:
        rows = refinement.ledger()
        again = int(np.count_nonzero(OF_MATRIX * rows.relative_error > rows.tolerance))
        halves += again
        cost += assembling(along) * float(refinement.panels.n_nodes.sum() + 2 * len(refinement.rule.nodes) * again)
    return np.inf if halves > MOST_HALVED * n_rows else cost
