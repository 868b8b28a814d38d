"""What torch puts around a layer or onto a weight, taken off: the layer that it wraps, the weight that it computes.

A wrapper or hook is a `Record` where it was read strictly, and an instance of torch's own class where it was trusted.
What is left are plain layers with the outputs of the wrapped ones in eval mode, up to rounding.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.models.pickles.allow_list import PRUNINGS, WRAPPERS, Record

State = dict[str, Any]
_MOST_WRAPPERS = 8
_UNCALLED = ("_state_dict_hooks", "_load_state_dict_pre_hooks")  # hooks that no call of the module runs


def unwrapped(content: Any) -> Any:
    """Return the module in DataParallel, DistributedDataParallel or AveragedModel, or the content itself."""
    for _ in range(n_wrappers(content)):
        content = _inner(content)
    return content


def n_wrappers(content: Any) -> int:
    """Return how many such wrappers are around a module; a stream may wrap one in itself."""
    count = 0
    while _torch_class(content) in WRAPPERS and count < _MOST_WRAPPERS:
        content, count = _inner(content), count + 1
    return count


def _inner(wrapper: Any) -> Any:
    return _attributes(wrapper).get("_modules", {}).get("module")


def make_plain(module: nn.Module) -> None:
    """Take wrappers and computed weights off all that is within a module, which is changed.

    Only once the whole file is read: the numbers of some formats follow the objects that use them.

    Raises ValueError where the parts of a weight do not fit each other.
    """
    pending, seen = [module], {id(module)}
    while pending:
        state = vars(pending.pop())
        unwrap_children(state)
        fold(state)
        for child in state["_modules"].values():
            if isinstance(child, nn.Module) and id(child) not in seen:
                seen.add(id(child))
                pending.append(child)


def unwrap_children(state: State) -> None:
    """Take wrappers off the children in the state of a module."""
    for name, child in state["_modules"].items():
        state["_modules"][name] = unwrapped(child)


def fold(state: State) -> None:
    """Replace the parts of a computed weight by the weight, and the hook that computes it by nothing."""
    hooks = _hooks(state, "_forward_pre_hooks")
    for key, hook in list(hooks.items()):
        weight_of = _FOLDS.get(_torch_class(hook))
        if weight_of is not None:
            _put(state, *weight_of(state, _attributes(hook)))
            del hooks[key]
    for name in _UNCALLED:
        for key, hook in list(_hooks(state, name).items()):
            if _torch_class(_attributes(hook).get("hook", hook)).startswith("SpectralNorm"):
                del state[name][key]


def _hooks(state: State, name: str) -> dict[Any, Any]:
    """Return the hooks of that name; a stream may put anything in their place, which is refused where it is read."""
    hooks = state[name]
    return hooks if isinstance(hooks, dict) else {}


def _torch_class(value: Any) -> str:
    """Return the name of a class of torch's own that is wrapped around something, or nothing."""
    if isinstance(value, Record):
        return value.name
    return type(value).__qualname__ if type(value).__module__.startswith("torch.") else ""


def _attributes(value: Any) -> dict[str, Any]:
    return value.attributes if isinstance(value, Record) else getattr(value, "__dict__", {})


def _put(state: State, name: str, weight: Tensor) -> None:
    """Make the weight a parameter as if it had always been one."""
    parameter = nn.Parameter(weight.detach(), requires_grad=False)
    state.pop(name, None)
    state["_parameters"][name] = parameter
    names = state.get("_flat_weights_names") or []
    if name in names:  # recurrent layers keep their weights in a list as well
        state["_flat_weights"][names.index(name)] = parameter


def _weight_norm(state: State, hook: dict[str, Any]) -> tuple[str, Tensor]:
    """g v / ||v||, the norm over all axes but one."""
    name, axis = hook["name"], hook["dim"]
    length, direction = (state["_parameters"].pop(f"{name}_{part}") for part in "gv")
    norm = torch.norm_except_dim(direction, 2, axis)
    _check(length.shape == norm.shape, name)
    return name, direction * (length / norm)


def _spectral_norm(state: State, hook: dict[str, Any]) -> tuple[str, Tensor]:
    """W / (u^T W v) with the singular vectors as training left them."""
    name, axis = hook["name"], hook["dim"]
    weight = state["_parameters"].pop(f"{name}_orig")
    left, right = (state["_buffers"].pop(f"{name}_{part}") for part in "uv")
    matrix = weight.movedim(axis, 0).flatten(1)
    _check((*left.shape, *right.shape) == tuple(matrix.shape), name)
    return name, weight / torch.dot(left, matrix @ right)


def _pruned(state: State, hook: dict[str, Any]) -> tuple[str, Tensor]:
    """The weight where the mask keeps it."""
    name = hook["_tensor_name"]
    weight, mask = state["_parameters"].pop(f"{name}_orig"), state["_buffers"].pop(f"{name}_mask")
    _check(weight.shape == mask.shape, name)
    return name, weight * mask


def _check(fits: bool, name: str) -> None:
    if not fits:
        raise ValueError(f"the parts of {name!r} do not fit each other")


_FOLDS: dict[str, Callable[[State, dict[str, Any]], tuple[str, Tensor]]] = {
    "WeightNorm": _weight_norm,
    "SpectralNorm": _spectral_norm,
    **dict.fromkeys(PRUNINGS, _pruned),
}
