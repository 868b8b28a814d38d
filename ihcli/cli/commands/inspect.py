"""`ihcli inspect`: what the loader sees in a model file."""

from typing import TYPE_CHECKING

import click

from ihcli.cli import process
from ihcli.cli.asking.computation import debug_option
from ihcli.cli.asking.options import CODE, CODE_ARGS, CODE_WEIGHTS, TRUST
from ihcli.cli.asking.sections import OPTIONS, SETTINGS, SectionedCommand, option
from ihcli.cli.showing.terminal import tell
from ihcli.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from ihcli.models import Model
    from ihcli.models.sequences import Axes

PROBE_ROWS, SEED = 8, 0
CODED_ROWS = 64
PROBE_BYTES = 64 << 20
PROBE_TEXT = "A film that was not bad at all."
MOST_NAMES = 6
UNTRIED = "The file does not say how many inputs the network takes, so it was not tried."


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Show what a model file holds.")
@click.argument("model")
@CODE.declare(OPTIONS)
@CODE_ARGS.declare(OPTIONS)
@CODE_WEIGHTS.declare(OPTIONS)
@TRUST.declare(OPTIONS)
@option("--layers", is_flag=True, help="List the names that --layer of ihcli explain takes, and nothing else.")
@debug_option
def inspect(
    model: str, code: str | None, code_args: str | None, code_weights: str | None, trust: bool, layers: bool
) -> None:
    """Show what MODEL is: format, inputs, outputs, activations, what SoftPlus would replace, and warnings.

    No data is needed: where the file says how many inputs the network takes, it is tried on random rows; a text
    classifier is tried on a short text, which shows how its tokenizer cuts words.
    """
    from ihcli.execution.refusals import require_code, require_model

    require_model(model)  # before torch is imported, which takes seconds
    require_code(code, code_args, code_weights)
    with process.ended_when_stuck():
        process.give_up_writing(trust)
        from ihcli.models import load_model

        loaded = load_model(model, trust=trust, code=code, code_args=code_args, code_weights=code_weights)
        if layers:
            _tell_layers(loaded)
            return
        for name, finding in _findings(loaded):
            tell(f"{name:22}{finding}")


def _tell_layers(model: "Model") -> None:
    from ihcli.openings.layers import layer_names

    for name in layer_names(model):
        tell(name)


def _findings(model: "Model") -> list[tuple[str, str]]:
    from ihcli.smoothing import find_operations

    axes = _axes(model)
    model = model if axes is None else axes.of_rows(model)
    probe = _probe(model)
    tried, probe, looked_up = (model, None, []) if probe is None else _opened(model, probe)
    n_outputs, warnings = (None, (UNTRIED,)) if probe is None else _try(tried, probe)
    engine = "autograd" if probe is None or n_outputs is None else _engine(tried, probe)
    # Without a count of outputs the model failed on the rows, and would fail again.
    operations = find_operations(tried, None if n_outputs is None else probe)
    return [
        ("Format", model.format),
        *_code(model),
        *(_inputs(model) if axes is None else [("Inputs", axes.in_words())]),
        *looked_up,
        ("Outputs", _counted(n_outputs, model.output_names)),
        ("Precision", str(model.dtype).removeprefix("torch.")),
        ("Activations", _listed(operations.activations)),
        ("Replaced by SoftPlus", _listed(operations.replaceable)),
        ("Kinks that remain", _listed(operations.kinks)),
        ("Derivative engine", engine),
        *(("Warning", warning) for warning in (*model.notes, *warnings)),
    ]


def _axes(model: "Model") -> "Axes | None":
    """Return how sequences are put to the network, where it takes these in place of rows."""
    from ihcli.models.fixed import has_recurrence
    from ihcli.models.sequences import likely_axes
    from ihcli.readers.texts import reads_texts

    if reads_texts(model) or not (model.n_inputs is None or has_recurrence(model.module)):
        return None
    return likely_axes(model)


def _code(model: "Model") -> list[tuple[str, str]]:
    """Return what of the user's own code was run."""
    if model.code is None:
        return []
    files = [f"{name} (SHA-256 {sha256[:12]})" for name, sha256 in model.code.files.items()]
    return [("Code run", _listed(tuple(files[:MOST_NAMES]))), ("Arguments", model.code.arguments or "none")]


def _inputs(model: "Model") -> list[tuple[str, str]]:
    """Return what the network takes: numbers, or texts and how they are cut."""
    from ihcli.readers.texts import embedder_of, reads_texts

    if not reads_texts(model):
        return [("Inputs", _counted(model.n_inputs, model.feature_names)), *_categories(model)]
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


def _probe(model: "Model") -> "Tensor | None":
    """Return a text, or random rows around the network's zero, or None where the number of inputs is unknown."""
    import torch

    from ihcli.readers.texts import embedder_of, reads_texts

    if reads_texts(model):
        return embedder_of(model).inputs(embedder_of(model).encode([PROBE_TEXT]))
    if model.n_inputs is None:
        return None
    n_rows, generator = PROBE_ROWS if model.vocabulary is None else CODED_ROWS, torch.Generator().manual_seed(SEED)
    rows = torch.randn(n_rows, model.n_inputs, generator=generator, dtype=model.dtype)
    rows += torch.tensor(model.zero or (0.0,), dtype=model.dtype)
    for place, name in enumerate(model.feature_names or ()):
        if model.vocabulary is not None and name in model.vocabulary.values:
            rows[:, place] = torch.randint(model.vocabulary.size(name), (n_rows,), generator=generator).to(rows)
    return rows


def _opened(model: "Model", probe: "Tensor") -> "tuple[Model, Tensor, list[tuple[str, str]]]":
    """Return the model as a function of what it looks codes up as, rows of that, and what it looks up."""
    import torch

    from ihcli.openings import find_openings

    if model.vocabulary is None or model.feature_names is None:
        return model, probe, []
    found = find_openings(model, probe, model.feature_names, range(probe.shape[1]))
    if found is None:
        return model, probe, []
    with torch.no_grad():
        flat, _ = found.flat(found.recording(model), probe)
    told = [("Looked up", f"{_listed(each['columns'])}: as {each['width']} numbers") for each in found.description()]
    return found.opened(model), flat, told


def _try(model: "Model", probe: "Tensor") -> tuple[int | None, tuple[str, ...]]:
    """Return how many outputs there are, and what the checks before a run have to say."""
    from ihcli.heads import stabilise
    from ihcli.models.checking.preflight import check_derivatives, check_values

    try:
        checks = check_values(model, probe)
        stable = stabilise(model, probe)
        warnings = check_derivatives(stable.model, probe, checks.n_outputs, True, bool(stable.unknown))
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
