"""A pickle reader that builds allow-listed objects only and calls nothing of the file's choosing."""

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.models.pickles import arrays
from ihcli.models.pickles.allow_list import Constructor, ForbiddenError, allowed_names, checked_keys
from ihcli.models.pickles.building import Bounds, call, layer_state, make, named, plain, set_state
from ihcli.models.pickles.own import NAMES, Own, OwnClass, as_read, no_code
from ihcli.models.pickles.restoring import Layers
from ihcli.models.pickles.streams import Reader, TruncatedError

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


_MAKING = (
    *(pickle.MARK, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET, pickle.LIST, pickle.DICT, pickle.FROZENSET),
    *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.REDUCE, pickle.NEWOBJ, pickle.NEWOBJ_EX),
)


def _counted(load: Callable[["StrictUnpickler"], None]) -> Callable[["StrictUnpickler"], None]:
    """Return the reading of an opcode that makes an object, within the bounds of the stream."""

    def counted(self: "StrictUnpickler") -> None:
        self.bounds.count()
        load(self)

    return counted


class StrictUnpickler(_PythonUnpickler):
    """Read one object of a pickle or joblib stream, protocols 0 to 5.

    The pure Python reader of the standard library, because its opcodes can be replaced: names are looked up in the
    allow-list as a whole (so a dotted name, which could walk into attributes, is on no list), REDUCE calls only our
    constructors, NEWOBJ makes only allow-listed classes without arguments, and items are added only to plain
    containers, under plain keys. BUILD keeps the state of a layer; all of them are checked and set by `restore`, when
    no opcode is left that could change one. Extension codes and persistent ids are refused.

    own  what the user's code has, where the user named any

    Raises ForbiddenError, TruncatedError, or whatever malformed bytes lead to.
    """

    dispatch = _PythonUnpickler.dispatch.copy()
    own: Own = staticmethod(no_code)

    def __init__(self, stream: io.BytesIO, bounds: Bounds | None = None) -> None:
        self.stream = stream
        self._reader = Reader(stream)
        self.bounds = bounds or Bounds(stream.getbuffer().nbytes)
        self._layers = Layers()
        super().__init__(self._reader)

    def load(self) -> Any:
        """Return the object of the stream, its layers whole."""
        content = self.load_unrestored()
        self.restore(content)
        return content

    def load_unrestored(self) -> Any:
        """Return the object of the stream, its layers still without their states."""
        return super().load()

    def restore(self, content: Any) -> None:
        """Check and set the states of the layers; no opcode is left that could change one."""
        self._layers.restore(content)

    def find_class(self, module: str, name: str) -> Any:
        """Return what the allow-list reads the name as, or what the user's code has under it."""
        if self.own is not no_code and (module, name) in NAMES:
            return NAMES[module, name]
        try:
            return allowed_names()[module, name]
        except KeyError:
            pass
        if (module, name) in (("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")):
            return Constructor(self._reconstruct)
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return Constructor(self.load_storage)
        found = as_read(self.own(module, name))
        if found is None:
            raise ForbiddenError(f"{module}.{name}")
        if isinstance(found, OwnClass):
            self._layers.own.add(found.value)
        return found

    def load_storage(self, content: bytes) -> Any:
        """Return the tensor storage that a plain pickle embeds; torch's own function would unpickle freely."""
        return plain(read_legacy(io.BytesIO(plain(content, bytes)), self.bounds), Tensor)

    def _reconstruct(self, cls: Any, base: Any, state: Any) -> Any:
        """Return an empty instance, as protocols 0 and 1 ask for one."""
        if base is not object or state is not None:
            raise ForbiddenError(f"{named(cls)} rebuilt on another class")
        return make(cls, (), self.bounds)

    def persistent_load(self, pid: Any) -> Any:
        """Refuse: outside files of torch.save nothing writes persistent ids."""
        raise ForbiddenError("a persistent id")

    def get_extension(self, code: int) -> None:
        """Refuse: an extension code names an object without its name."""
        raise ForbiddenError(f"the extension code {code}")

    def load_reduce(self) -> None:
        """Call one of our constructors with the arguments of the stream."""
        arguments = self.stack.pop()
        self.stack[-1] = call(self.stack[-1], arguments, self.bounds)

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self) -> None:
        """Make an empty instance of an allow-listed class."""
        arguments = self.stack.pop()
        self.stack[-1] = make(self.stack[-1], arguments, self.bounds)

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_newobj_ex(self) -> None:
        """Make an empty instance of an allow-listed class, where keyword arguments could have come along."""
        keywords, arguments = self.stack.pop(), self.stack.pop()
        if keywords:
            raise ForbiddenError(f"{named(self.stack[-1])} with keyword arguments")
        self.stack[-1] = make(self.stack[-1], arguments, self.bounds)

    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex

    def _instantiate(self, cls: Any, arguments: Any) -> None:
        raise ForbiddenError(f"{named(cls)} made the way of protocol 0 (INST, OBJ)")

    def load_build(self) -> None:
        """Keep the state of a layer, set that of anything else; behind joblib's note about an array, read the array."""
        state = self.stack.pop()
        instance = self.stack[-1]
        if isinstance(instance, nn.Module):
            self._layers.keep(instance, layer_state(instance, state))
        elif type(instance) in self._layers.own:
            self._layers.keep_object(instance, layer_state(instance, state))
        else:
            set_state(instance, state, self.bounds)
        if type(instance) is arrays.WrappedArray:
            self.stack[-1] = instance.read(self._reader.read, self._read_nested)

    dispatch[pickle.BUILD[0]] = load_build

    def _read_nested(self) -> Any:
        nested = type(self)(self.stream, self.bounds)
        nested.own = self.own
        return nested.load()

    def load_bytearray8(self) -> None:
        """Read a bytearray; the standard reader allocates the length before it looks whether the bytes are there."""
        (count,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(count)))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def load_append(self) -> None:
        """Append to a list."""
        item = self.stack.pop()
        plain(self.stack[-1], list).append(item)

    dispatch[pickle.APPEND[0]] = load_append

    def load_appends(self) -> None:
        """Extend a list."""
        items = self.pop_mark()
        plain(self.stack[-1], list).extend(items)

    dispatch[pickle.APPENDS[0]] = load_appends

    def load_additems(self) -> None:
        """Extend a set."""
        items = self.pop_mark()
        plain(self.stack[-1], set).update(checked_keys(items))

    dispatch[pickle.ADDITEMS[0]] = load_additems

    def load_frozenset(self) -> None:
        """Make a frozen set."""
        self.append(frozenset(checked_keys(self.pop_mark())))

    dispatch[pickle.FROZENSET[0]] = load_frozenset

    def load_dict(self) -> None:
        """Make a dictionary, as protocol 0 does."""
        items = self.pop_mark()
        self.append(dict(zip(checked_keys(items[::2]), items[1::2], strict=True)))

    dispatch[pickle.DICT[0]] = load_dict

    def load_setitem(self) -> None:
        """Set one item of a dictionary."""
        value, key = self.stack.pop(), self.stack.pop()
        plain(self.stack[-1], dict, OrderedDict).update(zip(checked_keys([key]), [value], strict=True))

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        """Set items of a dictionary."""
        items = self.pop_mark()
        plain(self.stack[-1], dict, OrderedDict).update(zip(checked_keys(items[::2]), items[1::2], strict=True))

    dispatch[pickle.SETITEMS[0]] = load_setitems

    for opcode in _MAKING:
        dispatch[opcode[0]] = _counted(dispatch[opcode[0]])


def read_pickled(stream: io.BytesIO, own: Own = no_code) -> Any:
    """Return the object of a pickle or joblib stream."""
    unpickler = StrictUnpickler(stream)
    unpickler.own = own
    return unpickler.load()


class StorageUnpickler(StrictUnpickler):
    """An object of torch.save, whose persistent ids are storages.

    A storage is kept as a flat tensor, over which its tensors are views: tied weights stay tied.
    """

    def __init__(self, stream: io.BytesIO, bounds: Bounds | None = None) -> None:
        super().__init__(stream, bounds)
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
            raise ForbiddenError("a persistent id that is not a tensor storage")
        _, dtype, key, _, count, *views = pid
        if not isinstance(dtype, torch.dtype) or type(key) is not str or type(count) is not int or count < 0:
            raise ForbiddenError("a persistent id that is not a tensor storage")
        if any(view is not None for view in views):
            raise ForbiddenError("a storage that is a view of another")
        if key not in self.storages:
            self.storages[key] = self.storage(key, count, dtype)
        return self.storages[key]

    def storage(self, key: str, count: int, dtype: torch.dtype) -> Tensor:
        """Return the storage of that key as a flat tensor of so many numbers."""
        raise NotImplementedError


class LegacyUnpickler(StorageUnpickler):
    """The object of a legacy torch.save stream, whose storages follow it."""

    def __init__(self, stream: io.BytesIO, bounds: Bounds | None = None) -> None:
        super().__init__(stream, bounds)
        self._available = self._reader.remaining()

    def storage(self, key: str, count: int, dtype: torch.dtype) -> Tensor:
        """Return the storage, still to be filled."""
        self._available -= count * dtype.itemsize
        if self._available < 0:
            raise TruncatedError
        return torch.zeros(count, dtype=dtype)


def read_legacy(
    stream: io.BytesIO,
    bounds: Bounds | None = None,
    unpickler_of: "type[LegacyUnpickler] | None" = None,
    own: Own = no_code,
) -> Any:
    """Return the object of a stream that torch.save wrote before its zip format, or with that switched off.

    Magic number, version and system information are read like the object and dropped; the storages follow it.
    """
    bounds = bounds or Bounds(stream.getbuffer().nbytes)
    for _ in range(3):
        StrictUnpickler(stream, bounds).load()
    unpickler = (unpickler_of or LegacyUnpickler)(stream, bounds)
    unpickler.own = own
    content = unpickler.load_unrestored()
    reader = Reader(stream)
    for key in plain(StrictUnpickler(stream, bounds).load(), list):
        storage = unpickler.storages[plain(key, str)]
        (count,) = struct.unpack("<q", reader.read(8))
        if count != len(storage):
            raise ValueError(f"storage {key} of another length")
        filling = bytearray(reader.read(storage.nbytes))
        if filling:
            storage.copy_(torch.frombuffer(filling, dtype=storage.dtype))
    unpickler.restore(content)
    return content
