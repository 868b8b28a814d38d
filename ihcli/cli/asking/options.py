"""Options that several commands share, declared once."""

from typing import Any

import click

from ihcli.cli.asking.sections import ADVANCED, COLUMNS, LARGE_RUNS, TEXTS, WEIGHTS, Declaration
from ihcli.cli.asking.values import (
    BaselineRowsSetting,
    CodeArguments,
    ColumnList,
    InputColumns,
    InteractionsSetting,
    MemorySize,
    PositiveNumber,
    ShardOfRun,
    SmoothSetting,
    UnitsSetting,
    WholeNumber,
)
from ihcli.data.sampling import BASELINE_ROWS, SAMPLING_SHARE, SAMPLING_TOLERANCE, TOLERANCE, tolerance_in_words
from ihcli.methods import DEFAULT, METHODS, names_of
from ihcli.wording import all_of

ONE, MANY, SECOND = names_of(many_baselines=False), names_of(many_baselines=True), names_of(order=2)


def _option(*names: str, **settings: Any) -> Declaration:
    return Declaration(names, settings)


TARGET = _option(
    "--target",
    metavar="[predicted|all|label|NAME|INDEX]",
    help="Which model output is explained: the predicted class, all of them, the one named in the --label column, "
    "or one by name or index.  [default: predicted when there are several]",
)
TRUST = _option(
    "--trust",
    is_flag=True,
    help="Load a model file that can run code of its own; only for files whose author you trust.",
)
DAILY = (
    _option(
        "-m",
        "--method",
        type=click.Choice(list(METHODS)),
        default=DEFAULT,
        show_default=True,
        help=f"{', '.join(ONE)}: one baseline; {', '.join(MANY)}: the mean over many. {all_of(SECOND)} also give "
        "interactions.",
    ),
    _option(
        "--baseline",
        metavar="[zeros|mean|median|mode|data|FILE]",
        help=f"Where paths start; a FILE has one row ({', '.join(ONE)}) or many ({', '.join(MANY)}) with the feature "
        f"columns; mode is the most frequent codes and the mean of numbers. For texts: zeros, pad or mask.  [default: "
        f"zeros for {all_of(ONE)}, mode where codes are looked up, data for {all_of(MANY)}]",
    ),
    TARGET,
    _option(
        "--tolerance",
        type=PositiveNumber(),
        metavar="NUMBER",
        help=f"Relative error that every row should stay within.  [default: "
        f"{tolerance_in_words(TOLERANCE, SAMPLING_SHARE)}]",
    ),
    _option(
        "--smooth",
        type=SmoothSetting(),
        metavar="[auto|none|BETA]",
        default="auto",
        show_default=True,
        help=f"Replace ReLU and similar functions with SoftPlus of this beta; auto: under {all_of(SECOND)}, with the "
        "smallest beta that keeps to --smooth-tolerance.",
    ),
    _option(
        "--device",
        metavar="DEVICE",
        default="auto",
        show_default=True,
        help="Where the model computes: auto, cpu, cuda, cuda:1, ...",
    ),
    _option(
        "--memory",
        "memory_bytes",
        type=MemorySize(),
        metavar="SIZE",
        help="Memory that batches may take, such as 512MiB or 1e9.  [default: a quarter of what is available, also "
        "within a container, at most 2GiB; half of a GPU's]",
    ),
    _option(
        "--key",
        multiple=True,
        metavar="COL",
        help="Column that identifies rows: carried into every output, not a feature. Repeatable.",
    ),
)
OF_TEXTS = (
    _option(
        "--text",
        metavar="COL",
        help="Column of texts, for a model that reads them: words and their interactions are explained.",
    ),
    _option("--text-pair", metavar="COL", help="Column of the second text, for a model that reads pairs."),
    _option(
        "--units",
        type=UnitsSetting(),
        metavar="[word|token|step[:K]|channel|column]",
        help="What is explained of a text: words, each the sum of its pieces, or the tokenizer's tokens; of a "
        "sequence: steps, blocks of K of them, channels or single columns.  [default: word; step, blocks of more than "
        "32]",
    ),
)
OF_SEQUENCES = (
    _option(
        "--sequence",
        metavar="[TxF|any]",
        help="Rows are sequences of T steps of F channels, such as 24x5, for a model that takes (N, T, F). Their order "
        "is told by the columns' names, else by step; TxF:by-step and TxF:by-channel say it. any: of any length, in "
        "columns of lists.",
    ),
    _option(
        "--channels-first",
        is_flag=True,
        help="The model takes (N, F, T).  [default: found out, where it does not take both]",
    ),
)
OF_COLUMNS = (
    _option(
        "--features",
        type=ColumnList(),
        multiple=True,
        metavar="LIST",
        help="Feature columns in the order of the model's inputs: a,b,c or @FILE with one a line.  [default: the "
        "model's own names, else all columns but --key, --label and --exclude]",
    ),
    _option(
        "--inputs",
        type=InputColumns(),
        multiple=True,
        metavar="NAME=LIST",
        help="Feature columns of one argument of the model's forward, by its name, or of one key of its dictionary; as "
        "integers where it takes no others. Repeatable: --inputs x_cat=job,city --inputs x_num=age,income.",
    ),
    _option(
        "--exclude",
        type=ColumnList(),
        multiple=True,
        metavar="LIST",
        help='Columns that are not features: a,b,c or @FILE; "a, b" is one name. Repeatable.',
    ),
    _option(
        "--layer",
        multiple=True,
        metavar="NAME",
        help="Explain what this layer gives in the place of the columns, and NAME:input what it takes, in each "
        "call of it. ihcli inspect --layers lists the names. Repeatable.",
    ),
    _option("--layer-names", metavar="FILE", help="Names for what the layers give, one a line, in order."),
    _option("--label", metavar="COL", help="Column with the true class: not a feature, and what --target label means."),
    _option(
        "--output-names",
        type=ColumnList("name"),
        metavar="LIST",
        help="What the outputs are called, in their order: a,b,c or @FILE with one a line.  [default: the model's own "
        "names, else 0, 1, ...; of a single output the --label column, or prediction]",
    ),
    _option(
        "--groups",
        metavar="FILE.toml",
        help='Features explained as one: [groups] with lines such as color = ["color_red", "color_blue"].',
    ),
    _option(
        "--groups-by",
        metavar="SEP",
        help="Group features that share the text before SEP, such as _, the longest they share: a_b_x and a_b_y as "
        "a_b. With = as SEP it is the text before the first one.",
    ),
    _option(
        "--categories",
        metavar="FILE.toml",
        help='What codes of category columns stand for: [categories] with lines such as job = ["admin", "blue"]. Text '
        "becomes codes, and values are shown as text.",
    ),
    _option(
        "--missing",
        type=click.Choice(["error", "flag"]),
        default="error",
        show_default=True,
        help="Missing or infinite inputs: stop before any work, or write the row with nulls and its status.",
    ),
)
OF_DATA = tuple(
    declaration
    for declaration in (*DAILY, *OF_COLUMNS, *OF_SEQUENCES)
    if declaration.parameter
    in ("key", "features", "inputs", "exclude", "label", "categories", "sequence", "channels_first")
)
"""What says which columns of a table a model takes, and how."""
OF_LARGE_RUNS = (
    _option("--limit", type=WholeNumber(1), metavar="N", help="Explain the first N rows only.  [default: all]"),
    _option(
        "--chunk-rows",
        type=WholeNumber(1),
        metavar="N",
        help="Rows read and written together.  [default: chosen by size]",
    ),
)
RARE = (
    _option(
        "--baseline-rows",
        type=BaselineRowsSetting(),
        metavar="[N|auto]",
        default=BASELINE_ROWS,
        show_default=True,
        help=f"Baselines drawn from a larger table of them ({', '.join(MANY)}); auto: doubled until 3 in 4 rows of a "
        "sample keep to --sampling-tolerance.",
    ),
    _option(
        "--sampling-tolerance",
        type=PositiveNumber(SAMPLING_TOLERANCE),
        metavar="NUMBER",
        default=SAMPLING_TOLERANCE,
        show_default=True,
        help="Sampling error that --baseline-rows auto comes down to: that of attributions, or of interactions where "
        "there are any.",
    ),
    _option("--seed", type=WholeNumber(0), metavar="N", default=0, show_default=True, help="Seed of that random draw."),
    _option(
        "--max-evaluations",
        type=WholeNumber(1),
        metavar="N",
        help="Most evaluations spent on a row before it is flagged not_converged.  [default: chosen by the method]",
    ),
    _option(
        "--steps",
        type=WholeNumber(3),
        metavar="N",
        help="One rule of N points for every row instead of refining until --tolerance.  [default: refine]",
    ),
    _option(
        "--smooth-tolerance",
        type=PositiveNumber(),
        metavar="NUMBER",
        default=0.01,
        show_default=True,
        help="What --smooth auto may change: drift in standard deviations of the output, and share of predictions.",
    ),
    _option(
        "--dtype",
        type=click.Choice(["float32", "float64"]),
        help="Precision of the model's computations.  [default: that of the model file]",
    ),
    _option(
        "--engine-derivatives",
        type=click.Choice(["auto", "autograd", "mlp"]),
        default="auto",
        show_default=True,
        help="How derivatives are taken: mlp is the closed form for chains of layers, autograd serves any model; auto: "
        "the closed form where it agrees with autograd on a probe.",
    ),
    TRUST,
)
CODE, CODE_ARGS, CODE_WEIGHTS = OF_CODE = (
    _option(
        "--code",
        metavar="FILE.py:NAME",
        help="What makes the network of a MODEL that holds its weights alone: a class or function of a file, or of "
        "package.module:NAME. It is run; MODEL is not.",
    ),
    _option(
        "--code-args",
        type=CodeArguments(),
        metavar="[JSON|@FILE]",
        help='Its arguments, as [64, 2] or {"width": 64}.  [default: those that a Lightning checkpoint has]',
    ),
    _option("--code-weights", metavar="KEY", help="Which weights of a checkpoint, where several fit."),
)
OTHERS = {
    TEXTS: (*OF_TEXTS, *OF_SEQUENCES),
    COLUMNS: OF_COLUMNS,
    LARGE_RUNS: OF_LARGE_RUNS,
    WEIGHTS: OF_CODE,
    ADVANCED: RARE,
}
"""What a computation can be asked besides the daily options, by the titles of `--help`."""
INTERACTIONS = _option(
    "--interactions",
    type=InteractionsSetting(),
    metavar="[full|top:K|none]",
    default="full",
    show_default=True,
    help="What is stored of every row's interactions: the whole matrix, its K largest pairs, or summaries only.",
)
SHARD = _option(
    "--shard",
    type=ShardOfRun(),
    metavar="I/N",
    help="Explain only every N-th chunk, starting with the I-th, next to the shards of other jobs in the same RUN; "
    "ihcli merge RUN makes a run of them.",
)
PLACES = (
    SHARD,
    _option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where chunks run: on this machine, or on a Ray cluster (ihcli[ray]).",
    ),
    _option(
        "--workers",
        type=WholeNumber(1),
        metavar="N",
        help="Processes that explain at once; on a CPU they share its threads and --memory.  [default: one for each "
        "GPU with --device auto or cuda, else one; with Ray one for each GPU or core of the cluster]",
    ),
    _option("--ray-address", metavar="[auto|HOST:PORT]", help="Running Ray cluster.  [default: Ray is started here]"),
    _option(
        "--gpus-per-worker",
        type=PositiveNumber(),
        metavar="X",
        help="Share of a GPU that each Ray worker has.  [default: 1 where the cluster has any]",
    ),
)
REPORTING = (
    _option("--strict", is_flag=True, help="Exit with code 3 when some rows missed the tolerance."),
    _option("--quiet", is_flag=True, help="Print no progress and no summary; warnings and errors remain."),
)
