"""Shares of work that is nested: parts of it are heard as parts of the whole."""

import numpy as np
import pytest
import torch
from torch import nn

from ihcli.advance import parts_told, unheard, within
from ihcli.data.drawing import Baselines
from ihcli.data.groups import Groups
from ihcli.explainers.explainer import Explainer
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.integration.effort import Effort
from ihcli.models import wrap_module
from ihcli.readers.tables import TableReader


def test_a_part_is_heard_as_a_part_of_the_whole() -> None:
    heard: list[float] = []
    for share in (0.0, 0.5, 1.0):
        within(within(heard.append, 0.5, 1), 0, 0.5)(share)
    assert heard == [0.5, 0.625, 0.75]
    assert within(unheard, 0.2, 0.3) is unheard


def test_parts_count_by_their_sizes() -> None:
    heard: list[float] = []
    for part, tell in parts_told(["abc", "d"], heard.append):
        tell(0.5)
        tell(len(part) / len(part))
    assert heard == [0.375, 0.75, 0.875, 1.0]
    assert list(parts_told([], heard.append)) == []


def explainer_of(method: str, kind: str, memory_bytes: int) -> Explainer:
    torch.manual_seed(0)
    layers = (nn.Linear(6, 16), nn.ReLU() if kind == "relu" else nn.Softplus(beta=20), nn.Linear(16, 1))
    baselines = np.random.default_rng(1).standard_normal((1 if method in ("ih", "ig") else 4, 6))
    groups = Groups.of([f"x{i}" for i in range(6)])
    return prepare(
        wrap_module(nn.Sequential(*layers).eval()),
        TableReader(groups, Baselines(baselines, len(baselines), "made up")),
        np.random.default_rng(2).standard_normal((20, 6)),
        Settings(method, memory_bytes=memory_bytes, effort=Effort(1e-3), engine="autograd"),
    )


@pytest.mark.parametrize("kind", ["smooth", "relu"])
@pytest.mark.parametrize("method", ["ig", "eg", "ih", "eh"])
def test_rows_under_way_are_heard_of_and_no_figure_changes(method: str, kind: str) -> None:
    explainer = explainer_of(method, kind, 100_000)
    rows = np.random.default_rng(3).standard_normal((24, 6))
    heard: list[float] = []
    explanation = explainer.explain(rows, tell=heard.append)
    assert len(heard) > 3
    assert all(0 <= share <= 1 for share in heard)
    assert max(heard) > 0.9
    assert heard[0] < 0.5
    steps = np.diff(np.maximum.accumulate(heard))
    assert steps.max() <= 0.5
    quiet = explainer.explain(rows)
    np.testing.assert_array_equal(explanation.attributions, quiet.attributions)
    np.testing.assert_array_equal(explanation.evaluations, quiet.evaluations)
