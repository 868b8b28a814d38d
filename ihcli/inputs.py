"""Values of features in the data that a run explained: a run does not hold them, and its data may have changed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.errors import DataError, OptionError, RunError
from ihcli.fingerprints import files_fingerprint
from ihcli.groups import read_groups
from ihcli.locations import Location, is_reachable
from ihcli.output import INFO
from ihcli.reading import Result
from ihcli.table_files import TableFiles, is_number, matrix_of
from ihcli.tables import open_table
from ihcli.wording import did_you_mean, listed


def feature_values(
    result: Result, features: Sequence[str], rows: Sequence[int] | np.ndarray, data: str | Location | None = None
) -> np.ndarray:
    """Return the values of features in rows of the explained data, (len(rows), len(features)) float64.

    NaN where a value is missing, and for a group of several columns, which has no one value. The data is streamed, the
    wanted columns only, up to the last wanted row.

    Parameters:
        features: names of the run's features or groups.
        rows: indices of rows of the data, in any order; may repeat.
        data: a table to read instead of the recorded one, with the same rows; its content is not compared.

    Raises:
        RunError: the run explains texts.
        OptionError: a feature that the run does not have.
        DataError: the data is gone, has changed since it was explained, or is not of the same rows.
    """
    if result.is_text:
        raise RunError(f"{result.path}: explains texts, which have no features. Try record(row).")
    _refuse_unknown(result, features)
    table = _recorded_table(result) if data is None else _other_table(result, str(data))
    column_of = _columns_of(result, table, features)
    columns = list(dict.fromkeys(column_of.values()))
    rows = np.asarray(rows, dtype=np.int64)
    values = np.full((len(rows), len(features)), np.nan)
    if columns and len(rows):
        places = [place for place, name in enumerate(features) if name in column_of]
        values[:, places] = _read(table, columns, rows)[:, [columns.index(column_of[features[i]]) for i in places]]
    return values


def _read(table: TableFiles, columns: list[str], rows: np.ndarray) -> np.ndarray:
    order = np.argsort(rows, kind="stable")
    wanted = rows[order]
    values, first = np.empty((len(rows), len(columns))), 0
    for batch in table.batches(pa.schema([(name, table.feature_type(name)) for name in columns])):
        start, stop = np.searchsorted(wanted, (first, first + batch.num_rows))
        if start < stop:
            values[order[start:stop]] = matrix_of(batch, columns)[wanted[start:stop] - first]
        first += batch.num_rows
        if stop == len(rows):
            return values
    raise DataError(f"{table.path}: has {first} rows. Expected row {wanted[-1]} too. Try the data that was explained.")


def _recorded_table(result: Result) -> TableFiles:
    recorded = _recorded(result)
    if not is_reachable(recorded["path"], result.path):
        raise DataError(
            f"{recorded['path']}: is where {result.path} says its data are, on another store than the run. Expected "
            "data that were named to this command. Try --data FILE or URL."
        )
    try:
        table = open_table(str(recorded["path"]))
    except DataError as error:
        raise DataError(
            f"{error} {result.path} explained it, and holds no values of features. Try --data FILE with a copy of it."
        ) from error
    if files_fingerprint(table.files) != recorded["sha256"]:
        raise DataError(
            f"{table.path}: has changed since {result.path} explained it. Expected the same content. "
            "Try --data FILE with the table as it was, or ihcli explain again."
        )
    return table


def _other_table(result: Result, path: str) -> TableFiles:
    """Open a table named by the user; it must have as many rows as were explained, or more where --limit cut them."""
    table = open_table(path)
    name = next((name for name in result.feature_names if name in table.schema.names), None)
    if name is None:
        raise DataError(
            f"--data {path}: has none of the features of {result.path}. Expected {listed(result.feature_names)}, got "
            f"{listed(table.schema.names)}."
        )
    rows = sum(batch.num_rows for batch in table.batches(pa.schema([(name, table.feature_type(name))])))
    expected = int(_recorded(result)["rows"])
    is_cut = (result.info.get("arguments") or {}).get("limit") is not None
    if rows < expected or (rows > expected and not is_cut):
        raise DataError(f"--data {path}: has {rows} rows. Expected the {expected} rows that {result.path} explained.")
    return table


def _recorded(result: Result) -> dict[str, Any]:
    recorded = result.info.get("data")
    if not isinstance(recorded, dict) or not {"path", "sha256", "rows"} <= recorded.keys():
        raise RunError(f"{result.path / INFO}: does not tell 'data'. Expected what ihcli explain writes.")
    return recorded


def _columns_of(result: Result, table: TableFiles, features: Sequence[str]) -> dict[str, str]:
    """Return the column of each feature; groups of several columns are left out."""
    groups, are_known = _groups(result, table)
    columns = {}
    for name in features:
        members = groups.get(name, (name,))
        if len(members) > 1:
            continue
        if members[0] in table.schema.names and is_number(table.schema.field(members[0]).type):
            columns[name] = members[0]
        elif are_known:
            raise _unfit(table, members[0], result)
    return columns


def _groups(result: Result, table: TableFiles) -> tuple[dict[str, tuple[str, ...]], bool]:
    """Return the columns of each group, and whether that can still be told: its file may be gone."""
    arguments = result.info.get("arguments") or {}
    if separator := arguments.get("groups_by"):
        return _groups_by_prefix(result, table, separator), True
    if not (path := arguments.get("groups")):
        return {}, True
    if not is_reachable(path, result.path, table.path):
        return {}, False
    try:
        return read_groups(path), True
    except OptionError:
        return {}, False


def _groups_by_prefix(result: Result, table: TableFiles, separator: str) -> dict[str, tuple[str, ...]]:
    """Return the columns of each group: two or more, as a prefix of one makes none, and that column keeps its name."""
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
    for name in features:
        if name not in result.feature_names:
            raise OptionError(
                f"--feature: there is no {name!r}. Expected one of {len(result.feature_names)} features: "
                f"{listed(result.feature_names)}.{did_you_mean(name, result.feature_names)}"
            )
