"""Cutting eager modules: hooks while they are called, they are never touched otherwise."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.openings.cutting.places import Cut, Place, handed, part_of

Change = Callable[[Place, Any], Any]
"""What becomes of what is at a place: None leaves it."""


class EagerCutter:
    """See `ihcli.openings.cutting.places.Cutter`; `call` runs the module on rows."""

    def __init__(self, module: nn.Module, run: Callable[[nn.Module], Any]) -> None:
        self._module = module
        self._run = run

    def layers(self) -> list[str]:
        """Return the names of submodules."""
        return [name for name, _ in self._module.named_modules() if name]

    def serving(self, n_rows: int) -> list[str]:
        """Run the module and return those that are called and give a tensor with the rows first each time."""
        names = self.layers()
        gives: dict[str, bool] = {}

        def note(at: Place, value: Any) -> None:
            is_one = isinstance(value, Tensor) and value.is_floating_point() and value.shape[:1] == (n_rows,)
            gives[at.layer] = gives.get(at.layer, True) and is_one

        with torch.no_grad():
            self._run(_Hooked(self._module, [Place(name) for name in names], note))
        return [name for name in names if gives.get(name)]

    def calls(self, place: Place) -> list[Place]:
        """Run the module and count."""
        seen: list[Place] = []
        with torch.no_grad():
            self._run(_Hooked(self._module, [place], lambda at, value: seen.append(at)))
        return list(dict.fromkeys(seen))  # of a model that is run more than once when it is called first

    def showing(self, place: Place) -> nn.Module:
        """Return the module with what is there for its output."""
        return _Showing(self._module, place)

    def recording(self, places: Sequence[Place]) -> nn.Module:
        """Return the module with what is there behind its outputs."""
        return _Recording(self._module, places)

    def cut(self, cuts: Sequence[Cut]) -> nn.Module:
        """Return the module that takes what is handed."""
        return _Cut(self._module, cuts)


class _Hooked(nn.Module):
    """A module that is watched, or changed, at layers while it runs."""

    def __init__(self, module: nn.Module, places: Sequence[Place], change: Change | None = None) -> None:
        super().__init__()
        self.module = module
        self.training = module.training
        self._places = tuple(dict.fromkeys((place.layer, place.is_input) for place in places))
        self._change = change

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module."""
        return self._run(self._change or (lambda at, value: None), args, kwargs)

    def _run(self, change: Change, args: Any, kwargs: Any) -> Any:
        with self._hooks(change):
            return self.module(*args, **kwargs)

    @contextmanager
    def _hooks(self, change: Change) -> Iterator[None]:
        counted: Counter[tuple[str, bool]] = Counter()

        def numbered(layer: str, is_input: bool) -> Place:
            place = Place(layer, is_input, counted[layer, is_input])
            counted[layer, is_input] += 1
            return place

        handles = []
        try:
            for layer, is_input in self._places:
                part = self.module.get_submodule(layer)
                if is_input:

                    def before(_: nn.Module, given: tuple[Any, ...], layer: str = layer) -> Any:
                        changed = change(numbered(layer, True), given[0] if given else None)
                        return None if changed is None else (changed, *given[1:])

                    handles.append(part.register_forward_pre_hook(before))
                else:
                    handles.append(
                        part.register_forward_hook(
                            lambda _, given, value, layer=layer: change(numbered(layer, False), value)
                        )
                    )
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Showing(_Hooked):
    def __init__(self, module: nn.Module, place: Place) -> None:
        super().__init__(module, [place])
        self._place = place

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is at the place."""
        seen: dict[Place, Any] = {}
        self._run(seen.__setitem__, args, kwargs)
        return seen[self._place]


class _Recording(_Hooked):
    def __init__(self, module: nn.Module, places: Sequence[Place]) -> None:
        super().__init__(module, places)
        self._wanted = tuple(places)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the outputs, and what is at the places."""
        seen: dict[Place, Tensor] = {}

        def note(at: Place, value: Tensor) -> None:
            seen[at] = value.clone()  # what follows may work in place

        outputs = self._run(note, args, kwargs)
        found = [seen[place].flatten(1).to(outputs.dtype) for place in self._wanted]
        return torch.cat([outputs.reshape(len(outputs), -1), *found], dim=1)


class _Cut(_Hooked):
    def __init__(self, module: nn.Module, cuts: Sequence[Cut]) -> None:
        super().__init__(module, [cut.place for cut in cuts])
        self._cuts = tuple(cuts)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module, handing it what is at the places."""
        number = {cut.place: i for i, cut in enumerate(self._cuts)}
        values = handed()

        def hand(at: Place, value: Any) -> Tensor | None:
            return part_of(values, self._cuts, number[at]) if at in number else None

        return self._run(hand, args, kwargs)


def all_calls(place: Place, count: int) -> list[Place]:
    """Return the place in so many calls."""
    return [replace(place, call=call) for call in range(count)]
