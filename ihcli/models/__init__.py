"""Models: reading them safely and checking them before a run."""

from ihcli.models.checking.evaluation import evaluating
from ihcli.models.loading import load_model
from ihcli.models.model import Model
from ihcli.models.wrapping import wrap_module

__all__ = ["Model", "evaluating", "load_model", "wrap_module"]
