"""Runs that a mean can be of, and what run.json tells of it."""

import hashlib
from collections.abc import Sequence
from functools import partial

from ihcli.errors import RunError
from ihcli.files.locations import Location, locate
from ihcli.methods import KEEPS, LINEARITY
from ihcli.results.comparing.differences import require_comparable
from ihcli.results.result import Result
from ihcli.runs.baselines import BaselineInfo
from ihcli.runs.info import RUNNING, ModelInfo, Origin, RunInfo
from ihcli.runs.members import MemberInfo
from ihcli.runs.seals import question_sha256
from ihcli.runs.told import UNTOLD, if_told
from ihcli.wording import printable

OF_ONE_RUN = ("shard", "resumed", "finished", "error", "failed_chunks", "totals", "sha256", "shards")


def require_mean(results: Sequence[Result], out: Location) -> None:
    """Raise RunError where runs have no mean: other methods, other baselines of other models, excerpts of pairs."""
    require_comparable(results)
    for result in results:
        if locate(out) == locate(result.path):
            raise RunError(f"{out}: is one of the runs. Expected another directory. Try another `out`.")
        if result.told.second_order and not result.stores_matrices:
            raise RunError(
                f"{result.path}: stores no matrices, so that pairs have no mean over runs. Expected all interactions. "
                "Try ihcli explain with `interactions=full`."
            )
        if if_told(partial(_target, result)) == "predicted" and len(result.targets) > 1:
            raise RunError(
                f"{result.path}: explains the class that its model predicts, which differs from model to model. "
                "Expected a target that all have. Try ihcli explain of all with `target=all`, or one output."
            )
    first = results[0]
    for other in results[1:]:
        _require_same(first, other, "method", first.method, other.method, "Expected runs of one method.")
        _require_same_baseline(first, other)


def doubts_of_mean(results: Sequence[Result]) -> tuple[str, ...]:
    """Return why the mean of values is not the value of the mean, as a sentence; nothing where it is."""
    method = results[0].method
    if LINEARITY in KEEPS.get(method, frozenset()):
        return ()
    return (
        f"{method} is not known to be linear in the model: this is the mean of what it gives of each, not what it "
        "would give of the mean of their outputs.",
    )


def described_as_mean(results: Sequence[Result], out: Location, chunk_rows: int, now: str) -> RunInfo:
    """Return the run.json of a mean of runs that is being written: the first one's, but for what they differ in."""
    infos = [result.told for result in results]
    first = infos[0]
    tolerances = {info.tolerance for info in infos}
    arguments = first.arguments
    if len(tolerances) > 1:
        arguments = arguments.but(tolerance=max(tolerance or 0.0 for tolerance in tolerances))
    dtypes = {info.dtype for info in infos}
    are_smoothed = all(info.smoothing is not None for info in infos)
    origins = {name: _absolute(origin) for name, origin in first.origins.items() if name != "model"}
    return first.but(
        status=RUNNING,
        started=now,
        arguments=arguments.but(code=None, code_args=None, code_weights=None),
        model=_model(infos),
        origins=origins,
        members=tuple(_member(result) for result in results),
        smoothing=first.smoothing if are_smoothed else None,
        dtype=first.dtype if len(dtypes) == 1 else "float64",
        chunk_rows=min(first.chunk_rows, chunk_rows),
        warnings=tuple(dict.fromkeys((*doubts_of_mean(results), *(told for info in infos for told in info.warnings)))),
        baseline=_baselines(infos),
        **dict.fromkeys(OF_ONE_RUN, UNTOLD),
    )


def _model(infos: Sequence[RunInfo]) -> ModelInfo:
    """Return what is told of the models; of one that was in memory nobody knows whether it is another's."""
    models = list({_sha256(info) or f"{place}": info.model for place, info in enumerate(infos)}.values())
    if len(models) == 1:
        return models[0].but(code=UNTOLD)
    known = [model.sha256 for model in models if model.tells("sha256")]
    joined = hashlib.sha256("".join(known).encode()).hexdigest()
    return ModelInfo(
        path=", ".join(model.path for model in models),
        sha256=joined if len(known) == len(models) else UNTOLD,
        format=f"mean of {len(models)} models",
        outputs=models[0].outputs,
    )


def _baselines(infos: Sequence[RunInfo]) -> BaselineInfo:
    """Return the first run's baselines, under a SHA-256 of all where they differ, as drawn ones if all are."""
    first = infos[0].baseline
    if not all(info.baseline.population > info.baseline.rows for info in infos):
        first = first.but(population=first.rows)
    found = list(dict.fromkeys(if_told(partial(_baseline, info)) or "" for info in infos))
    return first if len(found) == 1 else first.but(sha256=hashlib.sha256("".join(found).encode()).hexdigest())


def _member(result: Result) -> MemberInfo:
    info = result.told
    sha256 = _sha256(info) or UNTOLD
    return MemberInfo(run=str(result.path), model=info.model.path, sha256=sha256, question=question_sha256(info))


def _sha256(info: RunInfo) -> str | None:
    """Return that of the model's file; None of a model that was in memory."""
    return if_told(lambda: info.model.sha256)


def _absolute(origin: Origin) -> Origin:
    """Return where a file was, but not as seen from the run: the mean lies elsewhere."""
    return origin.but(from_run=UNTOLD)


def _target(result: Result) -> str:
    return result.told.target


def _require_same_baseline(first: Result, other: Result) -> None:
    """Refuse other baselines of other models; of one model, the mean over runs is a mean over more baselines."""
    ours, theirs = first.told, other.told
    if _sha256(ours) is not None and _sha256(ours) == _sha256(theirs):
        return
    told = [if_told(partial(_baseline, info)) for info in (ours, theirs)]
    why = "Expected one baseline, so that the mean is that of the mean network."
    if told[0] != told[1]:
        shown = [f"{info.baseline.source} ({str(found)[:8]})" for info, found in zip((ours, theirs), told, strict=True)]
        _require_same(first, other, "baseline", shown[0], shown[1], why)


def _baseline(info: RunInfo) -> str:
    return info.baseline.sha256


def _require_same(first: Result, other: Result, what: str, ours: str, theirs: str, expected: str) -> None:
    if ours != theirs:
        raise RunError(
            f"{other.path}: differs from {first.path} in its {what}, {printable(theirs)} and {printable(ours)}. "
            f"{expected} Try ihcli explain of both with the same `{what}`."
        )
