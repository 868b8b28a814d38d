"""Rows at which a model has no finite output: they are flagged, wherever they stand, and settle nothing for others."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from problems import network, normal
from torch import Tensor, nn

import ihcli
from ihcli.cli import main
from ihcli.library import IhcliWarning, explaining

LACKING = r"the output of 1 of 40 rows looked at is not finite"


class UpTo5(nn.Module):
    """Has no output where the first column is 5 or more."""

    def __init__(self, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.inner = network([3, 8], activation, seed=0).float()

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.inner(x) + torch.log(5 - x[:, :1])
        return outputs


def rows(lacking: int | None = None) -> np.ndarray:
    found = normal(40, 3, seed=1, dtype=torch.float32).numpy()
    if lacking is not None:
        found[lacking, 0] = 6
    return found


@pytest.mark.parametrize("method", ["ig", "ih", "gradient", "occlusion"])
@pytest.mark.parametrize("place", [0, 20, 39])
def test_one_row_without_an_output_is_flagged_wherever_it_stands(method: str, place: int) -> None:
    """Where nothing is settled on later rows they are not looked at before: a model may hang on one."""
    is_seen = place == 0 or method == "ih"
    with pytest.warns(IhcliWarning, match=LACKING) if is_seen else nullcontext():
        found = ihcli.explain(UpTo5(), rows(place), method=method)
    assert np.flatnonzero(found.status == "non_finite").tolist() == [place]
    assert np.isfinite(np.delete(found.attributions, place, 0)).all()


class Notes(nn.Module):
    """Notes how far from 0 rows are that it is asked of."""

    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.inner, self.furthest = network([3, 8], activation, seed=0).float(), 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.furthest = max(self.furthest, float(x.detach().abs().max()))
        outputs: Tensor = self.inner(x)
        return outputs


@pytest.mark.parametrize(
    ("activation", "options", "looks"),
    [
        (nn.Softplus, {"method": "ih"}, False),
        (nn.Softplus, {"method": "ig"}, False),
        (nn.ReLU, {"method": "ig"}, False),
        (nn.ReLU, {"method": "ih"}, True),
        (nn.ReLU, {"method": "ig", "smooth": 5.0}, True),
    ],
)
def test_later_rows_are_looked_at_before_only_where_something_is_settled_on_them(
    activation: type[nn.Module], options: dict[str, Any], looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may hang on a row: what is kept of those before it is lost where that is looked at first."""
    model, seen = Notes(activation), []
    settled = explaining.settle

    def noting(*given: Any) -> Any:
        found = settled(*given)
        seen.append(model.furthest)
        return found

    monkeypatch.setattr(explaining, "settle", noting)
    some = rows()
    some[35] = 100
    ihcli.explain(model, some, **options)
    assert (seen[0] >= 100) == looks


@pytest.mark.parametrize("method", ["ig", "ih"])
def test_the_drift_of_a_told_beta_is_that_of_rows_with_outputs(method: str) -> None:
    """It was not a number, and is what the same table without the row gives."""

    def told(some: np.ndarray) -> list[str]:
        with pytest.warns(IhcliWarning) as said:
            ihcli.explain(UpTo5(), some, method=method, smooth=5.0)
        return [str(one.message) for one in said if "drifts by" in str(one.message)]

    assert told(rows(20)) == told(np.delete(rows(20), 20, 0))
    assert "drifts by 10.4%" in told(rows(20))[0]


@pytest.mark.parametrize("place", [0, 20])
def test_it_settles_nothing_for_the_others(place: int) -> None:
    """Of a sample with one such row drift was not a number, which no beta made small enough."""
    others = np.delete(rows(place), place, 0)
    with pytest.warns(IhcliWarning, match=LACKING):
        found = ihcli.explain(UpTo5(), rows(place))
    alone = ihcli.explain(UpTo5(), others)
    np.testing.assert_array_equal(np.delete(found.attributions, place, 0), alone.attributions)


@pytest.mark.parametrize("method", ["ig", "ih"])
def test_a_baseline_without_an_output_is_refused(method: str) -> None:
    with pytest.raises(ihcli.IhcliError, match="no finite output at the baseline, so that no row would have values"):
        ihcli.explain(UpTo5(), rows(), method=method, baseline=np.array([6.0, 0, 0]))


@pytest.mark.parametrize("method", ["eg", "eh"])
def test_one_of_many_baselines_without_an_output_is_refused_and_its_row_found(method: str) -> None:
    with pytest.raises(ihcli.IhcliError, match=r"at 1 of 40 baselines.* `method=ig` flags those without\."):
        ihcli.explain(UpTo5(), rows(3), method=method)
    with pytest.warns(IhcliWarning, match=LACKING):
        flagged = ihcli.explain(UpTo5(), rows(3), method="ig").status == "non_finite"
    with pytest.warns(IhcliWarning, match=LACKING):
        found = ihcli.explain(UpTo5(), rows(3), method=method, baseline=rows(3)[~flagged])
    assert np.flatnonzero(found.status == "non_finite").tolist() == [3]


def test_a_method_without_baselines_asks_nothing_of_them() -> None:
    found = ihcli.explain(UpTo5(), rows(), method="gradient", baseline=np.array([6.0, 0, 0]))
    assert np.isfinite(found.attributions).all()


@pytest.mark.filterwarnings("ignore::ihcli.library.IhcliWarning")
def test_a_singularity_at_one_row_does_not_refuse_the_others() -> None:
    some = rows()
    some[0] = 0
    found = ihcli.explain(lambda x: x.norm(dim=1) ** 1.5, some, baseline=0)
    assert set(found.status[1:]) == {"ok"}


def test_a_gradient_that_is_finite_nowhere_is_refused() -> None:
    """As that of the branch of torch.where which is not taken is."""

    def both(x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > 9, x[:, 0] * torch.nan, x.square().sum(1))

    with pytest.raises(ihcli.IhcliError, match=r"gradient is not finite on any.* both branches of torch\.where"):
        ihcli.explain(both, rows(), method="ig")


def test_inspect_tries_the_model_on_rows_where_it_has_outputs(tmp_path: Path) -> None:
    model_files.save_script(UpTo5().eval(), tmp_path / "model.pt")
    for name, table in (("one", rows(0)), ("none", rows())):
        pd.DataFrame(table, columns=["a", "b", "c"]).to_csv(tmp_path / f"{name}.csv", index=False)
    one, none = (
        CliRunner().invoke(main, ["inspect", str(tmp_path / "model.pt"), str(tmp_path / f"{name}.csv")]).stdout
        for name in ("one", "none")
    )
    assert one == none
    assert "Outputs               1" in one
