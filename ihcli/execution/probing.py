"""What a model is tried on where nothing is explained: rows of a table, a text, or rows that are made up."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ihcli.errors import ModelError
from ihcli.execution.opening import open_records
from ihcli.models import Model
from ihcli.models.checking.failing import fails
from ihcli.models.checking.finite import has_values
from ihcli.models.checking.probing import only_width, random_rows
from ihcli.models.fixed import has_recurrence
from ihcli.models.sequences import Axes, likely_axes
from ihcli.models.signatures import Signature, carried_inputs, features_of, find_signature
from ihcli.openings import Openings, find_openings
from ihcli.readers.opened_tables import OpenedTableReader
from ihcli.readers.opening import inputs_of, opened
from ihcli.readers.texts import embedder_of, reads_texts
from ihcli.runs.request import ParsedRequest

ROWS, ROWS_OF_CODES = 8, 64
PROBE_TEXT = "A film that was not bad at all."
UNTRIED = (
    "The file does not say how many inputs the network takes, so it was not tried. Try with DATA behind it, a table "
    "that it explains."
)


@dataclass(frozen=True)
class Probe:
    """What a model is tried on, and what came of looking at how it takes that.

    model      as a function of inputs that come flat
    inputs     (n, D) of a few records; None: there is nothing to try it on
    names      of the columns
    signature  how columns reach it; None: as one matrix
    openings   what it looks up of them; None: nothing
    axes       how rows are put to it, where it takes sequences
    warnings   why there is less than there could be
    """

    model: Model
    inputs: Tensor | None = None
    names: tuple[str, ...] = ()
    signature: Signature | None = None
    openings: Openings | None = None
    axes: Axes | None = None
    warnings: tuple[str, ...] = ()


def probe_of(model: Model, asked: ParsedRequest | None) -> Probe:
    """Return rows of the data that a request names, else a text or rows that are made up.

    Of the latter, columns that are looked up are codes of the vocabulary, or 0 and 1 without one; others are around the
    network's zero. Cost: calls of the model on a few rows, as `find_openings` takes; where nothing says how many inputs
    there are, one for each number. Raises DataError for a table that cannot be read.
    """
    try:
        if asked is not None:
            return _of_data(model, asked)
        if reads_texts(model):
            embedder = embedder_of(model)
            return Probe(model, embedder.inputs(embedder.encode([PROBE_TEXT])))
        axes = likely_axes(model) if model.n_inputs is None or has_recurrence(model.module) else None
        return _made_up(model) if axes is None else replace(_made_up(axes.of_rows(model)), axes=axes)
    except ModelError as error:
        return Probe(model, warnings=(str(error),))


def _of_data(model: Model, asked: ParsedRequest) -> Probe:
    records = open_records(asked, model, pilot=False)
    called = records.reader.called(model)
    reader = records.reader.on(called)
    encoded = reader.encode(records.survey.sample.values[:ROWS])
    inputs, taken = inputs_of(reader, called, encoded.values[encoded.present]), opened(reader, called)
    has = has_values(taken, inputs)
    return Probe(
        taken,
        inputs[has] if has.any() else inputs,
        records.dataset.columns.features,
        getattr(reader, "signature", None),
        reader.openings if isinstance(reader, OpenedTableReader) else None,
    )


def _made_up(model: Model) -> Probe:
    given = carried_inputs(model)
    width = model.n_inputs if given is None else len(features_of(given))
    if width is None:
        find_signature(model, ("0", "1"), torch.zeros(2, 2, dtype=model.dtype), None)  # which names several arguments
        width = only_width(model)
    if width is None:
        return Probe(model, warnings=(UNTRIED,))
    names = model.feature_names if given is None else features_of(given)
    names = names or tuple(str(place) for place in range(width))
    codes = _codes(model, names)
    signature = find_signature(model, names, codes, given)
    called = model if signature is None else signature.applied(model)
    numbers = random_rows(model, width, ROWS) + torch.tensor(model.zero or (0.0,), dtype=model.dtype)
    found = find_openings(called, codes, names, range(width))
    if found is None:
        rows = codes[:ROWS] if signature is not None and fails(called, numbers) else numbers
        return Probe(called, rows, names, signature)
    rows = codes[:ROWS].clone()
    rows[:, found.numeric] = numbers[:, found.numeric]
    flat, _ = found.flat(found.recording(called), rows)
    return Probe(found.opened(called), flat, names, signature, found)


def _codes(model: Model, names: tuple[str, ...]) -> Tensor:
    """Return rows of whole numbers: of every column that has a vocabulary any of its codes, of others 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    known = model.vocabulary
    sizes = [2 if known is None or name not in known.values else known.size(name) for name in names]
    drawn = [torch.randint(size, (ROWS_OF_CODES,), generator=generator) for size in sizes]
    return torch.stack(drawn, dim=1).to(model.device, model.dtype)
