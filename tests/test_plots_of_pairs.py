"""Pictures of pairs: networks, swarms and surfaces, by their structure."""

import io
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, PathPatch
from matplotlib.transforms import Bbox
from pictures import legend_of, made_up, names_on, offsets, shades, shown, with_groups, write
from runs import write_run, write_text_run

from ihcli.errors import DataError, OptionError, RunError
from ihcli.plots import PlotRequest, draw
from ihcli.plots.network import MOST_NODES
from ihcli.results.palette import LOWERS, MISSING, NEUTRAL, RAISES
from ihcli.results.result import Result, read

FEATURES = ("age", "bmi", "pressure", "glucose")
ROUNDING = 1e-12


def effects_of(n_rows: int = 6, names: tuple[str, ...] = FEATURES) -> np.ndarray:
    gamma = made_up(n_rows, names).interactions
    assert gamma is not None
    return np.asarray(gamma + gamma.transpose(0, 2, 1))


@pytest.fixture
def result(tmp_path: Path) -> Result:
    return write(tmp_path / "made", made_up(6, FEATURES))


# network


def lines_of(figure: Figure) -> list[PathPatch]:
    """Return the lines of a network, the strongest first."""
    return [patch for patch in figure.axes[0].patches if isinstance(patch, PathPatch)][::-1]


def nodes_of(figure: Figure) -> dict[str, Circle]:
    circles = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    names = [text.get_text() for text in figure.axes[0].texts]
    return dict(zip(names, circles, strict=True))


def test_lines_join_the_strongest_pairs_and_are_as_wide_as_these_are_strong(result: Result) -> None:
    figure = draw(result, PlotRequest("network", top_k=3))
    ranking = result.interaction_summary.head(3)
    nodes = nodes_of(figure)
    assert set(nodes) == {*ranking["feature_i"], *ranking["feature_j"]}
    for line, (_, pair) in zip(lines_of(figure), ranking.iterrows(), strict=True):
        ends = {tuple(point) for point in line.get_path().vertices[[0, -1]]}
        assert ends == {tuple(nodes[pair[end]].get_center()) for end in ("feature_i", "feature_j")}
        assert line.get_linewidth() == pytest.approx(0.5 + 6.5 * pair["mean_abs"] / ranking["mean_abs"].iloc[0])
    assert "The 3 strongest of 6 pairs" in shown(figure)


@pytest.mark.parametrize(("sign", "colour"), [(1, RAISES), (-1, LOWERS), (0, NEUTRAL)])
def test_colours_are_of_signs_where_rows_agree_on_one(tmp_path: Path, sign: int, colour: str) -> None:
    signs = sign * np.ones(6) if sign else np.array([1, -1, 1, -1, 1, -1])
    gamma = signs[:, None, None] * np.ones((6, 4, 4))
    result = write(tmp_path / "x", made_up(6, FEATURES, interactions=gamma, attributions=gamma.sum(axis=2)))
    figure = draw(result, PlotRequest("network"))
    assert {to_hex(line.get_edgecolor()) for line in lines_of(figure)} == {colour}
    assert {to_hex(node.get_facecolor()) for node in nodes_of(figure).values()} == {colour}


@pytest.mark.parametrize("main_effects", [True, False])
def test_areas_of_nodes_are_attributions_or_main_effects(tmp_path: Path, main_effects: bool) -> None:
    gamma = np.ones((4, 3, 3))
    gamma[:, 0, 0], gamma[:, 1, 1] = 9, 4
    explanation = made_up(4, ("a", "b", "c"), interactions=gamma, attributions=gamma.sum(axis=2))
    figure = draw(write(tmp_path / "x", explanation), PlotRequest("network", main_effects=main_effects))
    sizes = {"a": 9, "b": 4, "c": 1} if main_effects else {"a": 11, "b": 6, "c": 3}
    areas = {name: node.get_radius() ** 2 for name, node in nodes_of(figure).items()}
    assert areas["a"] / areas["b"] == pytest.approx(sizes["a"] / sizes["b"])
    assert areas["a"] / areas["c"] == pytest.approx(sizes["a"] / sizes["c"])
    assert ("main effect" if main_effects else "attribution") in legend_of(figure)


def boxes(figure: Figure) -> list[tuple[Bbox, float]]:
    """Return the box of each name as it would stand unturned, and by how much it is turned."""
    found = []
    for text in figure.axes[0].texts:
        turn = text.get_rotation()
        text.set_rotation(0)
        found.append((text.get_window_extent(), turn))
        text.set_rotation(turn)
    return found


NAMES = {
    "short": lambda n: tuple(f"x{i}" for i in range(n)),
    "long": lambda n: tuple(f"a_feature_of_{i:03d}_with_a_name_of_sixty_characters_and_of_one_more" for i in range(n)),
    "wide": lambda n: tuple(f"WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW{i:03d}" for i in range(n)),
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("n", [2, 3, 4, 9, 24, 25, 60, 500])
def test_names_of_a_network_meet_neither_each_other_nor_nodes(tmp_path: Path, kind: str, n: int) -> None:
    gamma = np.zeros((2, n, n))
    places = np.arange(n)
    gamma[:, places, places] = 1.0
    for step in (1, 2):  # every feature is in a strong pair
        gamma[:, places, (places + step) % n] = gamma[:, (places + step) % n, places] = 1.0 / step
    explanation = made_up(2, NAMES[kind](n), interactions=gamma, attributions=gamma.sum(axis=2))
    figure = draw(write(tmp_path / "x", explanation), PlotRequest("network", top_k=1000))
    figure.savefig(io.BytesIO(), dpi=figure.dpi)
    axes = figure.axes[0]
    assert len(axes.texts) == min(n, MOST_NODES)
    inches = axes.transData.transform([(0, 0), (1, 0)])[1][0] - axes.transData.transform([(0, 0), (1, 0)])[0][0]
    placed = boxes(figure)
    for box, turn in placed:
        assert box.x0 >= 0 or turn
        assert box.x1 <= figure.bbox.width or turn
    if all(turn == 0 for _, turn in placed):
        for (one, _), (other, _) in combinations(placed, 2):
            assert not one.overlaps(other)
        for node in nodes_of(figure).values():
            centre, radius = axes.transData.transform(node.get_center()), node.get_radius() * inches
            around = Bbox.from_bounds(*(centre - 0.7 * radius), 1.4 * radius, 1.4 * radius)
            assert not any(box.overlaps(around) for box, _ in placed)
    else:  # names that point outwards are as far from each other as they are high, and begin beyond the nodes
        heights = max(box.height for box, _ in placed)
        starts = axes.transData.transform([text.get_position() for text in axes.texts])
        apart = np.hypot(*np.diff([*starts, starts[0]], axis=0).T)
        assert apart.min() >= 0.95 * heights


def test_of_pairs_that_cannot_be_read_the_strongest_are_drawn_and_the_rest_is_counted(tmp_path: Path) -> None:
    names = tuple(f"x{i}" for i in range(120))
    figure = draw(write(tmp_path / "x", made_up(2, names)), PlotRequest("network", top_k=5000))
    assert len(nodes_of(figure)) <= MOST_NODES
    assert f"The {len(lines_of(figure))} strongest of 7,140 pairs" in shown(figure)
    assert f"{len(nodes_of(figure))} of 120 features." in shown(figure)


def test_features_that_hang_together_stand_beside_each_other(tmp_path: Path) -> None:
    gamma = np.zeros((2, 9, 9))
    for member in range(3):
        for one, other in combinations(range(member, 9, 3), 2):
            gamma[:, one, other] = gamma[:, other, one] = 1.0
    explanation = made_up(2, tuple("abcdefghi"), interactions=gamma, attributions=gamma.sum(axis=2))
    figure = draw(write(tmp_path / "x", explanation), PlotRequest("network", top_k=9))
    parts = ["abcdefghi".index(name) % 3 for name in nodes_of(figure)]
    assert sum(one != other for one, other in pairwise(parts)) == 2


def test_a_network_of_words_leaves_out_words_that_meet_themselves(tmp_path: Path) -> None:
    write_text_run(tmp_path / "texts")
    figure = draw(read(tmp_path / "texts"), PlotRequest("network"))
    assert set(nodes_of(figure)) == {"bad", "good", "not"}
    assert len(lines_of(figure)) == 2


# summary of pairs


def test_a_swarm_of_pairs_has_a_point_for_every_row_of_every_pair(result: Result) -> None:
    figure = draw(result, PlotRequest("summary", pairs=True))
    ranking = result.interaction_summary
    assert names_on(figure) == [f"{one} · {other}" for one, other in ranking[["feature_i", "feature_j"]].to_numpy()]
    effects = effects_of()
    for points, (_, pair) in zip(offsets(figure), ranking.iterrows(), strict=True):
        i, j = FEATURES.index(pair["feature_i"]), FEATURES.index(pair["feature_j"])
        np.testing.assert_allclose(points[:, 0], effects[:, i, j], rtol=ROUNDING)


def test_points_of_a_pair_are_coloured_by_the_product_of_both_distances_from_the_means(result: Result) -> None:
    figure = draw(result, PlotRequest("summary", pairs=True, top_k=1))
    colours = np.asarray(figure.axes[0].collections[0].get_array())
    distances = 10.0 * (np.arange(6) - 2.5)  # both features rise by 10 from row to row
    product = distances**2
    np.testing.assert_allclose((colours - 0.5) / (colours - 0.5).max(), product / product.max())
    assert "The 1 strongest of 6 pairs." in shown(figure)


def test_pairs_with_categories_are_coloured_by_these_and_those_without_values_are_grey(tmp_path: Path) -> None:
    figure = draw(with_groups(tmp_path / "x"), PlotRequest("summary", pairs=True))
    assert legend_of(figure) == ["city", "rome", "oslo", "bonn", "(none)"]
    for place, name in enumerate(names_on(figure)):
        assert (set(shades(figure, place)) == {MISSING}) == ("city" not in name)
    assert len(figure.axes) == 1


def test_pairs_that_a_row_does_not_list_are_not_drawn_and_it_is_said(tmp_path: Path) -> None:
    names = tuple("abcdefgh")
    result = write(tmp_path / "x", made_up(20, names), "top:5")
    figure = draw(result, PlotRequest("summary", pairs=True, top_k=28))
    drawn = sum(int(np.isfinite(np.ma.filled(points, np.nan)).all(axis=1).sum()) for points in offsets(figure))
    assert drawn == 20 * 5
    assert "Rows that list their largest pairs, and not this one, are not drawn." in shown(figure)
    largest = np.sort(np.abs(effects_of(20, names)[:, *np.triu_indices(8, 1)]), axis=1)[:, -5:]
    found = np.concatenate([np.ma.compressed(points[:, 0]) for points in map(np.ma.masked_invalid, offsets(figure))])
    np.testing.assert_allclose(np.sort(np.abs(found)), np.sort(largest.ravel()), rtol=1e-6)


def test_a_pair_that_no_drawn_row_lists_has_an_empty_line(tmp_path: Path) -> None:
    names = tuple("abcdefgh")
    result = write(tmp_path / "x", made_up(20, names), "top:1")
    figure = draw(result, PlotRequest("summary", pairs=True, top_k=28, points=1))
    drawn = [int(np.isfinite(np.ma.filled(points, np.nan)).all(axis=1).sum()) for points in offsets(figure)]
    assert (len(drawn), sum(drawn)) == (28, 1)
    figure.savefig(io.BytesIO())


# surface


def test_cells_are_means_of_their_rows_and_those_without_rows_have_no_colour(tmp_path: Path) -> None:
    n = 40
    result = write(tmp_path / "x", made_up(n, FEATURES))
    figure = draw(result, PlotRequest("surface", pair=("age", "glucose")))
    cells, dots = figure.axes[0].collections
    effects = effects_of(n)[:, 0, 3]
    np.testing.assert_allclose(dots.get_array(), effects, rtol=ROUNDING)
    np.testing.assert_array_equal(np.asarray(dots.get_offsets()), 10.0 * np.arange(n)[:, None] + [0, 3])
    means, size = np.ma.asarray(cells.get_array()), 4  # both features rise together, so that the diagonal has rows
    np.testing.assert_array_equal(~np.ma.getmaskarray(means), np.eye(size, dtype=bool))
    np.testing.assert_allclose(np.diag(means), effects.reshape(size, -1).mean(axis=1), rtol=ROUNDING)
    low, high = cells.get_clim()
    assert low == -high == dots.get_clim()[0]
    assert cells.cmap.get_bad()[3] == 0
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("age", "glucose")


def test_the_strongest_pair_is_drawn_where_none_is_named(result: Result) -> None:
    figure = draw(result, PlotRequest("surface"))
    strongest = result.interaction_summary.iloc[0]
    assert shown(figure, "title").startswith(f"Effect of {strongest['feature_i']} and {strongest['feature_j']},")


def test_categories_are_axes_and_a_group_without_values_is_refused(tmp_path: Path) -> None:
    result = with_groups(tmp_path / "x")
    figure = draw(result, PlotRequest("surface", pair=("city", "age")))
    assert names_on(figure, "x") == ["rome", "oslo", "bonn", "(none)"]
    assert np.ma.asarray(figure.axes[0].collections[0].get_array()).shape[1] == 4
    assert "1 rows without a value, or without an effect of this pair, are not drawn." in shown(figure)
    assert names_on(draw(result, PlotRequest("surface", pair=("age", "city")))) == ["rome", "oslo", "bonn", "(none)"]
    with pytest.raises(DataError, match=r"capital has no values: .* Try another `pair`\."):
        draw(result, PlotRequest("surface", pair=("age", "capital")))
    assert "Effect of city and age" in shown(draw(result, PlotRequest("surface")), "title").replace(
        "age and city", "city and age"
    )


def test_one_value_far_away_does_not_take_the_whole_axis(tmp_path: Path) -> None:
    n = 400
    result = write(tmp_path / "x", made_up(n, ("a", "b")))
    table = pd.read_parquet(tmp_path / "x/data.parquet")
    table.loc[7, "a"] = 1e9
    table.to_parquet(tmp_path / "far.parquet")
    figure = draw(result, PlotRequest("surface", pair=("a", "b"), data=str(tmp_path / "far.parquet")))
    assert figure.axes[0].get_xlim()[1] < 11 * n
    assert "rows lie beyond the axes." in shown(figure)


def test_pictures_of_pairs_of_rows_say_what_they_need(tmp_path: Path) -> None:
    write_run(tmp_path / "first", second_order=False)
    for request in (PlotRequest("surface"), PlotRequest("summary", pairs=True), PlotRequest("network")):
        with pytest.raises(RunError, match=r"has no interactions, only attributions\. .* Try ihcli explain"):
            draw(read(tmp_path / "first"), request)
    result = write(tmp_path / "made", made_up(6))
    for part in (tmp_path / "made/run/interactions").iterdir():
        part.unlink()
    (tmp_path / "made/run/interactions").rmdir()
    for request in (PlotRequest("surface"), PlotRequest("summary", pairs=True)):
        with pytest.raises(RunError, match=r"stores no interactions of single rows\. .* `interactions=full`"):
            draw(read(tmp_path / "made/run"), request)
    draw(result, PlotRequest("network"))


def test_a_pair_is_two_features(result: Result) -> None:
    with pytest.raises(OptionError, match=r"`pair=age,age`: is one feature twice\. .* `feature=age`"):
        draw(result, PlotRequest("surface", pair=("age", "age")))
    with pytest.raises(OptionError, match="Did you mean 'glucose'"):
        draw(result, PlotRequest("surface", pair=("age", "glukose")))
