"""`ihcli explain`: every row of a table, into a run directory."""

from typing import TYPE_CHECKING

import click

from ihcli.cli import process
from ihcli.cli.asking.computation import (
    Computation,
    common_options,
    computing_options,
    place_options,
)
from ihcli.cli.asking.options import DAILY, INTERACTIONS, OF_LARGE_RUNS, OTHERS
from ihcli.cli.asking.places import STRICT
from ihcli.cli.asking.sections import ADVANCED, LARGE_RUNS, OPTIONS, SETTINGS, Conflict, SectionedCommand, option
from ihcli.cli.showing.failures import MISSED_TOLERANCE
from ihcli.cli.showing.terminal import say, tell

if TYPE_CHECKING:
    from ihcli.runs.request import Workforce
    from ihcli.runs.shards import Shard

KEEP_OR_REPLACE = "--resume keeps the run that is there, --overwrite replaces it. Try one of them."


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Explain every row of a table.")
@click.argument("model")
@click.argument("data")
@option("-o", "--out", metavar="RUN", help="Directory to write; needed unless --dry-run.")
@computing_options({OPTIONS: DAILY, **OTHERS, LARGE_RUNS: (*OF_LARGE_RUNS, INTERACTIONS)})
@option("--dry-run", is_flag=True, help="Explain a few rows, estimate what all would cost, write nothing.")
@option(
    "--resume",
    is_flag=True,
    conflicts=[Conflict("overwrite", KEEP_OR_REPLACE)],
    help="Continue the run that is there, with the options it was started with; start it where there is none.",
)
@option("--overwrite", is_flag=True, help="Replace the run that is there.")
@place_options
@STRICT.declare(ADVANCED)
@common_options
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
) -> None:
    """Explain every row of DATA with the network in MODEL, and write the directory RUN.

    DATA is a CSV or Parquet file, a directory of them, or a quoted glob; MODEL, DATA and RUN may be URLs, such as
    s3://bucket/run. MODEL is a TorchScript file, a pickled torch module, a network, linear model, support vector
    machine or Gaussian process of scikit-learn (alone or in a pipeline), a torch.export program (with --trust), the
    weights of a network of your own (with --code), or the directory of a Hugging Face text classifier (with --text).

    \b
    ihcli explain model.pt data.csv -o run
    ihcli explain model.pt data.parquet -o run -m eh --target all --key id
    ihcli explain model.pt data.csv -o run --resume     after an interruption
    """
    if out is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--out': the directory to write. Try -o run, or --dry-run.")
    if workforce.executor == "local" and (workforce.ray_address or workforce.gpus_per_worker):
        raise click.UsageError("--ray-address and --gpus-per-worker are for Ray. Try --executor ray.")
    from ihcli.execution.refusals import refuse_early
    from ihcli.files.locations import locate
    from ihcli.runs.directory import REFUSE, REPLACE, RESUME
    from ihcli.runs.shards import Place

    request = computation.request(model, data)
    existing = RESUME if resume else REPLACE if overwrite else REFUSE
    place = None if out is None or dry_run else Place(locate(out), shard, existing)
    refuse_early(request, place)
    if workforce.executor == "local" and (workforce.workers or 1) > 1 and place is not None:
        from ihcli.execution import forking

        forking.begin()  # before this process imports what it needs, so that both go on at once
    with process.importing():
        from ihcli.cli.showing.progress import compute, foresee
        from ihcli.cli.showing.scans import scan_in_words
        from ihcli.cli.showing.words import closing_in_words, forecast_in_words

    if place is None:
        foreseen = foresee(request, shard=shard, workforce=workforce)
        tell(*forecast_in_words(foreseen))
        if foreseen.scan is not None:
            tell(*scan_in_words(foreseen.scan))
        return
    totals = compute(request, place, workforce=workforce)
    say(*closing_in_words(totals, request, f"{out}", shard))
    if strict and totals.missed:
        context.exit(MISSED_TOLERANCE)
