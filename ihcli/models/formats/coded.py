"""Weights without their network: a state_dict, alone or in a checkpoint, put into what the user's own code makes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ihcli.errors import ModelError
from ihcli.files.code import Code
from ihcli.files.foreign import foreign_json
from ihcli.models.checking.probing import accepted_width, takes_others
from ihcli.models.checkpoints.safetensors import stored_tensors
from ihcli.models.code.building import Called, called, network_of
from ihcli.models.code.choosing import chosen
from ihcli.models.code.fitting import Fit, Wanted, load
from ihcli.models.code.importing import Ran, run_code, told
from ihcli.models.code.unsaved import refuse_unsaved
from ihcli.models.code.weights import known_values, stored_arguments, weights_in
from ihcli.models.formats import pickled, torchscript
from ihcli.models.formats.directories import weight_files
from ihcli.models.mistaken import weights
from ihcli.models.model import Model, RunCode
from ihcli.models.pickles.plain_layers import make_plain
from ihcli.models.sniffing import Kind, refused
from ihcli.models.wrapping import FULL_DTYPES, Source, place_module
from ihcli.wording import listed, printable


def refuse(source: Source) -> Model:
    """Raise ModelError for weights alone, with the option that names their network."""
    raise refused(source.path, weights(source.path))


def read(source: Source, kind: Kind, code: Code) -> Model:
    """Read weights of whatever format into the network that the user's code makes.

    Nothing in the file runs: it is read by the allow-list, and what it holds beside weights and plain values is passed
    over. The code runs, as the user named it.

    Raises ModelError where code or file cannot be read, or the weights do not fit; OptionError for arguments that the
    code does not take.
    """
    held = _held(source, kind)
    ran = run_code(code)
    call = _call(ran, code, held, source.path)
    module, fit = _loaded(ran, call, code, held, source)
    model = place_module(_plain(module), source, f"weights of {printable(code.name)} ({printable(code.place)})")
    arguments = None if call is None else call.arguments_text
    run = RunCode(printable(f"{code.place}:{code.name}", None), arguments, ran.files(), ran.root)
    return _counted(replace(model, code=run, notes=tuple(_notes(fit, code))))


def _held(source: Source, kind: Kind) -> Any:
    """Return what a file holds, of which weights and plain values are taken."""
    if kind is Kind.TORCHSCRIPT:
        return dict(torchscript.read(source).module.state_dict())
    if kind in (Kind.SAFETENSORS, Kind.HUGGING_FACE):
        return stored_tensors(*weight_files(source.path))
    if kind in pickled.STRICT:
        return pickled.held(source.path, kind)
    raise ModelError(f"{source.path}: a {kind.value}, which has a network of its own. Try without `code`.")


def _call(ran: Ran, code: Code, held: Any, path: Path) -> Called | None:
    """Return what is called for the network, and how; None where the code has the network itself."""
    if isinstance(ran.value, nn.Module):
        code.require_none()
        return None
    return called(code, ran.value, stored_arguments(held), known_values(held) | _settings(path))


def _settings(path: Path) -> dict[str, Any]:
    """Return what the settings beside weights say under names."""
    file = (path if path.is_dir() else path.parent) / "config.json"
    return known_values(foreign_json(file, ModelError, finite=False)) if file.is_file() else {}


def _loaded(ran: Ran, call: Called | None, code: Code, held: Any, source: Source) -> tuple[nn.Module, Fit]:
    """Return the network with the weights in it, in the precision of the file, and how they went into it."""
    module = network_of(ran.value, code) if call is None else call.network()
    wanted = Wanted.by(module)
    fit = chosen(weights_in(held), wanted, code, source.path, call)
    if call is not None:
        refuse_unsaved(call, module, fit)
    module.to(dtype=source.dtype or _dtype(fit.tensors().values()))
    with told(code, "where it takes its weights"):
        load(module, fit, Wanted.by(module))
    return module, fit


def _dtype(values: Any) -> torch.dtype:
    """Return the precision of weights, float32 for half ones."""
    found = {value.dtype for value in values if isinstance(value, Tensor) and value.dtype in FULL_DTYPES}
    return torch.float64 if torch.float64 in found else torch.float32


def _plain(module: nn.Module) -> nn.Module:
    """Put the weights of norms and other parametrizations in the place of what computes them at every call."""
    module.eval()
    with torch.no_grad():
        for part in list(module.modules()):
            if parametrize.is_parametrized(part):
                for name in list(vars(part.parametrizations)["_modules"]):
                    parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    make_plain(module)
    return module


def _counted(model: Model) -> Model:
    """Return the model with the one number of inputs that it takes, where it shows."""
    if model.n_inputs is not None:
        return model
    accepted = accepted_width(model)
    if accepted is None or takes_others(model, accepted.inputs):
        return model
    return replace(model, n_inputs=accepted.inputs)


def _notes(fit: Fit, code: Code) -> Iterator[str]:
    if fit.left_out:
        names = listed([printable(name) for name in fit.left_out], 3)
        yield (
            f"{len(fit.left_out)} of the file's tensors are not under {fit.prefix.rstrip('.')!r}, and not of "
            f"{printable(code.name)}; left out: {names}."
        )
