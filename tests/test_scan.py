"""Betas tried on a sample: how many pairs are stable, which turn their sign, which beta is taken; refusals; shards."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner, Result
from model_files import quietly
from small_runs import Stopping, assert_same_run, content
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.errors import OptionError
from ihcli.execution.pipeline import run
from ihcli.execution.preparation import prepare_run
from ihcli.execution.refusals import parse
from ihcli.explanation import TextExplanation
from ihcli.explanation.betas import STABLE, BetaScan, Pairs, TriedBeta, chosen_of, rank_correlation, turning_pairs
from ihcli.runs.computation import scan_told
from ihcli.runs.merging import merge
from ihcli.runs.request import RunRequest
from ihcli.runs.run import open_run
from ihcli.runs.shards import Shard
from ihcli.runs.totals import Observer
from ihcli.smoothing import BETA_LADDER

SAMPLE = Path(__file__).parents[1] / "sample_data"
MOST_SAMPLE_RUNS = 20
FEATURES = ["a", "b", "c", "d"]
N_ROWS = 12


class Turning(nn.Module):
    """relu(a + b - 1) - 5 relu(a + b - 3) + 2 relu(c + d / 2 - 1/2): where a + b < 3, only soft bends are felt."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = x[:, 0] + x[:, 1]
        return torch.relu(u - 1) - 5 * torch.relu(u - 3) + 2 * torch.relu(x[:, 2] + 0.5 * x[:, 3] - 0.5)


def effect_of_a_and_b(rows: np.ndarray, beta: float) -> float:
    """Return the mean of 2 Gamma_ab by a fine midpoint rule."""
    t = (np.arange(200_000) + 0.5) / 200_000
    u = (rows[:, :1] + rows[:, 1:2]) * t

    def bend(at: float) -> np.ndarray:
        half = np.clip(beta * (u - at) / 2, -300, 300)
        return beta / (4 * np.cosh(half) ** 2)

    return float((2 * rows[:, 0] * rows[:, 1] * (-t * np.log(t) * (bend(1) - 5 * bend(3))).mean(1)).mean())


def traced(module: nn.Module) -> torch.jit.ScriptModule:
    return quietly(torch.jit.trace, module.eval(), torch.ones(3, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    traced(Turning()).save(str(folder / "turning.pt"))
    traced(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))).save(str(folder / "smooth.pt"))
    rows = np.random.default_rng(0).uniform(0.8, 1.2, (N_ROWS, 4)).astype("float32")
    pd.DataFrame(rows, columns=FEATURES).to_parquet(folder / "table.parquet")
    return folder


def asked(folder: Path, **options: object) -> RunRequest:
    base = RunRequest(str(folder / "turning.pt"), str(folder / "table.parquet"), smooth="scan", device="cpu")
    return replace(base, chunk_rows=3, memory_bytes=1 << 26, **options)


def scan_of(request: RunRequest) -> BetaScan:
    found = prepare_run(parse(request)).scanned
    assert found is not None
    return found


@pytest.fixture(scope="module")
def turning(folder: Path) -> BetaScan:
    return scan_of(asked(folder))


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """A run that tried betas first."""
    run(asked(folder), folder / "whole", Observer())
    return folder / "whole"


def test_a_pair_is_named_whose_sign_is_known_to_turn_and_at_which_betas(folder: Path, turning: BetaScan) -> None:
    rows = pd.read_parquet(folder / "table.parquet").to_numpy(np.float64)
    assert turning.sharpest is not None
    effects = {beta: effect_of_a_and_b(rows, beta) for beta in BETA_LADDER if beta <= turning.sharpest}
    assert effects[turning.sharpest] > 0 > effects[0.1]
    turned = next(pair for pair in turning.turning if (pair.feature_1, pair.feature_2) == ("a", "b"))
    assert turned.betas == tuple(beta for beta, effect in effects.items() if effect < 0)
    assert turned.effect == pytest.approx(effects[turning.sharpest], rel=0.02)
    assert turning.n_turning == len(turning.turning) == 1  # c x d bends inside of the path under every beta


def test_every_beta_is_tried_once_and_the_one_taken_agrees_with_the_sharpest(turning: BetaScan) -> None:
    assert tuple(each.beta for each in turning.betas) == BETA_LADDER
    assert len(turning.betas) <= MOST_SAMPLE_RUNS
    taken = next(each for each in turning.betas if each.beta == turning.chosen)
    assert taken.within_tolerance
    assert taken.agreement is not None
    assert taken.agreement >= turning.stable == STABLE
    assert turning.is_stable


def test_on_the_sample_network_more_pairs_are_stable_the_sharper_beta_is() -> None:
    request = RunRequest(
        str(SAMPLE / "breast_cancer_relu.pt"), str(SAMPLE / "breast_cancer.parquet"), smooth="scan", device="cpu"
    )
    found = scan_of(request)
    common = {each.beta: each.top for each in found.betas}
    assert found.top_k == 20
    assert (common[1.0] or 0) <= 12
    assert 13 <= (common[10.0] or 0) <= 18
    assert all((common[beta] or 0) >= 19 for beta in (50.0, 100.0, 200.0))
    ladder = [each.agreement for each in found.betas if each.agreement is not None]
    assert ladder == sorted(ladder)
    assert found.n_turning > 0


def test_shards_and_resumed_runs_tell_one_scan_and_none_is_made_twice(
    folder: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(folder)
    run(request, tmp_path / "shards", Observer(), shard=Shard(1, 2))
    with pytest.raises(KeyboardInterrupt):
        run(request, tmp_path / "stopped", Stopping(1))

    def twice(*_: object) -> None:
        raise AssertionError("tried again")

    monkeypatch.setattr("ihcli.explainers.scanning._scan", twice)
    run(request, tmp_path / "stopped", Observer(), "resume")
    run(request, tmp_path / "shards", Observer(), shard=Shard(2, 2))
    merge(tmp_path / "shards", lambda text: None)
    told = [scan_told(open_run(path).info.smoothing) for path in (whole, tmp_path / "stopped", tmp_path / "shards")]
    assert told[0] is not None
    assert told[0] == told[1] == told[2]
    assert_same_run(tmp_path / "stopped", whole)
    parts = [name for name in content(whole) if name.startswith(("attributions", "interactions"))]
    assert parts
    assert all(content(tmp_path / "shards")[name] == content(whole)[name] for name in parts)


def test_a_scanned_run_is_verified_also_against_its_model(folder: Path, whole: Path) -> None:
    checked = ask("verify", whole, folder / "turning.pt", folder / "table.parquet")
    assert checked.exit_code == 0, checked.output


def test_auto_tries_no_beta_unless_stability_is_asked_for(folder: Path) -> None:
    explainer = prepare_run(parse(replace(asked(folder), smooth="auto"))).explainer
    assert explainer.smoothing is not None
    assert explainer.smoothing.scan is None
    found = scan_of(replace(asked(folder), smooth="auto", smooth_stable=0.999))
    betas = [each.beta for each in found.betas]
    assert betas[0] == explainer.smoothing.beta
    assert found.is_stable
    assert betas[-2] == found.chosen
    assert all(each.following is not None and each.following < 0.999 for each in found.betas[:-2])


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_the_command_line_shows_the_scan_before_and_without_a_run(folder: Path, tmp_path: Path) -> None:
    base = ["explain", folder / "turning.pt", folder / "table.parquet", "--smooth", "scan"]
    foreseen = ask(*base, "--dry-run")
    done = ask(*base, "-o", tmp_path / "run")
    assert (foreseen.exit_code, done.exit_code) == (0, 0)
    for told in (foreseen.stdout, done.stderr):
        assert "Betas of SoftPlus tried on 12 rows of the data; compared with beta" in told
        assert "The sign of one pair depends on beta:" in told
        assert "a x b: positive at beta" in told
        assert "Taken: beta" in told
    assert "Betas" not in ask(*base, "-o", tmp_path / "quiet", "--quiet").stderr
    told = json.loads((tmp_path / "run" / "run.json").read_text())["smoothing"]
    assert told["beta"] == told["scan"]["chosen"]
    assert [each["beta"] for each in told["scan"]["betas"]] == list(BETA_LADDER)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (["-m", "ig", "--smooth", "scan"], ["-m", "ih", "--smooth", "scan"]),
        (["-m", "hessian", "--smooth-stable", "0.9"], ["-m", "ih", "--smooth-stable", "0.9"]),
        (["--smooth", "none", "--smooth-stable", "0.9"], ["--smooth", "auto", "--smooth-stable", "0.9"]),
        (["--smooth", "5", "--smooth-stable", "0.9"], ["--smooth", "5"]),
        (["--smooth-stable", "1.5"], ["--smooth-stable", "0.95"]),
    ],
)
def test_what_cannot_be_scanned_is_refused_and_the_advice_works(
    folder: Path, tmp_path: Path, wrong: list[str], right: list[str]
) -> None:
    base = ["explain", folder / "turning.pt", folder / "table.parquet", "-o", tmp_path / "run"]
    refused = ask(*base, *wrong)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: --smooth")
    assert "Expected " in refused.stderr
    assert ask(*base, *right).exit_code == 0


def test_a_model_without_relu_has_nothing_to_scan_and_the_advice_works(folder: Path, tmp_path: Path) -> None:
    base = ["explain", folder / "smooth.pt", folder / "table.parquet", "-o", tmp_path / "run"]
    refused = ask(*base, "--smooth", "scan")
    assert refused.exit_code == 1
    assert "Error: --smooth scan: the model has nothing that SoftPlus replaces." in refused.stderr
    assert "Try --smooth auto" in refused.stderr
    assert ask(*base, "--smooth", "auto", "--smooth-stable", "0.9").exit_code == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["smoothing"] is None


@pytest.mark.parametrize("form", [Turning, lambda: traced(Turning())])
def test_the_library_scans_every_form_of_a_model(folder: Path, form: object) -> None:
    rows = pd.read_parquet(folder / "table.parquet")
    found = ihcli.explain(form(), rows, smooth="scan")  # type: ignore[operator]
    assert found.interactions is not None
    assert (found.interactions[:, 0, 1] > 0).all()


def test_many_baselines_are_scanned_with_few_of_them(folder: Path) -> None:
    found = scan_of(replace(asked(folder), method="eh", baseline_rows=8))
    assert found.rows == N_ROWS
    assert found.sharpest is not None


def test_one_pair_has_no_order_and_that_is_said(folder: Path, tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x.sum(1) - 1)

    rows = pd.read_parquet(folder / "table.parquet")[["a", "b"]]
    with pytest.warns(ihcli.IhcliWarning, match="agree with those of sharper ones to 0.95 is not known"):
        ihcli.explain(Two(), rows, smooth="scan")


def test_the_library_refuses_as_the_command_line_does(folder: Path) -> None:
    with pytest.raises(OptionError, match="`smooth=scan`: compares interactions along paths, which ig does not give"):
        ihcli.explain(Turning(), pd.read_parquet(folder / "table.parquet"), method="ig", smooth="scan")


def test_rank_correlations_are_those_of_pandas_with_ties() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, 30).astype(float), rng.integers(0, 5, 30).astype(float)
    expected = pd.Series(one).rank().corr(pd.Series(other).rank())
    assert rank_correlation(one, other) == pytest.approx(expected)
    assert rank_correlation(one, -one) == pytest.approx(-1)
    assert rank_correlation(one, np.ones(30)) is None
    assert rank_correlation(np.array([1.0]), np.array([1.0])) is None
    assert rank_correlation(np.array([1.0, np.nan]), np.array([1.0, 2.0])) is None


def pairs_of(*rows: list[float]) -> Pairs:
    return Pairs(("abc"[: len(rows[0])],) * len(rows), tuple(np.array(row) for row in rows), None, has_own_units=True)  # type: ignore[arg-type]


def test_pairs_of_texts_are_their_own_and_those_that_turn_last_come_first() -> None:
    sharp, soft, softer = (
        pairs_of([1, 2, 3], [4, 5, -6]),
        pairs_of([1, 2, 3], [4, 5, 6]),
        pairs_of([-1, 2, 3], [4, 5, 6]),
    )
    turning, n = turning_pairs([(beta, pairs.turned(sharp)) for beta, pairs in ((5.0, soft), (1.0, softer))], sharp)
    assert n == 2
    assert [(pair.feature_1, pair.feature_2, pair.row) for pair in turning] == [("b", "c", 1), ("a", "b", 0)]
    assert [pair.betas for pair in turning] == [(1.0, 5.0), (1.0,)]


def test_effects_far_below_the_largest_do_not_turn() -> None:
    assert len(pairs_of([100, 50, -0.5]).turned(pairs_of([100, 50, 0.5]))) == 0
    assert pairs_of([100, 50, -5]).turned(pairs_of([100, 50, 5])).tolist() == [2]


def tried(beta: float, agreement: float | None, within: bool = True) -> TriedBeta:
    return TriedBeta(beta, 0.0, 0.0, within, 8.0, 1.0, None, agreement)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([tried(1, 0.9), tried(2, 0.96), tried(5, 0.99), tried(10, None)], (2, True)),
        ([tried(1, 0.96), tried(2, 0.9), tried(5, 0.99), tried(10, None)], (5, True)),  # all sharper ones agree as well
        ([tried(1, 0.96, False), tried(2, 0.97), tried(5, None)], (2, True)),
        ([tried(1, 0.5), tried(2, 0.6), tried(5, None)], (5, None)),
        ([tried(1, None), tried(2, None)], (3, None)),
    ],
)
def test_the_smallest_beta_is_taken_from_which_on_all_agree(
    found: list[TriedBeta], expected: tuple[float, bool | None]
) -> None:
    assert chosen_of(found, 3, STABLE) == expected


def test_texts_have_pairs_of_their_own(folder: Path) -> None:
    units = np.empty(2, object)
    gammas = np.empty(2, object)
    units[:] = [("good", "film"), None]
    gammas[:] = [np.array([[1.0, 2.0], [2.0, 3.0]]), None]
    nothing = np.full(2, None, object)
    others = {"units", "attributions", "interactions", "status"}
    known = {each.name: nothing for each in fields(TextExplanation) if each.name not in others}
    found = Pairs.of(
        TextExplanation(
            units=units,
            attributions=nothing,
            interactions=gammas,
            status=np.array(["ok", "missing_input"], object),
            **known,  # type: ignore[arg-type]
        )
    )
    assert found.overall.tolist() == [4.0]
    assert found.share == 0.5
    assert found.named(0) == ("good", "film", 0)


def test_a_scan_is_a_table_in_every_format(whole: Path, tmp_path: Path) -> None:
    scan = json.loads((whole / "run.json").read_text())["smoothing"]["scan"]
    for suffix, read_file in (("parquet", pd.read_parquet), ("csv", pd.read_csv), ("arrow", None)):
        file = tmp_path / f"betas.{suffix}"
        assert ask("interactions", whole, "--betas", "-o", file).exit_code == 0
        found = pa.ipc.open_stream(file).read_all().to_pandas() if read_file is None else read_file(file)
        betas, pairs = found[found["of"] == "beta"], found[found["of"] == "pair"]
        assert betas["beta"].tolist() == [each["beta"] for each in scan["betas"]]
        assert betas["drift"].tolist() == pytest.approx([each["drift"] for each in scan["betas"]])
        assert betas.loc[betas["is_taken"].astype(bool), "beta"].tolist() == [scan["chosen"]]
        assert pairs["effect"].tolist() == pytest.approx([each["effect"] for each in scan["turning"]])
        assert len(pairs)
    shown = ask("interactions", whole, "--betas", "--format", "table").stdout
    assert "Betas of SoftPlus tried on" in shown
    assert f"Taken: beta {scan['chosen']:g}" in shown


def test_betas_of_what_has_none_are_refused(folder: Path, tmp_path: Path) -> None:
    files = [folder / "turning.pt", folder / "table.parquet"]
    assert ask("explain", *files, "-o", tmp_path / "run", "--smooth", "30").exit_code == 0
    refused = ask("interactions", tmp_path / "run", "--betas")
    assert refused.exit_code == 1
    assert "tried no betas of SoftPlus" in refused.stderr
    assert "Try ihcli explain with --smooth scan." in refused.stderr
    assert "--betas: is of a RUN" in ask("interactions", *files, "--betas").stderr
    assert "--top-k: is of a ranking" in ask("interactions", tmp_path / "run", "--betas", "--top-k", "3").stderr
