"""The user's code, run: what it defines, in which files, and what it raises told in one message."""

import argparse
import importlib
import importlib.util
import os
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ihcli.errors import ModelError
from ihcli.files.code import EXPECTED, INSTALLED, SUFFIX, Code, root_of
from ihcli.files.fingerprints import path_fingerprint
from ihcli.wording import did_you_mean, in_words, printable

_PRIVATE = "ihcli_code_"
_MAIN = "__main__"
_SETTINGS: dict[tuple[str, str], type] = {
    ("argparse", "Namespace"): argparse.Namespace,
    ("types", "SimpleNamespace"): types.SimpleNamespace,
}
"""In which scripts keep the arguments of networks."""
_imported: dict[str, types.ModuleType] = {}
_roots: list[str] = []
"""What was imported for the code that was run last, and from where: the next one may have others under these names."""


@dataclass(frozen=True)
class Ran:
    """Code that was run.

    value    what its name stands for
    module   the one that was named
    root     the directory from which it was imported
    package  the package that all of it is in; None where files of the root belong together
    """

    value: Any
    module: types.ModuleType
    root: Path
    package: str | None

    @property
    def modules(self) -> tuple[types.ModuleType, ...]:
        """The modules that are the user's own: the one that was named, and those beside it that are imported by now."""
        others = (module for module in _own_modules(self.root, self.package) if module is not self.module)
        return self.module, *others

    def defined(self, module: str, name: str) -> Any:
        """Return the class or function of the user's own that a pickle calls so; None for anything else.

        The script that saved it was __main__, or has another place among packages by now.
        """
        if (module, name) in _SETTINGS:
            return _SETTINGS[module, name]
        mine = [each for each in self.modules if _last(each.__name__) == _last(module) or module == _MAIN]
        for each in (*mine, self.module):
            top, *inner = name.split(".")
            value = vars(each).get(top)
            for part in inner:
                value = vars(value).get(part) if isinstance(value, type) else None
            is_found = isinstance(value, type) or (isinstance(value, types.FunctionType) and not inner)
            if is_found and self._has(value):
                return value
        return None

    def has_parts_of(self, network: torch.nn.Module) -> bool:
        """Return whether a layer of a network is of a class of the user's own."""
        return any(self._has(type(part)) for part in network.modules())

    def _has(self, value: Any) -> bool:
        return value.__module__ in {each.__name__ for each in self.modules}

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of the files of those modules, by their place below the root.

        Of a package that is installed only the file that was named: it goes by its version.
        """
        modules = [self.module] if INSTALLED & {*self.root.parts} else self.modules
        files = {Path(module.__file__ or "").absolute() for module in modules}
        return {file.relative_to(self.root).as_posix(): path_fingerprint(file) for file in sorted(files)}


def _last(module: str) -> str:
    return module.removeprefix(_PRIVATE).rpartition(".")[2]


def run_code(code: Code) -> Ran:
    """Run the code and return what its name stands for; whatever was imported for other code is forgotten first.

    Its directory comes first among those that Python imports from, as when Python runs the file itself, and stays
    last among them, for what it imports later on.

    Raises ModelError where it cannot be imported, raises, or has no such name.
    """
    _forget()
    root, package, before = code.root, code.package, set(sys.modules)
    try:
        with _first_among_paths(root), untouched(), told(code, "where it is imported"):
            module = _import(code)
    finally:  # also of what fails halfway, which nobody else shall find
        _imported.update((own.__name__, own) for own in _own_modules(root, package) if own.__name__ not in before)
    return Ran(_named(code, module), module, root, package)


def _forget() -> None:
    for name, module in _imported.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    sys.path[:] = [path for path in sys.path if path not in _roots]
    _imported.clear()
    _roots.clear()
    importlib.invalidate_caches()


def _import(code: Code) -> types.ModuleType:
    file = code.file
    if file is None:
        return importlib.import_module(code.place)
    _, name = root_of(file)
    if "." in name:
        return importlib.import_module(name)
    is_taken = name in sys.modules or name in sys.stdlib_module_names or not name.isidentifier()
    name = f"{_PRIVATE}{''.join(letter if letter.isalnum() else '_' for letter in name)}" if is_taken else name
    spec = importlib.util.spec_from_file_location(name, file.absolute())
    if spec is None:
        raise ImportError(f"no Python in {file.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = _imported[name] = module
    # Not by the loader of the spec, which would take bytecode of a file with the same size and second for it.
    exec(compile(file.read_bytes(), str(file.absolute()), "exec", dont_inherit=True), vars(module))
    return module


def _named(code: Code, module: types.ModuleType) -> Any:
    value: Any = module
    for part in code.name.split("."):
        if not hasattr(value, part):
            known = [name for name in vars(value) if not name.startswith("_")] if hasattr(value, "__dict__") else []
            hint = did_you_mean(part, known) or f" Try one of its names{_networks(value)}."
            raise ModelError(f"{code.option}: has no {printable(part)}. Expected {EXPECTED}.{hint}")
        value = getattr(value, part)
    return value


def _networks(value: Any) -> str:
    names = [
        name
        for name, each in vars(value).items()
        if isinstance(each, type)
        and issubclass(each, torch.nn.Module)
        and each.__module__ == getattr(value, "__name__", "")
    ]
    return f", such as {names[0]}" if names else ""


def _own_modules(root: Path, package: str | None) -> Iterator[types.ModuleType]:
    """Yield the modules below a root, of a package only its own; what is installed below the root is not among them."""
    below = f"{root}{os.sep}"
    for name, module in list(sys.modules.items()):
        file, top = getattr(module, "__file__", None), name.partition(".")[0]
        if not isinstance(file, str) or not file.startswith(below) or not file.endswith(SUFFIX):
            continue
        is_other = top in ("__main__", __name__.partition(".")[0]) or (package is not None and top != package)
        if not is_other and not {*Path(file).relative_to(root).parts} & INSTALLED:
            yield module


@contextmanager
def _first_among_paths(root: Path) -> Iterator[None]:
    before, sys.path[:] = list(sys.path), [str(root), *sys.path]
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        _roots[:] = [path for path in dict.fromkeys(sys.path) if path not in before]  # the code's own among them
        sys.path[:] = [*before, *_roots]


@contextmanager
def untouched(seed: int = 0) -> Iterator[None]:
    """Leave what torch keeps for everybody as it was: whether gradients are taken, and the state of random numbers.

    Random numbers are those of one seed inside, so that the same code makes the same network everywhere.
    """
    with torch.enable_grad(), torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        yield


@contextmanager
def told(code: Code, where: str) -> Iterator[None]:
    """Turn whatever the user's code raises into one message with its own sentence, and the line that raised it."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit, ModelError):
        raise
    except BaseException as error:
        raise ModelError(f"{code.option}: fails {where}: {in_words(error)}{_line(error)}. {_advice(error)}") from error


def _line(error: BaseException) -> str:
    """Return where in somebody's code an error comes from: the last line that is not of Python or of torch."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        frame
        for frame in frames
        if not frame.filename.startswith("<")
        and not Path(frame.filename).is_relative_to(Path(__file__).parents[2])
        and not Path(frame.filename).is_relative_to(Path(importlib.__file__).parents[1])
        and not {*Path(frame.filename).parts} & INSTALLED
    ]
    return f" ({printable(Path(theirs[-1].filename).name)}, line {theirs[-1].lineno})" if theirs else ""


def _advice(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = printable(error.name.partition(".")[0])
        return (
            f"Expected a file that can be imported. Try pip install {package}, or PYTHONPATH=DIRECTORY before the "
            f"command where {package} is a file or directory of yours."
        )
    if isinstance(error, PermissionError):
        return (
            "While models are explained, code may read files and compute, and write none. Try what writes under "
            'if __name__ == "__main__":, or the flag `trust`.'
        )
    if isinstance(error, SystemExit):
        return 'It ends Python. Try what does, such as parsing a command line, under if __name__ == "__main__":.'
    return 'Try python on the file itself; what trains or reads data belongs under if __name__ == "__main__":.'
