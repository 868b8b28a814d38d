"""Models that people bring to ihcli.explain: paths, modules, estimators, functions of tensors; and devices."""

import copy
import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.errors import ModelError, OptionError
from ihcli.library.models import model_of

SAME_FUNCTION = 1e-6
"""The same weights in float32, through another way."""
ROWS = np.random.default_rng(0).standard_normal((12, 3))


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 2)).to(dtype)


class Wrapped:
    """An object of somebody's own with a network inside."""

    def __init__(self) -> None:
        self.net = network()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def second(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)[:, 1]


NET = network()


def of_global(x: torch.Tensor) -> torch.Tensor:
    return NET(x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: network().__call__,
        lambda: (lambda net: lambda x: net(x))(network()),
        lambda: functools.partial(lambda net, x: net(x), network()),
        lambda: of_global,
        Wrapped,
        lambda: torch.jit.trace(network(), torch.zeros(2, 3)),
    ],
    ids=["bound", "closure", "partial", "global", "object", "traced"],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_functions_of_tensors_are_explained_like_their_network(make: Callable[[], Any]) -> None:
    expected, found = ihcli.explain(network(), ROWS, target=1), ihcli.explain(make(), ROWS, target=1)
    np.testing.assert_allclose(found.interactions, expected.interactions, atol=SAME_FUNCTION)
    assert set(found.status) == {"ok"}


def test_a_function_computes_in_the_precision_of_what_it_calls() -> None:
    for dtype in (torch.float32, torch.float64):
        net = network(dtype)
        found = ihcli.explain(lambda x, net=net: net(x)[:, 0], ROWS)
        assert found.attributions.dtype == np.dtype(str(dtype).removeprefix("torch."))
    weights = torch.tensor([1.0, 2.0, 3.0])
    assert ihcli.explain(lambda x: torch.tanh(x @ weights), ROWS).attributions.dtype == np.float32
    assert ihcli.explain(lambda x: torch.tanh(x).sum(1), ROWS).attributions.dtype == np.float64


def test_the_networks_that_a_function_calls_are_in_eval_mode_meanwhile() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Softplus(), nn.Linear(8, 1)).train()
    found = ihcli.explain(lambda x: net(x), ROWS)
    assert set(found.status) == {"ok"}
    assert all(part.training for part in net.modules())
    assert all(weight.requires_grad for weight in net.parameters())


def test_a_function_of_several_tensors_takes_a_part_for_each() -> None:
    found = ihcli.explain(lambda a, b: (a * b).sum(1), (ROWS[:, :1], ROWS[:, 1:2]), tolerance=1e-9)
    assert found.feature_names == ("a", "b")
    np.testing.assert_allclose(2 * found.interactions[:, 0, 1], ROWS[:, 0] * ROWS[:, 1] / 2, atol=1e-9)


def test_a_path_is_read(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "net.pt")
    expected = ihcli.explain(network(), ROWS, target=1)
    for place in (tmp_path / "net.pt", str(tmp_path / "net.pt")):
        np.testing.assert_array_equal(ihcli.explain(place, ROWS, target=1).attributions, expected.attributions)


def people(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"job": rng.choice(["clerk", "cook", "smith"], n), "age": rng.normal(40, 9, n)})


def test_a_pipeline_is_explained_by_the_columns_of_its_table(tmp_path: Path) -> None:
    frame = people()
    front = make_column_transformer((OneHotEncoder(), ["job"]), (StandardScaler(), ["age"]))
    pipeline = make_pipeline(front, MLPClassifier((8,), activation="tanh", max_iter=60, random_state=0))
    model_files.quietly(pipeline.fit, frame, np.where(frame["age"] > 40, "old", "young"))
    found = ihcli.explain(pipeline, frame, target="old")
    assert found.feature_names == ("job", "age")
    np.testing.assert_allclose(found.prediction, pipeline.predict_proba(frame)[:, 0], atol=1e-9)
    saved = ihcli.explain(
        ihcli.load_model(model_files.save_joblib(pipeline, tmp_path / "m.joblib")), frame, target="old"
    )
    np.testing.assert_array_equal(found.interactions, saved.interactions)


def quantile() -> Any:
    pipeline = make_pipeline(QuantileTransformer(n_quantiles=5), MLPClassifier((4,), max_iter=5))
    return model_files.quietly(pipeline.fit, ROWS, ROWS[:, 0] > 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: None, r"^model: a NoneType\. Expected a path, a torch module, a function of tensors, or an estimator"),
        (lambda: nn.Linear, r"^model: Linear is a class\. .* Try an instance of it\.$"),
        (
            lambda: RandomForestClassifier(2).fit(ROWS, ROWS[:, 0] > 0),
            r"^model: a RandomForestClassifier, which is piecewise constant: it has no gradients\. .* Try ihcli",
        ),
        (quantile, r"has steps that no layers stand for: 'QuantileTransformer'\."),
        (lambda: quantile().predict_proba, r"^model: a method of Pipeline, .* Try the estimator itself\.$"),
        (lambda: MLPClassifier(), r"^model: its MLPClassifier was not fitted"),
        (lambda: lambda x: x.numpy().sum(1), r"^model: fails where it is called: Can't call numpy\(\) .* torch\.rand"),
        (lambda: lambda x: np.zeros(len(x)), r"^model: returns a ndarray for a tensor\. Expected a tensor"),
        (lambda: lambda x: x.detach().sum(1), r"^model: gradients do not flow .* without detach\(\)"),
        (lambda: lambda a, b: a, r"^model: its forward takes 2 arguments, a and b\. .* Try `inputs=a=COLUMNS`"),
    ],
)
def test_what_is_no_model_is_refused_before_work(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ihcli.explain(make(), ROWS)


def test_a_device_that_is_not_there_is_refused_and_the_models_own_is_taken() -> None:
    with pytest.raises(OptionError, match=r"^`device`: 'cudaa' cannot be used"):
        ihcli.explain(network(), ROWS, device="cudaa")
    net = network()
    assert ihcli.explain(net, ROWS, device="cpu")[0].target == ihcli.explain(net, ROWS)[0].target


def test_a_model_is_copied_to_another_device_and_stays_where_it_is() -> None:
    net = network()
    assert model_of(net, "meta").device.type == next(model_of(net, "meta").module.parameters()).device.type == "meta"
    assert {weight.device.type for weight in net.parameters()} == {"cpu"}
    with pytest.raises(OptionError, match=r"^`device`: model cannot be copied to meta: TypeError: a function calls"):
        model_of(lambda x: net(x), "meta")


@pytest.mark.parametrize("dtype", ["float64", torch.float64, np.float64, np.dtype("float64")])
def test_a_model_is_copied_to_another_precision_and_stays_in_its_own(dtype: Any) -> None:
    net = network()
    wide = ihcli.explain(net, ROWS, target=0, dtype=dtype)
    by_hand = ihcli.explain(copy.deepcopy(net).double(), ROWS, target=0)
    assert wide.attributions.dtype == np.float64
    np.testing.assert_array_equal(wide.attributions, by_hand.attributions)
    assert {weight.dtype for weight in net.parameters()} == {torch.float32}
    assert ihcli.explain(net, ROWS, target=0).attributions.dtype == np.float32


def test_files_and_estimators_are_read_in_the_precision_that_is_asked(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "net.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five steps are not all
        estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0).fit(ROWS, ROWS[:, 0])
    for model in (tmp_path / "net.pt", ihcli.load_model(tmp_path / "net.pt"), estimator):
        for dtype in ("float32", "float64"):
            assert ihcli.explain(model, ROWS, dtype=dtype).attributions.dtype == dtype


def test_a_run_saved_in_another_precision_is_verified_in_it(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "net.pt")
    saved = ihcli.explain(tmp_path / "net.pt", ROWS, target=0, dtype="float64").save(tmp_path / "run")
    assert saved.run.info.dtype == "float64"
    found = CliRunner().invoke(
        main, ["verify", *map(str, (tmp_path / "run", tmp_path / "net.pt", tmp_path / "run" / "data.parquet"))]
    )
    assert found.exit_code == 0, found.output


def test_a_function_keeps_its_precision_and_says_what_helps() -> None:
    net = network()
    with pytest.raises(OptionError, match=r"^`dtype`: model cannot be copied .*Try what it calls in float64"):
        ihcli.explain(lambda x: net(x), ROWS, dtype="float64")
    net.double()
    assert ihcli.explain(lambda x: net(x), ROWS, target=0, dtype="float64").attributions.dtype == np.float64
