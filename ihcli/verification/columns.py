"""Columns of part files: names, order, types and metadata, as run.json says they are."""

import json
from collections.abc import Iterator, Mapping

import pyarrow as pa

from ihcli.quality import ATTRIBUTIONS, INTERACTIONS, ROW, TARGET, UNITS
from ihcli.verification.described import Described

FLOAT_LISTS = (pa.list_(pa.float32()), pa.list_(pa.float64()))
Types = Mapping[str, tuple[pa.DataType, ...]]
"""Types that a column may have, by its name; none where any will do."""


def attribution_columns(run: Described) -> Types:
    """Return the columns of an attributions part in their order."""
    quality = {column.name: (column.arrow_type,) for column in run.columns if column.name not in (ROW, TARGET)}
    if run.features is None:
        # A part of empty texts alone has lists of float32 whatever the dtype.
        values: Types = {UNITS: (pa.list_(pa.string()),), ATTRIBUTIONS: FLOAT_LISTS}
    else:
        values = dict.fromkeys(run.features, (run.float_type,))
    return {**_identity(run), **quality, **values}


def interaction_columns(run: Described) -> Types:
    """Return the columns of an interactions part in their order."""
    units: Types = {UNITS: (pa.list_(pa.string()),)} if run.features is None else {}
    return {**_identity(run), **units, INTERACTIONS: _interaction_types(run)}


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
    if run.features is not None and _names(schema.metadata) != list(run.features):
        yield "feature_names in the metadata that are not those of run.json"


def _identity(run: Described) -> Types:
    return {ROW: (pa.int64(),), **dict.fromkeys(run.keys, ()), TARGET: (pa.string(),)}


def _interaction_types(run: Described) -> tuple[pa.DataType, ...]:
    if run.stores_pairs:
        values = (pa.float32(), pa.float64()) if run.features is None else (run.float_type,)
        return tuple(pa.list_(pa.struct([("i", pa.string()), ("j", pa.string()), ("value", v)])) for v in values)
    if run.features is None:
        return FLOAT_LISTS
    size = len(run.features)
    names = ("feature_i", "feature_j")
    return (pa.fixed_shape_tensor(run.float_type, (size, size), dim_names=names),)


def _names(metadata: Mapping[bytes, bytes] | None) -> object:
    try:
        return json.loads((metadata or {}).get(b"feature_names", b"null"))
    except ValueError:
        return None


def _difference(names: list[str], expected: list[str]) -> str:
    for place, (name, wanted) in enumerate(zip(names, expected, strict=False)):
        if name != wanted:
            return f"column {name!r} at place {place} instead of {wanted!r}"
    return f"{len(names)} columns instead of {len(expected)}"
