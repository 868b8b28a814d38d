"""Runs over categories: the same numbers as with codes, values shown as what they are, and kept with the run."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from model_files import save_script
from small_runs import content
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.errors import DataError, IhcliError, OptionError, RunError
from ihcli.execution.pipeline import run
from ihcli.layouts.columns import holds_top_pairs
from ihcli.models import load_model, wrap_module
from ihcli.plots import PlotRequest, draw
from ihcli.report.contents import contents_of
from ihcli.results.explained_data import feature_values
from ihcli.results.result import Result, read
from ihcli.runs.merging import merge
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.shards import Shard
from ihcli.runs.totals import Observer
from ihcli.verification import FAILED, verify_run
from ihcli.verification.recomputation import Question, recompute
from ihcli.vocabulary import Vocabulary

JOBS, MARITAL = ["technician", "admin", "blue-collar", "services"], ["single", "married"]
FEATURES = ("age", "job", "balance", "marital")
TOML = f"[categories]\njob = {json.dumps(JOBS)}\nmarital = {json.dumps(MARITAL)}\n"
GIVEN = {"job": JOBS, "marital": MARITAL}
N_ROWS = 30
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def bank(n_rows: int = N_ROWS) -> pd.DataFrame:
    """Return a table of two numbers and two columns of words."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": [f"P{row}" for row in range(n_rows)],
            "age": random.normal(size=n_rows),
            "job": [JOBS[code] for code in random.integers(0, 4, n_rows)],
            "balance": random.normal(size=n_rows),
            "marital": [MARITAL[code] for code in random.integers(0, 2, n_rows)],
        }
    )


def as_codes(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(job=frame["job"].map(JOBS.index), marital=frame["marital"].map(MARITAL.index))


def network(n_outputs: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, n_outputs)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a network, and a table in all its forms."""
    path = tmp_path_factory.mktemp("bank")
    save_script(network(), path / "net.pt")
    frame = bank()
    frame.to_csv(path / "bank.csv", index=False)
    frame.to_parquet(path / "text.parquet")
    as_codes(frame).to_csv(path / "codes.csv", index=False)
    own = frame.assign(job=pd.Categorical(frame["job"], JOBS), marital=pd.Categorical(frame["marital"], MARITAL))
    own.to_parquet(path / "own.parquet", row_group_size=7)
    (path / "vocab.toml").write_text(TOML, encoding="utf-8")
    return path


def request_of(folder: Path, data: str = "bank.csv", **options: object) -> RunRequest:
    base = RunRequest(str(folder / "net.pt"), str(folder / data), key=("id",), device="cpu", memory_bytes=1 << 26)
    return replace(base, **{"categories": str(folder / "vocab.toml"), "chunk_rows": 8, **options})


@pytest.fixture(scope="module")
def result(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Return the finished run over words."""
    out = tmp_path_factory.mktemp("runs") / "run"
    run(request_of(folder), out, Observer())
    return read(out)


def told(result: Result) -> dict[str, object]:
    found: dict[str, object] = json.loads((result.path / "run.json").read_text())
    return found


# Numbers


@pytest.mark.parametrize(
    ("data", "categories"),
    [("text.parquet", True), ("own.parquet", True), ("own.parquet", False), ("codes.csv", True), ("codes.csv", False)],
)
def test_words_are_explained_as_their_codes(folder, result, tmp_path, data, categories):
    options = {} if categories else {"categories": None}
    run(request_of(folder, data, **options), tmp_path / "run", Observer())
    found = read(tmp_path / "run")
    assert found.feature_names == FEATURES
    np.testing.assert_array_equal(found.attributions[list(FEATURES)], result.attributions[list(FEATURES)])
    np.testing.assert_array_equal(found.interaction_array(), result.interaction_array())


def test_workers_and_shards_explain_words_as_one_process_does(folder, result, tmp_path):
    parts = {name: value for name, value in content(result.path).items() if "part-" in name}
    for index in (1, 2):
        run(request_of(folder), tmp_path / "run", Observer(), shard=Shard(index, 2))
    merge(tmp_path / "run", warned=print)
    run(request_of(folder), tmp_path / "two", Observer(), workforce=Workforce(workers=2))
    for out in (tmp_path / "run", tmp_path / "two"):
        assert {name: value for name, value in content(out).items() if "part-" in name} == parts
        assert read(out).told.vocabulary.sha256 == result.told.vocabulary.sha256


@pytest.mark.parametrize("make", [lambda f: f, lambda f: f.assign(job=f["job"].astype("category")), as_codes])
def test_frames_hold_words_too(make):
    frame, model = bank()[list(FEATURES)], network()
    expected = ihcli.explain(model, as_codes(frame))
    found = ihcli.explain(model, make(frame), categories=GIVEN)
    np.testing.assert_array_equal(found.attributions, expected.attributions)


def test_categories_of_a_frame_are_codes_in_their_order():
    frame = bank()[list(FEATURES)]
    own = frame.assign(job=pd.Categorical(frame["job"], JOBS), marital=pd.Categorical(frame["marital"], MARITAL))
    expected = ihcli.explain(network(), as_codes(frame))
    np.testing.assert_array_equal(ihcli.explain(network(), own).attributions, expected.attributions)


def test_arrays_of_words_and_numbers_are_read_with_their_categories():
    frame = bank()[list(FEATURES)]
    model = replace(wrap_module(network()), feature_names=FEATURES)
    expected = ihcli.explain(model, as_codes(frame))
    found = ihcli.explain(model, frame.to_numpy(), categories=GIVEN)
    np.testing.assert_array_equal(found.attributions, expected.attributions)


def test_a_baseline_in_python_is_of_words():
    frame, model = bank()[list(FEATURES)], network()
    words = np.array([0.5, "services", 1.0, "married"], dtype=object)
    expected = ihcli.explain(model, as_codes(frame), baseline=np.array([0.5, 3, 1, 1]))
    found = ihcli.explain(model, frame, baseline=words, categories=GIVEN)
    np.testing.assert_array_equal(found.attributions, expected.attributions)


def test_a_baseline_of_a_file_is_of_words(folder, tmp_path):
    one = pd.DataFrame({"age": [0.5], "job": ["services"], "balance": [1.0], "marital": ["married"]})
    one.to_csv(tmp_path / "words.csv", index=False)
    as_codes(one).to_csv(tmp_path / "codes.csv", index=False)
    for name in ("words", "codes"):
        run(request_of(folder, baseline=str(tmp_path / f"{name}.csv")), tmp_path / name, Observer())
    found, expected = (read(tmp_path / name).attributions[list(FEATURES)] for name in ("words", "codes"))
    np.testing.assert_array_equal(found, expected)


def test_the_mode_of_categories_is_taken_where_numbers_have_a_mean(folder, tmp_path):
    frame, most = bank(), {}
    for name in ("job", "marital"):
        counts = frame[name].value_counts()
        most[name] = min((value for value in GIVEN[name] if counts[value] == counts.max()), key=GIVEN[name].index)
    own = pd.DataFrame({name: [most.get(name) or frame[name].mean()] for name in FEATURES})
    own.to_csv(tmp_path / "own.csv", index=False)
    expected = f"job = {most['job']}, marital = {most['marital']}"
    found = {}
    for spec in ("mode", "mean", str(tmp_path / "own.csv")):
        run(request_of(folder, baseline=spec), tmp_path / "run", Observer(), existing="replace")
        result = read(tmp_path / "run")
        assert result.told.baseline.source.endswith(f": {expected}"), spec
        found[spec] = result.attributions[list(FEATURES)].to_numpy()
    for values in found.values():
        np.testing.assert_allclose(values, found["mode"], rtol=1e-5, atol=1e-7)


def test_zeros_tell_which_categories_they_are(result):
    assert result.told.baseline.source == "zeros: job = technician, marital = single"


def test_a_model_that_brings_its_categories_needs_none():
    model = replace(wrap_module(network()), feature_names=FEATURES, vocabulary=Vocabulary(GIVEN))
    frame = bank()
    expected = ihcli.explain(network(), as_codes(frame[list(FEATURES)]))
    np.testing.assert_array_equal(ihcli.explain(model, frame).attributions, expected.attributions)
    with pytest.raises(OptionError, match=r"^`categories`: the model brings its own\. Try without\.$"):
        ihcli.explain(model, frame, categories={"job": JOBS})


# What is shown


def test_values_are_what_they_are_called(folder, result):
    rows = [4, 0, 29, 4]
    found = feature_values(result, ["marital", "age", "job"], rows)
    frame = bank()
    for at, row in enumerate(rows):
        assert found.told(at, 0, "marital") == frame["marital"][row]
        assert found.told(at, 1, "age") == f"{frame['age'][row]:.4g}"
        assert found.told(at, 2, "job") == frame["job"][row]
    assert found.categories.keys() == {"marital", "job"}
    assert "age" not in found.categories


def test_categories_keep_the_order_of_their_codes(result):
    found = feature_values(result, ["job"], range(N_ROWS))
    assert found.categories["job"] == tuple(JOBS)
    few = feature_values(result, ["job"], [0])
    assert few.categories["job"] == (bank()["job"][0],), "only those that occur"


@pytest.mark.parametrize("data", ["codes.csv", "text.parquet", "own.parquet"])
def test_values_of_other_data_are_shown_so_too(folder, result, data):
    found = feature_values(result, ["job"], range(N_ROWS), folder / data)
    assert [found.told(row, 0, "job") for row in range(N_ROWS)] == bank()["job"].tolist()


def test_codes_are_shown_as_words_where_categories_were_stated(folder, tmp_path):
    run(request_of(folder, "codes.csv"), tmp_path / "run", Observer())
    found = feature_values(read(tmp_path / "run"), ["job"], range(N_ROWS))
    assert [found.told(row, 0, "job") for row in range(N_ROWS)] == bank()["job"].tolist()


def test_categories_that_the_data_bring_are_shown(folder, tmp_path):
    run(request_of(folder, "own.parquet", categories=None), tmp_path / "run", Observer())
    found = feature_values(read(tmp_path / "run"), ["job", "marital"], range(N_ROWS))
    assert [found.told(row, 1, "marital") for row in range(N_ROWS)] == bank()["marital"].tolist()


def test_other_data_is_counted_by_words_too(folder, tmp_path):
    run(request_of(folder, features=("job", "age", "balance", "marital")), tmp_path / "run", Observer())
    found = feature_values(read(tmp_path / "run"), ["job"], [3], folder / "bank.csv")
    assert found.told(0, 0, "job") == bank()["job"][3]


def test_a_group_of_categories_is_not_one_hot(folder, tmp_path):
    (tmp_path / "groups.toml").write_text('[groups]\nperson = ["job", "marital"]\n', encoding="utf-8")
    frame = bank().assign(job=[JOBS[row % 2] for row in range(N_ROWS)])
    frame.to_csv(tmp_path / "bank.csv", index=False)
    asked = request_of(folder, str(tmp_path / "bank.csv"), groups=str(tmp_path / "groups.toml"))
    run(asked, tmp_path / "run", Observer())
    found = feature_values(read(tmp_path / "run"), ["person", "age"], [0, 1])
    assert "person" not in found.categories
    assert np.isnan(found.numbers[:, 0]).all()


def test_a_waterfall_names_the_category_of_the_row(result):
    figure = draw(result, PlotRequest("waterfall", row=3))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert f"job = {bank()['job'][3]}" in labels
    assert f"marital = {bank()['marital'][3]}" in labels


def test_a_dependence_plot_has_categories_on_its_axis_and_in_its_legend(result):
    figure = draw(result, PlotRequest("dependence", feature="job", color_by="marital"))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == JOBS
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"marital", *MARITAL}


def test_of_many_categories_some_are_named_below_a_picture(result, monkeypatch):
    monkeypatch.setattr("ihcli.plots.places.MOST_NAMED", 2)
    figure = draw(result, PlotRequest("dependence", feature="job"))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == JOBS[::2]
    assert "Of 4 categories one in 2 is named." in " ".join(figure.get_supxlabel().split())


def test_a_swarm_has_a_colour_for_each_category(result):
    texts = [text.get_text() for text in draw(result, PlotRequest("summary")).legends[0].get_texts()]
    assert set(texts) == {"job", *JOBS, "marital", *MARITAL}


def test_the_page_holds_words(result):
    contents = contents_of(result)
    assert ("Categories", "job 4, marital 2 (vocab.toml)") in contents.facts
    names = {place: contents.names[place] for place in contents.categories}
    assert {names[place]: values for place, values in contents.categories.items()} == GIVEN
    place = contents.sample.features.index(contents.names.index("job"))
    record = contents.sample.records[5]
    assert JOBS[int(record["values"][place])] == bank()["job"][record["row"]]


def test_top_pairs_of_categories_are_named(folder, tmp_path):
    run(request_of(folder, interactions="top:2"), tmp_path / "run", Observer())
    found = read(tmp_path / "run")
    assert holds_top_pairs(found.run.interaction_parts.schema.field("interactions").type)
    assert feature_values(found, ["job"], [3]).told(0, 0, "job") == bank()["job"][3]


def test_missing_values_are_flagged_or_a_category_of_their_own(folder, tmp_path):
    frame = bank()
    frame.loc[2, "job"] = None
    frame.to_csv(tmp_path / "bank.csv", index=False)
    with pytest.raises(DataError, match=r"column 'job' has 1 null value, the first in row 2\."):
        run(request_of(folder, str(tmp_path / "bank.csv")), tmp_path / "run", Observer())
    run(request_of(folder, str(tmp_path / "bank.csv"), missing="flag"), tmp_path / "run", Observer())
    assert read(tmp_path / "run").record(2).quality["status"] == "missing_input"
    (tmp_path / "own.toml").write_text(TOML.replace('"services"', '"services", nan'), encoding="utf-8")
    run(
        request_of(folder, str(tmp_path / "bank.csv"), categories=str(tmp_path / "own.toml")),
        tmp_path / "own",
        Observer(),
    )
    found = read(tmp_path / "own")
    assert found.record(2).quality["status"] == "ok"
    assert feature_values(found, ["job"], [2]).told(0, 0, "job") == "(missing)"


# What the run keeps


def test_run_json_tells_categories(result):
    kept = told(result)["categories"]
    assert kept["source"] == "vocab.toml"
    assert kept["values"] == GIVEN
    assert result.told.vocabulary.sha256 == kept["sha256"]
    assert "own" not in kept


def test_runs_of_numbers_tell_none(folder, tmp_path):
    run(request_of(folder, "codes.csv", categories=None), tmp_path / "run", Observer())
    content = told(read(tmp_path / "run"))
    assert "categories" not in content
    assert "categories" not in content["arguments"]


def test_what_codes_are_is_said_where_the_data_bring_it(folder, tmp_path):
    run(request_of(folder, "own.parquet", categories=None), tmp_path / "run", Observer())
    content = told(read(tmp_path / "run"))
    assert content["categories"]["own"] == ["job", "marital"]
    assert "The codes of 'job' (4), 'marital' (2) are places in the categories that" in content["warnings"][-1]


def test_a_run_verifies_without_the_file_of_its_categories(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "here")
    run(request_of(tmp_path / "here"), tmp_path / "run", Observer())
    (tmp_path / "here" / "vocab.toml").unlink()
    question = Question(str(tmp_path / "here" / "net.pt"), str(tmp_path / "here" / "bank.csv"), sample=5)
    findings = [*verify_run(tmp_path / "run"), *recompute(tmp_path / "run", question)]
    assert not [finding for finding in findings if finding.outcome == FAILED]


@pytest.mark.parametrize(
    "change",
    [lambda kept: kept["values"]["job"].reverse(), lambda kept: kept["values"]["job"].append("x")],
    ids=["another order", "one more"],
)
def test_categories_that_were_changed_in_run_json_are_found(result, tmp_path, change):
    shutil.copytree(result.path, tmp_path / "run")
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    change(content["categories"])
    (tmp_path / "run" / "run.json").write_text(json.dumps(content))
    failed = [finding for finding in verify_run(tmp_path / "run") if finding.outcome == FAILED]
    assert any("categories are not those of their SHA-256" in finding.detail for finding in failed)


@pytest.mark.parametrize("values", [[], ["a", "a"], [["a"]], "ab", None])
def test_run_json_with_categories_that_cannot_be_is_refused(result, tmp_path, values):
    shutil.copytree(result.path, tmp_path / "run")
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    content["categories"]["values"]["job"] = values
    (tmp_path / "run" / "run.json").write_text(json.dumps(content))
    with pytest.raises(RunError):
        feature_values(read(tmp_path / "run"), ["job"], [0])


def test_resuming_with_other_categories_is_refused(folder, result, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(result.path, out)
    (tmp_path / "moved.toml").write_text(f"# the same\n{TOML}", encoding="utf-8")
    same = request_of(folder, categories=str(tmp_path / "moved.toml"))
    assert run(same, out, Observer(), existing="resume").was_done
    (tmp_path / "other.toml").write_text(TOML.replace('"single", "married"', '"married", "single"'), encoding="utf-8")
    for other in (str(tmp_path / "other.toml"), None):
        with pytest.raises(RunError, match=r"Expected (the categories of .* as they were|`categories=.*`), got"):
            run(request_of(folder, categories=other), out, Observer(), existing="resume")
    run(request_of(folder, "codes.csv", categories=None), tmp_path / "codes", Observer())
    with pytest.raises(RunError, match=r"Expected no `categories`, got `categories="):
        run(request_of(folder, "codes.csv"), tmp_path / "codes", Observer(), existing="resume")


def test_shards_of_other_categories_do_not_merge(folder, tmp_path):
    (tmp_path / "other.toml").write_text(TOML.replace('"single", "married"', '"married", "single"'), encoding="utf-8")
    for index, categories in enumerate((folder / "vocab.toml", tmp_path / "other.toml"), 1):
        run(request_of(folder, categories=str(categories)), tmp_path / "run", Observer(), shard=Shard(index, 2))
    with pytest.raises(RunError, match="Expected the same categories sha256"):
        merge(tmp_path / "run", warned=print)


# The command line


def invoke(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return done.exit_code, done.output


def test_the_command_line_reads_categories_from_an_unusual_directory(folder, tmp_path, monkeypatch):
    home = tmp_path / "a b'c"
    shutil.copytree(folder, home)
    monkeypatch.chdir(home)
    code, said = invoke("explain", "net.pt", "bank.csv", "--key", "id", "--categories", "vocab.toml", "-o", "run")
    assert code == 0, said
    code, said = invoke("verify", "run", "net.pt", "bank.csv", "--sample", "3")
    assert code == 0, said


WRONG = {
    "a file that is not there": (("--categories", "vocabulary.toml"), "cannot be opened: No such file or directory"),
    "a word that is not listed": (("--categories", "short.toml"), "bank.csv: column 'job', row "),
    "a column that is not there": (("--categories", "typo.toml"), "Did you mean 'job'?"),
    "with texts": (("--categories", "vocab.toml", "--text", "job"), "--categories: is for tables of numbers"),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_wrong_uses_are_one_message(folder, tmp_path, monkeypatch, options, words):
    shutil.copytree(folder, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    Path("short.toml").write_text(TOML.replace('"services"', '"service"'), encoding="utf-8")
    Path("typo.toml").write_text(TOML.replace("job =", "jobb ="), encoding="utf-8")
    code, said = invoke("explain", "net.pt", "bank.csv", "--key", "id", *options, "-o", "run")
    assert code == 1
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert words in said
    assert not Path("run").exists()


def test_the_proposed_line_makes_a_run(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    arguments = ("explain", "net.pt", "bank.csv", "--key", "id", "-o", "run")
    code, said = invoke(*arguments)
    assert code == 1
    line, _, rest = said.partition("try python")[2].partition(" and --categories ")
    subprocess.run(f"python{line}", shell=True, check=True, env=os.environ | {"PATH": PATH})
    code, said = invoke(*arguments, "--categories", rest.split(",")[0])
    assert code == 0, said
    assert told(read("run"))["categories"]["values"]["job"] == sorted(JOBS)


def test_inspect_tells_the_categories_of_a_model(folder, monkeypatch):
    plain = load_model(folder / "net.pt")
    known = Vocabulary({"job": [*JOBS, None], "zip": range(100)})
    monkeypatch.setattr("ihcli.models.load_model", lambda *_, **__: replace(plain, vocabulary=known))
    code, said = invoke("inspect", folder / "net.pt")
    assert code == 0, said
    assert "Categories            job: 5: technician, admin, blue-collar, services, (missing)\n" in said
    assert "Categories            zip: 100: 0, 1, 2, 3, 4, 5, ... 94 more\n" in said


REFUSED_FRAMES = {
    "text": (bank()[list(FEATURES)], None, r"column 'job' holds text\. .* Try categories=\{'job': \[\.\.\.\]\}"),
    "a word that is not listed": (
        bank()[list(FEATURES)],
        {"job": ["admin"], "marital": MARITAL},
        r"^x: column 'job', row \d+: '.*' is not in `categories`\. .* Try \"unknown\": 0 in `categories`",
    ),
    "a column that is not there": (bank()[list(FEATURES)], {"jobb": JOBS}, "Did you mean 'job'"),
    "values of several types": (bank()[list(FEATURES)].assign(job=["a", 1] * 15), {"job": JOBS}, "several types"),
    "dates": (
        bank()[list(FEATURES)].assign(age=pd.Timestamp("2024-01-02")),
        GIVEN,
        "timestamp",
    ),
}


@pytest.mark.parametrize(("frame", "categories", "words"), REFUSED_FRAMES.values(), ids=REFUSED_FRAMES)
def test_frames_that_do_not_fit_are_refused(frame, categories, words):
    with pytest.raises(IhcliError, match=words):
        ihcli.explain(network(), frame, categories=categories)
