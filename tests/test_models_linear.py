"""Linear models and sums of kernels of scikit-learn: the same numbers as scikit-learn, read without it."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model
import sklearn.svm
import torch
from sklearn.base import is_classifier
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, RationalQuadratic, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    RANSACRegressor,
    Ridge,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, NuSVR

import ihcli
from ihcli.errors import ModelError
from ihcli.models import Model, load_model
from ihcli.models.pickles.scikit_learn_names import LINEAR_MODELS

# Both sides sum the same products in float64; those of kernels in other orders, of numbers up to 1e3.
AGREEMENT = 1e-11

_RANDOM = np.random.default_rng(0)
INPUTS = _RANDOM.normal(2.0, [1.0, 3.0, 0.2], size=(60, 3))
TWO = np.array(["no", "yes"])[(INPUTS[:, 0] > 2).astype(int)]
THREE = np.digitize(INPUTS[:, 0], [1.5, 2.5])
NUMBERS = np.abs(INPUTS[:, 0] * 2 + INPUTS[:, 1]) + 0.1
TARGETS = {"two": TWO, "three": THREE, "numbers": NUMBERS, "pairs": np.stack([NUMBERS, 1 + NUMBERS**2], axis=1)}
FAR = np.concatenate([INPUTS, 3 * INPUTS, -INPUTS])


def outputs_of(estimator: Any, inputs: Any) -> np.ndarray:
    """What scikit-learn says: probabilities where there are some."""
    method = "predict" if not is_classifier(estimator) else "decision_function"
    method = "predict_proba" if hasattr(estimator, "predict_proba") else method
    return np.asarray(getattr(estimator, method)(inputs)).reshape(len(inputs), -1)


def assert_agrees(estimator: Any, path: Path) -> Model:
    for save in (model_files.save_pickle, model_files.save_joblib):
        model = load_model(save(estimator, path))
        found = model.outputs(torch.tensor(FAR)).numpy()
        np.testing.assert_allclose(found, outputs_of(estimator, FAR), AGREEMENT, AGREEMENT)
    assert (model.n_inputs, model.dtype) == (3, torch.float64)
    return model


def every_linear_model() -> dict[str, Any]:
    homes = (sklearn.linear_model, sklearn.svm)
    found = {name: next((getattr(home, name) for home in homes if hasattr(home, name)), None) for name in LINEAR_MODELS}
    return found | {"LinearDiscriminantAnalysis": LinearDiscriminantAnalysis}


@pytest.mark.parametrize("name", LINEAR_MODELS)
@pytest.mark.filterwarnings("ignore")  # of fitting: some are deprecated, some do not converge
def test_every_linear_model_agrees_alone_and_behind_a_scaler(name: str, tmp_path: Path) -> None:
    kind, fitted = every_linear_model()[name], 0
    for label, target in TARGETS.items():
        if is_classifier(kind()) != (label in ("two", "three")):
            continue
        for estimator in (kind(), make_pipeline(StandardScaler(), kind())):
            try:
                estimator.fit(INPUTS, target)
            except ValueError:
                continue  # it takes no such target
            fitted += 1
            model = assert_agrees(estimator, tmp_path / "model")
            assert (model.task == "regression") is (label in ("numbers", "pairs"))
    assert fitted >= 2


OTHERS: dict[str, tuple[Callable[[], Any], str]] = {
    "logistic loss": (lambda: SGDClassifier(loss="log_loss", random_state=0), "two"),
    "logistic loss, one against the rest": (lambda: SGDClassifier(loss="log_loss", random_state=0), "three"),
    "between the losses": (lambda: SGDClassifier(loss="modified_huber", random_state=0), "two"),
    "liblinear": (lambda: LogisticRegression(solver="liblinear"), "two"),
    "logarithm as link": (lambda: TweedieRegressor(power=0, link="log"), "numbers"),
    "power between Poisson and gamma": (lambda: TweedieRegressor(power=1.5), "numbers"),
    "consensus": (lambda: RANSACRegressor(random_state=0), "numbers"),
    "frozen": (lambda: FrozenEstimator(LinearRegression().fit(INPUTS, NUMBERS)), "numbers"),
    "logarithm of the target": (
        lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
        "numbers",
    ),
    **{
        f"{kernel}, {kind.__name__}, {target}": (
            functools.partial(kind, kernel=kernel, coef0=0.3, decision_function_shape="ovo"),
            target,
        )
        for kernel in ("linear", "poly", "rbf", "sigmoid")
        for kind in (SVC, NuSVC)
        for target in ("two", "three")
    },
    **{
        f"{kernel}, {kind.__name__}": (functools.partial(kind, kernel=kernel, coef0=0.3), "numbers")
        for kernel in ("linear", "poly", "rbf", "sigmoid")
        for kind in (SVR, NuSVR)
    },
    **{
        f"Gaussian process, {kernel}": (
            functools.partial(GaussianProcessRegressor, kernel, alpha=0.1, optimizer=None),
            "numbers",
        )
        for kernel in (
            None,
            RBF([1.0, 2.0, 3.0]) + WhiteKernel(),
            ConstantKernel(2.0) * RationalQuadratic(2.0, 0.7) + DotProduct(0.5),
            DotProduct() ** 2 + RBF() * RBF(2.0),
        )
    },
    "Gaussian process of two outputs": (
        lambda: GaussianProcessRegressor(RBF(), alpha=0.1, optimizer=None, normalize_y=True),
        "pairs",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_link_and_kernel_agrees(name: str, tmp_path: Path) -> None:
    make, target = OTHERS[name]
    assert_agrees(model_files.quietly(make().fit, INPUTS, TARGETS[target]), tmp_path / "model")


@pytest.mark.parametrize(
    ("estimator", "attributes"),
    [
        (LogisticRegression(solver="liblinear"), {"multi_class": "auto"}),
        (LogisticRegression(), {"multi_class": "ovr"}),
        (LogisticRegression(), {"multi_class": "multinomial"}),
    ],
)
def test_files_of_releases_that_chose_between_classes_are_read_as_these_did(
    estimator: Any, attributes: dict[str, Any], tmp_path: Path
) -> None:
    """Before 1.8 `multi_class` told classes apart: by shares of sigmoids, or the softmax, that of -u and u for two."""
    k = 2 if attributes["multi_class"] == "multinomial" else 3
    estimator.classes_, estimator.n_features_in_ = np.arange(k), 3
    weights = _RANDOM.normal(size=(1 if k == 2 else k, 3))
    estimator.coef_, estimator.intercept_ = weights, np.zeros(len(weights))
    vars(estimator).update(attributes)
    found = load_model(model_files.save_pickle(estimator, tmp_path / "m")).outputs(torch.tensor(INPUTS)).numpy()
    u = INPUTS @ weights.T
    shares = np.exp(np.concatenate([-u, u], axis=1)) if k == 2 else 1 / (1 + np.exp(-u))
    np.testing.assert_allclose(found, shares / shares.sum(axis=1, keepdims=True), AGREEMENT, AGREEMENT)


def test_classes_name_probabilities_and_decisions(tmp_path: Path) -> None:
    probable, deciding = LogisticRegression().fit(INPUTS, TWO), SVC().fit(INPUTS, TWO)
    assert assert_agrees(probable, tmp_path / "m").output_names == ("no", "yes")
    assert assert_agrees(deciding, tmp_path / "m").output_names == ("yes",)
    pairs = SVC(decision_function_shape="ovo").fit(INPUTS, THREE)
    assert assert_agrees(pairs, tmp_path / "m").output_names == ("0 over 1", "0 over 2", "1 over 2")


def people(n: int = 60) -> pd.DataFrame:
    return pd.DataFrame(
        {"age": _RANDOM.normal(40, 9, n), "job": _RANDOM.choice(["clerk", "cook", "smith"], n), "pay": NUMBERS[:n]}
    )


@pytest.mark.parametrize(
    ("predictor", "has_pairs"),
    [(Ridge(), False), (LogisticRegression(), True), (SVC(), True), (PoissonRegressor(), True)],
)
def test_a_raw_table_before_a_linear_model_or_kernel_is_explained_exactly(predictor: Any, has_pairs: bool) -> None:
    frame = people()
    front = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
        (OneHotEncoder(), ["job"]),
        ("passthrough", ["pay"]),
    )
    target = TWO if is_classifier(predictor) else NUMBERS
    pipeline = make_pipeline(front, predictor).fit(frame, target)
    found = ihcli.explain(pipeline, frame, target=0, tolerance=1e-6)
    assert set(found.status) == {"ok"}
    assert sorted(found.feature_names) == ["age", "job", "pay"]
    np.testing.assert_allclose(found.prediction, outputs_of(pipeline, frame)[:, 0], AGREEMENT, AGREEMENT)
    sums = found.prediction - found.baseline_prediction
    np.testing.assert_allclose(found.attributions.sum(axis=1), sums, atol=1e-5)
    off_diagonal = found.interactions * (1 - np.eye(3))
    assert bool(np.abs(off_diagonal).max() > 1e-6) is has_pairs


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for name, value in {"coef_": np.zeros((2, 0)), "intercept_": np.zeros(5), "classes_": np.arange(4)}.items():
        estimator = LogisticRegression().fit(INPUTS, THREE)
        setattr(estimator, name, value)
        with pytest.raises(ModelError, match=r"LogisticRegression"):
            load_model(model_files.save_pickle(estimator, tmp_path / "m"))
    machine = SVC(decision_function_shape="ovo").fit(INPUTS, THREE)
    machine._n_support = np.array([1, 2, 3], dtype=np.int32)
    with pytest.raises(ModelError, match="the dual_coef_ of its SVC are not as fitting leaves them"):
        load_model(model_files.save_pickle(machine, tmp_path / "m"))


def test_a_kernel_of_many_parts_over_many_rows_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    """Each part would hold the rows of training once more: here 5 GB of 80 MB."""
    kernel: Any = DotProduct()
    for _ in range(5):
        kernel = kernel + kernel
    machine = GaussianProcessRegressor(DotProduct(), alpha=0.1, optimizer=None).fit(INPUTS, NUMBERS)
    machine.kernel_, machine.X_train_, machine.alpha_ = kernel, np.zeros((1 << 20, 3)), np.zeros(1 << 20)
    with pytest.raises(ModelError, match="takes more than"):
        load_model(model_files.save_joblib(machine, tmp_path / "m"))
    machine.kernel_ = kernel + kernel
    with pytest.raises(ModelError, match=r"takes more than|of more than 64 parts"):
        load_model(model_files.save_joblib(machine, tmp_path / "m"))
