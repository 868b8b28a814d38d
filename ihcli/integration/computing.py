"""Who computes a method: the function that its row of the table names, imported when it is first needed."""

from importlib import import_module
from typing import Protocol, cast

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Engine
from ihcli.derivatives.paths import Paths
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.certify import Effort
from ihcli.methods import Method


class Computation(Protocol):
    """Explains the rows of some paths, all of one width, by a method.

    effort            how hard to try, as far as that means something to the method
    piecewise_linear  whether f is piecewise linear along the paths
    tell              hears now and then what share is done
    """

    def __call__(
        self,
        engine: Engine,
        paths: Paths,
        method: Method,
        effort: Effort,
        piecewise_linear: bool = False,
        tell: Tell = unheard,
    ) -> ExplainedRows:
        """Return attributions, and interactions under second order."""
        ...


def computation_of(method: Method) -> Computation:
    """Return the function that computes a method."""
    module, _, name = method.computed_by.partition(":")
    return cast(Computation, getattr(import_module(module), name))
