"""What a shell proposes for a word that is begun: files, and names that the run.json of a RUN has; no run is opened."""

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

PLACES = re.compile(r"\b(FILE|RUN|MODEL|DATA)\b")
"""What metavars call places by; all arguments of commands that are text are places."""
RUNS = ("path", "run", "runs")
"""Arguments that may be a RUN."""
Told = Mapping[str, Any]


def features_of(told: Told) -> Iterable[Any]:
    """Return the features of a run."""
    return _listed(told.get("features"))


def targets_of(told: Told) -> Iterable[Any]:
    """Return what may be the target of a run: that of all rows, or one of the model's outputs."""
    model, asked = told.get("model"), told.get("target")
    outputs = _listed(model.get("outputs") if isinstance(model, dict) else None)
    return outputs if asked in ("predicted", "all", "label", *outputs) else (*outputs, asked)


def keys_of(told: Told) -> Iterable[Any]:
    """Return what --key begins with."""
    return (f"{name}=" for name in _listed(told.get("keys")))


def _is_line(name: str) -> bool:
    return len(name.splitlines()) < 2 and not name.endswith(("\n", "\r"))


def _listed(names: Any) -> list[Any]:
    return names if isinstance(names, list) else []


NAMES: dict[str, Callable[[Told], Iterable[Any]]] = {
    **dict.fromkeys(("feature", "color_by"), features_of),
    "target": targets_of,
    "key": keys_of,
}
"""Options whose values a run knows, by parameter."""


class Place(click.types.StringParamType):
    """A file, a directory or a URL: text, for which a shell proposes what is there."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell look."""
        return [CompletionItem(incomplete, type="file")]


class NameOfRun(click.types.StringParamType):
    """A name that the RUN on the command line may know."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so, as a shell takes them; not those with line ends, as it reads one a line."""
        found = (str(name) for name in NAMES[param.name or ""](_told(ctx)) if name is not None)
        return [CompletionItem(shlex.quote(name)) for name in found if name.startswith(incomplete) and _is_line(name)]


def let_complete(parameters: Iterable[click.Parameter]) -> None:
    """Give parameters that are text a type that knows what they stand for."""
    for parameter in parameters:
        if parameter.type is click.STRING:
            if isinstance(parameter, click.Argument) or PLACES.search(parameter.metavar or ""):
                parameter.type = Place()
            elif parameter.name in NAMES:
                parameter.type = NameOfRun()


def _told(context: click.Context) -> Told:
    """Return what run.json of the first RUN on the command line tells; nothing where there is none."""
    given = [context.params.get(name) for name in RUNS]
    # Behind an option without its value, click leaves arguments where it found them.
    places = [*(place[0] if isinstance(place, tuple) and place else place for place in given), *context.args]
    try:
        place = Path(next(place for place in places if isinstance(place, str))).expanduser()
        found = json.loads((place / "run.json").read_text(encoding="utf-8"))
    except (StopIteration, OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
