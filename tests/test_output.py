"""A run on disk: what its files hold, that they appear whole, and what is refused."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import duckdb
import explanations
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.bars import certain_ranks, pair_bars
from ihcli.errors import OptionError, RunError
from ihcli.explanation import Explanation
from ihcli.files import parquet as encoding
from ihcli.quality import COLUMNS, RESERVED
from ihcli.runs.info import RunInfo
from ihcli.runs.run import open_run
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.writer import create_run
from ihcli.summaries.tables import Summary

KEYS = pa.table({"id": ["007", "8", "9", "10"], "day": pa.array([1, 2, 3, 4], pa.date32())})
NO_KEYS = KEYS.select([])


def explained(n_rows: int = 4, n_features: int = 3, dtype: type = np.float32, first_row: int = 0) -> Explanation:
    rng = np.random.default_rng(n_rows)
    interactions = rng.standard_normal((n_rows, n_features, n_features)).astype(dtype)
    interactions += interactions.transpose(0, 2, 1)
    return explanations.of_table(
        interactions,
        [f"f{i}" for i in range(n_features)],
        ["benign"] * n_rows,
        row=np.arange(first_row, first_row + n_rows),
        prediction=rng.standard_normal(n_rows).astype(dtype),
        baseline_prediction=rng.standard_normal(n_rows).astype(dtype),
        completeness_gap=np.full(n_rows, 1e-9),
    )


def with_missing_row(explanation: Explanation, row: int) -> Explanation:
    parts = {
        name: getattr(explanation, name).copy() for name in ("attributions", "interactions", "prediction", "status")
    }
    parts["status"][row] = "missing_input"
    for name in ("attributions", "interactions", "prediction"):
        parts[name][row] = np.nan
    return replace(explanation, **parts)


def written(path: Path, explanation: Explanation, keys: pa.Table = KEYS, interactions: str = "full") -> Path:
    writer = create_run(path, InteractionStorage.parse(interactions))
    writer.write_part(0, explanation, keys)
    summary = Summary()
    summary.update(explanation)
    writer.write_summary(summary.attributions(), summary.interactions())
    writer.write_info(RunInfo.of({"status": "done"}))
    return path


# What is written


def test_a_run_has_the_specified_files(tmp_path):
    run = written(tmp_path / "run", explained())
    assert sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()) == [
        "attributions/part-000000.parquet",
        "interactions/part-000000.parquet",
        "run.json",
        "summary/attributions.parquet",
        "summary/interactions.parquet",
    ]


def test_attributions_have_the_specified_columns_and_types(tmp_path):
    table = pq.read_table(
        written(tmp_path / "run", replace(explained(), drift=np.zeros(4), sampling_error=np.zeros(4))) / "attributions"
    )
    assert {field.name: str(field.type) for field in table.schema} == {
        "_row": "int64",
        "id": "string",
        "day": "date32[day]",
        "_target": "string",
        "_prediction": "float",
        "_baseline_prediction": "float",
        "_completeness_gap": "double",
        "_relative_error": "double",
        "_interaction_error": "double",
        "_drift": "double",
        "_sampling_error": "double",
        "_evaluations": "int32",
        "_status": "string",
        "f0": "float",
        "f1": "float",
        "f2": "float",
    }
    assert not {"_drift", "_sampling_error"} & set(
        pq.read_schema(written(tmp_path / "plain", explained()) / "attributions/part-000000.parquet").names
    )


def test_every_reserved_column_is_defined():
    assert tuple(column.name for column in COLUMNS if column.definition and column.unit) == RESERVED


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_come_back_bit_for_bit(tmp_path, dtype):
    explanation = explained(dtype=dtype)
    run = open_run(written(tmp_path / "run", explanation))
    attributions, interactions = run.attributions(), run.interactions()
    found = np.stack([attributions[name].to_numpy() for name in explanation.feature_names], axis=1)
    np.testing.assert_array_equal(found, explanation.attributions, strict=True)
    found = interactions["interactions"].combine_chunks().to_numpy_ndarray()
    np.testing.assert_array_equal(found, explanation.interactions, strict=True)
    assert interactions["id"].to_pylist() == attributions["id"].to_pylist() == KEYS["id"].to_pylist()


def test_units_and_definitions_stand_in_the_metadata(tmp_path):
    run = written(tmp_path / "run", explained())
    for file in run.rglob("*.parquet"):
        for field in pq.read_schema(file):
            assert set(field.metadata) >= {b"definition", b"unit"}, (file, field.name)
    schema = pq.read_schema(run / "interactions" / "part-000000.parquet")
    assert json.loads(schema.field("interactions").metadata[b"feature_names"]) == ["f0", "f1", "f2"]
    assert json.loads(schema.metadata[b"feature_names"]) == ["f0", "f1", "f2"]


def test_rows_without_values_hold_nulls(tmp_path):
    run = open_run(written(tmp_path / "run", with_missing_row(explained(), 1)))
    table = run.attributions()
    assert [table[name][1].as_py() for name in ("f0", "_prediction", "_relative_error")] == [None] * 3
    assert (table["_row"][1].as_py(), table["_status"][1].as_py()) == (1, "missing_input")
    assert [table[name].null_count for name in ("f0", "_prediction", "_status")] == [1, 1, 0]
    column = run.interactions()["interactions"].combine_chunks()
    assert column.is_null().to_pylist() == [False, True, False, False]
    np.testing.assert_array_equal(column.drop_null().to_numpy_ndarray(), explained().interactions[[0, 2, 3]])


def test_targets_of_one_row_share_its_keys(tmp_path):
    explanation = replace(explained(), row=np.array([10, 10, 11, 11]), target=np.array(["a", "b", "a", "b"]))
    run = open_run(written(tmp_path / "run", explanation, KEYS.slice(0, 2)))
    assert run.attributions()["id"].to_pylist() == ["007", "007", "8", "8"]
    with pytest.raises(ValueError, match="1 rows of keys for 2 rows of data"):
        written(tmp_path / "short", explanation, KEYS.slice(0, 1))


def test_top_pairs_are_the_largest_pair_effects(tmp_path):
    explanation = with_missing_row(explained(4, 7), 2)
    table = open_run(written(tmp_path / "run", explanation, interactions="top:3")).interactions()
    for gamma, stored in zip(explanation.interactions, table["interactions"].to_pylist(), strict=True):
        if np.isnan(gamma).any():
            assert stored is None
            continue
        pairs = [(gamma[i, j] + gamma[j, i], f"f{i}", f"f{j}") for i in range(7) for j in range(i + 1, 7)]
        largest = sorted(pairs, key=lambda pair: -abs(pair[0]))[:3]
        assert [(pair["value"], pair["i"], pair["j"]) for pair in stored] == largest


def test_top_pairs_have_the_bars_and_the_certain_ranks_of_the_whole_matrix(tmp_path):
    errors, spread = np.array([0.0, 0.001, 0.02, 0.3]), np.abs(explained(4, 7).interactions)
    explanation = replace(explained(4, 7), interaction_error=errors, interaction_spread=spread)
    table = open_run(written(tmp_path / "run", explanation, interactions="top:6")).interactions()
    first, second, claims = *np.triu_indices(7, 1), set()
    for row, stored in enumerate(table["interactions"].to_pylist()):
        effects = 2 * explanation.interactions[row][first, second]
        bars = 2 * pair_bars(explanation.interactions[row], errors[row])[first, second]
        order = np.argsort(-np.abs(effects), kind="stable")
        certain = certain_ranks(effects[order], bars[order])
        claims.add(min(certain, 6))
        assert [pair["certain"] for pair in stored] == (np.arange(6) < certain).tolist()
        np.testing.assert_allclose([pair["error_bar"] for pair in stored], bars[order[:6]], rtol=1e-6)
        expected = 2 * spread[row][first, second][order[:6]]
        np.testing.assert_array_equal([pair["standard_error"] for pair in stored], expected)
    assert len(claims) > 2


def test_bars_that_are_not_known_are_null(tmp_path):
    explanation = replace(explained(4, 4), interaction_error=np.array([np.nan, 0.1, 0.1, 0.1]))
    stored = open_run(written(tmp_path / "run", explanation, interactions="top:2")).interactions()["interactions"]
    assert [pair["error_bar"] for pair in stored[0].as_py()] == [None, None]
    assert [pair["certain"] for pair in stored[0].as_py()] == [False, False]
    assert all(pair["error_bar"] > 0 for pair in stored[1].as_py())
    written(tmp_path / "plain", replace(explanation, interaction_error=None), interactions="top:2")
    type_ = pq.read_schema(tmp_path / "plain/interactions/part-000000.parquet").field("interactions").type.value_type
    assert [field.name for field in type_] == ["i", "j", "value"]


def test_what_stands_beside_the_largest_pairs_says_what_it_is(tmp_path):
    explanation = replace(explained(4, 4), interaction_spread=np.ones((4, 4, 4)))
    run = written(tmp_path / "run", explanation, interactions="top:2")
    pairs = pq.read_schema(run / "interactions/part-000000.parquet").field("interactions").type.value_type
    for name in ("error_bar", "certain", "standard_error"):
        assert set(pairs.field(name).metadata) >= {b"definition", b"unit"}


def test_the_largest_of_many_pairs_are_stored_ties_in_feature_order(tmp_path):
    explanation = explained(4, 60)
    rounded = replace(explanation, interactions=explanation.interactions.round(1))  # so that many pairs tie
    table = open_run(written(tmp_path / "run", rounded, interactions="top:40")).interactions()
    first, second = np.triu_indices(60, 1)
    for gamma, stored in zip(rounded.interactions, table["interactions"].to_pylist(), strict=True):
        effects = 2 * gamma[first, second]
        order = np.argsort(-np.abs(effects), kind="stable")[:40]
        expected = [(f"f{first[k]}", f"f{second[k]}", effects[k]) for k in order]
        assert [(pair["i"], pair["j"], pair["value"]) for pair in stored] == expected


def test_top_stores_every_pair_where_there_are_fewer(tmp_path):
    for n_features in (1, 3):
        run = written(tmp_path / str(n_features), explained(4, n_features), interactions="top:50")
        lengths = [len(pairs) for pairs in open_run(run).interactions()["interactions"].to_pylist()]
        assert lengths == [n_features * (n_features - 1) // 2] * 4


def test_none_stores_summaries_only(tmp_path):
    run = written(tmp_path / "run", explained(), interactions="none")
    assert not (run / "interactions").exists()
    assert open_run(run).summary_interactions().num_rows == 3
    assert not open_run(run).has_interactions


def columns_of(file: Path) -> dict[str, pq.ColumnChunkMetaData]:
    group = pq.ParquetFile(file).metadata.row_group(0)
    return {column.path_in_schema: column for column in (group.column(i) for i in range(group.num_columns))}


@pytest.mark.parametrize(
    ("n_features", "zeros", "codec"), [(3, 0.9, "UNCOMPRESSED"), (80, 0.0, "UNCOMPRESSED"), (80, 0.9, "ZSTD")]
)
def test_matrices_are_compressed_where_it_pays(tmp_path, n_features, zeros, codec):
    explanation = explained(4, n_features)
    dropped = np.random.default_rng(0).random(explanation.interactions.shape) < zeros
    sparse = np.where(dropped, 0, explanation.interactions)
    run = written(tmp_path / "run", replace(explanation, interactions=sparse))
    leaf = columns_of(run / "interactions" / "part-000000.parquet")["interactions.list.element"]
    assert leaf.compression == codec
    assert ("BYTE_STREAM_SPLIT" in leaf.encodings) == (codec == "ZSTD")
    stored = np.stack(open_run(run).interactions()["interactions"].to_pylist())
    np.testing.assert_array_equal(stored.reshape(sparse.shape), sparse)


def test_columns_have_statistics_but_elements_of_lists_have_none(tmp_path):
    run = written(tmp_path / "run", explained())
    matrices = columns_of(run / "interactions" / "part-000000.parquet")
    assert matrices["_row"].statistics.max == 3
    assert matrices["interactions.list.element"].statistics is None
    assert columns_of(run / "attributions" / "part-000000.parquet")["f0"].statistics.has_min_max


def test_one_row_is_read_without_many_others(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "COLUMN_BYTES", 2 * 3 * 3 * 4)
    run = written(tmp_path / "run", explained())
    file = pq.ParquetFile(run / "interactions" / "part-000000.parquet").metadata
    assert [file.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 2]
    found = open_run(run).interactions(rows=[3])["interactions"].combine_chunks().to_numpy_ndarray()
    np.testing.assert_array_equal(found, explained().interactions[3:])


# Reading with other tools, one line each


def test_a_run_reads_with_pandas(tmp_path):
    run, explanation = written(tmp_path / "run", explained()), explained()
    assert pd.read_parquet(run / "attributions")["f1"].tolist() == explanation.attributions[:, 1].tolist()
    gamma = np.stack(pd.read_parquet(run / "interactions")["interactions"]).reshape(-1, 3, 3)
    np.testing.assert_array_equal(gamma, explanation.interactions)


def test_a_run_reads_with_pyarrow(tmp_path):
    run = written(tmp_path / "run", explained())
    gamma = pq.read_table(run / "interactions")["interactions"].combine_chunks().to_numpy_ndarray()
    np.testing.assert_array_equal(gamma, explained().interactions)


def test_a_run_reads_with_duckdb(tmp_path):
    run, explanation = written(tmp_path / "run", explained()), explained()
    rows = duckdb.sql(f"select id, f0 from '{run}/attributions/*.parquet' order by _row").fetchall()
    assert rows == list(zip(KEYS["id"].to_pylist(), explanation.attributions[:, 0].tolist(), strict=True))
    (first,) = duckdb.sql(f"select interactions[2] from '{run}/interactions/*.parquet' where _row = 0").fetchall()[0]
    assert first == explanation.interactions[0, 0, 1]


# Written whole or not at all


def test_run_json_keeps_its_order_and_holds_plain_values(tmp_path):
    info = {"z": np.float32(0.5), "a": np.array([1, 2]), "gap": np.nan, "path": Path("x"), "nested": {"b": (1, True)}}
    create_run(tmp_path / "run").write_info(RunInfo.of(info))
    text = (tmp_path / "run" / "run.json").read_text()
    assert text.startswith('{\n  "z": 0.5,\n  "a": [\n')
    assert json.loads(text) == {"z": 0.5, "a": [1, 2], "gap": None, "path": "x", "nested": {"b": [1, True]}}


def test_a_new_run_says_that_it_is_running(tmp_path):
    create_run(tmp_path / "deep" / "run")
    assert open_run(tmp_path / "deep" / "run").info.content() == {"status": "running"}


def test_a_write_that_fails_leaves_no_file(tmp_path, monkeypatch):
    writer = create_run(tmp_path / "run")

    def disk_full(table, stream, **options):
        stream.write(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encoding.pq, "write_table", disk_full)
    with pytest.raises(RunError) as caught:
        writer.write_part(0, explained(), KEYS)
    file = tmp_path / "run" / "interactions" / "part-000000.parquet"
    assert str(caught.value) == (
        f"{file}: cannot be written: No space left on device. Try to make room, then the same command with `resume`."
    )
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == [tmp_path / "run" / "run.json"]


def test_a_file_is_synced_before_it_gets_its_name(tmp_path, monkeypatch):
    writer = create_run(tmp_path / "run")
    names_at_sync = []
    original = os.fsync

    def spy(descriptor):
        names_at_sync.append(sorted(path.name for path in (tmp_path / "run" / "attributions").iterdir()))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    writer.write_part(0, replace(explained(), interactions=None), KEYS)
    file_sync, directory_sync = names_at_sync
    assert file_sync[0].startswith(".part-000000.parquet.")
    assert directory_sync == ["part-000000.parquet"]


def test_an_abandoned_run_leaves_nothing(tmp_path):
    create_run(tmp_path / "run").abandon()
    assert not (tmp_path / "run").exists()
    writer = create_run(tmp_path / "run")
    writer.write_part(0, explained(), KEYS)
    writer.abandon()
    assert (tmp_path / "run" / "attributions" / "part-000000.parquet").exists()


# What is refused


def test_an_existing_run_is_replaced_only_when_asked(tmp_path):
    run = written(tmp_path / "run", explained())
    (run / "notes.txt").write_text("mine")
    with pytest.raises(RunError) as caught:
        create_run(run)
    assert str(caught.value) == f"{run}: holds a run already. Try `overwrite` to replace it, or another `out`."
    create_run(run, overwrite=True)
    assert sorted(path.name for path in run.iterdir()) == ["attributions", "notes.txt", "run.json"]
    assert not list((run / "attributions").iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_a_run_is_left_alone(tmp_path, overwrite):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError) as caught:
        create_run(tmp_path, overwrite=overwrite)
    assert str(caught.value) == (
        f"{tmp_path}: holds files that are not a run, so it is left alone. Try a new directory with `out`."
    )
    with pytest.raises(RunError, match=r"mine\.txt: is a file\. Expected a new directory for the run\."):
        create_run(tmp_path / "mine.txt", overwrite=overwrite)
    with pytest.raises(RunError, match=r"run: cannot be written: Not a directory\."):
        create_run(tmp_path / "mine.txt" / "run", overwrite=overwrite)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_an_empty_directory_becomes_a_run(tmp_path):
    create_run(tmp_path)
    assert (tmp_path / "run.json").exists()


@pytest.mark.parametrize("option", ["top", "top:0", "top:-1", "top:x", "all", ""])
def test_unknown_storage_is_refused(option):
    with pytest.raises(OptionError) as caught:
        InteractionStorage.parse(option)
    assert str(caught.value) == (
        f"`interactions={option}`: is not understood. Expected full, top:K with K at least 1, or none."
    )


def test_a_key_named_like_a_group_is_refused(tmp_path):
    with pytest.raises(RunError) as caught:
        written(tmp_path / "run", explained(), KEYS.rename_columns(["f0", "day"]))
    assert str(caught.value) == "f0: two columns of the run would have this name. Try to rename the key or the group."


def test_paths_that_are_no_runs_are_refused(tmp_path):
    with pytest.raises(RunError) as caught:
        open_run(tmp_path / "none")
    assert str(caught.value) == (
        f"{tmp_path / 'none'}: no such run. Expected the directory that ihcli explain wrote with `out`. "
        "Try checking the path."
    )
    with pytest.raises(
        RunError, match=r"is not a run\. Expected a directory with run\.json, as ihcli explain writes it"
    ):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json: not JSON "):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(RunError, match=r"run\.json: is not what ihcli explain writes\. Expected a JSON object\."):
        open_run(tmp_path)


def test_an_unfinished_run_has_no_summary(tmp_path):
    create_run(tmp_path / "run")
    for read in (open_run(tmp_path / "run").summary_attributions, open_run(tmp_path / "run").summary_interactions):
        with pytest.raises(RunError) as caught:
            read()
        assert str(caught.value) == (
            f"{tmp_path / 'run'}: the run did not finish (status running), so it has no summary. "
            "Try the same ihcli explain with `resume`, which keeps the finished parts."
        )


def test_a_run_of_ig_has_no_interactions(tmp_path):
    run = open_run(written(tmp_path / "run", replace(explained(), interactions=None)))
    with pytest.raises(RunError) as caught:
        run.summary_interactions()
    assert str(caught.value) == (
        f"{run.path}: has no interactions, only attributions. Expected a run of ih, eh, hessian, hessian-input, "
        "dfim, cd, occlusion-pairs or sii. Try ihcli explain with `method=ih`."
    )
    with pytest.raises(RunError, match=r"stores no interactions of single rows\."):
        run.interactions()


def test_rows_and_columns_can_be_chosen(tmp_path):
    writer = create_run(tmp_path / "run")
    for index in (1, 0):
        writer.write_part(index, explained(first_row=4 * index), NO_KEYS)
    run = open_run(tmp_path / "run")
    assert run.attributions(columns=["_row"])["_row"].to_pylist() == list(range(8))
    assert run.attributions(rows=[5, 2])["_row"].to_pylist() == [2, 5]
    assert run.interactions(rows=[6])["interactions"].combine_chunks().to_numpy_ndarray().shape == (1, 3, 3)
