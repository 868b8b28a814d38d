"""`ihcli evaluate` tells whether a run is faithful to its model, and what that costs; it refuses what is another's."""

import csv
import io
import json
import re
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sequence_models
import torch
from category_models import NAMES, EntityMlp, OneMatrix, category_rows
from click.testing import CliRunner, Result
from forgeries import Folder, change, part
from model_files import quietly, save_script
from runs import on_terminal
from torch import Tensor, nn

import ihcli
from ihcli.cli import main
from ihcli.execution.pipeline import run
from ihcli.methods import METHODS as EXPLAINING
from ihcli.models import load_model
from ihcli.runs.request import RunRequest
from ihcli.runs.totals import Observer
from ihcli.verification.faithfulness import METRICS, curves
from ihcli.verification.faithfulness.evaluation import Asked as Evaluated
from ihcli.verification.faithfulness.evaluation import open_evaluation
from ihcli.verification.faithfulness.figures import Figure, TargetFigures, areas_table
from ihcli.verification.faithfulness.metrics import Wanted
from ihcli.verification.recomputation import Question

KINDS = [
    *("ig", "eg", "ih", "eh", "eh of all targets, grouped", "ih smoothed", "ih of words", "ih of labels"),
    *("largest pairs", "eg with missing rows"),
]


class Pairwise(nn.Module):
    """Products of every two inputs, and a linear part."""

    def __init__(self, products: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.products, self.weights = nn.Parameter(products), nn.Parameter(weights)

    def forward(self, x: Tensor) -> Tensor:
        return ((x @ self.products) * x).sum(1, keepdim=True) + (x @ self.weights)[:, None]


@dataclass(frozen=True)
class Products:
    """Rows of ten numbers, models of which a closed form is known, and runs of these."""

    path: Path
    rows = 120
    features = tuple("abcdefghij")

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        linear = nn.Linear(10, 1)
        save_script(self.network, self.path / "products.pt")
        torch.save(nn.Sequential(linear, nn.Identity()), self.path / "linear.pt")
        torch.save(nn.Sequential(linear, nn.Sigmoid()), self.path / "sigmoid.pt")
        torch.save(nn.Sequential(nn.Linear(10, 2), nn.Identity()), self.path / "two.pt")
        torch.save(nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 2)), self.path / "relu.pt")
        number = self.f(self.x)
        others = {"number": number, "word": np.where(number > 0, "yes", "no"), "class": (number > 0).astype(int)}
        table = pd.DataFrame(self.x, columns=list(self.features))
        table.assign(**others, id=range(self.rows)).to_csv(self.path / "rows.csv", index=False)
        (table * 2 + 1).to_csv(self.path / "apart.csv", index=False)

    @cached_property
    def x(self) -> np.ndarray:
        return np.random.default_rng(1).normal(size=(self.rows, 10)).astype(np.float32)

    @cached_property
    def network(self) -> nn.Module:
        drawn = torch.Generator().manual_seed(1)
        return Pairwise(torch.randn(10, 10, generator=drawn).triu(1), torch.randn(10, generator=drawn))

    def f(self, points: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = self.network(torch.as_tensor(points))[:, 0].double().numpy()
        return found

    def run(self, method: str, model: str = "products.pt", **options: Any) -> Path:
        out = self.path / "-".join([method, model, *map(str, options.values())]).replace(":", "")
        if not out.exists():
            asked = {"method": method, "features": self.features, "key": ("id",), **options}
            quietly(run, RunRequest(str(self.path / model), str(self.path / "rows.csv"), **asked), out, Observer())
        return out

    def copy(self, method: str, to: Path) -> Path:
        return Path(shutil.copytree(self.run(method), to))

    def entries(self, method: str, **options: Any) -> pd.DataFrame:
        return ihcli.read(self.run(method, **options)).attributions

    def ask(
        self, method: str, *arguments: object, run: Path | None = None, model: str = "products.pt", **options: Any
    ) -> Result:
        run = run or self.run(method, model, **options)
        return ask(run, self.path / model, self.path / "rows.csv", *arguments)


def shuffled(table: pa.Table, features: tuple[str, ...], rng: np.random.Generator) -> pa.Table:
    """Return a part with the values of each row in a random order."""
    values = rng.permuted(np.column_stack([table[name].to_numpy() for name in features]), axis=1)
    for name, column in zip(features, values.T, strict=True):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(column, table.schema.field(place).type))
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("evaluate"))


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def ask_of(folder: Folder, kind: str, *arguments: object, run: Path | None = None) -> Result:
    asked = folder.request(kind)
    return ask(run or folder.run(kind), asked.model, asked.data, *arguments)


def lines(done: Result) -> list[dict[str, str]]:
    assert done.exit_code == 0, done.output
    return list(csv.DictReader(io.StringIO(done.stdout)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_is_evaluated(folder: Folder, kind: str) -> None:
    found = lines(ask_of(folder, kind, "--draws", 5, "--metrics", "all"))
    targets = {line["target"] for line in found}
    for target in targets:
        own = [line for line in found if line["target"] == target]
        metrics = [line["metric"] for line in own]
        has_pairs = folder.request(kind).method in ("ih", "eh")
        assert metrics[:18] == [metric.name for metric in METRICS]
        assert ("second-differences" in metrics) == has_pairs
        assert metrics[-3:] == ["infidelity", "infidelity-scaled", "sensitivity"]
        assert {line["of"] for line in own} == {"feature", "row", *(["pair"] if has_pairs else [])}
    assert all(line["run"] for line in found if line["metric"] == "keep-positive-mean")


@pytest.mark.parametrize("kind", ["texts", "texts under ig", "largest pairs of texts"])
def test_units_of_texts_are_removed_into_the_baseline_of_the_run(folder: Folder, kind: str) -> None:
    done = ask_of(folder, kind)
    metrics = [line["metric"] for line in lines(done)]
    assert {metric for metric in metrics if metric.count("-") == 2} == {m.name for m in METRICS if m.fill == "mean"}
    assert ("second-differences" in metrics) == (kind != "texts under ig")
    assert "resample and impute: left out, as rows have units of their own; mean is the run's baseline" in done.stderr
    asked = ask_of(folder, kind, "--metrics", "resample")
    assert asked.exit_code == 1
    assert asked.stderr.startswith("Error: --metrics: resample are of rows of a table")
    assert asked.stderr.endswith("Try --metrics mean.\n")
    assert lines(ask_of(folder, kind, "--metrics", "mean"))


def test_tokens_are_masked_by_whole_words_and_add_up(folder: Folder, tmp_path: Path) -> None:
    asked = replace(folder.request("texts under ig"), method="ih", tolerance=0.1)
    quietly(run, asked, tmp_path / "run", Observer())
    evaluation = open_evaluation(tmp_path / "run", Evaluated(Question(asked.model, asked.data), Wanted.of()))
    whole = ihcli.read(tmp_path / "run")
    embedder = load_model(asked.model).text
    texts = pd.read_parquet(asked.data)["text"]
    n_pairs = 0
    for entries in evaluation.entries:
        for row, names, phi, pairs in zip(entries.row, entries.names, entries.attributions, entries.pairs, strict=True):
            (by_token,) = whole.records(int(row), target=entries.target)
            (text,) = embedder.encode([texts[row]], units="word")
            assert names == text.units
            for word, value in enumerate(phi):
                assert value == pytest.approx(by_token.attributions[text.unit == word].sum(), abs=1e-6)
            for i, j, effect in zip(pairs.first, pairs.second, pairs.effects, strict=True):
                block = by_token.interactions[np.ix_(text.unit == i, text.unit == j)]
                assert effect == pytest.approx(2 * block.sum(), rel=1e-4, abs=1e-5)
            n_pairs += len(pairs.effects)
    assert n_pairs
    assert any(len(text.unit) > len(text.units) for text in embedder.encode(texts.dropna().tolist(), units="word"))


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Products:
    return Products(tmp_path_factory.mktemp("products"))


def test_pairs_of_a_bilinear_model_are_in_the_order_of_its_second_differences(products: Products) -> None:
    (pairs,) = lines(products.ask("ih", "--metrics", "pairs"))
    assert (pairs["of"], pairs["metric"]) == ("pair", "second-differences")
    assert float(pairs["run"]) == pytest.approx(1, abs=1e-9)
    assert float(pairs["gradient_input"]) == pytest.approx(1, abs=1e-9)
    assert abs(float(pairs["random"])) < 0.3
    assert pairs["rows"] == str(Products.rows)


def test_second_derivatives_at_rows_stand_next_to_runs_that_take_some(products: Products) -> None:
    """Of a product times inputs they are the effects that hessian-input gives, and runs of outputs have none."""
    (pairs,) = lines(products.ask("hessian-input", "--metrics", "pairs"))
    assert pairs["gradient_input"] == pairs["run"]
    (pairs,) = lines(products.ask("sii", "--metrics", "pairs"))
    assert float(pairs["run"]) == pytest.approx(1, abs=1e-9)
    assert pairs["gradient_input"] == ""


def test_a_run_stored_with_its_largest_pairs_only_is_held_against_these(products: Products) -> None:
    (pairs,) = lines(products.ask("ih", "--metrics", "pairs", interactions="top:4"))
    assert float(pairs["run"]) == pytest.approx(1, abs=1e-9)
    done = products.ask("ih", "--metrics", "pairs,keep-positive-mean", interactions="none")
    assert [line["metric"] for line in lines(done)] == ["keep-positive-mean"]
    assert "pairs: left out, as the run stores none of single rows" in done.stderr


def test_a_shuffled_run_is_as_faithful_as_a_random_order(products: Products, tmp_path: Path) -> None:
    path = products.copy("ig", tmp_path / "run")
    rng = np.random.default_rng(0)
    change(part(path, number=0), lambda table: shuffled(table, products.features, rng))
    true, mixed = lines(products.ask("ig", "--draws", 20)), lines(products.ask("ig", "--draws", 20, run=path))
    assert [line["best"] for line in true[:18]].count("run") >= 15
    for line, other in zip(mixed[:18], true, strict=False):
        width = float(line["high"]) - float(line["low"])
        assert abs(float(line["run"]) - float(line["random"])) < width, line["metric"]
        assert float(other["run"]) > float(line["high"]), line["metric"]


def test_infidelity_is_0_where_values_are_what_removals_change(products: Products) -> None:
    found = {line["metric"]: line for line in lines(products.ask("ig", "--metrics", "infidelity", model="linear.pt"))}
    assert float(found["infidelity"]["run"]) == pytest.approx(0, abs=1e-9)
    assert float(found["infidelity-scaled"]["run"]) == pytest.approx(0, abs=1e-9)
    assert found["infidelity"]["gradient"] == ""
    assert 0.1 < float(found["infidelity-scaled"]["gradient"]) < 1
    assert 0.3 < float(found["infidelity-scaled"]["random"]) <= 1


def test_sensitivity_is_what_the_inputs_of_a_linear_model_move(products: Products) -> None:
    (found,) = lines(products.ask("ig", "--metrics", "sensitivity", model="linear.pt"))
    assert float(found["gradient"]) == pytest.approx(0, abs=1e-9)
    assert 0.001 < float(found["run"]) < 0.02 * np.sqrt(len(products.features))
    assert float(found["run"]) == pytest.approx(float(found["gradient_input"]), rel=1e-6)


@pytest.mark.parametrize("method", [name for name in EXPLAINING if EXPLAINING[name].is_slope])
def test_slopes_have_no_infidelity_of_their_own(products: Products, method: str) -> None:
    """They are no parts of the output; what stands beside them is told all the same."""
    found = {line["metric"]: line for line in lines(products.ask(method, "--draws", 2, model="relu.pt", target="0"))}
    plain = found["infidelity"]
    assert (plain["run"], plain["low"], plain["best"], plain["rows"]) == ("", "", "", "0")
    assert float(plain["gradient_input"]) > 0
    assert 0 < float(found["infidelity-scaled"]["run"]) < 1


def test_where_all_are_as_good_none_is_best() -> None:
    figures = [Figure("feature", "keep-positive-mean", by, 2.5, 2.5, 2.5, 9) for by in ("run", "gradient", "random")]
    (tied,) = areas_table([TargetFigures("0", 9, tuple(figures), ())]).to_pylist()
    assert tied["best"] is None
    assert TargetFigures("0", 9, tuple(figures), ()).firsts == (0, 1)
    ahead = [replace(figures[0], value=2.6), *figures[1:]]
    assert TargetFigures("0", 9, tuple(ahead), ()).firsts == (1, 1)


def test_the_output_is_that_of_the_scale_of_the_run(products: Products, tmp_path: Path) -> None:
    for scale in ("logit", "probability"):
        file = tmp_path / f"{scale}.parquet"
        done = products.ask(
            "ig", "--metrics", "remove-negative-mean", "--curves", file, model="sigmoid.pt", scale=scale
        )
        assert done.exit_code == 0, done.output
        curve = pq.read_table(file, filters=[("by", "==", "run")]).to_pydict()
        predicted = products.entries("ig", model="sigmoid.pt", scale=scale)["_prediction"].to_numpy()
        assert curve["share"][0] == 0
        assert curve["score"][0] == pytest.approx(predicted.mean(), rel=1e-6)


def test_true_values_are_classes_or_numbers(products: Products) -> None:
    """The class 1, and the word yes, which is the name of the output, are where it is above 0; the number is it."""
    absolute = ("--metrics", "keep-absolute-mean")
    (own,), (number,) = lines(products.ask("ig", *absolute)), lines(products.ask("ig", *absolute, "--label", "number"))
    assert float(number["run"]) == pytest.approx(float(own["run"]), abs=1e-4)
    for label in ("word", "class"):
        done = products.ask("ig", *absolute, "--label", label, output_names=("yes",))
        assert f"Absolute curves: ROC AUC of the output, for {label!r}." in done.stderr
        (line,) = lines(done)
        assert 0.7 < float(line["run"]) < 1
        assert float(line["run"]) > float(line["random"]) > 0.4
    of_classes = lines(products.ask("ig", *absolute, "--label", "class", model="two.pt", target="all"))
    assert [line["target"] for line in of_classes] == ["0", "1"]
    assert all(0 < float(line["random"]) < 1 for line in of_classes)


def test_figures_are_those_of_the_library(products: Products) -> None:
    found = {line["metric"]: line for line in lines(products.ask("ig", "--draws", 7, "--seed", 3))}
    phi = np.column_stack([products.entries("ig")[name].to_numpy() for name in products.features])
    expected = curves(products.f, products.x, {"run": phi}, products.x, draws=7, seed=3)
    for curve in expected:
        line = found[curve.metric.name]
        assert [float(line[name]) for name in ("run", "low", "high")] == pytest.approx(
            [curve.area, curve.low, curve.high], rel=1e-5
        )


def test_a_background_of_its_own_is_taken(products: Products) -> None:
    apart = lines(products.ask("ig", "--background", products.path / "apart.csv", "--metrics", "curves"))
    own = lines(products.ask("ig", "--metrics", "curves"))
    assert all(abs(float(a["run"]) - float(b["run"])) > 1e-3 for a, b in zip(apart, own, strict=True))


def test_fewer_rows_are_drawn_with_a_seed(products: Products) -> None:
    first, again, other = (
        lines(products.ask("ig", "--sample", 10, "--seed", seed, "--metrics", "mean")) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert {line["rows"] for line in first} == {"10"}


def test_what_it_costs_is_said_first(products: Products) -> None:
    done = products.ask("ig", "--metrics", "mean,sensitivity")
    first = done.stderr.splitlines()[0]
    assert re.fullmatch(
        r"Evaluating 120 rows takes at most [\d,]+ forwards, about [\d.]+ s, and 1,320 rows to explain\.", first
    )
    assert products.ask("ig", "--metrics", "mean", "--quiet").stderr == ""


def test_every_format_holds_the_same(products: Products, tmp_path: Path) -> None:
    told = lines(products.ask("ig", "--metrics", "mean"))
    files = {name: tmp_path / f"areas.{name}" for name in ("csv", "jsonl", "parquet", "arrow")}
    for file in files.values():
        assert products.ask("ig", "--metrics", "mean", "-o", file).exit_code == 0
    assert list(csv.DictReader(files["csv"].read_text().splitlines())) == told
    assert [json.loads(line)["metric"] for line in files["jsonl"].read_text().splitlines()] == [
        line["metric"] for line in told
    ]
    assert pq.read_table(files["parquet"]).equals(pa.ipc.open_stream(files["arrow"].read_bytes()).read_all())
    shown = products.ask("ig", "--metrics", "mean", "--format", "table").stdout
    assert shown.startswith("target prediction, 120 rows\n")
    assert "The run is best in" in shown
    refused = products.ask("ig", "-o", files["csv"])
    assert f"-o {files['csv']}: exists already. Try --overwrite" in refused.stderr


def test_curves_are_written_and_drawn(products: Products, tmp_path: Path) -> None:
    table, picture = tmp_path / "curves.parquet", tmp_path / "curves.svg"
    done = products.ask("ig", "--curves", table, "--plot", picture)
    assert done.exit_code == 0, done.output
    assert f"Picture written to {picture}." in done.stderr
    found = pq.read_table(table).to_pandas()
    assert set(found["by"]) == {"run", "gradient", "gradient_input", "random"}
    assert found.groupby(["metric", "by"]).ngroups == 18 * 4
    areas = {line["metric"]: float(line["run"]) for line in lines(done)[:18]}
    for metric, curve in found[found["by"] == "run"].groupby("metric"):
        assert np.trapezoid(curve["score"], curve["share"]) == pytest.approx(areas[metric])
    drawn = picture.read_text()
    assert drawn.startswith("<?xml")
    again = products.ask("ig", "--curves", table)
    assert f"--curves {table}: exists already. Try --overwrite to replace it, or another --curves." in again.stderr


def test_a_narrow_terminal_shows_what_matters_most(products: Products) -> None:
    files = (products.run("ig"), products.path / "products.pt", products.path / "rows.csv")
    asked = ("evaluate", *files, "--metrics", "mean", "--quiet")
    shown = on_terminal(*map(str, asked), columns=80)
    wide = [line for line in shown.splitlines() if "keep-positive-mean" in line]
    assert len(wide) == 1
    assert len(wide[0].rstrip()) <= 80


CODES = [
    *(("ih", ["--baseline", start]) for start in ("mode", "mean", "zeros")),
    ("eh", ["--baseline-rows", "5"]),
]


@pytest.mark.parametrize(("method", "options"), CODES, ids=lambda value: " ".join(value) if value else "")
def test_codes_are_removed_as_what_they_are_looked_up_as(tmp_path: Path, method: str, options: list[str]) -> None:
    torch.manual_seed(0)
    save_script(OneMatrix(EntityMlp().eval()), tmp_path / "net.pt")
    pd.DataFrame(category_rows(40), columns=list(NAMES)).to_csv(tmp_path / "bank.csv", index=False)
    files = [str(tmp_path / name) for name in ("net.pt", "bank.csv")]
    out = str(tmp_path / "run")
    done = CliRunner().invoke(main, ["explain", *files, "-m", method, "--target", "0", *options, "-o", out])
    assert done.exit_code == 0, done.output
    found = lines(ask(out, *files, "--metrics", "all", "--draws", 5))
    assert [line["metric"] for line in found][:18] == [metric.name for metric in METRICS]
    assert [line["best"] for line in found[:18]].count("random") <= 3


def test_values_of_a_layer_are_removed_there(folder: Folder, tmp_path: Path) -> None:
    asked = folder.request("ih")
    files, out = (asked.model, asked.data), str(tmp_path / "run")
    options = ("--layer", "1", "--exclude", "id,label", "--target", "0")
    done = CliRunner().invoke(main, ["explain", *files, *options, "-o", out])
    assert done.exit_code == 0, done.output
    found = lines(ask(out, *files, "--metrics", "all", "--draws", 5))
    assert len(found) == 18 + 1 + 3
    assert [line["best"] for line in found[:18]].count("random") <= 3


@pytest.mark.parametrize("sequence", ["5x2", "any"])
def test_sequences_are_removed_step_by_step(tmp_path: Path, sequence: str) -> None:
    network = sequence_models.network("lstm", 5, 2, torch.float32)
    save_script(network, tmp_path / "net.pt")
    rng = np.random.default_rng(0)
    if sequence == "any":
        lengths = [3 + row % 3 for row in range(30)]
        table = pa.table({name: [rng.normal(size=n).tolist() for n in lengths] for name in ("u", "v")})
    else:
        table = pa.table({f"{name}_{step}": rng.normal(size=30) for step in range(5) for name in ("u", "v")})
    pq.write_table(table, tmp_path / "rows.parquet")
    files, out = [str(tmp_path / name) for name in ("net.pt", "rows.parquet")], str(tmp_path / "run")
    asked = ["explain", *files, "--sequence", sequence, "--target", "0", "-o", out]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    found = lines(ask(out, *files, "--draws", 5, "--metrics", "all"))
    assert sum(line["of"] == "feature" for line in found) == (6 if sequence == "any" else 18)
    assert float({line["metric"]: line for line in found}["second-differences"]["run"]) > 0.3


def refused(done: Result) -> str:
    assert done.exit_code in (1, 2), done.output
    assert "unexpected" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_another_model_other_data_and_altered_keys_are_refused(folder: Folder, tmp_path: Path) -> None:
    asked, run = folder.request("ih"), folder.run("ih")
    assert "MODEL: " in refused(ask(run, folder.path / "relu.pt", asked.data))
    assert "DATA: " in refused(ask(run, asked.model, folder.path / "holes.parquet"))
    path = folder.copy("ih", tmp_path / "run")
    change(part(path), with_other_keys)
    assert "keys: 4 rows with another 'id' than the data, first row 4" in refused(ask_of(folder, "ih", run=path))


def with_other_keys(table: pa.Table) -> pa.Table:
    return table.set_column(table.schema.get_field_index("id"), "id", pa.array(["nobody"] * len(table)))


def test_a_run_that_is_not_done_is_refused(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**info, "status": "interrupted"}))
    assert "Expected 'done'. Try ihcli explain with --resume" in refused(ask_of(folder, "ih", run=path))
    assert "no such run" in refused(ask(tmp_path / "none", "m.pt", "d.csv"))


REFUSED = [
    (["--metrics", "curvs"], "--metrics curvs: is none of the metrics. ", "Did you mean 'curves'?"),
    (["--metrics", "keep-random"], "--metrics keep-random: is none of the metrics. ", "keep-positive-mean"),
    (["--target", "2"], "--target: ", "Expected one of 'prediction'"),
    (["--label", "numbr"], "--label numbr: ", "Did you mean 'number'?"),
    (["--label", "word"], "--label word: row 0 of ", "Try another column, or without --label."),
    (["--label", "a"], "--label a: is a feature of the run.", "Expected a column with true values"),
    (["--background", "zeros"], "--background zeros: is a baseline. ", "Expected a table"),
    (["--background", "none.csv"], "none.csv: no such file", "Try"),
    (["--plot", "curves.txt"], "--plot curves.txt: is not a picture. ", ".png"),
    (["--plot", "curves.png", "--metrics", "pairs"], "--plot curves.png: shows curves", "Try --metrics curves."),
    (["--curves", "no/where.csv"], "--curves no/where.csv: there is no directory no. ", "Try creating it first."),
    (["--sample", "1"], "Invalid value for '--sample'", "at least 2"),
]


@pytest.mark.parametrize(("options", "wrong", "advice"), REFUSED, ids=lambda value: " ".join(value) if value else "")
def test_what_cannot_be_is_refused_in_one_message(
    products: Products, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], wrong: str, advice: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = refused(products.ask("ig", *options))
    assert wrong in told
    assert advice in told
    assert not any(tmp_path.iterdir())


def test_a_picture_shows_one_of_several_targets(folder: Folder, tmp_path: Path) -> None:
    kind, picture = "eh of all targets, grouped", tmp_path / "curves.png"
    told = refused(ask_of(folder, kind, "--plot", picture, "--draws", 3))
    advice = re.search(r"the run has 3\. Try (--target \w+) too\.", told)
    assert advice
    done = ask_of(folder, kind, "--plot", picture, "--draws", 3, *advice[1].split())
    assert {line["target"] for line in lines(done)} == {advice[1].split()[1]}
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_large_background_is_drawn_from_and_read_in_pieces(
    products: Products, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ihcli.verification.faithfulness.evaluation import background, joining

    whole = lines(products.ask("ig", "--metrics", "mean"))
    monkeypatch.setattr(joining, "ROWS_AT_ONCE", 7)
    assert lines(products.ask("ig", "--metrics", "mean")) == whole
    monkeypatch.setattr(background, "MOST_ROWS", 20)
    assert lines(products.ask("ig", "--metrics", "mean")) != whole
