"""What a refused pickle holds, in outline: names off the allow-list stand for inert records, and nothing is called.

Messages are made of outlines, in which numbers of torch's files are left out (tensors of the meta device); and weights
are taken out of files that hold other things beside them, with their numbers.
"""

import io
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.models.pickles.allow_list import Constructor, ForbiddenError, Record, RecordClass
from ihcli.models.pickles.archives import ArchiveUnpickler, read_archive
from ihcli.models.pickles.arrays import OutlinedDType
from ihcli.models.pickles.building import Bounds
from ihcli.models.pickles.streams import read_stream
from ihcli.models.pickles.unpickling import LegacyUnpickler, StorageUnpickler, StrictUnpickler, read_legacy
from ihcli.models.sniffing import Kind


@dataclass(frozen=True)
class Outline:
    """The object of a file, off-list instances as records with dotted names, and those names in their order."""

    root: Any
    names: tuple[str, ...] = ()


def outlined(path: Path, kind: Kind) -> Outline | None:
    """Return the outline of a torch or pickle file, or None where it is damaged or enormous.

    Where only something in it cannot be passed over, the root is there without its attributes.
    """
    try:
        reader = _reader(path, kind)
    except Exception:  # somebody's bytes raise anything, and the refusal that they stand behind says enough
        return None
    try:
        return Outline(reader.load(), tuple(reader.names))
    except Exception:
        begun = [value for stack in (*reader.metastack, reader.stack) for value in stack]
        return Outline(begun[0], tuple(reader.names)) if begun and isinstance(begun[0], Record) else None


def numbers_outlined(path: Path, kind: Kind) -> Any:
    """Return the object of a torch or pickle file with all its numbers, off-list instances as records.

    Raises whatever damaged or enormous bytes lead to.
    """
    if kind is Kind.TORCH_ZIP:
        return read_archive(path, _ArchiveOutliner)
    if kind is Kind.PICKLE:
        return _Outliner(read_stream(path)).load()
    return read_legacy(io.BytesIO(path.read_bytes()), unpickler_of=_LegacyOutliner)


def _reader(path: Path, kind: Kind) -> Any:
    if kind is Kind.TORCH_ZIP:
        archive: Any = torch._C.PyTorchFileReader(str(path))
        return _StorageOutliner(io.BytesIO(archive.get_record("data.pkl")))
    if kind is Kind.PICKLE:
        return _Outliner(read_stream(path))
    stream = io.BytesIO(path.read_bytes())
    for _ in range(3):  # magic number, version, system
        StrictUnpickler(stream).load()
    return _StorageOutliner(stream)


class _Outliner(StrictUnpickler):
    """The strict reader, which leaves a record where that would refuse."""

    dispatch = StrictUnpickler.dispatch.copy()

    def __init__(self, stream: io.BytesIO, bounds: Bounds | None = None) -> None:
        super().__init__(stream, bounds)
        self.names: dict[str, None] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what the allow-list reads the name as, or a class of records."""
        if (module, name) == ("numpy", "dtype"):
            return Constructor(OutlinedDType)
        try:
            return super().find_class(module, name)
        except ForbiddenError:
            self.names[f"{module}.{name}"] = None
            return RecordClass(f"{module}.{name}")

    def load_storage(self, content: bytes) -> Any:
        """Return the storage, or raise with what it asks for noted."""
        try:
            return super().load_storage(content)
        except ForbiddenError as error:
            self.names[str(error)] = None
            raise

    def _read_nested(self) -> Any:
        nested = type(self)(self.stream, self.bounds)
        nested.names = self.names
        return nested.load()

    def persistent_load(self, pid: Any) -> Any:
        """Return a record, for nothing tells what the id stands for."""
        return self._record(pid)

    def get_extension(self, code: int) -> None:
        """Push a record, for nothing tells what the code stands for."""
        self.append(self._record(code))

    def _instantiate(self, cls: Any, arguments: Any) -> None:
        self.append(self._record(cls))

    def _record(self, value: Any) -> Record:
        return Record(value.name if isinstance(value, RecordClass) else type(value).__name__)

    def restore(self, content: Any) -> None:
        """Leave layers as they are: none is ever called."""

    def load_reduce(self) -> None:
        """Make what the strict reader makes, or a record."""
        self._make(super().load_reduce, 2)

    def load_newobj(self) -> None:
        """Make what the strict reader makes, or a record."""
        self._make(super().load_newobj, 2)

    def load_newobj_ex(self) -> None:
        """Make what the strict reader makes, or a record."""
        self._make(super().load_newobj_ex, 3)

    def _make(self, make: Callable[[], None], n_values: int) -> None:
        self.bounds.count()
        depth = len(self.stack) - n_values
        function, arguments = self.stack[depth : depth + 2]
        try:
            make()
        except (ForbiddenError, TypeError, ValueError, AttributeError, RuntimeError):
            # A class is named by an argument where a function of the standard library makes its instances.
            named = [value for value in arguments[:1] if isinstance(value, RecordClass)]
            self.stack[depth:] = [self._record(named[0] if named else function)]

    def load_build(self) -> None:
        """Keep the attributes of a record or layer; any other state that would be refused is let go."""
        instance, state = self.stack[-2:]
        if isinstance(instance, nn.Module):
            self.stack.pop()
            vars(instance).update(state if type(state) is dict else {})
            return
        if isinstance(instance, Record) and type(state) is tuple:
            self.stack[-1] = state[0]  # what __slots__ hold is left out
        with suppress(ForbiddenError):
            super().load_build()

    def load_append(self) -> None:
        """Append to a list, not to a record."""
        with suppress(ForbiddenError):
            super().load_append()

    def load_appends(self) -> None:
        """Extend a list, not a record."""
        with suppress(ForbiddenError):
            super().load_appends()

    def load_additems(self) -> None:
        """Extend a set, not a record."""
        with suppress(ForbiddenError):
            super().load_additems()

    def load_setitem(self) -> None:
        """Set an item of a dictionary, not of a record."""
        with suppress(ForbiddenError):
            super().load_setitem()

    def load_setitems(self) -> None:
        """Set items of a dictionary, not of a record."""
        with suppress(ForbiddenError):
            super().load_setitems()

    dispatch.update(
        {
            pickle.REDUCE[0]: load_reduce,
            pickle.NEWOBJ[0]: load_newobj,
            pickle.NEWOBJ_EX[0]: load_newobj_ex,
            pickle.BUILD[0]: load_build,
            pickle.APPEND[0]: load_append,
            pickle.APPENDS[0]: load_appends,
            pickle.ADDITEMS[0]: load_additems,
            pickle.SETITEM[0]: load_setitem,
            pickle.SETITEMS[0]: load_setitems,
        }
    )


class _TorchOutliner(_Outliner, StorageUnpickler):
    """The same for objects of torch.save."""

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage without its numbers, the class of a module, or a record."""
        try:
            return StorageUnpickler.persistent_load(self, pid)
        except ForbiddenError:
            return self._record(pid)


class _StorageOutliner(_TorchOutliner):
    """The same without numbers."""

    def storage(self, key: str, count: int, dtype: torch.dtype) -> Tensor:
        """Return as many numbers as there are, none of them read."""
        return torch.empty(count, dtype=dtype, device="meta")


class _ArchiveOutliner(_TorchOutliner, ArchiveUnpickler):
    """The same with the numbers of an archive."""


class _LegacyOutliner(_TorchOutliner, LegacyUnpickler):
    """The same with the numbers that follow in the stream."""
