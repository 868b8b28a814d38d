"""Pictures by their structure: axes, labels, and how many of what is drawn where; pixels are looked at by people."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import explanations
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from pictures import (
    flagged,
    judged,
    legend_of,
    made_up,
    names_on,
    offsets,
    shades,
    shown,
    with_groups,
    write,
)
from runs import FEATURES, made_up_explanation, write_cut_short, write_run, write_text_run
from scipy import stats

from ihcli.bars import pair_bars
from ihcli.errors import DataError, OptionError, PackageError, RunError
from ihcli.plots import KINDS, PlotRequest, draw, write_plot
from ihcli.plots.canvas import SUFFIXES, short
from ihcli.plots.colours import MISSING
from ihcli.plots.heatmap import chosen, seriated
from ihcli.plots.places import spread
from ihcli.plots.sample import sample_rows
from ihcli.plots.swarm import HALF_HEIGHT, stacked
from ihcli.quality import Status
from ihcli.results.result import Result, read
from ihcli.runs.info import RunInfo
from ihcli.runs.writer import create_run

ROUNDING = 1e-12


@pytest.fixture
def result(tmp_path: Path) -> Result:
    return write(tmp_path / "made", made_up(6))


@pytest.fixture
def text_result(tmp_path: Path) -> Result:
    write_text_run(tmp_path / "texts")
    return read(tmp_path / "texts")


# What all kinds have in common.

REQUESTS: dict[str, dict[str, Any]] = {
    "summary": {},
    "bar": {},
    "heatmap": {},
    "network": {},
    "rows": {},
    "dependence": {"feature": "age"},
    "surface": {},
    "effect": {"pair": ("age", "pressure"), "against": "[bmi]"},
    "waterfall": {"row": 2},
    "convergence": {},
    "lorenz": {},
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_axes_are_labelled_and_the_title_names_the_target(result: Result, kind: str) -> None:
    figure = draw(result, PlotRequest(kind, **REQUESTS[kind]))
    labels = [axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes] + [shown(figure)] * (kind == "network")
    assert kind in ("dependence", "convergence") or any("output risk" in label.replace("\n", " ") for label in labels)
    assert all(axes.get_xlabel() for axes in figure.axes[:1]) or kind in ("heatmap", "network", "rows", "convergence")
    assert kind == "convergence" or "target risk" in shown(figure, "title")
    assert shown(figure).startswith("Integrated Hessians")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["summary", "convergence"])
def test_every_format_is_written_and_the_same_each_time(result: Result, tmp_path: Path, suffix: str, kind: str) -> None:
    files = [tmp_path / f"{copy}{suffix}" for copy in "ab"]
    for file in files:
        write_plot(result, PlotRequest(kind), file)
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert files[0].read_bytes().startswith(start)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"made", files[0].name, files[1].name}


def test_no_window_is_opened_and_no_figure_is_kept(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.delenv("DISPLAY", raising=False)
    before = plt.get_fignums()
    for kind, options in REQUESTS.items():
        draw(result, PlotRequest(kind, **options)).savefig(io.BytesIO())
    assert plt.get_fignums() == before


def test_the_users_settings_neither_matter_nor_change(result: Result, tmp_path: Path) -> None:
    import matplotlib

    write_plot(result, PlotRequest("bar"), tmp_path / "a.svg")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        write_plot(result, PlotRequest("bar"), tmp_path / "b.svg")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    names = ("$x_1$ and $", "<b>bold</b>\nline", "日本" + "long" * 30)
    result = write(tmp_path / "odd", made_up(4, names, target=np.array(["$\\frac$"] * 4, dtype=object)))
    for kind in ("summary", "bar", "heatmap", "waterfall"):
        write_plot(result, PlotRequest(kind, row=1), tmp_path / f"{kind}.svg")
    labels = names_on(draw(result, PlotRequest("bar")))
    assert set(labels) == {short(name) for name in names}
    assert "$x_1$ and $" in labels


def test_long_names_are_cut_and_told_apart_in_every_picture(tmp_path: Path) -> None:
    names = tuple(f"worst_concave_points_of_the_{side}_side_of_the_sample" for side in ("left", "right", "upper"))
    result = write(tmp_path / "long", made_up(4, names))
    for kind, options in (("summary", {}), ("bar", {}), ("heatmap", {}), ("waterfall", {"row": 1})):
        labels = {label for label in names_on(draw(result, PlotRequest(kind, **options))) if "…" in label}
        assert len(labels) == 3
    assert len(set(names_on(draw(result, PlotRequest("bar", pairs=True))))) == 3


ODD = {"effect": {"pair": ("$x_1$ _", "%s {0}"), "against": "<b>&lt;"}}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_name_can_be_drawn_without_a_warning(tmp_path: Path, suffix: str) -> None:
    names = ("😀 \\frac{a", "$x_1$ _", "<b>&lt;", "\x1b[31m\x00", "日本語", "\u202eabc", "%s {0}", "")
    result = write(tmp_path / "odd", made_up(4, names, target=np.array(["😀$_<"] * 4, dtype=object)))
    for kind, options in {**REQUESTS, "dependence": {"feature": "$x_1$ _"}, **ODD}.items():
        write_plot(result, PlotRequest(kind, **options), tmp_path / f"{kind}{suffix}")


def test_long_names_are_cut_in_the_middle() -> None:
    name = "sensor_0123456789_0123456789_channel_b"
    assert short(name, 20) == "sensor_012…channel_b"
    assert short("age", 20) == "age"
    assert short("a\n b ") == "a b"
    assert short(" ") == "(blank)"


def test_labels_beside_an_axis_are_no_longer_than_it(tmp_path: Path) -> None:
    target = np.array(["a target with a name of many words that is long"] * 6, dtype=object)
    result = write(tmp_path / "long", made_up(6, target=target))
    for kind, options in REQUESTS.items():
        figure = draw(result, PlotRequest(kind, **options))
        figure.savefig(io.BytesIO())
        for axes in figure.axes:
            label = axes.yaxis.label.get_window_extent()
            assert label.height <= 1.1 * axes.get_window_extent().height, kind
            assert 0 <= label.y0 <= label.y1 <= figure.bbox.height, kind


def test_without_matplotlib_the_extra_is_named(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PackageError) as caught:
        draw(result, PlotRequest("bar"))
    assert str(caught.value) == "ihcli plot: needs the package matplotlib. Try pip install 'ihcli[plot]'."


# Targets and rows.


@pytest.mark.parametrize("kind", [kind for kind in REQUESTS if kind not in ("waterfall", "convergence")])
def test_of_several_targets_one_is_drawn_and_the_picture_says_so(tmp_path: Path, kind: str) -> None:
    explanation = made_up_explanation(6, ("benign", "malignant"))
    status = explanation.status.copy()
    status[:4:2] = Status.NON_FINITE  # fewer rows of the first target
    result = write(tmp_path / "run", replace(explanation, status=status))
    figure = draw(result, PlotRequest(kind, **REQUESTS[kind]))
    assert "target malignant" in shown(figure, "title")
    assert shown(figure).endswith("One of 2 targets: the first of those with the most rows.")
    named = draw(result, PlotRequest(kind, target="benign", **REQUESTS[kind]))
    assert "target benign" in shown(named, "title")
    assert "One of 2 targets" not in shown(named)


@pytest.mark.parametrize("kind", ["summary", "bar", "heatmap", "dependence", "network", "rows", "surface"])
def test_targets_that_are_not_there_are_named(tmp_path: Path, kind: str) -> None:
    write_run(tmp_path / "run", targets=("benign", "malignant"))
    with pytest.raises(OptionError, match=r"has no target 'maligant'\. .* Did you mean 'malignant'\?"):
        draw(read(tmp_path / "run"), PlotRequest(kind, target="maligant"))


def test_values_are_of_the_target_that_is_named(tmp_path: Path) -> None:
    explanation = made_up_explanation(6, ("benign", "malignant"))
    result = write(tmp_path / "two", explanation)
    figure = draw(result, PlotRequest("summary", target="malignant"))
    found = np.concatenate([points[:, 0] for points in offsets(figure)])
    np.testing.assert_allclose(np.sort(found), np.sort(explanation.attributions[1::2].ravel()), rtol=ROUNDING)
    panels = draw(result, PlotRequest("dependence", target="malignant", feature="age", color_by="pressure"))
    gamma = explanation.interactions
    assert gamma is not None
    np.testing.assert_array_equal(offsets(panels, 2)[0][:, 1], 2 * gamma[1::2, 0, 2])


def test_rows_without_values_are_left_out_and_said_so(tmp_path: Path) -> None:
    result = write(tmp_path / "flagged", flagged())
    for kind in ("summary", "dependence"):
        figure = draw(result, PlotRequest(kind, feature="age"))
        assert all(len(points) == 5 for points in offsets(figure))
        assert "1 rows without values are left out." in shown(figure)
    assert "1 without values are left out." in shown(draw(result, PlotRequest("convergence")))
    with pytest.raises(RunError, match=r"`row=1`: has no values, its status is missing_input\."):
        draw(result, PlotRequest("waterfall", row=1))


def test_a_run_without_any_values_says_so(tmp_path: Path) -> None:
    explanation = flagged()
    whole = replace(
        explanation, **{n: np.full_like(getattr(explanation, n), np.nan) for n in ("attributions", "interactions")}
    )
    empty = replace(whole, status=np.full(6, Status.MISSING_INPUT, dtype=object))
    with pytest.raises(RunError, match="no row has values"):
        draw(write(tmp_path / "empty", empty), PlotRequest("convergence"))


def test_many_rows_are_sampled_with_a_seed(tmp_path: Path) -> None:
    result = write(tmp_path / "many", made_up(50))
    rows = [sample_rows(result, "risk", 20, seed).rows for seed in (0, 0, 1)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert set(rows[0]) != set(rows[2])
    assert len(set(rows[0])) == 20
    figure = draw(result, PlotRequest("summary", points=20, seed=1))
    assert len(offsets(figure)[0]) == 20
    assert "20 of 50 rows are drawn, chosen with seed 1." in shown(figure)


def test_matrices_are_read_for_no_more_rows_than_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = write(tmp_path / "many", made_up(80))
    monkeypatch.setattr("ihcli.plots.sample.MATRIX_BYTES", 60 * 9 * 8)
    assert len(offsets(draw(result, PlotRequest("dependence", feature="age")))[0]) == 60


# summary


def test_a_swarm_has_a_point_for_every_row_of_every_feature(result: Result) -> None:
    figure = draw(result, PlotRequest("summary"))
    explanation = made_up(6)
    order = np.argsort(-np.abs(explanation.attributions).mean(axis=0))
    assert names_on(figure) == [FEATURES[place] for place in order]
    for place, points in zip(order, offsets(figure), strict=True):
        np.testing.assert_array_equal(points[:, 0], explanation.attributions[:, place])
    colours = figure.axes[0].collections[0].get_array()
    assert colours is not None
    np.testing.assert_array_equal(np.argsort(colours), np.arange(6))
    assert [axes.get_ylabel().replace("\n", " ") for axes in figure.axes[1:]] == ["value of the feature"]


def test_the_strongest_features_are_shown_and_the_rest_is_counted(result: Result) -> None:
    figure = draw(result, PlotRequest("summary", top_k=2))
    assert len(figure.axes[0].collections) == 2
    assert "The 2 strongest of 3 features." in shown(figure)


def test_points_of_one_place_stand_apart() -> None:
    positions = np.array([0.0, 0.0, 0.0, 1.0, 0.5])
    places = stacked(positions, (0.0, 1.0))
    assert len(set(places[:3])) == 3
    np.testing.assert_array_equal(places[3:], 0)
    crowd = stacked(np.zeros(500), (0.0, 1.0))
    assert np.abs(crowd).max() <= HALF_HEIGHT + ROUNDING
    assert len(np.unique(crowd)) == 500


def test_data_that_changed_is_refused_and_another_table_taken(result: Result, tmp_path: Path) -> None:
    data = tmp_path / "made/data.parquet"
    data.rename(tmp_path / "moved.parquet")
    with pytest.raises(DataError, match="Try `data=FILE`"):
        draw(result, PlotRequest("summary"))
    draw(result, PlotRequest("summary", data=str(tmp_path / "moved.parquet")))


# one-hot groups


def test_a_swarm_colours_categories_and_says_which_is_which(tmp_path: Path) -> None:
    figure = draw(with_groups(tmp_path / "x"), PlotRequest("summary"))
    assert legend_of(figure) == ["city", "rome", "oslo", "bonn", "(none)"]
    colours = shades(figure, names_on(figure).index("city"))
    assert colours[1] == colours[3]
    assert len({colours[row] for row in (0, 1, 2, 5)}) == 4
    assert colours[4] == MISSING
    assert set(shades(figure, names_on(figure).index("capital"))) == {MISSING}
    assert "Grey: no value; a group that is not one-hot has none." in shown(figure)
    assert [axes.get_ylabel().replace("\n", " ") for axes in figure.axes[1:]] == ["value of the feature"]


def test_without_numbers_there_is_no_colour_bar(tmp_path: Path) -> None:
    figure = draw(with_groups(tmp_path / "x"), PlotRequest("summary", top_k=1))
    assert (len(figure.axes), "Low and high" in shown(figure)) == (1, False)


def test_categories_stand_side_by_side_and_colour_the_others(tmp_path: Path) -> None:
    result = with_groups(tmp_path / "x")
    figure = draw(result, PlotRequest("dependence", feature="city", color_by="age"))
    assert names_on(figure, "x") == ["rome", "oslo", "bonn", "(none)"]
    places = np.ma.filled(offsets(figure)[0][:, 0], np.nan)
    np.testing.assert_array_equal(np.round(places), [0, 1, 3, 1, np.nan, 2])
    assert [axes.get_ylabel() for axes in figure.axes[3:]] == ["age"]
    coloured = draw(result, PlotRequest("dependence", feature="age", color_by="city"))
    assert legend_of(coloured) == ["city", "rome", "oslo", "bonn", "(none)"]
    assert len(coloured.axes) == 3
    assert shades(coloured, 0)[4] == MISSING


def test_a_group_without_values_gives_no_colour_and_no_axis(tmp_path: Path) -> None:
    result = with_groups(tmp_path / "x")
    figure = draw(result, PlotRequest("dependence", feature="age", color_by="capital"))
    assert (len(figure.axes), figure.legends) == (3, [])
    assert "capital has no values, a group that is not one-hot, and gives no colour." in shown(figure)
    with pytest.raises(DataError, match=r"`feature=capital`: has no values: .* Try another `feature`\."):
        draw(result, PlotRequest("dependence", feature="capital"))


def test_a_waterfall_names_the_category(tmp_path: Path) -> None:
    result = with_groups(tmp_path / "x")
    labels = [set(names_on(draw(result, PlotRequest("waterfall", row=row)))) for row in (0, 2, 4)]
    assert [found & {"city = rome", "city = (none)", "city"} for found in labels] == [
        {"city = rome"},
        {"city = (none)"},
        {"city"},
    ]
    assert all("capital" in found for found in labels)


def test_rare_categories_are_one_and_long_ones_are_told_apart(tmp_path: Path) -> None:
    names = [f"city=the_town_that_is_called_{place:02d}_by_those_who_live_there" for place in range(12)]
    result = with_groups(tmp_path / "x", (*range(12), *range(5), 0), names)
    figure = draw(result, PlotRequest("summary"))
    assert legend_of(figure)[-1] == "6 others"
    assert len(set(legend_of(figure))) == 8
    ticks = names_on(draw(result, PlotRequest("dependence", feature="city")), "x")
    assert len(set(ticks)) == 12
    figure.savefig(io.BytesIO())


# bar


def test_bars_are_means_of_sizes_and_marks_are_means(result: Result) -> None:
    figure = draw(result, PlotRequest("bar"))
    phi = made_up(6).attributions
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(widths, np.sort(np.abs(phi).mean(axis=0))[::-1], rtol=ROUNDING)
    marks = np.concatenate([line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "D"])
    np.testing.assert_allclose(np.sort(marks), np.sort(phi.mean(axis=0)), rtol=1e-9)


def test_bars_of_pairs_name_both_and_may_have_main_effects(result: Result) -> None:
    pairs = names_on(draw(result, PlotRequest("bar", pairs=True)))
    assert set(pairs) == {"age · [bmi]", "age · pressure", "[bmi] · pressure"}
    both = names_on(draw(result, PlotRequest("bar", pairs=True, main_effects=True)))
    assert set(both) == {*pairs, "age (main)", "[bmi] (main)", "pressure (main)"}


def test_bars_of_pairs_have_whiskers_as_long_as_their_errors(tmp_path: Path) -> None:
    for errors in (None, np.full((6, 3, 3), 0.125)):
        result = write(tmp_path / f"{errors is None}", made_up(6, interaction_spread=errors))
        summary = result.interaction_summary
        whiskers = summary["error_bar"] + (0 if errors is None else 2 * summary["standard_error"])
        containers = draw(result, PlotRequest("bar", pairs=True)).axes[0].containers
        (drawn,) = [each for each in containers if not hasattr(each, "patches")]
        ends = np.array([line[:, 0] for line in drawn.lines[2][0].get_segments()])
        np.testing.assert_allclose(ends.mean(axis=1), summary["mean_abs"])
        np.testing.assert_allclose(np.ptp(ends, axis=1), 2 * whiskers)


@pytest.mark.parametrize("kind", ["bar", "heatmap"])
def test_pictures_of_rankings_say_how_many_rows_they_leave_out(tmp_path: Path, kind: str) -> None:
    write_cut_short(tmp_path / "run")
    assert "2 rows with errors beyond 10 tolerances are left out." in shown(
        draw(read(tmp_path / "run"), PlotRequest(kind))
    )
    assert "of 4 rows" in shown(draw(read(tmp_path / "run"), PlotRequest(kind)))
    every = shown(draw(read(tmp_path / "run", all_rows=True), PlotRequest(kind)))
    assert "of 6 rows" in every
    assert "left out" not in every.replace("the diagonal is left out", "")


@pytest.mark.parametrize("request_", [PlotRequest("bar"), PlotRequest("bar", pairs=True), PlotRequest("heatmap")])
def test_where_no_row_ranks_a_picture_says_so(tmp_path: Path, request_: PlotRequest) -> None:
    write_cut_short(tmp_path / "run", n_unfinished=6)
    with pytest.raises(RunError, match=r"has an error within 10 times the tolerance, so none ranks\. Try `all_rows`"):
        draw(read(tmp_path / "run"), request_)
    draw(read(tmp_path / "run", all_rows=True), request_)


def test_bars_of_words_need_no_values(text_result: Result) -> None:
    assert names_on(draw(text_result, PlotRequest("bar"))) == ["not", "bad"]


def test_a_heatmap_of_words_tells_which_never_meet(text_result: Result, tmp_path: Path) -> None:
    pairs = tmp_path / "texts/summary/interactions.parquet"
    assert "Grey: never in one text." in shown(draw(text_result, PlotRequest("heatmap")))
    columns = pq.read_table(pairs).slice(0, 1).to_pydict()
    pq.write_table(pa.table(columns | {"feature_i": ["bad"], "feature_j": ["bad"]}), pairs)
    assert names_on(draw(text_result, PlotRequest("bar", pairs=True))) == ["bad · bad"]


# heatmap


@pytest.mark.parametrize("by", ["mean_abs", "mean"])
@pytest.mark.parametrize("main_effects", [True, False])
def test_cells_are_pair_effects_and_the_diagonal_main_effects(result: Result, by: str, main_effects: bool) -> None:
    figure = draw(result, PlotRequest("heatmap", by=by, main_effects=main_effects))
    gamma = made_up(6).interactions
    assert gamma is not None
    effects = gamma + gamma.transpose(0, 2, 1)
    effects[:, range(3), range(3)] /= 2
    expected = (np.abs(effects) if by == "mean_abs" else effects).mean(axis=0)
    if not main_effects:
        np.fill_diagonal(expected, np.nan)
    order = [FEATURES.index(name) for name in names_on(figure)]
    image = figure.axes[0].images[0]
    found = np.ma.filled(image.get_array(), np.nan)
    np.testing.assert_allclose(found, expected[np.ix_(order, order)], rtol=1e-9, atol=1e-15)
    low, high = image.get_clim()
    assert low == (0 if by == "mean_abs" else -high)
    assert names_on(figure, "x") == names_on(figure)


def test_one_giant_does_not_take_all_colours(tmp_path: Path) -> None:
    names = tuple("abcdefghijklmnopqrst")
    gamma = np.ones((4, 20, 20))
    gamma[:, 0, 0] = 100
    explanation = made_up(4, names, interactions=gamma, attributions=gamma.sum(axis=2))
    figure = draw(write(tmp_path / "giant", explanation), PlotRequest("heatmap", main_effects=True))
    assert figure.axes[0].images[0].get_clim() == (0, 2)
    assert "Colours end at 2; larger effects look the same." in shown(figure)


def test_the_features_of_the_strongest_pairs_are_chosen() -> None:
    first, second = np.array([1, 0, 0, 2]), np.array([4, 3, 1, 5])
    np.testing.assert_array_equal(chosen(first, second, 2), [1, 4])
    np.testing.assert_array_equal(chosen(first, second, 4), [0, 1, 3, 4])
    assert len(chosen(first, second, 100)) == 6


def test_clusters_come_to_stand_together() -> None:
    cluster = np.array([0, 1, 2] * 4)
    sizes = np.where(cluster[:, None] == cluster, 1.0, 0.05)
    np.fill_diagonal(sizes, 0)
    sizes *= np.random.default_rng(0).uniform(0.9, 1.1, sizes.shape)
    sizes += sizes.T
    found = cluster[seriated(sizes)]
    assert (np.diff(found) != 0).sum() == 2
    np.testing.assert_array_equal(seriated(sizes), seriated(sizes.copy()))
    assert sorted(seriated(np.zeros((5, 5)))) == [0, 1, 2, 3, 4]


def test_five_hundred_features_have_as_many_names_as_are_readable(tmp_path: Path) -> None:
    names = tuple(f"feature_number_{i}_with_a_name_of_some_length" for i in range(500))
    result = write(tmp_path / "wide", made_up(3, names))
    assert len(names_on(draw(result, PlotRequest("summary")))) == 20
    assert len(names_on(draw(result, PlotRequest("heatmap")))) == 30
    for kind in ("summary", "bar", "heatmap"):
        figure = draw(result, PlotRequest(kind, top_k=500))
        inches = figure.get_figheight() * 0.7
        assert 20 < len(names_on(figure)) <= inches * 72 / 8
        assert inches < 20


# dependence


def test_three_panels_are_attribution_main_effect_and_interaction(result: Result) -> None:
    figure = draw(result, PlotRequest("dependence", feature="pressure", color_by="age"))
    explanation = made_up(6)
    gamma = explanation.interactions
    assert gamma is not None
    effects = (explanation.attributions[:, 2], gamma[:, 2, 2], 2 * gamma[:, 2, 0])
    titles = ["attribution of pressure", "main effect of pressure", "interaction with age"]
    for place, (effect, title) in enumerate(zip(effects, titles, strict=True)):
        (points,) = offsets(figure, place)
        np.testing.assert_array_equal(points[:, 1], effect)
        np.testing.assert_allclose(points[:, 0], 10 * np.arange(6) + 2, atol=2)
        np.testing.assert_array_equal(figure.axes[place].collections[0].get_array(), 10 * np.arange(6))
        assert figure.axes[place].get_title("left") == title
        assert figure.axes[place].get_xlabel() == "pressure"
    assert figure.axes[0].get_ylabel() == "change in output risk"
    assert figure.axes[3].get_ylabel() == "age"


def test_the_strongest_partner_colours(result: Result) -> None:
    gamma = made_up(6).interactions
    assert gamma is not None
    partner = max((1, 2), key=lambda place: np.abs(gamma[:, 0, place]).mean())
    assert draw(result, PlotRequest("dependence", feature="age")).axes[3].get_ylabel() == FEATURES[partner]


@pytest.mark.parametrize(("interactions", "method"), [("none", "ih"), ("top:2", "ih"), ("none", "ig")])
def test_without_matrices_the_attribution_is_drawn_alone(tmp_path: Path, interactions: str, method: str) -> None:
    explanation = made_up(6) if method == "ih" else made_up(6, interactions=None)
    figure = draw(write(tmp_path / "x", explanation, interactions, method), PlotRequest("dependence", feature="age"))
    panels = [axes for axes in figure.axes if axes.get_title("left")]
    assert [axes.get_title("left") for axes in panels] == ["attribution of age"]
    assert ("stores no matrices" in shown(figure)) == (method == "ih")


def test_few_values_are_spread_and_many_are_not() -> None:
    few, was_spread = spread(np.array([0.0, 1, 1, 3] * 10), 0)
    assert was_spread
    np.testing.assert_array_equal(np.round(few), [0.0, 1, 1, 3] * 10)
    assert len(np.unique(few)) == 40
    many, was_spread = spread(np.arange(40.0), 0)
    assert not was_spread
    np.testing.assert_array_equal(many, np.arange(40.0))


def test_few_values_are_ticks_and_colours_reach_all_of_them(result: Result, tmp_path: Path) -> None:
    values = {"age": [0, 0, 0, 0, 0, 7], "[bmi]": range(6), "pressure": [3, 1, 1, 3, 3, 2]}
    pq.write_table(pa.table({name: list(column) for name, column in values.items()}), tmp_path / "few.parquet")
    request = PlotRequest("dependence", feature="pressure", color_by="age", data=str(tmp_path / "few.parquet"))
    figure = draw(result, request)
    assert names_on(figure, "x") == ["1", "2", "3"]
    assert names_on(figure, "y", 3) == ["0", "7"]
    assert figure.axes[0].collections[0].get_clim() == (0, 7)
    assert "Points of one value are spread sideways." in shown(figure)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feature": "presure"}, r"`feature=presure`: .* has no such feature\. .* Did you mean 'pressure'\?"),
        ({"feature": "age", "color_by": "agee"}, r"`color_by=agee`: .* Did you mean 'age'\?"),
    ],
)
def test_features_that_are_not_there_are_named(result: Result, options: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        draw(result, PlotRequest("dependence", **options))


# effect


def test_an_effect_stands_against_any_column_of_the_data(result: Result, tmp_path: Path) -> None:
    pd.DataFrame({"clinic": ["a", "b", "a", None, "b", "a"], "dose": range(6)}).to_csv(tmp_path / "d.csv", index=False)
    gamma = made_up(6).interactions
    assert gamma is not None
    effect, data = 2 * gamma[:, 0, 2], str(tmp_path / "d.csv")
    figure = draw(result, PlotRequest("effect", pair=("pressure", "age"), against="dose", data=data))
    np.testing.assert_allclose(offsets(figure)[0][:, 1], effect)
    assert np.round(offsets(figure)[0][:, 0]).tolist() == list(range(6))
    assert shown(figure, "title") == "Effect of pressure and age against dose, target risk"
    rho = stats.spearmanr(np.arange(6), effect).statistic
    assert f"Spearman's correlation {rho:.2f}, p " in shown(figure)
    assert figure.axes[0].get_ylabel() == "change in output risk"
    words = draw(result, PlotRequest("effect", pair=("pressure", "age"), against="clinic", data=data))
    assert names_on(words, "x") == ["a", "b"]
    np.testing.assert_allclose(offsets(words)[1][:, 1], [effect[[0, 2, 5]].mean(), effect[[1, 4]].mean()])
    assert "Root of epsilon squared" in shown(words)
    assert "over the rows with a value." in shown(words)
    some = draw(result, PlotRequest("effect", feature="age", against="dose", where=("dose>=2",), data=data))
    np.testing.assert_allclose(offsets(some)[0][:, 1], made_up(6).attributions[2:, 0])
    assert shown(some, "title") == "Attribution of age against dose, dose>=2, target risk"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pair": ("age", "pressure")}, "`against`: is not given."),
        ({"against": "age"}, "`pair`, `feature`: exactly one of both names the effect."),
        ({"feature": "age", "against": "aeg"}, r"`against=aeg`: there is no column 'aeg' .* Did you mean 'age'"),
        ({"pair": ("age", "bmi"), "against": "age"}, r"`pair`: there is no feature 'bmi'"),
    ],
)
def test_an_effect_that_cannot_be_drawn_is_told(result: Result, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        draw(result, PlotRequest("effect", **options))


# waterfall


def test_steps_lead_from_the_baseline_to_the_prediction(result: Result) -> None:
    figure = draw(result, PlotRequest("waterfall", row=2))
    phi = made_up(6).attributions[2]
    order = np.argsort(-np.abs(phi))
    bars = figure.axes[0].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], phi[order], rtol=ROUNDING)
    assert bars[-1].get_x() == 0.5
    np.testing.assert_allclose(bars[0].get_x() + bars[0].get_width(), 0.5 + phi.sum(), rtol=1e-9)
    values = [f"{FEATURES[place]} = {20 + place}" for place in order]
    assert names_on(figure) == ["prediction of row 2", *values, "baseline"]
    assert "row 2, patient P2" in shown(figure, "title")


def test_small_steps_are_one_and_keys_tell_the_row(result: Result) -> None:
    figure = draw(result, PlotRequest("waterfall", key={"patient": "P4"}, top_k=1))
    phi = made_up(6).attributions[4]
    rest = phi.sum() - phi[np.argmax(np.abs(phi))]
    np.testing.assert_allclose(figure.axes[0].patches[1].get_width(), rest, rtol=1e-9)
    assert names_on(figure)[2] == "2 others"


def test_a_waterfall_can_do_without_the_data_and_says_so(result: Result, tmp_path: Path) -> None:
    (tmp_path / "made/data.parquet").unlink()
    figure = draw(result, PlotRequest("waterfall", row=2))
    assert set(names_on(figure)[1:-1]) == set(FEATURES)
    assert "Values of features are not shown:" in shown(figure)
    with pytest.raises(DataError):
        draw(result, PlotRequest("waterfall", row=2, data=str(tmp_path / "none.csv")))
    with pytest.raises(OptionError, match="`row`: is not given"):
        draw(result, PlotRequest("waterfall"))


def test_a_waterfall_of_a_text_tells_where_its_words_are(text_result: Result) -> None:
    labels = names_on(draw(text_result, PlotRequest("waterfall", row=0)))
    assert set(labels[1:-1]) == {"not (0)", "good (1)", "not (2)", "bad (3)"}


# text


def arcs(figure: Figure) -> list[Any]:
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]


def test_words_are_shaded_by_attribution_and_pairs_are_arcs(text_result: Result, tmp_path: Path) -> None:
    (gamma, *_) = write_text_run(tmp_path / "again")
    figure = draw(text_result, PlotRequest("text", row=0, top_k=2))
    words = [text.get_text() for text in figure.axes[0].texts][:4]
    assert words == ["not", "good", "not", "bad"]
    boxes = figure.axes[0].patches[:4]
    for box, phi in zip(boxes, gamma.sum(axis=1), strict=True):
        red, _, blue, _ = box.get_facecolor()
        assert (red > blue) == (phi > 0)
    assert len(arcs(figure)) == 2
    first, second = np.triu_indices(4, 1)
    strongest = np.argmax(np.abs(gamma[first, second]))
    ends = [boxes[place].get_x() + boxes[place].get_width() / 2 for place in (first[strongest], second[strongest])]
    np.testing.assert_allclose([min(arcs(figure)[0].get_xdata()), max(arcs(figure)[0].get_xdata())], ends)


def test_effects_above_arcs_have_bars_where_these_can_be_seen(tmp_path: Path) -> None:
    units, gamma = np.empty(2, object), np.empty(2, object)
    units[:], gamma[:] = [("not", "bad")] * 2, [np.array([[1.0, 2.0], [2.0, 0.0]])] * 2
    explanation = explanations.of_texts(units, gamma, ["x"] * 2, interaction_error=np.array([0.1, 1e-5]))
    writer = create_run(tmp_path / "run")
    writer.write_part(0, explanation, pa.table({}))
    writer.write_info(
        RunInfo.of({"status": "failed", "units": "word", "features": None, "keys": [], "method": {"name": "ih"}})
    )
    bar = 2 * pair_bars(gamma[0], 0.1)[0, 1]
    for row, told in enumerate((f"+4±{bar:.1g}", "+4")):
        texts = [text.get_text() for text in draw(read(tmp_path / "run"), PlotRequest("text", row=row)).axes[0].texts]
        assert told in texts


def test_a_long_text_has_lines_of_words_and_a_matrix(tmp_path: Path) -> None:
    (gamma,) = write_text_run(tmp_path / "long", (tuple(f"word{i}" for i in range(40)),))
    figure = draw(read(tmp_path / "long"), PlotRequest("text", row=0, top_k=5))
    assert len({text.get_position()[1] for text in figure.axes[0].texts}) > 2
    places = [int(name.partition("(")[2].rstrip(")")) for name in names_on(figure, place=1)]
    assert len(places) == 5
    shown_effects = np.ma.filled(figure.axes[1].images[0].get_array(), np.nan)
    expected = (2 * gamma)[np.ix_(places, places)].astype(np.float32).astype(np.float64)
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(shown_effects, expected, rtol=1e-6)


def test_a_text_of_one_word_has_no_pairs(text_result: Result) -> None:
    assert arcs(draw(text_result, PlotRequest("text", row=1))) == []


@pytest.mark.parametrize("kind", ["summary", "dependence"])
def test_kinds_of_tables_refuse_texts(text_result: Result, kind: str) -> None:
    with pytest.raises(RunError, match=f"explains texts, and {kind} draws features of a table"):
        draw(text_result, PlotRequest(kind, feature="not"))


def test_texts_are_refused_for_tables(result: Result) -> None:
    with pytest.raises(RunError, match=r"explains a table\. Expected a run over texts"):
        draw(result, PlotRequest("text", row=0))


# convergence


def test_errors_and_evaluations_are_drawn_by_status(tmp_path: Path) -> None:
    explanation = replace(flagged(), evaluations=np.arange(6, dtype=np.int32) + 8)
    figure = draw(write(tmp_path / "flagged", explanation), PlotRequest("convergence"))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["ok: 4", "not_converged: 1", "tolerance 0.01"]
    ok, missed, tolerance = figure.axes[0].lines
    np.testing.assert_array_equal(ok.get_xdata(), [0, 2, 3, 5])
    np.testing.assert_array_equal(missed.get_xdata(), [4])
    assert set(tolerance.get_ydata()) == {0.01}
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_ydata(), [8, 10, 11, 13])
    assert [axes.get_ylabel() for axes in figure.axes] == ["relative error", "evaluations"]


def test_the_larger_of_two_errors_is_drawn(tmp_path: Path) -> None:
    errors = {"relative_error": np.array([0.001, 0.004, 0.02]), "interaction_error": np.array([0.003, 0.002, 0.05])}
    figure = draw(write(tmp_path / "both", made_up(3, **errors)), PlotRequest("convergence"))
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.003, 0.004, 0.05])


def test_of_many_rows_those_that_missed_are_drawn_first(tmp_path: Path) -> None:
    status = np.array([Status.OK] * 45 + [Status.NOT_CONVERGED] * 5, dtype=object)
    result = write(tmp_path / "many", made_up(50, status=status, relative_error=np.zeros(50)))
    figure = draw(result, PlotRequest("convergence", points=8))
    assert [len(line.get_xdata()) for line in figure.axes[0].lines[:2]] == [3, 5]
    assert "8 of 50 drawn" in shown(figure)
    assert "ok: 45" in figure.axes[0].get_legend().get_texts()[0].get_text()


def test_convergence_of_texts_is_drawn(text_result: Result) -> None:
    assert len(draw(text_result, PlotRequest("convergence")).axes[0].lines[0].get_xdata()) == 2


def test_every_kind_is_tested() -> None:
    assert set(KINDS) == {*REQUESTS, "text", "calibration"}


# lorenz and calibration


def test_lorenz_curves_end_at_all_and_mark_nine_tenths(result: Result) -> None:
    axes = draw(result, PlotRequest("lorenz")).axes[0]
    sizes = np.sort(np.abs(result.attributions[list(FEATURES)].to_numpy()).mean(axis=0))
    _, features, dot, pairs, _ = axes.lines
    np.testing.assert_allclose(features.get_ydata(), np.concatenate([[0], np.cumsum(sizes) / sizes.sum()]), atol=1e-9)
    assert features.get_ydata()[-1] == pytest.approx(1) == pairs.get_ydata()[-1]
    assert len(pairs.get_xdata()) == 1 + len(FEATURES) * (len(FEATURES) - 1) // 2
    kept = np.concatenate([[0], np.cumsum(sizes[::-1])]) / sizes.sum()
    assert dot.get_xdata()[0] == pytest.approx(1 - np.argmax(kept >= 0.9) / len(FEATURES))
    assert [text.get_text().partition(",")[0] for text in axes.legend_.texts] == ["all alike", "3 features", "3 pairs"]


def test_lorenz_curves_of_texts_and_of_attributions_alone_are_drawn(text_result: Result, tmp_path: Path) -> None:
    assert len(draw(text_result, PlotRequest("lorenz", target=text_result.targets[0])).axes[0].lines) >= 3
    write_run(tmp_path / "first", second_order=False)
    assert len(draw(read(tmp_path / "first"), PlotRequest("lorenz")).axes[0].lines) == 3


def test_calibration_draws_every_bin_that_has_rows(tmp_path: Path) -> None:
    p, true = np.array([0.05] * 20 + [0.65] * 10), np.array([0] * 20 + [1] * 6 + [0] * 4)
    figure = draw(judged(tmp_path / "run", p, true), PlotRequest("calibration"))
    points = figure.axes[0].containers[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), [0.05, 0.65])
    np.testing.assert_allclose(points.get_ydata(), [0.0, 0.6])
    (low, high) = figure.axes[0].containers[0].lines[2][0].get_segments()[1][:, 1]
    assert low < 0.6 < high < 1
    assert [bar.get_height() for bar in figure.axes[1].patches] == [20, 0, 0, 0, 0, 0, 10, 0, 0, 0]
    assert figure.axes[1].get_xlabel() == "predicted probability of yes"
    assert "Expected calibration error 0.05" in shown(figure)


def test_calibration_without_labels_says_how_to_get_some(result: Result) -> None:
    with pytest.raises(RunError, match=r"has no labels to compare .* Try ihcli explain with `label=COLUMN`\."):
        draw(result, PlotRequest("calibration"))
