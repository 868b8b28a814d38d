"""The step from a scikit-learn object that is not read to the network in it, with the table that the network sees."""

from collections.abc import Sequence
from typing import Any

from ihcli.models.advice.places import Found, Place, found_in, last_step, network_step, short
from ihcli.models.estimators.composing import FOLDED, inner_steps
from ihcli.models.estimators.convert import predictor_in, why_unfolded
from ihcli.models.estimators.reading import MOST_STEPS
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import AROUND, TARGET
from ihcli.models.steps import Loader, imports, python_line, quoted
from ihcli.wording import printable

_OF_TARGET = "Its outputs are then the target as the transformer_ scales it"
_CALIBRATED, _OF_CALIBRATED = "CalibratedClassifierCV", "Its outputs are then those before calibration, of one fold"
_MOST_AROUND = 8
_TRANSFORMED = "transformed.csv"


def estimator_step(place: Place, loader: Loader, prelude: Sequence[str] = ()) -> str:
    """Return what to try for an estimator that is, or ends in, a network; `prelude` goes before all."""
    place, has_target = _without_around(place)
    whole = f"joblib.load({quoted(loader.path)}){place.expression}"
    steps = _steps(place.value)
    last = None if steps is None else last_step(place.value)
    told = f" {_OF_TARGET}." if has_target or (last is not None and _without_around(_end(last))[1]) else ""
    if steps is None:
        line = python_line(*prelude, imports("joblib"), f"joblib.dump({whole}, {quoted(loader.written('.joblib'))})")
        return f"try {line}, and {loader.written('.joblib')} as MODEL.{told}"
    return f"{_pipeline_step(whole, steps, place.value, loader, prelude)}{told}"


def is_read_as_it_is(place: Place) -> bool:
    """Return whether the whole file is an estimator that is read, but for something beside its network."""
    return place.found is Found.PREDICTOR and not place.expression and not unfolded(place.value)


def unfolded(record: Record) -> list[str]:
    """Return the steps before a network that no layers stand for, in words: their classes where these tell."""
    found: dict[str, None] = {}
    pending: list[Any] = [_within(record)]
    seen: set[int] = set()
    while pending:
        step = pending.pop()
        if id(step) in seen or not isinstance(step, Record):
            continue
        seen.add(id(step))
        inner = inner_steps(step)
        if step.name not in FOLDED and predictor_in(step) is None:
            found[printable(short(step), 60)] = None
        pending += reversed(inner)
    reason = None if found or predictor_in(record) is None else why_unfolded(record)
    return [*found] if reason is None else [reason]


def caveat(names: Any) -> str:
    """Return what is lost with a wrapper of one of these names, as a sentence, or nothing."""
    return f" {_OF_CALIBRATED}." if any(name.endswith(f".{_CALIBRATED}") for name in names) else ""


def _within(record: Record) -> Record:
    """Return the estimator that others are around."""
    for _ in range(_MOST_AROUND):
        inner = record.attributes.get(AROUND.get(record.name, ""))
        if not isinstance(inner, Record):
            break
        record = inner
    return record


def _end(record: Record) -> Place:
    return Place("", record, Found.PREDICTOR)


def _network_step(pipeline: Record) -> tuple[str, Record] | None:
    """Return the network that a pipeline ends in, out of what is around it and not read, and its place there."""
    last = last_step(pipeline)
    if last is not None and last.name in AROUND:
        inner, _ = _without_around(_end(last))
        return inner.expression, inner.value
    return network_step(pipeline)


def _without_around(place: Place) -> tuple[Place, bool]:
    """Return what stands within an estimator that is not read, and whether its target was transformed."""
    has_target = False
    for _ in range(_MOST_AROUND):
        inner = place.value.attributes.get(AROUND.get(place.value.name, ""))
        if place.value.name not in AROUND or not isinstance(inner, Record) or why_unfolded(place.value) is None:
            break
        has_target |= place.value.name == TARGET
        place = Place(f"{place.expression}.{AROUND[place.value.name]}", inner, place.found)
    return place, has_target


def _pipeline_step(whole: str, steps: list[Any], pipeline: Record, loader: Loader, prelude: Sequence[str]) -> str:
    """Split a pipeline behind the last step that is not folded in: the table passes through what is before it."""
    last = last_step(pipeline)
    is_torch = last is not None and found_in(last) is Found.SKORCH
    found = None if is_torch else _network_step(pipeline)
    n_before = len(steps) - 1 if found is None else _count_before(steps, found[1] if found[0] else steps[-1])
    statements, packages = [f"p = {whole}"], ["joblib"]
    if n_before:
        packages.append("pandas")
        names = ", columns=h.get_feature_names_out()" if _are_named(steps[:n_before]) else ""
        columns = "[p.feature_names_in_]" if "feature_names_in_" in _attributes(steps[0]) else ""
        statements += [
            f"h = p[:{n_before}]",
            f'x = h.transform(pandas.read_csv("DATA.csv"){columns})',
            f'pandas.DataFrame(getattr(x, "toarray", lambda: x)(){names}).to_csv({quoted(_TRANSFORMED)}, index=False)',
        ]
    suffix = ".pt" if is_torch else ".joblib"
    if is_torch:
        packages.append("torch")
        statements.append(f"torch.jit.script(p[-1].module_.eval()).save({quoted(loader.written(suffix))})")
    else:
        statements += _network_saved(pipeline, n_before, quoted(loader.written(suffix)))
    line = python_line(*prelude, imports(*packages), *statements)
    if not n_before:
        return f"try {line}, and {loader.written(suffix)} as MODEL."
    return (
        f"try, with your table as DATA.csv, {line}, then {loader.written(suffix)} as MODEL and {_TRANSFORMED} as DATA; "
        "`groups` or `groups_by` make one feature of the columns that came of one."
    )


def _network_saved(pipeline: Record, n_before: int, target: str) -> list[str]:
    """Return the statements that save what is left, the network itself in place of what is wrapped around it."""
    found = _network_step(pipeline)
    inner = found[0] if found else ""
    statements = [f'p.steps[-1] = ("network", p[-1]{inner})'] if inner else []
    rest = f"p[{n_before}:]" if n_before else "p"
    return [*statements, f"joblib.dump({rest}, {target})"]


def _count_before(steps: list[Any], network: Record) -> int:
    """Return behind how many steps all others are folded in."""
    if len(steps) > MOST_STEPS:
        return len(steps) - 1
    counts = range(len(steps))
    rest = (Record("Pipeline", {"steps": [("", step) for step in [*steps[n:-1], network]]}) for n in counts)
    return next((n for n, pipeline in zip(counts, rest, strict=True) if why_unfolded(pipeline) is None), len(steps) - 1)


def _steps(record: Record) -> list[Any] | None:
    """Return the steps of a pipeline, or None where it is none, or is read as it is."""
    if short(record) != "Pipeline":
        return None
    is_read = predictor_in(record) is not None and why_unfolded(record) is None
    return None if is_read else [step for _, step in record.attributes["steps"]]


def _attributes(step: Any) -> dict[str, Any]:
    return step.attributes if isinstance(step, Record) else {}


def _are_named(steps: Any) -> bool:
    """Return whether all steps, those within them as well, can tell what their outputs are called."""
    pending, seen = [steps], set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Record):
            is_own = "." in value.name and value.name.partition(".")[0] not in ("sklearn", "numpy")
            if is_own or short(value) == "FunctionTransformer":
                return False
            pending += [part for name, part in value.attributes.items() if name.startswith(("steps", "transformer"))]
        elif isinstance(value, (list, tuple)):
            pending += value
    return True
