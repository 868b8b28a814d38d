"""Who computes a method: the function that its row of the table names, imported when it is first needed."""

from importlib import import_module
from typing import Protocol, cast

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.effort import Effort
from ihcli.methods import Method


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
