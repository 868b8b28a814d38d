"""Weights put into a network: names without what wrappers put before them, tied weights, and what does not fit."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ihcli.models.code.weights import EXTRA, Weights

_INVISIBLE = frozenset(("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
"""Names that torch puts within others, where a part is compiled or distributed."""
_COUNTED = "num_batches_tracked"  # which changes no output, and which files of old do not have
_MOST_COMMON = 3

Names = dict[str, str]
Shape = tuple[int, ...] | None


@dataclass(frozen=True)
class Wanted:
    """The tensors of a network by name.

    shapes    of all that a state_dict has; None where the first call decides
    optional  names that a file may lack
    beside    shapes of buffers that a state_dict does not have, and a file of an older class may
    tied      for each name the first one with the same memory
    """

    shapes: Mapping[str, Shape]
    optional: frozenset[str]
    beside: Mapping[str, Shape]
    tied: Mapping[str, str]

    @classmethod
    def by(cls, module: nn.Module) -> "Wanted":
        """Return what a network wants."""
        state = module.state_dict(keep_vars=True)
        shapes = {name: _shape(each) for name, each in state.items()}
        beside = {name: _shape(each) for name, each in module.named_buffers() if name not in state}
        first: dict[Any, str] = {}
        tied = {name: first.setdefault(_memory(name, each), name) for name, each in state.items()}
        return cls(shapes, frozenset(name for name in state if name.endswith(_COUNTED)), beside, tied)


@dataclass(frozen=True)
class Fit:
    """How weights of a file go into a network.

    names     of the weights, by those of the network
    prefix    what the names in the file begin with, and those of the network do not
    left_out  names beside that prefix, which are of something else
    missing, strange  names of the network without a weight; of weights beneath the prefix without a place
    others    shapes of both sides, by the name in the network, where they differ
    """

    weights: Weights
    names: Names
    prefix: str
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()
    others: Mapping[str, tuple[Shape, Shape]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every weight has its place, and every place its weight."""
        return not (self.missing or self.strange or self.others)

    @property
    def place(self) -> str:
        """The keys that lead to the weights, and what their names begin with; nothing for a whole file."""
        return ".".join(part for part in (self.weights.place, self.prefix.rstrip(".")) if part)

    def tensors(self) -> dict[str, Any]:
        """Return the weights under the names of the network."""
        return {name: self.weights.tensors[other] for name, other in self.names.items()}


def fits(weights: Weights, wanted: Wanted) -> list[Fit]:
    """Return the ways in which weights fit whole, the one without a prefix alone; else the one that comes nearest."""
    found = [_fit(weights, wanted, names, prefix) for names, prefix in _alignments(weights, wanted)]
    whole = [fit for fit in found if fit.is_whole]
    plain = [fit for fit in whole if not fit.prefix]
    if whole:
        return plain[:1] or whole
    return [max(found, key=lambda fit: (len(fit.names), -len(fit.strange)))]


def load(module: nn.Module, fit: Fit, wanted: Wanted) -> None:
    """Put weights into a network, which casts them to its own dtype; raises what code of the network raises."""
    tensors = fit.tensors()
    beside = {name: tensors.pop(name) for name in wanted.beside if name in tensors}
    there = {wanted.tied[name]: value for name, value in tensors.items()}
    for name, first in wanted.tied.items():
        if name not in tensors and first in there:
            tensors[name] = there[first]
    module.load_state_dict(tensors)
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name in beside:
                buffer.copy_(beside[name])


def _alignments(weights: Weights, wanted: Wanted) -> Iterator[tuple[Names, str]]:
    """Yield names of the file by those that they may stand for, and the prefix that they were freed of."""
    places = {*wanted.shapes, *wanted.beside}
    known: set[str] = set()
    for invisible in (_INVISIBLE, _INVISIBLE | {"module"}):
        freed = {_without(name, invisible): name for name in weights.tensors}
        if freed.keys() == known:
            return
        known = {*freed}
        yield freed, ""
        for prefix in _prefixes(freed, places):
            yield {name.removeprefix(prefix): other for name, other in freed.items() if name.startswith(prefix)}, prefix
        for outer in _outer(wanted.shapes):
            yield {outer + name: other for name, other in freed.items()}, ""


def _prefixes(names: Iterable[str], places: set[str]) -> list[str]:
    """Return what stands before the names of the network in most names of a file."""
    found: Counter[str] = Counter()
    for name in names:
        at = name.find(".")
        while at >= 0:
            if name[at + 1 :] in places:
                found[name[: at + 1]] += 1
            at = name.find(".", at + 1)
    most = max(found.values(), default=0)
    return [prefix for prefix, count in found.most_common() if count == most or count > len(places) // 2][:8]


def _outer(names: Mapping[str, Any]) -> Iterator[str]:
    """Yield what all names of a network begin with, a part at a time: a wrapper around what was saved."""
    first, outer = next(iter(names), ""), ""
    for part in first.split(".")[:-1][:_MOST_COMMON]:
        outer += f"{part}."
        if not all(name.startswith(outer) for name in names):
            return
        yield outer


def _fit(weights: Weights, wanted: Wanted, names: Names, prefix: str) -> Fit:
    known = {name: other for name, other in names.items() if name in wanted.shapes or name in wanted.beside}
    shapes = {**wanted.beside, **wanted.shapes}
    others = {}
    for name, other in known.items():
        found = _shape(weights.tensors[other])
        if (
            shapes[name] is not None
            and found is not None
            and found != shapes[name]
            and not _is_scalar(found, shapes[name])
        ):
            others[name] = (found, shapes[name])
    there = {wanted.tied.get(name, name) for name in known}
    missing = [
        name
        for name in wanted.shapes
        if name not in known and wanted.tied[name] not in there and name not in wanted.optional
    ]
    inside = {*names.values()}
    return Fit(
        weights,
        known,
        prefix,
        left_out=tuple(name for name in weights.tensors if name not in inside) if prefix else (),
        missing=tuple(missing),
        strange=tuple(other for name, other in names.items() if name not in known),
        others=others,
    )


def _without(name: str, parts: frozenset[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in parts)


def _shape(value: Any) -> Shape:
    return tuple(value.shape) if isinstance(value, Tensor) and not is_lazy(value) else None


def _is_scalar(found: Shape, wanted: Shape) -> bool:
    """Return whether both are single numbers, which old versions of torch kept as vectors of one."""
    return {found, wanted} == {(), (1,)}


def _memory(name: str, value: Any) -> Any:
    """Return what tensors over the same memory share, and no other."""
    if name.endswith(EXTRA) or not isinstance(value, Tensor) or is_lazy(value) or not value.numel():
        return name
    return value.data_ptr(), tuple(value.shape), value.stride(), value.dtype
