"""The `ihcli` command: its subcommands, and its version."""

import os
from typing import Any

import click

from ihcli.cli.asking.computation import common_options
from ihcli.cli.asking.sections import SETTINGS
from ihcli.cli.commands.attributions import attributions
from ihcli.cli.commands.compare import compare
from ihcli.cli.commands.completion import completion
from ihcli.cli.commands.contrast import contrast
from ihcli.cli.commands.drivers import drivers
from ihcli.cli.commands.evaluate import evaluate
from ihcli.cli.commands.explain import explain
from ihcli.cli.commands.inspect import inspect
from ihcli.cli.commands.interactions import interactions
from ihcli.cli.commands.merge import merge
from ihcli.cli.commands.plot import plot
from ihcli.cli.commands.report import report
from ihcli.cli.commands.verify import verify
from ihcli.cli.showing.failures import closed_pipes_end_quietly, failures_are_messages, failures_are_printable
from ihcli.cli.showing.terminal import printable_streams
from ihcli.errors import IhcliError


class Commands(click.Group):
    """Subcommands in the order in which they are used, whose failures are messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of their declaration."""
        return list(self.commands)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse; help and version are printed here."""
        with failures_are_printable(), closed_pipes_end_quietly():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        with failures_are_printable(), closed_pipes_end_quietly(), failures_are_messages(ctx), printable_streams():
            _require_directory()
            return super().invoke(ctx)


def _require_directory() -> None:
    """Refuse to work in a directory that is gone: libraries of numbers end the process there."""
    try:
        os.getcwd()
    except OSError as error:
        raise IhcliError("The working directory is gone. Expected one that is there. Try cd first.") from error


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import (
        PackageNotFoundError,
        version,
    )  # and email with it: a sixth of the time that help takes

    try:
        click.echo(f"ihcli {version('ihcli')}")
    except PackageNotFoundError:
        click.echo("ihcli (run from its sources, not installed)")
    context.exit()


@click.group(cls=Commands, name="ihcli", context_settings=SETTINGS)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Show the version."
)
@common_options
def main() -> None:
    """Explain every row of a dataset with a saved neural network.

    Integrated and Expected Gradients (ig, eg) give one attribution per feature, Integrated and Expected Hessians
    (ih, eh) also one interaction per pair of features; every row comes with a certified error.

    \b
    ihcli explain model.pt data.csv -o run     explain every row, write the directory run
    ihcli interactions run --top-k 20          the strongest pairs of features
    ihcli attributions run --top-k 20          the strongest features
    ihcli plot run summary -o summary.png      a picture of them
    ihcli report run -o report.html            a page for a browser
    ihcli verify run model.pt data.csv         a second opinion
    ihcli evaluate run model.pt data.csv       is what matters to the run what matters to the model?
    """


COMMANDS = (
    *(explain, interactions, attributions, compare, contrast, drivers),
    *(plot, report, inspect, verify, evaluate, merge, completion),
)
for command in COMMANDS:
    main.add_command(command)
