"""Explain every row of a dataset with a saved neural network: attributions, interactions, and a certified error."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ihcli.explanation import Explanation, TextExplanation
    from ihcli.library import IhcliWarning, explain, explain_records, explain_texts
    from ihcli.models import Model, load_model
    from ihcli.results.records import Record
    from ihcli.results.result import Result, read

__all__ = [
    "Explanation",
    "IhcliWarning",
    "Model",
    "Record",
    "Result",
    "TextExplanation",
    "explain",
    "explain_records",
    "explain_texts",
    "load_model",
    "read",
]

_HOMES = {
    "Explanation": "ihcli.explanation",
    "IhcliWarning": "ihcli.library",
    "Model": "ihcli.models",
    "Record": "ihcli.results.records",
    "Result": "ihcli.results.result",
    "TextExplanation": "ihcli.explanation",
    "explain": "ihcli.library",
    "explain_records": "ihcli.library",
    "explain_texts": "ihcli.library",
    "load_model": "ihcli.models",
    "read": "ihcli.results.result",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that help of the command line does not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ihcli' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
