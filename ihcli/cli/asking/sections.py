"""Sections of `--help`: options that know their title, and commands that print one list per title."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from click.core import ParameterSource

from ihcli.cli.asking.completing import let_complete
from ihcli.wording import OPTIONS_ELSEWHERE, did_you_mean

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
    """An option that knows its title in `--help`, what it does not go with, and what it needs beside it.

    needs  that option's name as a parameter
    """

    def __init__(
        self,
        *declarations: Any,
        section: str = OPTIONS,
        conflicts: Sequence[Conflict] = (),
        needs: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*declarations, **settings)
        self.section = section
        self.conflicts = tuple(conflicts)
        self.needs = needs


class SectionedCommand(click.Command):
    """A command whose `--help` lists options under the titles of their sections, and that refuses conflicts."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        let_complete(self.params)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; an option that other tools have is answered with the one that does it here."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"No such option: {error.option_name}.{self._meant_by(error.option_name)}", ctx
            ) from None

    def _meant_by(self, name: str) -> str:
        spellings = {
            option.name: max(option.opts, key=len) for option in self.params if isinstance(option, click.Option)
        }
        elsewhere = {
            other: [spellings[ours] for ours in meant if ours in spellings]
            for other, meant in OPTIONS_ELSEWHERE.items()
        }
        return did_you_mean(name, tuple(spellings.values()), elsewhere)

    def invoke(self, ctx: click.Context) -> Any:
        """Refuse options that do not go together, or without what they need, then run. Raises click.UsageError."""
        for parameter in self.params:
            self._require_what_it_needs(ctx, parameter)
            for conflict in getattr(parameter, "conflicts", ()):
                both = is_given(ctx, parameter.name or "") and is_given(ctx, conflict.other)
                if both and not (conflict.unless and is_given(ctx, conflict.unless)):
                    raise click.UsageError(conflict.words)
        return super().invoke(ctx)

    def _require_what_it_needs(self, context: click.Context, parameter: click.Parameter) -> None:
        needs = getattr(parameter, "needs", None)
        if needs is None or not is_given(context, parameter.name or "") or is_given(context, needs):
            return
        ours = parameter.opts[-1]
        theirs = next(other for other in self.params if other.name == needs)
        asked = " ".join([theirs.opts[-1], *([theirs.metavar] if theirs.metavar else [])])
        raise click.UsageError(f"{ours}: means something only with {theirs.opts[-1]}. Try {asked}, or without {ours}.")

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

    def declare(self, section: str, needs: str | None = None) -> Callable[[Command], Command]:
        """Return the decorator that gives the option to a command; see `SectionedOption`."""
        return click.option(*self.names, cls=SectionedOption, section=section, needs=needs, **self.settings)


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """Give a command an option of its own."""
    return click.option(*names, cls=SectionedOption, **settings)
