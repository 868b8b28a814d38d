"""Names of outputs: stated, the model's own, the label's column, or prediction; and labels that are such names."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from model_files import save_script
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.errors import DataError, IhcliError, OptionError
from ihcli.execution.pipeline import run
from ihcli.execution.refusals import parse
from ihcli.models import wrap_module
from ihcli.models.targets import OutputNames, Target, resolve_target
from ihcli.results.result import read
from ihcli.runs.directory import RESUME
from ihcli.runs.merging import merge
from ihcli.runs.request import RunRequest
from ihcli.runs.resuming import find_begun
from ihcli.runs.shards import Shard
from ihcli.runs.totals import Observer
from ihcli.verification import FAILED, verify_run
from ihcli.verification.recomputation import Question, recompute

ANSWERS = ["no", "yes", "not, said"]
X = np.random.default_rng(0).normal(size=(12, 3))


def network(n_outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, n_outputs)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a regression, a classifier of three outputs, and a table with labels of both."""
    path = tmp_path_factory.mktemp("names")
    for name, n_outputs in (("one", 1), ("three", 3)):
        save_script(network(n_outputs), path / f"{name}.pt")
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    table["price"] = np.arange(12.0)
    table["answer"] = [ANSWERS[row % 3] for row in range(12)]
    table.to_csv(path / "table.csv", index=False)
    return path


def request_of(folder: Path, model: str, **options: object) -> RunRequest:
    base = RunRequest(str(folder / f"{model}.pt"), str(folder / "table.csv"), features=("a", "b", "c"), chunk_rows=4)
    return replace(base, **{"device": "cpu", "memory_bytes": 1 << 26, **options})


def outputs_of(folder: Path, out: Path, model: str, **options: object) -> list[str]:
    run(request_of(folder, model, **options), out, Observer())
    names: list[str] = json.loads((out / "run.json").read_text())["model"]["outputs"]
    return names


# What outputs are called


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "prediction"),
        ({"label": "price"}, "price"),
        ({"output_names": ("value",)}, "value"),
        ({"label": "price", "output_names": ("value",)}, "value"),
    ],
)
def test_the_one_output_of_a_model_has_a_name(folder, tmp_path, options, name):
    assert outputs_of(folder, tmp_path / "run", "one", **options) == [name]
    result = read(tmp_path / "run")
    assert result.targets == (name,)
    assert result.told.target == name
    assert set(result.attributions["_target"]) == {name}


@pytest.mark.parametrize("target", ["prediction", "0", None])
def test_the_one_output_is_asked_for_by_name_and_by_index(folder, tmp_path, target):
    outputs_of(folder, tmp_path / "run", "one", target=target)
    assert read(tmp_path / "run").targets == ("prediction",)


@pytest.mark.parametrize("label", ["label", "predicted", "all"])
def test_a_label_called_as_a_word_of_target_names_no_output(label):
    assert OutputNames.of(None, label).resolve(1, None) == ("prediction",)


def test_several_outputs_without_names_are_counted(folder, tmp_path):
    assert outputs_of(folder, tmp_path / "run", "three", label="answer", target="all") == ["0", "1", "2"]


def test_stated_names_go_before_the_models_own():
    named = OutputNames.of(["a", "b", "c"])
    assert resolve_target("b", 3, ("x", "y", "z"), named) == Target("b", ("a", "b", "c"))
    with pytest.raises(OptionError, match=r"'x' is not an output of the model\. Expected one of 'a', 'b', 'c'"):
        resolve_target("x", 3, ("x", "y", "z"), named)


def test_outputs_are_asked_for_by_their_stated_names(folder, tmp_path):
    assert outputs_of(folder, tmp_path / "run", "three", output_names=tuple(ANSWERS), target="not, said") == ANSWERS
    by_index = ihcli.explain(network(3), X.astype(np.float32), target=2)
    found = read(tmp_path / "run")
    assert found.targets == ("not, said",)
    np.testing.assert_allclose(found.attributions[["a", "b", "c"]], by_index.attributions, rtol=1e-4, atol=1e-6)


def test_python_names_outputs():
    found = ihcli.explain(network(3), X, output_names=ANSWERS, target="yes")
    assert set(found.target) == {"yes"}
    assert set(ihcli.explain(network(1), X).target) == {"prediction"}
    own = replace(wrap_module(network(1)), output_names=("risk",))
    assert set(ihcli.explain(own, X).target) == {"risk"}


# Labels of words


def test_labels_of_words_choose_outputs_by_their_names(folder, tmp_path):
    asked = {"label": "answer", "target": "label", "output_names": tuple(ANSWERS)}
    outputs_of(folder, tmp_path / "run", "three", **asked)
    assert read(tmp_path / "run").attributions["_target"].tolist() == [ANSWERS[row % 3] for row in range(12)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pd.Categorical(["yes", "no", "yes"]), ("no", "yes")),
        ([True, False, True], ("False", "True")),
        ([True, False, True], ("false", "true")),
        ([True, False, True], ("no", "yes")),
        ([7, 3, 7], ("3", "7")),
        ([1.0, 0.0, 1.0], ("no", "yes")),
        (["ünï", "コード", "ünï"], ("コード", "ünï")),
    ],
)
def test_labels_of_any_kind_are_matched_with_names(folder, tmp_path, suffix, labels, names):
    table = pd.DataFrame(X[:3], columns=["a", "b", "c"])
    table["y"] = labels
    getattr(table, f"to_{suffix}")(tmp_path / f"t.{suffix}", index=False)
    save_script(network(2), tmp_path / "two.pt")
    asked = request_of(folder, "three", label="y", target="label", output_names=names)
    if suffix == "csv" and names == ("no", "yes") and labels[0] is True:
        pytest.skip("of a text True nobody knows that it is output 1")
    run(
        replace(asked, model=str(tmp_path / "two.pt"), data=str(tmp_path / f"t.{suffix}")), tmp_path / "run", Observer()
    )
    assert read(tmp_path / "run").attributions["_target"].tolist() == [names[1], names[0], names[1]]


def test_labels_of_words_without_names_are_refused_with_the_option_that_helps():
    target = resolve_target("label", 3, None)
    labels = np.array(["yes", "no", "maybe"], dtype=object)
    with pytest.raises(DataError, match=r"row 0 of the data holds 'yes', .* Try `output_names=maybe,no,yes`") as caught:
        target.select(np.zeros((3, 3)), labels)
    stated = str(caught.value).partition("`output_names=")[2].partition("`")[0]
    named = OutputNames.of(shlex.split(stated)[0].split(","))
    assert resolve_target("label", 3, None, named).select(np.zeros((3, 3)), labels)[1].tolist() == [2, 1, 0]
    with pytest.raises(DataError, match=r"Try `output_names=name0,name1,name2`, with the names of the outputs"):
        target.select(np.zeros((2, 3)), labels[:2])
    with pytest.raises(DataError, match=r"where these are not numbers\.$"):
        target.select(np.zeros((2, 3)), np.array(["yes", None], dtype=object))


# What cannot be

WRONG = {
    "too few": (["a"], r"`output_names`: has 1 of them\. Expected one for each of the 3 outputs of the model, got 'a'"),
    "twice": (["a", "b", "a"], r"`output_names`: 'a' occurs twice\. Expected a name for each output\."),
    "a word of target": (
        ["a", "label", "c"],
        r"'label' is a word of `target`\. Expected none of predicted, all",
    ),
    "one text": ("abc", r"`output_names`: 'abc' cannot be\. Expected a name for each output\. Try no,yes\."),
    "numbers": ([1, 2, 3], r"`output_names`: \[1, 2, 3\] cannot be"),
    "blank": (["a", " ", "c"], "cannot be"),
}


@pytest.mark.parametrize(("names", "words"), WRONG.values(), ids=WRONG)
def test_names_that_cannot_be_are_refused(names, words):
    with pytest.raises(OptionError, match=words):
        ihcli.explain(network(3), X, output_names=names)


# Runs


def findings_of(folder: Path, out: Path, model: str) -> list[str]:
    question = Question(str(folder / f"{model}.pt"), str(folder / "table.csv"), sample=4)
    return [found.detail for found in (*verify_run(out), *recompute(out, question)) if found.outcome == FAILED]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("one", {}),
        ("one", {"label": "price"}),
        ("three", {"label": "answer", "target": "label", "output_names": tuple(ANSWERS)}),
        ("three", {"target": "all", "output_names": tuple(ANSWERS)}),
    ],
)
def test_runs_of_named_outputs_verify(folder, tmp_path, model, options):
    outputs_of(folder, tmp_path / "run", model, **options)
    assert not findings_of(folder, tmp_path / "run", model)


def test_a_run_of_before_whose_output_is_called_0_is_read_verified_and_gone_on_with(folder, tmp_path, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr("ihcli.models.targets.SOLE", "0")
        assert outputs_of(folder, tmp_path / "run", "one") == ["0"]
    assert read(tmp_path / "run").targets == ("0",)
    assert not findings_of(folder, tmp_path / "run", "one")
    asked = request_of(folder, "one")
    assert run(asked, tmp_path / "run", Observer(), existing=RESUME).was_done
    settled = find_begun(tmp_path / "run").settle(parse(asked)).text
    assert settled.output_names == ("0",)


def test_resuming_with_other_names_is_refused_and_shards_tell_how_to_go_on(folder, tmp_path):
    asked = request_of(folder, "three", output_names=tuple(ANSWERS), target="yes")
    run(asked, tmp_path / "run", Observer(), shard=Shard(1, 2))
    other = replace(asked, output_names=("no", "yes", "maybe"))
    with pytest.raises(IhcliError, match="`output_names=no,yes,maybe`"):
        run(other, tmp_path / "run", Observer(), existing=RESUME, shard=Shard(1, 2))
    with pytest.raises(IhcliError, match="""`output_names='no,yes,"not, said"'`"""):
        merge(tmp_path / "run", warned=print)


# The command line


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def test_the_command_line_names_outputs(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    names = 'no,yes,"not, said"'
    asked = ("explain", "three.pt", "table.csv", "--features", "a,b,c", "--label", "answer", "--target", "label")
    code, said = invoke(*asked, "-o", str(tmp_path / "run"))
    assert code == 1
    assert """Try --output-names 'no,"not, said",yes', with the names""" in said
    code, said = invoke(*asked, "--output-names", names, "-o", str(tmp_path / "run"))
    assert code == 0, said
    code, said = invoke("attributions", str(tmp_path / "run"), "--target", "yes", "--format", "csv")
    assert code == 0, said


def test_the_page_and_pictures_call_the_output_by_its_name(folder, tmp_path):
    from ihcli.plots import PlotRequest, draw
    from ihcli.report.contents import contents_of

    outputs_of(folder, tmp_path / "run", "one", label="price")
    result = read(tmp_path / "run")
    assert [target.name for target in contents_of(result).targets] == ["price"]
    assert "output price" in draw(result, PlotRequest("bar")).axes[0].get_xlabel()
