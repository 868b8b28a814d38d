"""Rows that people bring: arrays, frames, and a part for each argument of the model, with baselines like them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ihcli.data.categories import categories_of
from ihcli.data.frames import is_frame, rows_of
from ihcli.data.tables import ArrayDataset
from ihcli.errors import DataError, OptionError
from ihcli.library.containers import matrix_of, plain
from ihcli.models import Model
from ihcli.models.signatures import Inputs, argument_names, carried_inputs, features_of
from ihcli.models.targets import LABEL
from ihcli.vocabulary import Vocabulary
from ihcli.wording import listed, printable, quoted

Categories = str | Path | Mapping[str, Any] | Vocabulary
Baseline = str | float | Sequence[float] | np.ndarray | torch.Tensor | None
Targets = str | int | Sequence[str | int] | np.ndarray | torch.Tensor | None


@dataclass(frozen=True)
class Brought:
    """Rows and baselines as one table.

    x         an array, or a frame
    names     of the columns of an array, or which of a frame are taken; None: as they come
    inputs    columns of each argument of the model, where there are several
    """

    x: Any
    baseline: Any
    names: tuple[str, ...] | None
    inputs: Inputs | None

    def rows(self, model: Model, categories: Categories | None) -> ArrayDataset:
        """Return them as rows to explain, in the order of the model's features."""
        if categories is not None and model.vocabulary is not None:
            raise OptionError("`categories`: the model brings its own. Try without.")
        given = model.vocabulary_of(self.names) if categories is None else categories_of(categories)
        wanted = None if self.inputs is None else features_of(self.inputs)
        if is_frame(self.x):
            return rows_of(self.x, wanted or self.names or model.feature_names, given)
        x, names = matrix_of(self.x), self.names
        if names is not None and x.ndim == 2 and len(names) != x.shape[1]:
            raise OptionError(
                f"`feature_names`: has {len(names)} of them. Expected one for each of the {x.shape[1]} columns of x."
            )
        if wanted is not None:
            x, names = _picked(x, wanted, names), wanted
        return rows_of(x, names or model.feature_names, given)


def brought(
    model: Model, x: Any, baseline: Any, feature_names: Sequence[str] | None, inputs: Mapping[str, Sequence[str]] | None
) -> Brought:
    """Read what was brought in the place of a table; raises DataError and OptionError where it is none.

    Parameters:
        inputs: columns of each argument of the model, as they were told.
    """
    names = _names(feature_names)
    if isinstance(x, str | Path):
        raise DataError(
            f"x: is {quoted(str(x))}. Expected an array or a frame. Try pandas.read_csv of it, and its columns."
        )
    if isinstance(x, Mapping):
        if not _are_arguments(model, x):
            return Brought(_frame(x), plain(baseline), names, inputs or carried_inputs(model))
        parts = dict(x)
    elif isinstance(x, tuple):
        parts = dict(zip(_arguments(model, len(x)), x, strict=True))
    else:
        return Brought(plain(x), plain(baseline), names, inputs or carried_inputs(model))
    if inputs is not None:
        raise OptionError("`inputs`: says which columns each argument takes, and x has a part for each. Try without.")
    return _side_by_side(parts, baseline, names, carried_inputs(model) or {})


def baseline_of(baseline: Any, n_features: int) -> Any:
    """Return a baseline with a number for each feature, where it was one number for all."""
    is_number = isinstance(baseline, Number) or (isinstance(baseline, np.ndarray) and baseline.ndim == 0)
    return np.full(n_features, float(baseline)) if is_number else baseline


def targets_of(target: Targets, n_rows: int) -> tuple[str | int | None, np.ndarray | None]:
    """Return what is asked of all rows, and the output of each (N,) where every row has its own.

    Raises OptionError where these are not as many as there are rows.
    """
    if target is None or isinstance(target, str | int):
        return target, None
    if isinstance(target, np.integer):
        return int(target), None
    found = plain(target)
    if np.ndim(found) == 0:
        one = found.item() if isinstance(found, np.generic | np.ndarray) else found
        if not isinstance(one, str | int):
            raise OptionError(f"`target`: is {printable(repr(one))}. Expected the name or the index of an output.")
        return one, None
    each = values_of(found)
    if len(each) != n_rows or not all(isinstance(value, str | int) for value in each):
        raise OptionError(
            f"`target`: has shape {np.shape(each)}. Expected one output, or a name or an index for each of the "
            f"{n_rows} rows of x. Try `target=all` for every output."
        )
    return LABEL, each


def values_of(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return values as Python has them, (n,) objects, whatever held them."""
    found = np.empty(len(values), object)
    found[:] = [value.item() if isinstance(value, np.generic | torch.Tensor) else value for value in values]
    return found


def _names(feature_names: Sequence[str] | None) -> tuple[str, ...] | None:
    if feature_names is None:
        return None
    if isinstance(feature_names, str) or not all(isinstance(name, str) for name in feature_names):
        raise OptionError(f"`feature_names`: {printable(repr(feature_names))}. Expected a list of names.")
    names = tuple(feature_names)
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"`feature_names`: has the name {quoted(name)} twice. Expected each once.")
    return names


def _are_arguments(model: Model, x: Mapping[str, Any]) -> bool:
    """Tell parts for the arguments of a model from columns of one table."""
    known = argument_names(model) or ()
    return (len(known) > 1 and set(x) <= set(known)) or any(np.ndim(plain(part)) > 1 for part in x.values())


def _arguments(model: Model, n: int) -> tuple[str, ...]:
    known = argument_names(model)
    if known is None:
        return tuple(f"input{place}" for place in range(n))
    if n > len(known):
        raise DataError(
            f"x: is a tuple of {n}, a part for each argument of the model, which takes {listed(known)}. Expected at "
            f"most {len(known)}. Try numpy.array(x) where its entries are rows."
        )
    return known[:n]


def _frame(x: Mapping[str, Any]) -> pa.Table:
    try:
        return pa.table({str(name): plain(column) for name, column in x.items()})
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError("x: a dictionary of what cannot be columns. Expected columns of one length.") from error


def _side_by_side(parts: Mapping[str, Any], baseline: Any, names: tuple[str, ...] | None, carried: Inputs) -> Brought:
    """Put a part for each argument into one table, and baselines that come in such parts as well."""
    tables = {argument: _matrix(argument, part) for argument, part in parts.items()}
    lengths = {argument: len(table) for argument, table in tables.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"x: its parts have {listed([f'{n} rows ({name})' for name, n in lengths.items()])}.")
    inputs, rest = {}, None if names is None else list(names)
    for argument, table in tables.items():
        width = table.shape[1]
        told = carried.get(argument)
        own = tuple(told) if told is not None and len(told) == width else _called(argument, parts[argument], width)
        inputs[argument] = own if rest is None else tuple(rest[:width])
        rest = None if rest is None else rest[width:]
    columns = features_of(inputs)
    total = sum(table.shape[1] for table in tables.values())
    if len(columns) != total:
        raise OptionError(
            f"`feature_names`: expected {total} different names, for {listed(list(inputs))} in this order."
        )
    start = baseline
    if isinstance(baseline, tuple | Mapping):
        given = dict(zip(parts, baseline, strict=False)) if isinstance(baseline, tuple) else dict(baseline)
        start = _starts(given, tables)
    return Brought(np.concatenate(list(tables.values()), axis=1), plain(start), columns, inputs)


def _matrix(argument: str, part: Any) -> np.ndarray:
    values = np.asarray(plain(part))
    if values.ndim not in (1, 2) or values.dtype.kind not in "biuf":
        raise DataError(
            f"x: argument {argument!r} has shape {values.shape} of {values.dtype}. Expected (N,) or (N, D) numbers."
        )
    return values.reshape(len(values), -1)


def _called(argument: str, part: Any, width: int) -> tuple[str, ...]:
    if hasattr(part, "columns"):
        return tuple(str(name) for name in part.columns)
    return (argument,) if width == 1 else tuple(f"{argument}_{place}" for place in range(width))


def _starts(given: Mapping[str, Any], tables: Mapping[str, np.ndarray]) -> np.ndarray:
    if set(given) != set(tables):
        raise OptionError(f"`baseline`: has parts for {listed(list(given))}. Expected {listed(list(tables))}.")
    parts = []
    for argument, table in tables.items():
        width, part = table.shape[1], np.asarray(plain(given[argument]), np.float64)
        part = (
            np.full((1, width), part) if part.ndim == 0 else part.reshape(-1, width) if part.size % width == 0 else part
        )
        if part.ndim != 2:
            raise OptionError(f"`baseline`: {argument!r} has shape {part.shape}. Expected ({width},) or (B, {width}).")
        parts.append(part)
    most = max(map(len, parts))
    if any(len(part) not in (1, most) for part in parts):
        raise OptionError("`baseline`: its parts have different numbers of rows. Expected one, or as many in each.")
    return np.concatenate([np.broadcast_to(part, (most, part.shape[1])) for part in parts], axis=1)


def _picked(x: np.ndarray, features: Sequence[str], names: Sequence[str] | None) -> np.ndarray:
    """Return the columns of an array that inputs name, by their names or else their numbers."""
    known = list(names or ([str(i) for i in range(x.shape[1])] if x.ndim == 2 else []))
    missing = [name for name in features if name not in known]
    if missing:
        expected = "one of `feature_names`" if names else "'0', '1', ..."
        raise DataError(
            f"`inputs`: column {missing[0]!r} is not one of x, an array of shape {x.shape}. Expected {expected} Try a "
            "DataFrame, whose columns have names."
        )
    return x[:, [known.index(name) for name in features]]
