"""Blind columns: what the output moves with and no gradient reaches is named before a run, in every format."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from ihcli import explain
from ihcli.cli import main
from ihcli.errors import ModelError
from ihcli.explanation import Explanation
from ihcli.models import Model, load_model, wrap_module
from ihcli.models.checking.blind import Blindness, find_blind
from ihcli.quality import Status

FEATURES = ["city", "age", "income", "rooms"]


class Network(nn.Module):
    """A smooth network over what is made of the inputs."""

    def __init__(self, read: Callable[[Tensor], Tensor], width: int = 4, last: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.read, self.last = read, last or nn.Identity()
        self.layers = nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(self.read(x)))


class Lookup(Network):
    def __init__(self) -> None:
        super().__init__(lambda x: x, 6)
        self.table = nn.Embedding(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(torch.cat([self.table(x[:, 0].long()), x[:, 1:]], 1))


class Unpacked(Lookup):
    """The same network with one-hot columns, as the message says: the weights stay."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(torch.cat([x[:, :5] @ self.table.weight, x[:, 5:]], 1))


def rows(n: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, (n, 1))
    return np.hstack([codes, rng.normal(size=(n, 2)), rng.integers(1, 9, (n, 1))]).astype(np.float32)


def with_first(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.cat([change(x[:, :1]), x[:, 1:]], 1)


def one_hot(x: Tensor) -> Tensor:
    return torch.cat([nn.functional.one_hot(x[:, 0].long(), 5).to(x.dtype), x[:, 1:]], 1)


OPENED: dict[str, Callable[[], nn.Module]] = {
    "embedding": Lookup,
    "one_hot": lambda: Network(one_hot, 8),
    "index": lambda: Network(with_first(lambda c: torch.linspace(-1, 1, 5)[c.long()])),
    "threshold": lambda: Network(with_first(lambda c: (c > 1.5).to(c.dtype))),
    "bins": lambda: Network(
        with_first(lambda c: torch.bucketize(c.contiguous(), torch.tensor([0.5, 2.5])).to(c.dtype))
    ),
}
BLIND: dict[str, Callable[[], nn.Module]] = {
    "floor": lambda: Network(with_first(torch.floor)),
    "round": lambda: Network(with_first(lambda c: torch.round(c / 2))),
    "equality": lambda: Network(with_first(lambda c: torch.where(c == 3, 1.0, -1.0))),
    "switch": lambda: Network(lambda x: torch.cat([x[:, :1].sign(), x[:, 1:] * (x[:, :1] > 2.5)], 1)),
    "detached": lambda: Network(with_first(lambda c: torch.tanh(c.detach()))),
}


def told(model: nn.Module | Model, x: Any, **options: Any) -> tuple[Explanation, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = explain(model, x, **options)
    return found, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("method", ["ig", "ih", "eg"])
@pytest.mark.parametrize("kind", BLIND)
def test_a_blind_column_is_named_before_the_run_which_wastes_nothing_on_it(kind: str, method: str) -> None:
    table = pd.DataFrame(rows(16), columns=FEATURES)
    found, warned = told(BLIND[kind]().eval(), table, method=method, baseline_rows=4)
    assert len(warned) == 1
    assert warned[0].startswith("the output moves with column 'city', but no gradient reaches it: ")
    assert "one-hot columns" in warned[0]
    assert not found.attributions[:, 0].any()
    assert {Status.NOT_CONVERGED} <= set(found.status) <= {Status.NOT_CONVERGED, Status.OK}
    assert found.evaluations.max() <= 64 * (4 if method == "eg" else 1)


@pytest.mark.parametrize("method", ["ig", "ih", "eg"])
@pytest.mark.parametrize("kind", OPENED)
def test_a_column_that_is_looked_up_or_made_a_flag_is_opened_in_place_of_being_blind(kind: str, method: str) -> None:
    table = pd.DataFrame(rows(16), columns=FEATURES)
    found, warned = told(OPENED[kind]().eval(), table, method=method, baseline_rows=4)
    assert warned == []
    assert set(found.status) == {Status.OK}
    assert found.attributions[:, 0].any()


def trace(module: nn.Module, path: Path) -> Model:
    return load_model(model_files.save_trace(module, torch.as_tensor(rows(3)), path))


def script(module: nn.Module, path: Path) -> Model:
    return load_model(model_files.save_script(module, path))


def export(module: nn.Module, path: Path) -> Model:
    program = torch.export.export(module, (torch.as_tensor(rows(3)),))
    with path.open("wb") as stream:
        torch.export.save(program, stream)
    return load_model(path, trust=True)


@pytest.mark.parametrize(("form", "kind"), [(trace, "embedding"), (trace, "one_hot"), (trace, "round")])
def test_traces_are_looked_at(form: Callable[..., Model], kind: str, tmp_path: Path) -> None:
    assert find_blind_in(form({**BLIND, **OPENED}[kind]().eval(), tmp_path / "model")) == Blindness(
        (0,), is_total=False
    )


@pytest.mark.parametrize("form", [script, export])
def test_scripts_and_programs_are_looked_at(form: Callable[..., Model], tmp_path: Path) -> None:
    assert find_blind_in(form(OPENED["embedding"]().eval(), tmp_path / "model")) == Blindness((0,), is_total=False)


def find_blind_in(model: Model, x: np.ndarray | None = None) -> Blindness:
    x = rows() if x is None else x
    inputs = torch.as_tensor(x).to(model.dtype)
    return find_blind(model, inputs, torch.zeros_like(inputs[:1]))


class Dead(nn.Module):
    """Units that are on for one row in thirty, and for no point of the first rows' paths."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x[:, :1] - 3.5) + x[:, 1:2] ** 2


class Sometimes(nn.Module):
    """The first column matters where the second is large."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x[:, 1:2] - 2.0) * x[:, :1] + x[:, 1:2]


SOUND: dict[str, Callable[[], nn.Module]] = {
    "a unit that is off": Dead,
    "a column that matters sometimes": Sometimes,
    "a column that is not read": lambda: Network(lambda x: torch.cat([x[:, 1:], x[:, 1:2]], 1)),
    "a saturated probability": lambda: Network(lambda x: 1e3 * x, last=nn.Sigmoid()),
    "saturated tanh": lambda: Network(with_first(lambda c: torch.tanh(1e4 * (c - 2.2)))),
    "a column that nobody scaled": lambda: Network(with_first(lambda c: torch.tanh(1e30 * c))),
    "a steep step": lambda: Network(with_first(lambda c: torch.sigmoid(1e4 * (c - 1.7)))),
    "a clipped column": lambda: Network(with_first(lambda c: c.clamp(3.5, 3.9))),
    "a network of relus": lambda: nn.Sequential(
        nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    ),
    "one code of whole numbers beside a smooth use": lambda: Network(lambda x: torch.cat([x[:, :1] / 5, x[:, 1:]], 1)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", SOUND)
def test_columns_that_a_gradient_reaches_somewhere_raise_no_alarm(kind: str, dtype: torch.dtype) -> None:
    x = rows(256)
    x[:8, 0] = 0.5
    assert find_blind_in(wrap_module(SOUND[kind]().eval().to(dtype), dtype=dtype), x) == Blindness((), is_total=False)


def test_columns_that_nothing_reads_beside_blind_ones_are_not_named() -> None:
    model = wrap_module(
        Network(lambda x: torch.stack([x[:, 3].round(), x[:, 900].round(), x[:, 5], x[:, 6]], 1)).eval()
    )
    x = torch.randn(32, 1000, generator=torch.Generator().manual_seed(0)) * 3
    assert find_blind(model, x, torch.zeros(1, 1000)) == Blindness((3, 900), is_total=False)


def test_a_model_that_fails_on_other_values_is_left_to_the_run() -> None:
    class Picky(Lookup):
        def forward(self, x: Tensor) -> Tensor:
            assert (x[:, 0] == x[:, 0].round()).all(), "takes codes"
            return super().forward(x)

    assert find_blind_in(wrap_module(Picky().eval())).columns == ()


@pytest.mark.parametrize("read", [torch.round, torch.floor])
def test_a_model_of_which_nothing_is_reached_is_refused(read: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ModelError) as caught:
        explain(Network(read).eval(), pd.DataFrame(rows(), columns=FEATURES), method="ig")
    assert str(caught.value).startswith(
        "model: no gradient reaches what its output moves with, columns 'city', 'age', 'income', 'rooms': "
    )


def test_of_groups_the_columns_are_named() -> None:
    table = pd.DataFrame(rows(16), columns=FEATURES)
    _, (warned,) = told(BLIND["round"]().eval(), table, method="ig", groups={"place": ["city", "rooms"]})
    assert warned.startswith("the output moves with column 'city', but")


def test_one_hot_columns_in_place_of_codes_mend_it_without_training() -> None:
    packed, unpacked, x = Lookup().eval(), Unpacked().eval(), rows(16)
    unpacked.load_state_dict(packed.state_dict())
    wide = pd.DataFrame(np.hstack([np.eye(5, dtype=np.float32)[x[:, 0].astype(int)], x[:, 1:]]))
    wide.columns = [*(f"city={i}" for i in range(5)), *FEATURES[1:]]
    groups = {"city": list(wide.columns[:5])}
    assert np.allclose(packed(torch.as_tensor(x)).detach(), unpacked(torch.tensor(wide.to_numpy())).detach(), atol=1e-6)
    found, warned = told(unpacked, wide, method="ih", groups=groups)
    assert (set(found.status), warned) == ({Status.OK}, [])
    assert found.attributions[:, 0].all()


def test_the_command_line_names_the_column_and_proposes_nothing_that_has_no_effect(
    tmp_path: Path,
) -> None:
    model, data = tmp_path / "city's model.pt", tmp_path / "d.csv"
    model_files.save_trace(BLIND["round"]().eval(), torch.as_tensor(rows(3)), model)
    pd.DataFrame(rows(20), columns=FEATURES).to_csv(data, index=False)
    done = CliRunner().invoke(main, ["explain", str(model), str(data), "-o", str(tmp_path / "run"), "-m", "ig"])
    told_last = done.stderr
    assert done.exit_code == 0
    assert "Warning: the output moves with column 'city', but no gradient reaches it" in told_last
    assert told_last.rstrip().endswith("Try one-hot columns in place of codes, as the warning says.")
    assert "max-evaluations" not in told_last
    assert json.loads((tmp_path / "run" / "run.json").read_text())["jumps"].startswith("one-hot columns")
