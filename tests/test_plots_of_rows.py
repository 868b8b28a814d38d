"""Pictures of rows one by one, and of groups of rows, by their structure."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pictures import flagged, legend_of, made_up, names_on, shown, write
from runs import made_up_explanation, write_text_run

from ihcli.errors import OptionError
from ihcli.plots import PlotRequest, draw
from ihcli.plots.rows import ordered
from ihcli.quality import Status
from ihcli.results.palette import CATEGORIES
from ihcli.results.result import Result, read

FEATURES = ("age", "[bmi]", "pressure")
ROUNDING = 1e-9


@pytest.fixture
def result(tmp_path: Path) -> Result:
    return write(tmp_path / "made", made_up(12))


# rows


@pytest.mark.parametrize("sort", ["similarity", "prediction"])
def test_the_image_has_a_column_for_every_row_below_its_output(result: Result, sort: str) -> None:
    figure = draw(result, PlotRequest("rows", sort=sort))
    explanation = made_up(12)
    output, baseline = (np.asarray(patch.get_data().values) for patch in figure.axes[0].patches)
    rows = [int(np.flatnonzero(explanation.prediction == value)[0]) for value in output]
    assert sorted(rows) == list(range(12))
    np.testing.assert_allclose(baseline, explanation.baseline_prediction)
    order = [FEATURES.index(name) for name in names_on(figure, place=1)]
    assert order == np.argsort(-np.abs(explanation.attributions).mean(axis=0)).tolist()
    image = figure.axes[1].images[0]
    np.testing.assert_allclose(image.get_array(), explanation.attributions[np.ix_(rows, order)].T, rtol=ROUNDING)
    assert image.get_clim()[0] == -image.get_clim()[1]
    if sort == "prediction":
        assert (np.diff(output) >= 0).all()


def test_similar_rows_stand_beside_each_other() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 4, 200)
    phi = 5 * np.eye(4)[kinds] + rng.normal(scale=0.1, size=(200, 4))
    found = kinds[ordered(phi, rng.normal(size=200))]
    assert (np.diff(found) != 0).sum() == 3


def test_rows_that_are_alike_stand_by_their_output() -> None:
    output = np.array([3.0, 1.0, 2.0, 0.0])
    np.testing.assert_array_equal(ordered(np.ones((4, 3)), output), [3, 1, 2, 0])
    np.testing.assert_array_equal(ordered(np.ones((1, 3)), output[:1]), [0])


def test_rows_without_values_have_no_column(tmp_path: Path) -> None:
    figure = draw(write(tmp_path / "flagged", flagged()), PlotRequest("rows", top_k=2))
    assert figure.axes[1].images[0].get_array().shape == (2, 5)
    assert "1 rows without values are left out." in shown(figure)
    assert "The 2 strongest of 3 features." in shown(figure)


# bar by groups


def by_group(figure: object) -> list[list[float]]:
    return [[bar.get_width() for bar in bars] for bars in figure.axes[0].containers]  # type: ignore[attr-defined]


def with_column(tmp_path: Path, result: Result, name: str, values: list[object]) -> str:
    frame = pd.read_parquet(tmp_path / "made/data.parquet")
    frame[name] = values
    frame.to_parquet(tmp_path / "other.parquet")
    return str(tmp_path / "other.parquet")


@pytest.mark.parametrize("pairs", [True, False])
def test_bars_by_a_column_are_mean_sizes_in_each_of_its_groups(tmp_path: Path, result: Result, pairs: bool) -> None:
    kinds = np.array(["b", "a", "a"] * 4, dtype=object)
    data = with_column(tmp_path, result, "kind", kinds.tolist())
    figure = draw(result, PlotRequest("bar", by="kind", data=data, pairs=pairs))
    explanation = made_up(12)
    gamma = explanation.interactions
    assert gamma is not None
    first, second = np.triu_indices(3, 1)
    values = 2 * gamma[:, first, second] if pairs else explanation.attributions
    order = np.argsort(-np.abs(values).mean(axis=0))
    expected = [np.abs(values[kinds == kind]).mean(axis=0)[order] for kind in "ab"]
    np.testing.assert_allclose(by_group(figure), expected, rtol=ROUNDING)
    assert legend_of(figure) == ["kind=a (8 rows)", "kind=b (4 rows)"]
    assert len(names_on(figure)) == 3


def test_bars_by_bins_of_a_column_of_the_run_are_in_the_legend_too(result: Result) -> None:
    figure = draw(result, PlotRequest("bar", by="_prediction:3"))
    assert len(legend_of(figure)) == 3 == len(by_group(figure))
    assert "by _prediction:3, target risk" in shown(figure, "title")


def test_of_many_groups_those_of_the_most_rows_have_bars(tmp_path: Path) -> None:
    result = write(tmp_path / "made", made_up(30))
    sites = [f"S{row}" if row < 9 else f"S{row % 3}" for row in range(30)]
    data = with_column(tmp_path, result, "site", sites)
    figure = draw(result, PlotRequest("bar", by="site", data=data))
    assert len(by_group(figure)) == len(CATEGORIES)
    assert {"site=S0 (8 rows)", "site=S1 (8 rows)", "site=S2 (8 rows)"} < set(legend_of(figure))
    assert "2 smaller groups of 2 rows are not drawn." in shown(figure)


@pytest.mark.parametrize("pairs", [True, False])
def test_bars_by_target_are_the_rankings_of_all_targets(tmp_path: Path, pairs: bool) -> None:
    result = write(tmp_path / "two", made_up_explanation(6, ("benign", "malignant")))
    figure = draw(result, PlotRequest("bar", by="_target", pairs=pairs))
    summary = result.interaction_summary if pairs else result.attribution_summary
    for bars, target in zip(by_group(figure), ("benign", "malignant"), strict=True):
        np.testing.assert_allclose(np.sort(bars), np.sort(summary[summary["target"] == target]["mean_abs"]))
    assert legend_of(figure) == ["benign (6 rows)", "malignant (6 rows)"]
    assert "by target" in shown(figure, "title")
    with pytest.raises(OptionError, match="the bars are of all targets"):
        draw(result, PlotRequest("bar", by="_target", target="benign"))


def test_bars_of_texts_are_by_target_alone(tmp_path: Path) -> None:
    write_text_run(tmp_path / "texts")
    result = read(tmp_path / "texts")
    assert names_on(draw(result, PlotRequest("bar", by="_target"))) == ["not", "bad"]
    with pytest.raises(OptionError, match=r"`by=id`: .* explains texts.* Expected `by=_target`"):
        draw(result, PlotRequest("bar", by="id"))


def test_rows_that_do_not_rank_are_in_no_bar_unless_asked_for(tmp_path: Path) -> None:
    is_far = np.arange(12) < 2
    gamma = np.array(made_up(12).interactions) * np.where(is_far, 1e6, 1.0)[:, None, None]
    status = np.where(is_far, Status.NOT_CONVERGED, Status.OK).astype(object)
    changes = {"status": status, "relative_error": np.where(is_far, 5.0, 1e-3), "attributions": gamma.sum(axis=2)}
    result = write(tmp_path / "made", made_up(12, interactions=gamma, **changes))
    for pairs in (False, True):
        kept, every = (
            max(
                map(max, by_group(draw(result, PlotRequest("bar", by="_prediction:2", pairs=pairs, all_rows=all_rows))))
            )
            for all_rows in (False, True)
        )
        assert kept < 100 < 1e4 < every


def test_pairs_that_not_all_rows_list_have_no_bar(tmp_path: Path) -> None:
    names = tuple("abcd")
    gamma = np.array(made_up(8, names).interactions)
    gamma[:, 0, 1] = gamma[:, 1, 0] = 50.0
    explanation = made_up(8, names)
    explanation = replace(explanation, interactions=gamma, attributions=gamma.sum(axis=2))
    result = write(tmp_path / "made", explanation, "top:2")
    figure = draw(result, PlotRequest("bar", by="_prediction:2", pairs=True))
    assert names_on(figure) == ["a · b"]
    np.testing.assert_allclose(by_group(figure), [[100.0]] * 2)
