"""Sequences of any length, by steps of each one's own and by channels that all have: the contract, numbers and runs."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from reader_contract import Case, ReaderContract
from sequence_models import example, network, save

import ihcli
from ihcli.cli import main
from ihcli.data.sequences import SequenceUnits, last_blocks
from ihcli.errors import OptionError
from ihcli.models import wrap_module
from ihcli.models.sequences import axes_of
from ihcli.readers.steps import StepReader

F = 2
ROUNDING = 1e-11  # float64, the same sums in another order
FLOAT32 = 1e-5
LENGTHS = (5, 3, 8, 5, 4, 7)


def arrays(*lengths: int) -> list[np.ndarray]:
    return [np.random.default_rng(i).normal(size=(n, F)) for i, n in enumerate(lengths)]


def reader(units: str) -> StepReader:
    return StepReader(("hr", "bp"), SequenceUnits.of(units, 8), np.array([0.5, -0.5]))


def of_rows() -> Any:
    model = wrap_module(network("gru", 5, F))
    return axes_of(model, (None, F), False, None).of_rows(model)


class Steps(ReaderContract):
    units: str

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls) -> Case:
        records = [*arrays(3, 2), None, *arrays(4, 3, 2), np.zeros((0, F)), np.full((2, F), np.inf)]
        return Case(of_rows(), reader(cls.units), records, (2, 6, 7))


class TestBySteps(Steps):
    units = "step"


class TestByBlocks(Steps):
    units = "step:2"


class TestByChannels(Steps):
    units = "channel"


@pytest.mark.parametrize("units", ["step", "step:2", "channel"])
def test_a_sequence_of_any_length_has_the_values_of_one_of_that_length(units: str) -> None:
    module, records = network("gru", 5, F), arrays(*LENGTHS)
    start = np.array([0.5, -0.5])
    found = ihcli.explain_records(of_rows(), records, reader(units), target=0, tolerance=1e-4)
    for i, record in enumerate(records):
        flat = {"baseline": np.tile(start, len(record)), "target": 0, "tolerance": 1e-4}
        alone = ihcli.explain(module, record[None], units=units if units != "step:2" else "step", **flat)
        phi, gamma = alone.attributions[0], alone.interactions[0]
        if units == "step:2":  # blocks are counted from the end
            owner = last_blocks(len(record), 2)[1]
            phi = np.bincount(owner, phi)
            assert found.attributions[i] == pytest.approx(phi, abs=1e-3 * np.abs(phi).sum())
            continue
        np.testing.assert_allclose(found.attributions[i], phi, atol=ROUNDING)
        np.testing.assert_allclose(found.interactions[i], gamma, atol=ROUNDING)


def test_blocks_are_counted_from_the_last_step() -> None:
    assert last_blocks(5, 2)[0] == ("t-5", "t-4..t-3", "t-2..t-1")
    assert last_blocks(5, 2)[1].tolist() == [0, 1, 1, 2, 2]
    assert last_blocks(3, 1)[0] == ("t-3", "t-2", "t-1")
    assert last_blocks(2, 5)[0] == ("t-2..t-1",)
    for steps in range(1, 12):
        for size in range(1, 13):
            names, owner = last_blocks(steps, size)
            assert owner.tolist() == sorted(owner.tolist())
            assert set(owner.tolist()) == set(range(len(names)))


def test_a_method_over_rows_of_data_is_refused() -> None:
    with pytest.raises(
        OptionError, match=r"^`method=eh`: averages over rows of data, .* Try `method=ih`, or `sequence="
    ):
        ihcli.explain_records(of_rows(), arrays(3), reader("step"), method="eh")


# Runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lists")
    module = network("gru", 5, F, torch.float32)
    save("script", module, example(module, 5, F), directory / "gru.pt")
    rows = arrays(*LENGTHS)
    columns = {name: [row[:, i].tolist() for row in rows] for i, name in enumerate(("hr", "bp"))}
    columns["hr"][4] = []
    columns["bp"][4] = []
    table = {"stay": [f"S{i}" for i in range(len(rows))], **columns, "risk": list("010101")}
    pq.write_table(pa.table(table), directory / "stays.parquet")
    return directory


def ask(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == code, done.stderr
    return done


COMMON = ("--sequence", "any", "--key", "stay", "--label", "risk", "--missing", "flag", "--target", "0")


def explained(folder: Path, out: Path, *options: object) -> Path:
    ask("explain", folder / "gru.pt", folder / "stays.parquet", "-o", out, *COMMON, *options)
    return out


@pytest.mark.parametrize("units", ["step", "step:3", "channel"])
def test_a_run_over_lists_is_verified(folder: Path, tmp_path: Path, units: str) -> None:
    out = explained(folder, tmp_path / "run", "--units", units, "--baseline", "mean")
    assert " checks passed." in ask("verify", out, folder / "gru.pt", folder / "stays.parquet", "--sample", "6").stderr
    info = json.loads((out / "run.json").read_text())
    told = {"steps": None, "channels": 2, "columns": "lists", "named": True, "model": "(N, T, F)", "units": units}
    assert info["sequence"] == told
    assert (info["features"], info.get("units")) == ((["hr", "bp"], None) if units == "channel" else (None, units))
    found = ihcli.read(out).attributions
    assert found["_status"].tolist() == ["ok"] * 4 + ["missing_input", "ok"]
    if units == "step":
        assert [None if names is None else len(names) for names in found["units"]] == [5, 3, 8, 5, None, 7]
        assert list(found["units"][1]) == ["t-3", "t-2", "t-1"]


def parts(run: Path) -> dict[str, bytes]:
    return {str(file.relative_to(run)): file.read_bytes() for file in sorted(run.glob("*/part-*.parquet"))}


def test_workers_and_shards_write_the_same_parts(folder: Path, tmp_path: Path) -> None:
    whole = parts(explained(folder, tmp_path / "whole", "--chunk-rows", "2"))
    assert len(whole) == 6
    assert parts(explained(folder, tmp_path / "workers", "--chunk-rows", "2", "--workers", "2")) == whole
    for shard in ("1/2", "2/2"):
        explained(folder, tmp_path / "shards", "--chunk-rows", "2", "--shard", shard)
    ask("merge", tmp_path / "shards")
    assert parts(tmp_path / "shards") == whole
    explained(folder, tmp_path / "whole", "--chunk-rows", "2", "--resume")


def test_steps_are_ranked_and_shown(folder: Path, tmp_path: Path) -> None:
    out = explained(folder, tmp_path / "run")
    assert '"t-2"' in json.dumps(ask("interactions", out, "--format", "csv").stdout.split(",")[11:])
    assert "t-3" in ask("attributions", out, "--key", "stay=S1").stdout
    assert ask("interactions", out, "--row", "2").stdout
    ask("report", out, "-o", tmp_path / "page.html")
    ask("plot", out, "waterfall", "--row", "2", "-o", tmp_path / "row.png")
    told = ask("plot", out, "dependence", "-o", tmp_path / "no.png", code=1).stderr
    assert "explains sequences, and dependence draws features of a table" in told


def test_lists_of_one_length_are_as_columns(folder: Path, tmp_path: Path) -> None:
    rows = arrays(5, 5, 5)
    flat = pd.DataFrame([row.ravel() for row in rows], columns=[f"{c}_{t}" for t in range(5) for c in ("hr", "bp")])
    flat.to_parquet(tmp_path / "flat.parquet")
    lists = {name: [row[:, i].tolist() for row in rows] for i, name in enumerate(("hr", "bp"))}
    pq.write_table(pa.table(lists), tmp_path / "lists.parquet")
    for data, sequence in (("flat", "5x2"), ("lists", "any")):
        file = tmp_path / f"{data}.parquet"
        options = ("--sequence", sequence, "--units", "channel", "--target", "0")
        ask("explain", folder / "gru.pt", file, "-o", tmp_path / data, *options)
    one, other = (ihcli.read(tmp_path / name).attributions[["hr", "bp"]] for name in ("flat", "lists"))
    np.testing.assert_allclose(one, other, atol=FLOAT32)


WRONG: Mapping[str, tuple[tuple[str, ...], str]] = {
    "eh": (("-m", "eh"), "--method eh: averages over rows of data, and a sequence of any length has one baseline."),
    "data": (("--baseline", "data"), "--baseline data: is many rows, and sequences of any length have one baseline."),
    "columns": (("--units", "column"), "--units column: is for columns of numbers, and --sequence any for lists."),
    "groups": (("--groups-by", "_"), "--groups-by: is for columns of numbers, and --sequence any for lists."),
    "words": (("--units", "word"), "--units word: cannot be for a sequence."),
    "missing": (("--missing", "error"), "column 'hr' has 1 empty or incomplete value, the first in row 4."),
    "axes": (("--channels-first",), "Expected what it takes, (N, T, 2). Try without --channels-first."),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_one_message(folder: Path, tmp_path: Path, case: str) -> None:
    options, words = WRONG[case]
    arguments = ("explain", folder / "gru.pt", folder / "stays.parquet", "-o", tmp_path / "run", *COMMON, *options)
    told = ask(*arguments, code=1).stderr
    assert words in told
    assert told.count("Error: ") == 1


def test_another_number_of_channels_is_refused(folder: Path, tmp_path: Path) -> None:
    arguments = ("explain", folder / "gru.pt", folder / "stays.parquet", "-o", tmp_path / "run", *COMMON)
    told = ask(*arguments, "--features", "hr", code=1).stderr
    assert (
        "takes neither (N, 8, 1) nor (N, 1, 8), sequences of 1 channels as the data's. Expected what it takes" in told
    )
    assert "(N, T, 2). Try --features to choose 2 channels." in told
    ask(*arguments, "--features", "hr,bp", "-m", "ig")


def test_columns_of_lists_without_the_option_are_told_of_it(folder: Path, tmp_path: Path) -> None:
    data = ("explain", folder / "gru.pt", folder / "stays.parquet", "-o", tmp_path / "run")
    told = ask(*data, "--key", "stay", "--label", "risk", code=1).stderr
    advice = re.search(r"try (--sequence any)", told)
    assert advice is not None, told
    ask(*data, "--key", "stay", "--label", "risk", *advice[1].split(), "--missing", "flag", "-m", "ig")
