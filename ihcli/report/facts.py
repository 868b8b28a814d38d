"""What was run, in words: a run.json as pairs of a label and a value."""

from collections.abc import Iterator
from typing import Any

from ihcli.report.numbers import clipped
from ihcli.results.result import Result
from ihcli.runs.info import RunInfo
from ihcli.runs.told import if_told
from ihcli.vocabulary import Vocabulary

MOST_WARNINGS = 50
MOST_COLUMNS = 12


def facts_of(result: Result) -> list[tuple[str, str]]:
    """Return what run.json tells, as far as it does."""
    return [(label, clipped(str(value))) for label, value in _facts(result) if value not in (None, "", [])]


def warnings_of(result: Result) -> list[str]:
    """Return the warnings of the run."""
    told = if_told(lambda: result.told.warnings) or ()
    found = [clipped(warning, 2_000) for warning in told]
    more = len(found) - MOST_WARNINGS
    return [*found[:MOST_WARNINGS], *([f"And {more} more, in run.json."] if more > 0 else [])]


def _facts(result: Result) -> Iterator[tuple[str, Any]]:
    info, told = result.told, if_told
    yield "Run", result.path
    yield "Method", _joined([result.method, told(lambda: info.method.title)], ": ")
    yield "Model", _joined([told(lambda: info.model.path), told(lambda: info.model.format)])
    yield "Data", _joined([told(lambda: info.data.path), told(lambda: info.data.format)])
    yield "Rows", f"{result.n_rows:,}"
    yield "Features", f"{len(result.feature_names):,}" if result.layout.is_aligned else None
    yield "Categories", _categories(told(lambda: info.vocabulary))
    yield "Texts in column", _joined([told(lambda: info.arguments.text), told(lambda: info.arguments.text_pair)])
    yield "Sequences", told(lambda: _sequence(info))
    yield "Explained by", info.units or told(lambda: info.sequence and info.sequence.units)
    yield "Keys", ", ".join(result.keys)
    yield "Target", told(lambda: info.target)
    yield "Scale", told(lambda: info.scale and f"{info.scale.name}, of a model that ends in {info.scale.ending}")
    yield "Baseline", told(lambda: info.baseline.source)
    yield "Tolerance", info.tolerance_in_words
    yield "Fixed steps", told(lambda: info.arguments.steps)
    yield "Stored interactions", told(lambda: info.arguments.interactions)
    yield "Groups", told(lambda: info.arguments.groups or info.arguments.groups_by)
    yield "Derivatives", told(lambda: info.engine.name)
    yield "Device", _joined([told(lambda: info.device), told(lambda: info.dtype)])
    yield "Started", told(lambda: info.started)
    yield "Took", _seconds(told(lambda: info.totals.wall_s))
    versions = told(lambda: info.versions.content()) or {}
    yield "Versions", ", ".join(f"{name} {number}" for name, number in versions.items())
    yield "Model SHA-256", told(lambda: info.model.sha256)
    yield "Data SHA-256", told(lambda: info.data.sha256)


def _categories(known: Vocabulary | None) -> str | None:
    """Return how many categories each column has, and where they are from."""
    if known is None:
        return None
    counts = [f"{name} {known.size(name)}" for name in known.values]
    more = f", {len(counts) - MOST_COLUMNS} more columns" if len(counts) > MOST_COLUMNS else ""
    return f"{', '.join(counts[:MOST_COLUMNS])}{more} ({known.source})"


def _joined(values: list[Any], separator: str = ", ") -> str:
    return separator.join(str(value) for value in values if value)


def _sequence(info: RunInfo) -> str | None:
    found = info.sequence
    return (
        None
        if found is None
        else f"{found.steps or 'any'} x {found.channels} (steps x channels), columns {found.columns}"
    )


def _seconds(wall_s: float | None) -> str | None:
    return None if wall_s is None else f"{wall_s:,.1f} s"
