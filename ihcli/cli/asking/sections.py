"""Sections of `--help`: options that know their title, and commands that print one list per title."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from click.core import ParameterSource

Command = Callable[..., None]
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
OPTIONS, TEXTS, COLUMNS = "Options", "Texts and sequences", "Groups and columns"
LARGE_RUNS, WEIGHTS, ADVANCED = "Large runs", "Weights without their network", "Advanced"


@dataclass(frozen=True)
class Conflict:
    """An option that another one does not go with.

    other   its name as a parameter
    words   what is said where both are given
    unless  a parameter with which they go together all the same
    """

    other: str
    words: str
    unless: str | None = None


class SectionedOption(click.Option):
    """An option that knows under which title of `--help` it stands, and what it does not go with."""

    def __init__(
        self, *declarations: Any, section: str = OPTIONS, conflicts: Sequence[Conflict] = (), **settings: Any
    ) -> None:
        super().__init__(*declarations, **settings)
        self.section = section
        self.conflicts = tuple(conflicts)


class SectionedCommand(click.Command):
    """A command whose `--help` lists options under the titles of their sections, and that refuses conflicts."""

    def invoke(self, ctx: click.Context) -> Any:
        """Refuse options that do not go together, then run the command. Raises click.UsageError."""
        for parameter in self.params:
            for conflict in getattr(parameter, "conflicts", ()):
                both = is_given(ctx, parameter.name or "") and is_given(ctx, conflict.other)
                if both and not (conflict.unless and is_given(ctx, conflict.unless)):
                    raise click.UsageError(conflict.words)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list per section, in the order in which sections are first met."""
        sections: dict[str, list[tuple[str, str]]] = {OPTIONS: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(parameter, "section", OPTIONS), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def is_given(context: click.Context, parameter: str) -> bool:
    """Return whether an option or argument stands on the command line."""
    return context.get_parameter_source(parameter) is not ParameterSource.DEFAULT


@dataclass(frozen=True)
class Declaration:
    """An option before it is given to a command: its names and what click wants to know of it."""

    names: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameter(self) -> str:
        """Name under which a command receives the value."""
        return click.Option(self.names).name or ""

    def declare(self, section: str) -> Callable[[Command], Command]:
        """Return the decorator that gives the option to a command."""
        return click.option(*self.names, cls=SectionedOption, section=section, **self.settings)


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """Give a command an option of its own."""
    return click.option(*names, cls=SectionedOption, **settings)
