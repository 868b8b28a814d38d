"""Rows, baselines and targets that people bring to ihcli.explain."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import nn

import ihcli
from ihcli.errors import DataError, IhcliError, OptionError

ROWS = np.random.default_rng(0).standard_normal((10, 3))
COLUMNS = ("a", "b", "c")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 2)).double()


class Handed:
    """A frame of another library, which hands its columns over as Arrow's."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def columns(self) -> list[str]:
        return self._table.column_names

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def table(**more: Any) -> pa.Table:
    return pa.table({**dict(zip(COLUMNS, ROWS.T, strict=True)), **more})


@pytest.mark.parametrize(
    "x",
    [
        pd.DataFrame(ROWS, columns=COLUMNS),
        table(),
        Handed(table()),
        table().to_batches()[0],
        table().__dataframe__(),
        dict(zip(COLUMNS, ROWS.T, strict=True)),
        dict(zip(COLUMNS, torch.tensor(ROWS.T), strict=True)),
    ],
    ids=["pandas", "arrow", "stream", "batch", "interchange", "columns", "tensors"],
)
def test_frames_of_every_kind_are_the_same_rows(x: Any) -> None:
    expected = ihcli.explain(network(), ROWS)
    found = ihcli.explain(network(), x)
    assert found.feature_names == COLUMNS
    np.testing.assert_array_equal(found.interactions, expected.interactions)
    picked = ihcli.explain(network(), x, feature_names=["c", "b", "a"])
    assert picked.feature_names == ("c", "b", "a")
    np.testing.assert_array_equal(picked.prediction, ihcli.explain(network(), ROWS[:, ::-1]).prediction)


def test_text_that_arrow_holds_as_categories_becomes_codes() -> None:
    words = ["u", "v", None, "u", "w", "u", "u", "u", "u", "u"]
    for column in (pa.array(words).dictionary_encode(), pa.chunked_array([words[:4], words[4:]]).dictionary_encode()):
        with pytest.warns(ihcli.IhcliWarning, match="column 'a' has 1 null value, the first in row 2"):
            found = ihcli.explain(network(), Handed(table(a=column)))
        assert found.as_run.to_frame()["_status"].tolist() == ["ok"] * 2 + ["missing_input"] + ["ok"] * 7
        assert found.provenance is not None
        assert found.provenance.table()["a"].to_pylist() == words


@pytest.mark.parametrize("x", [ROWS > 0, (10 * ROWS).astype(np.int8), ROWS.astype(np.float16), ROWS.tolist()])
def test_arrays_of_any_number_are_rows(x: Any) -> None:
    expected = ihcli.explain(network(), np.asarray(x, np.float64))
    np.testing.assert_array_equal(ihcli.explain(network(), x).attributions, expected.attributions)


WRONG: dict[str, tuple[Any, dict[str, Any], type[IhcliError], str]] = {
    "one row": (ROWS[0], {}, DataError, r"has shape \(3,\)\. .* Try \[x\] where it is one row"),
    "no rows": (ROWS[:0], {}, DataError, r"has shape \(0, 3\)\. Expected \(rows, features\), at least one of each\.$"),
    "no rows of a frame": (table()[:0], {}, DataError, r"has shape \(0, 3\)"),
    "fewer columns": (ROWS[:, :2], {}, DataError, r"^x: has 2 features \('0', '1'\), but the model takes 3\."),
    "a path": ("d.csv", {}, DataError, r"^x: is 'd\.csv'\. .* Try pandas\.read_csv"),
    "a column twice": (pd.DataFrame(ROWS, columns=["a", "a", "b"]), {}, DataError, r"^x: has 2 columns 'a'\."),
    "an arrow column twice": (pa.table([ROWS[:, 0]] * 3, ["a", "a", "b"]), {}, DataError, r"^x: has 2 columns 'a'\."),
    "text": (table(a=["x"] * 10), {}, DataError, r"^x: column 'a' holds text\. .* Try categories=\{'a': \[\.\.\.\]\}"),
    "few names": (ROWS, {"feature_names": ["a"]}, OptionError, r"^`feature_names`: has 1 of them\. .* 3 columns"),
    "a name twice": (
        ROWS,
        {"feature_names": ["a", "b", "a"]},
        OptionError,
        r"^`feature_names`: has the name 'a' twice",
    ),
    "names of no column": (table(), {"feature_names": ["a", "b", "d"]}, DataError, r"lacks 1 .* first is 'd'"),
    "a string of names": (ROWS, {"feature_names": "abc"}, OptionError, r"^`feature_names`: 'abc'\. Expected a list"),
    "a target beyond": (ROWS, {"target": [0] * 9 + [7]}, OptionError, r"^`target`: row 9 asks for 7, .* 0 to 1\.$"),
    "few targets": (ROWS, {"target": [0, 1]}, OptionError, r"has shape \(2,\)\. .* each of the 10 rows of x"),
    "two targets": (ROWS, {"target": [0] * 10, "labels": [0] * 10}, OptionError, r"Try without `labels`\.$"),
    "too many parts": ((ROWS, ROWS), {}, DataError, r"^x: is a tuple of 2, .* Expected at most 1\."),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rows_names_and_targets_are_told(name: str) -> None:
    x, options, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        ihcli.explain(network(), x, **options)


@pytest.mark.parametrize(
    "zero", [0, 0.0, np.float32(0), torch.tensor(0.0), torch.zeros(3), np.zeros((1, 3)), [0, 0, 0]]
)
def test_baselines_are_one_number_or_one_for_each_feature(zero: Any) -> None:
    expected = ihcli.explain(network(), ROWS, baseline="zeros")
    np.testing.assert_array_equal(ihcli.explain(network(), ROWS, baseline=zero).attributions, expected.attributions)


@pytest.mark.parametrize(
    "make",
    [
        list,
        np.array,
        lambda each: list(np.array(each)),
        lambda each: list(torch.tensor(each)),
        torch.tensor,
        lambda each: ["one" if i else "none" for i in each],
    ],
)
def test_every_row_can_have_a_target_of_its_own(make: Callable[[list[int]], Any]) -> None:
    each = [0, 1] * 5
    found = ihcli.explain(network(), ROWS, target=make(each), output_names=["none", "one"])
    whole = ihcli.explain(network(), ROWS, target="all", output_names=["none", "one"])
    assert found.target.tolist() == ["none", "one"] * 5
    np.testing.assert_allclose(found.attributions, whole.attributions[np.arange(10) * 2 + each], rtol=1e-12)
    assert found.seen is not None
    assert found.seen.truth is None  # what was asked for says nothing of what is true


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.layer = nn.Embedding(3, 2), nn.Linear(4, 1)

    def forward(self, code: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(torch.cat([self.table(code), numbers], 1)))


def test_parts_for_the_arguments_of_a_model_are_columns_of_one_table() -> None:
    code, numbers = np.arange(10) % 3, ROWS[:, :2].astype(np.float32)
    together = pd.DataFrame({"code": code, "numbers_0": numbers[:, 0], "numbers_1": numbers[:, 1]})
    inputs = {"code": ["code"], "numbers": ["numbers_0", "numbers_1"]}
    expected = ihcli.explain(Two(), together, inputs=inputs, baseline=np.array([0, 0, 0]))
    parts = {"numbers": torch.tensor(numbers), "code": torch.tensor(code)}
    for x, baseline in (((code, numbers), (0, np.zeros(2))), (parts, {"code": 0, "numbers": 0.0}), (parts, 0)):
        found = ihcli.explain(Two(), x, baseline=baseline)
        order = [found.feature_names.index(name) for name in expected.feature_names]
        np.testing.assert_allclose(found.attributions[:, order], expected.attributions, atol=1e-6)
    with pytest.raises(DataError, match=r"^x: its parts have '10 rows \(code\)', '9 rows \(numbers\)'\.$"):
        ihcli.explain(Two(), (code, numbers[:9]))


def test_columns_of_an_array_that_inputs_name_go_by_feature_names() -> None:
    matrix = np.column_stack([ROWS[:, :2], np.arange(10) % 3])
    inputs = {"code": ["job"], "numbers": ["x", "y"]}
    found = ihcli.explain(Two(), matrix, inputs=inputs, feature_names=["x", "y", "job"])
    assert found.feature_names == ("job", "x", "y")


def test_whoever_asks_hears_how_far_it_is() -> None:
    heard: list[float] = []
    ihcli.explain(network(), ROWS, progress=heard.append)
    assert heard[-1] == 1.0
    assert ihcli.explain(network(), ROWS, progress=True).status.tolist() == ["ok"] * 10


ELSEWHERE = {
    "baselines": "baseline",
    "background": "baseline",
    "n_steps": "steps",
    "internal_batch_size": "memory_bytes",
    "nsamples": "baseline_rows",
    "additional_forward_args": "inputs",
    "columns": "feature_names",
    "class_names": "output_names",
    "tolerence": "tolerance",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_arguments_of_other_tools_are_answered_with_the_one_here(name: str) -> None:
    for kind in (TypeError, OptionError):
        with pytest.raises(
            kind, match=rf"^`{name}`: explain\(\) has no such argument\. Did you mean '{ELSEWHERE[name]}'"
        ):
            ihcli.explain(network(), ROWS, **{name: 1})


def test_methods_are_known_by_other_names_too() -> None:
    with pytest.raises(
        OptionError, match=r"^`method`: 'integrated_hessians' is not a method\. .* Did you mean 'ih'\?$"
    ):
        ihcli.explain(network(), ROWS, method="integrated_hessians")
