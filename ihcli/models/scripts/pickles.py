"""The pickles of a TorchScript archive, read before torch reads them: a sketch of what they would make.

torch's own reader trusts them: it believes how large storages are, gives attributes any type, and makes objects of C++
classes, which run code of their own. Here a pickle may only use the few instructions that torch writes, each for what
torch uses it for, so that it cannot mean something else to torch.
"""

import math
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ihcli.models.scripts.code import MOST_NESTING
from ihcli.wording import printable

MOST_REPEATED = 1 << 24
"""Numbers of a tensor that repeats its storage; it grows to that many when it is copied."""
_ITEM_BYTES = {
    **{"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "ComplexDouble": 16, "ComplexFloat": 8},
    **{"Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1},
}
_STORAGE = re.compile(r"torch\.(\w+)Storage")
_CLASS = re.compile(r"__torch__\.[A-Za-z_0-9.]+")
_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")
_TYPE = re.compile(r"[\w.\[\], ()]*")
_BRACKET = re.compile(r"[\[\]()]")


class RefusedError(Exception):
    """What a pickle asks for that is not done without trust, in words that go on "its data ..."."""


@dataclass(frozen=True)
class Leaf:
    """A value that is told by its type alone: "Tensor", "Device", "complex"."""

    type: str


@dataclass(eq=False)
class Listed:
    """A list."""

    values: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Mapped:
    """A dictionary: keys and values in turn."""

    values: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Made:
    """An object of a class of the archive: names and values of its attributes in turn."""

    name: str
    values: list[Any]


@dataclass(frozen=True)
class Chosen:
    """A value of an enumeration."""

    name: str


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _New:
    name: str


@dataclass(frozen=True)
class _Storage:
    count: int


_MARK = object()
_PLAIN = (type(None), bool, int, float, str, Leaf, Chosen)
_CONTAINERS = (Listed, Mapped, Made, tuple)


class Sketch:
    """Reads one pickle.

    record_bytes  returns the size of a storage's record by its key, None where there is none
    stored_bytes  how much all storages take that were read, one that is asked for twice twice
    """

    def __init__(self, record_bytes: Callable[[str], int | None]) -> None:
        self._record_bytes = record_bytes
        self._stack: list[Any] = []
        self._memo: list[Any] = []
        self.stored_bytes = 0

    def read(self, content: bytes) -> Any:
        """Return the sketch of what the pickle holds.

        Raises RefusedError for what is refused, ValueError and others for what is no pickle.
        """
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name in _CONSTANTS:
                self._stack.append(_CONSTANTS[opcode.name])
            elif opcode.name in _ARGUMENTS:
                self._stack.append(argument)
            elif opcode.name in _STEPS:
                _STEPS[opcode.name](self, argument)
            elif opcode.name not in ("PROTO", "STOP"):
                raise RefusedError(f"uses the instruction {opcode.name}, which torch does not write")
        if len(self._stack) != 1:
            raise ValueError("a pickle of no single value")
        _check_nesting(self._stack[0])
        return self._stack[0]

    def _marked(self) -> list[Any]:
        """Take what stands above the last mark."""
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
        taken = self._stack[at + 1 :]
        del self._stack[at:]
        return taken

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._marked()))

    def _short_tuple(self, length: int) -> None:
        taken = tuple(self._stack[-length:])
        if len(taken) < length or _MARK in taken:
            raise ValueError("a tuple of too few values")
        self._stack[-length:] = [taken]

    def _extend(self, kind: type[Listed] | type[Mapped]) -> None:
        taken = self._marked()
        container = self._stack[-1]
        if type(container) is not kind or (kind is Mapped and len(taken) % 2):
            raise ValueError("values for something that holds none")
        container.values.extend(taken)

    def _append(self, _: Any) -> None:
        value = self._stack.pop()
        self._stack += [_MARK, value]
        self._extend(Listed)

    def _set_item(self, _: Any) -> None:
        self._stack.insert(-2, _MARK)
        self._extend(Mapped)

    def _remember(self, index: int) -> None:
        # torch grows its table up to any index that is asked for.
        if index != len(self._memo):
            raise RefusedError("numbers what it remembers otherwise than torch does")
        self._memo.append(self._stack[-1])

    def _long(self, value: int) -> None:
        if not -(1 << 63) <= value < 1 << 63:
            raise ValueError("a number of more than 64 bits")
        self._stack.append(value)

    def _global(self, argument: str) -> None:
        name = argument.replace(" ", ".", 1)
        _refuse_native(name)
        self._stack.append(_Global(name))

    def _new(self, _: Any) -> None:
        arguments, found = self._stack.pop(), self._stack.pop()
        if arguments != () or type(found) is not _Global:
            raise ValueError("an object of no class")
        self._stack.append(_New(_class_name(found.name)))

    def _build(self, _: Any) -> None:
        state, new = self._stack.pop(), self._stack.pop()
        if type(new) is not _New or type(state) is not Mapped:
            raise ValueError("an object without attributes")
        self._stack.append(Made(new.name, state.values))

    def _reduce(self, _: Any) -> None:
        arguments, found = self._stack.pop(), self._stack.pop()
        if type(found) is _Global and type(arguments) in (int, float, str):
            self._stack.append(Chosen(_class_name(found.name)))
        elif type(found) is _Global and type(arguments) is tuple:
            self._stack.append(self._called(found.name, arguments))
        else:
            raise ValueError("a call of nothing")

    def _called(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "torch._utils._rebuild_tensor_v2":
            _check_tensor(*arguments[:4])
            return Leaf("Tensor")
        if name == "torch.jit._pickle.restore_type_tag":
            value, words = arguments
            _check_type(words)
            return value
        if name in (f"torch.jit._pickle.{builder}" for builder in _LISTS):
            (value,) = arguments
            return value
        if name == "torch.device" and [type(each) for each in arguments] == [str]:
            return Leaf("Device")
        if name == "builtins.complex" and [type(each) for each in arguments] == [float, float]:
            return Leaf("complex")
        if name == "collections.OrderedDict" and not arguments:
            return Mapped()
        raise RefusedError(f"asks for {printable(_class_name(name))}, and calls it")

    def _persistent(self, _: Any) -> None:
        kind, storage, key, device, count = self._stack.pop()
        named = _STORAGE.fullmatch(storage.name) if type(storage) is _Global else None
        if kind != "storage" or type(key) is not str or type(device) is not str or type(count) is not int:
            raise ValueError("a storage that is none")
        if named is None or named.group(1) not in _ITEM_BYTES or device.startswith("meta"):
            raise RefusedError(f"holds tensors of {printable(str(storage))} on {printable(device)}")
        needed = count * _ITEM_BYTES[named.group(1)]
        there = self._record_bytes(key)
        if count < 0 or (count and (there is None or needed > there)):
            raise ValueError(f"a storage of {needed} bytes in a record of {there or 0}")
        self.stored_bytes += needed
        self._stack.append(_Storage(count))

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])


_CONSTANTS = {"MARK": _MARK, "EMPTY_TUPLE": (), "NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ARGUMENTS = ("BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE")
_STEPS: dict[str, Callable[[Sketch, Any], None]] = {
    "EMPTY_LIST": lambda sketch, _: sketch._stack.append(Listed()),
    "EMPTY_DICT": lambda sketch, _: sketch._stack.append(Mapped()),
    "TUPLE": Sketch._tuple,
    "TUPLE1": lambda sketch, _: sketch._short_tuple(1),
    "TUPLE2": lambda sketch, _: sketch._short_tuple(2),
    "TUPLE3": lambda sketch, _: sketch._short_tuple(3),
    "APPEND": Sketch._append,
    "APPENDS": lambda sketch, _: sketch._extend(Listed),
    "SETITEM": Sketch._set_item,
    "SETITEMS": lambda sketch, _: sketch._extend(Mapped),
    "BINPUT": Sketch._remember,
    "LONG_BINPUT": Sketch._remember,
    "BINGET": Sketch._get,
    "LONG_BINGET": Sketch._get,
    "LONG1": Sketch._long,
    "GLOBAL": Sketch._global,
    "NEWOBJ": Sketch._new,
    "BUILD": Sketch._build,
    "REDUCE": Sketch._reduce,
    "BINPERSID": Sketch._persistent,
}


def _refuse_native(words: str) -> None:
    if "torch.classes" in words:
        raise RefusedError("holds objects of C++ classes, which run code of their own when they are restored")


def _class_name(name: str) -> str:
    if not _CLASS.fullmatch(name):
        raise RefusedError(f"asks for {printable(name)}, which is not on the list of what is loaded")
    return name


def _check_tensor(storage: Any, offset: Any, size: Any, stride: Any) -> None:
    """Refuse a tensor that reaches beyond its storage, or repeats it very often."""
    numbers = (offset, *size, *stride)
    if type(storage) is not _Storage or any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("a tensor that is none")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if last >= storage.count if count else offset > storage.count:
        raise ValueError(f"a tensor out of bounds for storage of {storage.count} numbers")
    if count > max(storage.count, MOST_REPEATED):
        raise ValueError(f"a tensor that repeats {storage.count} numbers {count} times")


def _check_type(words: Any) -> None:
    """Refuse a type that would be something else than a type, or that torch would overrun its stack with."""
    _refuse_native(words)
    depth = deepest = 0
    for bracket in _BRACKET.findall(words):
        depth += 1 if bracket in "[(" else -1
        deepest = max(deepest, depth)
    if not _TYPE.fullmatch(words) or deepest > MOST_NESTING:
        raise ValueError("a type that is none")


def _check_nesting(value: Any) -> None:
    """Refuse values that hold themselves, nest deeply, or are no values; shared ones are looked through once."""
    depths: dict[int, int] = {}
    path: list[tuple[Any, Iterator[Any]]] = [(None, iter((value,)))]
    within = {id(None)}
    while path:
        holder, values = path[-1]
        inner = next((each for each in values if _is_open(each, depths, within)), None)
        if inner is not None:
            within.add(id(inner))
            path.append((inner, iter(inner if isinstance(inner, tuple) else inner.values)))
            continue
        path.pop()
        within.discard(id(holder))
        held = () if holder is None else holder if isinstance(holder, tuple) else holder.values
        depths[id(holder)] = 1 + max((depths.get(id(each), 0) for each in held), default=0)
        if len(path) > MOST_NESTING or depths[id(holder)] > MOST_NESTING:
            raise RefusedError(f"nests more than {MOST_NESTING} values, which can crash torch")


def _is_open(value: Any, depths: dict[int, int], within: set[int]) -> bool:
    """Tell whether a value is a container that was not looked through yet."""
    if isinstance(value, _CONTAINERS):
        if id(value) in within:
            raise RefusedError("holds a value that holds itself")
        return id(value) not in depths
    if not isinstance(value, _PLAIN):
        raise ValueError("something that is not a value")
    return False
