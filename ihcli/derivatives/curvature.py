"""Curvature by operation: how tangents go through each operation of torch, and what it adds to second derivatives.

For an operation y = op(x) of a function f, with lambda = df/dy and tangents T_g = dx/du_g, one of each gate,

    tangent     dy/du_g = d op [T_g]
    curvature   H_gh   += sum over the entries of y of lambda d2 op [T_g, T_h]

which is zero for all that is linear, and a closed form for everything else. The form is handed over as factors A and B,
(G, P, ...): H_gh += (A_g . B_h + A_h . B_g) / 2 at each of P points. tests/test_curvature.py compares every rule with
automatic differentiation.
"""

from ihcli.derivatives.bending import BENDING
from ihcli.derivatives.normalising import NORMALISING
from ihcli.derivatives.sites import Rule
from ihcli.derivatives.straight import STRAIGHT

__all__ = ["CURVED", "RULES"]

CURVED: dict[str, Rule] = {**BENDING, **NORMALISING}
"""Operations whose rules ask for adjoints."""
RULES: dict[str, Rule] = {**STRAIGHT, **CURVED}
"""What is known of each operation, by torch's name of its variant that works out of place."""
