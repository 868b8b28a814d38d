"""Rows in whatever holds them: the same numbers give the same explanation, and what holds none is told."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

import ihcli
from ihcli.errors import DataError

VALUES = np.random.default_rng(3).integers(-8, 9, (6, 3)).astype(np.float32) / 4  # exact in every type below
TENSOR = torch.as_tensor(VALUES)


def explain(x: Any, **options: Any) -> ihcli.Explanation:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Softplus(), torch.nn.Linear(4, 1))
    return ihcli.explain(net, x, **{"method": "ig", **options})


HOLDERS: dict[str, Callable[[], Any]] = {
    "gradients": lambda: TENSOR.clone().requires_grad_(),
    "a list of tensors with gradients": lambda: list(TENSOR.clone().requires_grad_()),
    "float16": TENSOR.half,
    "bfloat16": TENSOR.bfloat16,
    "sparse": TENSOR.to_sparse,
    "sparse rows": TENSOR.to_sparse_csr,
    "a negated view": lambda: torch._neg_view(-TENSOR),
    "quantized": lambda: torch.quantize_per_tensor(TENSOR, 0.25, 0, torch.qint32),
    "another order": lambda: TENSOR.T.contiguous().T,
    "scipy": lambda: scipy.sparse.csr_matrix(VALUES),
    "nothing masked": lambda: np.ma.masked_array(VALUES),
    "a matrix": lambda: np.asmatrix(VALUES),
    "big-endian": lambda: VALUES.astype(">f8"),
}


@pytest.mark.filterwarnings("ignore:.*:PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*(eta|quant).*:UserWarning")
@pytest.mark.parametrize("holder", HOLDERS)
def test_numbers_are_the_same_in_whatever_holds_them(holder: str) -> None:
    x = HOLDERS[holder]()
    np.testing.assert_allclose(explain(x).attributions, explain(VALUES).attributions, rtol=1e-6, atol=1e-7)
    from_them, from_values = (explain(VALUES, method="eg", baseline=start) for start in (HOLDERS[holder](), VALUES))
    np.testing.assert_allclose(from_them.attributions, from_values.attributions, atol=1e-6)


def test_what_is_masked_is_missing() -> None:
    masked = np.ma.masked_array(VALUES, mask=np.arange(VALUES.size).reshape(VALUES.shape) == 4)
    with pytest.warns(ihcli.IhcliWarning, match="column '1' has 1 null value, the first in row 1"):
        found = explain(masked)
    assert [str(status) for status in found.status] == ["ok", "missing_input", "ok", "ok", "ok", "ok"]
    whole = explain(np.ma.masked_array(VALUES.astype(int), mask=VALUES > 100))  # of integers, too
    assert whole.attributions.shape == VALUES.shape


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: TENSOR.to("meta"), None),
        (lambda: None, None),
        (lambda: [[1.0, 2.0, 3.0], [1.0]], None),
        (lambda: (row for row in VALUES.tolist()), list),
        (lambda: [{"a": 1.0, "b": 2.0, "c": 3.0}] * 2, pd.DataFrame),
        (lambda: pd.DataFrame(VALUES).to_records(index=False), pd.DataFrame),
        (lambda: torch.utils.data.TensorDataset(TENSOR), lambda x: x.tensors[0]),
        (
            lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(TENSOR), batch_size=4),
            lambda x: torch.cat([batch[0] for batch in x]),
        ),
        (lambda: pd.Series(VALUES[0]), lambda x: [x]),
        (lambda: VALUES.astype(object), lambda x: np.asarray(x, float)),
        (lambda: VALUES.astype(str), lambda x: np.asarray(x, float)),
    ],
)
def test_what_is_no_table_is_told_and_the_advice_works(make: Callable[[], Any], advice: Callable | None) -> None:
    with pytest.raises(DataError, match=r"^x: ") as caught:
        explain(make())
    assert ("Try" in str(caught.value)) == (advice is not None)
    if advice is not None:
        assert explain(advice(make())).attributions.shape[1] == 3


def test_columns_that_hold_no_numbers_are_told_by_what_they_hold() -> None:
    frame = pd.DataFrame(VALUES, columns=list("abc"))
    for column, advice in (
        (list("xyzxyz"), r"Try categories=\{'a': \[\.\.\.\]\}"),
        (["1.5", "2", None, "3", "4", "-1e3"], r"Try x\['a'\] = x\['a'\]\.astype\(float\)\.$"),
        (pd.date_range("2026-01-01", periods=6), "Try the number that the model was trained on"),
        ([[1], [2], [3], [4], [5], [6]], r"Expected numbers or booleans\.$"),
    ):
        with pytest.raises(DataError, match=advice):
            explain(frame.assign(a=column))
    written = frame.astype(str)
    for name in "abc":
        written[name] = written[name].astype(float)
    np.testing.assert_allclose(explain(written).attributions, explain(VALUES).attributions, rtol=1e-6)
