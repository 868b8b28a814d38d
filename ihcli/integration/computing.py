"""Who computes a method: the function that its row of the table names, imported when it is first needed."""

from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.errors import PackageError
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.effort import Effort
from ihcli.methods import Method

PACKAGES = {"captum": ("captum", "sklearn")}
"""What is imported of an extra that methods need."""


class Computation(Protocol):
    """Explains the rows of some paths, all of one width, by a method.

    effort  how hard to try, as far as that means something to the method
    tell    hears now and then what share is done
    """

    def __call__(self, along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
        """Return attributions, and interactions under second order."""
        ...


def computation_of(method: Method) -> Computation:
    """Return the function that computes a method."""
    module, _, name = method.computed_by.partition(":")
    return cast(Computation, getattr(import_module(module), name))


class Choosy(Protocol):
    """A computation that does not explain all models alike."""

    def examine(self, along: Along, method: Method) -> tuple[str, ...]:
        """Return what a user should know of the values along some paths.

        Raises OptionError, which names what of the model cannot be explained.
        """
        ...


def examine(method: Method, along: Along) -> tuple[str, ...]:
    """Return what a user should know of how a method explains the function along some paths, for most nothing.

    Raises OptionError where it cannot.
    """
    computation = computation_of(method)
    return cast(Choosy, computation).examine(along, method) if hasattr(computation, "examine") else ()


def needs_layers(method: Method) -> bool:
    """Return whether a method looks at the layers of a network, so that it explains no function made of one."""
    return hasattr(computation_of(method), "examine")


def require_package(method: Method) -> None:
    """Raise PackageError where what computes a method is not installed."""
    for package in PACKAGES.get(method.extra, ()):
        if find_spec(package) is None:
            raise PackageError(
                f"`method={method.name}`: needs the package {package}. Try pip install 'ihcli[{method.extra}]'."
            )
