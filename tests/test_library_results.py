"""What explanations and runs do in Python: records, a line, a notebook's page, pictures, other packages."""

import html
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from runs import write_text_run
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.errors import IhcliError, OptionError, RunError
from ihcli.library import explanations

ROWS = pd.DataFrame(np.random.default_rng(0).standard_normal((14, 3)), columns=["<b>age</b>", "dose", "sex"])


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 2))


@pytest.fixture(scope="module")
def explained() -> ihcli.Explanation:
    return ihcli.explain(network(), ROWS, target="all", output_names=["no", "<i>yes</i>"], baseline="mean")


@pytest.fixture(scope="module")
def saved(explained: ihcli.Explanation, tmp_path_factory: pytest.TempPathFactory) -> ihcli.Result:
    return explained.save(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(params=["explanation", "run"])
def both(request: pytest.FixtureRequest, explained: ihcli.Explanation, saved: ihcli.Result) -> Any:
    return explained if request.param == "explanation" else saved


def test_entries_are_records_in_the_order_of_the_data(both: Any, explained: ihcli.Explanation) -> None:
    assert len(both) == 28
    records = list(both)
    assert [(record.row, record.target) for record in records[:3]] == [(0, "no"), (0, "<i>yes</i>"), (1, "no")]
    for place in (0, 7, -1):
        np.testing.assert_array_equal(both[place].attributions, explained.attributions[place])
        np.testing.assert_array_equal(both[place].interactions, records[place].interactions)
    assert both[3].quality["relative_error"] == explained.relative_error[3]
    with pytest.raises(IndexError):
        both[28]
    assert [record.row for record in both[4:8]] == [2, 2, 3, 3]


def test_some_entries_of_an_explanation_are_an_explanation(explained: ihcli.Explanation) -> None:
    chosen = explained[explained.prediction > 0]
    assert isinstance(chosen, ihcli.Explanation)
    assert (chosen.prediction > 0).all()
    assert explained[[5, 2]].row.tolist() == [2, 1]
    np.testing.assert_array_equal(explained[::2].interactions, explained.interactions[::2])


def test_a_line_tells_what_it_is(both: Any) -> None:
    assert "ih, 14 rows, 3 features, targets 'no', '<i>yes</i>', 100 % certified>" in repr(both)
    assert len(repr(both)) < 300


def test_a_page_for_notebooks_shows_features_pairs_and_quality_and_no_code_of_strangers(both: Any) -> None:
    page = both._repr_html_()
    assert "&lt;b&gt;age&lt;/b&gt; x dose" in page
    assert "Pairs of &lt;i&gt;yes&lt;/i&gt;" in page
    assert "the largest certified error of a row is" in page
    assert "<b>age" not in page
    assert "<i>yes" not in page
    assert page.count("<table") == page.count("</table>") == 4


def test_the_page_of_a_large_explanation_is_over_some_of_it(
    explained: ihcli.Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explanations, "MOST_SHOWN", 10)
    assert "Sizes are over 10 of 28 entries." in explained._repr_html_()
    assert "14 rows" in explained._repr_html_()
    monkeypatch.setattr(explanations, "MOST_VALUES", 4)
    assert "Pairs of" not in explained._repr_html_()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"method": "gradient"}, "gradient, 14 rows, 3 features, target 'no', no certified error"),
        ({"steps": 3, "tolerance": 1e-12}, "ih, 14 rows, 3 features, target 'no', 0 % certified (14 not_converged)"),
    ],
)
def test_what_is_not_certified_is_not_called_so(options: dict[str, Any], line: str) -> None:
    found = ihcli.explain(network(), ROWS, target=0, output_names=["no", "yes"], **options)
    assert repr(found) == f"<Explanation: {line}>"


def test_a_record_shows_its_strongest_features_and_pairs_in_a_notebook(both: Any) -> None:
    page = both[0]._repr_html_()
    record = both[0]
    assert "Record: row 0, target &#x27;no&#x27;, 3 names" in page
    assert "<b>age</b>" not in page
    strongest = record.pairs[0]
    assert f"{html.escape(strongest.i)} x {html.escape(strongest.j)}</td><td>{strongest.effect:.4g}</td>" in page
    largest = int(np.abs(record.attributions).argmax())
    assert f">{html.escape(record.names[largest])}</td><td>{record.attributions[largest]:.4g}</td>" in page


def test_a_run_that_is_not_finished_is_not_said_to_have_no_pairs(saved: ihcli.Result, tmp_path: Path) -> None:
    for left_out in (("summary",), ("summary", "interactions")):
        place = tmp_path / "-".join(left_out)
        shutil.copytree(saved.path, place, ignore=shutil.ignore_patterns(*left_out))
        result = ihcli.read(place)
        with pytest.raises(RunError, match="the run did not finish"):
            result.summary_interactions()
    with pytest.raises(RunError, match="the run did not finish"):
        result.to_frame(long=True, pairs=True)


def test_rows_that_missed_the_tolerance_are_told_with_what_helps(explained: Any, tmp_path: Path) -> None:
    found = ihcli.explain(network(), ROWS, target=0, steps=3, tolerance=1e-12)
    assert "0 % certified (14 not_converged)" in repr(found)
    saved = found.save(tmp_path / "run")
    for shown in (found, saved):
        assert "Some missed the tolerance. Try " in shown._repr_html_()
        assert "steps" in shown._repr_html_()
    assert "missed" not in explained._repr_html_()
    assert repr(explained).endswith("100 % certified>")


def test_pictures_are_those_of_the_command_line(both: Any, tmp_path: Path) -> None:
    figure = both.plot("heatmap", target="no", top_k=3)
    figure.savefig(tmp_path / "pairs.png")
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert both.plot("dependence", target="no", feature="dose").axes
    with pytest.raises(
        OptionError, match=r"^`kind`: 'waterfal' is not a kind of picture\. .* Did you mean 'waterfall'\?$"
    ):
        both.plot("waterfal")
    with pytest.raises(TypeError, match=r"^`max_display`: plot\(\) has no such argument\. Did you mean 'top_k'\?$"):
        both.plot("summary", max_display=3)


def test_the_page_is_that_of_the_command_line(both: Any, tmp_path: Path) -> None:
    page = both.report(tmp_path / "page.html")
    assert "age" in Path(page).read_text(encoding="utf-8")
    with pytest.raises(RunError, match=r"exists already\. Try `overwrite=True`"):
        both.report(tmp_path / "page.html")
    assert both.report(tmp_path / "page.html", overwrite=True) == page


def test_shap_and_shapiq_get_values_and_names_by_themselves(both: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, name in (("shap", "Explanation"), ("shapiq", "InteractionValues")):
        monkeypatch.setitem(sys.modules, package, SimpleNamespace(**{name: SimpleNamespace}))
    found = both.to_shap(target="no")
    np.testing.assert_allclose(
        found.values.sum(axis=1) + found.base_values, both.to_frame(target="no")["_prediction"], atol=1e-6
    )
    np.testing.assert_array_equal(found.data, ROWS)
    assert found.feature_names == list(ROWS.columns)
    assert both.to_shapiq(3, target="no").n_players == 3


def test_shap_shows_categories_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shap", SimpleNamespace(Explanation=SimpleNamespace))
    frame = ROWS.assign(sex=pd.Categorical(["f", "m"] * 7))
    found = ihcli.explain(network(), frame, target=0).to_shap()
    assert found.display_data[:2, 2].tolist() == ["f", "m"]
    assert found.data[:2, 2].tolist() == [0, 1]


def test_texts_go_to_the_text_plot_of_shap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shap", SimpleNamespace(Explanation=SimpleNamespace))
    write_text_run(tmp_path / "run")
    run = ihcli.read(tmp_path / "run")
    found = run.to_shap()
    assert "".join(found.data[0]) == "not good not bad "
    np.testing.assert_array_equal(found.values[0], run[0].attributions)
    with pytest.raises(RunError, match="whose units differ from row to row"):
        run.to_shap(interactions=True)


def test_a_run_that_did_not_finish_is_looked_at_as_far_as_it_is_told(tmp_path: Path, saved: ihcli.Result) -> None:
    copy = saved.save(tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    told = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in told.items() if name != "totals"}))
    (tmp_path / "run" / "summary" / "attributions.parquet").unlink()
    assert repr(ihcli.read(copy.path)).startswith(("<Result", "Result("))
    assert ihcli.read(copy.path)._repr_html_() is None


def test_the_command_line_takes_what_python_saved(saved: ihcli.Result, tmp_path: Path) -> None:
    for arguments in (
        ["attributions", str(saved.path), "--target", "no"],
        ["interactions", str(saved.path), "--row", "3"],
        ["plot", str(saved.path), "summary", "--target", "no", "-o", str(tmp_path / "a.png")],
        ["report", str(saved.path), "-o", str(tmp_path / "a.html")],
        ["compare", str(saved.path), str(saved.path)],
        ["verify", str(saved.path)],
    ):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, (arguments, done.output)


def test_the_run_behind_an_explanation_goes_with_it() -> None:
    found = ihcli.explain(network(), ROWS, target=0)
    place = Path(str(found.as_run.path))
    assert place.is_dir()
    del found
    assert not place.exists()


def test_the_face_of_the_package_lists_what_it_has() -> None:
    assert dir(ihcli) == sorted(ihcli.__all__)
    assert ihcli.__version__[0].isdigit()
    assert issubclass(ihcli.IhcliError, Exception)
    for name in ihcli.__all__:
        assert getattr(ihcli, name).__doc__, name
    for kind in (ihcli.Explanation, ihcli.TextExplanation, ihcli.Result):
        for name in ("to_frame", "to_shap", "to_shapiq", "save", "plot", "report", "_repr_html_", "__iter__"):
            assert callable(getattr(kind, name)), (kind, name)


def test_looking_at_a_run_imports_no_torch(saved: ihcli.Result) -> None:
    code = (
        "import sys, ihcli\n"
        "assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)\n"
        "dir(ihcli), ihcli.__version__\n"
        "run = ihcli.read(sys.argv[1])\n"
        "repr(run), run._repr_html_(), run[0], run.to_frame()\n"
        "assert 'torch' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(saved.path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("call", [lambda run: run.to_shapiq(0), lambda run: run.to_shap()])
def test_values_that_do_not_add_up_are_not_given_to_plots_that_say_so(call: Callable[[Any], Any]) -> None:
    found = ihcli.explain(network(), ROWS, target=0, method="gradient")
    with pytest.raises(IhcliError, match=r"do not add up to the prediction\. .* Try to_frame\(\)\.$"):
        call(found)


def test_long_frames_have_a_line_for_every_feature_and_every_pair(both: Any, explained: ihcli.Explanation) -> None:
    lines = both.to_frame(long=True)
    assert lines.columns.tolist() == ["_row", "_target", "feature", "value", "attribution", "_relative_error"]
    np.testing.assert_allclose(lines["attribution"].to_numpy().reshape(28, 3), explained.attributions)
    np.testing.assert_array_equal(lines["value"].to_numpy().reshape(14, 2, 3)[:, 1], ROWS)
    pairs = both.to_frame(pairs=True, target="no")
    assert len(pairs) == 14 * 3
    first = pairs[(pairs["feature_i"] == "dose") & (pairs["feature_j"] == "sex")]
    np.testing.assert_allclose(first["interaction"], 2 * explained.interactions[::2, 1, 2], rtol=1e-6)
    np.testing.assert_array_equal(first["value_j"], ROWS["sex"])
    assert (first["error_bar"] >= 0).all()


def test_frames_of_one_target_are_those_entries(both: Any) -> None:
    assert set(both.to_frame(target="no")["_target"]) == {"no"}
    for options in ({}, {"long": True}):
        with pytest.raises(OptionError, match="maybe"):
            both.to_frame(target="maybe", **options)


def test_a_target_is_told_by_its_index_as_it_was_asked_for(both: Any, saved: ihcli.Result) -> None:
    """As `ihcli.explain` takes it; names that are numbers are names where they are text."""
    for target, name in ((0, "no"), (np.int64(1), "<i>yes</i>")):
        assert set(both.to_frame(target=target)["_target"]) == {name}
        assert set(both.to_frame(long=True, target=target)["_target"]) == {name}
        assert saved.record(2, target=target).target == name
        np.testing.assert_array_equal(saved.interactions(2, target=target), saved.interactions(2, target=name))
        np.testing.assert_array_equal(saved.interaction_array(target=target), saved.interaction_array(target=name))
        assert name in both.plot("bar", target=target).get_suptitle()
    for wrong in (2, -1, True, 1.5):
        with pytest.raises(OptionError, match=rf"^`target`: .* has no target '{wrong}'\. Expected one of 'no'"):
            both.to_frame(target=wrong)


def test_errors_speak_of_the_explanation_and_not_of_where_it_lies(explained: ihcli.Explanation) -> None:
    only_ig = ihcli.explain(network(), ROWS, target=0, method="ig")
    for ask in (
        lambda: only_ig.to_frame(pairs=True),
        lambda: only_ig.to_shap(interactions=True),
        lambda: only_ig.to_shapiq(),
        lambda: only_ig.plot("heatmap"),
        lambda: explained[0:0].plot(),
        lambda: explained[[3, 1]].to_frame(),
        lambda: explained.to_frame(target="zz"),
        lambda: explained.plot("waterfall", row=3),
    ):
        with pytest.raises(IhcliError) as caught:
            ask()
        assert "ihcli-" not in str(caught.value)
    with pytest.raises(RunError, match=r"has no interactions, .* Try ihcli explain with `method=ih`"):
        only_ig.to_shap(interactions=True)
    with pytest.raises(RunError, match=r"the explanation has no rows\. Expected one at least\.$"):
        explained[0:0].save("nowhere")


def test_records_are_told_in_one_line(both: Any) -> None:
    assert repr(both[2]).startswith("<Record: row 1, target 'no', 3 names, prediction ")
    assert repr(both[2]).endswith(", ok>")


@pytest.mark.parametrize("wrong", [None, 3, ["run"], nn.Linear(1, 1)])
def test_what_is_no_path_is_told(wrong: Any) -> None:
    for ask in (ihcli.read, ihcli.load_model):
        with pytest.raises(OptionError, match=r"^path: is of the type \w+\. Expected text, a Path or a URL\.$"):
            ask(wrong)


def test_a_picture_without_a_kind_is_one_that_there_is(both: Any, tmp_path: Path) -> None:
    write_text_run(tmp_path / "texts")
    assert both.plot(target="no").get_suptitle().startswith("Attributions, target no")
    assert ihcli.read(tmp_path / "texts").plot().get_suptitle().startswith("Attributions, target")
