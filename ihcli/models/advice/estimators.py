"""The step from a scikit-learn object that is not read to the network in it, with the table that the network sees."""

from typing import Any

from ihcli.models.advice.places import Found, Place, found_in, last_step, network_step, short
from ihcli.models.pickles import scikit_learn
from ihcli.models.pickles.allow_list import Record
from ihcli.models.steps import Loader, imports, python_line, quoted

_CAVEATS = {
    "TransformedTargetRegressor": "Its outputs are then the target as the transformer_ scales it",
    "CalibratedClassifierCV": "Its outputs are then those before calibration, of one fold",
}
_TRANSFORMED = "transformed.csv"


def estimator_step(place: Place, loader: Loader) -> str:
    """Return what to try for an estimator that is, or ends in, a network."""
    whole = f"joblib.load({quoted(loader.path)}){place.expression}"
    steps = _steps(place.value)
    if steps is None:
        line = python_line(imports("joblib"), f"joblib.dump({whole}, {quoted(loader.written('.joblib'))})")
        return f"try {line}, and {loader.written('.joblib')} as MODEL."
    return _pipeline_step(whole, steps, place.value, loader)


def is_read_as_it_is(place: Place) -> bool:
    """Return whether the whole file is an estimator that is read, but for something beside its network."""
    return place.found is Found.NETWORK and not place.expression and _steps(place.value) is None


def caveat(names: Any) -> str:
    """Return what is lost with a wrapper of one of these names, as a sentence, or nothing."""
    told = [sentence for name, sentence in _CAVEATS.items() if any(each.endswith(f".{name}") for each in names)]
    return "".join(f" {sentence}." for sentence in told)


def _pipeline_step(whole: str, steps: list[Any], pipeline: Record, loader: Loader) -> str:
    """Split a pipeline behind the last step that is not folded in: the table passes through what is before it."""
    last = last_step(pipeline)
    is_torch = last is not None and found_in(last) is Found.SKORCH
    n_before = len(steps) - 1 if is_torch else _count_before(steps)
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
    line = python_line(imports(*packages), *statements)
    if not n_before:
        return f"try {line}, and {loader.written(suffix)} as MODEL."
    return (
        f"try, with your table as DATA.csv, {line}, then {loader.written(suffix)} as MODEL and {_TRANSFORMED} as DATA; "
        "`groups` or `groups_by` make one feature of the columns that came of one."
    )


def _network_saved(pipeline: Record, n_before: int, target: str) -> list[str]:
    """Return the statements that save what is left, the network itself in place of what is wrapped around it."""
    found = network_step(pipeline)
    inner = found[0] if found else ""
    statements = [f'p.steps[-1] = ("network", p[-1]{inner})'] if inner else []
    rest = f"p[{n_before}:]" if n_before else "p"
    return [*statements, f"joblib.dump({rest}, {target})"]


def _count_before(steps: list[Any]) -> int:
    """Return how many steps end with the last that is not folded in."""
    unread = [index for index, step in enumerate(steps[:-1]) if not scikit_learn.is_scaler(step)]
    return unread[-1] + 1 if unread else 0


def _steps(record: Record) -> list[Any] | None:
    """Return the steps of a pipeline, or None where it is none, or is read as it is."""
    if short(record) != "Pipeline":
        return None
    steps = [step for _, step in record.attributes["steps"]]
    found = network_step(record)
    is_read = _count_before(steps) == 0 and found is not None and not found[0] and found_in(steps[-1]) is Found.NETWORK
    return None if is_read else steps


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
