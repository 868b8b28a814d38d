"""Explain every row of a dataset with a saved neural network: attributions, interactions, and a certified error."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ihcli.errors import IhcliError, IhcliWarning
    from ihcli.library.explaining import explain
    from ihcli.library.explanations import Explanation, TextExplanation
    from ihcli.library.records import explain_records, explain_texts
    from ihcli.library.results import Result, read
    from ihcli.models import Model, load_model
    from ihcli.results.records import Record

    __version__: str

__all__ = [
    "Explanation",
    "IhcliError",
    "IhcliWarning",
    "Model",
    "Record",
    "Result",
    "TextExplanation",
    "__version__",
    "explain",
    "explain_records",
    "explain_texts",
    "load_model",
    "read",
]

_HOMES = {
    "Explanation": "ihcli.library.explanations",
    "IhcliError": "ihcli.errors",
    "IhcliWarning": "ihcli.errors",
    "Model": "ihcli.models",
    "Record": "ihcli.results.records",
    "Result": "ihcli.library.results",
    "TextExplanation": "ihcli.library.explanations",
    "explain": "ihcli.library.explaining",
    "explain_records": "ihcli.library.records",
    "explain_texts": "ihcli.library.records",
    "load_model": "ihcli.models",
    "read": "ihcli.library.results",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that help of the command line does not wait for torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("ihcli")
    if name not in _HOMES:
        raise AttributeError(f"module 'ihcli' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List what is for users, imported or not."""
    return sorted(__all__)
