"""Networks of the user's own code: weights put into what it makes, and pickled instances of its classes."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
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
from ihcli.models.code.whole import whole_network
from ihcli.models.formats import pickled, torchscript
from ihcli.models.formats.directories import weight_files
from ihcli.models.formats.pickled import Held
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
    """Read weights of whatever format into the network that the user's code makes, or a pickled one of its classes.

    Nothing in the file runs: it is read by the allow-list, and what it holds beside weights and plain values is passed
    over. The code runs, as the user named it.

    Raises ModelError where code or file cannot be read, or the weights do not fit; OptionError for arguments that the
    code does not take.
    """
    ran = run_code(code)
    held = _held(source, kind, ran)
    network = None if held.strange else whole_network(held.content, ran, code, source.path)
    made = _made(held, ran, code, source) if network is None else Made(network)
    what = "weights of " if network is None else "pickled "
    model = place_module(_plain(made.module), source, f"{what}{printable(code.name)} ({printable(code.place)})")
    run = RunCode(printable(f"{code.place}:{code.name}", None), made.arguments, ran.files(), ran.root)
    return _counted(replace(model, code=run, notes=made.notes))


@dataclass(frozen=True)
class Made:
    """A network with its weights, the arguments that it was made with as JSON, and what a user should know of it."""

    module: nn.Module
    arguments: str | None = None
    notes: tuple[str, ...] = ()


def _held(source: Source, kind: Kind, ran: Ran) -> Held:
    """Return what a file holds, of which networks, weights and plain values are taken."""
    if kind is Kind.TORCHSCRIPT:
        return Held(dict(torchscript.read(source).module.state_dict()))
    if kind in (Kind.SAFETENSORS, Kind.HUGGING_FACE):
        return Held(stored_tensors(*weight_files(source.path)))
    if kind in pickled.STRICT:
        return pickled.held(source.path, kind, ran.defined)
    raise ModelError(f"{source.path}: a {kind.value}, which has a network of its own. Try without `code`.")


def _made(held: Held, ran: Ran, code: Code, source: Source) -> Made:
    """Return the network that the code makes, with the weights of the file in it, in the precision of the file."""
    found, call = weights_in(held.content), _call(ran, code, held.content, source.path)
    if not found and held.strange:
        raise ModelError(
            f"{source.path}: asks for {held.strange}, which is neither on the list of what is loaded without running "
            f"code nor in {code.option}, and has no weights apart from it. Nothing of the file was run. "
            "Try torch.save(model.state_dict(), path)."
        )
    module = network_of(ran.value, code) if call is None else call.network()
    with told(code, "where it lists its weights"):
        wanted = Wanted.by(module)
    fit = chosen(found, wanted, code, source.path, call)
    if call is not None:
        refuse_unsaved(call, module, fit)
    with told(code, "where it takes its weights"):
        module.to(dtype=source.dtype or _dtype(fit.tensors().values()))
        load(module, fit, wanted)
    return Made(module, None if call is None else call.arguments_text, tuple(_notes(fit, code)))


def _call(ran: Ran, code: Code, content: Any, path: Path) -> Called | None:
    """Return what is called for the network, and how; None where the code has the network itself."""
    if isinstance(ran.value, nn.Module):
        code.require_none()
        return None
    return called(code, ran.value, stored_arguments(content), known_values(content) | _settings(path))


def _settings(path: Path) -> dict[str, Any]:
    """Return what the settings beside weights say under names; a file of that name may be anything."""
    file = (path if path.is_dir() else path.parent) / "config.json"
    with suppress(ModelError):
        return known_values(foreign_json(file, ModelError, finite=False)) if file.is_file() else {}
    return {}


def _dtype(values: Any) -> torch.dtype:
    """Return the precision of the first weight, float32 for a half one."""
    floats = (value.dtype for value in values if isinstance(value, Tensor) and value.is_floating_point())
    first = next(floats, torch.float32)
    return first if first in FULL_DTYPES else torch.float32


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
