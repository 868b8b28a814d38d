"""Runs compared: joined on keys, figures against slow ones, and what is refused."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from written_runs import DATA, FEATURES, random_gammas, write_table_run, write_texts

from ihcli.errors import RunError
from ihcli.explanation.ranks import average_ranks, spearman
from ihcli.results.comparing import joining, ordering
from ihcli.results.comparing.agreement import Agreement, Ranked, k_of, signs
from ihcli.results.comparing.comparison import Comparison
from ihcli.results.comparing.figures import Distribution
from ihcli.results.comparing.outcome import lines_of_features, lines_of_pairs, lines_of_runs
from ihcli.results.result import read

ROUNDING = 1e-9
HALF_A_BIN = 5.1e-5
N_ROWS = 11
KEYS = [f"P{row}" for row in range(N_ROWS)]
AGREE = ("spearman", "spearman_abs", "overlap", "same_sign")


def compared(*paths: Path, **options: object) -> tuple[Comparison, pa.Table]:
    """Return a comparison that has seen all rows, and its lines of them."""
    comparison = Comparison([read(path) for path in paths], [path.name for path in paths], **options)  # type: ignore[arg-type]
    rows = pa.concat_tables([comparison.schema.empty_table(), *comparison.see(with_rows=True)])
    return comparison, rows


def of(table: pa.Table, values: str) -> dict[str, list]:
    return table.filter(pa.compute.equal(table["values"], values)).to_pydict()


def test_ranks_share_ties_as_those_of_scipy_do() -> None:
    values = np.random.default_rng(0).integers(-2, 3, (50, 7)).astype(float)
    np.testing.assert_array_equal(average_ranks(values), stats.rankdata(values, axis=1))
    others = np.random.default_rng(1).integers(-2, 3, (50, 7)).astype(float)
    expected = [stats.spearmanr(*both).statistic for both in zip(values, others, strict=True)]
    np.testing.assert_allclose(spearman(values, others), expected, atol=ROUNDING)


def test_a_constant_row_has_no_rank_correlation() -> None:
    assert np.isnan(spearman(np.zeros((1, 4)), np.arange(4.0)[None])).all()
    assert np.isnan(spearman(np.ones((2, 1)), np.ones((2, 1)))).all()


def test_nothing_is_not_among_the_largest() -> None:
    few, others, none = np.array([[0, 0, 0, 5.0, 0, 0]]), np.array([[1.0, 2, 3, 4, 0, 0]]), np.zeros((1, 6))
    overlaps = [
        Agreement.of(Ranked(one, 3), Ranked(other, 3)).overlap[0]
        for one, other in ((few, few), (few, others), (others, few), (none, others), (none, none))
    ]
    np.testing.assert_allclose(overlaps, [1, 1 / 3, 1 / 3, 0, np.nan])


def test_rounding_has_no_sign() -> None:
    assert signs(np.array([[1.0, -1e-9, -0.5, 0.0]])).tolist() == [[1, 0, -1, 0]]
    assert not signs(np.zeros((1, 3))).any()


@pytest.mark.parametrize(
    ("n", "asked", "expected"), [(30, None, 10), (8, None, 4), (1, None, 1), (8, 20, 8), (8, 3, 3)]
)
def test_the_top_is_at_most_half_where_nobody_said(n: int, asked: int | None, expected: int) -> None:
    assert k_of(n, asked) == expected


def test_the_median_of_a_distribution_is_that_of_all_to_half_a_bin() -> None:
    values, found = np.random.default_rng(0).uniform(-1, 1, 999), Distribution()
    for some in np.array_split(values, 7):
        found.see(np.append(some, np.nan), np.arange(len(some) + 1))
    assert found.median == pytest.approx(np.median(values), abs=HALF_A_BIN)
    assert found.mean == pytest.approx(values.mean(), abs=ROUNDING)
    assert found.least == values.min()


@pytest.mark.parametrize("storage", ["full", "top:3", "none"])
def test_a_run_agrees_with_itself_everywhere(tmp_path: Path, storage: str) -> None:
    run = write_table_run(tmp_path / "run", random_gammas(N_ROWS), keys=KEYS, storage=storage)
    comparison, rows = compared(run, run, run)
    tables = [rows, lines_of_runs(comparison), lines_of_features(comparison), lines_of_pairs(comparison)]
    for table in tables:
        assert len(table)
        for name in (*AGREE, "least_spearman", "mean_spearman", "ranking_spearman"):
            assert set(table[name].to_pylist()) <= {1.0, None}, name
        for name in ("largest_change", "mean_abs_std", "mean_std"):
            assert set(table[name].to_pylist()) <= {0.0, None}, name
    assert set(rows["spearman"].to_pylist()[:N_ROWS]) == {1.0}
    assert lines_of_pairs(comparison)["worst_rank"].to_pylist() == list(range(1, 7))
    assert not comparison.settings


def test_figures_of_rows_are_those_of_their_definitions(tmp_path: Path) -> None:
    gammas = [random_gammas(N_ROWS, seed=seed) for seed in range(3)]
    paths = [write_table_run(tmp_path / f"run{i}", gamma, keys=KEYS) for i, gamma in enumerate(gammas)]
    _, rows = compared(*paths, k_asked=2)
    found = of(rows, "attributions")
    for row in range(N_ROWS):
        phi = [gamma[row].sum(axis=1) for gamma in gammas]
        each = list(combinations(phi, 2))
        correlations = [stats.spearmanr(a, b).statistic for a, b in each]
        assert found["spearman"][row] == pytest.approx(np.mean(correlations))
        assert found["least_spearman"][row] == pytest.approx(np.min(correlations))
        tops = [{*np.argsort(-np.abs(some))[:2].tolist()} for some in phi]
        assert found["overlap"][row] == pytest.approx(np.mean([len(a & b) / 2 for a, b in combinations(tops, 2)]))
        assert found["same_sign"][row] == pytest.approx(np.mean([(np.sign(a) == np.sign(b)).mean() for a, b in each]))
        changes = np.max([np.abs(a - b) for a, b in each], axis=0)
        assert found["largest_change"][row] == pytest.approx(changes.max())
        assert found["feature"][row] == FEATURES[changes.argmax()]
    pairs = of(rows, "interactions")
    first, second = np.triu_indices(len(FEATURES), 1)
    effects = [2 * gamma[4][first, second] for gamma in gammas]
    changes = np.max([np.abs(a - b) for a, b in combinations(effects, 2)], axis=0)
    assert pairs["largest_change"][4] == pytest.approx(changes.max())
    place = changes.argmax()
    assert (pairs["feature_i"][4], pairs["feature_j"][4]) == (FEATURES[first[place]], FEATURES[second[place]])


def test_figures_of_features_are_over_rows_and_runs(tmp_path: Path) -> None:
    gammas = [random_gammas(N_ROWS, seed=seed) for seed in range(3)]
    paths = [write_table_run(tmp_path / f"run{i}", gamma, keys=KEYS) for i, gamma in enumerate(gammas)]
    comparison, _ = compared(*paths, k_asked=2)
    phi = np.array([gamma.sum(axis=2) for gamma in gammas])
    found = {line["feature"]: line for line in lines_of_features(comparison).to_pylist()}
    sizes = np.abs(phi).mean(axis=1)
    ranks = stats.rankdata(-sizes, axis=1)
    for i, name in enumerate(FEATURES):
        line, each = found[name], list(combinations(phi[:, :, i], 2))
        assert line["spearman"] == pytest.approx(np.mean([stats.spearmanr(a, b).statistic for a, b in each]))
        assert line["same_sign"] == pytest.approx(np.mean([(np.sign(a) == np.sign(b)).mean() for a, b in each]))
        assert line["largest_change"] == pytest.approx(np.max([np.abs(a - b).max() for a, b in each]))
        assert line["mean_abs"] == pytest.approx(sizes[:, i].mean())
        assert line["mean_abs_std"] == pytest.approx(sizes[:, i].std())
        assert line["mean"] == pytest.approx(phi[:, :, i].mean())
        assert line["worst_rank"] == ranks[:, i].max()
        assert line["in_top"] == (ranks[:, i] <= 2).sum()
        assert line["sampled"] == line["rows"] == N_ROWS


def test_two_runs_have_a_line_of_their_own(tmp_path: Path) -> None:
    gammas = [random_gammas(N_ROWS, seed=seed) for seed in range(3)]
    paths = [write_table_run(tmp_path / f"run{i}", gamma, keys=KEYS) for i, gamma in enumerate(gammas)]
    comparison, _ = compared(*paths)
    found = of(lines_of_runs(comparison), "attributions")
    assert list(zip(found["run"], found["other"], strict=True)) == [
        ("run0", "run1"),
        ("run0", "run2"),
        ("run1", "run2"),
    ]
    phi = [gamma.sum(axis=2) for gamma in gammas]
    rows = [stats.spearmanr(a, b).statistic for a, b in zip(phi[1], phi[2], strict=True)]
    assert found["spearman"][2] == pytest.approx(np.median(rows), abs=HALF_A_BIN)
    assert found["mean_spearman"][2] == pytest.approx(np.mean(rows))
    assert found["least_spearman"][2] == pytest.approx(np.min(rows))
    of_means = stats.spearmanr(*(np.abs(phi[i]).mean(axis=0) for i in (1, 2))).statistic
    assert found["ranking_spearman"][2] == pytest.approx(of_means)
    with_first, _ = compared(*paths, with_first_only=True)
    assert of(lines_of_runs(with_first), "attributions")["run"] == ["run0", "run0"]


def test_rows_in_another_order_and_other_parts_are_joined_on_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "BUCKET_ENTRIES", 4)
    monkeypatch.setattr(joining, "MOST_ENTRIES", 3)
    gammas, others = random_gammas(N_ROWS), random_gammas(N_ROWS, seed=1)
    first = write_table_run(tmp_path / "first", gammas, keys=KEYS)
    straight = write_table_run(tmp_path / "straight", others, keys=KEYS)
    order = np.random.default_rng(0).permutation(N_ROWS)
    shuffled = write_table_run(tmp_path / "shuffled", others[order], keys=[KEYS[i] for i in order], part_rows=5)
    for values in ("attributions", "interactions"):
        assert of(compared(first, straight)[1], values) == of(compared(first, shuffled)[1], values)


def test_features_in_another_order_are_the_same_features(tmp_path: Path) -> None:
    gammas, order = random_gammas(N_ROWS), np.array([2, 0, 3, 1])
    first = write_table_run(tmp_path / "first", gammas, keys=KEYS)
    names = [FEATURES[i] for i in order]
    other = write_table_run(tmp_path / "other", gammas[:, order][:, :, order], names, keys=KEYS)
    comparison, _ = compared(first, other)
    assert max(lines_of_runs(comparison)["largest_change"].to_pylist()) < ROUNDING


def test_numbers_and_words_are_the_same_keys(tmp_path: Path) -> None:
    gammas = random_gammas(N_ROWS)
    first = write_table_run(tmp_path / "first", gammas, keys=list(range(N_ROWS)))
    other = write_table_run(tmp_path / "other", gammas, keys=[str(row) for row in range(N_ROWS)])
    assert compared(first, other)[0].counts.compared == N_ROWS


def test_rows_without_values_in_any_run_are_left_out(tmp_path: Path) -> None:
    gammas = random_gammas(N_ROWS)
    first = write_table_run(tmp_path / "first", gammas, keys=KEYS, missing=[2])
    other = write_table_run(tmp_path / "other", gammas, keys=KEYS, missing=[5])
    comparison, rows = compared(first, other)
    assert (comparison.counts.compared, comparison.counts.without_values) == (N_ROWS - 2, 2)
    assert of(rows, "attributions")["_row"] == [row for row in range(N_ROWS) if row not in (2, 5)]
    assert lines_of_features(comparison)["rows"].to_pylist() == [N_ROWS - 2] * len(FEATURES)


def test_rows_of_another_target_are_left_out_and_counted(tmp_path: Path) -> None:
    gammas = random_gammas(4)
    told = {"target": "predicted"}
    first = write_table_run(tmp_path / "first", gammas, targets=["no", "yes", "no", "yes"], **told)
    other = write_table_run(tmp_path / "other", gammas, targets=["no", "no", "no", "yes"], **told)
    comparison, rows = compared(first, other)
    assert comparison.counts.other_target == 1
    assert of(rows, "attributions")["_row"] == [0, 2, 3]
    assert comparison.targets == ("no", "yes")
    opposite = write_table_run(tmp_path / "opposite", gammas, targets=["yes", "no", "yes", "no"], **told)
    with pytest.raises(RunError, match="all rows have another target"):
        compared(first, opposite)


def test_pairs_that_both_runs_store_of_a_row_are_compared(tmp_path: Path) -> None:
    gammas, others = random_gammas(N_ROWS, 5), random_gammas(N_ROWS, 5, seed=1)
    others = gammas + 0.3 * others
    names, k = tuple("abcde"), 4
    first = write_table_run(tmp_path / "first", gammas, names, keys=KEYS, storage=f"top:{k}")
    other = write_table_run(tmp_path / "other", others, names, keys=KEYS, storage=f"top:{k}")
    whole = write_table_run(tmp_path / "whole", others, names, keys=KEYS)
    upper = np.triu_indices(5, 1)
    comparison, rows = compared(first, other)
    found = of(rows, "interactions")
    for row in range(N_ROWS):
        values = [2 * gamma[row][upper] for gamma in (gammas, others)]
        ours, theirs = ({*np.argsort(-np.abs(some))[:k].tolist()} for some in values)
        common = sorted(ours & theirs)
        a, b = (some[common] for some in values)
        assert found["overlap"][row] == pytest.approx(len(common) / k)
        assert found["same_sign"][row] == pytest.approx((np.sign(a) == np.sign(b)).mean())
        assert found["largest_change"][row] == pytest.approx(np.abs(a - b).max(), rel=1e-6)
        assert found["spearman"][row] is None
        place = common[np.abs(a - b).argmax()]
        assert (found["feature_i"][row], found["feature_j"][row]) == tuple(names[end[place]] for end in upper)
    sizes = np.abs(2 * np.array([gamma[:, upper[0], upper[1]] for gamma in (gammas, others)])).mean(axis=1)
    line = lines_of_pairs(comparison).to_pylist()[0]
    assert line["mean_abs"] == pytest.approx(sizes.mean(axis=0).max())
    beside, rows = compared(first, whole)
    assert of(rows, "interactions")["overlap"] == found["overlap"]
    assert (
        lines_of_runs(beside)["ranking_spearman"].to_pylist()
        == lines_of_runs(comparison)["ranking_spearman"].to_pylist()
    )


def test_texts_are_compared_word_by_word_and_listed_by_their_words(tmp_path: Path) -> None:
    texts = [("not", "good", "not", "bad"), ("good",), ("bad", "good"), ("not", "bad")]
    rng, keys = np.random.default_rng(0), list("abcd")

    def halves(scale: float) -> list[np.ndarray]:
        found = [rng.normal(scale=scale, size=(len(text),) * 2) for text in texts]
        return [half + half.T for half in found]

    gammas, more = halves(1.0), halves(0.3)
    others = [gamma + some for gamma, some in zip(gammas, more, strict=True)]
    order = [2, 0, 3, 1]
    first = write_texts(tmp_path / "first", texts, gammas, keys)
    other = write_texts(
        tmp_path / "other", [texts[i] for i in order], [others[i] for i in order], [keys[i] for i in order]
    )
    comparison, rows = compared(first, other)
    found = of(rows, "attributions")
    for row, (gamma, changed) in enumerate(zip(gammas, others, strict=True)):
        a, b = gamma.sum(axis=1), changed.sum(axis=1)
        assert found["largest_change"][row] == pytest.approx(np.abs(a - b).max())
        expected = None if len(a) == 1 else pytest.approx(stats.spearmanr(a, b).statistic)
        assert found["spearman"][row] == expected
        assert found["feature"][row] == texts[row][np.abs(a - b).argmax()]
    words = {line["feature"]: line for line in lines_of_features(comparison).to_pylist()}
    seen = [(t, i) for t, text in enumerate(texts) for i, word in enumerate(text) if word == "good"]
    values = np.array([[gamma[t].sum(axis=1)[i] for t, i in seen] for gamma in (gammas, others)])
    assert words["good"]["rows"] == 3
    assert words["good"]["mean_abs"] == pytest.approx(np.abs(values).mean())
    assert words["good"]["spearman"] == pytest.approx(stats.spearmanr(*values).statistic)
    assert words["not"]["rows"] == 3
    pairs = {(line["feature_i"], line["feature_j"]): line for line in lines_of_pairs(comparison).to_pylist()}
    seen = [
        (t, i, j)
        for t, text in enumerate(texts)
        for i, j in combinations(range(len(text)), 2)
        if {text[i], text[j]} == {"not", "bad"}
    ]
    values = np.array([[2 * gamma[t][i, j] for t, i, j in seen] for gamma in (gammas, others)])
    assert len(seen) == pairs["bad", "not"]["rows"] == 3
    assert pairs["bad", "not"]["mean_abs"] == pytest.approx(np.abs(values).mean())
    assert pairs["bad", "not"]["spearman"] == pytest.approx(stats.spearmanr(*values).statistic)
    assert pairs["bad", "not"]["largest_change"] == pytest.approx(np.abs(values[0] - values[1]).max())
    rows_of = {pair: line["rows"] for pair, line in pairs.items()}
    assert rows_of == {("bad", "good"): 2, ("bad", "not"): 3, ("good", "not"): 2, ("not", "not"): 1}
    cut = write_texts(tmp_path / "cut", [("no", "t"), *texts[1:]], [gammas[3], *gammas[1:]], keys)
    assert compared(first, cut)[0].counts.other_text == 1


def test_slopes_and_effects_are_compared_by_rank_alone(tmp_path: Path) -> None:
    gammas = random_gammas(N_ROWS)
    effects = write_table_run(tmp_path / "effects", gammas, keys=KEYS)
    told = {"method": {"name": "hessian", "title": "Hessian"}}
    slopes = write_table_run(tmp_path / "slopes", 100 * gammas, keys=KEYS, **told)
    comparison, rows = compared(effects, slopes)
    assert not comparison.are_alike_in_size
    for table in (rows, lines_of_features(comparison), lines_of_pairs(comparison), lines_of_runs(comparison)):
        assert set(table["largest_change"].to_pylist()) == set(table["mean_abs"].to_pylist()) == {None}
        assert set(table["spearman"].to_pylist()) == {1.0}
    assert comparison.settings == ("method: ih, hessian",)
    assert compared(slopes, slopes)[0].are_alike_in_size


def test_many_features_are_listed_by_the_largest_and_ranked_among_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ihcli.results.comparing.listing.MOST_LISTED", 3)
    gammas = random_gammas(N_ROWS)
    first = write_table_run(tmp_path / "first", gammas, keys=KEYS)
    other = write_table_run(tmp_path / "other", random_gammas(N_ROWS, seed=1), keys=KEYS)
    comparison, _ = compared(first, other)
    listed = lines_of_pairs(comparison)
    assert 3 <= len(listed) < 6
    assert listed["worst_rank"].to_pylist()[0] >= 1
    assert max(listed["rank"].to_pylist()) <= 6
    assert None not in listed["spearman"].to_pylist()


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "features": (
        lambda path: write_table_run(path, random_gammas(N_ROWS), ("age", "x", "pressure", "glucose"), keys=KEYS),
        r"other features than .*first: it lacks '\[bmi\]' and has 'x'\.",
    ),
    "groups": (
        lambda path: write_table_run(path, random_gammas(N_ROWS), keys=KEYS, groups={"age": ["a", "b"]}),
        "in its columns of the group age. Expected age, got a,b",
    ),
    "units": (
        lambda path: write_texts(path, [("a",)] * N_ROWS, [np.ones((1, 1))] * N_ROWS, KEYS),
        "in its units. Expected features, got word",
    ),
    "target": (
        lambda path: write_table_run(path, random_gammas(N_ROWS), keys=KEYS, target="other"),
        "in its target. Expected risk, got other",
    ),
    "scale": (
        lambda path: write_table_run(
            path, random_gammas(N_ROWS), keys=KEYS, scale={"name": "logit", "ending": "sigmoid"}
        ),
        "in its scale. Expected model, got logit",
    ),
    "fewer rows": (
        lambda path: write_table_run(path, random_gammas(N_ROWS - 2), keys=KEYS[2:]),
        "lacks 2 rows of .*first, the first is id=P0",
    ),
    "other rows": (
        lambda path: write_table_run(path, random_gammas(N_ROWS), keys=["P99", *KEYS[1:]]),
        r"first: lacks 1 row of .*other, the first is id=P99",
    ),
    "no keys": (
        lambda path: write_table_run(path, random_gammas(N_ROWS)),
        "in its key columns. Expected id, got none",
    ),
    "unfinished": (
        lambda path: write_table_run(path, random_gammas(N_ROWS), keys=KEYS, status="interrupted"),
        "did not finish",
    ),
    "keys that repeat in another order": (
        lambda path: write_table_run(path, random_gammas(N_ROWS), keys=["P1", "P1", *KEYS[2:]]),
        "id=P1 is the key of several rows",
    ),
}


@pytest.mark.parametrize("difference", REFUSED)
def test_runs_that_cannot_be_compared_are_refused_with_the_difference(tmp_path: Path, difference: str) -> None:
    first = write_table_run(tmp_path / "first", random_gammas(N_ROWS), keys=KEYS)
    write, message = REFUSED[difference]
    write(tmp_path / "other")
    with pytest.raises(RunError, match=message):
        compared(first, tmp_path / "other")


def test_without_keys_rows_are_joined_by_number_where_the_data_are_the_same(tmp_path: Path) -> None:
    gammas = random_gammas(N_ROWS)
    first = write_table_run(tmp_path / "first", gammas)
    assert compared(first, write_table_run(tmp_path / "same", gammas))[0].counts.compared == N_ROWS
    other = {"data": {**DATA, "sha256": "d" * 64, "path": "copy.csv", "rows": N_ROWS}}
    with pytest.raises(RunError, match=r"explains other data .*copy.csv and data.csv.*Try .*`key`"):
        compared(first, write_table_run(tmp_path / "other", gammas, **other))
    with pytest.raises(RunError, match="in its number of rows"):
        compared(first, write_table_run(tmp_path / "short", gammas[:3]))


def test_repeated_keys_in_the_same_order_are_joined_row_by_row(tmp_path: Path) -> None:
    gammas, keys = random_gammas(N_ROWS), ["P0", *KEYS[:-1]]
    first = write_table_run(tmp_path / "first", gammas, keys=keys)
    other = write_table_run(tmp_path / "other", gammas, keys=keys)
    assert compared(first, other)[0].counts.compared == N_ROWS


def test_runs_say_in_what_they_differ(tmp_path: Path) -> None:
    gammas = random_gammas(N_ROWS)
    first = write_table_run(tmp_path / "first", gammas, keys=KEYS)
    told = {
        "model": {"path": "n.pt", "sha256": "e" * 64, "format": "TorchScript", "outputs": ["risk"]},
        "smoothing": {
            "beta": 10.0,
            "replaced": [],
            "kinks": [],
            "drift": 0.0,
            "changed": 0.0,
            "within_tolerance": True,
        },
    }
    other = write_table_run(tmp_path / "other", gammas, keys=KEYS, **told)
    settings = compared(first, other)[0].settings
    assert "smoothing beta: none, 10.0" in settings
    assert "model: m.pt (bbbbbbbb), n.pt (eeeeeeee)" in settings


def test_a_run_whose_interactions_are_torn_is_refused(tmp_path: Path) -> None:
    first = write_table_run(tmp_path / "first", random_gammas(N_ROWS), keys=KEYS)
    other = write_table_run(tmp_path / "other", random_gammas(N_ROWS), keys=KEYS)
    (other / "interactions" / "part-000003.parquet").unlink()
    with pytest.raises(RunError, match=r"other: has fewer entries .*Try ihcli verify"):
        compared(first, other)
