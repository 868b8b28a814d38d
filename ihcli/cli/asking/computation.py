"""What the options of a computation make: the request, the workforce, and what commands receive of them."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ihcli.cli.asking.options import PLACES, REPORTING
from ihcli.cli.asking.sections import ADVANCED, OPTIONS, Command, Declaration, SectionedOption
from ihcli.cli.showing.failures import DEBUG

if TYPE_CHECKING:
    from ihcli.runs.request import RunRequest


def debug_option(command: Command) -> Command:
    """Give a command --debug: failures come with their traceback."""

    def remember(context: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            context.meta[DEBUG] = True

    return click.option(
        "--debug",
        cls=SectionedOption,
        section=ADVANCED,
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=remember,
        help="Show the traceback of a failure.",
    )(command)


def place_options(command: Command) -> Command:
    """Give a command the options that say where chunks run; it receives `shard` and `workforce`."""

    @functools.wraps(command)
    def with_place(
        executor: str, workers: int | None, ray_address: str | None, gpus_per_worker: float | None, **values: Any
    ) -> None:
        from ihcli.runs.request import Workforce

        command(workforce=Workforce(executor, workers, ray_address, gpus_per_worker), **values)

    decorated: Command = with_place
    for declaration in reversed(PLACES):
        decorated = declaration.declare(ADVANCED)(decorated)
    return decorated


def reporting_options(command: Command) -> Command:
    """Give a command --strict and --quiet."""
    for declaration in reversed(REPORTING):
        command = declaration.declare(ADVANCED)(command)
    return command


def computing_options(
    daily: tuple[Declaration, ...], rare: tuple[Declaration, ...], title: str = OPTIONS
) -> Callable[[Command], Command]:
    """Give a command the options of a computation; it receives them as one argument, `computation`.

    daily  options that stand under `title`
    rare   options that stand under "Advanced"
    """
    names = [declaration.parameter for declaration in (*daily, *rare)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_computation(**values: Any) -> None:
            command(computation=Computation({name: values.pop(name) for name in names}), **values)

        decorated: Command = with_computation
        for section, declarations in ((ADVANCED, rare), (title, daily)):
            for declaration in reversed(declarations):
                decorated = declaration.declare(section)(decorated)
        return decorated

    return decorate


@dataclass(frozen=True)
class Computation:
    """What the options of a computation were given, by the names of RunRequest's fields."""

    values: Mapping[str, Any]

    def request(self, model: str, data: str, **decided: Any) -> "RunRequest":
        """Return what the library is asked for; `decided` are fields that no option here sets."""
        from ihcli.runs.request import RunRequest

        values = {**self.values, **decided}
        values["exclude"] = tuple(chain.from_iterable(values["exclude"]))
        values["features"] = tuple(chain.from_iterable(values["features"])) or None
        return RunRequest(model=model, data=data, **values)

    def given(self, context: click.Context) -> list[str]:
        """Return the options that stand on the command line."""
        return [
            parameter.opts[-1]
            for parameter in context.command.params
            if parameter.name in self.values
            and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
        ]
