"""Reading a model file of any format: the table of formats, and who reads each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ihcli.derivatives.calling import SILENCE
from ihcli.files.code import Arguments, Code
from ihcli.files.locations import Location, locate
from ihcli.models.fetching import on_this_machine
from ihcli.models.formats import coded, exported, huggingface, pickled, torchscript
from ihcli.models.model import Model
from ihcli.models.sniffing import Kind, recognise
from ihcli.models.wrapping import Source, checked_device, checked_dtype

READERS: dict[Kind, Callable[[Source], Model]] = {
    Kind.TORCHSCRIPT: torchscript.read,
    Kind.TORCH_ZIP: pickled.read_zip,
    Kind.TORCH_LEGACY: pickled.read_legacy_file,
    Kind.PICKLE: pickled.read_pickle,
    Kind.EXPORTED: exported.read,
    Kind.HUGGING_FACE: huggingface.read,
    Kind.SAFETENSORS: coded.refuse,
}


def load_model(
    path: str | Location,
    *,
    trust: bool = False,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    code: str | Code | None = None,
    code_args: str | Arguments | list[Any] | None = None,
    code_weights: str | None = None,
) -> Model:
    """Read a model from a file or directory, a path or URL, recognised by its content.

    Without `trust` nothing that the file brings along is run: TorchScript code is the exception, it runs inside
    torch's interpreter, and may only compute there. With `trust` pickles may hold any class that can be
    imported here, and torch.export programs are read. `dtype` None keeps the file's own float32 or float64; half
    precisions become float32, scikit-learn models float64.

    Parameters:
        code: what makes the network of a file with weights alone, "FILE.py:NAME" or "package.module:NAME", a class or
            a function. It is run; the file is read by the allow-list.
        code_args: its arguments, a list or by name, JSON of them, or "@FILE" of JSON; those that a Lightning
            checkpoint has of its network are taken where nothing is said.
        code_weights: which weights of a checkpoint, by their key, where several fit.

    Raises ModelError for a file that cannot be read as a model, UnsafeModelError for one that asks for code off the
    allow-list, OptionError for a device, dtype or URL that cannot be had, and for code that is not there.
    """
    location, device, dtype = locate(path), checked_device(device), checked_dtype(dtype)
    made_by = Code.of(code, code_args, code_weights) if isinstance(code, str) else code
    # Scripts may print while they are restored, as may modules that a trusted pickle imports.
    with on_this_machine(location) as local, SILENCE:
        kind, source = recognise(local), Source(local, trust, device, dtype)
        model = READERS[kind](source) if made_by is None else coded.read(source, kind, made_by)
    return replace(model, path=location)
