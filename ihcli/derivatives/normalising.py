"""Rules of operations that normalise or reduce: softmax and its kin, norms of vectors, layers and groups, spreads."""

import math
from dataclasses import replace

from torch import Tensor

from ihcli.derivatives.sites import Rule, Site, dims_of, from_last, kept, reduced

# Normalised


def _softmax(site: Site) -> Tensor:
    """p = softmax x: with s = T - sum p T, the tangent is p s and the curvature sum p (lambda - sum p lambda) s s."""
    dim = from_last(site, site.values[1])
    tangent, share = site.tangents[0].to(site.result.dtype), site.result
    around = tangent - (share * tangent).sum(dim, keepdim=True)
    slope = site.slope
    site.bend(around * (share * (slope - (share * slope).sum(dim, keepdim=True))), around)
    return around.mul_(share)


def _log_softmax(site: Site) -> Tensor:
    dim = from_last(site, site.values[1])
    tangent, share = site.tangents[0].to(site.result.dtype), site.result.exp()
    around = tangent - (share * tangent).sum(dim, keepdim=True)
    site.bend(around * (-share * site.slope.sum(dim, keepdim=True)), around)
    return around


def _logsumexp(site: Site) -> Tensor:
    dims = dims_of(site, site.values[1])
    tangent = site.tangents[0]
    share = (site.values[0] - kept(site, site.result, dims)).exp()
    mean = (share * tangent).sum(dims, keepdim=True)
    around = tangent - mean
    site.bend(around * (share * kept(site, site.slope, dims)), around)
    return reduced(site, mean)


def _norm(site: Site) -> Tensor:
    """y = ||x||: the tangent is x T / y, the curvature lambda (T T - dy dy) / y."""
    given = dict(zip(("order", "dims"), site.values[1:], strict=False))
    if given.get("order", 2) != 2:
        raise site.refuse(f"of order {given['order']}")
    dims = dims_of(site, given.get("dims"))
    size, slope = (kept(site, part, dims) for part in (site.result, site.slope))
    tangent = site.tangents[0]
    along = (site.values[0] / size * tangent).sum(dims, keepdim=True)
    site.bend(tangent * (slope / size), tangent)
    site.bend(along * (-slope / size), along)
    return reduced(site, along)


def _variance(site: Site) -> Tensor:
    return _spread(site, is_root=False)


def _deviation(site: Site) -> Tensor:
    return _spread(site, is_root=True)


def _spread(site: Site, is_root: bool) -> Tensor:
    """Sum of squares around the mean over n - correction, or its root."""
    correction = site.options.get("correction", 1)
    dims = dims_of(site, site.values[1] if len(site.values) > 1 else None)
    x, tangent = site.values[0], site.tangents[0]
    n = math.prod(x.shape[dim] for dim in dims) - (1 if correction is None else correction)
    off, around = (v - v.mean(dims, keepdim=True) for v in (x, tangent))
    slope, result = (kept(site, part, dims) for part in (site.slope, site.result))
    along = (off * around).sum(dims, keepdim=True) * (2 / n)
    if is_root:
        along, slope = along / (2 * result), slope / (2 * result)
        site.bend(along * (-2 * slope), along)
    site.bend(around * (2 / n * slope), around)
    return reduced(site, along)


def _spread_and_mean(site: Site) -> tuple[Tensor, Tensor]:
    """The variance, or its root, and the mean, which is straight."""
    dims = dims_of(site, site.values[1] if len(site.values) > 1 else None)
    mean = reduced(replace(site, result=site.result[1]), site.tangents[0].mean(dims, keepdim=True))
    return _spread(replace(site, result=site.result[0]), site.step.name == "std_mean"), mean


def _layer_norm(site: Site) -> tuple[Tensor | None, ...]:
    x, shape, weight, _bias, _ = site.values
    if site.moves_beside_first:
        raise site.refuse("with a weight that moves")
    k = len(shape)
    inverse = site.result[2].reshape(*x.shape[:-k], 1)
    flat = x.flatten(-k), site.tangents[0].flatten(-k), site.slope.flatten(-k)
    tangent = _normalised(site, flat, None if weight is None else weight.flatten(), inverse)
    return tangent.reshape(site.tangents[0].shape), None, None


def _group_norm(site: Site) -> tuple[Tensor | None, ...]:
    x, weight, _, n, _channels, size, groups, _ = site.values
    if site.moves_beside_first:
        raise site.refuse("with a weight that moves")
    tangent = site.tangents[0]

    def flat(values: Tensor) -> Tensor:
        return values.reshape(*values.shape[: values.dim() - x.dim() + 1], n, groups, -1)

    scale = None if weight is None else weight.repeat_interleave(size).reshape(groups, -1)
    inverse = site.result[2].reshape(len(x), n, groups, 1)
    found = _normalised(site, (flat(x), flat(tangent), flat(site.slope)), scale, inverse)
    return found.reshape(tangent.shape), None, None


def _normalised(site: Site, flat: tuple[Tensor, Tensor, Tensor], weight: Tensor | None, inverse: Tensor) -> Tensor:
    """y = w xh with xh = (x - mean x) r, r the inverse deviation. With u = T - mean T, c = mean xh u and a = lambda w,

    tangent    w r (u - xh c)
    curvature  r^2 ( -(a.u_g) c_h - (a.u_h) c_g + (a.xh) (3 c_g c_h - u_g.u_h / d) )

    which, as xh.u_h = d c_h, is one product: r^2 ( (a.xh) / d (3 c_g xh - u_g) - 2 c_g a ) . u_h, taken both ways round
    """
    x, tangent, slope = flat
    d = x.shape[-1]
    normal = (x - x.mean(-1, keepdim=True)) * inverse
    a = slope if weight is None else slope * weight
    around = tangent - tangent.mean(-1, keepdim=True)
    mean = (normal * around).mean(-1, keepdim=True)
    square = inverse * inverse
    steep = (a * normal).sum(-1, keepdim=True) * square / d
    left = around * -steep
    site.bend(left.addcmul_(mean, 3 * steep * normal - 2 * square * a), around)
    return around.addcmul_(normal, mean, value=-1).mul_(inverse if weight is None else inverse * weight)


NORMALISING: dict[str, Rule] = {
    **dict.fromkeys(("_softmax", "_safe_softmax"), _softmax),
    "_log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "linalg_vector_norm": _norm,
    "var": _variance,
    "std": _deviation,
    **dict.fromkeys(("var_mean", "std_mean"), _spread_and_mean),
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
}
"""Rules by torch's name of the variant that works out of place."""
