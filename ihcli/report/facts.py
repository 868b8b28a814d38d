"""What was run, in words: a run.json as pairs of a label and a value."""

from collections.abc import Iterator, Mapping
from typing import Any

from ihcli.report.numbers import clipped
from ihcli.results.result import Result

MOST_WARNINGS = 50


def facts_of(result: Result) -> list[tuple[str, str]]:
    """Return what run.json tells, as far as it does."""
    return [(label, clipped(str(value))) for label, value in _facts(result) if value not in (None, "", [])]


def warnings_of(result: Result) -> list[str]:
    """Return the warnings of the run."""
    found = [clipped(str(warning), 2_000) for warning in result.info.get("warnings") or []]
    more = len(found) - MOST_WARNINGS
    return [*found[:MOST_WARNINGS], *([f"And {more} more, in run.json."] if more > 0 else [])]


def _facts(result: Result) -> Iterator[tuple[str, Any]]:
    info = result.info
    model, data, arguments = _part(info, "model"), _part(info, "data"), _part(info, "arguments")
    yield "Run", result.path
    yield "Method", _joined([result.method, _part(info, "method").get("title")], ": ")
    yield "Model", _joined([model.get("path"), model.get("format")])
    yield "Data", _joined([data.get("path"), data.get("format")])
    yield "Rows", f"{result.n_rows:,}"
    yield "Features", None if result.is_text else f"{len(result.feature_names):,}"
    yield "Texts in column", _joined([arguments.get("text"), arguments.get("text_pair")])
    yield "Explained by", info.get("units")
    yield "Keys", ", ".join(result.keys)
    yield "Target", info.get("target")
    yield "Baseline", _part(info, "baseline").get("source")
    yield "Tolerance", arguments.get("tolerance")
    yield "Fixed steps", arguments.get("steps")
    yield "Stored interactions", arguments.get("interactions")
    yield "Groups", arguments.get("groups") or arguments.get("groups_by")
    yield "Derivatives", _part(info, "engine").get("name")
    yield "Device", _joined([info.get("device"), info.get("dtype")])
    yield "Started", info.get("started")
    yield "Took", _seconds(_part(info, "totals").get("wall_s"))
    yield "Versions", ", ".join(f"{name} {number}" for name, number in _part(info, "versions").items())
    yield "Model SHA-256", model.get("sha256")
    yield "Data SHA-256", data.get("sha256")


def _part(info: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = info.get(name)
    return found if isinstance(found, dict) else {}


def _joined(values: list[Any], separator: str = ", ") -> str:
    return separator.join(str(value) for value in values if value)


def _seconds(wall_s: float | None) -> str | None:
    return None if wall_s is None else f"{wall_s:,.1f} s"
