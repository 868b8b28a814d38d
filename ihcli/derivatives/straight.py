"""Rules of operations without curvature: what is linear in all that moves, and what picks some of its entries."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ihcli.derivatives.leading import over
from ihcli.derivatives.recording import Ref
from ihcli.derivatives.sites import Rule, Site, dims_of, from_last, kept, plus, reduced, tangent_at, value_at, whole


def _linear(site: Site) -> Any:
    """Do the operation itself to the tangent of its first argument."""
    tangent = site.tangents[0]
    if tangent is None or site.moves_beside_first:
        raise site.refuse("of several moving arguments")
    leading = [tangent]

    def alike(value: Any, noted: Any) -> Any:
        if isinstance(value, list):
            return [alike(one, at) for one, at in zip(value, noted, strict=True)]
        if not isinstance(noted, Ref):
            return value
        leading.append(value.expand(len(tangent), *value.shape))
        return leading[-1]

    others = [alike(value, noted) for value, noted in zip(site.values[1:], site.step.arguments[1:], strict=True)]
    return over(2, site.step.operation, (tangent, *others), site.options, leading)


def _of_list(site: Site) -> Tensor:
    """Do an operation on a list, of which what does not move counts as zeros."""
    entries = []
    for value, tangent, noted in zip(site.values[0], site.tangents[0], site.step.arguments[0], strict=True):
        shape = value.shape[isinstance(noted, Ref) :]
        entries.append(value.new_zeros(1).expand(*site.lead, *shape) if tangent is None else tangent)
    dim = site.values[1] if len(site.values) > 1 else site.options.get("dim", 0)
    join = torch.stack if site.step.name == "stack" else torch.cat
    return join(entries, dim + 2 if dim >= 0 else dim)


def _add(site: Site, sign: float = 1.0) -> Tensor:
    alpha = sign * (site.values[2] if len(site.values) > 2 else site.options.get("alpha", 1))
    right = tangent_at(site, 1)
    if right is not None and alpha != 1:
        right = right * alpha
    return whole(site, plus(tangent_at(site, 0), right))


def _sub(site: Site) -> Tensor:
    return _add(site, -1.0)


def _rsub(site: Site) -> Tensor:
    alpha = site.values[2] if len(site.values) > 2 else site.options.get("alpha", 1)
    left = tangent_at(site, 0)
    return whole(site, plus(None if left is None else left * -alpha, tangent_at(site, 1)))


def _where(site: Site) -> Tensor:
    condition = value_at(site, 0)
    left, right = (tangent_at(site, i) for i in (1, 2))
    zero = site.result.new_zeros(())
    return whole(site, torch.where(condition, zero if left is None else left, zero if right is None else right))


def _masked_fill(site: Site) -> Tensor:
    tangent = tangent_at(site, 0)
    if tangent is None or site.tangents[2] is not None:
        raise site.refuse("with what moves")
    return whole(site, tangent.masked_fill(value_at(site, 1), 0))


def _to_copy(site: Site) -> Tensor:
    tangent: Tensor = site.tangents[0]
    return tangent.to(site.result.dtype)


def _nan_to_num(site: Site) -> Tensor:
    tangent: Tensor = site.tangents[0]
    return tangent * site.values[0].isfinite()


def _prelu(site: Site) -> Tensor:
    if site.moves_beside_first:
        raise site.refuse("with a weight that moves")
    tangent: Tensor = site.tangents[0]
    return tangent * torch.where(site.values[0] > 0, 1.0, value_at(site, 1)).to(tangent.dtype)


def _lerp(site: Site) -> Tensor:
    """a + w (b - a)."""
    if len(site.tangents) > 2 and site.tangents[2] is not None:
        raise site.refuse("with a weight that moves")
    weight, left, right = value_at(site, 2), tangent_at(site, 0), tangent_at(site, 1)
    return whole(site, plus(None if left is None else left * (1 - weight), None if right is None else right * weight))


def _batch_norm(site: Site) -> Tensor:
    _, weight, _, _mean, variance, *rest = site.values
    if site.moves_beside_first or (len(rest) > 2 and rest[0]):
        raise site.refuse("normalises over the rows of a batch")
    scale = torch.rsqrt(variance + rest[-1]) * (1 if weight is None else weight)
    tangent: Tensor = site.tangents[0]
    return tangent * scale.reshape(-1, *(1,) * (tangent.dim() - 4))


def _convolution(site: Site) -> Tensor:
    if site.moves_beside_first:
        raise site.refuse("with a kernel that moves")
    values = (site.values[0], site.values[1], None, *site.values[3:])
    found: Tensor = _linear(replace(site, values=values))
    return found


# What picks some


def _picked(site: Site) -> tuple[Tensor, None]:
    """Values and their places, along a dimension: max, min, sort, topk, median."""
    name, rest = site.step.name, list(site.values[1:])
    dim = {"topk": lambda: rest[1] if len(rest) > 1 else -1, "sort": lambda: _sorted_by(site)}.get(
        name, lambda: rest[0] if rest else -1
    )()
    values, places = site.result
    tangent, dim = site.tangents[0], from_last(site, dim)
    kept = values.dim() == site.values[0].dim()
    index = places if kept else places.unsqueeze(dim)
    found = tangent.gather(dim, index.expand(len(tangent), *index.shape))
    return found if kept else found.squeeze(dim), None


def _sorted_by(site: Site) -> int:
    given = [v for v in site.values[1:] if not isinstance(v, bool)]
    return int(given[0] if given else site.options.get("dim", -1))


def _pooled(site: Site) -> tuple[Tensor, None]:
    """Largest of windows of the last dimensions, whose places are counted over all of them."""
    values, places = site.result
    k = values.dim() - 1 - (1 if site.step.name.startswith("max_pool1d") else 2)
    k = values.dim() - (1 + k)
    tangent = site.tangents[0].flatten(-k)
    index = places.flatten(-k)
    return tangent.gather(-1, index.expand(len(tangent), *index.shape)).unflatten(-1, values.shape[-k:]), None


def _largest(site: Site) -> Tensor:
    """Amax and amin, whose derivative is shared by all that are alike."""
    dims = dims_of(site, site.values[1] if len(site.values) > 1 else None)
    alike = (site.values[0] == kept(site, site.result, dims)).to(site.result.dtype)
    share = alike / alike.sum(dims, keepdim=True)
    return reduced(site, (site.tangents[0] * share).sum(dims, keepdim=True))


def _larger(site: Site) -> Tensor:
    """Maximum and minimum of two, half of each where they are alike."""
    left, right = value_at(site, 0), value_at(site, 1)
    first = (left > right) if site.step.name == "maximum" else (left < right)
    share = first.to(site.result.dtype) + 0.5 * (left == right).to(site.result.dtype)
    a, b = tangent_at(site, 0), tangent_at(site, 1)
    return whole(site, plus(None if a is None else a * share, None if b is None else b * (1 - share)))


_LINEAR = """
    view _unsafe_view slice select split unsafe_split split_with_sizes unbind squeeze unsqueeze transpose permute t
    expand clone alias neg sum mean index index_select gather flip roll constant_pad_nd repeat cumsum diagonal unfold
    tril triu avg_pool2d avg_pool3d _adaptive_avg_pool2d upsample_nearest1d upsample_nearest2d upsample_linear1d
    upsample_bilinear2d reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d pixel_shuffle
    channel_shuffle im2col col2im diag_embed mv
"""
STRAIGHT: dict[str, Rule] = {
    **dict.fromkeys(_LINEAR.split(), _linear),
    **dict.fromkeys(("cat", "stack"), _of_list),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"), _batch_norm),
    **dict.fromkeys(("max", "min", "sort", "topk", "median"), _picked),
    **dict.fromkeys(("amax", "amin"), _largest),
    **dict.fromkeys(("maximum", "minimum"), _larger),
    **dict.fromkeys(("max_pool2d_with_indices", "adaptive_max_pool2d"), _pooled),
    "add": _add,
    "sub": _sub,
    "rsub": _rsub,
    "where": _where,
    "masked_fill": _masked_fill,
    "_to_copy": _to_copy,
    "convolution": _convolution,
    "nan_to_num": _nan_to_num,
    "_prelu_kernel": _prelu,
    "lerp": _lerp,
}
"""Rules by torch's name of the variant that works out of place."""
