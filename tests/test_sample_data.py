"""The files in sample_data: small, consistent with one another, and what their script makes."""

import json
import pickle
import shutil
import subprocess
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from prepared import python

SAMPLE_DATA = Path(__file__).parent.parent / "sample_data"
EXPECTED = json.loads((SAMPLE_DATA / "expected_outputs.json").read_text())
# Raw inputs in the thousands, float32, and another machine's order of summation.
FLOAT32_ROUNDING = 1e-4
TABLES = {"breast_cancer": ("diagnosis", 569, 30), "diabetes": ("progression", 442, 10)}


def read_torch_network(name: str) -> torch.nn.Module:
    if name.endswith(".pkl"):
        with (SAMPLE_DATA / name).open("rb") as file:
            return pickle.load(file)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.load` is deprecated")
        return torch.jit.load(SAMPLE_DATA / name)


def read_pipeline() -> object:
    with warnings.catch_warnings():
        # The file was fitted with one version of scikit-learn and has to work with the others.
        warnings.filterwarnings("ignore", message="Trying to unpickle estimator")
        return joblib.load(SAMPLE_DATA / "breast_cancer_sklearn.joblib")


def test_everything_together_is_under_two_megabytes():
    assert sum(path.stat().st_size for path in SAMPLE_DATA.iterdir() if path.is_file()) < 2_000_000


@pytest.mark.parametrize("name", TABLES)
def test_csv_and_parquet_hold_the_same_table(name):
    label, n_rows, n_features = TABLES[name]
    table = pd.read_parquet(SAMPLE_DATA / f"{name}.parquet")
    pd.testing.assert_frame_equal(pd.read_csv(SAMPLE_DATA / f"{name}.csv"), table, check_exact=True)
    assert table.shape == (n_rows, n_features + 2)
    assert table.columns[0] == "patient"
    assert table.columns[-1] == label
    assert table["patient"].is_unique
    assert np.isfinite(table.drop(columns=["patient", "diagnosis"], errors="ignore").to_numpy(float)).all()


@pytest.mark.parametrize(
    ("name", "table", "outputs"),
    [
        ("breast_cancer_relu.pt", "breast_cancer", ["malignant", "benign"]),
        ("diabetes_softplus.pkl", "diabetes", ["progression"]),
    ],
)
def test_a_torch_network_names_its_inputs_and_reproduces_its_recorded_outputs(name, table, outputs):
    network = read_torch_network(name)
    rows = pd.read_parquet(SAMPLE_DATA / f"{table}.parquet")
    assert network.feature_names == list(rows.columns[1:-1])
    assert network.output_names == outputs
    # About the middle of the data in every column: the training means.
    middle = rows[network.feature_names].agg(["mean", "std"])
    assert ((np.array(network.zero) - middle.loc["mean"]).abs() < 0.2 * middle.loc["std"]).all()
    recorded = np.array(EXPECTED[name]["first_rows"])
    inputs = torch.tensor(rows[network.feature_names].to_numpy()[: len(recorded)], dtype=torch.float32)
    with torch.no_grad():
        np.testing.assert_allclose(network(inputs).numpy(), recorded, rtol=FLOAT32_ROUNDING)


def test_the_pipeline_names_its_inputs_and_reproduces_its_recorded_outputs():
    pipeline = read_pipeline()
    rows = pd.read_parquet(SAMPLE_DATA / "breast_cancer.parquet")
    assert list(pipeline.feature_names_in_) == list(rows.columns[1:-1])
    assert list(pipeline.classes_) == ["benign", "malignant"]
    recorded = np.array(EXPECTED["breast_cancer_sklearn.joblib"]["first_rows"])
    probabilities = pipeline.predict_proba(rows[pipeline.feature_names_in_][: len(recorded)])
    np.testing.assert_allclose(probabilities, recorded, rtol=1e-9)


def test_the_networks_are_useful_and_not_sure_of_everything():
    rows = pd.read_parquet(SAMPLE_DATA / "breast_cancer.parquet")
    network = read_torch_network("breast_cancer_relu.pt")
    with torch.no_grad():
        logits = network(torch.tensor(rows[network.feature_names].to_numpy(), dtype=torch.float32))
    assert logits.abs().max() < 6
    assert (np.array(network.output_names)[logits.argmax(1)] == rows["diagnosis"]).mean() > 0.95
    pipeline = read_pipeline()
    probabilities = pipeline.predict_proba(rows[pipeline.feature_names_in_])
    assert probabilities.max() < 0.995
    assert pipeline.score(rows[pipeline.feature_names_in_], rows["diagnosis"]) > 0.95
    held_out = {name: record["held_out"] for name, record in EXPECTED.items()}
    assert min(held_out["breast_cancer_relu.pt"], held_out["breast_cancer_sklearn.joblib"]) > 0.95
    assert held_out["diabetes_softplus.pkl"] > 0.4


def test_the_page_quotes_the_scores_that_were_reached():
    page = (SAMPLE_DATA / "README.md").read_text()
    for name, record in EXPECTED.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
        assert line.endswith(f"| {record['score']} {record['held_out']:.3f} |")


def test_the_script_makes_the_files_again(tmp_path):
    shutil.copy(SAMPLE_DATA / "make.py", tmp_path)
    made = subprocess.run([python(), tmp_path / "make.py"], capture_output=True, text=True, check=True)
    assert "held-out accuracy" in made.stdout
    for name in TABLES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (SAMPLE_DATA / f"{name}.csv").read_bytes()
    again = json.loads((tmp_path / "expected_outputs.json").read_text())
    assert again.keys() == EXPECTED.keys()
    for name, record in again.items():
        np.testing.assert_allclose(record["first_rows"], EXPECTED[name]["first_rows"], rtol=0.01)
    assert {path.name for path in tmp_path.iterdir()} <= {path.name for path in SAMPLE_DATA.iterdir()}
