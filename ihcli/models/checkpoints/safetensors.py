"""What safetensors files say that they hold: names, dtypes and shapes, held against the bytes that are there.

Format: 8 bytes of length, so many bytes of JSON, then the numbers. Of a checkpoint only the header is read here.
"""

import math
import os
import stat
from pathlib import Path
from typing import Any

from torch import Tensor

from ihcli.errors import ModelError
from ihcli.files.foreign import parsed_json
from ihcli.wording import quoted

MOST_TENSORS = 50_000
_MOST_HEADER_BYTES = 16 << 20
_LENGTH_BYTES = 8
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}

Shapes = dict[str, tuple[int, ...]]


def declared_shapes(*paths: Path) -> Shapes:
    """Return the shapes of all tensors in the files, by name.

    Raises ModelError where a header is none, or tells of other bytes than those that follow it.
    """
    shapes: Shapes = {}
    for path in paths:
        shapes |= _shapes(path)
    return shapes


def stored_tensors(*paths: Path) -> dict[str, Tensor]:
    """Return all tensors in the files, by name; raises what `declared_shapes` raises."""
    from safetensors.torch import load_file

    declared_shapes(*paths)
    tensors: dict[str, Tensor] = {}
    for path in paths:
        tensors |= load_file(path)
    return tensors


def _shapes(path: Path) -> Shapes:
    with path.open("rb") as file:
        n_bytes = os.fstat(file.fileno()).st_size
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _damaged(path, "it is a pipe or device")
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 0 < length <= min(_MOST_HEADER_BYTES, n_bytes - _LENGTH_BYTES):
            raise _damaged(path, f"a header of {length} bytes in a file of {n_bytes}")
        header = parsed_json(file.read(length), path, ModelError)
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise _damaged(path, f"the header is not an object of at most {MOST_TENSORS} tensors")
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    places = sorted(_place(path, name, entry) for name, entry in tensors.items())
    ends = [0, *(end for _, end in places)]
    if ends != [*(begin for begin, _ in places), n_bytes - _LENGTH_BYTES - length]:
        raise _damaged(path, "its tensors overlap, leave gaps or reach beyond its end")
    return {name: tuple(entry["shape"]) for name, entry in tensors.items()}


def _place(path: Path, name: str, entry: Any) -> tuple[int, int]:
    """Return where the bytes of a tensor begin and end."""
    fields = entry if isinstance(entry, dict) else {}
    shape, offsets = _counts(fields.get("shape")), _counts(fields.get("data_offsets"))
    bits = _BITS.get(str(fields.get("dtype"))[:80])
    if bits is None or shape is None or offsets is None or len(offsets) != 2:
        raise _damaged(path, f"{quoted(name, 80)} has no dtype, shape and place")
    if (offsets[1] - offsets[0]) * 8 != math.prod(shape) * bits:
        raise _damaged(path, f"{quoted(name, 80)} has other bytes than its shape asks for")
    return offsets[0], offsets[1]


def _counts(values: Any) -> list[int] | None:
    is_right = isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 48 for value in values)
    return values if is_right else None


def _damaged(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path}: cannot be read as safetensors ({reason}). Try saving or copying the checkpoint again.")
