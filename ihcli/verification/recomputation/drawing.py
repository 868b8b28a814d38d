"""The sampled rows: what the run says of them, and the paths to them as model and data give them."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ihcli.data.baselines import is_file
from ihcli.data.formats.opening import open_table
from ihcli.data.rows import Chunk
from ihcli.derivatives.paths import Paths
from ihcli.errors import ModelError, OptionError, RunError
from ihcli.execution.preparation import PreparedRun, prepare_run
from ihcli.execution.refusals import parse
from ihcli.explainers.explainer import Explainer
from ihcli.files.locations import Location, is_reachable, locate
from ihcli.readers.opening import paths_to
from ihcli.results.records import Record
from ihcli.results.result import Result
from ihcli.runs.info import RunInfo
from ihcli.runs.origins import places_of, there
from ihcli.runs.request import ParsedRequest, RunRequest
from ihcli.runs.told import if_told
from ihcli.verification.described import Described
from ihcli.vocabulary import Vocabulary
from ihcli.wording import listed, printable, quoted


@dataclass(frozen=True)
class Question:
    """What a run is held against, and how many of its rows, drawn with which seed.

    axioms  whether the method is held to the axioms, too
    code  what makes the network of a model that holds weights alone; none that run.json names is ever run
    """

    model: str
    data: str
    sample: int = 20
    seed: int = 0
    trust: bool = False
    code: str | None = None
    axioms: bool = False

    def require_files(self) -> None:
        """Raise ModelError or DataError where there is no model or no table."""
        if not locate(self.model).exists():
            raise ModelError(f"{self.model}: no such file. Expected the model that the run was made from.")
        open_table(self.data)

    def require_code(self, info: RunInfo) -> None:
        """Raise OptionError where a run was made with code that nobody named here, or without any."""
        begun = if_told(lambda: info.arguments.code)
        if begun is not None and self.code is None:
            raise OptionError(
                f"`code`: is not given, but the run was made with {quoted(begun)}. What a run.json names is never "
                f"run. Try the same command with `code={shlex.quote(printable(begun, None))}` if you know that file."
            )
        if begun is None and self.code is not None:
            raise OptionError("`code`: is given, but the run was made without code. Try without `code`.")


@dataclass(frozen=True)
class Drawn:
    """One entry of the run, and what model and data say of its row.

    keys      of the data's row
    paths     to the row, in the precision of the recomputation; None where the row has missing inputs
    expected  index of the output that the question asks for, by the outputs (K,) of the model as it came
    units     of a text, None for a table
    """

    record: Record
    keys: dict[str, Any]
    paths: Paths | None
    outputs: np.ndarray
    expected: int
    units: tuple[str, ...] | None

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"row {self.record.row}, target {self.record.target}"


def prepare(run: Described, question: Question, path: Location) -> PreparedRun:
    """Open model and data as the run did, in float64 where the model can be computed in it.

    Raises what `prepare_run` raises.
    """
    try:
        return _prepared(run, question, path, "float64")
    except ModelError:
        if run.dtype == "float64":
            raise
        return _prepared(run, question, path, run.dtype)  # weights that are constants of a graph keep their dtype


def reopen(run: Described, question: Question, path: Location) -> PreparedRun:
    """Open model and data as the run did, to explain by its own settings; raises what `prepare_run` raises."""
    return prepare_run(asked_again(run, question, path))


def asked_again(run: Described, question: Question, path: Location) -> ParsedRequest:
    """Return what the run was asked, of model and data as they are named here, with all that it settled."""
    return _parsed(run, replace(_request(run, question, path), dtype=run.dtype))


def _prepared(run: Described, question: Question, path: Location, dtype: str) -> PreparedRun:
    request = replace(
        _request(run, question, path),
        dtype=dtype,
        engine_derivatives="autograd",
        steps=None,
        max_evaluations=None,
    )
    return prepare_run(_parsed(run, request))


def _parsed(run: Described, request: RunRequest) -> ParsedRequest:
    """Read a request, with as many baselines as the run settled on, and the categories that it tells."""
    thins = run.info.baseline.drawn_from is not None
    return replace(parse(request), sampling=run.info.sampling, thins=thins, known=_stated(run))


def _stated(run: Described) -> Vocabulary | None:
    """Return the categories that were stated, as run.json tells them; their file need not be there any more."""
    told, was_asked = run.info.categories, run.info.arguments.categories is not None
    return told.stated() if told is not None and was_asked else None


def _place_of(run: Described, name: str, path: Location, question: Question) -> str:
    """Return where a file that the run was asked with is now; where it was, if it is nowhere."""
    places = places_of(run.info, name, path)
    return next(there(places, question.data), places[-1])


def _request(run: Described, question: Question, path: Location) -> RunRequest:
    """Return what the run was asked, with what it settled, and files where they are now."""
    request = run.info.arguments
    if request.others:
        raise RunError(f"run.json: holds arguments of another version of ihcli: {listed(sorted(request.others))}.")
    for what, place in (("baselines", request.baseline), ("groups", request.groups)):
        if place is not None and not is_reachable(place, question.data):
            raise RunError(f"run.json: names {what} on another store than DATA, {place}. Expected a path.")
    if is_file(request.baseline):
        request = replace(request, baseline=_place_of(run, "baseline", path, question))
    if request.groups is not None:
        request = replace(request, groups=_place_of(run, "groups", path, question))
    smoothing = run.info.smoothing
    return replace(
        request.of_run(run.outputs),
        model=question.model,
        data=question.data,
        categories=None,
        device="auto",
        smooth="none" if smoothing is None else repr(smoothing.beta),
        smooth_stable=None,
        memory_bytes=None,
        trust=question.trust,
        code=question.code,
    )


def draw(result: Result, run: Described, prepared: PreparedRun, question: Question) -> list[Drawn]:
    """Draw rows uniformly, and one target of each; raises what reading the run, the data or the texts raises."""
    rng = np.random.default_rng(question.seed)
    rows = np.sort(rng.choice(run.rows, min(question.sample, run.rows), replace=False))
    drawn = []
    for chunk, place in _chosen(prepared, rows):
        records = result.records(chunk.first_row + place)
        drawn.append(_drawn(records[rng.integers(len(records))], run, prepared.explainer, chunk.rows(place, place + 1)))
    return drawn


def _chosen(prepared: PreparedRun, rows: np.ndarray) -> Iterator[tuple[Chunk, int]]:
    """Give the chunk of every row, and its place in it; reads no further than the last row."""
    for chunk in prepared.chunks():
        for row in rows[(rows >= chunk.first_row) & (rows < chunk.first_row + len(chunk))]:
            yield chunk, int(row) - chunk.first_row
        if chunk.first_row + len(chunk) > rows[-1]:
            return


def _drawn(record: Record, run: Described, explainer: Explainer, chunk: Chunk) -> Drawn:
    names = explainer.target.names
    output = names.index(record.target) if record.target in names else 0
    paths, units = _paths(explainer, chunk.inputs, output, run)
    outputs = np.full((1, len(names)), np.nan)
    if paths is not None:
        outputs = explainer.outputs(paths.inputs)
    _, expected = explainer.target.select(outputs, chunk.labels, chunk.first_row)
    place = output if run.target == "all" else int(expected[0])
    keys = {name: chunk.keys[name][0].as_py() for name in chunk.keys.column_names}
    return Drawn(record, keys, paths, outputs[0], place, units)


def _paths(
    explainer: Explainer, inputs: np.ndarray, output: int, run: Described
) -> tuple[Paths | None, tuple[str, ...] | None]:
    """Return the paths to a row as the run saw its numbers, and the units that are its own."""
    reader, encoded = explainer.reader.rounded(run.dtype), explainer.reader.encode(inputs)
    if not encoded.present.all():
        return None, None
    paths = paths_to(reader, explainer.model, encoded.values, np.array([output]))
    return paths, reader.own_units(encoded.values)[0] if reader.units is None else None
