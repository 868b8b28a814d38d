"""What a run says of its model and of how its explanation is spread: in files, from Python, and above rankings."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from forgeries import change
from judged_runs import Tail
from model_files import save_script
from runs import write_run, write_text_run
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from torch import nn

from ihcli import read
from ihcli.cli import main
from ihcli.results.model_quality import ModelQuality
from ihcli.runs.progress import Progress
from ihcli.scales import TAKEN_FOR_PROBABILITIES
from ihcli.summaries.concentration import concentration, gini, how_many
from ihcli.summaries.doubts import MANY_SPREADS
from ihcli.summaries.figures import Line
from ihcli.verification import FAILED, verify_run

SAMPLES = Path(__file__).parents[1] / "sample_data"
FEATURES = ("a", "b", "c", "d")
N_ROWS = 120
FLOAT32 = 1e-5


def ask(*words: object) -> Result:
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def lines(path: Path) -> dict[tuple[str, str, str | None], float]:
    table = pd.read_parquet(path / "summary" / "model.parquet").astype(object)
    table = table.where(table.notna(), None)
    return {(line.of, line.figure, line.output): line.value for line in table.itertuples()}


def figures(path: Path) -> dict[str, float]:
    return {figure: value for (of, figure, _), value in lines(path).items() if of == "model"}


@pytest.fixture
def table() -> pd.DataFrame:
    found = pd.DataFrame(np.random.default_rng(0).standard_normal((N_ROWS, 4)), columns=FEATURES)
    found["label"] = np.random.default_rng(1).integers(0, 2, N_ROWS)
    return found


def written(folder: Path, module: nn.Module, table: pd.DataFrame) -> tuple[Path, Path]:
    """Write a model and a table, and return where."""
    save_script(module.eval(), folder / "net.pt")
    table.to_parquet(folder / "table.parquet")
    return folder / "net.pt", folder / "table.parquet"


def explained(folder: Path, module: nn.Module, table: pd.DataFrame, *options: object) -> Path:
    ask("explain", *written(folder, module, table), "-o", folder / "run", "--overwrite", "-m", "ig", *options)
    return folder / "run"


@pytest.mark.parametrize("scale", ["model", "logit", "probability", "log-probability", "margin"])
@pytest.mark.parametrize(
    ("n_outputs", "tail"),
    [(1, nn.Sigmoid()), (1, None), (2, nn.Softmax(dim=1)), (2, None), (3, nn.LogSoftmax(dim=1)), (3, None)],
)
def test_the_scale_that_is_explained_changes_nothing_of_the_model(
    tmp_path: Path, table: pd.DataFrame, n_outputs: int, tail: nn.Module | None, scale: str
) -> None:
    module = Tail(n_outputs, tail)
    x = torch.tensor(table[list(FEATURES)].to_numpy(), dtype=torch.float32)
    u = module.body(x).detach().double()
    table["label"] = np.random.default_rng(2).integers(0, max(2, n_outputs), N_ROWS)
    p = torch.sigmoid(u).numpy()[:, 0] if n_outputs == 1 else torch.softmax(u, 1).numpy()
    chosen = p > 0.5 if n_outputs == 1 else p.argmax(1)
    found = figures(explained(tmp_path, module, table, "--label", "label", "--scale", scale))
    assert found["accuracy"] == accuracy_score(table["label"], chosen)
    if (scale, n_outputs) != ("margin", 3):
        assert found["log_loss"] == pytest.approx(log_loss(table["label"], p), abs=FLOAT32)
        score = p[:, 1] if n_outputs == 2 else p
        assert found["auroc"] == pytest.approx(roc_auc_score(table["label"], score, multi_class="ovr"), abs=FLOAT32)


def test_every_target_and_smoothing_leave_the_model_as_it_came(tmp_path: Path, table: pd.DataFrame) -> None:
    module = Tail(2)
    module.body[1] = nn.ReLU()
    one = figures(explained(tmp_path, module, table, "--label", "label"))
    for options in (["--target", "all"], ["--smooth", "1"], ["--target", "1", "--baseline", "mean"]):
        assert figures(explained(tmp_path, module, table, "--label", "label", *options)) == one


def test_without_labels_classes_are_counted(tmp_path: Path, table: pd.DataFrame) -> None:
    module = Tail(2)
    x = torch.tensor(table[list(FEATURES)].to_numpy(), dtype=torch.float32)
    path = explained(tmp_path, module, table, "--exclude", "label")
    assert figures(path).keys() == {"rows", "ending"}
    assert lines(path)["class", "chosen", "1"] == int(module(x).argmax(1).sum())
    assert read(path).model_quality.model_in_words() is None


def test_a_shard_a_worker_and_a_resumed_run_tell_the_same(tmp_path: Path, table: pd.DataFrame) -> None:
    options = ("--label", "label", "--chunk-rows", "7")
    whole = lines(explained(tmp_path, Tail(3), table, *options))
    files = (tmp_path / "net.pt", tmp_path / "table.parquet")
    for shard in ("1/3", "3/3", "2/3"):
        ask("explain", *files, "-o", tmp_path / "shards", "-m", "ig", *options, "--shard", shard)
    ask("merge", tmp_path / "shards")
    assert_alike(lines(tmp_path / "shards"), whole)
    ask("explain", *files, "-o", tmp_path / "crew", "-m", "ig", *options, "--workers", "2")
    assert_alike(lines(tmp_path / "crew"), whole)


def assert_alike(found: dict[tuple[str, str, str | None], float], expected: dict) -> None:
    assert found.keys() == expected.keys()
    known = {name: value for name, value in expected.items() if value is not None}
    assert {name: found[name] for name in known} == pytest.approx(known, rel=1e-9)


def test_parts_of_an_older_ihcli_leave_the_model_untold(tmp_path: Path, table: pd.DataFrame) -> None:
    explained(tmp_path, Tail(2), table, "--label", "label")
    known = Progress()
    state = {name: values for name, values in known.state().items() if not name.startswith("model.")}
    assert Progress.of_state(state).tables().model is None


def test_verify_finds_figures_that_do_not_follow(tmp_path: Path, table: pd.DataFrame) -> None:
    path = explained(tmp_path, Tail(2), table, "--label", "label")
    file = path / "summary" / "model.parquet"
    kept = pq.read_table(file)
    for figure, words in (("accuracy", "accuracy"), ("gini_of_features", "gini_of_features"), ("rows", "rows")):
        change(file, lambda told, figure=figure: altered(told, figure))
        found = {finding.check: finding for finding in verify_run(path)}
        assert found["figures of the model"].outcome == FAILED
        assert words in found["figures of the model"].detail
        assert found["SHA-256"].outcome == FAILED
        pq.write_table(kept, file)
    file.unlink()
    assert {finding.check: finding.outcome for finding in verify_run(path)}["SHA-256"] == FAILED


def altered(table: pa.Table, figure: str) -> pa.Table:
    frame = table.to_pandas()
    frame.loc[frame["figure"] == figure, "value"] += 0.01
    return pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False)


def test_runs_of_before_tell_how_they_are_spread(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    quality = read(tmp_path / "run").model_quality
    assert quality.model_in_words() is None
    assert "of all effects are in pairs" in (quality.effects_in_words("risk") or "")
    assert not list(quality.warnings())


def test_figures_of_the_explanation_are_those_of_its_values(tmp_path: Path) -> None:
    explanation = write_run(tmp_path / "run")
    gamma = explanation.interactions
    first, second = np.triu_indices(gamma.shape[1], 1)
    pairs = np.abs(gamma[:, first, second] + gamma[:, second, first]).mean(0)
    mains = np.abs(np.diagonal(gamma, axis1=1, axis2=2)).mean(0)
    sizes = np.abs(explanation.attributions).mean(0)
    quality = read(tmp_path / "run").model_quality

    def found(name: str) -> float | None:
        return quality.figure(name, "target", "risk")

    assert found("share_of_pairs") == pytest.approx(pairs.sum() / (pairs.sum() + mains.sum()))
    assert found("gini_of_features") == pytest.approx(np.abs(sizes[:, None] - sizes).sum() / (2 * 3 * sizes.sum()))
    assert found("gini_of_pairs") == pytest.approx(np.abs(pairs[:, None] - pairs).sum() / (2 * 3 * pairs.sum()))
    assert found("make_90_of_features") == (np.cumsum(np.sort(sizes)[::-1]) < 0.9 * sizes.sum()).sum() + 1


@pytest.mark.parametrize(
    ("sizes", "expected"), [([1, 1, 1, 1], 0.0), ([0, 0, 0, 1], 0.75), ([0, 0], None), ([5], 0.0), ([1, 3], 0.25)]
)
def test_gini_coefficients_are_averages_over_features(sizes: list[float], expected: float | None) -> None:
    assert gini(np.array(sizes, float)) == expected


def test_nine_tenths_are_reached_in_spite_of_rounding() -> None:
    assert how_many(np.full(10, 0.1)) == 9
    assert how_many(np.array([0.5, 0.2])) is None


def test_of_texts_words_are_counted(tmp_path: Path) -> None:
    write_text_run(tmp_path / "run")
    assert " words make 90 % of the attributions" in ask("attributions", tmp_path / "run", "--format", "table").output


def test_texts_weigh_words_as_often_as_they_occur(tmp_path: Path) -> None:
    write_text_run(tmp_path / "run")
    run = read(tmp_path / "run").run
    found = {
        line.figure: line.value
        for line in concentration(run.summary_attributions(), run.summary_interactions(), counts=True)
    }
    features, pairs = (read(tmp_path / "run").attribution_summary, read(tmp_path / "run").interaction_summary)
    both = [(table[name] * table["rows"]).sum() for table, name in ((features, "main_mean_abs"), (pairs, "mean_abs"))]
    assert found["share_of_pairs"] == pytest.approx(both[1] / sum(both))


# Signs


def test_features_that_matter_through_company_are_named(tmp_path: Path) -> None:
    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x[:, 0] * (3 * x[:, 1] - 1) + 0.1 * x[:, 2])[:, None]

    frame = pd.DataFrame(np.random.default_rng(0).uniform(0.8, 1.2, (50, 3)), columns=["a", "b", "c"])
    save_script(Product(), tmp_path / "net.pt")
    frame.to_parquet(tmp_path / "table.parquet")
    ask("explain", tmp_path / "net.pt", tmp_path / "table.parquet", "-o", tmp_path / "run")
    summary = read(tmp_path / "run").attribution_summary.set_index("feature")["main_opposed"]
    assert summary.to_dict() == {"a": 1.0, "b": 0.0, "c": 0.0}  # 0.75 ab - a alone, 1.5 ab - a with b
    words = "Important through company, with an attribution of another sign than the main effect: a (100 % of rows)."
    assert words in ask("attributions", tmp_path / "run", "--format", "table").output
    assert "company" not in ask("attributions", tmp_path / "run", "--format", "csv").output


# Warnings


def warnings_of(path: Path) -> str:
    return " ".join(read(path).model_quality.warnings())


def test_a_model_that_says_one_class_of_every_row_is_told_of(tmp_path: Path, table: pd.DataFrame) -> None:
    module = Tail(2)
    module.body[2].bias.data = torch.tensor([50.0, 0.0])
    path = explained(tmp_path, module, table, "--label", "label")
    assert "every row is class 0: all 120 predictions" in warnings_of(path)
    assert "Warning: every row is class 0" in ask("attributions", path, "--format", "table").output
    assert "every row" not in ask("attributions", path, "--format", "csv").output


def test_several_numbers_that_nothing_calls_classes_are_no_reason_to_warn(tmp_path: Path, table: pd.DataFrame) -> None:
    module, ends_in_softmax = Tail(2), Tail(2, nn.Softmax(1))
    for each in (module, ends_in_softmax):
        each.body[2].bias.data = torch.tensor([50.0, 0.0])
    assert "every row" not in warnings_of(explained(tmp_path, module, table, "--exclude", "label"))
    named = ("--exclude", "label", "--output-names", "no,yes")
    assert "every row is class no" in warnings_of(explained(tmp_path, module, table, *named))
    assert "every row is class 0" in warnings_of(explained(tmp_path, ends_in_softmax, table, "--exclude", "label"))


def test_numbers_that_happen_to_lie_between_0_and_1_are_no_reason_to_warn(tmp_path: Path, table: pd.DataFrame) -> None:
    scaled = nn.Linear(1, 1)
    scaled.weight.data, scaled.bias.data = torch.tensor([[0.1]]), torch.tensor([0.2])
    path = explained(tmp_path, Tail(1, nn.Sequential(nn.Tanh(), scaled)), table, "--exclude", "label")

    (ending,) = (line for line in read(path).model_quality.lines if line.figure == "ending")
    assert ending.name == TAKEN_FOR_PROBABILITIES
    assert "every row" not in warnings_of(path)


def test_few_rows_and_labels_of_one_class_are_no_reason_to_warn(tmp_path: Path, table: pd.DataFrame) -> None:
    module = Tail(2)
    module.body[2].bias.data = torch.tensor([50.0, 0.0])
    assert not warnings_of(explained(tmp_path, module, table, "--label", "label", "--limit", "5"))
    table["label"] = 0
    assert not warnings_of(explained(tmp_path, module, table, "--label", "label"))


def test_rows_that_are_not_scaled_as_the_baselines_are_told_of(tmp_path: Path, table: pd.DataFrame) -> None:
    table[list(FEATURES)].head(60).to_csv(tmp_path / "train.csv", index=False)
    table["b"] = 130 + 20 * table["b"]
    options = ("-m", "eg", "--baseline", tmp_path / "train.csv", "--label", "label")
    done = explained(tmp_path, Tail(2), table, *options)
    assert "baseline spreads away in 'b': is the data scaled as in training" in warnings_of(done)


@pytest.mark.parametrize("baseline", ["zeros", "mean", "data", "few", "alike"])
@pytest.mark.parametrize("raw", [False, True])
def test_rows_of_the_kind_of_the_baselines_are_not(
    tmp_path: Path, table: pd.DataFrame, baseline: str, raw: bool
) -> None:
    if raw:
        table[list(FEATURES)] = 1000 + 300 * table[list(FEATURES)]
    several = baseline in ("data", "few", "alike")
    if baseline in ("few", "alike"):
        nearest = np.abs(table["a"] - table["a"].median()).sort_values().index
        alike = table.loc[nearest, list(FEATURES)].head(3 if baseline == "few" else 12)
        alike.to_csv(tmp_path / "train.csv", index=False)
        baseline = str(tmp_path / "train.csv")
    method = ("-m", "eg") if several else ()
    path = explained(tmp_path, Tail(2), table, "--baseline", baseline, "--label", "label", *method)
    assert "spreads" not in warnings_of(path)


def test_a_distance_is_one_of_all_rows_on_one_side() -> None:
    def told(value: float, of: str = "column") -> str:
        line = Line(of, "nearest_spreads", value, 10, *(("p", None) if of == "output" else (None, "age")))
        return " ".join(ModelQuality((line,), {}).warnings())

    assert told(MANY_SPREADS - 1) == ""
    assert told(300).startswith("rows lie at least 300 baseline spreads away in 'age': is the data scaled")
    assert told(300, "output").startswith("predictions lie at least 300 baseline spreads away: is the data scaled")


def test_labels_that_are_no_outputs_are_told_of_with_advice_that_helps(tmp_path: Path, table: pd.DataFrame) -> None:
    table["label"] = np.array(["well", "sick"])[table["label"]]
    done = ask("explain", *written(tmp_path, Tail(2), table), "-o", tmp_path / "run", "-m", "ig", "--label", "label")
    words = "120 labels are none of the model's outputs and are left out, first 'well'"
    assert words.removesuffix("'well'") in done.stderr
    assert "Try --output-names with the words of the label column" in done.stderr
    named = explained(tmp_path, Tail(2), table, "--label", "label", "--output-names", "well,sick")
    assert figures(named)["labels"] == N_ROWS
    assert not warnings_of(named)


def test_labels_of_a_single_output_are_words_that_it_is_named_by(tmp_path: Path, table: pd.DataFrame) -> None:
    numbers = figures(explained(tmp_path, Tail(1), table, "--label", "label"))
    table["label"] = np.array(["well", "sick"])[table["label"]]
    done = ask("explain", *written(tmp_path, Tail(1), table), "-o", tmp_path / "own", "-m", "ig", "--label", "label")
    assert "Try --output-names with that word of the label column which the output is of." in done.stderr
    named = explained(tmp_path, Tail(1), table, "--label", "label", "--output-names", "sick")
    assert figures(named) == pytest.approx(numbers)
    assert not warnings_of(named)


@pytest.mark.parametrize("method", ["ig", "ih"])
def test_sample_data_need_no_warning(tmp_path: Path, method: str) -> None:
    data = SAMPLES / "breast_cancer.parquet"
    options = ("--label", "diagnosis", "-m", method, "-o", tmp_path / "run")
    ask("explain", SAMPLES / "breast_cancer_relu.pt", data, "--limit", "200", *options)
    assert not warnings_of(tmp_path / "run")
    assert figures(tmp_path / "run")["accuracy"] > 0.95


@pytest.mark.parametrize("options", [("--exclude", "progression"), ("--label", "progression")])
def test_outputs_that_may_be_numbers_are_no_classes(tmp_path: Path, options: tuple[str, str]) -> None:
    files = SAMPLES / "diabetes_softplus.pkl", SAMPLES / "diabetes.parquet"
    ask("explain", *files, "--trust", "--key", "patient", *options, "-o", tmp_path / "run", "--limit", "100")
    assert not warnings_of(tmp_path / "run")
    assert not [name for name in lines(tmp_path / "run") if name[0] == "class"]


@pytest.mark.parametrize(
    ("of_output", "is_wrong"),
    [
        (lambda u: u + np.std(u) * np.random.default_rng(0).normal(size=len(u)), False),
        (lambda u: np.random.default_rng(1).permutation(u), False),  # another column, on the same scale: R2 of about -1
        (lambda u: 1e-6 * u, True),
        (lambda u: 1000 + 0.01 * u, True),
        (lambda u: 1e6 * u, False),  # beside such labels any prediction is as good as their mean
    ],
)
def test_labels_that_no_model_of_them_would_miss_so_far_are_said_to_look_wrong(
    tmp_path: Path, table: pd.DataFrame, of_output: Callable[[np.ndarray], np.ndarray], is_wrong: bool
) -> None:
    with torch.no_grad():
        outputs = Tail(1)(torch.tensor(table[list(FEATURES)].to_numpy(np.float32)))
    table["label"] = of_output(outputs.numpy()[:, 0].astype(float))
    found = explained(tmp_path, Tail(1), table, "--label", "label")
    assert ("standard deviations of the labels (R2 -" in warnings_of(found)) is is_wrong
    told = ask("attributions", found, "--format", "table").output
    assert ("Try --label with the column that it was trained to predict" in told) is is_wrong
    if is_wrong:
        assert not warnings_of(explained(tmp_path, Tail(1), table, "--label", "label", "--limit", "5"))


# On a terminal, in the page


def test_a_table_begins_with_what_the_model_is_worth(tmp_path: Path, table: pd.DataFrame) -> None:
    path = explained(tmp_path, Tail(2), table, "--label", "label")
    first, title, spread, *_ = ask("attributions", path, "--format", "table").output.splitlines()
    assert first.startswith("Model, on 120 rows with labels: accuracy ")
    assert title.startswith("target ")
    assert "make 90 % of the attributions (Gini" in spread
    one_row = ask("attributions", path, "--format", "table", "--row", "0").output
    assert "accuracy" not in one_row
    for name in ("csv", "jsonl"):
        assert "accuracy" not in ask("attributions", path, "--format", name).output


def test_a_single_output_of_numbers_is_said_to_be_taken_for_a_logit(tmp_path: Path, table: pd.DataFrame) -> None:
    for tail, is_assumed in ((None, True), (nn.Sigmoid(), False)):
        path = explained(tmp_path, Tail(1, tail), table, "--label", "label")
        words = read(path).model_quality.model_in_words() or ""
        assert "TPR" in words
        assert ("Outputs are taken for logits." in words) == is_assumed


def test_the_page_has_the_figures(tmp_path: Path, table: pd.DataFrame) -> None:
    path = explained(tmp_path, Tail(2), table, "--label", "label")
    ask("report", path, "-o", tmp_path / "page.html", "--data", tmp_path / "table.parquet")
    page = (tmp_path / "page.html").read_text()
    block = page.partition('type="application/json"')[2].partition(">")[2].partition("</script>")[0]
    contents = json.loads(block)
    assert dict(contents["model"])["accuracy"] == figures(path)["accuracy"]
    assert contents["labels"] == N_ROWS
    assert "make 90 %" in contents["targets"][0]["spread"][0]
