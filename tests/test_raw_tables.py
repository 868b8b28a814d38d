"""Pipelines of scikit-learn from the raw table on: the same numbers as scikit-learn, read without it."""

from pathlib import Path

import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from raw_tables import (
    PIPELINES,
    STRANGE,
    TABLE,
    answers,
    fitted,
    write,
)

from ihcli.data.tables import open_dataset
from ihcli.models import Model, load_model
from ihcli.readers.tables import fills_of

# Sums of the same products in float64, in another order.
AGREEMENT = 1e-9
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
