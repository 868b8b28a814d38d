"""Code of the user's own that makes a network: which file or package, what in it, with which arguments; nothing runs.

It is named by the user, as an option, and never by a file: whoever reads a run.json looks at hashes of it only.
"""

import ast
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ihcli.errors import IhcliError, ModelError, OptionError
from ihcli.files.fingerprints import path_fingerprint
from ihcli.files.foreign import foreign_bytes, parsed_json
from ihcli.files.locations import absence, is_url
from ihcli.wording import first_line, listed, printable, quoted

EXPECTED = "FILE.py:NAME or package.module:NAME, a class or function that makes the network"
SUFFIX = ".py"
INSTALLED = frozenset(("site-packages", "dist-packages"))
"""Directories of packages that others made."""
_MOST_SOURCE_BYTES = 16 << 20
_MODULE_BASES = ("Module", "LightningModule")

Arguments = tuple[Any, ...] | Mapping[str, Any]


@dataclass(frozen=True)
class Code:
    """A class or function that makes a network, and what it is called with.

    place      FILE.py, or package.module
    name       in it; dotted where it stands within a class
    arguments  in their order, or by name; None where nothing is said of them
    weights    key of the state_dict that is wanted of several; None: the one that fits
    directory  from which the place is seen
    """

    place: str
    name: str
    arguments: Arguments | None
    weights: str | None
    directory: Path

    @classmethod
    def of(cls, named: str, arguments: str | Arguments | list[Any] | None = None, weights: str | None = None) -> "Code":
        """Read what options say; arguments are values, JSON of them, or @FILE of JSON.

        Raises OptionError for what is no such name, a file that is not there or is no Python, or no arguments.
        """
        place, _, name = named.rpartition(":")
        if not place or not _is_dotted(name):
            _refuse_name(named)
        code = cls(place, name, read_arguments(arguments), weights, Path.cwd())
        code.check()
        return code

    @property
    def option(self) -> str:
        """The option that named it, for messages."""
        return f"`code={printable(f'{self.place}:{self.name}', None)}`"

    @property
    def file(self) -> Path | None:
        """The file that it is in; None where a package is named, which Python looks for."""
        is_file = self.place.endswith(SUFFIX) or "/" in self.place
        return self.directory / Path(self.place).expanduser() if is_file else None

    @property
    def root(self) -> Path:
        """The directory from which Python imports it; of a package the first on its way that has it."""
        return _package_root(self.place, self.directory) if self.file is None else root_of(self.file)[0]

    @property
    def package(self) -> str | None:
        """The package that it is in; None for a file beside others, which belong to it as far as it imports them."""
        name = self.place if self.file is None else root_of(self.file)[1]
        top, dot, _ = name.partition(".")
        is_one = bool(dot) or (self.file is None and (self.root / top).is_dir()) or INSTALLED & {*self.root.parts}
        return top if is_one else None

    def check(self) -> None:
        """Raise OptionError where the file is not there or is no Python, as far as that shows without running it."""
        if is_url(self.place):
            raise OptionError(f"{self.option}: a URL. Expected {EXPECTED}, on this machine. Try copying it here.")
        if self.place.endswith(".ipynb"):
            raise OptionError(
                f"{self.option}: a notebook. Expected {EXPECTED}. Try the cell of the class in a file of its own, and "
                "`code=FILE.py:NAME`."
            )
        if self.file is None:
            if not _is_dotted(self.place):
                raise OptionError(
                    f"{self.option}: {quoted(self.place)} is not Python. Expected {EXPECTED}. Try `code=net.py:Net`."
                )
            return
        if not self.file.exists():
            raise OptionError(f"{self.option}: {absence(Path(self.place), 'file', EXPECTED)}")
        _parsed(self.file, self.option)

    def require_none(self) -> None:
        """Raise OptionError for arguments where nothing is called."""
        if self.arguments is not None:
            raise OptionError(f"`code_args`: {self.option} is a network, and takes none. Try without `code_args`.")


def read_arguments(given: str | Arguments | list[Any] | None) -> Arguments | None:
    """Return arguments from values, from JSON, or from @FILE of JSON; raises OptionError for anything else."""
    if isinstance(given, str):
        given = _read_json(given)
    if given is None or isinstance(given, Mapping | tuple):
        return given
    if isinstance(given, list):
        return tuple(given)
    raise OptionError(
        f"`code_args`: one {type(given).__name__}. Expected a list of values, or an object of values by name. "
        "Try `code_args='{\"width\": 64}'`."
    )


def changed_code(told: Mapping[str, str], code: Code) -> list[str]:
    """Return those files of code that are not there, or have another SHA-256 than they had; nothing is run."""
    root = code.root
    return [name for name, sha256 in told.items() if _sha256(root, Path(name)) != sha256]


def _sha256(root: Path, place: Path) -> str | None:
    """Return the SHA-256 of a file below a root; None for one that is elsewhere or not there."""
    is_below = not place.is_absolute() and ".." not in place.parts
    return path_fingerprint(root / place) if is_below and (root / place).is_file() else None


def _package_root(place: str, directory: Path) -> Path:
    """Return the first directory on the way of Python that has the package, which is not imported."""
    top = place.partition(".")[0]
    for root in (directory, *map(Path, sys.path)):
        if (root / top).is_dir() or (root / f"{top}{SUFFIX}").is_file():
            return root.absolute()
    return directory


def root_of(file: Path) -> tuple[Path, str]:
    """Return the directory from which Python imports a file, and the name by which: packages around it are its own."""
    parent, names = file.absolute().parent, [file.stem]
    while (parent / "__init__.py").is_file() and parent.name.isidentifier():
        names.insert(0, parent.name)
        parent = parent.parent
    return parent, ".".join(names)


def _read_json(text: str) -> Any:
    subject = "`code_args`"
    try:
        if text.startswith("@"):
            subject = f"`code_args={printable(text)}`"
            return parsed_json(foreign_bytes(Path(text[1:]), OptionError), text[1:], OptionError, advice="")
        return parsed_json(text, subject, OptionError, advice="")
    except IhcliError as error:
        raise OptionError(
            f"{str(error).strip()} Expected JSON: a list of values, or an object of values by name. "
            "Try `code_args='{\"width\": 64}'`, or `code_args=@FILE` with a file of it."
        ) from None


def _refuse_name(named: str) -> None:
    named = named.rstrip(":")
    file = Path(named)
    classes = networks_in(file) if named.endswith(SUFFIX) and file.is_file() else []
    found = f" It has {listed(classes, 5)}." if classes else ""
    example = f"{named if named.endswith(SUFFIX) else 'net.py'}:{classes[0] if classes else 'Net'}"
    raise OptionError(f"`code={printable(named)}`: no name in it. Expected {EXPECTED}.{found} Try `code={example}`.")


def networks_in(file: Path) -> list[str]:
    """Return the classes of a file that look like networks, without running it; none of a file that is no Python."""
    try:
        tree = _parsed(file, "")
    except IhcliError:
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if bases & {*_MODULE_BASES, *found}:
                found.append(node.name)
    return found


def _parsed(file: Path, subject: str) -> ast.Module:
    try:
        return ast.parse(foreign_bytes(file, ModelError, _MOST_SOURCE_BYTES, advice=""))
    except ModelError as error:
        raise OptionError(f"{subject}: {str(error).strip()} Expected {EXPECTED}. Try `code=net.py:Net`.") from None
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else first_line(error)
        raise OptionError(
            f"{subject}: {file.name} is not Python ({printable(reason)}{line}). Expected {EXPECTED}. "
            f"Try python {shlex.quote(file.name)}, which shows the line."
        ) from None


def _is_dotted(name: str) -> bool:
    return bool(name) and all(part.isidentifier() for part in name.split("."))
