"""Makes everything in this directory but itself and README.md: `python sample_data/make.py`, with scikit-learn.

Both data sets ship inside scikit-learn, so nothing is downloaded. Seeds are fixed and one thread computes: a second run
on the same machine writes the same CSV bytes and models with the same outputs.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import json
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

HERE = Path(__file__).parent
SEED = 1
N_RECORDED = 5
DIABETES_NAMES = {
    "bmi": "body_mass_index",
    "bp": "blood_pressure",
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "glucose",
}


@dataclass(frozen=True)
class Split:
    """A table with a key, features and a label, cut into rows to train on and rows held out."""

    table: pd.DataFrame
    features: list[str]
    label: str
    train: np.ndarray
    held_out: np.ndarray

    def inputs(self, rows: np.ndarray) -> np.ndarray:
        return self.table.loc[rows, self.features].to_numpy(np.float64)

    def labels(self, rows: np.ndarray) -> np.ndarray:
        return self.table.loc[rows, self.label].to_numpy()


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cancer, diabetes = breast_cancer_table(), diabetes_table()
    write_table(cancer.table, "breast_cancer")
    write_table(diabetes.table, "diabetes")
    recorded = {
        "breast_cancer_relu.pt": make_relu_classifier(cancer),
        "breast_cancer_sklearn.joblib": make_sklearn_classifier(cancer),
        "diabetes_softplus.pkl": make_softplus_regressor(diabetes),
    }
    for name, record in recorded.items():
        print(f"{name}: held-out {record['score']} {record['held_out']:.3f}")
    (HERE / "expected_outputs.json").write_text(json.dumps(recorded, indent=1) + "\n")


def breast_cancer_table() -> Split:
    data = load_breast_cancer()
    features = [name.replace(" ", "_") for name in data.feature_names]
    table = pd.DataFrame(data.data, columns=features)
    return as_split(table.assign(diagnosis=data.target_names[data.target]), "diagnosis", stratified=True)


def diabetes_table() -> Split:
    data = load_diabetes(scaled=False)
    features = [DIABETES_NAMES.get(name, name) for name in data.feature_names]
    return as_split(pd.DataFrame(data.data, columns=features).assign(progression=data.target), "progression")


def as_split(table: pd.DataFrame, label: str, stratified: bool = False) -> Split:
    features = [name for name in table.columns if name != label]
    table.insert(0, "patient", [f"P{number:04d}" for number in range(1, len(table) + 1)])
    stratify = table[label] if stratified else None
    train, held_out = train_test_split(np.arange(len(table)), test_size=0.25, random_state=SEED, stratify=stratify)
    return Split(table, features, label, train, held_out)


def write_table(table: pd.DataFrame, name: str) -> None:
    table.to_csv(HERE / f"{name}.csv", index=False, lineterminator="\n")
    table.to_parquet(HERE / f"{name}.parquet", index=False, compression="zstd")


def make_relu_classifier(split: Split) -> dict:
    """Write a TorchScript ReLU classifier of raw inputs; its outputs are the logits of the two classes."""
    torch.manual_seed(SEED)
    classes = ["malignant", "benign"]
    scaler = StandardScaler().fit(split.inputs(split.train))
    targets = torch.tensor([classes.index(label) for label in split.labels(split.train)])
    network = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2)).double()
    # Smoothed labels and weight decay keep the logits of sure cases moderate.
    loss = nn.CrossEntropyLoss(label_smoothing=0.05)
    inputs = as_tensor(scaler.transform(split.inputs(split.train)))
    train(network, inputs, targets, loss, epochs=300, weight_decay=0.1)
    fold_scaler(network, scaler)
    name_inputs_and_outputs(network.float().eval(), split, classes, scaler)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated")
        torch.jit.save(torch.jit.script(network), HERE / "breast_cancer_relu.pt")
    predicted = np.array(classes)[outputs(network, split, split.held_out).argmax(axis=1)]
    return record(network, split, "accuracy", np.mean(predicted == split.labels(split.held_out)))


def make_softplus_regressor(split: Split) -> dict:
    """Write a pickled SoftPlus regressor of raw inputs; its output is the disease progression."""
    torch.manual_seed(SEED)
    scaler = StandardScaler().fit(split.inputs(split.train))
    targets = split.labels(split.train).astype(np.float64)
    centre, spread = targets.mean(), targets.std()
    network = nn.Sequential(nn.Linear(10, 16), nn.Softplus(), nn.Linear(16, 8), nn.Softplus(), nn.Linear(8, 1)).double()
    inputs = as_tensor(scaler.transform(split.inputs(split.train)))
    standardised = as_tensor((targets - centre) / spread).unsqueeze(1)
    # Few rows: without strong decay and an early end the network learns their noise.
    train(network, inputs, standardised, nn.MSELoss(), epochs=200, weight_decay=1.0)
    fold_scaler(network, scaler)
    with torch.no_grad():
        network[-1].weight.mul_(spread)
        network[-1].bias.mul_(spread).add_(centre)
    name_inputs_and_outputs(network.float().eval(), split, ["progression"], scaler)
    with (HERE / "diabetes_softplus.pkl").open("wb") as file:
        pickle.dump(network, file)
    predicted = outputs(network, split, split.held_out)[:, 0]
    return record(network, split, "R2", r2_score(split.labels(split.held_out), predicted))


def make_sklearn_classifier(split: Split) -> dict:
    """Write a scikit-learn pipeline, fitted on a DataFrame so that it knows the names of its columns."""
    network = MLPClassifier((16, 8), activation="tanh", alpha=3.0, max_iter=1000, random_state=SEED)
    pipeline = make_pipeline(StandardScaler(), network)
    pipeline.fit(split.table.loc[split.train, split.features], split.labels(split.train))
    joblib.dump(pipeline, HERE / "breast_cancer_sklearn.joblib")
    rows = split.table[split.features]
    score = pipeline.score(rows.loc[split.held_out], split.labels(split.held_out))
    first = pipeline.predict_proba(rows.iloc[:N_RECORDED])
    return {"score": "accuracy", "held_out": float(score), "first_rows": first.tolist()}


def train(
    network: nn.Module, inputs: Tensor, targets: Tensor, loss: nn.Module, *, epochs: int, weight_decay: float
) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=weight_decay)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss(network(inputs), targets).backward()
        optimizer.step()


def fold_scaler(network: nn.Sequential, scaler: StandardScaler) -> None:
    """Let the first layer take raw inputs: W (x - mean) / scale + b = (W / scale) x + b - (W / scale) mean."""
    first = network[0]
    with torch.no_grad():
        first.weight.div_(as_tensor(scaler.scale_))
        first.bias.sub_(first.weight @ as_tensor(scaler.mean_))


def name_inputs_and_outputs(network: nn.Module, split: Split, names: list[str], scaler: StandardScaler) -> None:
    """Attach what ihcli reads off a module: names, and the raw inputs that the network sees as 0."""
    network.feature_names = split.features
    network.output_names = names
    network.zero = scaler.mean_.tolist()


def as_tensor(values: np.ndarray) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def outputs(network: nn.Module, split: Split, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.tensor(split.inputs(rows), dtype=torch.float32)).double().numpy()


def record(network: nn.Module, split: Split, score: str, held_out: float) -> dict:
    first = outputs(network, split, np.arange(N_RECORDED))
    return {"score": score, "held_out": float(held_out), "first_rows": first.tolist()}


if __name__ == "__main__":
    main()
