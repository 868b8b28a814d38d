"""Where paths start, and the message when the method wants another number of baselines."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.data import baselines
from ihcli.data.baselines import drawn_rows, resolve_baselines
from ihcli.data.drawing import Drawing
from ihcli.data.tables import ArrayDataset, open_dataset
from ihcli.errors import DataError, IhcliError, OptionError

NAMES = ("a", "b", "c")
X = np.random.default_rng(0).standard_normal((500, 3)) * [1, 10, 100]
DATA = ArrayDataset(X, NAMES)


def write(path, rows, names=NAMES):
    rows = np.atleast_2d(rows)
    pq.write_table(pa.table({name: rows[:, i] for i, name in enumerate(names)}), path)
    return str(path)


# One baseline


def test_the_default_is_zeros_for_one_and_data_for_many():
    one = resolve_baselines(None, many=False, dataset=DATA)
    np.testing.assert_array_equal(one.values, np.zeros((1, 3)))
    assert (one.population, one.source) == (1, "zeros")
    assert resolve_baselines(None, many=True, dataset=DATA).source.startswith("the data x")


def test_zeros_are_those_of_the_network():
    found = resolve_baselines("zeros", many=False, dataset=DATA, zero=(1.0, 2.0, 3.0))
    np.testing.assert_array_equal(found.values, [[1, 2, 3]])
    assert found.source == "zeros of the network's own input, in raw units"


def test_mean_and_median_are_those_of_numpy():
    mean = resolve_baselines("mean", many=False, dataset=DATA)
    median = resolve_baselines("median", many=False, dataset=DATA)
    np.testing.assert_allclose(mean.values, [X.mean(axis=0)], rtol=1e-13)
    np.testing.assert_array_equal(median.values, [np.median(X, axis=0)])
    assert (mean.source, median.source) == ("mean of the data x", "median of the data x")


def test_mean_and_median_leave_missing_values_out():
    x = X.copy()
    x[3, 1], x[7, 2] = np.nan, np.inf
    finite = np.where(np.isfinite(x), x, np.nan)
    for spec, oracle in (("mean", np.nanmean), ("median", np.nanmedian)):
        found = resolve_baselines(spec, many=False, dataset=ArrayDataset(x))
        np.testing.assert_allclose(found.values[0], oracle(finite, axis=0), rtol=1e-13)


def test_median_of_a_large_table_is_estimated_and_says_so(monkeypatch):
    monkeypatch.setattr(baselines, "MEDIAN_ROWS", 100)
    found = resolve_baselines("median", many=False, dataset=DATA, drawing=Drawing(seed=3))
    assert found.source == "median of the data x, estimated on 100 of its 500 rows (seed 3)"
    assert 0 < np.abs(found.values[0] - np.median(X, axis=0)).max() < 50


def test_a_file_of_one_row_is_a_baseline_whatever_else_it_holds(tmp_path):
    path = write(tmp_path / "b.parquet", [1, 2, 3, 4], ("c", "x", "b", "a"))
    np.testing.assert_array_equal(resolve_baselines(path, many=False, dataset=DATA).values, [[4, 3, 1]])


def test_an_array_is_a_baseline():
    np.testing.assert_array_equal(resolve_baselines(np.arange(3), many=False, dataset=DATA).values, [[0, 1, 2]])
    found = resolve_baselines(X[:10], many=True, dataset=DATA)
    np.testing.assert_array_equal(found.values, X[:10])
    assert found.population == 10


# Many baselines


def test_a_small_table_is_used_whole(tmp_path):
    path = write(tmp_path / "b.parquet", X[:20])
    found = resolve_baselines(path, many=True, dataset=DATA)
    np.testing.assert_array_equal(found.values, X[:20])
    assert (found.population, found.source) == (20, f"`baseline={path}`")


def test_a_large_table_is_subsampled_without_replacement_in_order():
    found = resolve_baselines("data", many=True, dataset=DATA, drawing=Drawing(50, 1))
    rows = [int(np.flatnonzero((value == X).all(axis=1))[0]) for value in found.values]
    assert len(set(rows)) == 50
    assert rows == sorted(rows)
    assert (found.population, found.source) == (500, "the data x, 50 of 500 complete rows (seed 1)")


def test_the_seed_decides_the_sample_and_the_file_layout_does_not(tmp_path, monkeypatch):
    path = write(tmp_path / "t.parquet", X)
    one, two = (
        resolve_baselines("data", many=True, dataset=DATA, drawing=Drawing(seed=seed)).values for seed in (0, 1)
    )
    assert not np.array_equal(one, two)
    monkeypatch.setattr("ihcli.data.formats.parquet.BATCH_VALUES", 60)
    np.testing.assert_array_equal(one, resolve_baselines("data", many=True, dataset=open_dataset(path)).values)


def test_every_row_is_drawn_equally_often():
    small = ArrayDataset(np.arange(10.0)[:, np.newaxis])
    drawn = [
        resolve_baselines("data", many=True, dataset=small, drawing=Drawing(3, seed)).values for seed in range(2000)
    ]
    counts = np.bincount(np.concatenate(drawn).ravel().astype(int))
    assert np.abs(counts - 600).max() < 5 * np.sqrt(600 * 0.7)  # five standard deviations


def test_incomplete_rows_are_left_out_of_sample_and_population():
    x = X.copy()
    x[::2, 0] = np.nan
    x[1, 1] = np.inf
    found = resolve_baselines("data", many=True, dataset=ArrayDataset(x), drawing=Drawing(200))
    assert (len(found.values), found.population) == (200, 249)
    assert np.isfinite(found.values).all()
    assert len(resolve_baselines("data", many=True, dataset=ArrayDataset(x), drawing=Drawing(1000)).values) == 249


# What is refused


@pytest.mark.parametrize(
    ("spec", "many", "message"),
    [
        (
            "data",
            False,
            "`baseline=data`: is many rows, ig and ih take one. "
            "Try `method=eg` or eh, which average over many, or `baseline=mean`.",
        ),
        (
            "mean",
            True,
            "`baseline=mean`: is one row, eg and eh average over many. "
            "Try `method=ig` or ih, which start from one, or `baseline=data`.",
        ),
        (
            "zeross",
            False,
            "`baseline=zeross`: is neither a keyword nor a file. Expected one of zeros, mean, median, mode, data, "
            "or a Parquet or CSV file with the feature columns. Did you mean 'zeros'?",
        ),
        (
            "none.csv",
            False,
            "none.csv: no such file or directory. Expected a Parquet or CSV file, a directory of them, or a glob. "
            "Try checking the path.",
        ),
        (np.zeros(2), False, "`baseline`: has shape (2,). Expected (3,) or (B, 3)."),
        (
            np.zeros((2, 3)),
            False,
            "`baseline`: has 2 rows, ig and ih take one. Try `method=eg` or eh, which average over many.",
        ),
        (np.array([1, np.nan, 2]), False, "`baseline`: column 'b' is null. Expected a finite value in every feature."),
    ],
)
def test_unfit_baselines_are_refused_in_words(spec, many, message):
    with pytest.raises(IhcliError) as caught:
        resolve_baselines(spec, many=many, dataset=DATA)
    assert str(caught.value) == message


def test_a_file_with_the_wrong_number_of_rows_names_the_other_method(tmp_path):
    twelve, one = write(tmp_path / "12.parquet", X[:12]), write(tmp_path / "1.parquet", X[:1])
    with pytest.raises(OptionError) as caught:
        resolve_baselines(twelve, many=False, dataset=DATA)
    assert str(caught.value) == (
        f"`baseline={twelve}`: has 12 rows, ig and ih take one. Try `method=eg` or eh, which average over many."
    )
    with pytest.raises(OptionError) as caught:
        resolve_baselines(one, many=True, dataset=DATA)
    assert str(caught.value) == (
        f"`baseline={one}`: has 1 row, eg and eh average over many. Try `method=ig` or ih, which start from one."
    )


def test_a_file_without_a_feature_is_refused(tmp_path):
    path = write(tmp_path / "b.parquet", [1, 2], ("a", "b"))
    with pytest.raises(DataError) as caught:
        resolve_baselines(path, many=False, dataset=DATA)
    assert str(caught.value) == (
        f"`baseline={path}`: lacks 1 of the 3 features: 'c'. Expected the feature columns of the data."
    )


def test_a_feature_without_values_has_no_mean():
    x = X.copy()
    x[:, 1] = np.nan
    for spec in ("mean", "median"):
        with pytest.raises(DataError) as caught:
            resolve_baselines(spec, many=False, dataset=ArrayDataset(x, NAMES))
        assert str(caught.value) == (
            f"`baseline={spec}`: x has no finite value in column 'b'. Try `exclude=b`, or `baseline=zeros`."
        )
    with pytest.raises(DataError, match=r"the data x: every row has a missing or infinite value\."):
        resolve_baselines("data", many=True, dataset=ArrayDataset(x))


# One pass for all that is needed


@pytest.mark.parametrize("spec", ["data", "mean", "median"])
def test_a_survey_done_before_gives_the_same_baselines(spec):
    many = spec == "data"
    survey = DATA.survey(max(70, drawn_rows(spec, many, Drawing(60))), seed=4)
    alone = resolve_baselines(spec, many=many, dataset=DATA, drawing=Drawing(60, 4))
    shared = resolve_baselines(spec, many=many, dataset=DATA, survey=survey, drawing=Drawing(60, 4))
    np.testing.assert_array_equal(alone.values, shared.values)
    assert (alone.population, alone.source) == (shared.population, shared.source)


def test_only_baselines_of_the_data_are_drawn_from_it():
    assert [drawn_rows(spec, True, Drawing(9)) for spec in (None, "data", "b.csv", np.zeros((2, 3)))] == [9, 9, 0, 0]
    assert [drawn_rows(spec, False, Drawing(9)) for spec in (None, "zeros", "mean", np.zeros(3))] == [0, 0, 0, 0]


def test_a_survey_of_too_few_rows_is_no_smaller_distribution():
    with pytest.raises(ValueError, match="a survey of 5 rows, where baselines take 200"):
        resolve_baselines("data", many=True, dataset=DATA, survey=DATA.survey(5, seed=0))
