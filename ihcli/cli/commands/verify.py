"""`ihcli verify`: whether a run agrees with itself, and with its model and data."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from ihcli.cli import process
from ihcli.cli.asking.computation import common_options
from ihcli.cli.asking.options import CODE, TRUST
from ihcli.cli.asking.sections import ADVANCED, OPTIONS, SETTINGS, SectionedCommand, SectionedOption
from ihcli.cli.asking.tables import CSV_SAFE
from ihcli.cli.asking.values import WholeNumber
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.spelling import spelled
from ihcli.cli.showing.tables import csv_rows, json_line, require_csv
from ihcli.cli.showing.terminal import cell, say, show, tell
from ihcli.errors import RunError

if TYPE_CHECKING:
    from ihcli.verification import Finding

FORMATS = ("table", "lines", "csv", "jsonl")
NARROW = 110
"""Columns of a terminal below which figures stand behind the detail, which needs the room."""
COLOURS = {"passed": "green", "failed": "bold red", "not checked": "yellow", "no promise": "yellow"}


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Check a run, and recompute rows of it.")
@click.argument("run", metavar="RUN")
@click.argument("model", required=False)
@click.argument("data", required=False)
@click.option(
    "--sample",
    cls=SectionedOption,
    type=WholeNumber(1),
    metavar="N",
    default=20,
    show_default=True,
    help="With MODEL and DATA: how many rows to compute once more.",
)
@click.option(
    "--axioms",
    cls=SectionedOption,
    is_flag=True,
    help="With MODEL and DATA: hold the method to what it promises, such as completeness and symmetry, on mixed rows.",
)
@click.option(
    "--format",
    "format_name",
    cls=SectionedOption,
    type=click.Choice(FORMATS),
    help="How to write.  [default: a table on a terminal, lines in a pipe]",
)
@CSV_SAFE.declare(OPTIONS)
@click.option(
    "--seed",
    cls=SectionedOption,
    section=ADVANCED,
    type=WholeNumber(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of the random draw of those rows.",
)
@CODE.declare(ADVANCED)
@TRUST.declare(ADVANCED)
@common_options
def verify(
    run: str,
    model: str | None,
    data: str | None,
    sample: int,
    axioms: bool,
    format_name: str | None,
    csv_safe: bool,
    seed: int,
    code: str | None,
    trust: bool,
) -> None:
    """Check what can be checked of the run RUN, and print every check with its worst figure and the bound on it.

    Without MODEL and DATA: files, counts, sums, symmetry, statuses and summaries agree with each other and with
    run.json. With them a random sample of rows is computed once more in float64, on a finer mesh and by finite
    differences of plain gradients. Exit code 1 where a check failed; those that could not be made are named.

    \b
    ihcli verify run
    ihcli verify run model.pt data.csv --sample 50
    ihcli verify run model.pt data.csv --axioms
    """
    if (model is None) != (data is None):
        raise click.UsageError("Missing argument 'DATA': rows are computed with both. Try ihcli verify RUN MODEL DATA.")
    if axioms and model is None:
        raise click.UsageError("--axioms: needs MODEL and DATA. Try ihcli verify RUN MODEL DATA --axioms.")
    format_name = format_name or ("table" if sys.stdout.isatty() else "lines")
    require_csv(csv_safe, format_name)
    from ihcli.verification import FAILED, NO_PROMISE, NOT_CHECKED

    with reading_run(run):
        found = _findings(run, model, data, sample, seed, code, trust, axioms)
        findings = [replace(finding, detail=spelled(finding.detail)) for finding in found]
    _write(findings, format_name, csv_safe)
    failed = [finding.check for finding in findings if finding.outcome == FAILED]
    left_out = sum(finding.outcome == NOT_CHECKED for finding in findings)
    made = len(findings) - left_out - sum(finding.outcome == NO_PROMISE for finding in findings)
    if failed:
        raise RunError(f"{run}: {len(failed)} of {made} checks failed: {', '.join(failed)}.")
    say(f"{run}: all {made} checks passed{f', {left_out} could not be made' if left_out else ''}.")


def _findings(
    run: str,
    model: str | None,
    data: str | None,
    sample: int,
    seed: int,
    code: str | None,
    trust: bool,
    axioms: bool,
) -> "Iterator[Finding]":
    from ihcli.verification import verify_run

    if model is None or data is None:
        yield from verify_run(run)
        return
    from ihcli.execution.refusals import require_code, require_files
    from ihcli.runs.run import open_run

    open_run(run)
    require_files(model, data)  # before torch is imported, which takes seconds
    require_code(code)
    with process.ended_when_stuck():
        process.give_up_writing(trust)
        with process.importing():
            from ihcli.verification.recomputation import Question, recompute

        question = Question(model, data, sample, seed, trust, code, axioms)
        question.require_files()  # before the minutes that a large run can take
        question.require_code(open_run(run).info)
        yield from verify_run(run)
        yield from recompute(run, question)


def _write(findings: "list[Finding]", format_name: str, csv_safe: bool) -> None:
    if format_name == "table":
        _print_table(findings)
    elif format_name == "lines":
        tell(*map(_line, findings))
    elif format_name == "jsonl":
        show("".join(json_line(asdict(finding), sys.stdout.isatty()) for finding in findings))
    else:
        records = [asdict(finding) for finding in findings]
        show(csv_rows([records[0], *(record.values() for record in records)], sys.stdout.isatty(), csv_safe))


def _line(finding: "Finding") -> str:
    counted = f"{finding.checked} checked" if finding.checked else ""
    figures = ", ".join(part for part in (counted, _beside_bound(finding)) if part)
    return f"{finding.outcome:12}{finding.check:28}{finding.detail}{f' ({figures})' if figures else ''}"


def _beside_bound(finding: "Finding") -> str:
    if finding.worst is None or finding.bound is None:
        return ""
    return f"worst {finding.worst:.2g} of at most {finding.bound:.2g}"


def _print_table(findings: "Iterable[Finding]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    is_narrow = console.width < NARROW
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("check", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in ("checked", *(() if is_narrow else ("worst", "at most"))):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for finding in findings:
        told = _beside_bound(finding) if is_narrow else ""
        figures = ("" if figure is None else f"{figure:.2g}" for figure in (finding.worst, finding.bound))
        detail = f"{finding.detail} ({told})" if told else finding.detail
        cells = (str(finding.checked or ""), *(() if is_narrow else figures), detail)
        outcome = Text(finding.outcome, COLOURS[finding.outcome])
        table.add_row(Text(finding.check), outcome, *map(cell, cells))
    with console.capture() as captured:
        console.print(table)
    show(captured.get())
