"""Rows that are sequences: by step, block, channel and column, against wrapped networks and slow definitions."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.polynomial import legendre
from oracles import double_integral
from sequence_models import example, network, save
from torch import Tensor, nn

import ihcli
from ihcli import IhcliWarning
from ihcli.cli import main
from ihcli.data.columns import Columns
from ihcli.data.sequences import Grid, SequenceForm, SequenceUnits
from ihcli.errors import DataError, IhcliError, OptionError

T, F, N = 6, 2, 3
ROUNDING = 1e-11  # float64, the same sums in another order
PANELS, NODES = 24, 8
"""Of a graded rule of Gauss-Legendre over a smooth path."""
FLOAT32 = 1e-5
MIDPOINTS, OF_MIDPOINTS = 24, 5e-3  # error of so many midpoints on each level
ROWS = np.random.default_rng(1).normal(size=(N, T * F))
NAMES = [f"{name}_{t}" for t in range(T) for name in ("hr", "bp")]


class Wrapped(nn.Module):
    """What people do by hand: a module that reshapes."""

    def __init__(self, module: nn.Module, steps: int = T) -> None:
        super().__init__()
        self.module, self.steps = module, steps

    def forward(self, rows: Tensor) -> Tensor:
        return self.module(rows.reshape(len(rows), self.steps, -1))


def groups_by(unit: str) -> dict[str, list[str]]:
    """Return the columns "0" to "11" of each unit."""
    cells = np.arange(T * F).reshape(T, F)
    if unit == "step":
        return {f"t-{T - t}": [str(i) for i in cells[t]] for t in range(T)}
    if unit == "channel":
        return {f"channel {f}": [str(i) for i in cells[:, f]] for f in range(F)}
    names = ("t-6..t-3", "t-2..t-1")
    return {name: [str(i) for i in part.ravel()] for name, part in zip(names, np.split(cells, [4]), strict=True)}


@pytest.mark.parametrize("method", ["ig", "eg", "ih", "eh"])
@pytest.mark.parametrize("unit", ["step", "step:4", "channel"])
def test_a_sequence_is_a_wrapped_network_with_groups(unit: str, method: str) -> None:
    module = network("lstm", T, F)
    settings: dict[str, Any] = {"method": method, "target": 0, "tolerance": 1e-4}
    found = ihcli.explain(module, ROWS, sequence=(T, F), units=unit, **settings)
    wanted = ihcli.explain(Wrapped(module), ROWS, groups=groups_by(unit), **settings)
    assert found.feature_names == wanted.feature_names == tuple(groups_by(unit))
    np.testing.assert_allclose(found.attributions, wanted.attributions, atol=ROUNDING)
    if found.interactions is not None and wanted.interactions is not None:
        np.testing.assert_allclose(found.interactions, wanted.interactions, atol=ROUNDING)


@pytest.mark.parametrize("name", ["lstm", "gru", "temporal", "convolution", "transformer"])
@pytest.mark.parametrize("unit", ["step", "channel"])
def test_attributions_are_those_of_a_graded_rule(name: str, unit: str) -> None:
    """phi_g = int_0^1 dh/du_g dt along the straight path of the flat inputs."""
    module = network(name, T, F)
    found = ihcli.explain(module, ROWS, sequence=(T, F), units=unit, target=1, tolerance=1e-5)
    nodes, weights = legendre.leggauss(NODES)
    edges = (np.arange(PANELS + 1) / PANELS) ** 2
    middles, halves = (edges[1:] + edges[:-1])[:, None] / 2, np.diff(edges)[:, None] / 2
    t, w = (middles + halves * nodes).ravel(), (halves * weights).ravel()
    for row, phi in zip(torch.as_tensor(ROWS), found.attributions, strict=True):
        points = (torch.as_tensor(t)[:, None] * row).requires_grad_()
        sequences = points.view(-1, T, F)
        output = module(sequences.transpose(1, 2) if name == "convolution" else sequences)[:, 1]
        (slopes,) = torch.autograd.grad(output.sum(), points)
        by_input = (slopes * row * torch.as_tensor(w)[:, None]).sum(0).view(T, F)
        np.testing.assert_allclose(phi, by_input.sum(1 if unit == "step" else 0), atol=1e-5 * np.abs(phi).sum())
    assert found.interactions is not None
    np.testing.assert_allclose(
        found.interactions.sum(2), found.attributions, atol=1e-5 * np.abs(found.attributions).max()
    )
    np.testing.assert_allclose(found.interactions, found.interactions.transpose(0, 2, 1), atol=0)
    change = found.prediction - found.baseline_prediction
    np.testing.assert_allclose(found.attributions.sum(1), change, atol=1e-5 * np.abs(change).max())


@pytest.mark.parametrize("unit", ["step", "channel"])
def test_interactions_are_those_of_the_double_integral(unit: str) -> None:
    module, row = network("gru", 3, F), torch.as_tensor(ROWS[0, : 3 * F])
    found = ihcli.explain(module, row[None].numpy(), sequence=(3, F), units=unit, target=1, tolerance=1e-6)

    def output(rows: Tensor) -> Tensor:
        return module(rows.view(-1, 3, F))[:, 1:]

    by_input = double_integral(output, row, torch.zeros_like(row), MIDPOINTS).reshape(3, F, 3, F)
    wanted = by_input.sum((1, 3) if unit == "step" else (0, 2))
    assert found.interactions is not None
    np.testing.assert_allclose(found.interactions[0], wanted, atol=OF_MIDPOINTS * np.abs(wanted).sum())


def test_columns_are_explained_alone_where_asked() -> None:
    found = ihcli.explain(network("gru", T, F), ROWS, sequence=(T, F), units="column", target=0)
    assert found.feature_names == tuple(str(i) for i in range(T * F))
    by_step = ihcli.explain(network("gru", T, F), ROWS, sequence=(T, F), target=0)
    size = np.abs(by_step.attributions).sum()
    np.testing.assert_allclose(found.attributions.reshape(N, T, F).sum(2), by_step.attributions, atol=0.02 * size)


def test_the_order_of_columns_is_read_off_their_names() -> None:
    module, by_step = network("lstm", T, F), pd.DataFrame(ROWS, columns=NAMES)
    by_channel = by_step[sorted(NAMES, key=lambda name: (name[:2] == "bp", int(name[3:])))]
    found, swapped = (
        ihcli.explain(module, frame, sequence=(T, F), target=0, tolerance=1e-4) for frame in (by_step, by_channel)
    )
    assert found.feature_names == swapped.feature_names == tuple(f"step {t}" for t in range(T))
    np.testing.assert_allclose(found.attributions, swapped.attributions, atol=ROUNDING)
    channels = ihcli.explain(module, by_channel, sequence=(T, F), units="channel", target=0)
    assert channels.feature_names == ("hr", "bp")


def test_sequences_may_come_as_they_are() -> None:
    module = network("convolution", T, F)
    rows = ihcli.explain(module, ROWS, sequence="6x2", target=0)
    cube, turned = ROWS.reshape(N, T, F), ROWS.reshape(N, T, F).transpose(0, 2, 1)
    for given, told in ((cube, {}), (torch.as_tensor(cube), {"sequence": (T, F)}), (turned, {"channels_first": True})):
        found = ihcli.explain(module, given, target=0, **told)
        assert found.feature_names == rows.feature_names
        np.testing.assert_allclose(found.attributions, rows.attributions, atol=ROUNDING)
    started = ihcli.explain(module, cube, target=0, baseline=cube[0])
    np.testing.assert_allclose(started.attributions[0], 0, atol=ROUNDING)
    with pytest.raises(OptionError, match=r"^`sequence=3x4`: x has 6 steps of 2"):
        ihcli.explain(module, cube, sequence=(3, 4))


def test_a_network_that_takes_both_is_given_steps_first_and_told_so() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.arange(4.0, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.weight).sum((1, 2)).tanh()

    rows = ROWS[:, :16] if ROWS.shape[1] >= 16 else np.random.default_rng(2).normal(size=(N, 16)) / 4
    with pytest.warns(IhcliWarning, match=r"here \(N, 4, 4\), and as \(N, F, T\) too: the first is taken\. Try `chan"):
        first = ihcli.explain(Weighted(), rows, sequence=(4, 4), units="channel", baseline="zeros")
    assert np.abs(first.attributions[:, 0]).max() == 0  # of the weight 0
    turned = ihcli.explain(Weighted(), rows, sequence=(4, 4), units="step", channels_first=True)
    assert np.abs(turned.attributions[:, 0]).max() == 0


# What is explained, and what it is called


def grid(names: list[str], form: str) -> Grid:
    return Grid.of(names, SequenceForm.of(form), "data.csv")


def test_long_sequences_are_explained_by_blocks_unless_told() -> None:
    for steps, size in ((1, 1), (32, 1), (33, 2), (64, 2), (200, 7), (10_000, 313)):
        units = SequenceUnits.of(None, steps)
        assert (units.kind, units.size) == ("step", size)
        assert -(-steps // size) <= 32
    numbers = [str(i) for i in range(100)]
    names = grid(numbers, "50x2").groups(Columns(tuple(numbers)), SequenceUnits.of(None, 50)).names
    assert (names[0], names[-1], len(names)) == ("t-50..t-49", "t-2..t-1", 25)


def test_blocks_are_called_by_their_first_and_last_step() -> None:
    units = SequenceUnits.of("step:4", T)
    assert grid(NAMES, "6x2").groups(Columns(tuple(NAMES)), units).names == ("step 0..step 3", "step 4..step 5")
    numbers = [str(i) for i in range(48)]
    names = grid(numbers, "24x2").groups(Columns(tuple(numbers)), SequenceUnits.of("step:4", 24)).names
    assert names[0] == "t-24..t-21"


def test_each_column_belongs_to_its_unit() -> None:
    by_channel = [f"{name}_{t}" for name in ("hr", "bp") for t in range(T)]
    for names, form in ((NAMES, "6x2"), (by_channel, "6x2:by-channel")):
        columns = Columns(tuple(names))
        for unit in ("step", "channel"):
            groups = grid(names, form).groups(columns, SequenceUnits.of(unit, T))
            for name, owner in zip(names, groups.index.tolist(), strict=True):
                channel, step = name.split("_")
                assert groups.names[owner] == (f"step {step}" if unit == "step" else channel)


def test_a_unit_does_not_take_the_name_of_a_key() -> None:
    names = [f"{name}_t{t}" for t in range(2) for name in ("hr", "bp")]
    with pytest.raises(OptionError, match=r"^`units=channel`: 'hr' would have the name of a key"):
        grid(names, "2x2").groups(Columns(tuple(names), keys=("hr",)), SequenceUnits.of("channel", 2))


REFUSED: Mapping[str, tuple[list[str], str, str]] = {
    "the numbers swapped": (NAMES, "2x6", r"say 6 steps \('step 0', .* of 2 channels \('hr', 'bp'\).* Try `(6x2)`"),
    "t is a step": ([f"x_t{t}_f{f}" for t in range(6) for f in range(2)], "2x6", "say 6 steps"),
    "two readings": ([f"a{a}b{b}" for a in range(3) for b in range(3)], "3x3", "can be read in two ways"),
    "the order of text": (
        [f"{c}_{t}" for c in "ab" for t in sorted(range(11), key=str)],
        "11x2",
        "neither step by step",
    ),
    "a step too few": ([f"a_{t}" for t in range(5)] + [f"b_{t}" for t in range(1, 6)], "5x2", "name steps, but not"),
    "others among them": ([f"a_{t}" for t in range(4)] + ["age", "sex"], "3x2", "name steps, but not 3 of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_names_that_say_something_else_are_refused_and_the_advice_helps(case: str) -> None:
    names, form, words = REFUSED[case]
    with pytest.raises(OptionError, match=words.replace("`(6x2)`", "`sequence=6x2`")) as caught:
        grid(names, form)
    advised = re.findall(r"`sequence=(\S+?)`", str(caught.value).partition(" Try ")[2])
    assert len(advised) == 2
    for told in advised:
        assert grid(names, told).shape[0] * grid(names, told).shape[1] == len(names)


def test_another_number_of_columns_is_refused_with_what_fits() -> None:
    numbers = [str(i) for i in range(20)]
    with pytest.raises(
        DataError, match=r"^data.csv: has 20 features .* `sequence=6x2` is 12.*Try `sequence=10x2`, `feat"
    ):
        grid(numbers, "6x2")
    assert grid(numbers, "10x2").shape == (10, 2)


@pytest.mark.parametrize("value", ["24", "0x5", "24x0", "24x5:up", "all", (24,), (24, 5, 1), (2.5, 3), "", "-2x3", 24])
def test_what_is_no_form_of_a_sequence_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match=r"^`sequence`: .* cannot be\. Expected TxF, .* Try 24x5\.$"):
        ihcli.explain(network("lstm", T, F), ROWS, sequence=value)


@pytest.mark.parametrize("units", ["word", "steps", "step:0", "step:-1", "step:1.5", "channel:2", ""])
def test_what_is_no_unit_of_a_sequence_is_refused(units: str) -> None:
    with pytest.raises(OptionError, match=r"^`units=.*`: cannot be for a sequence\. .* Try `units=step`\.$"):
        ihcli.explain(network("lstm", T, F), ROWS, sequence=(T, F), units=units)


def test_any_length_is_for_files() -> None:
    with pytest.raises(OptionError, match=r"^`sequence=any`: is for columns of lists in files\."):
        ihcli.explain(network("lstm", T, F), ROWS, sequence="any")


def test_options_that_need_a_sequence_say_so() -> None:
    for options in ({"units": "step"}, {"channels_first": True}):
        with pytest.raises(OptionError, match=r"is for sequences, and `sequence` is not given"):
            ihcli.explain(network("lstm", T, F), ROWS, **options)
    with pytest.raises(OptionError, match=r"^`units`: cannot be used together with `groups`"):
        ihcli.explain(network("lstm", T, F), ROWS, sequence=(T, F), units="step", groups={"a": ["0", "1"]})


def test_groups_of_ones_own_take_the_place_of_units() -> None:
    groups = {"early": [str(i) for i in range(6)], "late": [str(i) for i in range(6, 12)]}
    found = ihcli.explain(network("lstm", T, F), ROWS, sequence=(T, F), groups=groups, target=0)
    blocks = ihcli.explain(network("lstm", T, F), ROWS, sequence=(T, F), units="step:3", target=0)
    assert found.feature_names == ("early", "late")
    np.testing.assert_allclose(found.attributions, blocks.attributions, atol=ROUNDING)


# Runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 2 layers over 24 steps of 5 channels, and 9 rows, one of which lacks a value."""
    directory = tmp_path_factory.mktemp("sequences")
    module = network("lstm", 24, 5, torch.float32)
    save("script", module, example(module, 24, 5), directory / "lstm.pt")
    names = [f"{channel}_{t}" for channel in ("hr", "bp", "temp", "spo2", "resp") for t in range(24)]
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 120)).round(3), columns=names)
    rows.loc[7, "bp_3"] = np.nan
    rows.insert(0, "patient", [f"P{i}" for i in range(9)])
    rows.to_parquet(directory / "stays.parquet")
    rows.drop(index=7).to_csv(directory / "stays.csv", index=False)
    return directory


def ask(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == code, done.stderr
    return done


def explained(folder: Path, out: Path, *options: object, data: str = "stays.parquet") -> Path:
    common = ("--sequence", "24x5", "--key", "patient", "--missing", "flag", "--target", "0")
    ask("explain", folder / "lstm.pt", folder / data, "-o", out, *common, *options)
    return out


@pytest.mark.parametrize(
    "options", [(), ("--units", "channel"), ("--units", "step:6", "-m", "eh", "--baseline-rows", "3")]
)
def test_a_run_over_sequences_is_verified(folder: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    out = explained(folder, tmp_path / "run", *options)
    told = ask("verify", out, folder / "lstm.pt", folder / "stays.parquet", "--sample", "2")
    assert " checks passed." in told.stderr
    info = json.loads((out / "run.json").read_text())
    units = options[1] if options else "step"
    assert info["sequence"] == {
        "steps": 24,
        "channels": 5,
        "columns": "by-channel",
        "named": True,
        "model": "(N, T, F)",
        "units": units,
    }
    assert len(info["features"]) == {"step": 24, "channel": 5, "step:6": 4}[units]
    assert sum(map(len, info["groups"].values())) == 120
    found = ihcli.read(out)
    assert found.attributions["_status"].tolist().count("missing_input") == 1


def test_steps_and_channels_of_a_run_add_up_to_the_same(folder: Path, tmp_path: Path) -> None:
    steps, channels = (
        ihcli.read(explained(folder, tmp_path / units, "--units", units, "--dtype", "float64", "--tolerance", "1e-4"))
        for units in ("step", "channel")
    )
    sums = [found.attributions[list(found.feature_names)].sum(axis=1) for found in (steps, channels)]
    np.testing.assert_allclose(sums[0], sums[1], atol=1e-4 * np.abs(sums[0]).max())
    assert channels.feature_names == ("hr", "bp", "temp", "spo2", "resp")


def parts(run: Path) -> dict[str, bytes]:
    return {str(file.relative_to(run)): file.read_bytes() for file in sorted(run.glob("*/part-*.parquet"))}


def test_workers_shards_and_resumption_give_the_same_parts(folder: Path, tmp_path: Path) -> None:
    options = ("--units", "channel", "--chunk-rows", "3")
    whole = parts(explained(folder, tmp_path / "whole", *options))
    assert len(whole) == 6
    assert parts(explained(folder, tmp_path / "workers", *options, "--workers", "2")) == whole
    for shard in ("1/2", "2/2"):
        explained(folder, tmp_path / "shards", *options, "--shard", shard)
    ask("merge", tmp_path / "shards")
    assert parts(tmp_path / "shards") == whole
    explained(folder, tmp_path / "workers", *options, "--resume")
    done = CliRunner().invoke(
        main,
        [
            *("explain", f"{folder}/lstm.pt", f"{folder}/stays.parquet", "-o", f"{tmp_path}/whole", "--key", "patient"),
            *("--sequence", "24x5:by-channel", "--missing", "flag", "--target", "0", "--chunk-rows", "3", "--resume"),
        ],
    )
    assert done.exit_code == 1
    assert "Expected --sequence 24x5, got --sequence 24x5:by-channel" in done.stderr
    assert "Expected --units channel, got no --units" in done.stderr


def test_a_run_of_before_that_says_word_goes_on(folder: Path, tmp_path: Path) -> None:
    save("script", nn.Linear(120, 1).eval(), torch.zeros(1, 120), tmp_path / "rows.pt")
    arguments = ("explain", tmp_path / "rows.pt", folder / "stays.csv", "-o", tmp_path / "run", "--key", "patient")
    ask(*arguments)
    file = tmp_path / "run" / "run.json"
    info = json.loads(file.read_text())
    assert "sequence" not in info["arguments"]
    info["arguments"]["units"] = "word"
    file.write_text(json.dumps(info))
    ask(*arguments, "--resume")


def test_a_dry_run_says_what_rows_are_taken_for(folder: Path) -> None:
    told = ask(
        "explain", folder / "lstm.pt", folder / "stays.csv", "--sequence", "24x5", "--key", "patient", "--dry-run"
    )
    sentence = "24 steps of 5 channels, columns channel by channel, as their names say; the model takes (N, T, F); "
    assert f"{sentence}explained by step." in told.stdout


CODE = """
import torch

class Network(torch.nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.layer = torch.nn.LSTM(5, hidden, 2, batch_first=True)
        self.head = torch.nn.Linear(hidden, 2)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])
"""


def test_weights_with_their_class_give_the_numbers_of_the_script(folder: Path, tmp_path: Path) -> None:
    torch.save(network("lstm", 24, 5, torch.float32).state_dict(), tmp_path / "weights.pt")
    (tmp_path / "net.py").write_text(CODE)
    code = ("--code", f"{tmp_path}/net.py:Network", "--code-args", '{"hidden": 6}')
    script = ihcli.read(explained(folder, tmp_path / "script", "--units", "step:6"))
    common = ("--sequence", "24x5", "--key", "patient", "--missing", "flag", "--target", "0", "--units", "step:6")
    ask("explain", tmp_path / "weights.pt", folder / "stays.parquet", "-o", tmp_path / "run", *common, *code)
    found, columns = ihcli.read(tmp_path / "run"), list(script.feature_names)
    np.testing.assert_allclose(found.attributions[columns], script.attributions[columns], atol=FLOAT32)
    verified = ask(
        *("verify", tmp_path / "run", tmp_path / "weights.pt", folder / "stays.parquet", "--sample", "2", *code[:2])
    )
    assert " checks passed." in verified.stderr


def test_inspecting_a_network_of_sequences_says_what_it_takes(folder: Path, tmp_path: Path) -> None:
    told = ask("inspect", folder / "lstm.pt").stdout
    assert "sequences (N, T, 5), steps of 5 numbers: see ihcli explain --sequence" in told
    assert re.search(r"Outputs +2\n", told)
    module = network("convolution", 24, 5, torch.float32)
    save("pt2", module, example(module, 24, 5), tmp_path / "model.pt2")
    assert "sequences (N, 5, 24), steps of 5" in ask("inspect", tmp_path / "model.pt2", "--trust").stdout


def test_the_report_and_pictures_of_sequences_are_those_of_tables(folder: Path, tmp_path: Path) -> None:
    out = explained(folder, tmp_path / "run", "--units", "step:6")
    ask("report", out, "-o", tmp_path / "page.html")
    assert "24 x 5 (steps x channels), columns by-channel" in (tmp_path / "page.html").read_text()
    ask("plot", out, "heatmap", "-o", tmp_path / "heat.png")
    assert "step 0..step 5" in ask("interactions", out).stdout


WRONG: Mapping[str, tuple[tuple[str, ...], str]] = {
    "no sequence": ((), "takes (N, T, 5), sequences of T steps of 5 numbers, but the data has rows of 120 features. "),
    "numbers swapped": (("--sequence", "5x24"), "Try --sequence 24x5, or --sequence 5x24:by-step where the names"),
    "units of texts": (("--sequence", "24x5", "--units", "token"), "--units token: cannot be for a sequence"),
    "units without": (("--units", "channel"), "--units channel: is for sequences, and --sequence is not given"),
    "axes without": (("--channels-first",), "--channels-first: is for sequences, and --sequence is not given"),
    "axes": (("--sequence", "24x5", "--channels-first"), "takes no (N, 5, 24), as --sequence 24x5 asks for. Expected"),
    "both": (("--sequence", "24x5", "--units", "step", "--groups-by", "_"), "cannot be used together with --groups-by"),
    "texts": (("--sequence", "24x5", "--text", "patient"), "--sequence: is for tables of numbers, and --text explains"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_one_message(folder: Path, tmp_path: Path, case: str) -> None:
    options, words = WRONG[case]
    arguments = ("explain", folder / "lstm.pt", folder / "stays.csv", "-o", tmp_path / "run", "--key", "patient")
    told = ask(*arguments, *options, code=1).stderr
    assert words in told
    assert told.count("Error: ") == 1
    assert not (tmp_path / "run").exists()


def test_the_first_message_leads_to_a_run(folder: Path, tmp_path: Path) -> None:
    arguments = ("explain", folder / "lstm.pt", folder / "stays.csv", "-o", tmp_path / "run", "--key", "patient")
    advice = re.search(r"Try (--sequence \S+)\.\n$", ask(*arguments, code=1).stderr)
    assert advice is not None
    ask(*arguments, *advice[1].split(), "-m", "ig")


def test_units_of_a_kind_that_nobody_knows_are_a_wrong_usage() -> None:
    told = ask("explain", "model.pt", "data.csv", "-o", "run", "--units", "steps", code=2).stderr
    assert "Expected word or token of a text; step, step:K with K at least 1, channel or column of a sequence" in told


def test_baselines_of_sequences_are_rows_of_the_table(folder: Path, tmp_path: Path) -> None:
    names = [f"{channel}_{t}" for channel in ("hr", "bp", "temp", "spo2", "resp") for t in range(24)]
    pd.DataFrame(np.ones((1, 120)), columns=names).to_csv(tmp_path / "ones.csv", index=False)
    for baseline in ("mean", "median", tmp_path / "ones.csv"):
        out = explained(folder, tmp_path / "run", "--baseline", baseline, "-m", "ig", "--overwrite")
        assert set(ihcli.read(out).attributions["_status"]) == {"ok", "missing_input"}


def test_errors_are_of_ihcli_alone(folder: Path) -> None:
    with pytest.raises(IhcliError):
        ihcli.explain(network("lstm", T, F), ROWS[:, :-1], sequence=(T, F))


def test_the_page_shows_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "sequences.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    said = []
    for language, text in re.findall(r"^```(python|console|text)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        if language == "python":
            shortened = text.replace("range(30)", "range(2)")  # what it learns is not what is tested
            file = tmp_path / f"page{len(names)}.py"
            file.write_text(shortened, encoding="utf-8")  # where torch.jit.script looks for the code
            model_files.quietly(exec, compile(shortened, str(file), "exec"), names)
        elif language == "console":
            told = [ask(*line.removeprefix("$ ihcli ").split()) for line in text.splitlines()]
            assert "checks passed" in told[-1].stderr
            said.append(told[0].stderr.splitlines()[0])
    assert said[0] in page
    assert names["by_name"].feature_names == ("hr", "bp", "temp", "spo2", "resp")
    assert names["found"].feature_names[0] == "t-24..t-19"
