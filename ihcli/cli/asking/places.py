"""Options that say where chunks run, and whether missing the tolerance is a failure."""

import click

from ihcli.cli.asking.options import declared
from ihcli.cli.asking.values import PositiveNumber, ShardOfRun, WholeNumber

SHARD = declared(
    "--shard",
    type=ShardOfRun(),
    metavar="I/N",
    help="Explain only every N-th chunk, starting with the I-th, next to the shards of other jobs in the same RUN; "
    "ihcli merge RUN makes a run of them.",
)
PLACES = (
    SHARD,
    declared(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where chunks run: on this machine, or on a Ray cluster (ihcli[ray]).",
    ),
    declared(
        "--workers",
        type=WholeNumber(1),
        metavar="N",
        help="Processes that explain at once; on a CPU they share its threads and --memory.  [default: one for each "
        "GPU with --device auto or cuda, else one; with Ray one for each GPU or core of the cluster]",
    ),
    declared("--ray-address", metavar="[auto|HOST:PORT]", help="Running Ray cluster.  [default: Ray is started here]"),
    declared(
        "--gpus-per-worker",
        type=PositiveNumber(),
        metavar="X",
        help="Share of a GPU that each Ray worker has.  [default: 1 where the cluster has any]",
    ),
)
STRICT = declared("--strict", is_flag=True, help="Exit with code 3 when some rows missed the tolerance.")
