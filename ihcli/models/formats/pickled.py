"""Pickled models: torch.save files, plain pickles and joblib files of torch modules or scikit-learn networks."""

import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.files.foreign import AGAIN, one_message
from ihcli.models.advice.outlines import Outline, numbers_outlined, outlined
from ihcli.models.advice.pickled import refusal, sole_model
from ihcli.models.estimators.convert import EXPECTED, convert, predictor_in
from ihcli.models.estimators.reading import UnfoldedError
from ihcli.models.estimators.recording import as_record, foreign_name
from ihcli.models.model import Model
from ihcli.models.pickles.allow_list import ForbiddenError, Record
from ihcli.models.pickles.archives import read_archive
from ihcli.models.pickles.own import Own, no_code
from ihcli.models.pickles.plain_layers import make_plain, unwrapped
from ihcli.models.pickles.restoring import ReplacedError
from ihcli.models.pickles.streams import NoPickleError, TruncatedError, read_stream
from ihcli.models.pickles.unpickling import read_legacy, read_pickled
from ihcli.models.sniffing import Kind, compression
from ihcli.models.steps import Loader
from ihcli.models.wrapping import Source, place_module
from ihcli.wording import first_line, printable

_SAFE_WAY = "torch.jit.script(model).save(path)"
STRICT: dict[Kind, Callable[[Path, Own], Any]] = {
    Kind.TORCH_ZIP: lambda path, own: read_archive(path, own=own),
    Kind.TORCH_LEGACY: lambda path, own: read_legacy(io.BytesIO(path.read_bytes()), own=own),
    Kind.PICKLE: lambda path, own: read_pickled(read_stream(path), own),
}
"""How files of pickles are read by the allow-list, and by what the user's own code has."""


@dataclass(frozen=True)
class Held:
    """What a file holds; `strange` names what it asks for that is neither on the allow-list nor the user's."""

    content: Any
    strange: str | None = None


def held(path: Path, kind: Kind, own: Own) -> Held:
    """Return what a file holds for whoever wants a network of the user's own classes, weights, or plain values.

    Nothing of the file runs. Where it asks for more than the allow-list and the user's code have, all such objects, and
    those of the user's classes, are inert records. Raises ModelError for a file that is damaged.
    """
    with _reading(path):
        try:
            return Held(STRICT[kind](path, own))
        except ForbiddenError as error:
            return Held(numbers_outlined(path, kind), printable(str(error)))


def read_zip(source: Source) -> Model:
    """Read a module that torch.save wrote in its zip format."""
    return _read(source, Kind.TORCH_ZIP, _free_torch)


def read_legacy_file(source: Source) -> Model:
    """Read a module from the stream of pickles that torch.save wrote before its zip format."""
    return _read(source, Kind.TORCH_LEGACY, _free_torch)


def read_pickle(source: Source) -> Model:
    """Read a torch module or a scikit-learn network that pickle or joblib wrote."""
    return _read(source, Kind.PICKLE, _free_pickle)


def _read(source: Source, kind: Kind, free: Callable[[Path], Any]) -> Model:
    """Read strictly, and only where that fails, the source is trusted and the outline promises a model, freely.

    What needs no trust then needs no scikit-learn or joblib either.
    """
    try:
        with _reading(source.path):
            content = STRICT[kind](source.path, no_code)
    except NoPickleError:
        raise
    except ModelError as error:
        with _reading(source.path):
            outline = outlined(source.path, kind)
            content = None if outline is None else _estimator_alone(outline)
            told = refusal(outline, _loader(source, kind)) if content is None and outline and outline.names else None
        if told is not None:
            raise UnsafeModelError(f"{source.path}: {told}") from None
        if content is None and not source.trust:
            raise error from None
        content = content or _trusted(source.path, free)
    with _reading(source.path):
        return _model(content, source, kind)


def _estimator_alone(outline: Outline) -> Record | None:
    """Return an estimator that asks for nothing off the allow-list in what is read of it, None for anything else."""
    root = outline.root
    is_read = isinstance(root, Record) and predictor_in(root) is not None and foreign_name(root) is None
    return root if is_read and outline.names else None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever hostile or damaged bytes raise into one ModelError that names the file."""
    with one_message(path, ModelError, "read as a pickled model"):
        try:
            yield
        except ReplacedError as error:
            raise _replaced(path, printable(str(error))) from None
        except ForbiddenError as error:
            raise _unsafe(path, printable(str(error))) from None
        except (TruncatedError, EOFError):
            raise ModelError(f"{path}: breaks off before its end. {AGAIN}") from None


def _replaced(path: Path, culprit: str) -> UnsafeModelError:
    return UnsafeModelError(
        f"{path}: holds {culprit}, which torch.nn does not put there and which calls of the model could run. Expected "
        "layers as torch.nn makes them. Nothing of the file was run. Try taking it off the model before it is saved, "
        f"saving the model as TorchScript with {_SAFE_WAY}, or, only if you trust who made the file, the flag `trust`."
    )


def _unsafe(path: Path, culprit: str) -> UnsafeModelError:
    package, dot, _ = culprit.partition(".")
    is_away = bool(dot) and package.isidentifier() and not _is_here(package)
    away = f", with the directory of {package} on PYTHONPATH" if is_away else ""
    return UnsafeModelError(
        f"{path}: asks for {culprit}, which is not on the list of what is loaded without running code. Expected "
        f"layers of torch.nn or {EXPECTED}. Nothing of the file was run. Try `code=net.py:Net` with the file of a "
        f"class of yours, saving the model as TorchScript with {_SAFE_WAY}, or, only if you trust who made the file, "
        f"the flag `trust`{away}."
    )


def _is_here(package: str) -> bool:
    """Return whether a package could be imported, which it is not."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _trusted(path: Path, free: Callable[[Path], Any]) -> Any:
    """Return what the file holds, running whatever it asks for."""
    try:
        return free(path)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path}: needs a class or package that cannot be imported here ({first_line(error)}). Try installing the "
            "package, PYTHONPATH=DIRECTORY before the command, with the directory in which the package or file of the "
            f"class is, or {_SAFE_WAY} where it exists."
        ) from None
    except Exception as error:
        # A pickle may raise anything; the user is told what, and `debug` shows the rest.
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ModelError(f"{path}: cannot be loaded ({reason}). Try saving or copying it again.") from error


def _free_torch(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=False)


def _free_pickle(path: Path) -> Any:
    content = path.read_bytes()
    if _is_of_joblib(path):
        import joblib  # only files that joblib wrote and that are off the allow-list need it

        return joblib.load(path)
    return pickle.loads(content)


def _is_of_joblib(path: Path) -> bool:
    content = path.read_bytes()
    return compression(content[:8]) is not None or b"joblib.numpy_pickle" in content or b"sklearn." in content


def _model(content: Any, source: Source, kind: Kind) -> Model:
    """Return the Model in what a file held, or raise ModelError with what it held instead."""
    key = sole_model(content)
    held = unwrapped(content if key is None else content[key])
    if isinstance(held, nn.Module):
        make_plain(held)
        where = "" if key is None else f" (of a dictionary, key {printable(repr(key))})"
        return place_module(held, source, f"{Kind.TORCH_ZIP.value}{where}")
    record = held if isinstance(held, Record) else as_record(held)
    told = refusal(Outline(content if record in (None, held) else record), _loader(source, kind))
    if record is None:
        raise ModelError(f"{source.path}: {told}")
    try:
        return convert(record, source)
    except UnfoldedError:
        raise ModelError(f"{source.path}: {told}") from None


def _loader(source: Source, kind: Kind) -> Loader:
    if kind is not Kind.PICKLE:
        return Loader(source.path, "torch")
    return Loader(source.path, "joblib" if _is_of_joblib(source.path) else "pickle")
