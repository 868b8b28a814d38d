"""Lookups below autograd: seen while a model runs, and handed what they are to give in its place.

A lookup takes numbers from a table by an index made of whole numbers; whole numbers that are turned into floating point
ones (one-hot codes, masks) are taken for lookups too. Neither has an input that asks for gradients, so that what a
dispatch mode hands out in their place keeps its history: eager modules, scripts and exported programs alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ihcli.openings.bags import Bag

aten = torch.ops.aten


@dataclass(frozen=True)
class Lookup:
    """One call that may be a lookup.

    number  among all such calls, in the order of the run
    call    what it looks up;  value what it gave
    """

    number: int
    call: "Call"
    value: Tensor


@dataclass(frozen=True)
class Call:
    """A call that may be a lookup.

    table  None of a crossing, where whole numbers become floating point ones
    index  the whole numbers that came
    axis   of the table, and of what it gives, in whose place those of the index stand
    bag    what is made of it in the same call; None: nothing
    """

    table: Tensor | None
    index: Tensor
    axis: int = 0
    bag: Bag | None = None

    @property
    def rows(self) -> int | None:
        """Return how many entries the table has; None of a crossing."""
        return None if self.table is None else self.table.shape[self.axis]

    @property
    def beside(self) -> tuple[Tensor, ...]:
        """What else the call takes, and must be the same for all rows: its table, and the weights of its bags."""
        weights = None if self.bag is None else self.bag.weights
        return tuple(given for given in (self.table, weights) if given is not None)

    def value(self, result: Any) -> Tensor:
        """Return what was looked up in a call that gave this."""
        if self.bag is None or self.table is None:
            looked_up: Tensor = result
            return looked_up
        return self.bag.vectors(self.table, self.index)

    def result(self, value: Tensor) -> Any:
        """Return what the call gives where this is looked up."""
        return value if self.bag is None else self.bag.outputs(value, self.index)


class _Mode(TorchDispatchMode):
    """Counts the calls that may be lookups."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler, which takes a second, to tell it to leave this class alone."""
        return False

    def _numbered(self) -> int:
        number, self._count = self._count, self._count + 1
        return number


class Watch(_Mode):
    """Notes the lookups whose index depends on a tensor, and whose table does not.

    seen  in the order of the run
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.seen: list[Lookup] = []
        # By storage, so that what is written through a view is seen; tensors are kept, as their places may be reused.
        self._moving: dict[int, Tensor] = {inputs.untyped_storage().data_ptr(): inputs}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        call = _as_lookup(func, args, kwargs or {})
        if call is not None:
            number = self._numbered()
            if self._moves(call.index) and not any(map(self._moves, call.beside)):
                self.seen.append(Lookup(number, call, call.value(result)))
        if any(self._moves(given) for given in _tensors((args, kwargs))):
            for made in _tensors(result):
                self._moving[made.untyped_storage().data_ptr()] = made
        return result

    def _moves(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._moving


class Values(_Mode):
    """Notes what some lookups give.

    given  by their numbers
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self.given: dict[int, Tensor] = {}
        self._numbers = frozenset(numbers)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        call = _as_lookup(func, args, kwargs or {})
        if call is not None and (number := self._numbered()) in self._numbers:
            self.given[number] = call.value(result)
        return result


class Handing(_Mode):
    """Gives in the place of some lookups what they are to give, by their numbers."""

    def __init__(self, given: Mapping[int, Tensor]) -> None:
        super().__init__()
        self._given = given

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = _as_lookup(func, args, kwargs or {})
        if call is None or (number := self._numbered()) not in self._given:
            return func(*args, **(kwargs or {}))
        if any(given.requires_grad for given in call.beside):
            raise ValueError("a table asks for gradients, so that what stands for its rows would get none")
        return call.result(self._given[number])


def _as_lookup(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call | None:
    """Return what a call looks up, None where it is something else."""
    call = _CALLS[func](args, kwargs) if func in _CALLS else None
    return call if call is not None and not _is_floating(call.index) else None


def _crossing(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call | None:
    dtype = kwargs.get("dtype")
    return Call(None, args[0]) if dtype is not None and dtype.is_floating_point else None


def _indexed(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call | None:
    """Read table[:, index], whose indices are None but for the axes that they stand in the place of."""
    table, indices = args
    given = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(given) != 1 or given[0][1].dtype == torch.bool:
        return None
    return _of_table(table, given[0][1], given[0][0])


def _of_table(table: Tensor, index: Tensor, axis: int = 0) -> Call | None:
    return Call(table, index, axis) if _is_floating(table) else None


def _bagged(args: Sequence[Any], _: Mapping[str, Any]) -> Call | None:
    bag = Bag.of(args)
    return None if bag is None or not _is_floating(args[0]) else Call(args[0], args[1], bag=bag)


_CALLS: Mapping[Any, Callable[[Sequence[Any], Mapping[str, Any]], Call | None]] = {
    aten._to_copy.default: _crossing,
    aten.embedding.default: lambda args, _: _of_table(args[0], args[1]),
    aten.index_select.default: lambda args, _: _of_table(args[0], args[2], args[1]),
    aten.index.Tensor: _indexed,
    aten._embedding_bag.default: _bagged,
    aten._embedding_bag_forward_only.default: _bagged,
}


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _tensors(values: object) -> Iterator[Tensor]:
    return (value for value in tree_leaves(values) if isinstance(value, Tensor))
