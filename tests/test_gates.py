"""Groups are built from names, and paths lead every baseline to every row."""

import numpy as np
import pytest
import torch
from problems import normal, straight_paths

from ihcli.data.groups import Groups
from ihcli.derivatives.paths import Paths

FEATURES = ["age", "color=red", "size", "color=blue", "weight"]


def test_without_groups_every_feature_stands_alone():
    assert Groups.of(FEATURES) == Groups(tuple(FEATURES), None)


def test_groups_stand_where_their_first_feature_does():
    groups = Groups.of(FEATURES, {"body": ["weight", "size"], "color": ["color=blue", "color=red"]})
    assert groups.names == ("age", "color", "body")
    np.testing.assert_array_equal(groups.index, [0, 1, 2, 1, 2])


def test_a_group_may_take_the_name_of_one_of_its_features():
    groups = Groups.of(FEATURES, {"size": ["size", "weight"]})
    assert groups.names == ("age", "color=red", "size", "color=blue")
    np.testing.assert_array_equal(groups.index, [0, 1, 2, 3, 2])


def test_paths_lead_every_baseline_to_every_row():
    x, baselines = normal(3, 4, seed=1), normal(2, 4, seed=2)
    paths = straight_paths(x, baselines)
    assert (paths.n_rows, paths.n_baselines) == (3, 2)
    path = torch.arange(6)
    assert paths.rows(path).tolist() == [0, 0, 1, 1, 2, 2]
    start, delta = paths.ends(path)
    torch.testing.assert_close(start, baselines.repeat(3, 1), rtol=0, atol=0)
    torch.testing.assert_close(delta, x.repeat_interleave(2, 0) - baselines.repeat(3, 1), rtol=0, atol=0)


@pytest.mark.parametrize("group_of", [None, [0, 1, 0, 2, 1]])
def test_groups_sum_and_spread_like_the_membership_matrix(group_of):
    paths = straight_paths(normal(2, 5, seed=3), group_of=group_of)
    membership = torch.eye(5, dtype=torch.float64)
    if group_of is not None:
        membership = torch.nn.functional.one_hot(torch.tensor(group_of)).double()
    per_input, per_group = normal(7, 5, seed=4), normal(7, paths.n_groups, seed=5)
    row = torch.tensor([0, 1, 1, 0, 0, 1, 0])
    torch.testing.assert_close(paths.to_groups(per_input, row), per_input @ membership)
    torch.testing.assert_close(paths.to_inputs(per_group, row), per_group @ membership.T)


def test_rows_may_have_groups_and_baselines_of_their_own():
    x, baselines = normal(2, 3, seed=1), normal(2, 2, 3, seed=2)
    group_of = torch.tensor([[0, 0, 1], [2, 1, 0]])
    paths = Paths(x, baselines, torch.zeros(2, dtype=torch.int64), n_groups=3, group_of=group_of)
    assert (paths.n_rows, paths.n_baselines) == (2, 2)
    start, delta = paths.ends(torch.tensor([0, 3]))
    torch.testing.assert_close(start, torch.stack([baselines[0, 0], baselines[1, 1]]), rtol=0, atol=0)
    torch.testing.assert_close(delta, x - start, rtol=0, atol=0)
    per_input, rows = torch.tensor([[1.0, 2.0, 4.0]] * 2), torch.tensor([0, 1])
    assert paths.to_groups(per_input, rows).tolist() == [[3.0, 4.0, 0.0], [4.0, 2.0, 1.0]]
    assert paths.to_inputs(per_input, rows).tolist() == [[1.0, 1.0, 2.0], [4.0, 2.0, 1.0]]
