"""Zip archives of torch.save: the pickle in them read by our own reader, the storages by torch's."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ihcli.models.pickles.allow_list import ForbiddenError
from ihcli.models.pickles.building import Bounds
from ihcli.models.pickles.own import Own, no_code
from ihcli.models.pickles.unpickling import StorageUnpickler


class ArchiveUnpickler(StorageUnpickler):
    """The object of an archive: its persistent ids are storages in records of their own."""

    def __init__(self, reader: Any, bounds: Bounds | None = None) -> None:
        super().__init__(io.BytesIO(reader.get_record("data.pkl")), bounds)
        self._archive = reader

    def storage(self, key: str, count: int, dtype: torch.dtype) -> Tensor:
        """Return the storage as a flat tensor; a record of another length is an error."""
        stored = self._archive.get_storage_from_record(f"data/{key}", count * dtype.itemsize, torch.uint8)
        flat: Tensor = stored._typed_storage()._untyped_storage
        return torch.empty(0, dtype=dtype).set_(flat)  # type: ignore[call-overload]


def read_archive(path: Path, unpickler_of: type[ArchiveUnpickler] = ArchiveUnpickler, own: Own = no_code) -> Any:
    """Return the object that torch.save wrote in its zip format."""
    reader: Any = torch._C.PyTorchFileReader(str(path))
    if reader.has_record("byteorder") and reader.get_record("byteorder") != b"little":
        raise ForbiddenError("tensors in big-endian byte order")
    unpickler = unpickler_of(reader)
    unpickler.own = own
    return unpickler.load()
