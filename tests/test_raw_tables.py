"""Pipelines of scikit-learn from the raw table on: the same numbers as scikit-learn, read without it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from raw_tables import (
    CLASS,
    PIPELINES,
    STRANGE,
    TABLE,
    answers,
    beside_numbers,
    classifier,
    filled_numbers,
    fitted,
    one_hot,
    write,
)
from scipy.stats import loguniform
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.impute import SimpleImputer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import ihcli
from ihcli import read
from ihcli.cli import main
from ihcli.data.tables import open_dataset
from ihcli.errors import ModelError
from ihcli.models import Model, load_model
from ihcli.openings.layers import layer_names
from ihcli.readers.tables import fills_of

# Sums of the same products in float64, in another order.
AGREEMENT = 1e-9
# Differences over 1e-3 of a gate.
BY_DIFFERENCES = 1e-6
KNOWS_ALL = ("category and number at once",)
"""Pipelines that raise for a value not seen in training."""


def read_rows(model: Model, path: Path) -> np.ndarray:
    dataset = open_dataset(str(path), model_features=model.feature_names, vocabulary=model.vocabulary)
    dataset.fills = fills_of(model, dataset.columns.features)
    return np.concatenate(list(map(dataset.filled, dataset.inputs())))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("name", PIPELINES)
def test_outputs_of_the_raw_table_are_those_of_the_pipeline(name: str, suffix: str, tmp_path: Path) -> None:
    estimator = fitted(PIPELINES[name]())
    model = load_model(model_files.save_joblib(estimator, tmp_path / "model.joblib"))
    frame = TABLE if name in KNOWS_ALL else pd.concat([TABLE, STRANGE], ignore_index=True)
    inputs = read_rows(model, write(frame, tmp_path / f"d{suffix}"))
    outputs = model.outputs(torch.tensor(inputs)).numpy()
    np.testing.assert_allclose(outputs, answers(estimator, frame), AGREEMENT, AGREEMENT)


def test_the_model_has_the_columns_that_reach_the_network_and_says_what_codes_stand_for(tmp_path: Path) -> None:
    estimator = fitted(beside_numbers(one_hot(drop=["cook", 2])))
    model = load_model(model_files.save_pickle(estimator, tmp_path / "model.pkl"))
    assert model.feature_names == ("age", "job", "grade", "income")  # in the order of the table, dropped ones left out
    assert model.vocabulary is not None
    assert model.vocabulary.values == {
        "job": ("clerk", "cook", "rare 1", "rare 2", "smith", None),
        "grade": (1, 2, 3, 4, None),
    }
    assert model.vocabulary.unknown == {"job": 6, "grade": 5}
    assert model.fills is not None
    values = [None if fill is None else fill[1] for fill in model.fills]
    assert values == [TABLE["age"].median(), None, None, TABLE["income"].median()]
    assert model.output_names == ("high", "low")


@pytest.mark.parametrize("name", ["one-hot", "columns by an index of pandas", "components and choices"])
@pytest.mark.parametrize("protocol", model_files.PROTOCOLS)
def test_every_protocol_is_read(name: str, protocol: int, tmp_path: Path) -> None:
    estimator = fitted(PIPELINES[name]())
    model = load_model(model_files.save_pickle(estimator, tmp_path / "model.pkl", protocol=protocol))
    inputs = read_rows(model, write(STRANGE, tmp_path / "d.csv"))
    found = model.outputs(torch.tensor(inputs)).numpy()
    np.testing.assert_allclose(found, answers(estimator, STRANGE), AGREEMENT, AGREEMENT)


def scoring(estimator: Any, table: Any, labels: Any) -> float:
    """A score of the user's own, which no reader of the file knows."""
    return float(estimator.score(table, labels))


SEARCHES: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "grid": lambda pipeline, grid: GridSearchCV(pipeline, grid, cv=2),
    "grid with a score of its own": lambda pipeline, grid: GridSearchCV(pipeline, grid, cv=2, scoring=scoring),
    "grid with splits and scores": lambda pipeline, grid: GridSearchCV(
        pipeline, grid, cv=StratifiedKFold(2), scoring=["accuracy", "roc_auc"], refit="accuracy"
    ),
    "random over a distribution": lambda pipeline, grid: RandomizedSearchCV(
        pipeline, {name: loguniform(1e-4, 1e-2) for name in grid}, n_iter=2, cv=2, random_state=0
    ),
    "halving": lambda pipeline, grid: HalvingGridSearchCV(pipeline, grid, cv=2, min_resources=60),
    "threshold": lambda pipeline, grid: FixedThresholdClassifier(pipeline, threshold=0.3),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_what_a_search_came_to_is_read_whatever_else_it_keeps(name: str, tmp_path: Path) -> None:
    estimator = fitted(SEARCHES[name](beside_numbers(one_hot()), {"mlpclassifier__alpha": [1e-4, 1e-3]}))
    model = load_model(model_files.save_joblib(estimator, tmp_path / "model.joblib"))
    inputs = read_rows(model, write(STRANGE, tmp_path / "d.parquet"))
    found = model.outputs(torch.tensor(inputs)).numpy()
    np.testing.assert_allclose(found, answers(estimator, STRANGE), AGREEMENT, AGREEMENT)
    assert model.format == f"scikit-learn {type(estimator).__name__} with an MLPClassifier"


def test_nothing_of_scikit_learn_pandas_or_scipy_is_imported(tmp_path: Path) -> None:
    paths = [
        model_files.save_joblib(fitted(PIPELINES["columns by an index of pandas"]()), tmp_path / "index"),
        model_files.save_pickle(
            fitted(SEARCHES["random over a distribution"](beside_numbers(one_hot()), {"mlpclassifier__alpha": []})),
            tmp_path / "search",
        ),
    ]
    script = (
        "import sys\n"
        "sys.modules['sklearn'] = sys.modules['joblib'] = sys.modules['scipy'] = sys.modules['pandas'] = None\n"
        "from ihcli.models import load_model\n"
        "for path in sys.argv[1:]: load_model(path)\n"
    )
    subprocess.run([sys.executable, "-c", script, *map(str, paths)], check=True, cwd=Path(__file__).parents[1])


def test_a_pipeline_fitted_to_an_array_takes_columns_by_their_places(tmp_path: Path) -> None:
    array = TABLE[["age", "job", "name", "income"]].to_numpy(dtype=object)
    steps = ColumnTransformer([("c", one_hot(), [1]), ("n", filled_numbers(), [0, 3])])
    estimator = fitted(make_pipeline(steps, classifier()), array)
    path = model_files.save_joblib(estimator, tmp_path / "model.joblib")
    assert load_model(path).feature_names == ("0", "1", "3")
    data = write(STRANGE, tmp_path / "d.csv")
    run = ["explain", str(path), str(data), "-m", "ig", "--target", "high", "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(main, run)
    assert "lacks 3 of the 3 columns that the model takes: '0', '1', '3'" in done.output
    assert "Try --features to list other columns in the model's order" in done.output
    done = CliRunner().invoke(main, [*run, "--features", "age,job,income", "--smooth", "none"])
    assert done.exit_code == 0, done.output
    expected = answers(estimator, STRANGE[["age", "job", "name", "income"]].to_numpy(dtype=object))[:, 0]
    np.testing.assert_allclose(read(tmp_path / "run").attributions["_prediction"], expected, AGREEMENT)


# Explained


START = STRANGE.head(1).assign(age=40.0, job="cook", grade=2, income=5.0)


def smooth() -> Any:
    network = MLPClassifier((6,), activation="tanh", max_iter=9, random_state=0)
    return fitted(make_pipeline(beside_numbers(one_hot())[0], network))


def test_attributions_add_up_to_what_the_pipeline_says_of_the_row_and_of_the_baseline(tmp_path: Path) -> None:
    estimator = smooth()
    model_files.save_joblib(estimator, tmp_path / "model.joblib")
    write(START, tmp_path / "start.csv")
    write(STRANGE, tmp_path / "d.csv")
    files = map(str, (tmp_path / "model.joblib", tmp_path / "d.csv"))
    options = ["-m", "ig", "--baseline", str(tmp_path / "start.csv"), "--tolerance", "1e-9", "--target", "high"]
    done = CliRunner().invoke(main, ["explain", *files, *options, "-o", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    run = read(tmp_path / "run")
    assert run.feature_names == ("age", "job", "grade", "income")
    entries = run.attributions
    assert set(entries["_status"]) <= {"ok", "rounding"}
    difference = answers(estimator, STRANGE)[:, 0] - answers(estimator, START)[0, 0]
    sums = entries[list(run.feature_names)].to_numpy().sum(axis=1)
    np.testing.assert_allclose(sums, difference, atol=AGREEMENT)
    np.testing.assert_array_equal(entries["_imputed"], STRANGE["age"].isna())


def test_a_pair_of_columns_is_what_opening_both_of_their_vectors_makes_of_it(tmp_path: Path) -> None:
    """Against second differences of the pipeline behind its ColumnTransformer, along the same path, all in numpy."""
    pipeline, table = smooth(), STRANGE.dropna().head(6)
    explained = ihcli.explain(
        load_model(model_files.save_pickle(pipeline, tmp_path / "model.pkl")),
        table,
        baseline=str(write(START, tmp_path / "start.csv")),
        target="high",
        tolerance=1e-7,
    )
    assert explained.interactions is not None
    ends, begin = (np.asarray(pipeline[0].transform(frame)) for frame in (table, START))
    owner = np.repeat([0, 3, 1, 2], [1, 1, 6, 4])
    for row, gamma in zip(ends, explained.interactions, strict=True):
        np.testing.assert_allclose(gamma, by_differences(pipeline[-1], begin[0], row, owner), atol=BY_DIFFERENCES)


def by_differences(network: Any, begin: np.ndarray, end: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return Gamma of one path by differences of predict_proba in its gates; t = s^3 blunts the logarithm."""
    one, step = np.eye(owner.max() + 1), 1e-3
    nodes, weights = np.polynomial.legendre.leggauss(40)
    s, w = (nodes + 1) / 2, weights / 2
    t, w = s**3, w * 3 * s**2

    def f(shift: np.ndarray) -> np.ndarray:
        gates = t[:, None] + step * shift
        found: np.ndarray = network.predict_proba(begin + gates[:, owner] * (end - begin))[:, 0]
        return found

    gamma = np.empty((len(one), len(one)))
    for i, a in enumerate(one):
        for j, b in enumerate(one):
            bent = (f(a + b) - f(a - b) - f(b - a) + f(-a - b)) / (4 * step**2)
            gamma[i, j] = w @ (-t * np.log(t) * bent)
        gamma[i, i] += w @ (-np.log(t) * (f(a) - f(-a)) / (2 * step))
    return gamma


# Refused


def refused(estimator: Any, path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(model_files.save_pickle(estimator, path))
    return str(caught.value)


def test_a_value_that_the_encoder_raises_for_is_refused_with_its_row(tmp_path: Path) -> None:
    model_files.save_joblib(fitted(beside_numbers(OneHotEncoder())), tmp_path / "model.joblib")
    write(STRANGE, tmp_path / "d.csv")
    done = CliRunner().invoke(
        main, ["explain", str(tmp_path / "model.joblib"), str(tmp_path / "d.csv"), "-o", str(tmp_path / "run")]
    )
    assert done.exit_code == 1
    assert "d.csv: column 'job', row 3: 'astronaut' is not in model.joblib. Expected one of 5: " in done.output


def test_a_missing_value_that_the_pipeline_raises_for_has_no_values(tmp_path: Path) -> None:
    whole = TABLE.dropna()
    pipeline = make_pipeline(
        ColumnTransformer([("n", StandardScaler(), ["age"]), ("c", OneHotEncoder(), ["job"])]), classifier()
    )
    model_files.quietly(pipeline.fit, whole, CLASS[whole.index])
    model = load_model(model_files.save_joblib(pipeline, tmp_path / "model.joblib"))
    frame = whole[["job", "age"]].head(4).reset_index(drop=True)
    frame.loc[1, "age"], frame.loc[2, "job"] = np.nan, None
    inputs = read_rows(model, write(frame, tmp_path / "d.csv"))
    assert np.isnan(inputs).any(axis=1).tolist() == [False, True, True, False]


def of_columns(*steps: tuple[Any, list[str]]) -> Any:
    """Return a pipeline of steps over some columns each."""
    return fitted(make_pipeline(make_column_transformer(*steps), classifier()))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "two ways to fill a gap": (
        lambda: of_columns((SimpleImputer(strategy="mean"), ["age"]), (SimpleImputer(strategy="median"), ["age"])),
        "'imputers that put different values into one column', which cannot be folded in",
    ),
    "an indicator of numbers": (
        lambda: of_columns((SimpleImputer(add_indicator=True), ["age"])),
        "'SimpleImputer(add_indicator=True) of numbers', which cannot be folded in",
    ),
    "an encoder of computed numbers": (
        lambda: of_columns((make_pipeline(FunctionTransformer(np.sqrt), one_hot()), ["grade"])),
        "'OneHotEncoder of computed numbers', which cannot be folded in",
    ),
    "a function of one's own": (
        lambda: of_columns((FunctionTransformer(halved), ["income"])),
        f"'FunctionTransformer of {__name__}.halved', which cannot be folded in",
    ),
    "a function with arguments": (
        lambda: of_columns((FunctionTransformer(np.log1p, kw_args={"dtype": float}), ["income"])),
        "'FunctionTransformer of log1p with arguments', which cannot be folded in",
    ),
}


def halved(table: Any) -> Any:
    return table / 2


@pytest.mark.parametrize("name", REFUSED)
def test_a_step_that_no_layers_stand_for_is_named_with_a_line_that_works(name: str, tmp_path: Path) -> None:
    make, words = REFUSED[name]
    message = refused(make(), tmp_path / "model.pkl")
    assert words in message
    assert re.search("(Try|try), with .*your table as DATA.csv, python -c '", message)


def inner(pipeline: Any, name: str) -> Any:
    return {entry[0]: entry[1] for entry in pipeline[0].transformers_}[name]


def _set(name: str, attribute: str, value: Any) -> Callable[[Any], None]:
    return lambda pipeline: setattr(inner(pipeline, name), attribute, value)


def _holds_itself(pipeline: Any) -> None:
    pipeline.steps.insert(0, ("itself", pipeline))


def _repeats(pipeline: Any) -> None:
    pipeline.steps[:1] = [(str(i), pipeline[0]) for i in range(2000)]


DAMAGES: dict[str, Callable[[Any], None]] = {
    "no categories": _set("categories", "categories_", []),
    "categories of another kind": _set("categories", "categories_", ["clerk", "cook"]),
    "categories that are lists": _set("categories", "categories_", [np.array([[1, 2]]), np.array([1])]),
    "a category that is an object": _set("categories", "categories_", [np.array([SimpleImputer(), 1]), np.array([1])]),
    "a category that is infinite": _set("categories", "categories_", [np.array([np.inf, 1]), np.array([1])]),
    "a category beyond all numbers": _set("categories", "categories_", [np.array([10**400, 1]), np.array([1])]),
    "a dropped category beyond": _set("categories", "_drop_idx_after_grouping", np.array([1, 2, 3])),
    "infrequent codes beyond": lambda pipeline: vars(inner(pipeline, "categories")).update(
        _infrequent_enabled=True, _default_to_infrequent_mappings=[np.array([1, 99, 0, 0, 0, 0]), None]
    ),
    "infrequent codes below": lambda pipeline: vars(inner(pipeline, "categories")).update(
        _infrequent_enabled=True, _default_to_infrequent_mappings=[np.array([-1, 0, 0, 0, 0, 0]), None]
    ),
    "statistics of another length": lambda pipeline: setattr(inner(pipeline, "numbers")[0], "statistics_", np.ones(3)),
    "statistics that are objects": lambda pipeline: setattr(
        inner(pipeline, "numbers")[0], "statistics_", np.array([SimpleImputer(), 1], dtype=object)
    ),
    "a scale of zero": lambda pipeline: setattr(inner(pipeline, "numbers")[1], "scale_", np.zeros(2)),
    "a scale that is infinite": lambda pipeline: setattr(inner(pipeline, "numbers")[1], "scale_", np.full(2, np.inf)),
    "means of another length": lambda pipeline: setattr(inner(pipeline, "numbers")[1], "mean_", np.ones(7)),
    "places beyond": lambda pipeline: pipeline[0]._transformer_to_input_indices.update(numbers=[0, 99]),
    "places that are words": lambda pipeline: pipeline[0]._transformer_to_input_indices.update(numbers=["no", "one"]),
    "transformers of another form": lambda pipeline: setattr(pipeline[0], "transformers_", [("a", "b")]),
    "names that are numbers": lambda pipeline: setattr(pipeline[0], "feature_names_in_", np.arange(6)),
    "names of another length": lambda pipeline: setattr(
        pipeline[0], "feature_names_in_", np.array(["a"], dtype=object)
    ),
    "a million inputs": lambda pipeline: setattr(pipeline[0], "n_features_in_", 1 << 40),
    "inputs of another network": lambda pipeline: pipeline[-1].coefs_.__setitem__(0, np.ones((3, 6))),
    "itself": _holds_itself,
    "one step many times over": _repeats,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_state_that_fitting_does_not_leave_is_one_message(name: str, tmp_path: Path) -> None:
    pipeline = fitted(beside_numbers(one_hot()))
    DAMAGES[name](pipeline)
    message = refused(pipeline, tmp_path / "model.pkl")
    assert message.startswith(f"{tmp_path / 'model.pkl'}: ")
    assert len(message) < 1500
    assert "Try " in message


def test_tables_of_many_categories_are_bounded(tmp_path: Path) -> None:
    """A file of 60 kB that asks for a table of 100 million numbers."""
    pipeline = fitted(beside_numbers(one_hot()))
    inner(pipeline, "categories").categories_ = [np.arange(10_000), np.arange(10_000)]
    assert "OneHotEncoder of a column with 10000 categories" in refused(pipeline, tmp_path / "model.pkl")


def test_inspect_tries_codes_that_there_are_and_says_what_is_looked_up(tmp_path: Path) -> None:
    model_files.save_joblib(fitted(beside_numbers(one_hot())), tmp_path / "model.joblib")
    done = CliRunner().invoke(main, ["inspect", str(tmp_path / "model.joblib")])
    assert done.exit_code == 0, done.output
    found = done.output.splitlines()
    assert any(line.startswith("Looked up             job: 6 values from a table of ") for line in found)
    assert "Outputs               2: high, low" in found
    assert "Warning" not in done.output


def test_what_is_imputed_is_told_from_inner_layers_on_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 3))
    rows[::7, 1] = np.nan
    network = MLPRegressor(
        hidden_layer_sizes=(5,), activation="tanh", solver="lbfgs", alpha=1.0, tol=1e-2, random_state=0
    )
    joblib.dump(make_pipeline(SimpleImputer(), network).fit(rows, np.nansum(rows, axis=1)), tmp_path / "m.joblib")
    model = load_model(tmp_path / "m.joblib")
    layer = layer_names(model, None)[0]

    with pytest.warns(ihcli.IhcliWarning, match="imputer"):
        got = ihcli.explain(model, rows, layers=[layer], method="ig")

    assert set(got.status) == {"ok"}
