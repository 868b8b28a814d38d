"""What run.json tells of several runs: whether they can be compared, and in what they differ."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ihcli.errors import RunError
from ihcli.methods import METHODS
from ihcli.results.result import Result
from ihcli.runs.info import RunInfo
from ihcli.runs.seals import question
from ihcli.runs.told import if_told, plain
from ihcli.scales import MODEL
from ihcli.wording import column_list, listed, printable

MANY_OUTPUTS = ("predicted", "all", "label")
SAME_SETTINGS = "Try ihcli explain of both with the same"
NAMED = {"model sha256": "model", "data sha256": "data", "groups sha256": "file of groups", "method name": "method"}
"""What users call what is told under these names."""
UNTOLD = (
    *("key", "keys", "label", "chunk rows", "features", "target", "groups", "text", "text pair", "method", "limit"),
    *("model outputs", "output names", "data rows", "smooth", "baseline", "model code", "executor", "interactions"),
)
"""What is told by another name as well, must be the same, or does not change values."""


def require_comparable(results: Sequence[Result]) -> None:
    """Raise RunError where two runs differ in what makes their values comparable: units, targets, scale, rows."""
    for result in results:
        if not result.told.is_done:
            raise RunError(
                f"{result.path}: did not finish (status {result.run.status}), so its rows are not all there. "
                "Try the same ihcli explain with `resume`."
            )
    first = results[0]
    for other in results[1:]:
        _require_same_units(first, other)
        _require_same_outputs(first, other)
        _require_same_rows(first, other)


def differences(results: Sequence[Result]) -> tuple[str, ...]:
    """Return in words, setting by setting, in what runs differ that may be compared all the same."""
    asked = [_settings(result.told) for result in results]
    names = list(dict.fromkeys(name for settings in asked for name in settings if name not in UNTOLD))
    told = {name: [_shown(settings.get(name)) for settings in asked] for name in names}
    return tuple(f"{NAMED.get(name, name)}: {', '.join(found)}" for name, found in told.items() if len(set(found)) > 1)


def are_alike_in_size(results: Sequence[Result]) -> bool:
    """Return whether values are of one kind: slopes, per unit of the inputs, or parts of a change in the output."""
    return len({method.is_slope for result in results if (method := METHODS.get(result.method))}) <= 1


def _settings(info: RunInfo) -> dict[str, Any]:
    settings = if_told(partial(question, info)) or {}
    for name, kind in (("model sha256", "model"), ("data sha256", "data")):
        path = if_told(partial(_path_of, info, kind))
        settings[name] = f"{path} ({str(settings.get(name))[:8]})"
    if if_told(partial(_is_drawn, info)):
        settings["baseline sha256"] = f"{info.baseline.source} ({str(settings.get('baseline sha256'))[:8]})"
    return settings


def _path_of(info: RunInfo, kind: str) -> str:
    return str(getattr(info, kind).path)


def _is_drawn(info: RunInfo) -> bool:
    return info.baseline.tells("source")


def _shown(value: Any) -> str:
    return "none" if value is None else printable(str(value))


def _require_same_units(first: Result, other: Result) -> None:
    ours, theirs = first.told, other.told
    if if_told(lambda: ours.units) != if_told(lambda: theirs.units):
        raise _differ(first, other, "units", ours.units or "features", theirs.units or "features", "`units`")
    if set(first.feature_names) != set(other.feature_names):
        lacks, more = _only_in(first, other), _only_in(other, first)
        told = [f"{verb} {listed(names, 3)}" for verb, names in (("lacks", lacks), ("has", more)) if names]
        raise RunError(
            f"{other.path}: explains other features than {first.path}: it {' and '.join(told)}. "
            f"Expected the same features or groups. {SAME_SETTINGS} `features`, `exclude` and `groups`."
        )
    groups = [_members(result) for result in (first, other)]
    if groups[0] != groups[1]:
        name = next(name for name in first.feature_names if groups[0].get(name) != groups[1].get(name))
        members = [column_list(found.get(name, (name,))) for found in groups]
        raise _differ(first, other, f"columns of the group {printable(name)}", members[0], members[1], "`groups`")


def _members(result: Result) -> Mapping[str, tuple[str, ...]]:
    return if_told(lambda: result.told.groups) or {}


def _only_in(one: Result, other: Result) -> list[str]:
    known = frozenset(other.feature_names)
    return [name for name in one.feature_names if name not in known]


def _require_same_outputs(first: Result, other: Result) -> None:
    asks: dict[str, tuple[Callable[[RunInfo], Any], str]] = {
        "scale": (_scale, "`scale`"),
        "target": (lambda info: info.target, "`target`"),
    }
    if if_told(lambda: first.told.target) in MANY_OUTPUTS:
        asks["names of outputs"] = (lambda info: ", ".join(info.model.outputs), "`output_names`")
    for what, (ask, option) in asks.items():
        ours, theirs = (if_told(partial(ask, result.told)) for result in (first, other))
        if ours is not None and theirs is not None and ours != theirs:
            raise _differ(first, other, what, ours, theirs, option)


def _scale(info: RunInfo) -> str:
    return MODEL if info.scale is None else info.scale.name


def _require_same_rows(first: Result, other: Result) -> None:
    if set(first.keys) != set(other.keys):
        names = [", ".join(result.keys) or "none" for result in (first, other)]
        raise _differ(first, other, "key columns", names[0], names[1], "`key`")
    if first.keys:
        return
    ours, theirs = (if_told(partial(_data_sha256, result.told)) for result in (first, other))
    if ours is not None and theirs is not None and ours != theirs:
        raise RunError(
            f"{other.path}: explains other data than {first.path} ({other.told.data.path} and {first.told.data.path}), "
            "and neither has keys to join rows on. Expected the same rows. Try ihcli explain of both with `key`."
        )
    if first.n_rows != other.n_rows:
        raise _differ(first, other, "number of rows", first.n_rows, other.n_rows, "`limit`")


def _data_sha256(info: RunInfo) -> Any:
    return plain(info.data.sha256)


def _differ(first: Result, other: Result, what: str, ours: object, theirs: object, option: str) -> RunError:
    return RunError(
        f"{other.path}: differs from {first.path} in its {what}. Expected {printable(str(ours))}, got "
        f"{printable(str(theirs))}. {SAME_SETTINGS} {option}."
    )
