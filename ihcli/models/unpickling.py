"""A pickle reader that builds allow-listed objects only and calls nothing of the file's choosing."""

import io
import pickle
import struct
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.models import arrays
from ihcli.models.allow_list import Constructor, Record, RecordClass, allowed_names, module_classes

_PythonUnpickler: Any = pickle._Unpickler
_STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class ForbiddenError(Exception):
    """The stream asks for something off the allow-list; `str(error)` names it."""


class TruncatedError(Exception):
    """The stream ends before its objects do."""


class _Reader:
    """The bytes of a stream; a short read is an error, and a length beyond the end allocates nothing."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def read(self, count: int) -> bytes:
        content = self._stream.read(count)
        if len(content) != count:
            raise TruncatedError
        return content

    def readline(self) -> bytes:
        return self._stream.readline()

    def remaining(self) -> int:
        return self._stream.getbuffer().nbytes - self._stream.tell()


class StrictUnpickler(_PythonUnpickler):
    """Read one object of a pickle or joblib stream, protocols 0 to 5.

    The pure Python reader of the standard library, because its opcodes can be replaced: names are looked up in the
    allow-list as a whole (so a dotted name, which could walk into attributes, is on no list), REDUCE calls only our
    constructors, NEWOBJ makes only allow-listed classes without arguments, BUILD sets only the state of such
    instances, and items are added only to plain containers. Extension codes and persistent ids are refused.

    Raises ForbiddenError, TruncatedError, or whatever malformed bytes lead to.
    """

    dispatch = _PythonUnpickler.dispatch.copy()

    def __init__(self, stream: io.BytesIO) -> None:
        self.stream = stream
        self._reader = _Reader(stream)
        super().__init__(self._reader)

    def find_class(self, module: str, name: str) -> Any:
        """Return what the allow-list reads the name as."""
        try:
            return allowed_names()[module, name]
        except KeyError:
            pass
        if (module, name) in (("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")):
            return Constructor(_reconstruct)
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return Constructor(self.load_storage)
        raise ForbiddenError(f"{module}.{name}")

    def load_storage(self, content: bytes) -> Any:
        """Return the tensor storage that a plain pickle embeds; torch's own function would unpickle freely."""
        return read_legacy(io.BytesIO(content))

    def persistent_load(self, pid: Any) -> Any:
        """Refuse: outside files of torch.save nothing writes persistent ids."""
        raise ForbiddenError("a persistent id")

    def get_extension(self, code: int) -> None:
        """Refuse: an extension code names an object without its name."""
        raise ForbiddenError(f"the extension code {code}")

    def load_reduce(self) -> None:
        """Call one of our constructors with the arguments of the stream."""
        arguments = self.stack.pop()
        self.stack[-1] = _call(self.stack[-1], arguments)

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self) -> None:
        """Make an empty instance of an allow-listed class."""
        arguments = self.stack.pop()
        self.stack[-1] = _make(self.stack[-1], arguments)

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_newobj_ex(self) -> None:
        """Make an empty instance of an allow-listed class, where keyword arguments could have come along."""
        keywords, arguments = self.stack.pop(), self.stack.pop()
        if keywords:
            raise ForbiddenError(f"{_named(self.stack[-1])} with keyword arguments")
        self.stack[-1] = _make(self.stack[-1], arguments)

    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex

    def _instantiate(self, cls: Any, arguments: Any) -> None:
        raise ForbiddenError(f"{_named(cls)} made the way of protocol 0 (INST, OBJ)")

    def load_build(self) -> None:
        """Set the state of an instance; joblib's array notes are replaced by the array that follows them."""
        state = self.stack.pop()
        instance = self.stack[-1]
        _set_state(instance, state)
        if type(instance) is arrays.WrappedArray:
            self.stack[-1] = instance.read(self._reader.read, self._read_nested)

    dispatch[pickle.BUILD[0]] = load_build

    def _read_nested(self) -> Any:
        return type(self)(self.stream).load()

    def load_bytearray8(self) -> None:
        """Read a bytearray; the standard reader allocates the length before it looks whether the bytes are there."""
        (count,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(count)))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def load_append(self) -> None:
        """Append to a list."""
        item = self.stack.pop()
        _plain(self.stack[-1], list).append(item)

    dispatch[pickle.APPEND[0]] = load_append

    def load_appends(self) -> None:
        """Extend a list."""
        items = self.pop_mark()
        _plain(self.stack[-1], list).extend(items)

    dispatch[pickle.APPENDS[0]] = load_appends

    def load_additems(self) -> None:
        """Extend a set."""
        items = self.pop_mark()
        _plain(self.stack[-1], set).update(items)

    dispatch[pickle.ADDITEMS[0]] = load_additems

    def load_setitem(self) -> None:
        """Set one item of a dictionary."""
        value, key = self.stack.pop(), self.stack.pop()
        _plain(self.stack[-1], dict, OrderedDict)[key] = value

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        """Set items of a dictionary."""
        items = self.pop_mark()
        _plain(self.stack[-1], dict, OrderedDict).update(zip(items[::2], items[1::2], strict=True))

    dispatch[pickle.SETITEMS[0]] = load_setitems


class StorageUnpickler(StrictUnpickler):
    """An object of torch.save, whose persistent ids are storages.

    A storage is kept as a flat tensor, over which its tensors are views: tied weights stay tied.
    """

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what the allow-list reads the name as, or the dtype of a storage class."""
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage, or the class of a module saved along with its source code."""
        if type(pid) is tuple and len(pid) == 4 and pid[0] == "module":
            return pid[1]
        if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] != "storage":
            raise ForbiddenError("a persistent id that is no tensor storage")
        _, dtype, key, _, count, *views = pid
        if not isinstance(dtype, torch.dtype) or type(key) is not str or type(count) is not int or count < 0:
            raise ForbiddenError("a persistent id that is no tensor storage")
        if any(view is not None for view in views):
            raise ForbiddenError("a storage that is a view of another")
        if key not in self.storages:
            self.storages[key] = self.storage(key, count, dtype)
        return self.storages[key]

    def storage(self, key: str, count: int, dtype: torch.dtype) -> Tensor:
        """Return the storage of that key as a flat tensor of so many numbers."""
        raise NotImplementedError


class _LegacyUnpickler(StorageUnpickler):
    """The object of a legacy torch.save stream, whose storages follow it."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self._available = self._reader.remaining()

    def storage(self, key: str, count: int, dtype: torch.dtype) -> Tensor:
        """Return the storage, still to be filled."""
        self._available -= count * dtype.itemsize
        if self._available < 0:
            raise TruncatedError
        return torch.zeros(count, dtype=dtype)


def read_legacy(stream: io.BytesIO) -> Any:
    """Return the object of a stream that torch.save wrote before its zip format, or with that switched off.

    Magic number, version and system information are read like the object and dropped; the storages follow it.
    """
    for _ in range(3):
        StrictUnpickler(stream).load()
    unpickler = _LegacyUnpickler(stream)
    result = unpickler.load()
    reader = _Reader(stream)
    for key in StrictUnpickler(stream).load():
        storage = unpickler.storages[key]
        (count,) = struct.unpack("<q", reader.read(8))
        if count != len(storage):
            raise ValueError(f"storage {key} of another length")
        content = bytearray(reader.read(storage.nbytes))
        if content:
            storage.copy_(torch.frombuffer(content, dtype=storage.dtype))
    return result


def _call(function: Any, arguments: Any) -> Any:
    if type(arguments) is not tuple:
        raise ForbiddenError(f"{_named(function)} without a tuple of arguments")
    if type(function) is RecordClass:
        return Record(function.name)
    if type(function) is not Constructor:
        raise ForbiddenError(f"a call of {_named(function)}")
    return function.call(*arguments)


def _make(cls: Any, arguments: Any) -> Any:
    if type(cls) is RecordClass:
        return Record(cls.name)
    if type(cls) is Constructor:
        return _call(cls, arguments)
    if not isinstance(cls, type) or cls not in module_classes() or arguments:
        raise ForbiddenError(f"a new {_named(cls)}")
    return cls.__new__(cls)


def _reconstruct(cls: Any, base: Any, state: Any) -> Any:
    """Return an empty instance, as protocols 0 and 1 ask for one."""
    if base is not object or state is not None:
        raise ForbiddenError(f"{_named(cls)} rebuilt on another class")
    return _make(cls, ())


def _set_state(instance: Any, state: Any) -> None:
    if type(instance) is Record:
        instance.attributes.update(state if type(state) is dict else {})
    elif type(instance) is OrderedDict:
        _plain(state, dict)  # the version notes of a state_dict, which nothing here reads
    elif type(instance) is arrays.WrappedArray:
        instance.state = _plain(state, dict)
    elif type(instance) is arrays.DType:
        instance.set_state(_plain(state, tuple))
    elif type(instance) is np.ndarray:
        arrays.set_array_state(instance, _plain(state, tuple))
    elif isinstance(instance, nn.Module) and type(instance) in module_classes():
        if not all(type(key) is str for key in _plain(state, dict)):
            raise ForbiddenError(f"the state of a {_named(type(instance))} with keys that are not names")
        instance.__setstate__(state)
    else:
        raise ForbiddenError(f"the state of a {_named(type(instance))}")


def _plain(container: Any, *types: type) -> Any:
    if type(container) not in types:
        raise ForbiddenError(f"a {_named(type(container))} in place of a {types[0].__name__}")
    return container


def _named(value: Any) -> str:
    if isinstance(value, RecordClass):
        return value.name
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return f"{module}.{name}" if module and name else type(value).__name__
