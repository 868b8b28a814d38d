"""Rules of operations with curvature: element by element, and products."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ihcli.derivatives import jets
from ihcli.derivatives.leading import ELEMENTWISE
from ihcli.derivatives.room import nowhere
from ihcli.derivatives.sites import Rule, Site, from_last, plus, tangent_at, value_at, whole

# Element by element


def _unary(site: Site) -> Tensor:
    tangent: Tensor = site.tangents[0]
    settings = site.values[1:]
    rule = jets.UNARY.get(site.step.operation)
    if rule is not None and site.step.name != "pow":
        _, first, bend = rule(site.values[0], nowhere, *settings, **site.options)
        second = None if bend is None else bend()
    else:
        first, second = _differentiated(site)
    if second is not None:
        site.bend(tangent * (site.slope * second), tangent)
    return tangent * first


def _differentiated(site: Site) -> tuple[Tensor, Tensor | None]:
    """Return the first two derivatives of an element-wise function as torch knows them."""
    with torch.enable_grad():
        at = site.values[0].detach().requires_grad_()
        result = site.step.operation(at, *site.values[1:], **site.options)
        result = result[0] if isinstance(result, tuple) else result
        (first,) = torch.autograd.grad(result.sum(), at, create_graph=True)
        if not first.requires_grad:
            return first, None
        (second,) = torch.autograd.grad(first.sum(), at, allow_unused=True)
    return first.detach(), second


def _square(site: Site) -> Tensor:
    tangent: Tensor = site.tangents[0]
    site.bend(tangent * (2 * site.slope), tangent)
    return tangent * (2 * site.values[0])


def _power(site: Site) -> Tensor:
    if site.tangents[1] is not None:
        return _of_two(site)
    return _square(site) if site.values[1] == 2 else _unary(site)


def _of_two(site: Site) -> Tensor:
    """Take a function of two numbers with the derivatives that torch knows of it."""
    a, b = (_filling(site, index).detach().clone().requires_grad_() for index in (0, 1))
    with torch.enable_grad():
        value = site.step.operation.overloadpacket(a, b)
        by_a, by_b = torch.autograd.grad(value.sum(), (a, b), create_graph=True)
        aa, ab = torch.autograd.grad(by_a.sum(), (a, b), retain_graph=True, materialize_grads=True)
        (bb,) = torch.autograd.grad(by_b.sum(), b, materialize_grads=True)
    left, right = tangent_at(site, 0), tangent_at(site, 1)
    if left is not None:
        turned = left * (site.slope * aa)
        mixed = None if right is None else right * (2 * site.slope * ab)
        site.bend(whole(site, plus(turned, mixed)), whole(site, left))
    if right is not None:
        site.bend(whole(site, right * (site.slope * bb)), whole(site, right))
    through = None if left is None else left * by_a.detach()
    return whole(site, plus(through, None if right is None else right * by_b.detach()))


def _filling(site: Site, index: int) -> Tensor:
    """Return an argument as large as the result."""
    return torch.as_tensor(value_at(site, index), dtype=site.result.dtype).to(site.result.device).expand_as(site.result)


# Products


def _mul(site: Site) -> Tensor:
    left, right = tangent_at(site, 0), tangent_at(site, 1)
    if left is not None and right is not None:
        site.bend(whole(site, left * (2 * site.slope)), whole(site, right))
    through = None if left is None else left * value_at(site, 1)
    return whole(site, plus(through, None if right is None else right * value_at(site, 0)))


def _div(site: Site) -> Tensor:
    """y = a / b: d2y = -(dy db + dy db) / b."""
    if len(site.values) > 2 or "rounding_mode" in site.options:
        raise site.refuse("rounds")
    above, below = tangent_at(site, 0), tangent_at(site, 1)
    if below is None:
        assert above is not None
        return whole(site, above / value_at(site, 1))
    inverse = 1 / value_at(site, 1)
    turned = below * -site.result
    tangent = whole(site, (turned if above is None else turned + above) * inverse)
    site.bend(tangent * (-2 * site.slope * inverse), whole(site, below))
    return tangent


def _addcmul(site: Site) -> Tensor:
    return _added(site, _mul, torch.mul)


def _addcdiv(site: Site) -> Tensor:
    return _added(site, _div, torch.div)


def _added(site: Site, rule: Rule, operation: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """c + v op(a, b), with the rule of op."""
    scale, found = site.options.get("value", 1), None
    if site.moves_beside_first:
        inner = replace(
            site,
            values=site.values[1:],
            tangents=site.tangents[1:],
            depends=site.depends[1:],
            options={},
            result=operation(value_at(site, 1), value_at(site, 2)).expand_as(site.result),
            adjoint=site.slope * scale,
        )
        found = rule(inner) * scale
    return whole(site, plus(tangent_at(site, 0), found))


def _mm(site: Site) -> Tensor:
    return _product(site, 0, 1)


def _addmm(site: Site) -> Tensor:
    """beta c + alpha a b, with a bias c that may move."""
    alpha, beta = site.options.get("alpha", 1), site.options.get("beta", 1)
    if site.tangents[1] is None and site.tangents[2] is None:
        found = None
    else:
        scaled = site if alpha == 1 else replace(site, adjoint=None if site.adjoint is None else site.adjoint * alpha)
        found = _product(scaled, 1, 2)
        found = found if alpha == 1 else found * alpha
    bias = tangent_at(site, 0)
    return whole(site, plus(found, None if bias is None else bias * beta))


def _product(site: Site, first: int, second: int) -> Tensor:
    """Return the tangent of a matrix product (..., n, k) (..., k, m) and add its curvature."""
    left, right = site.tangents[first], site.tangents[second]
    a, b = site.values[first], site.values[second]
    if right is None:
        assert left is not None
        return _rows_times(left, b)
    if left is None:
        return _rows_times(right.transpose(-1, -2), a.transpose(-1, -2)).transpose(-1, -2)
    lefts, rights = _gates_within(left), _gates_within(right)
    site.bend(2 * _gates_first(_each(site.slope, rights.transpose(-1, -2)), left), _gates_first(lefts, left))
    through = torch.bmm(lefts.flatten(1, 2), b.reshape(-1, *b.shape[-2:])).view(*lefts.shape[:-1], -1)
    return _gates_first(through.add_(_each(a, rights)), left)


def _gates_within(tangents: Tensor) -> Tensor:
    """Return (G, P, ..., r, c) as (P ..., G, r, c), a matrix for each, transposed where it lies so in memory."""
    if tangents.stride(-1) != 1 and tangents.stride(-2) == 1:
        return _gates_within(tangents.transpose(-1, -2)).transpose(-1, -2)
    return tangents.movedim(0, -3).reshape(-1, len(tangents), *tangents.shape[-2:])


def _gates_first(matrices: Tensor, like: Tensor) -> Tensor:
    """Return (P ..., G, r, c) as (G, P, ..., r, c), as tangents like these lie."""
    return matrices.unflatten(0, like.shape[1:-2]).movedim(-3, 0)


def _each(values: Tensor, matrices: Tensor) -> Tensor:
    """Return values (P, ..., n, k) times the matrix (k, m) of every gate, (P ..., G, n, m)."""
    return values.reshape(-1, 1, *values.shape[-2:]) @ matrices


def _rows_times(tangents: Tensor, matrices: Tensor) -> Tensor:
    """Return (G, P, ..., n, k) times (P, ..., k, m), the gates folded into rows; or times one matrix (k, m)."""
    if matrices.dim() == tangents.dim() - 2:
        return tangents @ matrices  # constants of every point
    rows = tangents.movedim(0, -3)
    *batch, g, n, k = rows.shape
    found = rows.reshape(math.prod(batch), g * n, k) @ matrices.reshape(-1, *matrices.shape[-2:])
    return found.view(*batch, g, n, -1).movedim(-3, 0)


def _glu(site: Site) -> Tensor:
    """a sigmoid(b) of two halves."""
    dim = from_last(site, site.values[1] if len(site.values) > 1 else -1)
    a, b = site.values[0].chunk(2, dim)
    left, right = site.tangents[0].chunk(2, dim)
    gate = torch.sigmoid(b)
    slope = gate * (1 - gate)
    site.bend((left * 2 + right * (a * (1 - 2 * gate))) * (site.slope * slope), right)
    return left * gate + right * (a * slope)


BENDING: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _unary),
    **dict.fromkeys(("mm", "bmm"), _mm),
    **dict.fromkeys(("addmm", "baddbmm"), _addmm),
    "pow": _power,
    "mul": _mul,
    "div": _div,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    **dict.fromkeys(("atan2", "hypot", "logaddexp", "xlogy"), _of_two),
    "glu": _glu,
}
"""Rules by torch's name of the variant that works out of place."""
