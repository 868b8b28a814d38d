"""`ihcli inspect`: what the loader sees in a model file."""

from typing import TYPE_CHECKING

import click

from ihcli.cli import process
from ihcli.cli.asking.computation import Computation, common_options, computing_options
from ihcli.cli.asking.options import CODE, CODE_ARGS, CODE_WEIGHTS, OF_DATA, TRUST
from ihcli.cli.asking.sections import COLUMNS, OPTIONS, SETTINGS, SectionedCommand, option
from ihcli.cli.showing.spelling import spelled
from ihcli.cli.showing.terminal import tell
from ihcli.errors import ModelError
from ihcli.methods import names_of
from ihcli.wording import all_of, argument

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ihcli.execution.probing import Probe
    from ihcli.models import Model

PROBE_BYTES = 64 << 20
MOST_NAMES = 6
MOST_COLUMNS = 20
"""That are looked up and have a line each."""


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Show what a model file holds.")
@click.argument("model")
@click.argument("data", required=False)
@CODE.declare(OPTIONS)
@CODE_ARGS.declare(OPTIONS)
@CODE_WEIGHTS.declare(OPTIONS)
@TRUST.declare(OPTIONS)
@option("--layers", is_flag=True, help="List the names that --layer of ihcli explain takes, and nothing else.")
@option(
    "--nid",
    is_flag=True,
    help="List the pairs of inputs that the weights let come together most (Neural Interaction Detection).",
)
@computing_options({COLUMNS: OF_DATA})
@common_options
@click.pass_context
def inspect(
    context: click.Context,
    model: str,
    data: str | None,
    code: str | None,
    code_args: str | None,
    code_weights: str | None,
    trust: bool,
    layers: bool,
    nid: bool,
    computation: Computation,
) -> None:
    """Show what MODEL is: format, inputs, outputs, activations, what SoftPlus would replace, and warnings.

    It is tried on rows of DATA where a table is given, else on rows that are made up, of as many inputs as the file
    says or the network takes: columns that it looks up are named, with what they are looked up in. A text classifier
    is tried on a short text, which shows how its tokenizer cuts words.
    """
    from ihcli.execution.refusals import parse, require_code, require_model

    require_model(model)  # before torch is imported, which takes seconds
    require_code(code, code_args, code_weights)
    if data is None and (given := computation.given(context)):
        raise click.UsageError(f"{given[0]}: is about the columns of DATA. Try ihcli inspect {argument(model)} DATA.")
    asked = None if data is None else parse(computation.request(model, data, missing="flag"))
    with process.ended_when_stuck():
        process.give_up_writing(trust)
        with process.importing():
            from ihcli.execution.probing import probe_of
            from ihcli.models import load_model

        loaded = load_model(model, trust=trust, code=code, code_args=code_args, code_weights=code_weights)
        probe = probe_of(loaded, asked)
        if layers:
            _tell_layers(probe)
            return
        if nid:
            _tell_pairs(loaded, probe)
            return
        for name, finding in _findings(loaded, probe):
            tell(f"{name:22}{finding}")


def _tell_layers(probe: "Probe") -> None:
    from ihcli.openings.layers import layer_names

    for name in layer_names(probe.model, probe.inputs):
        tell(name)


def _tell_pairs(model: "Model", probe: "Probe") -> None:
    """List the strongest pairs of each output; raises ModelError where the network is not a chain."""
    from ihcli.derivatives.chain import NotAChainError, find_chain
    from ihcli.integration.compared.nid import strengths

    expected = "Expected a chain of affine layers for --nid"
    if probe.openings is not None:
        raise ModelError(f"{model.subject}: looks up columns. {expected}. Try ihcli interactions.")
    if probe.inputs is None:
        raise ModelError(f"{model.subject}: does not say how many inputs it takes. {expected}. Try it with DATA.")
    try:
        found = strengths(find_chain(probe.model.outputs, probe.inputs))
    except NotAChainError as error:
        raise ModelError(f"{model.subject}: {error}. {expected}. Try ihcli interactions.") from None
    if found.shape[1] < 2:
        raise ModelError(
            f"{model.subject}: takes one input, which makes no pair. Expected two. Try ihcli attributions."
        )
    names = probe.names or tuple(map(str, range(found.shape[1])))
    outputs = model.output_names if model.output_names and len(model.output_names) == len(found) else None
    for output, matrix in zip(outputs or map(str, range(len(found))), found, strict=True):
        tell(f"output {output}")
        for strength, first, second in _strongest(matrix):
            tell(f"  {strength:<12.4g}{names[first]}, {names[second]}")


def _strongest(matrix: "np.ndarray") -> list[tuple[float, int, int]]:
    pairs = [(float(matrix[i, j]), i, j) for i in range(len(matrix)) for j in range(i + 1, len(matrix))]
    return sorted(pairs, key=lambda pair: (-pair[0], *pair[1:]))[:MOST_COLUMNS]


def _findings(model: "Model", probe: "Probe") -> list[tuple[str, str]]:
    from ihcli.smoothing import find_operations

    inputs = probe.inputs
    n_outputs, warnings = (None, probe.warnings) if inputs is None else _try(probe.model, inputs)
    engine = "autograd" if inputs is None or n_outputs is None else _engine(probe.model, inputs)
    # Without a count of outputs the model failed on the rows, and would fail again.
    operations = find_operations(probe.model, None if n_outputs is None else inputs)
    return [
        ("Format", model.format),
        *_code(model),
        *_inputs(model, probe),
        *_opened(probe),
        ("Outputs", _counted(n_outputs, model.output_names)),
        *(() if inputs is None or n_outputs is None else _scales(probe.model, inputs)),
        ("Precision", str(model.dtype).removeprefix("torch.")),
        ("Activations", _listed(operations.activations)),
        ("Replaced by SoftPlus", _listed(operations.replaceable)),
        ("Kinks that remain", _listed(operations.kinks)),
        ("Derivative engine", engine),
        *(("Warning", spelled(warning)) for warning in (*model.notes, *warnings)),
    ]


def _code(model: "Model") -> list[tuple[str, str]]:
    """Return what of the user's own code was run."""
    if model.code is None:
        return []
    files = [f"{name} (SHA-256 {sha256[:12]})" for name, sha256 in model.code.files.items()]
    return [("Code run", _listed(tuple(files[:MOST_NAMES]))), ("Arguments", model.code.arguments or "none")]


def _inputs(model: "Model", probe: "Probe") -> list[tuple[str, str]]:
    """Return what the network takes: numbers, or texts and how they are cut."""
    from ihcli.readers.texts import embedder_of, reads_texts

    if probe.axes is not None:
        return [("Inputs", probe.axes.in_words())]
    if not reads_texts(model):
        width = len(probe.names) or model.n_inputs
        return [
            ("Inputs", _counted(width, probe.names if width != model.n_inputs else model.feature_names)),
            *_arguments(probe),
            *_categories(model),
        ]
    from ihcli.execution.probing import PROBE_TEXT
    from ihcli.quality import CUTS

    reader = embedder_of(model)
    most = "any length" if reader.max_tokens is None else f"at most {reader.max_tokens} tokens"
    pairs = ", or pairs of them" if reader.has_segments else ""
    tokenizer = f"{type(reader.tokenizer).__name__}, {len(reader.tokenizer)} tokens"
    cut = [(f"Units: {units}", " ".join(reader.encode([PROBE_TEXT], units=units)[0].units)) for units in CUTS]
    return [("Inputs", f"texts of {most}{pairs}"), ("Tokenizer", tokenizer), *cut]


def _categories(model: "Model") -> list[tuple[str, str]]:
    """Return what the codes of each category column stand for, where the file says so."""
    if (known := model.vocabulary) is None:
        return []
    return [("Categories", f"{name}: {_counted(known.size(name), known.names(name))}") for name in known.values]


def _arguments(probe: "Probe") -> list[tuple[str, str]]:
    """Return the arguments of a forward and the columns of each, where it is not called with one matrix of numbers."""
    arguments = () if probe.signature is None else probe.signature.arguments
    return [
        (
            "Argument" if len(arguments) > 1 else "Called with",
            f"{argument.name}: " * (len(arguments) > 1)
            + f"{'integers' if argument.is_whole else 'numbers'}, "
            + _counted(len(argument.columns), tuple(probe.names[column] for column in argument.columns)),
        )
        for argument in arguments
    ]


def _opened(probe: "Probe") -> list[tuple[str, str]]:
    """Return what the network looks up of which columns, and where paths would start."""
    from ihcli.openings.words import columns_in_words

    if probe.openings is None:
        return []
    columns = [("Looked up", f"{name}: {words}") for name, words in columns_in_words(probe.openings)]
    more = [("Looked up", f"... {len(columns) - MOST_COLUMNS} more columns")] if len(columns) > MOST_COLUMNS else []
    one, many = (all_of(names_of(many_baselines=are_many, integrals=True)) for are_many in (False, True))
    start = f"{one}: mode, the most frequent codes and the mean of numbers; {many}: data, rows of the table"
    return [*columns[:MOST_COLUMNS], *more, ("Baseline", start)]


def _scales(model: "Model", inputs: "Tensor") -> list[tuple[str, str]]:
    """Return on which scale outputs are, and on which others they can be explained."""
    from ihcli.heads.scales import finish_of
    from ihcli.scales import MODEL, SCALES

    try:
        finish = finish_of(model, inputs)
    except ModelError as error:
        return [("Scale", f"the model's own only: it {error.args[0].partition(': ')[2]}")]
    others = [scale for scale in SCALES if scale not in (MODEL, finish.gives)]
    return [("Scale", f"{finish.gives}, as it ends in {finish.words}; --scale {', '.join(others)}")]


def _try(model: "Model", probe: "Tensor") -> tuple[int | None, tuple[str, ...]]:
    """Return how many outputs there are, and what the checks before a run have to say."""
    from ihcli.heads import stabilise
    from ihcli.models.checking.preflight import check_gradients, check_second_derivatives, check_values

    try:
        checks = check_values(model, probe)
        stable = stabilise(model, probe)
        warnings = check_gradients(stable.model, probe, checks.n_outputs)
        check_second_derivatives(stable.model, probe, checks.n_outputs, bool(stable.unknown))
    except ModelError as error:
        return None, (str(error),)
    return checks.n_outputs, (*warnings, *checks.warnings)


def _engine(model: "Model", probe: "Tensor") -> str:
    """Return who would take derivatives, and why."""
    import torch

    from ihcli.derivatives.choosing import choose_engine
    from ihcli.derivatives.paths import Paths
    from ihcli.heads import stabilise
    from ihcli.readers.texts import TextReader, reads_texts

    outputs = torch.zeros(len(probe), dtype=torch.int64, device=probe.device)
    paths = Paths(probe, probe[:1] * 0, outputs, probe.shape[1], None)
    choice = choose_engine(
        stabilise(model, probe).model.outputs,
        paths,
        memory_bytes=PROBE_BYTES,
        unlike_chain=TextReader.unlike_chain if reads_texts(model) else "",
    )
    return f"{choice.engine.name}: {choice.reason}"


def _counted(count: int | None, names: tuple[str, ...] | None) -> str:
    known = "unknown" if count is None else str(count)
    if not names:
        return known
    more = f", ... {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{known}: {', '.join(names[:MOST_NAMES])}{more}"


def _listed(entries: tuple[str, ...]) -> str:
    return ", ".join(entries) or "none"
