"""Weights drawn anew, for models of every format, and the sanity check of explanations with them."""

import csv
import io
import re
from pathlib import Path

import checkpoints
import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.errors import ModelError
from ihcli.models import Model
from ihcli.models.reinitialising import reinitialise
from ihcli.models.wrapping import wrap_module

NEAR_0 = 0.15
"""Of the signed correlation of a row, on average over draws (`--draws`)."""
DRAWS = 16


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def scripted(path: Path) -> Model:
    return ihcli.load_model(model_files.save_script(model_files.network(), path))


def traced(path: Path) -> Model:
    return ihcli.load_model(model_files.save_trace(model_files.network(), model_files.rows(), path))


def pickled(path: Path) -> Model:
    return ihcli.load_model(model_files.save_zip(model_files.network(), path))


def estimated(path: Path) -> Model:
    inputs = np.random.default_rng(0).normal(5, 3, (50, 3))
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=0))
    model_files.quietly(pipeline.fit, inputs, inputs.sum(axis=1))
    return ihcli.load_model(model_files.save_pickle(pipeline, path))


def exported(path: Path) -> Model:
    program = torch.export.export(model_files.network(), (model_files.rows(),))
    with path.open("wb") as stream:
        torch.export.save(program, stream)
    return ihcli.load_model(path, trust=True)


def weights_alone(path: Path) -> Model:
    torch.save(model_files.network().state_dict(), path)
    (path.parent / "made.py").write_text(
        "from torch import nn\n"
        "def made():\n"
        "    return nn.Sequential(*LAYERS)\n"
        f"LAYERS = {layers_in_code(model_files.network())}\n",
        encoding="utf-8",
    )
    return ihcli.load_model(path, code=f"{path.parent / 'made.py'}:made")


def layers_in_code(network: nn.Sequential) -> str:
    """Return the layers of a network as code that makes such layers."""
    return f"[{', '.join(f'nn.{layer}' for layer in network)}]"


def sizes_of(model: Model) -> list[float]:
    return sorted(abs(value) for weight in model.module.parameters() for value in weight.reshape(-1).tolist())


@pytest.mark.parametrize("read", [scripted, traced, pickled, estimated, exported, weights_alone])
def test_weights_of_every_format_are_drawn_anew(tmp_path: Path, read: object) -> None:
    found = []
    for seed in (0, 0, 1):
        model = read(tmp_path / f"model{len(found)}.pt")  # type: ignore[operator]
        rows = torch.linspace(-2, 2, 12, dtype=model.dtype).reshape(4, 3)
        before = model.outputs(rows).detach()
        entries = sizes_of(model)
        reinitialise(model, seed)
        after = sizes_of(model)
        assert after == entries
        found.append(model.outputs(rows).detach())
        assert not torch.allclose(before, found[-1])
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_buffers_and_layers_that_only_scale_stay() -> None:
    torch.manual_seed(0)
    scaler = nn.Linear(3, 3)
    scaler.weight.data = torch.diag(torch.tensor([1.0, 2.0, 3.0]))
    network = nn.Sequential(scaler, nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Softplus(), nn.Linear(8, 1)).eval()
    network[2].running_mean = torch.arange(8.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    reinitialise(wrap_module(network), 0)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.weight", "1.bias", "4.weight"}


def test_words_are_looked_up_anew(tmp_path: Path) -> None:
    model = ihcli.load_model(checkpoints.save(tmp_path / "checkpoint"))
    assert model.text is not None
    before = model.text.embedding.weight.clone()
    reinitialise(model, 0)
    assert not torch.equal(before, model.text.embedding.weight)
    sizes = (each.abs().reshape(-1).sort().values for each in (before, model.text.embedding.weight))
    assert torch.equal(*sizes)


def test_a_frozen_graph_is_refused(tmp_path: Path) -> None:
    frozen = model_files.quietly(torch.jit.freeze, model_files.quietly(torch.jit.script, model_files.network()))
    model_files.quietly(frozen.save, str(tmp_path / "frozen.pt"))
    with pytest.raises(ModelError, match=r"frozen.pt: has no weights .* TorchScript .*Try the model as it was before"):
        reinitialise(ihcli.load_model(tmp_path / "frozen.pt"), 0)


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a network on products of all pairs of five inputs, and explain rows with it: Table 3 of Janizek et al."""
    folder, rng = tmp_path_factory.mktemp("products"), np.random.default_rng(0)
    inputs, (first, second) = rng.standard_normal((4000, 5)), np.triu_indices(5, 1)
    coefficients = np.array([10, -9, 8, -7, 6, -5, 4, -3, 2, -1])
    labels = (coefficients * inputs[:, first] * inputs[:, second]).sum(axis=1)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    x, y = (torch.tensor(each, dtype=torch.float32) for each in (inputs, labels))
    optimizer = torch.optim.Adam(network.parameters(), 6e-3)
    for _ in range(15):
        for batch in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            ((network(x[batch])[:, 0] - y[batch]) ** 2).mean().backward()
            optimizer.step()
    model_files.save_script(network.eval(), folder / "net.pt")
    table = pd.DataFrame(inputs[:60], columns=list("abcde")).assign(id=[f"P{row}" for row in range(60)])
    table.to_csv(folder / "rows.csv", index=False)
    asked = [folder / "net.pt", folder / "rows.csv", "--key", "id", "--baseline", "zeros", "-o", folder / "run"]
    done = CliRunner().invoke(main, ["explain", *map(str, asked), "--quiet"])
    assert done.exit_code == 0, done.output
    return folder


def test_random_weights_leave_no_signed_order_of_pairs(products: Path) -> None:
    """Sizes agree even so: that is said."""
    random = ("--random-weights", products / "net.pt", products / "rows.csv", "--draws", DRAWS)
    done = ask(products / "run", *random, "--of", "runs", "--limit", 25)
    assert done.exit_code == 0, done.output
    lines = [line for line in csv.DictReader(io.StringIO(done.stdout)) if line["values"] == "interactions"]
    assert [line["other"] for line in lines] == [f"random weights {draw + 1}" for draw in range(DRAWS)]
    signed = np.array([float(line["mean_spearman"]) for line in lines])
    sizes = np.array([float(line["spearman_abs"]) for line in lines])
    assert abs(signed.mean()) < NEAR_0, signed
    assert sizes.mean() > 0.4
    told = ask(products / "run", *random, "--draws", 1, "--limit", 10, "--format", "table")
    assert "10 entries" in told.stdout
    assert "Random weights, interactions: over 1 draws the signed correlation" in told.stdout
    assert "Sizes agree even so" in told.stdout
    assert "draws of random weights, 10 rows each" in told.stderr


def test_random_weights_explain_the_outputs_that_the_run_does(tmp_path: Path) -> None:
    """Whatever class they predict: of ten draws few rows have one that all predict."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), nn.Softmax(dim=1))
    model, data = model_files.save_script(net.eval(), tmp_path / "net.pt"), tmp_path / "rows.csv"
    pd.DataFrame(np.random.default_rng(0).normal(size=(30, 4)), columns=list("abcd")).to_csv(data, index=False)
    done = CliRunner().invoke(
        main, ["explain", str(model), str(data), "-o", str(tmp_path / "run"), "--chunk-rows", "7"]
    )
    assert done.exit_code == 0, done.output
    assert len(ihcli.read(tmp_path / "run").targets) > 1
    asked = ("--random-weights", model, data, "--draws", 10, "--of", "runs")
    lines = list(csv.DictReader(io.StringIO(ask(tmp_path / "run", *asked).stdout)))
    rows = {line["other"]: 0 for line in lines}
    for line in lines:
        rows[line["other"]] += int(line["rows"]) if line["values"] == "attributions" else 0
    assert set(rows.values()) == {30}
    assert len(rows) == 10
    shown = ask(tmp_path / "run", *asked, "--format", "table").stdout
    assert sum(int(n) for n in re.findall(r"target \d, (\d+) entries", shown)) == 30


def test_a_draw_is_that_of_its_seed(products: Path) -> None:
    random = ("--random-weights", products / "net.pt", products / "rows.csv", "--limit", 5, "--of", "runs", "--quiet")
    both = [
        list(csv.DictReader(io.StringIO(ask(products / "run", *random, *more).stdout)))
        for more in (("--draws", 2), ("--draws", 1, "--seed", 1))
    ]
    second = [line for line in both[0] if line["other"] == "random weights 2"]
    assert [line["mean_spearman"] for line in second] == [line["mean_spearman"] for line in both[1]]


def test_wrong_uses_of_random_weights_are_said(products: Path, tmp_path: Path) -> None:
    model, data = products / "net.pt", products / "rows.csv"
    two = ask(products / "run", products / "run", "--random-weights", model, data)
    assert two.exit_code == 2
    assert "compares one run" in two.stderr
    mean = ask(products / "run", "--random-weights", model, data, "--mean", "-o", tmp_path / "x")
    assert mean.exit_code == 2
    assert "--random-weights, --mean: one of both" in mean.stderr
    gone = ask(products / "run", "--random-weights", tmp_path / "none.pt", data)
    assert gone.exit_code == 1
    assert "none.pt" in gone.stderr
    other = model_files.save_script(model_files.network(5, 1), tmp_path / "other.pt")
    wrong = ask(products / "run", "--random-weights", other, data)
    assert wrong.exit_code == 1
    assert "is not what the run was made from" in wrong.stderr
