"""How many baselines are enough: what is drawn meets the tolerance on other rows, and is settled once for a run."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from problems import explain, straight_paths
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.data import drawing
from ihcli.data.groups import Groups
from ihcli.data.sampling import AUTO, Sampling, require_rows
from ihcli.data.tables import ArrayDataset
from ihcli.data.thinning import Balance
from ihcli.derivatives.mlp import MlpEngine
from ihcli.errors import IhcliError, OptionError
from ihcli.execution.pipeline import run
from ihcli.execution.preparation import prepare_run
from ihcli.execution.refusals import parse
from ihcli.explainers import sampling
from ihcli.integration.spread import balanced_error, sampling_error
from ihcli.methods import METHODS
from ihcli.readers import questions
from ihcli.readers.questions import TableQuestion
from ihcli.runs.merging import merge
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.run import open_run
from ihcli.runs.shards import Shard
from ihcli.runs.totals import Observer

D, N = 4, 3000
NETS = {
    "smooth": lambda: nn.Sequential(nn.Linear(D, 12), nn.Softplus(), nn.Linear(12, 1)),
    "ReLU": lambda: nn.Sequential(nn.Linear(D, 12), nn.ReLU(), nn.Linear(12, 2)),
    "classifier": lambda: nn.Sequential(nn.Linear(D, 12), nn.Tanh(), nn.Linear(12, 3), nn.Softmax(1)),
}
PROPOSED = ("sampling_tolerance", "baseline_rows")
MARGIN = 1.15
"""What chance may add to the error of rows that were not tried."""


def net(kind: str = "smooth") -> nn.Sequential:
    torch.manual_seed(1)
    made: nn.Sequential = NETS[kind]().double()
    return made


def rows(n: int = N, d: int = D, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)) + 0.5


def explained(x: np.ndarray, baseline: np.ndarray | None = None, kind: str = "smooth", **options: Any) -> Any:
    asked = {"method": "eg", "baseline_rows": AUTO, "sampling_tolerance": 0.1, **options}
    return ihcli.explain(net(kind), x, baseline=baseline, **asked)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Sampling]:
    """What is found while this is looked at."""
    noted: list[Sampling] = []
    enough = sampling._enough

    def noting(trial: Any) -> Sampling:
        noted.append(enough(trial))
        return noted[-1]

    monkeypatch.setattr(sampling, "_enough", noting)
    return noted


# What is chosen


@pytest.mark.parametrize("kind", NETS)
def test_rows_that_were_not_tried_keep_to_the_tolerance(kind: str, found: list[Sampling]) -> None:
    few = rows(40 if kind == "ReLU" else 120, seed=5)
    result = explained(few, rows(), kind)
    assert sampling.START < found[0].rows < questions.MOST
    assert np.median(result.sampling_error) <= 0.1
    assert (result.sampling_error <= 0.1).mean() >= sampling.WITHIN - 0.15
    fewer = explained(few, rows(), kind, baseline_rows=found[0].rows // 2, sampling_tolerance=0.05)
    assert (fewer.sampling_error <= 0.1).mean() < sampling.WITHIN + 0.15


def test_interactions_keep_to_the_tolerance_under_eh(found: list[Sampling]) -> None:
    few, x, tried = rows(40, seed=5), rows(400), 120
    explained(few, x, method="eh", sampling_tolerance=0.2)
    assert found[0].of == "interactions"
    starts = torch.as_tensor(x[:tried])
    per_path = []
    for row in torch.as_tensor(few[1::4]):
        paths = straight_paths(row.expand(tried, -1), starts[:, None], outputs=torch.zeros(tried, dtype=torch.int64))
        per_path.append(explain(net(), paths, "ih").interactions.reshape(tried, -1))
    known = sampling_error(np.stack(per_path), 10**9) * np.sqrt(tried * (1 / found[0].rows - 1 / len(x)))
    assert np.median(known) <= 0.2
    assert np.median(known) * np.sqrt(2) > 0.2 / 2


def test_the_error_of_a_linear_network_is_between_what_it_is_and_its_formula(found: list[Sampling]) -> None:
    """phi_g = w_g (x_g - mean x'_g), so its spread is |w_g| times that of column g, whatever the row.

    So it would be of rows drawn uniformly; means of columns are what thinning keeps.
    """
    weight = np.array([1.0, -2.0, 0.5, 0.0])
    model = nn.Linear(D, 1).double()
    with torch.no_grad():
        model.weight[:] = torch.as_tensor(weight)
    x = rows()
    far = np.tile(x.mean(0) + 5.0, (20, 1))  # all rows alike
    result = ihcli.explain(model, far, method="eg", baseline=x, baseline_rows=AUTO, sampling_tolerance=0.02)
    n = found[0].rows
    uniform = (np.abs(weight) * x.std(0, ddof=1)).sum() * np.sqrt(1 / n - 1 / N) / (5 * np.abs(weight).sum())
    true = np.abs(result.attributions[0] - weight * (far[0] - x.mean(0))).sum() / (5 * np.abs(weight).sum())
    assert found[0].error is not None
    assert 1.5 * true < found[0].error < uniform
    assert found[0].error <= 0.02
    assert uniform * 2 > 0.02


def test_a_table_that_is_used_whole_has_no_error(found: list[Sampling]) -> None:
    result = explained(rows(30, seed=5), rows(130), sampling_tolerance=1e-6)
    assert (found[0].rows, found[0].error, found[0].needed) == (130, 0.0, None)
    assert result.sampling_error is None
    whole = explained(rows(30, seed=5), rows(130), baseline_rows=130, sampling_tolerance=0.05)
    np.testing.assert_array_equal(result.attributions, whole.attributions)


@pytest.mark.parametrize("method", ["eg", "eh"])
def test_what_is_settled_is_what_the_number_would_have_been(method: str, found: list[Sampling]) -> None:
    few, x = rows(20, seed=5), rows(600)
    result = explained(few, x, method=method, sampling_tolerance=0.3)
    told = explained(few, x, method=method, baseline_rows=found[0].rows, sampling_tolerance=0.05)
    np.testing.assert_array_equal(result.attributions, told.attributions)
    np.testing.assert_array_equal(result.sampling_error, told.sampling_error)
    if method == "eh":
        np.testing.assert_array_equal(result.interactions, told.interactions)


def test_the_error_with_more_baselines_is_foreseen(monkeypatch: pytest.MonkeyPatch, found: list[Sampling]) -> None:
    few, x = rows(20, seed=5), rows(900)
    explained(few, x, method="eh", sampling_tolerance=0.1)
    monkeypatch.setattr(sampling, "PRODUCTS", 0)
    explained(few, x, method="eh", sampling_tolerance=0.1)
    measured, foreseen = found
    assert 0.5 <= foreseen.rows / measured.rows <= 2


@pytest.mark.parametrize("options", [{"target": "all"}, {"target": "label"}, {"target": "1"}, {"groups": None}])
def test_every_kind_of_target_and_groups_has_an_error(options: dict[str, Any], found: list[Sampling]) -> None:
    few = rows(20, seed=5)
    named = {"groups": {"first": ["0", "1"]}} if "groups" in options else {**options, "labels": [0, 1] * 10}
    result = explained(few, rows(900), "classifier", **named)
    assert found[0].error is not None
    assert found[0].error <= 0.1
    assert np.nanmedian(result.sampling_error) <= MARGIN * 0.1


class Root(nn.Module):
    """NaN where the first input is below 0.4."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(z[:, 0] - 0.4) * z[:, 1] + z[:, 2]


class Tower(nn.Module):
    """Infinite where the first input is far below 0.4."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.exp(400 * torch.relu(0.4 - z[:, 0])) * z[:, 1] + z[:, 2]


@pytest.mark.filterwarnings("ignore:the output of .* is not finite")
@pytest.mark.parametrize("kind", [Root, Tower])
def test_rows_without_figures_have_no_say(kind: type[nn.Module], found: list[Sampling]) -> None:
    inside = np.abs(rows(900)) + 0.5
    few = np.concatenate([inside[:10] + 0.1, inside[:6] - 6])
    result = ihcli.explain(kind().double(), few, method="eg", baseline=inside, baseline_rows=AUTO)
    assert 0 < found[0].tried < len(few)
    assert found[0].error is not None
    assert (result.status[10:] == "non_finite").all()


def test_what_a_larger_tolerance_takes_is_foreseen(found: list[Sampling]) -> None:
    few, x = rows(40, seed=5), rows()
    explained(few, x, sampling_tolerance=0.07)
    explained(few, x, sampling_tolerance=0.14)
    assert 0.5 <= sampling.foreseen_rows(found[0], N, 0.14) / found[1].rows <= 2
    assert sampling.foreseen_rows(found[0], N, 0.07) == found[0].rows
    assert sampling.foreseen_rows(replace(found[0], error=0.0), N, 1) == found[0].rows


# What it costs


def test_interactions_of_wide_tables_are_taken_for_few_baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    assemble = MlpEngine.assemble

    def counting(self: MlpEngine, paths: Any, path: Any, t: Any, weights: Any) -> Any:
        asked.append(len(path) * paths.n_groups)
        return assemble(self, paths, path, t, weights)

    monkeypatch.setattr(MlpEngine, "assemble", counting)
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(200, 8), nn.Softplus(), nn.Linear(8, 1))
    x = rows(2500, 200, seed=3).astype(np.float32)
    ihcli.explain(wide, x[:1], method="eh", baseline=x, baseline_rows=AUTO, sampling_tolerance=1e9)
    with_tolerance = sum(asked)
    asked.clear()
    ihcli.explain(wide, x[:1], method="eh", baseline=x, baseline_rows=sampling.START)
    run_itself = sum(asked)
    assert with_tolerance - run_itself <= 1.5 * sampling.TRIED_PAIRS * sampling.LEAST_PAIRS * 8 * 200


def test_finding_out_takes_no_more_than_twice_as_many_paths(
    monkeypatch: pytest.MonkeyPatch, found: list[Sampling]
) -> None:
    taken: list[int] = []
    some = sampling._Trial._explain

    def counting(self: Any, baselines: np.ndarray, balance: Any, seen: Any) -> None:
        taken.append(len(baselines))
        some(self, baselines, balance, seen)

    monkeypatch.setattr(sampling._Trial, "_explain", counting)
    explained(rows(40, seed=5), rows(), sampling_tolerance=0.05)
    assert len(taken) > 2
    assert found[0].rows <= sum(taken) < 2 * found[0].rows


def test_what_is_seen_of_baselines_does_not_depend_on_how_many_are_added_at_once() -> None:
    values = np.random.default_rng(0).normal(3, 1, (2, 23, 4))
    balance = Balance.of(rows(180), np.arange(23))
    once, bit_by_bit = sampling._Seen(), sampling._Seen()
    once.add_each(values, balance)
    for begin, end in ((0, 2), (2, 9), (9, 10), (10, 23)):
        bit_by_bit.add_each(values[:, begin:end], balance)
    for name in ("count", "mean", "squares", "along"):
        np.testing.assert_allclose(getattr(bit_by_bit, name), getattr(once, name), rtol=1e-12, atol=1e-12)
    assert once.along is not None
    error = balanced_error(once.squares / 22, once.along, 23, 900, balance).sum(1) / np.abs(once.mean).sum(1)
    np.testing.assert_allclose(error, sampling_error(values, 900, balance), rtol=1e-12)


@pytest.mark.parametrize(
    ("d", "n_groups", "held_bytes", "drawn_bytes", "most"),
    [
        (4, 0, questions.HELD_BYTES, questions.DRAWN_BYTES, questions.MOST),
        (4, 0, 400 * 4 * 1024, questions.DRAWN_BYTES, 400),
        (4, 2, 400 * 4 * 1024, questions.DRAWN_BYTES, 800),  # what is refined belongs to groups
        (40, 2, questions.HELD_BYTES, 300 * 40 * 16, 300),  # what is drawn has all columns
        (40, 0, 400 * 4 * 1024, questions.DRAWN_BYTES, 200),
    ],
)
def test_fewer_baselines_are_drawn_of_wide_tables(
    d: int, n_groups: int, held_bytes: int, drawn_bytes: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "HELD_BYTES", held_bytes)
    monkeypatch.setattr(questions, "DRAWN_BYTES", drawn_bytes)
    table = ArrayDataset(np.ones((2100, d)))
    groups = {f"g{i}": table.columns.features[i::n_groups] for i in range(n_groups)}
    question = TableQuestion(None, True, Groups.of(table.columns.features, groups), AUTO)
    drawing = question.drawing(table)
    assert drawing.rows == most
    assert len(question.survey(table, least=0).sample.ranks) == min(2100, drawing.surveyed)


# What is said


def test_a_limit_is_said_with_what_would_be_needed_and_the_advice_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MOST", 200)
    few, x = rows(40, seed=5), rows()
    with pytest.warns(ihcli.library.IhcliWarning) as said:
        explained(few, x, sampling_tolerance=0.01)
    (words,) = (str(one.message) for one in said)
    assert words.startswith("200 baselines, the most that are drawn here: the sampling error of attributions is ")
    assert "1.0% was asked for" in words
    larger, needed = (words.partition(f"`{name}=")[2].partition("`")[0] for name in PROPOSED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explained(few, x, sampling_tolerance=float(larger))
        enough = explained(few, x, baseline_rows=int(needed), sampling_tolerance=0.05)
    assert np.median(enough.sampling_error) <= 0.01


@pytest.mark.parametrize(
    ("rows_asked", "tolerance", "method", "message"),
    [
        (0, 0.05, "eg", r"^`baseline_rows`: 0 cannot be\. Expected a whole number of at least 1, or auto\. Try 200\.$"),
        (True, 0.05, "eg", r"^`baseline_rows`: True cannot be\."),
        ("Auto", 0.05, "eg", r"^`baseline_rows`: 'Auto' cannot be\."),
        (2.5, 0.05, "eg", r"^`baseline_rows`: 2\.5 cannot be\."),
        (AUTO, 0, "eg", r"^`sampling_tolerance`: 0 cannot be\. Expected a finite number above 0\. Try 0\.05\.$"),
        (AUTO, float("nan"), "eg", r"^`sampling_tolerance`: nan cannot be\."),
        (AUTO, "small", "eg", r"^`sampling_tolerance`: 'small' cannot be\."),
        (
            AUTO,
            0.05,
            "ig",
            r"^`baseline_rows=auto`: ig starts from one baseline\. Expected eg .* `method=eg`\.$",
        ),
        (AUTO, 0.05, "ih", r"Try without `baseline_rows`, or `method=eh`\.$"),
        (100, 0.2, "eg", r"^`sampling_tolerance=0\.2`: .* got `baseline_rows=100`\. Try `baseline_rows=auto`\.$"),
    ],
)
def test_what_cannot_be_is_refused(rows_asked: Any, tolerance: Any, method: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        require_rows(rows_asked, tolerance, METHODS[method])
    with pytest.raises(OptionError, match=message):
        explained(rows(5), method=method, baseline_rows=rows_asked, sampling_tolerance=tolerance)


# Runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, and tables of many rows, of some and of one."""
    folder = tmp_path_factory.mktemp("sampling")
    torch.save(net("classifier").eval(), folder / "net.pt")
    table = pd.DataFrame(rows(700), columns=["a", "b", "c", "d"])
    table.to_parquet(folder / "table.parquet")
    table[:1].to_csv(folder / "one.csv", index=False)
    return folder


def request_of(folder: Path, **options: Any) -> RunRequest:
    asked = {"method": "eg", "baseline_rows": AUTO, "sampling_tolerance": 0.1, "chunk_rows": 50, "limit": 200}
    return RunRequest(str(folder / "net.pt"), str(folder / "table.parquet"), **{**asked, **options})


class Heard(Observer):
    """Remembers what was settled, and stops a run after so many chunks."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.texts: list[str] = []
        self._left = stop_after

    def settled(self, text: str) -> None:
        self.texts.append(text)

    def chunk_done(self, done: object) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                raise KeyboardInterrupt


def parts_of(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path / "attributions")


def told(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "run.json").read_text())
    return content


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    heard = Heard()
    run(request_of(folder), folder / "whole", heard)
    found = open_run(folder / "whole").info.sampling
    assert found is not None
    assert heard.texts == [found.in_words(), "Tolerance: 0.01, or 20 % of a row's sampling error if that is more."]
    return folder / "whole"


def test_run_json_tells_what_was_found(whole: Path) -> None:
    info = told(whole)
    assert info["arguments"]["baseline_rows"] == AUTO
    assert info["arguments"]["sampling_tolerance"] == 0.1
    found = info["baseline"]["sampling"]
    assert found["rows"] == info["baseline"]["rows"] < 700
    assert found["error"] <= 0.1
    assert (found["within"], found["tried"], found["of"], found["needed"]) == (12, 16, "attributions", None)
    assert np.median(parts_of(whole)["_sampling_error"]) <= 0.1


def test_a_number_leaves_run_json_as_it_was(folder: Path, tmp_path: Path, whole: Path) -> None:
    n = told(whole)["baseline"]["rows"]
    run(request_of(folder, baseline_rows=n, sampling_tolerance=0.05), tmp_path / "run", Observer())
    info = told(tmp_path / "run")
    assert "sampling_tolerance" not in info["arguments"]
    assert "sampling" not in info["baseline"]
    pd.testing.assert_frame_equal(parts_of(whole), parts_of(tmp_path / "run"), check_exact=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_resumed_run_takes_what_was_settled(
    folder: Path, tmp_path: Path, whole: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(request_of(folder), tmp_path / "run", Heard(stop_after=1), workforce=Workforce(workers=workers))
    monkeypatch.setattr(sampling, "_enough", None)  # nothing is found anew
    run(request_of(folder), tmp_path / "run", Observer(), existing="resume", workforce=Workforce(workers=workers))
    pd.testing.assert_frame_equal(parts_of(whole), parts_of(tmp_path / "run"), check_exact=workers == 1)
    assert told(tmp_path / "run")["baseline"] == told(whole)["baseline"]


@pytest.mark.parametrize("asked", [AUTO, 100])
def test_a_run_of_before_goes_on_with_the_baselines_it_drew(
    asked: int | str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions before drew uniformly, and their run.json tells of no rows that baselines were thinned from."""
    options = {"baseline_rows": asked, "sampling_tolerance": 0.1 if asked == AUTO else 0.05}
    with monkeypatch.context() as before:
        before.setattr(drawing, "DRAWN_VALUES", 0)
        run(request_of(folder, **options), tmp_path / "before", Observer())
        with pytest.raises(KeyboardInterrupt):
            run(request_of(folder, **options), tmp_path / "run", Heard(stop_after=1))
    assert "drawn_from" not in told(tmp_path / "run")["baseline"]
    run(request_of(folder, **options), tmp_path / "run", Observer(), existing="resume")
    pd.testing.assert_frame_equal(parts_of(tmp_path / "before"), parts_of(tmp_path / "run"), check_exact=True)
    verified = [str(folder / "net.pt"), str(folder / "table.parquet"), "--sample", "3"]
    found = CliRunner().invoke(main, ["verify", str(tmp_path / "run"), *verified])
    assert found.exit_code == 0, found.output


def test_another_tolerance_is_not_the_run_that_was_begun(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(request_of(folder), tmp_path / "run", Heard(stop_after=1))
    for other in (0.2, 0.05):
        with pytest.raises(IhcliError, match=r"Expected `sampling_tolerance=0\.1`, got `sampling_tolerance="):
            run(request_of(folder, sampling_tolerance=other), tmp_path / "run", Observer(), existing="resume")


def test_shards_draw_what_the_first_of_them_settled(
    folder: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, out = request_of(folder), tmp_path / "run"
    run(asked, out, Observer(), shard=Shard(2, 2))
    monkeypatch.setattr(sampling, "_enough", None)
    run(asked, out, Observer(), shard=Shard(1, 2))
    merge(out, lambda _: None)
    pd.testing.assert_frame_equal(parts_of(whole), parts_of(out), check_exact=True)
    assert told(out)["baseline"] == told(whole)["baseline"]


def test_shards_of_another_question_settle_for_themselves(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(request_of(folder), out, Observer(), shard=Shard(2, 2))
    run(request_of(folder, sampling_tolerance=0.2), out, Observer(), shard=Shard(1, 2))
    rows_drawn = [told(out / "shards" / f"{i}-of-2")["baseline"]["rows"] for i in (1, 2)]
    assert rows_drawn[0] < rows_drawn[1]


def test_verify_draws_what_the_run_drew(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_enough", None)
    done = CliRunner().invoke(
        main, ["verify", str(whole), str(folder / "net.pt"), str(folder / "table.parquet"), "--sample", "2"]
    )
    assert done.exit_code == 0, done.output
    assert "failed" not in done.output


def test_a_dry_run_tells_how_many(folder: Path) -> None:
    words = [str(folder / "net.pt"), str(folder / "table.parquet"), "-m", "eg", "--baseline-rows", "auto"]
    done = CliRunner().invoke(main, ["explain", *words, "--sampling-tolerance", "0.1", "--dry-run"])
    assert "baselines: the sampling error of attributions is" in done.stdout


@pytest.mark.parametrize("quiet", [True, False])
def test_what_was_settled_is_said_unless_nobody_looks(folder: Path, tmp_path: Path, quiet: bool) -> None:
    words = ["explain", str(folder / "net.pt"), str(folder / "table.parquet"), "-o", str(tmp_path / "run")]
    asked = ["-m", "eg", "--baseline-rows", "auto", "--sampling-tolerance", "0.3", "--limit", "20"]
    done = CliRunner().invoke(main, [*words, *asked, *(["--quiet"] if quiet else [])])
    assert done.exit_code == 0
    assert ("baselines: the sampling error of attributions is" in done.stderr) == (not quiet)


def test_few_baselines_are_said_after_the_run_and_the_advice_ends_it(folder: Path, tmp_path: Path, whole: Path) -> None:
    base = ["explain", str(folder / "net.pt"), str(folder / "table.parquet"), "--limit", "40", "-m", "eg"]
    few = CliRunner().invoke(main, [*base, "--baseline-rows", "20", "-o", str(tmp_path / "few")])
    (line,) = (line for line in few.stderr.splitlines() if line.startswith("Drawing"))
    assert line.startswith("Drawing 20 baselines leaves the median row a sampling error of about ")
    assert line.endswith("Try --baseline-rows auto, which draws as many as --sampling-tolerance asks for.")
    told_of = float(line.partition("about ")[2].partition(" %")[0]) / 100
    assert told_of == pytest.approx(np.median(parts_of(tmp_path / "few")["_sampling_error"]), rel=0.2)
    loose = CliRunner().invoke(
        main, [*base, "--baseline-rows", "20", "--tolerance", f"{told_of}", "-o", str(tmp_path / "loose")]
    )
    assert "Drawing" not in loose.stderr
    followed = CliRunner().invoke(main, [*base, "--baseline-rows", "auto", "-o", str(tmp_path / "followed")])
    assert followed.exit_code == 0
    assert "Drawing" not in followed.stderr


# Wrong uses, and what their messages lead to

WRONG = {
    "a method of one baseline": (["-m", "ig"], ["-m", "ig"]),
    "its other way out": (["-m", "ig"], ["-m", "eg", "--baseline-rows", "auto"]),
    "one row": (["-m", "eg", "--baseline", "one.csv"], ["-m", "ig", "--baseline", "one.csv"]),
    "a word that is one row": (["-m", "eg", "--baseline", "zeros"], ["-m", "ig", "--baseline", "zeros"]),
}


@pytest.mark.parametrize(("wrong", "right"), WRONG.values(), ids=WRONG)
def test_messages_lead_to_what_works(
    folder: Path, tmp_path: Path, wrong: list[str], right: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    base = ["explain", "net.pt", "table.parquet", "-o", str(tmp_path / "run"), "--limit", "5"]
    refused = CliRunner().invoke(main, [*base, *wrong, "--baseline-rows", "auto"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: --base")
    assert "Try " in refused.stderr
    assert f"-m{right[1]}" in refused.stderr.replace("--method ", "-m") or "without --baseline-rows" in refused.stderr
    assert CliRunner().invoke(main, [*base, *right]).exit_code == 0


def test_recipes_of_workers_hold_no_pool(folder: Path) -> None:
    prepared = prepare_run(replace(parse(request_of(folder)), sampling=None))
    assert prepared.reader.pool is None
    assert prepared.reader.sampling is not None
