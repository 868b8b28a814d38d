"""Columns of part files: names, order, types and metadata, as run.json says they are."""

import json
from collections.abc import Iterator, Mapping

import pyarrow as pa

from ihcli.layouts.layout import Types
from ihcli.quality import FIGURES, ROW, TARGET
from ihcli.verification.described import Described


def attribution_columns(run: Described) -> Types:
    """Return the columns of an attributions part in their order."""
    quality = {column.name: (column.arrow_type,) for column in run.columns if column in FIGURES}
    values = run.layout.attribution_types(run.float_type)
    return {**_identity(run), **quality, **values}


def interaction_columns(run: Described) -> Types:
    """Return the columns of an interactions part in their order."""
    values = run.layout.interaction_types(run.float_type, pairs=run.stores_pairs, beside=run.beside_pairs)
    return {**_identity(run), **values}


def faults_of(schema: pa.Schema, expected: Types, run: Described) -> Iterator[str]:
    """Give what is wrong with the columns of a part."""
    if schema.names != list(expected):
        yield _difference(schema.names, list(expected))
        return
    for field in schema:
        types = expected[field.name]
        if types and field.type not in types:
            yield f"column {field.name!r} of {field.type} instead of {' or '.join(map(str, types))}"
        told = field.metadata or {}
        if not (told.get(b"definition") and told.get(b"unit")):
            yield f"column {field.name!r} without definition and unit"
    for name, value in run.layout.metadata.items():
        if _told(schema.metadata, name) != value:
            yield f"{name} in the metadata that are not those of run.json"


def _identity(run: Described) -> Types:
    return {ROW: (pa.int64(),), **dict.fromkeys(run.keys, ()), TARGET: (pa.string(),)}


def _told(metadata: Mapping[bytes, bytes] | None, name: str) -> object:
    try:
        return json.loads((metadata or {}).get(name.encode(), b"null"))
    except ValueError:
        return None


def _difference(names: list[str], expected: list[str]) -> str:
    for place, (name, wanted) in enumerate(zip(names, expected, strict=False)):
        if name != wanted:
            return f"column {name!r} at place {place} instead of {wanted!r}"
    return f"{len(names)} columns instead of {len(expected)}"
