"""What the options of a computation make: the request, the workforce, and what commands receive of them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from ihcli.cli.asking.places import PLACES
from ihcli.cli.asking.sections import ADVANCED, LARGE_RUNS, Command, Declaration, SectionedOption, is_given
from ihcli.cli.showing.failures import DEBUG
from ihcli.cli.showing.terminal import QUIET

if TYPE_CHECKING:
    from ihcli.runs.request import RunRequest


def common_options(command: Command) -> Command:
    """Give a command --quiet and --debug, which are asked for where something is said, or fails."""
    for names, kept_as, told in (
        (("--debug",), DEBUG, "Show the traceback of a failure."),
        (("-q", "--quiet"), QUIET, "Print no progress, notes and advice; results, warnings and errors remain."),
    ):
        command = click.option(
            *names,
            cls=SectionedOption,
            section=ADVANCED,
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=partial(_remember, kept_as),
            help=told,
        )(command)
    return command


def _remember(kept_as: str, context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.meta[kept_as] = True


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
        decorated = declaration.declare(LARGE_RUNS)(decorated)
    return decorated


def computing_options(titled: Mapping[str, Sequence[Declaration]]) -> Callable[[Command], Command]:
    """Give a command the options of a computation; it receives them as one argument, `computation`.

    titled  the options, by the title of `--help` under which they stand
    """
    declared = [(title, declaration) for title, declarations in titled.items() for declaration in declarations]
    names = [declaration.parameter for _, declaration in declared]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_computation(**values: Any) -> None:
            command(computation=Computation({name: values.pop(name) for name in names}), **values)

        decorated: Command = with_computation
        for title, declaration in reversed(declared):
            decorated = declaration.declare(title)(decorated)
        return decorated

    return decorate


def _by_name(inputs: Sequence[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]] | None:
    for name in (names := [name for name, _ in inputs]):
        if names.count(name) > 1:
            raise click.UsageError(f"--inputs {name}=...: is given twice. Expected all columns of {name} in one list.")
    return dict(inputs) or None


@dataclass(frozen=True)
class Computation:
    """What the options of a computation were given, by the names of RunRequest's fields."""

    values: Mapping[str, Any]

    def request(self, model: str, data: str, **decided: Any) -> "RunRequest":
        """Return what the library is asked for; `decided` are fields that no option here sets."""
        from ihcli.runs.request import RunRequest

        values = {**self.values, **decided}
        values["exclude"] = tuple(chain.from_iterable(values["exclude"]))
        values["inputs"] = _by_name(values["inputs"])
        values["features"] = tuple(chain.from_iterable(values["features"])) or None
        return RunRequest(model=model, data=data, **values)

    def given(self, context: click.Context) -> list[str]:
        """Return the options that stand on the command line."""
        return [
            parameter.opts[-1]
            for parameter in context.command.params
            if parameter.name in self.values and is_given(context, parameter.name)
        ]
