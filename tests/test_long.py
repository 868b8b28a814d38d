"""Runs in long form: every line is what the record of its row says, however rows are cut into pieces."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import write_text_run
from written_runs import FEATURES, random_gammas, write_table_run, write_texts

from ihcli.errors import DataError, OptionError, RunError
from ihcli.files.fingerprints import files_fingerprint
from ihcli.results.explained_data import feature_values
from ihcli.results.long import cells, lines
from ihcli.results.long.lines import Lines, LongRequest
from ihcli.results.records import Record, attribution_effects, pair_effects
from ihcli.results.result import Result, read

N_ROWS = 10
MISSING = (4,)
KEYS = [f"P{row}" for row in range(N_ROWS)]
VALUES = np.random.default_rng(1).normal(size=(N_ROWS, len(FEATURES))).round(3)
TEXTS = (("not", "good", "not", "bad"), ("fine",), ("not", "bad"), ("a", "good", "day"))


def write_data(path: Path, columns: dict[str, Any]) -> dict[str, Any]:
    """Write a table and return what run.json tells of it."""
    pq.write_table(pa.table(columns), path)
    return {
        "path": str(path),
        "sha256": files_fingerprint([path]),
        "format": "Parquet",
        "files": [str(path)],
        "rows": len(next(iter(columns.values()))),
    }


def numbers() -> dict[str, Any]:
    return {name: VALUES[:, place] for place, name in enumerate(FEATURES)}


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    return {"data": write_data(tmp_path / "data.parquet", {"id": KEYS, **numbers(), "clinic": ["A", "B"] * 5})}


def table_run(path: Path, storage: str = "full", targets: list[str] | None = None, **told: Any) -> Result:
    return read(write_table_run(path, random_gammas(N_ROWS), keys=KEYS, missing=MISSING, storage=storage, **told))


def asked(result: Result, **request: Any) -> list[dict[str, Any]]:
    found = Lines(result, LongRequest(**request))
    pieces = list(found.pieces())
    assert all(piece.schema == found.schema for piece in pieces)
    return pa.concat_tables([*pieces, found.schema.empty_table()]).to_pylist()


def records(result: Result) -> Iterator[Record]:
    """Give the records that have values, row by row."""
    for row in range(result.n_rows):
        yield from (record for record in result.records(row) if record.has_values)


def value_of(result: Result, row: int, feature: str) -> Any:
    """Return what a feature is in a row, as the reader of single values has it."""
    found = feature_values(result, [feature], [row])
    number = found.numbers[0, 0]
    if np.isnan(number):
        return None
    return found.categories[feature][int(number)] if feature in found.categories else number


def attributions_by_record(result: Result) -> list[dict[str, Any]]:
    return [
        {
            **{"_row": record.row, **record.keys, "_target": record.target, "feature": name},
            **{"value": value_of(result, record.row, name), "attribution": value},
            "_relative_error": record.quality["relative_error"],
        }
        for record in records(result)
        for name, value in zip(record.names, record.attributions.tolist(), strict=True)
    ]


def pairs_by_record(result: Result, main_effects: bool = False, most: int | None = None) -> list[dict[str, Any]]:
    """Return the lines of pairs, those of each record the largest first."""
    found = []
    for record in records(result):
        effects = pair_effects(record, main_effects)
        assert effects is not None
        assert effects.error_bars is not None
        for place in range(len(effects.values))[:most]:
            ends = [record.names[each[place]] for each in (effects.first, effects.second)]
            kind = {"kind": "main" if ends[0] == ends[1] else "pair"} if main_effects else {}
            values = [value_of(result, record.row, name) for name in ends]
            found.append(
                {
                    **{"_row": record.row, **record.keys, "_target": record.target, **kind},
                    **{"feature_i": ends[0], "value_i": values[0], "feature_j": ends[1], "value_j": values[1]},
                    **{"interaction": effects.values[place], "error_bar": effects.error_bars[place]},
                }
            )
    return found


@pytest.mark.parametrize("piece_cells", [1, 7, 1 << 18])
def test_attributions_are_those_of_the_records(
    tmp_path: Path, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch, piece_cells: int
) -> None:
    monkeypatch.setattr(lines, "PIECE_CELLS", piece_cells)
    result = table_run(tmp_path / "run", **told)
    assert asked(result) == attributions_by_record(result)


@pytest.mark.parametrize("piece_cells", [1, 7, 1 << 18])
@pytest.mark.parametrize("main_effects", [False, True])
def test_pairs_are_those_of_the_records(
    tmp_path: Path, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch, piece_cells: int, main_effects: bool
) -> None:
    monkeypatch.setattr(lines, "PIECE_CELLS", piece_cells)
    result = table_run(tmp_path / "run", **told)
    everything = len(FEATURES) ** 2
    assert asked(result, pairs=True, main_effects=main_effects, top_k=everything) == pairs_by_record(
        result, main_effects
    )
    assert asked(result, pairs=True, main_effects=main_effects, top_k=2) == pairs_by_record(result, main_effects, 2)
    in_order = asked(result, pairs=True, main_effects=main_effects)
    assert [line["feature_i"] for line in in_order[:3]] == [FEATURES[0]] * 3
    assert sorted(in_order, key=str) == sorted(pairs_by_record(result, main_effects), key=str)


def test_stored_top_pairs_are_those_of_the_records(tmp_path: Path, told: dict[str, Any]) -> None:
    result = table_run(tmp_path / "run", storage="top:3", **told)
    assert asked(result, pairs=True) == pairs_by_record(result)
    assert asked(result, pairs=True, top_k=1) == pairs_by_record(result, most=1)
    assert "only these have lines" in Lines(result, LongRequest(pairs=True)).notes[0]
    assert Lines(result, LongRequest(pairs=True, top_k=2)).notes == []


def test_the_largest_attributions_of_every_row_come_first(tmp_path: Path, told: dict[str, Any]) -> None:
    result = table_run(tmp_path / "run", **told)
    found = asked(result, top_k=2)
    expected = []
    for record in records(result):
        effects = attribution_effects(record)
        expected += [(record.row, record.names[place]) for place in effects.first[:2]]
    assert [(line["_row"], line["feature"]) for line in found] == expected


def test_lines_are_of_every_target_or_of_one(tmp_path: Path, told: dict[str, Any]) -> None:
    targets = ["risk", "gain"] * (N_ROWS // 2)
    result = read(write_table_run(tmp_path / "run", random_gammas(N_ROWS), keys=KEYS, targets=targets, **told))
    assert asked(result) == attributions_by_record(result)
    assert asked(result, target="gain") == [
        line for line in attributions_by_record(result) if line["_target"] == "gain"
    ]
    with pytest.raises(OptionError, match=r"`target`: .* has no target 'gian'\. .* Did you mean 'gain'\?"):
        Lines(result, LongRequest(target="gian"))


def test_features_choose_lines(tmp_path: Path, told: dict[str, Any]) -> None:
    result = table_run(tmp_path / "run", **told)
    assert {line["feature"] for line in asked(result, features=("age", "pressure"))} == {"age", "pressure"}
    found = asked(result, pairs=True, features=("age",))
    assert found
    assert all("age" in (line["feature_i"], line["feature_j"]) for line in found)
    assert asked(result, pairs=True, features=("age",), top_k=1) != asked(result, pairs=True, top_k=1)
    with pytest.raises(OptionError, match=r"`feature`: there is no 'agee'\. .* Did you mean 'age'\?"):
        Lines(result, LongRequest(features=("agee",)))


def test_rows_are_chosen_by_number_and_by_condition(tmp_path: Path, told: dict[str, Any]) -> None:
    result = table_run(tmp_path / "run", **told)
    everything = attributions_by_record(result)
    assert asked(result, rows=[8, 0, 8]) == [line for line in everything if line["_row"] in (0, 8)]
    assert asked(result, where=("clinic=B",)) == [line for line in everything if line["_row"] % 2]
    assert {line["_row"] for line in asked(result, where=("id=P3",))} == {3}
    assert {line["_row"] for line in asked(result, rows=range(5), where=("clinic=A",), pairs=True)} == {0, 2}
    with pytest.raises(OptionError, match=r"`rows=10`: there is no such row\. Expected 0 to 9\. Try `rows=all`"):
        Lines(result, LongRequest(rows=[3, 10, 12]))


def test_entries_without_values_have_no_lines_and_are_counted(tmp_path: Path, told: dict[str, Any]) -> None:
    result = table_run(tmp_path / "run", **told)
    assert MISSING[0] not in {line["_row"] for line in asked(result)}
    assert Lines(result, LongRequest()).warnings == ["no lines of 1 entry without values (missing_input 1)."]
    assert Lines(result, LongRequest(rows=[0, 1])).warnings == []
    assert asked(result, rows=list(MISSING)) == []


def test_values_are_null_where_the_data_are_gone_and_a_warning_says_so(tmp_path: Path, told: dict[str, Any]) -> None:
    result = table_run(tmp_path / "run", **told)
    (tmp_path / "data.parquet").rename(tmp_path / "moved.parquet")
    found = Lines(result, LongRequest())
    assert found.warnings[0].startswith(f"Values are null: {tmp_path / 'data.parquet'}: no such file")
    assert {line["value"] for line in asked(result)} == {None}
    assert {line["value_j"] for line in asked(result, pairs=True)} == {None}
    moved = str(tmp_path / "moved.parquet")
    assert [line["value"] for line in asked(result, data=moved, rows=[0])] == VALUES[0].tolist()
    with pytest.raises(DataError, match="no such file"):
        Lines(result, LongRequest(data=str(tmp_path / "data.parquet")))


def test_a_table_that_is_named_for_conditions_need_not_have_the_features(tmp_path: Path, told: dict[str, Any]) -> None:
    result = table_run(tmp_path / "run", **told)
    pq.write_table(pa.table({"smokes": [True, False] * 5}), tmp_path / "more.parquet")
    found = asked(result, data=str(tmp_path / "more.parquet"), where=("smokes=true",))
    assert found == [line for line in attributions_by_record(result) if line["_row"] % 2 == 0]
    with pytest.raises(DataError, match="has none of the features of"):
        Lines(result, LongRequest(data=str(tmp_path / "more.parquet")))


def grouped(tmp_path: Path) -> Result:
    """Write a run over a one-hot group, a group of several numbers, a category column and a number."""
    hot = np.eye(3)[np.arange(N_ROWS) % 3]
    hot[3], hot[5] = 0, 1
    columns = {
        **{f"color_{name}": hot[:, place] for place, name in enumerate(("red", "blue", "green"))},
        **{"lab_1": VALUES[:, 0], "lab_2": VALUES[:, 1], "job": np.arange(N_ROWS) % 3, "age": np.arange(N_ROWS) + 0.5},
    }
    told = {
        "data": write_data(tmp_path / "data.parquet", columns),
        "groups": {"color": ["color_red", "color_blue", "color_green"], "lab": ["lab_1", "lab_2"]},
        "categories": {"values": {"job": ["admin", "blue collar", None]}, "unknown": {}, "source": "vocab.toml"},
    }
    features = ("color", "lab", "job", "age")
    return read(write_table_run(tmp_path / "run", random_gammas(N_ROWS, 4), features=features, keys=KEYS, **told))


@pytest.mark.parametrize("batch_values", [1, 1 << 20])
def test_words_stand_for_categories_and_one_hot_groups_and_numbers_are_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_values: int
) -> None:
    monkeypatch.setattr("ihcli.data.formats.parquet.BATCH_VALUES", batch_values)
    result = grouped(tmp_path)
    found = Lines(result, LongRequest())
    assert found.schema.field("value").type == pa.string()
    by_feature: dict[str, list[Any]] = {}
    for line in asked(result):
        by_feature.setdefault(line["feature"], []).append(line["value"])
    assert by_feature["color"] == ["red", "blue", "green", "(none)", "blue", None, "red", "blue", "green", "red"]
    assert by_feature["lab"] == [None] * N_ROWS
    assert by_feature["job"][:3] == ["admin", "blue collar", "(missing)"]
    assert by_feature["age"][:2] == ["0.5", "1.5"]
    told = [value_of(result, row, "job") for row in range(N_ROWS)]
    assert by_feature["job"] == told
    assert {line["value_j"] for line in asked(result, pairs=True, features=("age",), rows=[1])} == {"1.5"}


def test_texts_have_words_and_positions_and_no_values(tmp_path: Path) -> None:
    gammas = [random_gammas(1, len(units))[0] for units in TEXTS]
    result = read(write_texts(tmp_path / "run", TEXTS, gammas, [f"T{i}" for i in range(len(TEXTS))]))
    found = asked(result)
    assert list(found[0]) == ["_row", "id", "_target", "position", "feature", "attribution", "_relative_error"]
    words = [(row, place, word) for row, units in enumerate(TEXTS) for place, word in enumerate(units)]
    assert [(line["_row"], line["position"], line["feature"]) for line in found] == words
    np.testing.assert_allclose([line["attribution"] for line in found], np.concatenate([g.sum(axis=1) for g in gammas]))
    pairs = asked(result, pairs=True)
    expected = [
        (row, i, units[i], j, units[j], 2 * gammas[row][i, j])
        for row, units in enumerate(TEXTS)
        for i in range(len(units))
        for j in range(i + 1, len(units))
    ]
    names = ("_row", "position_i", "feature_i", "position_j", "feature_j", "interaction")
    assert [tuple(line[name] for name in names[:-1]) for line in pairs] == [each[:-1] for each in expected]
    assert [line["interaction"] for line in pairs] == pytest.approx([each[-1] for each in expected])
    assert all(line["error_bar"] is not None for line in pairs)
    assert {line["feature"] for line in asked(result, features=("bad", "day"))} == {"bad", "day"}
    assert [line["_row"] for line in asked(result, pairs=True, top_k=1)] == [0, 2, 3]


def test_top_pairs_of_texts_have_words_alone(tmp_path: Path) -> None:
    gammas = [random_gammas(1, len(units))[0] for units in TEXTS]
    result = read(write_texts(tmp_path / "run", TEXTS, gammas, ["x"] * len(TEXTS), storage="top:2"))
    found = asked(result, pairs=True)
    assert list(found[0]) == ["_row", "id", "_target", "feature_i", "feature_j", "interaction", "error_bar"]
    for row, units in enumerate(TEXTS):
        effects = sorted((2 * gammas[row][np.triu_indices(len(units), 1)]).tolist(), key=abs, reverse=True)
        told = [line["interaction"] for line in found if line["_row"] == row]
        assert told == pytest.approx(effects[:2])


def test_a_text_without_words_has_no_line(tmp_path: Path) -> None:
    write_text_run(tmp_path / "run")
    found = Lines(read(tmp_path / "run"), LongRequest())
    assert found.warnings == ["no lines of 1 entry without values (missing_input 1)."]
    assert {line["_row"] for line in asked(read(tmp_path / "run"))} == {0, 1}


def test_runs_without_interactions_of_rows_say_what_to_do(tmp_path: Path, told: dict[str, Any]) -> None:
    nothing = table_run(tmp_path / "none", storage="none", **told)
    with pytest.raises(RunError, match=r"stores no interactions of single rows\. Try .*`interactions=full`"):
        Lines(nothing, LongRequest(pairs=True))
    assert asked(nothing) == attributions_by_record(nothing)
    top = table_run(tmp_path / "top", storage="top:2", **told)
    with pytest.raises(RunError, match=r"`main_effects`: .* stores the largest pairs of every row only"):
        Lines(top, LongRequest(pairs=True, main_effects=True))


def test_a_run_that_goes_on_has_lines_of_what_is_finished(tmp_path: Path, told: dict[str, Any]) -> None:
    path = table_run(tmp_path / "run", **told).path
    info = json.loads((path / "run.json").read_text()) | {"status": "interrupted"}
    del info["totals"]
    (path / "run.json").write_text(json.dumps(info))
    (path / "attributions/part-000003.parquet").unlink()
    found = Lines(read(path), LongRequest())
    assert "lines are of its finished parts only" in found.warnings[0]
    assert {line["_row"] for line in asked(read(path))} == set(range(9)) - set(MISSING)


def test_a_key_that_is_called_as_a_column_of_lines_gets_another_name(tmp_path: Path, told: dict[str, Any]) -> None:
    path = write_table_run(tmp_path / "run", random_gammas(N_ROWS), keys=KEYS, **told)
    for file in path.rglob("part-*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.rename_columns(["value" if name == "id" else name for name in table.column_names]), file)
    info = json.loads((path / "run.json").read_text()) | {"keys": ["value"]}
    (path / "run.json").write_text(json.dumps(info))
    first = asked(read(path))[0]
    assert (first["key_value"], first["value"]) == ("P0", VALUES[0, 0])


def test_lines_say_what_their_columns_are(tmp_path: Path, told: dict[str, Any]) -> None:
    for pairs in (False, True):
        schema = Lines(table_run(tmp_path / f"{pairs}", **told), LongRequest(pairs=pairs)).schema
        assert all(set(field.metadata) == {b"definition", b"unit"} for field in schema)


def test_ties_are_as_they_come() -> None:
    found = cells.Cells(
        np.array([0, 0, 0, 1]), pa.array(["a", "b"]), (np.array([0, 1, 0, 1]),), None, np.array([1.0, -1.0, 0.5, 2.0])
    )
    assert found.largest(2).ends[0].tolist() == [0, 1, 1]
    assert [len(some) for some in found.cut(3)] == [3, 1]
