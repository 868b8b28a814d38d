"""Whether the objects of a TorchScript archive are what its classes declare.

torch does not ask: it looks an attribute up by its place in the declared class, and where another object lies, reads
memory that is none of it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ihcli.models.scripts.code import Declared
from ihcli.models.scripts.pickles import Chosen, Leaf, Listed, Made, Mapped
from ihcli.wording import printable

_WORD = re.compile(r"[\w.]+|[\[\],()]")
_SCALARS = {"int": int, "float": float, "bool": bool, "str": str, "NoneType": type(None)}
_LEAVES = ("Tensor", "Device", "complex")
_NUMBERS = ("number", "Scalar")
Type = tuple[str, tuple["Type", ...]]
"""A name, and the types in its brackets."""


def mismatch(value: Any, classes: Mapping[str, Declared]) -> str | None:
    """Return what is not as declared, in words, or None where everything is.

    value    the sketch of an archive's data
    classes  by their whole names, "__torch__.module.Class"
    """
    return next(_Checker(classes).objects(value), None)


class _Checker:
    """Compares every object once with its class."""

    def __init__(self, classes: Mapping[str, Declared]) -> None:
        self._classes = classes
        self._types: dict[str, Type] = {}

    def objects(self, value: Any) -> Iterator[str]:
        """Yield what is not as declared, of the objects in a value."""
        pending, seen = [value], set[int]()
        while pending:
            holder = pending.pop()
            if not isinstance(holder, Made | Listed | Mapped | tuple) or id(holder) in seen:
                continue
            seen.add(id(holder))
            if isinstance(holder, Made):
                yield from self._attributes(holder)
            pending += holder if isinstance(holder, tuple) else holder.values

    def _attributes(self, made: Made) -> Iterator[str]:
        declared = self._classes.get(made.name)
        if declared is None:
            yield f"an object of {printable(made.name)}, a class that its code does not declare"
        else:
            names, values = made.values[::2], made.values[1::2]
            if names != list(declared.attributes):
                yield f"an object of {made.name} with other attributes than its class declares"
                return
            for name, value, words in zip(names, values, declared.attributes.values(), strict=True):
                if not self._fits(value, self._parsed(words)):
                    yield f"an object of {made.name} whose {printable(name)} is no {printable(words)}"

    def _fits(self, value: Any, wanted: Type) -> bool:
        name, inner = wanted
        if name in ("Optional", "Union"):
            return (name == "Optional" and value is None) or any(self._fits(value, each) for each in inner)
        if name == "List":
            return type(value) is Listed and all(self._fits(each, inner[0]) for each in value.values)
        if name == "Dict":
            return type(value) is Mapped and all(
                self._fits(each, inner[place % 2]) for place, each in enumerate(value.values)
            )
        if name == "Tuple":
            return type(value) is tuple and len(value) == len(inner) and all(map(self._fits, value, inner))
        if name.startswith("__torch__."):
            return self._is_of(value, name)
        if name in _NUMBERS:
            return type(value) in (int, float, bool) or value == Leaf("complex")
        if name in _LEAVES:
            return value == Leaf(name)
        return name == "Any" or (name in _SCALARS and type(value) is _SCALARS[name])

    def _is_of(self, value: Any, name: str) -> bool:
        declared = self._classes.get(name)
        if declared is None:
            return False
        if declared.base == "NamedTuple":
            fields = [self._parsed(words) for words in declared.attributes.values()]
            return self._fits(value, ("Tuple", tuple(fields)))
        if declared.base == "Enum":
            return value == Chosen(name)
        if type(value) is not Made:
            return False
        return value.name == name or ("Interface" in declared.base and self._implements(value.name, name))

    def _implements(self, name: str, interface: str) -> bool:
        """Tell whether a class has all methods of an interface, with types written the same."""
        declared = self._classes.get(name)
        wanted = self._classes[interface].methods
        return declared is not None and all(
            method in declared.methods and _signature(declared.methods[method]) == _signature(header)
            for method, header in wanted.items()
        )

    def _parsed(self, words: str) -> Type:
        if words not in self._types:
            tokens = _WORD.findall(words)
            self._types[words] = _type(tokens[::-1])
        return self._types[words]


def _type(tokens: list[str]) -> Type:
    """Read one type off the end of the reversed tokens."""
    name, inner = tokens.pop(), list[Type]()
    if tokens and tokens[-1] == "[":
        tokens.pop()
        while tokens[-1] != "]":
            if tokens[-1] in ",()":
                tokens.pop()
            else:
                inner.append(_type(tokens))
        tokens.pop()
    return name, tuple(inner)


def _signature(header: str) -> str:
    """Return the types of a method's parameters but the first, and of what it returns."""
    parameters, _, returned = header.partition(" -> ")
    _, _, others = parameters.partition(",")
    return ", ".join(part.partition(":")[2].strip(" )") for part in _split(others)) + returned.strip(" :")


def _split(parameters: str) -> Iterator[str]:
    """Split at commas outside of brackets."""
    depth, start = 0, 0
    for at, letter in enumerate(parameters):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            yield parameters[start:at]
            start = at + 1
    yield parameters[start:]
