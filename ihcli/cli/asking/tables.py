"""Options of every command that writes a table: the format, the file, and whether one may be replaced."""

import functools
from typing import Any

import click

from ihcli.cli.asking.sections import OPTIONS, Command, Declaration
from ihcli.cli.showing.tables import FORMATS, Destination

FORMAT_HELP = (
    "How to write; arrow is an IPC stream.  "
    "[default: as -o FILE is named, else a table on a terminal and csv in a pipe]"
)
OUT_HELP = "File to write.  [default: - (standard output)]"
FORMAT = Declaration(("--format", "format_name"), {"type": click.Choice(FORMATS), "help": FORMAT_HELP})
OUT = Declaration(("-o", "--out"), {"metavar": "FILE", "default": "-", "help": OUT_HELP})
OVERWRITE = Declaration(("--overwrite",), {"is_flag": True, "help": "Replace the file that is there."})
CSV_SAFE_HELP = (
    "For CSV that Excel or another spreadsheet opens and whose names or keys come from strangers: text that begins "
    "with =, +, -, @, a tab or a carriage return gets an apostrophe before it, so that it is not run as a formula."
)
CSV_SAFE = Declaration(("--csv-safe",), {"is_flag": True, "help": CSV_SAFE_HELP})


def destination_options(command: Command) -> Command:
    """Give a command --format, -o, --overwrite and --csv-safe; it receives them as one argument, `destination`."""

    @functools.wraps(command)
    def with_destination(
        *arguments: Any, format_name: str | None, out: str, overwrite: bool, csv_safe: bool, **values: Any
    ) -> None:
        command(*arguments, destination=Destination(out, format_name, overwrite, csv_safe=csv_safe), **values)

    decorated: Command = with_destination
    for declared in (CSV_SAFE, OVERWRITE, OUT, FORMAT):
        decorated = declared.declare(OPTIONS)(decorated)
    return decorated
