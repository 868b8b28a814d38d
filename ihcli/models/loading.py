"""Reading a model file of any format: the table of formats, and who reads each."""

from collections.abc import Callable
from dataclasses import replace

import torch

from ihcli.derivatives.calling import SILENCE
from ihcli.files.locations import Location, locate
from ihcli.models.fetching import on_this_machine
from ihcli.models.formats import exported, huggingface, pickled, torchscript
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
}


def load_model(
    path: str | Location, *, trust: bool = False, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> Model:
    """Read a model from a file or directory, a path or URL, recognised by its content.

    Without `trust` nothing that the file brings along is run: TorchScript code is the exception, it runs inside
    torch's interpreter, and may only compute there. With `trust` pickles may hold any class that can be
    imported here, and torch.export programs are read. `dtype` None keeps the file's own float32 or float64; half
    precisions become float32, scikit-learn models float64.

    Raises ModelError for a file that cannot be read as a model, UnsafeModelError for one that asks for code off the
    allow-list, OptionError for a device, dtype or URL that cannot be had.
    """
    location, device, dtype = locate(path), checked_device(device), checked_dtype(dtype)
    # Scripts may print while they are restored, as may modules that a trusted pickle imports.
    with on_this_machine(location) as local, SILENCE:
        model = READERS[recognise(local)](Source(local, trust, device, dtype))
    return replace(model, path=location)
