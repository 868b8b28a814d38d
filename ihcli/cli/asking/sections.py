"""Sections of `--help`: options that know their title, and commands that print one list per title."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

Command = Callable[..., None]
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
OPTIONS, ADVANCED = "Options", "Advanced"


class SectionedOption(click.Option):
    """An option that knows under which title of `--help` it stands."""

    def __init__(self, *declarations: Any, section: str = OPTIONS, **settings: Any) -> None:
        super().__init__(*declarations, **settings)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose `--help` lists options under the title of their section, day-to-day ones first."""

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
