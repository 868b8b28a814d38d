"""`ihcli explain`: every row of a table, into a run directory."""

from typing import TYPE_CHECKING

import click

from ihcli.cli.asking.computation import (
    Computation,
    computing_options,
    debug_option,
    place_options,
    reporting_options,
)
from ihcli.cli.asking.options import DAILY, INTERACTIONS, RARE
from ihcli.cli.asking.sections import SETTINGS, SectionedCommand, SectionedOption
from ihcli.cli.showing.failures import MISSED_TOLERANCE
from ihcli.cli.showing.terminal import say, tell

if TYPE_CHECKING:
    from ihcli.runs.request import Workforce
    from ihcli.runs.shards import Shard


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Explain every row of a table.")
@click.argument("model")
@click.argument("data")
@click.option("-o", "--out", cls=SectionedOption, metavar="RUN", help="Directory to write; needed unless --dry-run.")
@computing_options(DAILY, (*RARE, INTERACTIONS))
@click.option(
    "--dry-run", cls=SectionedOption, is_flag=True, help="Explain a few rows, print what all would cost, write nothing."
)
@click.option(
    "--resume",
    cls=SectionedOption,
    is_flag=True,
    help="Go on with the run that is there, with the options it was begun with; begin it where there is none.",
)
@click.option("--overwrite", cls=SectionedOption, is_flag=True, help="Replace the run that is there.")
@place_options
@reporting_options
@debug_option
@click.pass_context
def explain(
    context: click.Context,
    model: str,
    data: str,
    out: str | None,
    computation: Computation,
    dry_run: bool,
    resume: bool,
    overwrite: bool,
    shard: "Shard | None",
    workforce: "Workforce",
    strict: bool,
    quiet: bool,
) -> None:
    """Explain every row of DATA with the network in MODEL, and write the directory RUN.

    DATA is a CSV or Parquet file, a directory of them, or a quoted glob; MODEL, DATA and RUN may be URLs, such as
    s3://bucket/run. MODEL is a TorchScript file, a pickled torch module, a scikit-learn MLP (alone or behind scalers),
    a torch.export program (with --trust), or the directory of a Hugging Face text classifier (with --text).

    \b
    ihcli explain model.pt data.csv -o run
    ihcli explain model.pt data.parquet -o run -m eh --target all --key id
    ihcli explain model.pt data.csv -o run --resume     after an interruption
    """
    if out is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--out': the directory to write. Try -o run, or --dry-run.")
    if resume and overwrite:
        raise click.UsageError("--resume keeps the run that is there, --overwrite replaces it. Try one of them.")
    if workforce.executor == "local" and (workforce.ray_address or workforce.gpus_per_worker):
        raise click.UsageError("--ray-address and --gpus-per-worker are for Ray. Try --executor ray.")
    from ihcli.execution.refusals import refuse_early
    from ihcli.files.locations import locate
    from ihcli.runs.shards import Place

    request = computation.request(model, data)
    place = None if out is None or dry_run else Place(locate(out), shard)
    refuse_early(request, place, replaces=overwrite or resume)
    if workforce.executor == "local" and (workforce.workers or 1) > 1 and place is not None:
        from ihcli.execution import forking

        forking.begin()  # before this process imports what it needs, so that both go on at once
    from ihcli.cli.showing.progress import compute, foresee
    from ihcli.cli.showing.words import forecast_in_words, summary_in_words

    if place is None:
        foreseen = foresee(request, quiet=quiet, shard=shard, workforce=workforce)
        tell(*forecast_in_words(foreseen, request.tolerance))
        return
    totals = compute(
        request, place.path, overwrite=overwrite, resume=resume, quiet=quiet, shard=shard, workforce=workforce
    )
    if not quiet and totals.was_done and shard is not None:
        say(f"Shard {shard} of the run in {out} is finished already, {totals.rows} rows.")
    elif not quiet and totals.was_done:
        say(f"The run in {out} is finished already, {totals.rows} rows; nothing is left to do.")
    elif not quiet:
        first, *others = summary_in_words(totals, request)
        written = f"Run written to {out}."
        if shard is not None:
            written = f"Shard {shard} written to {out}; ihcli merge {out} makes one run of all."
        say(f"{first} {written}", *others)
    if strict and totals.missed:
        context.exit(MISSED_TOLERANCE)
