"""A run from files to files: the same answer however it is cut, and an honest run.json whatever happens."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import checkpoints
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from ihcli.data.rows import Chunk
from ihcli.errors import DataError, OptionError, RunError
from ihcli.execution.forecasting import estimate
from ihcli.execution.pipeline import run
from ihcli.execution.preparation import PreparedRun, prepare_run
from ihcli.execution.refusals import parse
from ihcli.explainers.explainer import Explainer
from ihcli.explanation import Explanation
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.run import open_run
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.totals import Observer
from ihcli.runs.writer import RunWriter, create_run
from ihcli.summaries.ranked import RankedSummary
from ihcli.summaries.tables import Summary

ROUNDING = 1e-12  # float64 sums in another order


class Net(nn.Sequential):
    """Four inputs, two outputs, float64, with names."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 12), nn.Softplus(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in three forms, and a table as CSV and Parquet, whole and in two halves."""
    folder = tmp_path_factory.mktemp("pipeline")
    torch.manual_seed(0)
    net = nn.Sequential(*Net()).double().eval()
    torch.save(net, folder / "net.pt")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        torch.jit.script(net).save(folder / "net_script.pt")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((23, 4)), columns=["a", "b", "c", "d"])
    table.insert(0, "id", [f"{i:03d}" for i in range(23)])
    table["label"] = rng.integers(0, 2, 23)
    table.to_parquet(folder / "table.parquet")
    table.to_csv(folder / "table.csv", index=False)
    table[:11].to_parquet(folder / "first.parquet")
    table[11:].to_parquet(folder / "second.parquet")
    return folder


def request_of(folder: Path, data: str = "table.parquet", **options: object) -> RunRequest:
    base = RunRequest(str(folder / "net.pt"), str(folder / data), key=("id",), label="label")
    return replace(base, **options)


def explained(request: RunRequest, out: Path) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Run and read back: the attributions table and the interactions as an array."""
    run(request, out, Observer())
    table = pd.read_parquet(out / "attributions")
    if not (out / "interactions").exists():
        return table, None
    matrices = pq.read_table(out / "interactions")["interactions"].combine_chunks()
    return table, matrices.drop_null().to_numpy_ndarray()


def assert_same(left: tuple[pd.DataFrame, np.ndarray | None], right: tuple[pd.DataFrame, np.ndarray | None]) -> None:
    pd.testing.assert_frame_equal(left[0], right[0], rtol=1e-9, atol=ROUNDING)
    if left[1] is not None and right[1] is not None:
        np.testing.assert_allclose(left[1], right[1], rtol=1e-9, atol=ROUNDING)


@pytest.mark.parametrize("method", ["ig", "eg", "ih", "eh"])
def test_chunks_and_batches_do_not_change_the_answer(folder: Path, tmp_path: Path, method: str) -> None:
    whole = explained(request_of(folder, method=method), tmp_path / "whole")
    for chunk_rows in (1, 7):
        cut = explained(request_of(folder, method=method, chunk_rows=chunk_rows), tmp_path / str(chunk_rows))
        assert_same(whole, cut)
        assert len(list((tmp_path / str(chunk_rows) / "attributions").iterdir())) == -(-23 // chunk_rows)
    tight = explained(request_of(folder, method=method, memory_bytes=100_000), tmp_path / "tight")
    assert_same(whole, tight)


def test_csv_and_parquet_give_the_same_answer(folder: Path, tmp_path: Path) -> None:
    parquet = explained(request_of(folder), tmp_path / "parquet")
    csv = explained(request_of(folder, "table.csv"), tmp_path / "csv")
    assert_same(parquet, csv)


def test_two_halves_give_the_answer_of_one_run(folder: Path, tmp_path: Path) -> None:
    whole = explained(request_of(folder), tmp_path / "whole")
    halves = [explained(request_of(folder, f"{half}.parquet"), tmp_path / half) for half in ("first", "second")]
    joined = pd.concat([table for table, _ in halves], ignore_index=True).assign(_row=np.arange(23))
    interactions = np.concatenate([matrix for _, matrix in halves if matrix is not None])
    assert_same(whole, (joined, interactions))


def test_a_model_saved_in_two_forms_gives_the_same_answer(folder: Path, tmp_path: Path) -> None:
    pickled = explained(request_of(folder, method="eh"), tmp_path / "pickled")
    scripted = explained(request_of(folder, method="eh", model=str(folder / "net_script.pt")), tmp_path / "scripted")
    assert_same(pickled, scripted)


def test_summaries_are_those_of_the_written_rows(folder: Path, tmp_path: Path) -> None:
    table, interactions = explained(request_of(folder, target="0", chunk_rows=5), tmp_path / "run")
    summary = open_run(tmp_path / "run").summary_attributions().to_pandas().set_index("feature")
    np.testing.assert_allclose(summary.loc["b", "mean_abs"], table["b"].abs().mean(), rtol=1e-12)
    pairs = open_run(tmp_path / "run").summary_interactions().to_pandas().set_index(["feature_i", "feature_j"])
    assert interactions is not None
    np.testing.assert_allclose(pairs.loc[("a", "c"), "mean"], 2 * interactions[:, 0, 2].mean(), rtol=1e-10)


def test_run_json_tells_what_was_run(folder: Path, tmp_path: Path) -> None:
    totals = run(request_of(folder, method="eg", baseline_rows=10), tmp_path / "run", Observer())
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["status"] == "done"
    assert info["totals"]["rows"] == totals.rows == 23
    assert info["totals"]["statuses"] == {"ok": 23}
    assert info["arguments"]["method"] == "eg"
    assert len(info["baseline"].pop("sha256")) == 64
    assert info["baseline"] == {
        "source": f"the data {folder / 'table.parquet'}, 10 of 23 complete rows (seed 0)",
        "rows": 10,
        "population": 23,
        "drawn_from": 23,
    }
    assert info["engine"] == {"name": "mlp", "reason": "a chain of affine layers and element-wise activations"}
    assert len(info["model"]["sha256"]) == len(info["data"]["sha256"]) == 64
    table = pd.read_parquet(tmp_path / "run" / "attributions")
    assert (table["_sampling_error"] > 0).all()


def test_groups_stand_in_the_place_of_their_columns(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "groups.toml").write_text('[groups]\n"a and c" = ["a", "c"]\n')
    grouped, _ = explained(request_of(folder, groups=str(tmp_path / "groups.toml")), tmp_path / "grouped")
    single, _ = explained(request_of(folder), tmp_path / "single")
    assert list(grouped.columns[-3:]) == ["a and c", "b", "d"]
    np.testing.assert_allclose(grouped["a and c"], single["a"] + single["c"], rtol=1e-2)


def test_limit_explains_the_first_rows_only(folder: Path, tmp_path: Path) -> None:
    table, _ = explained(request_of(folder, limit=5, chunk_rows=3), tmp_path / "run")
    assert table["id"].tolist() == ["000", "001", "002", "003", "004"]


def test_missing_inputs_stop_the_run_before_it_starts_or_are_flagged(folder: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(folder / "table.parquet")
    table.loc[[3, 8], "b"] = np.nan
    table.loc[5, "c"] = np.inf
    table.to_parquet(tmp_path / "holes.parquet")
    request = replace(request_of(folder), data=str(tmp_path / "holes.parquet"))
    with pytest.raises(DataError) as caught:
        run(request, tmp_path / "run", Observer())
    assert str(caught.value) == (
        f"{tmp_path / 'holes.parquet'}: column 'b' has 2 null values, the first in row 3 (1 more such columns). "
        "Expected finite numbers. Try `missing=flag`, which writes such rows without figures."
    )
    assert not (tmp_path / "run").exists()
    flagged, _ = explained(replace(request, missing="flag"), tmp_path / "run")
    assert flagged.index[flagged["_status"] == "missing_input"].tolist() == [3, 5, 8]
    assert flagged.loc[[3, 5, 8], ["_prediction", "_relative_error", "a", "d"]].isna().all(axis=None)
    assert (flagged["_status"].drop([3, 5, 8]) == "ok").all()


def test_a_failure_before_the_first_part_leaves_no_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RunError("no space left")

    monkeypatch.setattr(RunWriter, "write_part", refuse)
    with pytest.raises(RunError, match="no space left"):
        run(request_of(folder), tmp_path / "run", Observer())
    assert not (tmp_path / "run").exists()


def test_a_failure_after_a_part_keeps_it_and_says_so(folder: Path, tmp_path: Path) -> None:
    class Interrupting(Observer):
        def chunk_done(self, done: Progress) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(request_of(folder, chunk_rows=10), tmp_path / "run", Interrupting())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    assert len(pd.read_parquet(tmp_path / "run" / "attributions")) == 10
    assert not list((tmp_path / "run").rglob("*.tmp*"))


@pytest.mark.parametrize(("name", "workers"), [("table.csv", 1), ("net.pt", 1), ("net.pt", 2)])
def test_what_changes_while_it_is_read_makes_no_finished_run(
    folder: Path, tmp_path: Path, name: str, workers: int
) -> None:
    for each in ("net.pt", "table.csv"):
        shutil.copy(folder / each, tmp_path)
    changing = tmp_path / name

    class Changing(Observer):
        def chunk_done(self, done: Progress) -> None:
            changing.write_bytes(changing.read_bytes())

    asked = request_of(tmp_path, "table.csv", chunk_rows=10)
    with pytest.raises(RunError, match=f"{name}: was changed while the run read it"):
        run(asked, tmp_path / "run", Changing(), workforce=Workforce(workers=workers))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"
    assert not (tmp_path / "run" / "summary").exists()
    assert run(asked, tmp_path / "run", Observer(), existing="resume").rows == 23  # its content is the same after all


def test_a_run_may_lie_beside_the_files_of_its_model(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "bert", "bert")
    pd.DataFrame({"text": ["a bad film", "good"]}).to_parquet(tmp_path / "texts.parquet")
    asked = RunRequest(
        str(tmp_path / "bert"), str(tmp_path / "texts.parquet"), text="text", tolerance=0.1, device="cpu"
    )
    for _ in range(2):
        assert run(asked, tmp_path / "bert" / "run", Observer(), existing="replace").rows == 2


def test_an_interrupt_while_explaining_keeps_and_counts_the_parts_before(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []

    class Counting(Observer):
        def chunk_done(self, done: Progress) -> None:
            counted.append(done.rows)

    explain = Explainer.explain

    def interrupted(
        self: Explainer, inputs: np.ndarray, labels: object = None, first_row: int = 0, *tell: object
    ) -> Explanation:
        if first_row == 20:
            raise KeyboardInterrupt
        return explain(self, inputs, labels, first_row)

    monkeypatch.setattr(Explainer, "explain", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(request_of(folder, chunk_rows=10), tmp_path / "run", Counting())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    assert counted == [10, 10]
    assert len(pd.read_parquet(tmp_path / "run" / "attributions")) == 20
    assert not (tmp_path / "run" / "summary").exists()


def test_a_table_that_breaks_while_it_is_read_stops_the_run_and_keeps_what_was_explained(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = PreparedRun.chunks

    def broken(self: PreparedRun) -> Iterator[Chunk]:
        yield next(chunks(self))
        raise DataError("table.parquet: the rest cannot be read.")

    monkeypatch.setattr(PreparedRun, "chunks", broken)
    with pytest.raises(DataError, match="the rest cannot be read"):
        run(request_of(folder, chunk_rows=10), tmp_path / "run", Observer())
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (info["status"], info["error"]) == ("failed", "table.parquet: the rest cannot be read.")
    assert len(pd.read_parquet(tmp_path / "run" / "attributions")) == 10


@pytest.mark.parametrize("method", ["ig", "ih"])
def test_overlapping_does_not_change_a_byte(folder: Path, tmp_path: Path, method: str) -> None:
    request = request_of(folder, method=method, chunk_rows=3)
    run(request, tmp_path / "run", Observer())
    prepared = prepare_run(parse(request))
    asked = open_run(tmp_path / "run").info.sha256.question
    writer, summary = replace(create_run(tmp_path / "plain"), question=asked), RankedSummary(Summary)
    for part, chunk in enumerate(prepared.chunks()):
        explanation = prepared.explainer.explain(chunk.inputs, chunk.labels, chunk.first_row)
        writer.write_part(part, explanation, chunk.keys)
        summary.update(explanation)
    writer.write_summary(summary.attributions(), summary.interactions())
    files = sorted(file.relative_to(tmp_path / "plain") for file in (tmp_path / "plain").rglob("*.parquet"))
    assert len(files) == (18 if method == "ih" else 9)
    for file in files:
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes(), file


def test_the_text_of_a_request_is_read_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(option: str) -> InteractionStorage:
        read.append(option)
        return parsed(option)

    parsed, asked = InteractionStorage.parse, request_of(folder, chunk_rows=10, interactions="top:1")
    monkeypatch.setattr(InteractionStorage, "parse", counted)
    run(asked, tmp_path / "run", Observer())
    assert read == ["top:1"]
    run(asked, tmp_path / "run", Observer(), existing="replace")
    estimate(asked, Observer())
    assert read == ["top:1"] * 3


@pytest.mark.parametrize(("option", "value"), [("interactions", "few"), ("method", "gig"), ("text_pair", "b")])
def test_a_request_that_cannot_be_read_leaves_nothing(folder: Path, tmp_path: Path, option: str, value: str) -> None:
    for existing in ("refuse", "replace", "resume"):
        with pytest.raises(OptionError, match=option):
            run(request_of(folder, **{option: value}), tmp_path / "new" / "run", Observer(), existing=existing)
    assert not (tmp_path / "new").exists()


def test_a_label_column_chooses_the_target(folder: Path, tmp_path: Path) -> None:
    table, _ = explained(request_of(folder, target="label"), tmp_path / "run")
    labels = pd.read_parquet(folder / "table.parquet")["label"].astype(str)
    assert table["_target"].tolist() == labels.tolist()


def test_the_estimate_of_a_run_is_near_what_the_run_takes(folder: Path, tmp_path: Path) -> None:
    expected = estimate(request_of(folder), Observer())
    totals = run(request_of(folder), tmp_path / "run", Observer())
    assert expected.rows == totals.rows
    assert expected.evaluations_per_row == pytest.approx(totals.evaluations / totals.rows, rel=0.2)
    assert expected.share_converged == 1.0
    assert expected.features == 4
    assert expected.disk_bytes > 0


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"features": ("a", "b", "c")}, DataError, "has 3 features ('a', 'b', 'c'), but"),
        (
            {"target": "2"},
            OptionError,
            "`target`: '2' is not an output of the model. Expected one of '0', '1', an index",
        ),
        ({"device": "tpu9"}, OptionError, "`device`: 'tpu9' is not a device. Expected auto, cpu or cuda, also cuda:1."),
        ({"groups": "x.toml", "groups_by": "="}, OptionError, "`groups`: cannot be used together with `groups_by`."),
        ({"key": ("nobody",)}, OptionError, "`key=nobody`:"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_written(
    folder: Path, tmp_path: Path, options: dict, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        run(request_of(folder, **options), tmp_path / "run", Observer())
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()
