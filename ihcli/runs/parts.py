"""Explanations as Arrow tables: the columns of a part file, with their units and definitions."""

import json
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.explanation import AnyExplanation, Explanation, TextExplanation
from ihcli.files.arrays import numbers, strings
from ihcli.quality import (
    ATTRIBUTIONS,
    COLUMNS,
    INTERACTIONS,
    OUTPUT_UNIT,
    ROW,
    TARGET,
    UNITS,
    QualityColumn,
    field_metadata,
)
from ihcli.runs.seals import QUESTION
from ihcli.runs.storage import InteractionStorage

FULL_DEFINITION = "Gamma (G x G, symmetric): rows sum to the attributions; main effect Gamma_gg"
TEXT_DEFINITION = "Gamma (n x n over the units, symmetric, row-major): rows sum to the attributions"
TOP_DEFINITION = "the pairs i < j of largest |pair effect|, largest first; value = Gamma_ij + Gamma_ji"
MOST_LISTED = (1 << 31) - 1  # values in the lists of one column: Arrow's offsets have 32 bits
IDENTITY = (ROW, TARGET)
SPARSE = 16  # one of so many pair effects tells how large the largest are at least


def attributions_table(explanation: AnyExplanation, keys: pa.Table, question: str | None = None) -> pa.Table:
    """Return the attributions part: who the row is, how well it was explained, and one column per feature or group.

    Of texts, `units` and `attributions` are lists instead.

    Parameters:
        keys: one row of key columns for every data row of the explanation, in row order.
        question: SHA-256 of what was asked, which the part keeps.
    """
    is_empty = ~explanation.has_values
    fields, columns = _identity(explanation, keys)
    for column in COLUMNS:
        values: np.ndarray | None = getattr(explanation, column.attribute)
        if values is not None and column.name not in IDENTITY:
            fields.append(_field(column, values))
            columns.append(_stored(column, values, is_empty))
    if isinstance(explanation, TextExplanation):
        definition = field_metadata("attribution phi of each unit", OUTPUT_UNIT)
        added = [_units(explanation, is_empty), _lists(ATTRIBUTIONS, explanation.attributions, is_empty, definition)]
    else:
        added = _feature_columns(explanation, is_empty)
    return _table(
        [*fields, *(field for field, _ in added)], [*columns, *(column for _, column in added)], explanation, question
    )


def interactions_table(
    explanation: AnyExplanation, keys: pa.Table, storage: InteractionStorage, question: str | None = None
) -> pa.Table | None:
    """Return the interactions part, or None where there are no interactions or none are stored."""
    if explanation.interactions is None or storage.kind == "none":
        return None
    fields, columns = _identity(explanation, keys)
    is_empty = ~explanation.has_values
    if isinstance(explanation, TextExplanation):
        added = [_units(explanation, is_empty), _text_interactions(explanation, is_empty, storage)]
    else:
        added = [_interactions(explanation, explanation.interactions, is_empty, storage)]
    return _table(
        [*fields, *(field for field, _ in added)], [*columns, *(column for _, column in added)], explanation, question
    )


def _feature_columns(explanation: Explanation, is_empty: np.ndarray) -> list[tuple[pa.Field, pa.Array]]:
    added = []
    for i, name in enumerate(explanation.feature_names):
        values = explanation.attributions[:, i]
        type_ = pa.from_numpy_dtype(values.dtype)
        field = pa.field(name, type_, metadata=field_metadata(f"attribution phi of {name}", OUTPUT_UNIT))
        added.append((field, _numbers(values, is_empty)))
    return added


def _interactions(
    explanation: Explanation, matrices: np.ndarray, is_empty: np.ndarray, storage: InteractionStorage
) -> tuple[pa.Field, pa.Array]:
    if storage.kind == "full":
        column, definition = _tensors(matrices, is_empty), FULL_DEFINITION
    else:
        column, definition = _top_pairs(explanation, is_empty, storage.top), TOP_DEFINITION
    metadata = field_metadata(definition, OUTPUT_UNIT) | {"feature_names": json.dumps(explanation.feature_names)}
    return pa.field(INTERACTIONS, column.type, metadata=metadata), column


def _units(explanation: TextExplanation, is_empty: np.ndarray) -> tuple[pa.Field, pa.Array]:
    units = [None if empty else list(names) for names, empty in zip(explanation.units, is_empty, strict=True)]
    metadata = field_metadata("words or tokens of the text, in reading order")
    return pa.field(UNITS, pa.list_(pa.string()), metadata=metadata), pa.array(units, pa.list_(pa.string()))


def _text_interactions(
    explanation: TextExplanation, is_empty: np.ndarray, storage: InteractionStorage
) -> tuple[pa.Field, pa.Array]:
    matrices = explanation.interactions
    if matrices is None:
        raise ValueError("no interactions to store")
    if storage.kind == "full":
        return _lists(INTERACTIONS, matrices, is_empty, field_metadata(TEXT_DEFINITION, OUTPUT_UNIT))
    pairs = [
        None if empty else _top_text_pairs(names, gamma, storage.top)
        for names, gamma, empty in zip(explanation.units, matrices, is_empty, strict=True)
    ]
    value = pa.float64() if _float_type(matrices) == np.float64 else pa.float32()
    type_ = pa.list_(pa.struct([("i", pa.string()), ("j", pa.string()), ("value", value)]))
    return pa.field(INTERACTIONS, type_, metadata=field_metadata(TOP_DEFINITION, OUTPUT_UNIT)), pa.array(pairs, type_)


def _top_text_pairs(units: tuple[str, ...], gamma: np.ndarray, top: int) -> list[dict[str, object]]:
    first, second = np.triu_indices(len(units), 1)
    effects = gamma[first, second] + gamma[second, first]
    chosen = np.argsort(-np.abs(effects), kind="stable")[:top]
    return [{"i": units[first[k]], "j": units[second[k]], "value": float(effects[k])} for k in chosen]


def _lists(
    name: str, arrays: np.ndarray, is_empty: np.ndarray, metadata: Mapping[str, str]
) -> tuple[pa.Field, pa.Array]:
    """Return a column of one list per entry, of arrays of any shape (row-major), null where there is none."""
    kept = [np.ravel(values) for values, empty in zip(arrays, is_empty, strict=True) if not empty]
    sizes = np.zeros(len(arrays), np.int64)
    sizes[~is_empty] = [len(values) for values in kept]
    if sizes.sum() > MOST_LISTED:
        raise RunError(
            f"{name}: one part would hold {sizes.sum()} values. Expected at most {MOST_LISTED}. "
            "Try a smaller `chunk_rows`, or `interactions=top:K`."
        )
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    values = pa.array(np.concatenate([*kept, np.zeros(0, _float_type(arrays))]))
    column = pa.ListArray.from_arrays(offsets, values, mask=pa.array(is_empty) if is_empty.any() else None)
    return pa.field(name, column.type, metadata=metadata), column


def _float_type(arrays: np.ndarray) -> type[np.floating]:
    return next((values.dtype.type for values in arrays if values is not None), np.float32)


def _identity(explanation: AnyExplanation, keys: pa.Table) -> tuple[list[pa.Field], list[pa.Array]]:
    row, target = (column for column in COLUMNS if column.name in IDENTITY)
    no_gaps = np.zeros(0, bool)
    fields, columns = [_field(row, explanation.row)], [_stored(row, explanation.row, no_gaps)]
    if keys.num_columns:
        position = explanation.row - explanation.row.min()
        if position.max() >= keys.num_rows:
            raise ValueError(f"{keys.num_rows} rows of keys for {position.max() + 1} rows of data")
        taken = keys.take(numbers(position))
        fields += [
            pa.field(field.name, field.type, metadata=field_metadata("key column of the data")) for field in keys.schema
        ]
        columns += [column.combine_chunks() for column in taken.columns]
    return [*fields, _field(target, explanation.target)], [*columns, _stored(target, explanation.target, no_gaps)]


def _field(column: QualityColumn, values: np.ndarray) -> pa.Field:
    type_ = pa.from_numpy_dtype(values.dtype) if column.is_measure else column.arrow_type
    return pa.field(column.name, type_, metadata=column.metadata)


def _stored(column: QualityColumn, values: np.ndarray, is_empty: np.ndarray) -> pa.Array:
    if column.type == "string":
        return strings([None if value is None else str(value) for value in values])
    if column.is_measure:
        return _numbers(values, is_empty)
    return numbers(values, column.arrow_type)


def _numbers(values: np.ndarray, is_empty: np.ndarray) -> pa.Array:
    return numbers(values, is_null=is_empty | np.isnan(values))


def _table(
    fields: list[pa.Field], columns: list[pa.Array], explanation: AnyExplanation, question: str | None
) -> pa.Table:
    name, count = Counter(field.name for field in fields).most_common(1)[0]
    if count > 1:
        raise RunError(f"{name}: two columns of the run would have this name. Try to rename the key or the group.")
    names = getattr(explanation, "feature_names", None)
    metadata = {} if names is None else {"feature_names": json.dumps(names)}
    metadata |= {} if question is None else {QUESTION: question}
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=metadata or None))


def _tensors(interactions: np.ndarray, is_empty: np.ndarray) -> pa.Array:
    n_features = interactions.shape[1]
    values = numbers(interactions.reshape(-1))
    mask = numbers(is_empty) if is_empty.any() else None
    stored = pa.FixedSizeListArray.from_arrays(values, n_features * n_features, mask=mask)
    type_ = pa.fixed_shape_tensor(values.type, (n_features, n_features), dim_names=("feature_i", "feature_j"))
    return pa.ExtensionArray.from_storage(type_, stored)


def _top_pairs(explanation: Explanation, is_empty: np.ndarray, top: int) -> pa.Array:
    interactions = explanation.interactions
    if interactions is None:
        raise ValueError("no interactions to choose from")
    n_features = interactions.shape[1]
    first, second = np.triu_indices(n_features, 1)
    upper = first * n_features + second
    top = min(top, len(upper))
    pairs, values = [np.empty(0, np.int64)], [np.empty(0, interactions.dtype)]
    for row in np.flatnonzero(~is_empty):
        effects = 2 * interactions[row].ravel()[upper]  # as matrices are symmetric
        chosen = _largest(np.abs(effects), top)
        pairs.append(chosen)
        values.append(effects[chosen])
    chosen, names = np.concatenate(pairs), strings(explanation.feature_names)
    columns = [names.take(numbers(places[chosen])) for places in (first, second)]
    structs = pa.StructArray.from_arrays([*columns, numbers(np.concatenate(values))], ["i", "j", "value"])
    offsets = np.concatenate([[0], np.cumsum(np.where(is_empty, 0, top))]).astype(np.int32)
    return pa.ListArray.from_arrays(numbers(offsets), structs, mask=numbers(is_empty) if is_empty.any() else None)


def _largest(magnitudes: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the largest magnitudes, largest first, ties by index."""
    some = magnitudes[::SPARSE]
    if count < len(some):
        # The count-th largest of some is at most that of all: what is smaller cannot be among the largest.
        (candidates,) = np.nonzero(~(magnitudes < np.partition(some, -count)[-count]))
    else:
        candidates = np.arange(len(magnitudes))
    order = np.argsort(-magnitudes[candidates], kind="stable")
    return candidates[order[:count]]
