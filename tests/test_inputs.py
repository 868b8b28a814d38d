"""Values of features of the explained data, read back by row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from runs import FEATURES, write_run, write_text_run

from ihcli.data.formats.parquet import ParquetFiles
from ihcli.errors import DataError, OptionError, RunError
from ihcli.files.fingerprints import files_fingerprint
from ihcli.results.explained_data import NONE, FeatureValues, feature_values
from ihcli.results.result import Result, read

N_ROWS = 6
VALUES = np.arange(N_ROWS * len(FEATURES), dtype=np.float64).reshape(N_ROWS, len(FEATURES))


def table_of(values: np.ndarray, names: tuple[str, ...] = FEATURES) -> pa.Table:
    columns = {name: values[:, place] for place, name in enumerate(names)}
    return pa.table({"patient": [f"P{row}" for row in range(len(values))], **columns})


@pytest.fixture
def result(tmp_path: Path) -> Result:
    pq.write_table(table_of(VALUES), tmp_path / "data.parquet")
    return run_on(tmp_path, tmp_path / "data.parquet")


def run_on(tmp_path: Path, data: Path, **arguments: Any) -> Result:
    write_run(tmp_path / "run")
    info = json.loads((tmp_path / "run/run.json").read_text())
    sha256 = files_fingerprint([data])
    info |= {"data": {"path": str(data), "sha256": sha256, "rows": N_ROWS}, "arguments": arguments}
    (tmp_path / "run/run.json").write_text(json.dumps(info))
    return read(tmp_path / "run")


def test_values_come_in_the_order_asked_for(result: Result) -> None:
    rows = [4, 0, 4, 2]
    found = feature_values(result, ["pressure", "age"], rows).numbers
    np.testing.assert_array_equal(found, VALUES[rows][:, [2, 0]])


def test_batches_of_any_size_give_the_same(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.data.formats.parquet.BATCH_VALUES", 6)
    found = feature_values(result, FEATURES, range(N_ROWS)[::-1]).numbers
    np.testing.assert_array_equal(found, VALUES[::-1])


def test_only_wanted_columns_are_read_and_no_further_than_the_last_row(
    result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ihcli.data.formats.parquet.BATCH_VALUES", 1)
    read_batches = []
    batches = ParquetFiles.batches

    def recording(self: Any, wanted: pa.Schema) -> Any:
        for batch in batches(self, wanted):
            read_batches.append(batch.schema.names)
            yield batch

    monkeypatch.setattr(ParquetFiles, "batches", recording)
    feature_values(result, ["age"], [1, 0])
    assert read_batches == [["age"]] * 2


def test_csv_with_booleans_and_gaps_is_read(tmp_path: Path) -> None:
    columns = {"age": [1.0, None] * 3, "[bmi]": [True, False] * 3, "pressure": [7] * N_ROWS}
    pacsv.write_csv(pa.table(columns), tmp_path / "data.csv")
    found = feature_values(run_on(tmp_path, tmp_path / "data.csv"), FEATURES, [0, 1]).numbers
    np.testing.assert_array_equal(found, [[1, 1, 7], [np.nan, 0, 7]])


def test_data_that_changed_is_refused(result: Result, tmp_path: Path) -> None:
    pq.write_table(table_of(VALUES + 1), tmp_path / "data.parquet")
    with pytest.raises(DataError) as caught:
        feature_values(result, ["age"], [0])
    assert str(caught.value) == (
        f"{tmp_path / 'data.parquet'}: has changed since {result.path} explained it. Expected the same content. "
        "Try `data=FILE` with the table as it was, or ihcli explain again."
    )


def test_data_that_is_gone_can_be_named(result: Result, tmp_path: Path) -> None:
    (tmp_path / "data.parquet").rename(tmp_path / "moved.parquet")
    with pytest.raises(DataError, match=r"no such file .* Try `data=FILE` with a copy of it\."):
        feature_values(result, ["age"], [0])
    assert feature_values(result, ["age"], [3], tmp_path / "moved.parquet").numbers == VALUES[3, 0]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (table_of(VALUES[:5]), "has 5 rows. Expected the 6 rows that"),
        (table_of(np.vstack([VALUES, VALUES])), "has 12 rows. Expected the 6 rows that"),
        (pa.table({"x": [1.0]}), "has none of the features of"),
        (table_of(VALUES, ("age", "bmi", "x")), "has no column 'pressure'."),
        (table_of(VALUES).set_column(3, "pressure", pa.array(["a"] * 6)), "column 'pressure' holds no numbers."),
    ],
)
def test_another_table_must_be_of_the_same_rows(result: Result, tmp_path: Path, other: pa.Table, message: str) -> None:
    pq.write_table(other, tmp_path / "other.parquet")
    with pytest.raises(DataError) as caught:
        feature_values(result, ["pressure"], [0], tmp_path / "other.parquet")
    assert message in str(caught.value)


def test_a_run_of_the_first_rows_takes_a_longer_table(tmp_path: Path) -> None:
    pq.write_table(table_of(np.vstack([VALUES, VALUES])), tmp_path / "data.parquet")
    result = run_on(tmp_path, tmp_path / "data.parquet", limit=N_ROWS)
    assert feature_values(result, ["age"], [5], tmp_path / "data.parquet").numbers == VALUES[5, 0]


def test_a_group_of_numbers_has_no_value(tmp_path: Path) -> None:
    pressures = np.column_stack([VALUES, VALUES[:, 0]])
    pq.write_table(table_of(pressures, ("age", "[bmi]", "pressure=1", "pressure=2")), tmp_path / "data.parquet")
    result = run_on(tmp_path, tmp_path / "data.parquet", groups_by="=")
    found = feature_values(result, ["pressure", "age"], [2]).numbers
    np.testing.assert_array_equal(found, [[np.nan, VALUES[2, 0]]])


def test_a_column_that_stayed_alone_is_no_group_of_what_begins_with_its_name(tmp_path: Path) -> None:
    names = ("age", "[bmi]", "pressure", "age.x", "pressure[", ".x")  # of which the last three were left out
    pq.write_table(table_of(np.column_stack([VALUES, -VALUES]), names), tmp_path / "data.parquet")
    result = run_on(tmp_path, tmp_path / "data.parquet", groups_by=".")
    found = feature_values(result, ["age", "pressure"], [2]).numbers
    np.testing.assert_array_equal(found, [VALUES[2, [0, 2]]])


@pytest.mark.parametrize("is_there", [True, False])
def test_a_group_may_have_the_name_of_a_text_and_one_column(tmp_path: Path, is_there: bool) -> None:
    table = table_of(VALUES, ("age", "b", "c")).append_column("pressure", pa.array(["low"] * N_ROWS))
    pq.write_table(table, tmp_path / "data.parquet")
    groups = tmp_path / "groups.toml"
    if is_there:
        groups.write_text('[groups]\npressure = ["b", "c"]\n"[bmi]" = ["b2"]\n'.replace("b2", "age"))
    result = run_on(tmp_path, tmp_path / "data.parquet", groups=str(groups))
    found = feature_values(result, ["pressure", "[bmi]"], [2]).numbers
    np.testing.assert_array_equal(found, [[np.nan, VALUES[2, 0] if is_there else np.nan]])


ONE_HOT = {
    "city": {"rome": [1, 0, 0, 1, None, 0], "oslo": [0, 1, 0, 1, 0, 0], "new york": [0, 0, 0, 0, 0, 1]},
    "age": {"": [1, 2, 3, 4, 5, 6]},
    "capital": {"gain": [0, 1, 0, 0, 0, 0], "loss": [0, 0, 0, 0, 0, 9]},
}
CITIES = ["rome", "oslo", NONE, None, None, "new york"]


def one_hot(tmp_path: Path, separator: str, grouped: Any, types: pa.DataType, **arguments: Any) -> FeatureValues:
    """Return the values of a city, an age and a capital whose columns are named with the separator."""
    columns = {
        f"{group}{separator if level else ''}{level}": v for group, of in ONE_HOT.items() for level, v in of.items()
    }
    table = pa.table({name: pa.array(column, pa.float64()).cast(types) for name, column in columns.items()})
    pq.write_table(table, tmp_path / "data.parquet")
    result = run_on(tmp_path, tmp_path / "data.parquet", **arguments)
    info = result.info | {"features": ["city", "age", "capital"]}
    if grouped:
        info |= {"groups": {group: [name for name in columns if name.startswith(group)] for group in grouped}}
    (tmp_path / "run/run.json").write_text(json.dumps(info))
    return feature_values(read(tmp_path / "run"), ["city", "age", "capital"], range(N_ROWS))


@pytest.mark.parametrize("separator", ["=", "_", ".", "::", "__", " ", "→"])
@pytest.mark.parametrize("by", ["prefix", "prefix of an older run", "file"])
@pytest.mark.parametrize("type_", [pa.float64(), pa.int8(), pa.float32()])
def test_the_value_of_a_one_hot_group_is_its_category(
    tmp_path: Path, separator: str, by: str, type_: pa.DataType
) -> None:
    groups = None if "older" in by else ["city", "capital"]
    arguments = {"groups": "gone.toml"} if by == "file" else {"groups_by": separator}
    found = one_hot(tmp_path, separator, groups, type_, **arguments)
    assert found.categories == {"city": ("rome", "oslo", "new york", NONE)}
    assert [found.told(row, 0, "city") for row in range(N_ROWS)] == CITIES
    assert [found.told(row, 1, "age") for row in range(N_ROWS)] == ["1", "2", "3", "4", "5", "6"]
    assert np.isnan(found.numbers[:, 2]).all()


def test_whether_a_group_is_one_hot_is_told_by_all_rows(tmp_path: Path) -> None:
    one_hot(tmp_path, "=", ["city", "capital"], pa.float64())
    found = feature_values(read(tmp_path / "run"), ["capital"], [1])
    assert (found.told(0, 0, "capital"), found.categories) == (None, {})


@pytest.mark.parametrize(
    ("group", "columns", "categories"),
    [
        ("t", ["t=-5", "t=5"], ["-5", "5"]),
        ("t", ["t=-5", "t=-7"], ["-5", "-7"]),
        ("colour", ["red", "blue"], ["red", "blue"]),
        ("colour", ["colour_red", "color_blue"], ["colour_red", "color_blue"]),
        ("colour", ["colour", "colour_blue"], ["colour", "colour_blue"]),
        ("colour", ["colour_", "colour_blue"], ["colour_", "blue"]),
        ("col", ["colour", "colony"], ["colour", "colony"]),
        ("größe", ["größe: klein", "größe: 大"], [" klein", " 大"]),
    ],
)
def test_categories_of_listed_groups_are_what_tells_their_columns_apart(
    tmp_path: Path, group: str, columns: list[str], categories: list[str]
) -> None:
    pq.write_table(pa.table(dict(zip(columns, ([1.0, 0], [0.0, 1]), strict=True))), tmp_path / "data.parquet")
    result = run_on(tmp_path, tmp_path / "data.parquet")
    info = result.info | {"features": [group], "groups": {group: columns}}
    (tmp_path / "run/run.json").write_text(json.dumps(info))
    found = feature_values(read(tmp_path / "run"), [group], [0, 1])
    assert [found.told(row, 0, group) for row in (0, 1)] == categories


@pytest.mark.parametrize("groups", [[], {"age": "b"}, {"age": [1]}, {"age": []}, "age"])
def test_groups_that_run_json_cannot_mean_are_refused(result: Result, groups: Any) -> None:
    (result.path / "run.json").write_text(json.dumps(result.info | {"groups": groups}))
    with pytest.raises(RunError, match=r"run\.json: .*'groups"):
        feature_values(read(result.path), ["age"], [0])


def test_an_unknown_feature_is_named(result: Result) -> None:
    with pytest.raises(OptionError, match=r"`feature`: there is no 'presure'\. .* Did you mean 'pressure'\?"):
        feature_values(result, ["presure"], [0])


def test_texts_have_no_features(tmp_path: Path) -> None:
    write_text_run(tmp_path / "run")
    with pytest.raises(RunError, match="explains texts, which have no features"):
        feature_values(read(tmp_path / "run"), ["age"], [0])


def test_a_run_that_does_not_tell_its_data_says_so(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(RunError, match="lacks 'data'"):
        feature_values(read(tmp_path / "run"), ["age"], [0])
