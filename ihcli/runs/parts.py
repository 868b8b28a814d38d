"""Explanations as Arrow tables: the columns of a part file, with their units and definitions."""

import json
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.explanation import MISSING_INPUT, NON_FINITE, AnyExplanation, Explanation, TextExplanation
from ihcli.methods import error_in_words
from ihcli.runs.seals import QUESTION
from ihcli.runs.storage import InteractionStorage

OUTPUT_UNIT = "units of the explained output"
NO_UNIT = "1"
DEFINITIONS: Mapping[str, tuple[str, str]] = {
    "_row": ("index of the row in the data, from 0", NO_UNIT),
    "_target": (
        "explained output: its name, or its index where the model has no names; null where a row has no prediction",
        NO_UNIT,
    ),
    "_prediction": ("f(x): explained output of the row, smoothed where the model was smoothed", OUTPUT_UNIT),
    "_baseline_prediction": ("mean of f(x') over the baselines x'", OUTPUT_UNIT),
    "_completeness_gap": ("sum of the attributions minus (_prediction - _baseline_prediction), signed", OUTPUT_UNIT),
    "_relative_error": (error_in_words(), NO_UNIT),
    "_drift": ("f_smooth(x) - f(x): what the SoftPlus replacement changed", OUTPUT_UNIT),
    "_sampling_error": ("relative L1 standard error of the attributions over subsampled baselines", NO_UNIT),
    "_evaluations": ("path points at which a gradient was taken", NO_UNIT),
    "_truncated": ("whether the text was longer than the model takes, so that its end was left out", NO_UNIT),
    "_status": ("ok, not_converged, rounding, missing_input or non_finite", NO_UNIT),
}
FULL_DEFINITION = "Gamma (G x G, symmetric): rows sum to the attributions; main effect Gamma_gg"
TEXT_DEFINITION = "Gamma (n x n over the units, symmetric, row-major): rows sum to the attributions"
TOP_DEFINITION = "the pairs i < j of largest |pair effect|, largest first; value = Gamma_ij + Gamma_ji"
MOST_LISTED = (1 << 31) - 1  # values in the lists of one column: Arrow's offsets have 32 bits
SPARSE = 16  # one of so many pair effects tells how large the largest are at least


def attributions_table(explanation: AnyExplanation, keys: pa.Table, question: str | None = None) -> pa.Table:
    """Return the attributions part: who the row is, how well it was explained, and one column per feature or group.

    Of texts, `units` and `attributions` are lists instead.

    Parameters:
        keys: one row of key columns for every data row of the explanation, in row order.
        question: SHA-256 of what was asked, which the part keeps.
    """
    is_empty = _has_no_values(explanation)
    fields, columns = _identity(explanation, keys)
    for name, values in _quality(explanation):
        fields.append(_field(name, values))
        columns.append(_numbers(values, is_empty))
    fields.append(pa.field("_status", pa.string(), metadata=_metadata(*DEFINITIONS["_status"])))
    columns.append(_strings(explanation.status))
    if isinstance(explanation, TextExplanation):
        definition = _metadata("attribution phi of each unit", OUTPUT_UNIT)
        added = [_units(explanation, is_empty), _lists("attributions", explanation.attributions, is_empty, definition)]
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
    is_empty = _has_no_values(explanation)
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
        field = pa.field(name, type_, metadata=_metadata(f"attribution phi of {name}", OUTPUT_UNIT))
        added.append((field, _numbers(values, is_empty)))
    return added


def _interactions(
    explanation: Explanation, matrices: np.ndarray, is_empty: np.ndarray, storage: InteractionStorage
) -> tuple[pa.Field, pa.Array]:
    if storage.kind == "full":
        column, definition = _tensors(matrices, is_empty), FULL_DEFINITION
    else:
        column, definition = _top_pairs(explanation, is_empty, storage.top), TOP_DEFINITION
    metadata = _metadata(definition, OUTPUT_UNIT) | {"feature_names": json.dumps(explanation.feature_names)}
    return pa.field("interactions", column.type, metadata=metadata), column


def _units(explanation: TextExplanation, is_empty: np.ndarray) -> tuple[pa.Field, pa.Array]:
    units = [None if empty else list(names) for names, empty in zip(explanation.units, is_empty, strict=True)]
    metadata = _metadata("words or tokens of the text, in reading order")
    return pa.field("units", pa.list_(pa.string()), metadata=metadata), pa.array(units, pa.list_(pa.string()))


def _text_interactions(
    explanation: TextExplanation, is_empty: np.ndarray, storage: InteractionStorage
) -> tuple[pa.Field, pa.Array]:
    matrices = explanation.interactions
    if matrices is None:
        raise ValueError("no interactions to store")
    if storage.kind == "full":
        return _lists("interactions", matrices, is_empty, _metadata(TEXT_DEFINITION, OUTPUT_UNIT))
    pairs = [
        None if empty else _top_text_pairs(names, gamma, storage.top)
        for names, gamma, empty in zip(explanation.units, matrices, is_empty, strict=True)
    ]
    value = pa.float64() if _float_type(matrices) == np.float64 else pa.float32()
    type_ = pa.list_(pa.struct([("i", pa.string()), ("j", pa.string()), ("value", value)]))
    return pa.field("interactions", type_, metadata=_metadata(TOP_DEFINITION, OUTPUT_UNIT)), pa.array(pairs, type_)


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
            "Try a smaller --chunk-rows, or --interactions top:K."
        )
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    values = pa.array(np.concatenate([*kept, np.zeros(0, _float_type(arrays))]))
    column = pa.ListArray.from_arrays(offsets, values, mask=pa.array(is_empty) if is_empty.any() else None)
    return pa.field(name, column.type, metadata=metadata), column


def _float_type(arrays: np.ndarray) -> type[np.floating]:
    return next((values.dtype.type for values in arrays if values is not None), np.float32)


def _identity(explanation: AnyExplanation, keys: pa.Table) -> tuple[list[pa.Field], list[pa.Array]]:
    fields = [pa.field("_row", pa.int64(), metadata=_metadata(*DEFINITIONS["_row"]))]
    columns: list[pa.Array] = [pa.array(explanation.row, pa.int64())]
    if keys.num_columns:
        position = explanation.row - explanation.row.min()
        if position.max() >= keys.num_rows:
            raise ValueError(f"{keys.num_rows} rows of keys for {position.max() + 1} rows of data")
        taken = keys.take(pa.array(position))
        fields += [
            pa.field(field.name, field.type, metadata=_metadata("key column of the data")) for field in keys.schema
        ]
        columns += [column.combine_chunks() for column in taken.columns]
    fields.append(pa.field("_target", pa.string(), metadata=_metadata(*DEFINITIONS["_target"])))
    columns.append(_strings(explanation.target))
    return fields, columns


def _quality(explanation: AnyExplanation) -> list[tuple[str, np.ndarray]]:
    measures = (
        ("_prediction", explanation.prediction),
        ("_baseline_prediction", explanation.baseline_prediction),
        ("_completeness_gap", explanation.completeness_gap),
        ("_relative_error", explanation.relative_error),
        ("_drift", explanation.drift),
        ("_sampling_error", explanation.sampling_error),
        ("_evaluations", explanation.evaluations.astype(np.int32)),
        ("_truncated", getattr(explanation, "truncated", None)),
    )
    return [(name, values) for name, values in measures if values is not None]


def _has_no_values(explanation: AnyExplanation) -> np.ndarray:
    return np.isin(explanation.status, (MISSING_INPUT, NON_FINITE))


def _field(name: str, values: np.ndarray) -> pa.Field:
    return pa.field(name, pa.from_numpy_dtype(values.dtype), metadata=_metadata(*DEFINITIONS[name]))


def _metadata(definition: str, unit: str = NO_UNIT) -> dict[str, str]:
    return {"definition": definition, "unit": unit}


def _numbers(values: np.ndarray, is_empty: np.ndarray) -> pa.Array:
    if values.dtype.kind != "f":
        return pa.array(values)
    return pa.array(np.ascontiguousarray(values), mask=is_empty | np.isnan(values))


def _strings(values: np.ndarray) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


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
    values = pa.array(np.ascontiguousarray(interactions).reshape(-1))
    mask = pa.array(is_empty) if is_empty.any() else None
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
    chosen, names = np.concatenate(pairs), pa.array(explanation.feature_names, pa.string())
    columns = [names.take(pa.array(first[chosen])), names.take(pa.array(second[chosen]))]
    structs = pa.StructArray.from_arrays([*columns, pa.array(np.concatenate(values))], ["i", "j", "value"])
    offsets = np.concatenate([[0], np.cumsum(np.where(is_empty, 0, top))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), structs, mask=pa.array(is_empty) if is_empty.any() else None)


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
