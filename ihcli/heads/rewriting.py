"""A model of any format whose last squashing functions are computed in another form."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from ihcli.heads.eager import StableModule, Watched
from ihcli.heads.endings import Ending, watch
from ihcli.heads.exported import stable_exported
from ihcli.heads.forms import Form
from ihcli.heads.torchscript import stable_script
from ihcli.models.around import innermost, through
from ihcli.models.formats.exported import ExportedModule
from ihcli.models.model import Model


def with_ending(model: Model, rows: Tensor, ending: Ending, form: Form) -> nn.Module:
    """Return a module whose final squashing functions are in this form; the model's own stays as it is.

    rows  (P, D) on which the ending was watched. Raises ModelError where a script cannot be copied.
    """
    module, inner = model.module, innermost(model.module)
    from_last = frozenset(i for i, step in enumerate(reversed(ending.squashes)) if step in ending.final)
    if isinstance(inner, ExportedModule):
        return through(model, lambda end: replace(end, module=stable_exported(inner, from_last, form))).module
    if isinstance(inner, torch.jit.ScriptModule):
        return through(model, lambda end: replace(end, module=stable_script(inner, from_last, form))).module
    watched = Watched(module)
    recorder, again = watch(replace(model, module=watched).outputs, rows)
    return StableModule(module, watched.positions(recorder, again.final), form)
