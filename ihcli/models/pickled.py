"""Pickled models: torch.save files, plain pickles and joblib files of torch modules or scikit-learn networks."""

import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.errors import IhcliError, ModelError, UnsafeModelError
from ihcli.models import scikit_learn
from ihcli.models.allow_list import ForbiddenError, Record
from ihcli.models.archives import read_archive
from ihcli.models.model import Model
from ihcli.models.plain_layers import make_plain, unwrapped
from ihcli.models.sniffing import Kind, compression
from ihcli.models.streams import read_stream
from ihcli.models.unpickling import StrictUnpickler, TruncatedError, read_legacy
from ihcli.models.wrapping import Source, place_module
from ihcli.wording import first_line, printable

_SAFE_WAY = "torch.jit.script(model).save(path)"


def read_zip(source: Source) -> Model:
    """Read a module that torch.save wrote in its zip format."""
    return _read(source, read_archive, _free_torch)


def read_legacy_file(source: Source) -> Model:
    """Read a module from the stream of pickles that torch.save wrote before its zip format."""
    return _read(source, lambda path: read_legacy(io.BytesIO(path.read_bytes())), _free_torch)


def read_pickle(source: Source) -> Model:
    """Read a torch module or a scikit-learn network that pickle or joblib wrote."""
    return _read(source, lambda path: StrictUnpickler(read_stream(path)).load(), _free_pickle)


def _read(source: Source, strict: Callable[[Path], Any], free: Callable[[Path], Any]) -> Model:
    """Read strictly, and only where that fails and the source is trusted, freely.

    What needs no trust then needs no scikit-learn or joblib either.
    """
    try:
        with _reading(source.path):
            content = strict(source.path)
    except ModelError:
        if not source.trust:
            raise
        content = _trusted(source.path, free)
    with _reading(source.path):
        return _model(content, source)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever hostile or damaged bytes raise into one ModelError that names the file."""
    try:
        yield
    except IhcliError:
        raise
    except ForbiddenError as error:
        raise _unsafe(path, printable(str(error))) from None
    except (TruncatedError, EOFError):
        raise ModelError(f"{path}: breaks off before its end. Try saving or copying it again.") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ModelError(
            f"{path}: cannot be read as a pickled model ({reason}). Try saving or copying it again."
        ) from None


def _unsafe(path: Path, culprit: str) -> UnsafeModelError:
    if culprit.startswith("sklearn."):
        return UnsafeModelError(
            f"{path}: holds {culprit}, which is not read. Expected {scikit_learn.EXPECTED}. Nothing of the file was "
            "run; --trust would load it, but only these can be explained."
        )
    return UnsafeModelError(
        f"{path}: asks for {culprit}, which is not on the list of what is loaded without running code. Expected "
        f"layers of torch.nn or {scikit_learn.EXPECTED}. Nothing of the file was run. Try saving the model as "
        f"TorchScript with {_SAFE_WAY}, or, only if you trust who made the file, the flag --trust."
    )


def _trusted(path: Path, free: Callable[[Path], Any]) -> Any:
    """Return what the file holds, running whatever it asks for."""
    try:
        return free(path)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path}: needs a class or package that cannot be imported here ({first_line(error)}). Try "
            f"installing the package, putting the file of the class on PYTHONPATH, or {_SAFE_WAY} where it exists."
        ) from None
    except Exception as error:
        # A pickle may raise anything; the user is told what, and --debug shows the rest.
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ModelError(f"{path}: cannot be loaded ({reason}). Try saving or copying it again.") from error


def _free_torch(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=False)


def _free_pickle(path: Path) -> Any:
    content = path.read_bytes()
    if compression(content[:8]) or b"joblib.numpy_pickle" in content:
        import joblib  # only files that joblib wrote and that are off the allow-list need it

        return joblib.load(path)
    return pickle.loads(content)


def _model(content: Any, source: Source) -> Model:
    """Return the Model in what a file held, or raise ModelError with what it held instead."""
    content = unwrapped(content)
    if isinstance(content, nn.Module):
        make_plain(content)
        return place_module(content, source, Kind.TORCH_ZIP.value)
    record = content if isinstance(content, Record) else scikit_learn.as_record(content)
    if record is not None:
        return scikit_learn.convert(record, source)
    if isinstance(content, dict):
        raise ModelError(_dictionary_message(content, source.path))
    raise ModelError(
        f"{source.path}: holds a {type(content).__name__}, not a model. Expected a torch module or "
        f"{scikit_learn.EXPECTED}. Try saving the model object itself."
    )


def _dictionary_message(content: dict[Any, Any], path: Path) -> str:
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return (
            f"{path}: a state_dict, the weights without the network. Expected a whole module. Try building the "
            f"module, module.load_state_dict(torch.load({path.name!r})), and {_SAFE_WAY} or torch.save(module, path)."
        )
    keys = ", ".join(repr(key) for key in list(content)[:5])
    return (
        f"{path}: a dictionary (keys {keys}), not a model. Expected a whole module. Try taking the module out of it "
        f"(or load_state_dict into one), and {_SAFE_WAY} or torch.save(module, path)."
    )
