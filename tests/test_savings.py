"""The commonest savings that are no model: what each is called, and that the step its message proposes works.

Each line is run as a user would, in a shell beside the file; what it writes is then explained.
"""

import ast
import functools
import os
import pickle
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from prepared import python
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import ihcli
from ihcli.cli import main
from ihcli.errors import ModelError
from ihcli.models import Model, load_model

TRAIN = """
import pickle, sys
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(3, width)

    def forward(self, inputs):
        return torch.tanh(self.layer(inputs))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = Block(5), nn.Linear(5, 2)

    def forward(self, inputs):
        return self.last(self.first(inputs))

class Options(dict):
    pass

class Holder:
    def __init__(self, network):
        self.network = network

if __name__ == "__main__":
    torch.manual_seed(0)
    net = Net()
"""
SKORCH = """
class NeuralNetClassifier:
    def __init__(self, module):
        self.module_, self.module = module, type(module)

    def __getstate__(self):
        return vars(self) | {"__cuda_dependent_attributes__": b"as skorch keeps it"}
"""
SAVED_BY_SCRIPT = {
    "skorch": "from skorch.classifier import NeuralNetClassifier as Classifier;"
    " pickle.dump(Classifier(net), open('model.pt', 'wb'))",
    "of the script": "torch.save(net, 'model.pt')",
    "legacy": "torch.save(net, 'model.pt', _use_new_zipfile_serialization=False)",
    "pickle": "pickle.dump(net, open('model.pt', 'wb'))",
    "layers of torch around it": "torch.save(nn.DataParallel(nn.Sequential(net)), 'model.pt')",
    "dictionary": "torch.save({'net': net, 'threshold': 0.3}, 'model.pt')",
    "attribute": "torch.save(Holder(net), 'model.pt')",
    "list": "torch.save([net, Net()], 'model.pt')",
    "state_dict": "torch.save(net.state_dict(), 'model.pt')",
    "legacy state_dict": "torch.save(net.state_dict(), 'model.pt', _use_new_zipfile_serialization=False)",
    "state_dict of DataParallel": "torch.save(nn.DataParallel(net).state_dict(), 'model.pt')",
    "pickled state_dict": "pickle.dump(net.state_dict(), open('model.pt', 'wb'))",
    "checkpoint": "torch.save({'epoch': 3, 'model_state_dict': net.state_dict(), 'optimizer_state_dict':"
    " torch.optim.Adam(net.parameters()).state_dict()}, 'model.pt')",
    "checkpoint of options": "torch.save({'net': net.state_dict(), 'options': Options(a=1)}, 'model.pt')",
    "Lightning": "torch.save({'pytorch-lightning_version': '2.5', 'epoch': 1, 'hyper_parameters': Options(a=1),"
    " 'state_dict': {'model.' + key: value for key, value in net.state_dict().items()}}, 'model.pt')",
}
WORDS = {
    "skorch": "a skorch net (NeuralNetClassifier)",
    "of the script": "asks for '__main__.Net', '__main__.Block', of the script that saved it",
    "dictionary": "a dictionary (keys 'net', 'threshold'), not a model, with a torch module at [\"net\"]",
    "attribute": "holds __main__.Holder, which is not read, with a torch module at .network",
    "list": "holds a list, not a model, with a torch module at [0]",
    "state_dict": "a state_dict, the weights without the network",
    "checkpoint": 'with a state_dict, the weights without the network at ["model_state_dict"]',
    "Lightning": 'a Lightning checkpoint, with a state_dict, the weights without the network at ["state_dict"]',
}


def lines_of(message: str) -> list[str]:
    """Return the lines for a shell that a message proposes; their code has no single quote in it."""
    return re.findall(r"python -c '[^']*'", message)


def refused(path: Path, trust: bool = False) -> str:
    with pytest.raises(ModelError) as caught:
        model_files.quietly(load_model, path, trust=trust)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    return message


def follow(path: Path, message: str, table: str = "d.csv") -> Path:
    """Run the line of a message and explain what it writes; return that model."""
    (line,) = lines_of(message)
    line = line.replace("python", python(), 1).replace("DATA.csv", "d.csv")
    done = subprocess.run(["sh", "-c", line], cwd=path.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (named,) = set(re.findall(r"(\S+) as MODEL", message))
    done_by_us = CliRunner().invoke(
        main,
        ["explain", str(path.parent / named), str(path.parent / table), "-m", "ig", "-o", str(path.parent / "run")],
    )
    assert done_by_us.exit_code == 0, done_by_us.output
    return path.parent / named


def table_of(tmp_path: Path) -> pd.DataFrame:
    frame = pd.DataFrame(model_files.rows(20).numpy().astype(float), columns=["a", "b", "c"])
    frame.to_csv(tmp_path / "d.csv", index=False)
    return frame


@pytest.mark.parametrize("name", SAVED_BY_SCRIPT)
def test_what_a_training_script_saved_is_one_line_from_a_model(name: str, tmp_path: Path) -> None:
    (tmp_path / "skorch").mkdir()
    (tmp_path / "skorch" / "classifier.py").write_text(SKORCH)
    (tmp_path / "train.py").write_text(TRAIN + f"    {SAVED_BY_SCRIPT[name]}\n")
    subprocess.run([python(), "train.py"], cwd=tmp_path, check=True)
    path, frame = tmp_path / "model.pt", table_of(tmp_path)
    message = refused(path)
    assert WORDS.get(name, "") in message
    assert refused(path, trust=True) == message
    model = with_code(path, message) if "`code=" in message else load_model(follow(path, message))
    torch.manual_seed(0)
    expected = namespace(tmp_path)["Net"]()(torch.tensor(frame.to_numpy(np.float32)))
    torch.testing.assert_close(model.outputs(torch.tensor(frame.to_numpy(np.float32))), expected)


def with_code(path: Path, message: str) -> Model:
    """Explain the file with the option that its message proposes, and return that model."""
    (code,) = re.findall(r"Try `code=(\S+)`, with (?:the file and class|that script) ", message)
    code = f"{path.parent / 'train.py'}:{code.partition(':')[2]}"
    command = [
        "explain",
        str(path),
        str(path.parent / "d.csv"),
        "--code",
        code,
        "-m",
        "ig",
        "-o",
        str(path.parent / "run"),
    ]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return load_model(path, code=code)


def namespace(tmp_path: Path) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "train"}
    exec((tmp_path / "train.py").read_text(), names)
    return names


MIXED = pd.DataFrame(
    {
        "age": np.random.default_rng(0).normal(50, 9, 60),
        "income": np.random.default_rng(1).lognormal(2, 1, 60),
        "city": np.random.default_rng(2).choice(["rome", "oslo"], 60),
    }
)
NUMBERS = MIXED[["age", "income"]]
GAPS = NUMBERS.mask(np.random.default_rng(3).random(NUMBERS.shape) < 0.1)
OLD = (MIXED["age"] > 50).astype(int)


def classifier() -> MLPClassifier:
    return MLPClassifier(hidden_layer_sizes=(4,), max_iter=5, random_state=0)


def regressor() -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0)


def binned() -> ColumnTransformer:
    bins = KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf")
    return ColumnTransformer(
        [("n", make_pipeline(SimpleImputer(), bins), ["age", "income"]), ("c", OneHotEncoder(), ["city"])]
    )


def polynomials(estimator: Any) -> Pipeline:
    return make_pipeline(PolynomialFeatures(), estimator)


def fitted(estimator: Any, table: pd.DataFrame = NUMBERS, target: Any = OLD) -> Any:
    return model_files.quietly(estimator.fit, table, target)


def search(kind: Callable[..., Any], pipeline: Pipeline, table: pd.DataFrame = NUMBERS) -> Any:
    return fitted(kind(pipeline, {f"{pipeline.steps[-1][0]}__alpha": [1e-4, 1e-3]}, cv=2), table)


ESTIMATORS: dict[str, tuple[Callable[[], Any], str, Callable[[Any], Any]]] = {
    "bins beside one-hot": (
        lambda: fitted(make_pipeline(binned(), classifier()), MIXED),
        "a Pipeline with 'KBinsDiscretizer', which cannot be folded in",
        lambda saved: saved.predict_proba(MIXED),
    ),
    "imputer before a scaler": (
        lambda: fitted(make_pipeline(KNNImputer(), StandardScaler(), classifier())),
        "a Pipeline with 'KNNImputer', which cannot be folded in",
        lambda saved: saved.predict_proba(NUMBERS),
    ),
    "quantiles": (
        lambda: fitted(
            make_pipeline(StandardScaler(), QuantileTransformer(n_quantiles=9), StandardScaler(), regressor())
        ),
        "a Pipeline with 'QuantileTransformer', which cannot be folded in",
        lambda saved: saved.predict(NUMBERS),
    ),
    "function": (
        lambda: fitted(make_pipeline(StandardScaler(), FunctionTransformer(np.sign), regressor())),
        "a Pipeline with 'FunctionTransformer of numpy.sign', which cannot be folded in",
        lambda saved: saved.predict(NUMBERS),
    ),
    "function with arguments": (
        lambda: fitted(make_pipeline(FunctionTransformer(np.log1p, kw_args={"dtype": float}), regressor())),
        "a Pipeline with 'FunctionTransformer of log1p with arguments', which cannot be folded in",
        lambda saved: saved.predict(NUMBERS),
    ),
    "indicator": (
        lambda: fitted(make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), classifier()), GAPS),
        "a Pipeline with 'SimpleImputer(add_indicator=True) of numbers', which cannot be folded in",
        lambda saved: saved.predict_proba(GAPS),
    ),
    "union": (
        lambda: fitted(make_pipeline(FeatureUnion([("p", PolynomialFeatures())]), classifier())),
        "a Pipeline with 'PolynomialFeatures', which cannot be folded in",
        lambda saved: saved.predict_proba(NUMBERS),
    ),
    "grid": (
        lambda: search(GridSearchCV, polynomials(classifier())),
        "a GridSearchCV with 'PolynomialFeatures', which cannot be folded in",
        lambda saved: saved.predict_proba(NUMBERS),
    ),
    "random": (
        lambda: search(functools.partial(RandomizedSearchCV, n_iter=1), polynomials(regressor())),
        "a RandomizedSearchCV with 'PolynomialFeatures', which cannot be folded in",
        lambda saved: saved.predict(NUMBERS),
    ),
    "grid of bins": (
        lambda: search(GridSearchCV, make_pipeline(binned(), classifier()), MIXED),
        "a GridSearchCV with 'KBinsDiscretizer', which cannot be folded in",
        lambda saved: saved.predict_proba(MIXED),
    ),
    "grid behind bins": (
        lambda: fitted(make_pipeline(KNNImputer(), GridSearchCV(regressor(), {"alpha": [0.1]}, cv=2))),
        "a Pipeline with 'KNNImputer', which cannot be folded in",
        lambda saved: saved.predict(NUMBERS),
    ),
    "bent target": (
        lambda: fitted(TransformedTargetRegressor(regressor(), transformer=PowerTransformer())),
        "a TransformedTargetRegressor with 'PowerTransformer of the target', which cannot be folded in",
        lambda saved: saved.regressor_.predict(NUMBERS),
    ),
    "bent target behind a scaler": (
        lambda: fitted(
            make_pipeline(StandardScaler(), TransformedTargetRegressor(regressor(), transformer=PowerTransformer()))
        ),
        "a Pipeline with 'PowerTransformer of the target', which cannot be folded in",
        lambda saved: saved[-1].regressor_.predict(saved[0].transform(NUMBERS)),
    ),
    "bent target of polynomials": (
        lambda: fitted(TransformedTargetRegressor(polynomials(regressor()))),
        "a TransformedTargetRegressor with 'PolynomialFeatures', which cannot be folded in",
        lambda saved: saved.regressor_.predict(NUMBERS),
    ),
    "calibrated": (
        lambda: fitted(CalibratedClassifierCV(classifier(), cv=2)),
        "with a scikit-learn predictor at .calibrated_classifiers_[0].estimator",
        lambda saved: saved.calibrated_classifiers_[0].estimator.predict_proba(NUMBERS),
    ),
    "vote": (
        lambda: fitted(VotingClassifier([("a", classifier()), ("b", classifier())])),
        "VotingClassifier, which is not read, with a scikit-learn predictor at .estimators_[0]",
        lambda saved: saved.estimators_[0].predict_proba(NUMBERS),
    ),
    "vote behind a scaler": (
        lambda: fitted(make_pipeline(StandardScaler(), VotingClassifier([("a", classifier()), ("b", classifier())]))),
        "a Pipeline with 'VotingClassifier', which cannot be folded in",
        lambda saved: saved[-1].estimators_[0].predict_proba(saved[0].transform(NUMBERS)),
    ),
    "bags behind a scaler": (
        lambda: fitted(make_pipeline(StandardScaler(), BaggingRegressor(regressor(), n_estimators=2))),
        "a Pipeline with 'BaggingRegressor', which cannot be folded in",
        lambda saved: saved[-1].estimators_[0].predict(saved[0].transform(NUMBERS)),
    ),
    "calibrated behind a scaler": (
        lambda: fitted(make_pipeline(StandardScaler(), CalibratedClassifierCV(classifier(), cv=2))),
        "Its outputs are then those before calibration, of one fold",
        lambda saved: saved[-1].calibrated_classifiers_[0].estimator.predict_proba(saved[0].transform(NUMBERS)),
    ),
    "dictionary": (
        lambda: {"model": fitted(make_pipeline(StandardScaler(), classifier())), "features": ["age", "income"]},
        "a dictionary (keys 'model', 'features'), not a model, with a scikit-learn predictor at [\"model\"]",
        lambda saved: saved["model"].predict_proba(NUMBERS),
    ),
    "dictionary with a scaler": (
        lambda: {"scaler": fitted(StandardScaler()), "model": fitted(regressor())},
        "If its inputs pass through 'scaler' first, save sklearn.pipeline.make_pipeline of both.",
        lambda saved: saved["model"].predict(NUMBERS),
    ),
    "list": (
        lambda: [fitted(regressor()), fitted(regressor(), target=1 - OLD)],
        "There are others, such as at '[1]'.",
        lambda saved: saved[0].predict(NUMBERS),
    ),
}


TABLES = {"bins beside one-hot": MIXED, "grid of bins": MIXED, "indicator": GAPS}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_scikit_learn_object_around_a_network_is_one_line_from_it(name: str, tmp_path: Path) -> None:
    make, words, expected = ESTIMATORS[name]
    saved = make()
    path = model_files.save_joblib(saved, tmp_path / "model.joblib", compress=3 if name == "vote" else 0)
    TABLES.get(name, NUMBERS).to_csv(tmp_path / "d.csv", index=False)
    message = refused(path)
    assert words in message
    assert "pass through 'model' first" not in message
    assert refused(path, trust=True) == message
    table = "transformed.csv" if "transformed.csv as DATA" in message else "d.csv"
    model = load_model(follow(path, message, table))
    inputs = torch.tensor(pd.read_csv(tmp_path / table).to_numpy())
    outputs = model.outputs(inputs).squeeze(1).numpy()
    np.testing.assert_allclose(outputs, model_files.quietly(expected, saved), atol=1e-9)


NO_PREDICTORS: dict[str, Callable[[], Any]] = {
    "PCA": PCA,
    "Pipeline": lambda: make_pipeline(SimpleImputer(), StandardScaler()),
}


@pytest.mark.parametrize("name", NO_PREDICTORS)
def test_a_scikit_learn_object_without_a_predictor_is_refused_once_and_for_all(name: str, tmp_path: Path) -> None:
    path = model_files.save_joblib(fitted(NO_PREDICTORS[name]()), tmp_path / "model.joblib")
    message = refused(path)
    assert name in message
    assert "Nothing in it is a model that is read" in message
    assert "`trust`" not in message
    assert refused(path, trust=True) == message


STEPPED = "which is piecewise constant: it has no gradients"
CLOSED: dict[str, tuple[Callable[[], Any], str]] = {
    "forest": (lambda: RandomForestClassifier(3, random_state=0), f"a RandomForestClassifier, {STEPPED}"),
    "boosting": (lambda: GradientBoostingRegressor(n_estimators=3), f"a GradientBoostingRegressor, {STEPPED}"),
    "histograms": (lambda: HistGradientBoostingClassifier(max_iter=3), f"a HistGradientBoostingClassifier, {STEPPED}"),
    "tree behind a scaler": (
        lambda: make_pipeline(StandardScaler(), DecisionTreeRegressor(max_depth=2)),
        f"a Pipeline that ends in a DecisionTreeRegressor, {STEPPED}",
    ),
    "grid of trees": (
        lambda: GridSearchCV(DecisionTreeClassifier(), {"max_depth": [2]}, cv=2),
        f"a GridSearchCV that ends in a DecisionTreeClassifier, {STEPPED}",
    ),
    "neighbours": (KNeighborsClassifier, f"a KNeighborsClassifier, {STEPPED}"),
    "naive Bayes": (GaussianNB, "a GaussianNB, which is not read"),
    "Gaussian process": (
        lambda: GaussianProcessRegressor(Matern(), alpha=0.1, optimizer=None),
        "a GaussianProcessRegressor, whose kernel has Matern, which is not read",
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_a_predictor_without_layers_is_one_line_from_its_shapley_values(name: str, tmp_path: Path) -> None:
    make, words = CLOSED[name]
    estimator = fitted(make(), NUMBERS.to_numpy())
    path = model_files.save_joblib(estimator, tmp_path / "model.joblib")
    NUMBERS.to_csv(tmp_path / "DATA.csv", index=False)
    message = refused(path)
    assert words in message
    assert refused(path, trust=True) == message
    (line,) = lines_of(message)
    subprocess.run(["sh", "-c", line.replace("python", python(), 1)], cwd=tmp_path, check=True)
    result = ihcli.read(tmp_path / "run")
    assert (result.run.info.method.name, len(result)) == ("shapley", len(NUMBERS))
    with pytest.raises(ModelError) as caught:
        ihcli.explain(estimator, NUMBERS)
    (call,) = re.findall(r"ihcli\.explain\(lambda .*\)(?=, which needs no gradients)", str(caught.value))
    found = eval(call, {"ihcli": ihcli, "torch": torch, "model": estimator, "x": NUMBERS})
    assert set(found.status) <= {"ok", "rounding"}  # where a step function gives the same for row and baseline
    np.testing.assert_allclose(found.attributions, np.stack([result[i].attributions for i in range(60)]), atol=1e-12)


@pytest.mark.parametrize("around", [lambda machine: machine, lambda machine: make_pipeline(StandardScaler(), machine)])
def test_a_support_vector_classifier_of_several_classes_is_one_line_from_numbers(
    around: Callable[[Any], Any], tmp_path: Path
) -> None:
    classes = pd.qcut(NUMBERS["age"], 3, labels=False)
    estimator = fitted(around(SVC()), NUMBERS, classes)
    path = model_files.save_joblib(estimator, tmp_path / "model.joblib")
    message = refused(path)
    assert "an SVC, which counts votes between its classes, and is not smooth" in message
    NUMBERS.to_csv(tmp_path / "d.csv", index=False)
    model = load_model(follow(path, message, "d.csv"))
    with pytest.raises(ModelError, match="counts votes") as caught:
        ihcli.explain(estimator, NUMBERS)
    exec(re.findall(r"Try (.*), which gives a number", str(caught.value))[0], {"model": estimator})
    np.testing.assert_allclose(
        model.outputs(torch.tensor(NUMBERS.to_numpy())).numpy(), estimator.decision_function(NUMBERS), atol=1e-9
    )
    assert set(ihcli.explain(estimator, NUMBERS, target="0 over 2").status) == {"ok"}


def linear_members() -> list[tuple[str, Any]]:
    return [("a", LogisticRegression()), ("b", classifier())]


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: VotingClassifier(linear_members(), voting="soft"), "estimators_[0]"),
        (lambda: BaggingRegressor(Ridge(), 2), "estimators_[0]"),
        (lambda: StackingClassifier(linear_members(), cv=2), "estimators_[0]"),
        (lambda: CalibratedClassifierCV(LinearSVC(), cv=2), "calibrated_classifiers_[0].estimator"),
    ],
)
def test_an_ensemble_in_memory_is_explained_by_a_part_or_by_its_outputs(make: Callable[[], Any], part: str) -> None:
    estimator = fitted(make(), NUMBERS.to_numpy())
    with pytest.raises(ModelError) as caught:
        ihcli.explain(estimator, NUMBERS)
    message = str(caught.value)
    assert f"Try a part of it, model.{part}, or its outputs: ihcli.explain(lambda x:" in message
    names = {"ihcli": ihcli, "torch": torch, "model": estimator, "x": NUMBERS}
    found = model_files.quietly(ihcli.explain, eval(f"model.{part}", names), NUMBERS, target=0)
    assert set(found.status) == {"ok"}
    (call,) = re.findall(r"ihcli\.explain\(lambda .*\)(?=, which needs no gradients)", message)
    found = eval(call, names)
    assert set(found.status) == {"ok"}
    with pytest.raises(ModelError, match=r"Try ihcli\.explain\(lambda x"):
        ihcli.explain(getattr(estimator, "predict_proba", estimator.predict), NUMBERS)


OWN = """
import joblib, numpy, pandas
try:
    import cloudpickle  # which joblib needs, or has within it
except ImportError:
    from joblib.externals import cloudpickle
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

def halved(table):
    return table / 2

if __name__ == "__main__":
    table, function = pandas.read_csv("d.csv"), FUNCTION
    network = MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0)
    pipeline = make_pipeline(FunctionTransformer(function), StandardScaler(), network).fit(table, table["age"])
    numpy.save("expected.npy", pipeline.predict(table))
    DUMP
"""
FUNCTIONS = {
    "of the script": ("halved", "joblib.dump(pipeline, 'model.pkl')", "FunctionTransformer of __main__.halved"),
    "a lambda": (
        "lambda table: table / 2",
        "open('model.pkl', 'wb').write(cloudpickle.dumps(pipeline))",
        "FunctionTransformer of a function that cloudpickle saved",
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_ones_own_is_one_line_from_the_network_behind_it(name: str, tmp_path: Path) -> None:
    function, dump, words = FUNCTIONS[name]
    NUMBERS.to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "train.py").write_text(OWN.replace("FUNCTION", f"({function})").replace("DUMP", dump))
    subprocess.run([python(), "-W", "ignore", "train.py"], cwd=tmp_path, check=True)
    message = refused(tmp_path / "model.pkl")
    assert f"a Pipeline with '{words}', which cannot be folded in" in message
    assert refused(tmp_path / "model.pkl", trust=True) == message
    model = load_model(follow(tmp_path / "model.pkl", message, "transformed.csv"))
    inputs = torch.tensor(pd.read_csv(tmp_path / "transformed.csv").to_numpy())
    np.testing.assert_allclose(model.outputs(inputs).squeeze(1).numpy(), np.load(tmp_path / "expected.npy"), atol=1e-9)


def test_a_class_that_is_not_importable_is_read_where_the_advice_puts_it(tmp_path: Path) -> None:
    (tmp_path / "code" / "nets").mkdir(parents=True)
    (tmp_path / "code" / "nets" / "plain.py").write_text(TRAIN)
    save = "import torch; from nets.plain import Net; torch.save(Net(), 'model.pt')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "code"), *sys.path])}
    subprocess.run([python(), "-c", save], cwd=tmp_path, env=environment, check=True)
    message = refused(tmp_path / "model.pt")
    assert message.endswith("the flag `trust`, with the directory of nets on PYTHONPATH.")
    assert "Try installing the package, PYTHONPATH=DIRECTORY before the command" in refused(tmp_path / "model.pt", True)
    table_of(tmp_path)
    command = [python(), "-m", "ihcli", "explain", "model.pt", "d.csv", "-o", "run", "-m", "ig", "--trust"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_pickled_model_of_transformers_is_two_steps_from_its_directory(tmp_path: Path) -> None:
    directory = checkpoints.save(tmp_path / "bert")
    classifier = AutoModelForSequenceClassification.from_pretrained(directory)
    path = model_files.save_zip(classifier, tmp_path / "model.pt")
    message = refused(path)
    assert "BertForSequenceClassification of transformers as a pickle" in message
    assert refused(path, trust=True) == message
    (line,) = lines_of(message)
    subprocess.run(["sh", "-c", line.replace("python", python(), 1)], cwd=tmp_path, check=True)
    AutoTokenizer.from_pretrained(directory).save_pretrained(tmp_path / "model-net")
    assert load_model(tmp_path / "model-net").text is not None


HOSTILE_NAMES = (
    *("Net\nos.system('touch marker')", "Net; import os", "Net'; touch marker; '", "*, os", "N" * 5000, "\x1b[2J"),
    *('"]; os.system("touch marker"); ["', "\\", "\u202e"),
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_no_name_of_a_file_becomes_a_part_of_a_command(name: str, tmp_path: Path) -> None:
    module = pickle.dumps(nn.Sequential(nn.Linear(3, 1)), 4)
    child = model_files.stack_global("__main__", name) + b")\x81}"
    child += model_files.text("_modules") + b"}s" + model_files.text("_parameters") + b"}sb"
    path = tmp_path / "model.pkl"
    path.write_bytes(model_files.opcodes(child))
    message = refused(path)
    assert re.search(r"Try `code=train\.py:\w{1,80}`, with that script in place of train\.py\.$", message)
    assert len(message) < 1500
    keyed = b"}" + model_files.text(name) + module[2:-1] + b"s" + model_files.text("own") + child + b"s"
    path.write_bytes(model_files.opcodes(keyed))
    message = refused(path)
    words = shlex.shlex(message[message.index("python -c ") :], posix=True, punctuation_chars=False)
    words.whitespace_split, words.commenters = True, ""
    code = ast.parse([words.get_token() for _ in range(3)][2].removesuffix(","))
    assert not any(isinstance(node, ast.Name) and node.id == "os" for node in ast.walk(code))


def test_steps_within_steps_are_refused_at_once(tmp_path: Path) -> None:
    pipeline: Any = make_pipeline(SVC())
    for _ in range(60):
        pipeline = make_pipeline(GridSearchCV(pipeline, {}), Pipeline([("a", pipeline), ("b", pipeline)]))
    started = time.process_time()
    refused(model_files.save_pickle(pipeline, tmp_path / "model.pkl"))
    assert time.process_time() - started < 20
