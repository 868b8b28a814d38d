"""`ihcli merge`: one run out of the shards that array jobs wrote."""

import click

from ihcli.cli.asking.computation import common_options
from ihcli.cli.asking.sections import SETTINGS, SectionedCommand
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.terminal import say, warn


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Make one run of its shards.")
@click.argument("run")
@common_options
def merge(run: str) -> None:
    """Make one run of the shards that `ihcli explain --shard I/N -o RUN` wrote into RUN.

    Checks that all are there and belong together, and writes the summaries and run.json. The parts stay as they are.

    \b
    ihcli explain model.pt data.parquet -o run --shard $SLURM_ARRAY_TASK_ID/4       sbatch --array=1-4
    ihcli explain model.pt data.parquet -o run --shard $((JOB_COMPLETION_INDEX + 1))/4     Kubernetes, from 0
    ihcli merge run
    """
    from ihcli.cli.showing.lines import Lines
    from ihcli.files.locations import locate
    from ihcli.runs.merging import merge as merge_shards
    from ihcli.runs.shards import shards_of

    with reading_run(run):
        place, lines = locate(run), Lines(len(shards_of(locate(run))), "shards")
        totals = merge_shards(place, warn, lines.show_share)
    if totals.was_done:
        say(f"The run in {run} is merged already, {totals.rows} rows; nothing is left to do.")
    else:
        say(f"Merged {totals.rows} rows into the run {run}.")
