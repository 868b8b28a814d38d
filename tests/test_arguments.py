"""Arguments of the front door: values of another type, names of other tools, and no traceback of either."""

import inspect
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch

import ihcli
from ihcli.errors import IhcliError, OptionError
from ihcli.library.arguments import CHECKS
from ihcli.library.speaking import HAD_OTHERWISE
from ihcli.wording import OPTIONS_ELSEWHERE

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
NAMES = tuple(inspect.signature(ihcli.explain).parameters)
OF_OTHER_TYPES: tuple[Any, ...] = (
    *(None, True, 3, -1, 2.5, float("nan"), "zz", b"z", object(), X[0], torch.ones(2)),
    *(
        [],
        [3],
        ["zz"],
        [None],
        (),
        {},
        {"zz": "0"},
        {"zz": [0]},
        {"zz": ["0"]},
        {3: ["0"]},
        lambda share: None,
        range(4),
    ),
)


def explain(**options: Any) -> ihcli.Explanation:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Softplus(), torch.nn.Linear(4, 2))
    return ihcli.explain(net, X, **{"target": 0, "method": "ig", **options})


@pytest.mark.filterwarnings("ignore::ihcli.IhcliWarning")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("model", "x")])
def test_no_value_of_an_argument_is_a_traceback(name: str) -> None:
    for value in OF_OTHER_TYPES:
        with suppress(IhcliError):
            explain(**{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": None}, "`method`: is None. Expected the name of a method."),
        ({"tolerance": 0}, "`tolerance`: is 0. Expected a finite number above 0."),
        ({"tolerance": float("nan")}, "`tolerance`: is nan. Expected a finite number above 0."),
        ({"tolerance": "0.1"}, "`tolerance`: is '0.1'. Expected a finite number above 0."),
        ({"dtype": "int8"}, "`dtype`: is 'int8'. Expected 'float32' or 'float64'."),
        ({"dtype": torch.float16}, "`dtype`: float16 is not supported. Expected float32 or float64."),
        ({"memory_bytes": "1GB"}, "`memory_bytes`: is '1GB'. Expected a whole number of bytes, such as 2**30."),
        ({"groups": {"g": "0"}}, "`groups`: is {'g': '0'}. Expected a list of features for each name,"),
        ({"labels": [1, 1]}, "`labels`: has 2 of them. Expected one for each of the 4 rows."),
        ({"target": 1.5}, "`target`: is 1.5. Expected the name or the index of an output."),
        ({"progress": 1}, "`progress`: is 1. Expected True, False, or a function that hears"),
        ({"layers": [torch.nn.Linear(1, 1)]}, "Expected names of layers, as named_modules() has them."),
    ],
)
def test_values_that_cannot_be_meant_are_answered(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        explain(**options)
    assert message in str(caught.value)


def test_what_numpy_counts_with_is_taken() -> None:
    same = explain(tolerance=np.float32(0.01), seed=np.int64(0), target=np.int64(0), labels=np.zeros(4, int))
    np.testing.assert_array_equal(same.attributions, explain().attributions)


def test_checked_and_answered_names_are_those_there_are() -> None:
    assert set(CHECKS) <= set(NAMES)
    assert not set(HAD_OTHERWISE) & set(NAMES)


@pytest.mark.parametrize("name", [*HAD_OTHERWISE, *(name for name in OPTIONS_ELSEWHERE if name not in NAMES)])
def test_names_of_other_tools_are_answered_with_ours(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^`{name}`: explain\(\) has no such argument\.") as caught:
        explain(**{name: 1})
    if name in HAD_OTHERWISE:
        assert str(caught.value).endswith(HAD_OTHERWISE[name])
    elif meant := [ours for ours in OPTIONS_ELSEWHERE[name] if ours in NAMES]:
        assert f"Did you mean {meant[0]!r}" in str(caught.value)


def test_what_is_said_instead_works() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Softplus(), torch.nn.Linear(4, 2)).double()
    assert ihcli.explain(net, X, target="predicted").attributions.dtype == np.float64
    assert ihcli.explain(net, X, target=0, method="sii").interactions is not None
    assert ihcli.explain(net, X, target=0, layers=["2:input"]).attributions.shape == (4, 4)
    assert ihcli.explain(net, X, target=0, method="occlusion", groups={"w": ["0", "1"]}).attributions.shape == (4, 2)
    found = ihcli.explain(net, X, target=0, method="smoothgrad")
    assert list(found.to_frame().assign(id=list("abcd"))["id"]) == list("abcd")
    assert found.plot("bar", top_k=10).axes
