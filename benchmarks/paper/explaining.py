"""Explanations by ihcli, as the experiments compare them: effects of pairs and attributions of plain networks."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

import ihcli
from benchmarks.paper.networks import as_tensor
from ihcli.derivatives.chain import find_chain
from ihcli.integration.compared.nid import strengths
from ihcli.methods import METHODS

NID = "nid"
WHERE_THERE_IS = ("cd",)
"""Methods that are compared where this version of ihcli has them."""


def among(methods: Sequence[str]) -> list[str]:
    """Return those of the methods that there are."""
    return [name for name in methods if name not in WHERE_THERE_IS or name in METHODS]


def explained(net: nn.Module, x: np.ndarray, method: str, **options: Any) -> ihcli.Explanation:
    """Return an explanation, without warnings: what they tell is known of these networks, or measured here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ihcli.IhcliWarning)
        return ihcli.explain(net, x, method=method, **options)


def pair_effects(net: nn.Module, x: np.ndarray, method: str, **options: Any) -> np.ndarray:
    """Return what a method gives to the P pairs of columns in lexicographic order, (N, P); by NID all rows are "
    "alike."""
    if method == NID:
        return np.broadcast_to(
            of_pairs(strengths(find_chain(net, as_tensor(x[:3])))[:1]), (len(x), n_pairs(x.shape[1]))
        )
    return 2 * of_pairs(np.asarray(explained(net, x, method, **options).interactions))


def of_pairs(matrices: np.ndarray) -> np.ndarray:
    """Return the entries above the diagonal of (N, D, D), (N, P)."""
    first, second = np.triu_indices(matrices.shape[1], 1)
    found: np.ndarray = matrices[:, first, second]
    return found


def n_pairs(d: int) -> int:
    """Return the number of pairs of D columns."""
    return d * (d - 1) // 2
