"""scikit-learn networks: the same numbers as scikit-learn, read without it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PolynomialFeatures, RobustScaler, StandardScaler

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models import Model, load_model

# Both sides sum the same few products in float64.
AGREEMENT = 1e-12

_RANDOM = np.random.default_rng(0)
INPUTS = _RANDOM.normal(3.0, [0.1, 1.0, 20.0, 5.0], size=(80, 4))
_SCORE = (INPUTS - INPUTS.mean(0)) / INPUTS.std(0)
BINARY = np.array(["no", "yes"])[(_SCORE[:, 0] > 0).astype(int)]
MULTI_CLASS = np.array([3, 5, 9])[np.digitize(_SCORE[:, 1], [-0.5, 0.5])]
MULTI_LABEL = (_SCORE[:, :3] > 0).astype(int)
REGRESSION = _SCORE[:, 0] * _SCORE[:, 1]
MULTI_OUTPUT = np.stack([REGRESSION, _SCORE[:, 2]], axis=1)
COUNTS = np.abs(REGRESSION)
SCALERS: dict[str, Callable[[], Any]] = {
    "standard": StandardScaler,
    "standard, no mean": lambda: StandardScaler(with_mean=False),
    "standard, no std": lambda: StandardScaler(with_std=False),
    "standard, neither": lambda: StandardScaler(with_mean=False, with_std=False),
    "min-max": MinMaxScaler,
    "min-max, range": lambda: MinMaxScaler(feature_range=(-1, 2)),
    "min-max, clip": lambda: MinMaxScaler(feature_range=(-0.5, 0.5), clip=True),
    "max-abs": MaxAbsScaler,
    "max-abs, clip": lambda: MaxAbsScaler(clip=True),
    "robust": RobustScaler,
    "robust, no centre": lambda: RobustScaler(with_centering=False),
    "robust, no scale": lambda: RobustScaler(with_scaling=False),
    "robust, neither": lambda: RobustScaler(with_centering=False, with_scaling=False),
}


def fitted(network: Any, targets: np.ndarray, *scalers: Any, inputs: Any = INPUTS) -> Any:
    model = make_pipeline(*scalers, network) if scalers else network
    return model_files.quietly(model.fit, inputs, targets)


def classifier(**keywords: Any) -> MLPClassifier:
    return MLPClassifier((6, 5), **{"max_iter": 15, "random_state": 0} | keywords)


def regressor(**keywords: Any) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(6,), **{"max_iter": 15, "random_state": 0} | keywords)


def outputs(model: Model, inputs: np.ndarray) -> np.ndarray:
    return model.outputs(torch.tensor(inputs, dtype=model.dtype)).numpy()


def assert_agrees(estimator: Any, path: Path) -> Model:
    """Compare on rows far outside the range of training too, where clipping shows."""
    inputs = np.concatenate([INPUTS, 3 * INPUTS, -INPUTS])
    wanted = estimator.predict_proba(inputs) if hasattr(estimator, "classes_") else estimator.predict(inputs)
    for save in (model_files.save_pickle, model_files.save_joblib):
        model = load_model(save(estimator, path))
        np.testing.assert_allclose(outputs(model, inputs), wanted.reshape(len(inputs), -1), AGREEMENT, AGREEMENT)
    assert (model.n_inputs, model.dtype) == (4, torch.float64)
    return model


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_every_activation_agrees(activation: str, tmp_path: Path) -> None:
    assert_agrees(fitted(classifier(activation=activation), MULTI_CLASS, StandardScaler()), tmp_path / "model")
    assert_agrees(fitted(regressor(activation=activation), REGRESSION, StandardScaler()), tmp_path / "model")


@pytest.mark.parametrize("scaler", SCALERS)
def test_every_scaler_agrees(scaler: str, tmp_path: Path) -> None:
    assert_agrees(fitted(classifier(), MULTI_CLASS, SCALERS[scaler]()), tmp_path / "model")


@pytest.mark.parametrize("scaler", SCALERS)
def test_zero_is_what_the_scaler_maps_to_zero(scaler: str, tmp_path: Path) -> None:
    pipeline = fitted(classifier(), MULTI_CLASS, SCALERS[scaler]())
    model = load_model(model_files.save_pickle(pipeline, tmp_path / "model"))
    np.testing.assert_allclose(pipeline[0].transform([model.zero]), 0, atol=1e-9)


def test_zero_is_the_nearest_where_clipping_puts_zero_out_of_reach(tmp_path: Path) -> None:
    pipeline = fitted(classifier(), MULTI_CLASS, MinMaxScaler(feature_range=(1, 2), clip=True))
    model = load_model(model_files.save_pickle(pipeline, tmp_path / "model"))
    np.testing.assert_allclose(model.zero, INPUTS.min(axis=0), atol=1e-9)


def test_several_scalers_and_nested_pipelines_are_folded_in(tmp_path: Path) -> None:
    inner = make_pipeline(StandardScaler(), "passthrough", MinMaxScaler())
    pipeline = fitted(classifier(), MULTI_CLASS, inner, RobustScaler())
    model = assert_agrees(pipeline, tmp_path / "model")
    np.testing.assert_allclose(pipeline[:-1].transform([model.zero]), 0, atol=1e-9)


def test_a_binary_classifier_gives_both_probabilities_in_the_order_of_its_classes(tmp_path: Path) -> None:
    model = assert_agrees(fitted(classifier(), BINARY, StandardScaler()), tmp_path / "model")
    assert model.output_names == ("no", "yes")
    assert_agrees(fitted(classifier(), BINARY.astype(object), StandardScaler()), tmp_path / "model")


def test_a_multi_class_classifier_is_named_by_its_classes(tmp_path: Path) -> None:
    assert assert_agrees(fitted(classifier(), MULTI_CLASS), tmp_path / "model").output_names == ("3", "5", "9")


def test_a_multi_label_classifier_agrees(tmp_path: Path) -> None:
    model = assert_agrees(fitted(classifier(), MULTI_LABEL, StandardScaler()), tmp_path / "model")
    assert model.output_names == ("0", "1", "2")


def test_regressors_with_several_outputs_and_poisson_loss_agree(tmp_path: Path) -> None:
    assert assert_agrees(fitted(regressor(), MULTI_OUTPUT, StandardScaler()), tmp_path / "model").output_names is None
    if "loss" in regressor().get_params():
        assert_agrees(fitted(regressor(loss="poisson"), COUNTS, StandardScaler()), tmp_path / "model")


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("random_state", [None, 0, np.random.RandomState(0)])
def test_optimisers_and_random_states_in_the_file_are_harmless(solver: str, random_state: Any, tmp_path: Path) -> None:
    network = classifier(solver=solver, random_state=random_state, early_stopping=solver != "lbfgs")
    assert_agrees(fitted(network, BINARY), tmp_path / "model")


@pytest.mark.parametrize("protocol", model_files.PROTOCOLS)
@pytest.mark.parametrize("save", [model_files.save_pickle, model_files.save_joblib])
def test_every_protocol_is_read(save: Callable[..., Path], protocol: int, tmp_path: Path) -> None:
    pipeline = fitted(classifier(), BINARY.astype(object), StandardScaler())
    model = load_model(save(pipeline, tmp_path / "model", protocol=protocol))
    np.testing.assert_allclose(outputs(model, INPUTS), pipeline.predict_proba(INPUTS), atol=AGREEMENT)


@pytest.mark.parametrize("compress", ["zlib", "gzip", "bz2", "lzma", "xz"])
def test_every_compression_is_read(compress: str, tmp_path: Path) -> None:
    pipeline = fitted(classifier(), BINARY, StandardScaler())
    model = load_model(model_files.save_joblib(pipeline, tmp_path / "model", compress=(compress, 3)))
    np.testing.assert_allclose(outputs(model, INPUTS), pipeline.predict_proba(INPUTS), atol=AGREEMENT)


def test_feature_names_come_from_the_pipeline_and_from_a_bare_network(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(INPUTS, columns=["a", "b", "c", "d"])
    for scalers in ((), (StandardScaler(),)):
        estimator = fitted(classifier(), BINARY, *scalers, inputs=frame)
        for save in (model_files.save_pickle, model_files.save_joblib):
            assert load_model(save(estimator, tmp_path / "model")).feature_names == ("a", "b", "c", "d")
    assert load_model(model_files.save_pickle(fitted(classifier(), BINARY), tmp_path / "model")).feature_names is None


def test_weights_trained_in_float32_are_read_as_float64_unless_asked(tmp_path: Path) -> None:
    path = model_files.save_pickle(fitted(classifier(), BINARY, inputs=INPUTS.astype(np.float32)), tmp_path / "model")
    assert load_model(path).dtype is torch.float64
    assert load_model(path, dtype=torch.float32).dtype is torch.float32


def test_neither_scikit_learn_nor_joblib_is_imported(tmp_path: Path) -> None:
    pipeline = fitted(classifier(), BINARY.astype(object), StandardScaler())
    paths = [
        model_files.save_pickle(pipeline, tmp_path / "pickle"),
        model_files.save_joblib(pipeline, tmp_path / "joblib"),
        model_files.save_joblib(pipeline, tmp_path / "zlib", compress=3),
    ]
    script = (
        "import sys\n"
        "sys.modules['sklearn'] = sys.modules['joblib'] = None\n"
        "from ihcli.models import load_model\n"
        "for path in sys.argv[1:]: load_model(path)\n"
        "names = {name.partition('.')[0] for name, module in sys.modules.items() if module is not None}\n"
        "assert not names & {'sklearn', 'joblib'}, names\n"
    )
    subprocess.run([sys.executable, "-c", script, *map(str, paths)], check=True, cwd=Path(__file__).parents[1])


def test_an_unfitted_network_or_scaler_says_so(tmp_path: Path) -> None:
    path = model_files.save_pickle(classifier(), tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value) == (
        f"{path}: its MLPClassifier was not fitted (it has no coefs_). Try calling fit before saving it."
    )
    path = model_files.save_joblib(make_pipeline(StandardScaler(), fitted(classifier(), BINARY)), tmp_path / "model")
    with pytest.raises(ModelError, match=r"its StandardScaler was not fitted .* Try calling fit"):
        load_model(path)


def test_a_step_that_cannot_be_folded_in_is_named(tmp_path: Path) -> None:
    path = model_files.save_pickle(fitted(classifier(), BINARY, PolynomialFeatures()), tmp_path / "model")
    for trust in (False, True):
        with pytest.raises(
            UnsafeModelError, match=r"a Pipeline with 'PolynomialFeatures', which cannot be folded in\."
        ):
            load_model(path, trust=trust)


def test_a_pipeline_that_does_not_end_in_a_network_is_refused(tmp_path: Path) -> None:
    path = model_files.save_pickle(make_pipeline(StandardScaler()).fit(INPUTS), tmp_path / "model")
    with pytest.raises(ModelError, match="a Pipeline that does not end in a predictor"):
        load_model(path)
    path = model_files.save_pickle(make_pipeline(regressor(), fitted(regressor(), REGRESSION)), tmp_path / "model")
    with pytest.raises(ModelError, match="a Pipeline with 'MLPRegressor', which cannot be folded in"):
        load_model(path)


def test_trust_reads_the_same_numbers_through_scikit_learn(tmp_path: Path) -> None:
    pipeline = fitted(classifier(), BINARY, StandardScaler())
    pipeline[-1].note = np.polynomial.Polynomial([1.0])
    for save in (model_files.save_pickle, model_files.save_joblib):
        path = save(pipeline, tmp_path / "model")
        with pytest.raises(UnsafeModelError, match=r"numpy\.polynomial"):
            load_model(path)
        model = load_model(path, trust=True)
        np.testing.assert_allclose(outputs(model, INPUTS), pipeline.predict_proba(INPUTS), atol=AGREEMENT)


def test_weights_that_are_one_array_many_times_are_refused(tmp_path: Path) -> None:
    """Each would be converted into memory of its own: here 8 GB of 8 MB."""
    x = np.random.default_rng(0).standard_normal((20, 3))
    network = model_files.quietly(MLPRegressor(hidden_layer_sizes=[3], max_iter=2).fit, x, x[:, 0])
    square, bias = np.zeros((1000, 1000)), np.zeros(1000)
    for times, words in ((1000, "the same array many times over"), (2000, "do not fit each other")):
        network.coefs_, network.intercepts_ = [square] * times, [bias] * times
        with pytest.raises(ModelError, match=words) as caught:
            load_model(model_files.save_pickle(network, tmp_path / "model"))
        assert len(str(caught.value)) < 1500
