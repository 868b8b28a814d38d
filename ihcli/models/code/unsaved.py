"""Tensors of a network that no file has: where they were drawn at random, those of training are lost."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ihcli.errors import ModelError
from ihcli.models.code.building import Called
from ihcli.models.code.fitting import Fit
from ihcli.wording import listed

_PARTS = ("_orig", "_g")  # of weights that a hook computes, by the norms of torch


def refuse_unsaved(call: Called, module: nn.Module, fit: Fit) -> None:
    """Raise ModelError for a network with random numbers that its weights do not bring along.

    The network is made once more with other random numbers, where it has tensors that are not among its weights.

    Parameters:
        module: as it was made.
    """
    kept = {name: tensor for name, tensor in _tensors(module) if name not in fit.names}
    if not kept:
        return
    again = dict(_tensors(call.network(seed=1)))
    drawn = [name for name, tensor in kept.items() if not _is_same(tensor, again.get(name))]
    if drawn:
        raise ModelError(
            f"{call.code.option}: makes {listed(drawn, 3)} at random, and "
            f"{'it is' if len(drawn) == 1 else 'they are'} not among the weights of the file: its outputs would be "
            "those of another network. Expected what is drawn at random as a parameter or buffer. Try "
            f'self.register_buffer("{drawn[0].rpartition(".")[2]}", ...) and training again, or the seed of training '
            "where it is drawn."
        )


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors that a network holds and a state_dict does not: plain attributes, and buffers left out of it.

    What was computed of parameters, as norms of weights do, is none.
    """
    state = {*module.state_dict()}
    for prefix, part in module.named_modules():
        held = {**{name: each for name, each in vars(part).items() if not name.startswith("__")}, **part._buffers}
        for name, value in held.items():
            full = f"{prefix}.{name}".removeprefix(".")
            is_computed = any(f"{name}{part_of}" in part._parameters for part_of in _PARTS)
            if isinstance(value, Tensor) and full not in state and not is_computed:
                yield full, value


def _is_same(one: Tensor, other: Tensor | None) -> bool:
    return other is not None and one.shape == other.shape and torch.equal(one, other)
