"""Networks that a file holds whole, as instances of the user's own classes."""

from typing import Any

from torch import nn

from ihcli.errors import ModelError, OptionError
from ihcli.files.code import Code
from ihcli.models.code.importing import Ran
from ihcli.models.code.weights import networks_in, weights_in
from ihcli.wording import did_you_mean, listed, printable

_SHOWN = 3


def whole_network(content: Any, ran: Ran, code: Code, subject: object) -> nn.Module | None:
    """Return the network of the user's classes in what a file holds; None where it has none.

    Raises ModelError for one that needs no code; OptionError for arguments, which nothing is called with, and where
    there are several.
    """
    networks = networks_in(content)
    own = {place: network for place, network in networks.items() if ran.has_parts_of(network)}
    if networks and not own and not weights_in(content, of_layers=False):
        raise ModelError(f"{subject}: holds a network of torch's own layers, which needs no code. Try without `code`.")
    if not own:
        return None
    if code.arguments is not None:
        raise OptionError(
            f"`code_args`: {subject} holds the network itself, which is not made. Try without `code_args`."
        )
    if code.weights is None and len(own) > 1:
        places = [*own]
        raise OptionError(
            f"{subject}: holds {len(own)} networks, at {listed(places, _SHOWN)}. "
            f"Try `code_weights={printable(places[0])}`, or another of them."
        )
    if code.weights is not None and code.weights not in own:
        hint = did_you_mean(code.weights, [*own]) or " Try without `code_weights`."
        where = listed([*own]) if [*own] != [""] else "none, as the file is one network"
        raise OptionError(
            f"`code_weights={printable(code.weights)}`: {subject} has no network there. Expected {where}.{hint}"
        )
    return own[code.weights or next(iter(own))]
