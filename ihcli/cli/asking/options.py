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
    MethodName,
    PositiveNumber,
    SmoothSetting,
    UnitsSetting,
    WholeNumber,
)
from ihcli.data.sampling import BASELINE_ROWS, SAMPLING_SHARE, SAMPLING_TOLERANCE, TOLERANCE, tolerance_in_words
from ihcli.methods import DEFAULT, names_of
from ihcli.scales import MODEL, SCALES
from ihcli.wording import all_of

MANY, SECOND, OTHERS_TO_COMPARE = names_of(many_baselines=True), names_of(order=2), names_of(integrals=False)


def declared(*names: str, **settings: Any) -> Declaration:
    """Return an option before it is given to a command."""
    return Declaration(names, settings)


TARGET = declared(
    "--target",
    metavar="[predicted|all|label|NAME|INDEX]",
    help="Which model output is explained: the predicted class, all of them, the one named in the --label column, "
    "or one by name or index.  [default: predicted when there are several]",
)
TRUST = declared(
    "--trust",
    is_flag=True,
    help="Load a model file that can run code of its own; only for files whose author you trust.",
)
DAILY = (
    declared(
        "-m",
        "--method",
        type=MethodName(),
        default=DEFAULT,
        show_default=True,
        help=f"{all_of(MANY)}: the mean over many baselines, others: one. {all_of(SECOND)} also give interactions. "
        f"From {OTHERS_TO_COMPARE[0]} on there to compare with.",
    ),
    declared(
        "--baseline",
        metavar="[zeros|mean|median|mode|data|FILE]",
        help=f"Where paths start; a FILE has one row, or many ({', '.join(MANY)}), with the feature columns; mode is "
        "the most frequent codes and the mean of numbers. For texts: zeros, pad or mask.  [default: zeros, mode where "
        f"codes are looked up, data for {all_of(MANY)}]",
    ),
    TARGET,
    declared(
        "--scale",
        type=click.Choice(list(SCALES)),
        default=MODEL,
        show_default=True,
        help="What of that output is explained: the model's own number, the logit or probability of a class, the "
        "logarithm of its probability, or how far its logit is ahead of the highest other one.",
    ),
    declared(
        "--tolerance",
        type=PositiveNumber(),
        metavar="NUMBER",
        help=f"Relative error that every row should stay within.  [default: "
        f"{tolerance_in_words(TOLERANCE, SAMPLING_SHARE)}]",
    ),
    declared(
        "--smooth",
        type=SmoothSetting(),
        metavar="[auto|scan|none|BETA]",
        default="auto",
        show_default=True,
        help=f"Replace ReLU and similar functions with SoftPlus of this beta; auto: under {all_of(SECOND)}, with the "
        "smallest beta that keeps to --smooth-tolerance; scan: tries 16 betas on a sample of rows, "
        "shows what becomes of the pairs, and takes the smallest from which on they stay.",
    ),
    declared(
        "--device",
        metavar="DEVICE",
        default="auto",
        show_default=True,
        help="Where the model computes: auto, cpu, cuda, cuda:1, ...",
    ),
    declared(
        "--memory",
        "memory_bytes",
        type=MemorySize(),
        metavar="SIZE",
        help="Memory that batches may take, such as 512MiB or 1e9.  [default: a quarter of what is available, also "
        "within a container, at most 2GiB; half of a GPU's]",
    ),
    declared(
        "--key",
        multiple=True,
        metavar="COL",
        help="Column that identifies rows: carried into every output, not a feature. Repeatable.",
    ),
)
OF_TEXTS = (
    declared(
        "--text",
        metavar="COL",
        help="Column of texts, for a model that reads them: words and their interactions are explained.",
    ),
    declared("--text-pair", metavar="COL", help="Column of the second text, for a model that reads pairs."),
    declared(
        "--units",
        type=UnitsSetting(),
        metavar="[word|token|step[:K]|channel|column]",
        help="What is explained of a text: words, each the sum of its pieces, or the tokenizer's tokens; of a "
        "sequence: steps, blocks of K of them, channels or single columns.  [default: word; step, blocks of more than "
        "32]",
    ),
)
OF_SEQUENCES = (
    declared(
        "--sequence",
        metavar="[TxF|any]",
        help="Rows are sequences of T steps of F channels, such as 24x5, for a model that takes (N, T, F). Their order "
        "is told by the columns' names, else by step; TxF:by-step and TxF:by-channel say it. any: of any length, in "
        "columns of lists.",
    ),
    declared(
        "--channels-first",
        is_flag=True,
        help="The model takes (N, F, T).  [default: found out, where it does not take both]",
    ),
)
OF_COLUMNS = (
    declared(
        "--features",
        type=ColumnList(),
        multiple=True,
        metavar="LIST",
        help="Feature columns in the order of the model's inputs: a,b,c or @FILE with one a line.  [default: the "
        "model's own names, else all columns but --key, --label and --exclude]",
    ),
    declared(
        "--inputs",
        type=InputColumns(),
        multiple=True,
        metavar="NAME=LIST",
        help="Feature columns of one argument of the model's forward, by its name, or of one key of its dictionary; as "
        "integers where it takes no others. Repeatable: --inputs x_cat=job,city --inputs x_num=age,income.",
    ),
    declared(
        "--exclude",
        type=ColumnList(),
        multiple=True,
        metavar="LIST",
        help='Columns that are not features: a,b,c or @FILE; "a, b" is one name. Repeatable.',
    ),
    declared(
        "--layer",
        multiple=True,
        metavar="NAME",
        help="Explain what this layer gives in the place of the columns, and NAME:input what it takes, in each "
        "call of it. ihcli inspect --layers lists the names. Repeatable.",
    ),
    declared("--layer-names", metavar="FILE", help="Names for what the layers give, one a line, in order."),
    declared(
        "--label", metavar="COL", help="Column with the true class: not a feature, and what --target label means."
    ),
    declared(
        "--output-names",
        type=ColumnList("name"),
        metavar="LIST",
        help="What the outputs are called, in their order: a,b,c or @FILE with one a line.  [default: the model's own "
        "names, else 0, 1, ...; of a single output the --label column, or prediction]",
    ),
    declared(
        "--groups",
        metavar="FILE.toml",
        help='Features explained as one: [groups] with lines such as color = ["color_red", "color_blue"].',
    ),
    declared(
        "--groups-by",
        metavar="SEP",
        help="Group features that share the text before SEP, such as _, the longest they share: a_b_x and a_b_y as "
        "a_b. With = as SEP it is the text before the first one.",
    ),
    declared(
        "--categories",
        metavar="FILE.toml",
        help='What codes of category columns stand for: [categories] with lines such as job = ["admin", "blue"]. Text '
        "becomes codes, and values are shown as text.",
    ),
    declared(
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
    declared("--limit", type=WholeNumber(1), metavar="N", help="Explain the first N rows only.  [default: all]"),
    declared(
        "--chunk-rows",
        type=WholeNumber(1),
        metavar="N",
        help="Rows read and written together.  [default: chosen by size]",
    ),
)
RARE = (
    declared(
        "--baseline-rows",
        type=BaselineRowsSetting(),
        metavar="[N|auto]",
        default=BASELINE_ROWS,
        show_default=True,
        help=f"Baselines drawn from a larger table of them ({', '.join(MANY)}); auto: doubled until 3 in 4 rows of a "
        "sample keep to --sampling-tolerance.",
    ),
    declared(
        "--sampling-tolerance",
        type=PositiveNumber(SAMPLING_TOLERANCE),
        metavar="NUMBER",
        default=SAMPLING_TOLERANCE,
        show_default=True,
        help="Sampling error that --baseline-rows auto comes down to: that of attributions, or of interactions where "
        "there are any.",
    ),
    declared(
        "--seed", type=WholeNumber(0), metavar="N", default=0, show_default=True, help="Seed of that random draw."
    ),
    declared(
        "--max-evaluations",
        type=WholeNumber(1),
        metavar="N",
        help="Most evaluations spent on a row before it is flagged not_converged.  [default: chosen by the method]",
    ),
    declared(
        "--steps",
        type=WholeNumber(3),
        metavar="N",
        help="One rule of N points for every row instead of refining until --tolerance.  [default: refine]",
    ),
    declared(
        "--smooth-tolerance",
        type=PositiveNumber(),
        metavar="NUMBER",
        default=0.01,
        show_default=True,
        help="What --smooth auto may change: drift in standard deviations of the output, and share of predictions.",
    ),
    declared(
        "--smooth-stable",
        type=PositiveNumber(),
        metavar="NUMBER",
        help="Rank correlation that pairs must have with those of the next sharper beta (--smooth auto), or of the "
        "sharpest (scan).  [default: not asked; 0.95 for scan]",
    ),
    declared(
        "--dtype",
        type=click.Choice(["float32", "float64"]),
        help="Precision of the model's computations.  [default: that of the model file]",
    ),
    declared(
        "--engine-derivatives",
        type=click.Choice(["auto", "autograd", "mlp", "operations"]),
        default="auto",
        show_default=True,
        help="How derivatives are taken: mlp is the closed form for chains of layers, operations takes second ones "
        "operation by operation, autograd serves any model; auto: the first of these that agrees with autograd on a "
        "probe.",
    ),
    TRUST,
)
CODE, CODE_ARGS, CODE_WEIGHTS = OF_CODE = (
    declared(
        "--code",
        metavar="FILE.py:NAME",
        help="What makes the network of a MODEL that holds its weights alone: a class or function of a file, or of "
        "package.module:NAME. It is run; MODEL is not.",
    ),
    declared(
        "--code-args",
        type=CodeArguments(),
        metavar="[JSON|@FILE]",
        help='Its arguments, as [64, 2] or {"width": 64}.  [default: those that a Lightning checkpoint has]',
    ),
    declared("--code-weights", metavar="KEY", help="Which weights of a checkpoint, where several fit."),
)
OTHERS = {
    TEXTS: (*OF_TEXTS, *OF_SEQUENCES),
    COLUMNS: OF_COLUMNS,
    LARGE_RUNS: OF_LARGE_RUNS,
    WEIGHTS: OF_CODE,
    ADVANCED: RARE,
}
"""What a computation can be asked besides the daily options, by the titles of `--help`."""
INTERACTIONS = declared(
    "--interactions",
    type=InteractionsSetting(),
    metavar="[full|top:K|none]",
    default="full",
    show_default=True,
    help="What is stored of every row's interactions: the whole matrix, its K largest pairs, or summaries only.",
)
