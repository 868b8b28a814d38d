"""Raw tables with categories, gaps and values not seen in training, and pipelines of scikit-learn that take them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Memory
from model_files import quietly
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import SelectKBest, SelectPercentile, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

ROWS = 240
NUMBERS = ["age", "income"]


def table(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Return text, numbers and booleans; `job` and `age` have gaps, `job` has rare values, `grade` is a number code."""
    random = np.random.default_rng(seed)
    jobs = random.choice(["clerk", "cook", "smith", "rare 1", "rare 2"], rows, p=[0.4, 0.3, 0.24, 0.03, 0.03])
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 9, rows).round(1),
            "job": jobs.astype(object),
            "name": [f"person {i}" for i in range(rows)],
            "grade": random.integers(1, 5, rows),
            "member": random.random(rows) > 0.5,
            "income": random.lognormal(2, 1, rows).round(3),
        }
    )
    frame.loc[random.random(rows) < 0.15, "job"] = np.nan
    frame.loc[random.random(rows) < 0.2, "age"] = np.nan
    return frame


TABLE = table()
CLASS = np.where(TABLE["grade"] > 2, "high", "low")
AMOUNT = 3 * TABLE["income"].to_numpy() + 1
STRANGE = table(60, seed=1)
STRANGE.loc[3, "job"] = "astronaut"
"""Rows not trained on, with a value that no encoder knows."""


def classifier() -> MLPClassifier:
    return MLPClassifier((6,), max_iter=4, random_state=0)


def regressor() -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(6,), max_iter=4, random_state=0)


def fitted(estimator: Any, frame: Any = TABLE) -> Any:
    is_classifier = getattr(estimator, "_estimator_type", None) == "classifier" or hasattr(estimator, "predict_proba")
    return quietly(estimator.fit, frame, CLASS if is_classifier else AMOUNT)


def filled_numbers() -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler())


def beside_numbers(encoder: Any, columns: Any = ("job", "grade")) -> Pipeline:
    """Return a pipeline of an encoder beside numbers."""
    both = [("numbers", filled_numbers(), NUMBERS), ("categories", encoder, list(columns))]
    return make_pipeline(ColumnTransformer(both), classifier())


def one_hot(**keywords: Any) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore"} | keywords)


def ordinal(**keywords: Any) -> OrdinalEncoder:
    chosen = {"handle_unknown": "use_encoded_value", "unknown_value": -1, "encoded_missing_value": -2}
    return OrdinalEncoder(**chosen | keywords)


def long_name(step: str, column: str) -> str:
    """Name an output column, as a user would whose file then asks for this function."""
    return f"{step} of {column}"


def in_two_steps(as_frame: bool) -> Pipeline:
    """Return a pipeline that imputes in one ColumnTransformer and encodes in the next."""
    first = ColumnTransformer(
        [("n", SimpleImputer(), ["age"]), ("c", SimpleImputer(strategy="most_frequent"), ["job"])],
        remainder="passthrough",
    )
    scaled, coded = (["n__age", "remainder__income"], ["c__job"]) if as_frame else ([0, 5], [1, 3])
    second = ColumnTransformer([("s", StandardScaler(), scaled), ("o", one_hot(), coded)])
    return make_pipeline(first.set_output(transform="pandas") if as_frame else first, second, classifier())


ENCODERS: dict[str, Callable[[], Any]] = {
    "one-hot": one_hot,
    "one-hot, dense": lambda: one_hot(sparse_output=False),
    "one-hot, first dropped": lambda: one_hot(drop="first"),
    "one-hot, dropped by name": lambda: one_hot(drop=["cook", 2]),
    "one-hot, binary dropped": lambda: one_hot(drop="if_binary"),
    "one-hot, infrequent": lambda: one_hot(handle_unknown="infrequent_if_exist", min_frequency=12),
    "one-hot, most categories": lambda: one_hot(handle_unknown="infrequent_if_exist", max_categories=3, drop="first"),
    "one-hot, infrequent but unknown ignored": lambda: one_hot(min_frequency=0.1),
    "one-hot of a filled gap": lambda: make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()),
    "one-hot, then scaled": lambda: make_pipeline(one_hot(), StandardScaler(with_mean=False)),
    "one-hot, then components": lambda: make_pipeline(one_hot(), TruncatedSVD(3, random_state=0)),
    "ordinal": ordinal,
    "ordinal, infrequent": lambda: ordinal(min_frequency=12),
    "ordinal, then filled and scaled": lambda: make_pipeline(
        ordinal(encoded_missing_value=np.nan), SimpleImputer(), MinMaxScaler()
    ),
    "by target": lambda: TargetEncoder(random_state=0),
}
PIPELINES: dict[str, Callable[[], Any]] = {
    "remainder passed through": lambda: make_pipeline(
        ColumnTransformer(
            [("c", one_hot(), ["job"]), ("n", filled_numbers(), ["age"]), ("d", "drop", ["name"])],
            remainder="passthrough",
        ),
        classifier(),
    ),
    "remainder scaled": lambda: make_pipeline(
        make_column_transformer(
            (one_hot(), [1]), (filled_numbers(), [0]), ("drop", ["name"]), remainder=MaxAbsScaler()
        ),
        classifier(),
    ),
    "columns by selectors": lambda: make_pipeline(
        make_column_transformer(
            (filled_numbers(), make_column_selector(dtype_include=np.number)),
            (one_hot(), make_column_selector(pattern="job|member")),
        ),
        classifier(),
    ),
    "columns by slices and masks": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("a", one_hot(), slice("grade", "member")),
                ("b", filled_numbers(), [True, False, False, False, False, True]),
                ("c", one_hot(), slice(1, 2)),
                ("d", "passthrough", [-1]),
            ]
        ),
        classifier(),
    ),
    "columns by an index of pandas": lambda: make_pipeline(
        ColumnTransformer([("n", filled_numbers(), TABLE[NUMBERS].columns), ("c", one_hot(), TABLE.columns[[1]])]),
        classifier(),
    ),
    "cached, with names of its own": lambda: Pipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [("n", filled_numbers(), NUMBERS), ("c", one_hot(), ["job"])], verbose_feature_names_out=long_name
                ),
            ),
            ("network", classifier()),
        ],
        memory=Memory(None),
    ),
    "weighted": lambda: make_pipeline(
        ColumnTransformer(
            [("n", filled_numbers(), NUMBERS), ("c", one_hot(), ["job"])], transformer_weights={"n": 0.5, "c": 3}
        ),
        classifier(),
    ),
    "imputed, then encoded": lambda: in_two_steps(as_frame=False),
    "imputed, then encoded by name": lambda: in_two_steps(as_frame=True),
    "marks of missing categories": lambda: beside_numbers(
        make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), one_hot()), ["job"]
    ),
    "a number that stands for a gap": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("g", make_pipeline(SimpleImputer(missing_values=1), StandardScaler()), ["grade"]),
                ("c", one_hot(), ["member"]),
            ]
        ),
        classifier(),
    ),
    "marked beside the category": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("n", filled_numbers(), NUMBERS),
                ("c", one_hot(), ["job"]),
                ("m", make_pipeline(SimpleImputer(strategy="most_frequent", add_indicator=True), one_hot()), ["job"]),
            ]
        ),
        classifier(),
    ),
    "functions": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("l", make_pipeline(SimpleImputer(), FunctionTransformer(np.log1p), StandardScaler()), NUMBERS),
                ("s", FunctionTransformer(np.sqrt), ["income"]),
                ("a", FunctionTransformer(np.abs), ["grade"]),
                ("i", FunctionTransformer(), ["grade"]),
            ]
        ),
        classifier(),
    ),
    "components and choices": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("n", make_pipeline(filled_numbers(), PCA(2, whiten=True)), [0, 3, 5]),
                ("u", FeatureUnion([("r", RobustScaler()), ("f", FunctionTransformer(np.sqrt))]), ["income"]),
                ("c", one_hot(sparse_output=False), ["job"]),
            ]
        ),
        VarianceThreshold(),
        SelectKBest(k=6),
        SelectPercentile(percentile=70),
        MinMaxScaler(clip=True),
        classifier(),
    ),
    "category and number at once": lambda: make_pipeline(
        ColumnTransformer([("c", OneHotEncoder(), ["grade"]), ("n", StandardScaler(), ["grade", "income"])]),
        classifier(),
    ),
    "target scaled": lambda: TransformedTargetRegressor(
        make_pipeline(ColumnTransformer([("n", filled_numbers(), NUMBERS), ("c", one_hot(), ["job"])]), regressor()),
        transformer=StandardScaler(),
    ),
    "target scaled behind the steps": lambda: make_pipeline(
        ColumnTransformer([("n", filled_numbers(), NUMBERS), ("c", one_hot(), ["job"])]),
        TransformedTargetRegressor(regressor(), transformer=make_pipeline(MinMaxScaler(), RobustScaler())),
    ),
    "logarithm of the target": lambda: make_pipeline(
        ColumnTransformer([("n", filled_numbers(), NUMBERS), ("c", one_hot(), ["job"])]),
        TransformedTargetRegressor(regressor(), func=np.log1p, inverse_func=np.expm1),
    ),
}
PIPELINES |= {name: (lambda encoder=encoder: beside_numbers(encoder())) for name, encoder in ENCODERS.items()}


def answers(estimator: Any, frame: pd.DataFrame) -> np.ndarray:
    """Return predict_proba of a classifier, predict of a regressor, (N, K)."""
    call = estimator.predict_proba if hasattr(estimator, "classes_") else estimator.predict
    found: np.ndarray = quietly(call, frame)
    return found.reshape(len(frame), -1)


def write(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)
    return path
