"""Reading a model file of any format: the table of formats, and who reads each."""

from pathlib import Path

import torch

from ihcli.errors import ModelError
from ihcli.models import exported, huggingface, pickled, torchscript
from ihcli.models.model import Model
from ihcli.models.sniffing import Kind, recognise
from ihcli.models.wrapping import Source, checked_device, checked_dtype


def load_model(
    path: str | Path, *, trust: bool = False, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> Model:
    """Read a model from a file or directory, recognised by its content.

    Without `trust` nothing that the file brings along is run: TorchScript code is the exception, it runs inside
    torch's interpreter and is searched for file access first. With `trust` pickles may hold any class that can be
    imported here, and torch.export programs are read. `dtype` None keeps the file's own float32 or float64; half
    precisions become float32, scikit-learn models float64.

    Raises ModelError for a file that cannot be read as a model, UnsafeModelError for one that asks for code off the
    allow-list, OptionError for a device or dtype that cannot be had.
    """
    source = Source(Path(path), trust, checked_device(device), checked_dtype(dtype))
    kind = recognise(source.path)
    if kind is Kind.TORCHSCRIPT:
        return torchscript.read(source)
    elif kind is Kind.TORCH_ZIP:
        return pickled.read_zip(source)
    elif kind is Kind.TORCH_LEGACY:
        return pickled.read_legacy_file(source)
    elif kind is Kind.PICKLE:
        return pickled.read_pickle(source)
    elif kind is Kind.HUGGING_FACE:
        return huggingface.read(source)
    elif kind is Kind.EXPORTED:
        return exported.read(source)
    raise ModelError(
        f"{path}: a {kind.value}, which this version does not read. Try saving the model as TorchScript: "
        "torch.jit.trace(model.eval(), example_row).save(path)."
    )
