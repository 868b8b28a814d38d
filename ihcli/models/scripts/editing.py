"""What all who rewrite the graphs of scripts share: copies, and their nodes."""

import io
import warnings
from collections.abc import Iterator

import torch

from ihcli.errors import ModelError
from ihcli.wording import first_line

GIVEN = "given_by_ihcli"
"""What a script that is cut at a layer calls that which it is handed there, with each call."""


def nodes_within(block: torch.Graph | torch.Block) -> Iterator[torch.Node]:
    """Yield all nodes in order, those of branches and loops included."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from nodes_within(inner)


def copied(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Return a module saved and loaded again; raises ModelError where it cannot be."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.(save|load)` is deprecated")
        try:
            torch.jit.save(module, buffer)
        except RuntimeError as error:
            raise ModelError(
                f"model: this TorchScript module cannot be copied, so its operations cannot be replaced "
                f"({first_line(error)}). Expected a module that torch.jit.save accepts. Try `smooth=none`."
            ) from error
        buffer.seek(0)
        again: torch.jit.ScriptModule = torch.jit.load(buffer)
    return again
