"""Values of features in the data that a run explained: a run does not hold them, and its data may have changed."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ihcli.data.coded import CodedTable
from ihcli.data.formats.opening import open_table
from ihcli.data.formats.table import TableFiles, is_number, matrix_of
from ihcli.data.groups import read_groups
from ihcli.errors import DataError, OptionError
from ihcli.files.fingerprints import files_fingerprint
from ihcli.files.locations import Location, is_reachable
from ihcli.results.result import Result
from ihcli.runs.origins import places_of, there
from ihcli.runs.told import if_told
from ihcli.wording import did_you_mean, listed

NONE = "(none)"
"""The category of a one-hot group none of whose columns is 1: a level that the encoder left out, or an unknown one."""


@dataclass(frozen=True)
class FeatureValues:
    """What features are in rows of the explained data.

    numbers     (n, F) float64: numbers of columns; of a category column, and of a one-hot group, the place of its value
                among `categories`; NaN where there is no value
    categories  by feature, of those that have them, in the order of codes or columns
    """

    numbers: np.ndarray
    categories: Mapping[str, tuple[str, ...]]

    def told(self, row: int, place: int, feature: str) -> str | None:
        """Return a value in words; None where there is none."""
        value = self.numbers[row, place]
        if np.isnan(value):
            return None
        return self.categories[feature][int(value)] if feature in self.categories else f"{value:.4g}"


def feature_values(
    result: Result, features: Sequence[str], rows: Sequence[int] | np.ndarray, data: str | Location | None = None
) -> FeatureValues:
    """Return the values of features in rows of the explained data.

    Values of category columns are what codes stand for, as run.json tells it, and only those that occur. A group is
    one-hot where the data hold nothing but 0 and 1 in its columns. Its value is the category of the column that is 1,
    NONE where all are 0, and missing where several are. Other groups of several columns have no values.

    The data is streamed, the wanted columns only: up to the last wanted row, and to its end where groups are wanted.

    Parameters:
        features: names of the run's features or groups.
        rows: indices of rows of the data, in any order; may repeat.
        data: a table to read instead of the recorded one, with the same rows; its content is not compared.

    Raises:
        RunError: the run explains texts.
        OptionError: a feature that the run does not have.
        DataError: the data is gone, has changed since it was explained, or is not of the same rows.
    """
    result.layout.require_features(
        result.path, f"which have no features. Try ihcli attributions {result.path} `row=0`."
    )
    _refuse_unknown(result, features)
    table = features_table(result, data)
    vocabulary = result.told.vocabulary
    members_of = columns_of(result, table, features)
    columns = list(dict.fromkeys(column for members in members_of.values() for column in members))
    rows = np.asarray(rows, dtype=np.int64)
    numbers = np.full((len(rows), len(features)), np.nan)
    categories: dict[str, tuple[str, ...]] = {}
    if not columns or not len(rows):
        return FeatureValues(numbers, categories)
    coded = frozenset(() if vocabulary is None else vocabulary.values)
    place_of = {column: place for place, column in enumerate(columns)}
    found, is_binary = _read(table, columns, rows, to_the_end=any(len(members) > 1 for members in members_of.values()))
    for place, name in enumerate(features):
        places = [place_of[column] for column in members_of.get(name, ())]
        if len(places) == 1:
            numbers[:, place] = found[:, places[0]]
            if vocabulary is not None and (column := members_of[name][0]) in coded:
                numbers[:, place], categories[name] = _occurring(numbers[:, place], vocabulary.names(column))
        elif places and is_binary[places].all() and not coded.intersection(members_of[name]):
            numbers[:, place] = active_column(found[:, places])
            categories[name] = (*levels_of(result, name, members_of[name]), NONE)
    return FeatureValues(numbers, categories)


def _occurring(codes: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return places (n,) among the names that occur, which are far fewer than some vocabularies have, and these."""
    present, places = np.unique(codes, return_inverse=True)
    present = present[np.isfinite(present)].astype(np.int64)
    return np.where(np.isnan(codes), np.nan, places), tuple(names[code] for code in present)


def active_column(columns: np.ndarray) -> np.ndarray:
    """Return which of the columns (n, K) of 0 and 1 is 1, K where none is, NaN where several are or one is missing."""
    counts = columns.sum(axis=1)
    places = np.where(counts == 0, columns.shape[1], columns.argmax(axis=1)).astype(np.float64)
    places[np.isnan(counts) | (counts > 1)] = np.nan
    return places


def levels_of(result: Result, group: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return what a group's columns stand for: their names without the group's and the separator behind it."""
    separator = if_told(lambda: result.told.arguments.groups_by) or _sign_behind(group, columns)
    start = f"{group}{separator}"
    return tuple((column.removeprefix(start) or column) if separator else column for column in columns)


def _sign_behind(group: str, columns: Sequence[str]) -> str:
    """Return the sign, once or several times, that stands behind the group's name in all of the columns, or nothing."""
    if not all(column.startswith(group) for column in columns):
        return ""
    behind = [column[len(group) :] for column in columns]
    sign = behind[0][:1]
    if sign.isalnum():
        return ""
    return sign * min(len(rest) - len(rest.lstrip(sign)) for rest in behind) if sign else ""


def _read(
    table: TableFiles, columns: list[str], rows: np.ndarray, *, to_the_end: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, columns) values of rows, and which columns hold nothing but 0, 1 and gaps in all that was read."""
    order = np.argsort(rows, kind="stable")
    wanted = rows[order]
    values, is_binary = np.empty((len(rows), len(columns))), np.ones(len(columns), dtype=bool)
    first = stop = 0
    for batch in table.batches(pa.schema([(name, table.feature_type(name)) for name in columns])):
        found = matrix_of(batch, columns)
        start, stop = np.searchsorted(wanted, (first, first + batch.num_rows))
        values[order[start:stop]] = found[wanted[start:stop] - first]
        is_binary &= _are_binary(found)
        first += batch.num_rows
        if stop == len(rows) and not to_the_end:
            break
    if stop < len(rows):
        raise DataError(
            f"{table.path}: has {first} rows. Expected row {wanted[-1]} too. Try the data that was explained."
        )
    return values, is_binary


def are_binary(table: TableFiles, columns: Sequence[str]) -> tuple[str, ...]:
    """Return which of the columns hold nothing but 0, 1 and gaps, in all rows: a pass, where there is any."""
    kept = np.ones(len(columns), dtype=bool)
    if columns:
        for batch in table.batches(pa.schema([(name, table.feature_type(name)) for name in columns])):
            kept &= _are_binary(matrix_of(batch, columns))
    return tuple(name for name, is_kept in zip(columns, kept, strict=True) if is_kept)


def _are_binary(values: np.ndarray) -> np.ndarray:
    return np.asarray(((values == 0) | (values == 1) | np.isnan(values)).all(axis=0))


def features_table(result: Result, data: str | Location | None = None) -> TableFiles:
    """Open the table that a run explained, columns of categories as the codes of the run; see `feature_values`."""
    table = _recorded_table(result) if data is None else _other_table(result, str(data))
    vocabulary = result.told.vocabulary
    return table if vocabulary is None else CodedTable(table, vocabulary)


def explained_table(result: Result, data: str | None = None) -> TableFiles:
    """Open the table that a run explained, with whatever columns it has, as they are stored.

    Parameters:
        data: a table to read instead of the recorded one, row by row of the same rows, which need not have columns in
            common with it; its content is not compared.

    Raises DataError where it is gone, has changed since it was explained, or is not of the same rows.
    """
    if data is None:
        return _recorded_table(result)
    table = open_table(data)
    _require_rows(result, table, data, table.schema.names[0])
    return table


def _recorded_table(result: Result) -> TableFiles:
    recorded = result.told.data
    places = places_of(result.told, "data", result.path)
    if not any(is_reachable(place, result.path) for place in places):
        raise DataError(
            f"{recorded.path}: is where {result.path} says its data are, on another store than the run. Expected "
            "data that were named to this command. Try `data=FILE` or URL."
        )
    looked_for = f"no such file or directory{''.join(f', and no {place}' for place in places[1:])}"
    told = DataError(f"{places[0]}: {looked_for}. {_explained(result)}")
    for place in there(places, result.path):
        try:
            table = open_table(place)
        except DataError as error:
            told = DataError(f"{error} {_explained(result)}")
            continue
        if files_fingerprint(table.files) == recorded.sha256:
            return table
        told = DataError(
            f"{table.path}: has changed since {result.path} explained it. Expected the same content. "
            "Try `data=FILE` with the table as it was, or ihcli explain again."
        )
    raise told


def _explained(result: Result) -> str:
    return f"{result.path} explained it, and holds no values of features. Try `data=FILE` with a copy of it."


def _other_table(result: Result, path: str) -> TableFiles:
    """Open a table named by the user; it must have as many rows as were explained, or more where `limit` cut them."""
    table = open_table(path)
    if (name := _feature_column(result, table)) is None:
        raise DataError(
            f"`data={path}`: has none of the features of {result.path}. Expected {listed(result.feature_names)}, got "
            f"{listed(table.schema.names)}."
        )
    _require_rows(result, table, path, name)
    return table


def names_features(result: Result, path: str) -> bool:
    """Return whether a table named by the user has a column of a feature."""
    return _feature_column(result, open_table(path)) is not None


def _feature_column(result: Result, table: TableFiles) -> str | None:
    """Return a column of the table that is a feature or of a group of the run, None where there is none."""
    groups = if_told(lambda: result.told.groups) or {}
    columns = [*result.feature_names, *(column for members in groups.values() for column in members or ())]
    there = frozenset(table.schema.names)
    return next((name for name in columns if name in there), None)


def _require_rows(result: Result, table: TableFiles, path: str, name: str) -> None:
    """Refuse a table of other rows, which are counted by one of its columns."""
    rows = sum(batch.num_rows for batch in table.batches(pa.schema([(name, table.category_type(name))])))
    expected = result.told.data.rows
    is_cut = if_told(lambda: result.told.arguments.limit) is not None
    if rows < expected or (rows > expected and not is_cut):
        raise DataError(f"`data={path}`: has {rows} rows. Expected the {expected} rows that {result.path} explained.")


def columns_of(result: Result, table: TableFiles, features: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of each feature; features of which that cannot be told are left out."""
    groups, are_known = _groups(result, table)
    columns = {}
    for name in features:
        members = groups.get(name, (name,))
        unfit = [column for column in members if not _is_number(table, column)]
        if not unfit:
            columns[name] = members
        elif are_known:
            raise _unfit(table, unfit[0], result)
    return columns


def _is_number(table: TableFiles, column: str) -> bool:
    place = table.schema.get_field_index(column)  # a list of all names would be made for each column
    return place >= 0 and is_number(table.schema.field(place).type)


def _groups(result: Result, table: TableFiles) -> tuple[Mapping[str, tuple[str, ...]], bool]:
    """Return the columns of each group, and whether all are known; run.json of older runs tells the options alone."""
    info = result.told
    if any(opening.kind == "layer" for opening in if_told(lambda: info.openings) or ()):
        return {}, False  # what layers give stands in no data
    if (recorded := if_told(lambda: info.groups)) is not None:
        if not all(recorded.values()):
            raise info.lacks("groups")
        return recorded, True
    if separator := if_told(lambda: info.arguments.groups_by):
        return _groups_by_prefix(result, table, separator), True
    if not if_told(lambda: info.arguments.groups):
        return {}, True
    for place in there(places_of(result.told, "groups", result.path), result.path, table.path):
        with suppress(OptionError):
            return read_groups(place), True
    return {}, False


def _groups_by_prefix(result: Result, table: TableFiles, separator: str) -> dict[str, tuple[str, ...]]:
    """Return the columns of each group of an older run: two or more with that text before the first separator."""
    members: dict[str, list[str]] = {}
    features = set(result.feature_names)
    for column in table.schema.names:
        prefix, found, _ = column.partition(separator)
        if found and prefix and column not in features:
            members.setdefault(prefix, []).append(column)
    return {name: tuple(members[name]) for name in features if len(members.get(name, ())) > 1}


def _unfit(table: TableFiles, name: str, result: Result) -> DataError:
    if name in table.schema.names:
        return DataError(f"{table.path}: column {name!r} holds no numbers. Expected the data that was explained.")
    return DataError(
        f"{table.path}: has no column {name!r}. Expected the features of {result.path}."
        f"{did_you_mean(name, table.schema.names)}"
    )


def _refuse_unknown(result: Result, features: Sequence[str]) -> None:
    known = frozenset(result.feature_names)
    for name in features:
        if name not in known:
            raise OptionError(
                f"`feature`: there is no {name!r}. Expected one of {len(result.feature_names)} features: "
                f"{listed(result.feature_names)}.{did_you_mean(name, result.feature_names)}"
            )
