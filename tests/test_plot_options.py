"""What a picture can be asked for, from Python and on the command line alike."""

from dataclasses import fields
from typing import Any

import click
import numpy as np
import pytest
import torch

import ihcli
from ihcli.cli.commands.plot import KINDS as ON_THE_COMMAND_LINE
from ihcli.cli.commands.plot import plot
from ihcli.errors import IhcliError, OptionError
from ihcli.plots import KINDS, PlotRequest
from ihcli.plots.options import ELSEWHERE, FLAGS, OF_KIND, asked

OPTIONS = [each.name for each in fields(PlotRequest) if each.name not in ("kind", "target")]
OF_OTHER_TYPES: tuple[Any, ...] = ("x", 2.5, True, ["x"], {"x": 1}, object(), b"x", np.zeros(2))
GIVEN: dict[str, Any] = {
    **dict.fromkeys(FLAGS, True),
    **{"row": 0, "top_k": 1, "points": 1, "seed": 0, "key": {"id": 1}, "pair": ("a", "b"), "where": ("a=1",)},
}
"""A value that is right by its type; text where none stands here."""


def test_kinds_and_options_are_the_same_everywhere() -> None:
    assert set(OF_KIND) == set(KINDS) == set(ON_THE_COMMAND_LINE)
    assert {name for names in OF_KIND.values() for name in names} == set(OPTIONS)
    declared = {one.name for one in plot.params if isinstance(one, click.Option)}
    assert set(OPTIONS) <= declared
    assert {ours for some in ELSEWHERE.values() for ours in some} <= set(OF_KIND)


@pytest.mark.parametrize("kind", OF_KIND)
def test_options_of_other_kinds_are_refused_by_name(kind: str) -> None:
    for name in OPTIONS:
        beside = {"pairs": True} if kind == "bar" and name == "main_effects" else {}
        beside |= {"by": "a"} if kind == "bar" and name == "data" else {}
        options = {name: GIVEN.get(name, "a"), **beside}
        if name in OF_KIND[kind]:
            assert getattr(asked(kind, options), name) == options[name]
        else:
            with pytest.raises(OptionError, match=rf"^`{name}`: is not for {kind}\. .* Try without it\.$"):
                asked(kind, options)


@pytest.mark.parametrize("nothing", [None, False, (), {}, ""])
def test_an_option_of_nothing_is_left_out(nothing: Any) -> None:
    assert asked("calibration", {"pairs": nothing, "where": nothing, "key": nothing}) == PlotRequest("calibration")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "`top_k`: is 0. Expected a whole number of at least 1."),
        ({"top_k": "3"}, "`top_k`: is '3'. Expected a whole number of at least 1."),
        ({"top_k": True}, "`top_k`: is True. Expected a whole number of at least 1."),
        ({"by": ["sex"]}, "`by`: is ['sex']. Expected text."),
        ({"pairs": "yes"}, "`pairs`: is 'yes'. Expected True or False."),
        ({"main_effects": True}, "`main_effects`: is for pairs. Try `pairs` too."),
        ({"by": "a", "data": object()}, "`data`: is a object. Expected the path of a table."),
    ],
)
def test_values_of_another_type_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        asked("bar", options)
    assert str(caught.value) == message


def test_names_can_be_said_as_on_the_command_line() -> None:
    assert asked("effect", {"pair": "a,b", "where": "a>=1"}) == PlotRequest("effect", pair=("a", "b"), where=("a>=1",))
    assert asked("bar", {"target": 1, "top_k": np.int64(3)}) == PlotRequest("bar", target="1", top_k=3)


@pytest.mark.parametrize(
    ("kind", "ours"), [("beeswarm", "summary"), ("force_plot", "waterfall"), ("pdp", "dependence")]
)
def test_kinds_of_other_tools_are_answered(kind: str, ours: str) -> None:
    with pytest.raises(OptionError, match=rf"Did you mean '{ours}'\?$"):
        asked(kind, {})


@pytest.mark.parametrize("kind", [None, 3, ["bar"]])
def test_what_is_no_name_of_a_kind_is_told(kind: Any) -> None:
    with pytest.raises(OptionError, match=r"^`kind`: .* is not a kind of picture\."):
        asked(kind, {})


@pytest.fixture(scope="module", params=[1, 3], ids=["one feature", "three features"])
def explained(request: pytest.FixtureRequest) -> ihcli.Explanation:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(request.param, 4), torch.nn.Softplus(), torch.nn.Linear(4, 1))
    return ihcli.explain(model, torch.randn(5, request.param))


@pytest.mark.parametrize("kind", OF_KIND)
def test_no_value_of_an_option_is_a_traceback(explained: ihcli.Explanation, kind: str) -> None:
    asked_for = [{name: value} for name in OF_KIND[kind] for value in OF_OTHER_TYPES]
    for options in ({}, {"pairs": True}, {"pairs": True, "main_effects": True}, {"row": 0}, *asked_for):
        try:
            explained.plot(kind, **options).clear()
        except IhcliError:
            continue


def test_one_feature_has_main_effects_and_a_curve_but_no_pairs() -> None:
    one = ihcli.explain(
        torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Softplus(), torch.nn.Linear(2, 1)), [[1.0], [2]]
    )
    assert len(one.plot("bar", pairs=True, main_effects=True).axes[0].patches) == 1
    assert len(one.plot("lorenz").axes[0].lines) > 1
    with pytest.raises(OptionError, match=r"no pairs .* Expected two features at least"):
        one.plot("network")
