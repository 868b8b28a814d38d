"""Networks explained from inner layers on: against the rest of the network alone, in every format."""

from dataclasses import dataclass
from pathlib import Path

import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from category_models import FORMS, Form, saved
from click.testing import CliRunner
from torch import Tensor, nn

import ihcli
from ihcli.cli import main
from ihcli.errors import ModelError, OptionError
from ihcli.models import Model, load_model, wrap_module
from ihcli.openings.layers import find_layers, layer_names

DRUG, CELL, LATENT, PATHWAYS = 4, 6, 3, 2
N_INPUTS, N_LATENT = 2 * DRUG + CELL, 2 * LATENT + PATHWAYS


class Pair(nn.Module):
    """Two drugs, one encoder for both, pathways of a cell line, and a head on all of them."""

    def __init__(self, activation: type[nn.Module] = nn.SiLU) -> None:
        super().__init__()
        self.drug = nn.Sequential(nn.Linear(DRUG, 8), activation(), nn.Linear(8, LATENT))
        self.pathways = nn.Sequential(nn.Linear(CELL, PATHWAYS), nn.Tanh())
        self.head = nn.Sequential(nn.Linear(N_LATENT, 16), activation(), nn.Linear(16, 1))
        self.sizes = [DRUG, DRUG, CELL]

    def forward(self, x: Tensor) -> Tensor:
        first, second, cell = x.split(self.sizes, dim=1)
        return self.head(torch.cat([self.drug(first), self.drug(second), self.pathways(cell)], 1))

    def latent(self, x: Tensor) -> Tensor:
        first, second, cell = x.split(self.sizes, dim=1)
        return torch.cat([self.drug(first), self.drug(second), self.pathways(cell)], 1)


class Twice(nn.Module):
    """A layer that gives two tensors."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.sin(), x.cos()


class Methods(Pair):
    """The same, whose forward calls methods of its own, and a layer that none of them calls."""

    def __init__(self) -> None:
        super().__init__()
        self.unused, self.twice = nn.Linear(2, 2), Twice()

    def forward(self, x: Tensor) -> Tensor:
        return self.finished(self.latent(x))

    def finished(self, latent: Tensor) -> Tensor:
        return self.headed(latent + self.twice(latent)[1])

    def headed(self, latent: Tensor) -> Tensor:
        return self.head(latent)


class Within(nn.Module):
    """The same a level further down, with sigmoid behind."""

    def __init__(self, inner: Pair) -> None:
        super().__init__()
        self.net = inner

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.net(x))


class Around(nn.Module):
    """A layer with a way around it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(N_INPUTS, N_INPUTS), nn.SiLU())
        self.head = nn.Sequential(nn.Linear(N_INPUTS, 8), nn.SiLU(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.inner(x))


def made(kind: type[nn.Module], *arguments: object) -> nn.Module:
    torch.manual_seed(0)
    module = kind(*arguments)
    for parameter in module.parameters():
        parameter.data *= 2
    return module.double().eval()


ROWS = np.random.default_rng(0).normal(size=(40, N_INPUTS))
LAYERS = ("drug", "pathways")


def exported(module: nn.Module, path: Path) -> object:
    program = torch.export.export(
        module, (torch.as_tensor(ROWS[:3]),), dynamic_shapes=({0: torch.export.Dim("rows", min=2)},)
    )
    with path.open("wb") as stream:
        torch.export.save(program, stream)
    return load_model(path, trust=True)


def in_form(module: nn.Module, form: Form | str, path: Path) -> object:
    return exported(module, path) if form == "exported" else saved(module, form, (torch.as_tensor(ROWS[:3]),))


def load_or_wrap(made: object) -> Model:
    return made if isinstance(made, Model) else wrap_module(made, n_inputs=N_INPUTS, dtype=torch.float64)


def of_the_head(module: Pair, start: np.ndarray, **options: object) -> ihcli.Explanation:
    with torch.no_grad():
        latent = module.latent(torch.as_tensor(ROWS[:10])).numpy()
    return ihcli.explain(module.head, latent, baseline=start, engine="autograd", tolerance=1e-3, **options)


def near(got: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    return bool(np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("form", [*FORMS, "exported"], ids=str)
@pytest.mark.parametrize("layers", [LAYERS, ("head:input",)], ids=str)
def test_what_layers_give_or_take_is_explained_as_by_the_rest_alone(
    layers: tuple[str, ...], form: Form | str, tmp_path: Path
) -> None:
    module = made(Pair)

    got = ihcli.explain(in_form(module, form, tmp_path / "m.pt2"), ROWS[:10], layers=layers, tolerance=1e-3)

    wanted = of_the_head(module, np.zeros(N_LATENT))
    assert got.attributions.shape == (10, N_LATENT)
    assert near(got.attributions, wanted.attributions, 1e-9)
    assert near(got.interactions, wanted.interactions, 1e-9)


@pytest.mark.parametrize("form", [*FORMS, "exported"], ids=str)
def test_layers_further_down_are_found_by_their_whole_name(form: Form | str, tmp_path: Path) -> None:
    module = Within(made(Pair))
    names = [f"net.{name}" for name in LAYERS]

    got = ihcli.explain(in_form(module, form, tmp_path / "m.pt2"), ROWS[:10], layers=names, tolerance=1e-4)

    with torch.no_grad():
        start = torch.sigmoid(module.net.head(torch.zeros(1, N_LATENT, dtype=torch.float64)))
    assert got.feature_names[:4] == ("net.drug#1[0]", "net.drug#1[1]", "net.drug#1[2]", "net.drug#2[0]")
    assert got.feature_names[-1] == "net.pathways[1]"
    assert got.baseline_prediction == pytest.approx(float(start))
    assert np.abs(got.completeness_gap).max() < 1e-4


@pytest.mark.parametrize("form", [*FORMS, "exported"], ids=str)
def test_kinks_behind_a_layer_are_smoothed_and_followed(form: Form | str, tmp_path: Path) -> None:
    module = in_form(made(Pair, nn.ReLU), form, tmp_path / "m.pt2")

    smooth = ihcli.explain(module, ROWS[:10], layers=LAYERS)
    followed = ihcli.explain(module, ROWS[:10], layers=LAYERS, method="ig", tolerance=1e-6)

    assert smooth.drift is not None
    assert (smooth.status == "ok").mean() > 0.8
    assert (followed.status == "ok").all()


@pytest.mark.parametrize("baseline", ["zeros", "mean", "data"])
def test_paths_start_from_zeros_there_or_from_what_baselines_give(baseline: str) -> None:
    module = made(Pair)
    many = baseline == "data"
    rows = torch.as_tensor(ROWS if many else ROWS.mean(axis=0, keepdims=True))
    with torch.no_grad():
        start = torch.zeros(N_LATENT).numpy() if baseline == "zeros" else module.latent(rows).numpy()

    got = ihcli.explain(module, ROWS, layers=LAYERS, baseline=baseline, method="eg" if many else "ig", tolerance=1e-3)

    wanted = of_the_head(module, start if many or baseline == "zeros" else start[0], method="eg" if many else "ig")
    assert near(got.attributions[:10], wanted.attributions, 1e-3 if many else 1e-9)


def test_the_input_of_the_first_layer_gives_what_the_columns_give() -> None:
    module = made(Around)

    got = ihcli.explain(module.head, ROWS[:10], layers=["0:input"], tolerance=1e-3, engine="autograd")

    wanted = ihcli.explain(module.head, ROWS[:10], tolerance=1e-3, engine="autograd")
    assert np.array_equal(got.attributions, wanted.attributions)
    assert np.array_equal(got.interactions, wanted.interactions)


@pytest.mark.parametrize("form", [*FORMS, "exported"], ids=str)
def test_ways_around_a_layer_are_held_at_the_row_and_told(form: Form | str, tmp_path: Path) -> None:
    module = made(Around)

    with pytest.warns(ihcli.IhcliWarning, match="in other ways than through what is opened"):
        got = ihcli.explain(in_form(module, form, tmp_path / "m.pt2"), ROWS[:10], layers=["inner"], tolerance=1e-4)

    with torch.no_grad():
        without = module.head(torch.as_tensor(ROWS[:10])).numpy()[:, 0]  # the layer at zeros, the rest at the row
        whole = module(torch.as_tensor(ROWS[:10])).numpy()[:, 0]
    assert got.baseline_prediction == pytest.approx(without)
    assert got.attributions.sum(axis=1) == pytest.approx(whole - without, rel=1e-3, abs=1e-4)


def test_groups_and_names_are_of_what_the_layers_give() -> None:
    names = [f"a{i}" for i in range(LATENT)] + [f"b{i}" for i in range(LATENT)] + ["p0", "p1"]
    groups = {"A": names[:LATENT], "B": names[LATENT : 2 * LATENT]}

    got = ihcli.explain(made(Pair), ROWS[:10], layers=LAYERS, layer_names=names, groups=groups, tolerance=1e-3)

    assert got.feature_names == ("A", "B", "p0", "p1")
    assert np.abs(got.interactions.sum(axis=1) - got.attributions).max() < 1e-2


class Gives(nn.Module):
    """Layers that cannot be opened."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(N_INPUTS, 3, batch_first=True)
        self.unused, self.last = nn.Linear(2, 2), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.lstm(x.unsqueeze(1))[0][:, -1])


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("lasst", r"`layer=lasst`: model has no such layer\. .*Did you mean 'last'\?"),
        ("lstm", r"at 'lstm' there is a tuple, no tensor of floating point numbers"),
        ("unused", r"`layer=unused`: is not called for rows of the data"),
    ],
)
def test_layers_that_cannot_be_opened_are_refused_in_words(layer: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        ihcli.explain(made(Gives), ROWS[:5], layers=[layer])


def test_a_layer_inside_of_another_one_is_refused() -> None:
    with pytest.raises(ModelError, match=r"layer 'drug\.0' is inside of 'drug'"):
        ihcli.explain(made(Pair), ROWS[:5], layers=["drug", "drug.0"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": LAYERS, "layer_names": ["a", "b"]}, r"has 2 names, where 'drug', 'pathways' give 8 values"),
        ({"layers": LAYERS, "layer_names": ["a"] * 8}, "has the name 'a' twice"),
        ({"layers": "drug"}, "is one string"),
    ],
)
def test_other_wrong_uses_are_told(options: dict, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ihcli.explain(made(Pair), ROWS[:5], **options)


def test_a_run_over_layers_is_read_verified_and_drawn(tmp_path: Path) -> None:
    model_files.save_script(made(Pair), tmp_path / "pair.pt")
    pd.DataFrame(ROWS, columns=[f"x{i}" for i in range(N_INPUTS)]).to_csv(tmp_path / "rows.csv", index=False)
    files = [str(tmp_path / "pair.pt"), str(tmp_path / "rows.csv")]
    run = str(tmp_path / "run")

    def ask(*arguments: str) -> str:
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    ask("explain", *files, "-o", run, "--layer", "drug", "--layer", "pathways", "--groups-by", "[")
    assert "drug#1" in ask("interactions", run)
    assert "drug#1" in ask("interactions", run, "--row", "3")
    ask("verify", run, *files, "--sample", "5")
    ask("plot", run, "summary", "-o", str(tmp_path / "p.png"))
    ask("plot", run, "waterfall", "--row", "3", "-o", str(tmp_path / "w.png"))
    ask("report", run, "-o", str(tmp_path / "r.html"))
    ask("explain", *files, "-o", run, "--layer", "drug", "--layer", "pathways", "--groups-by", "[", "--resume")


GENES, N_PATHWAYS, N_DRUGS = 100, 12, 12


class Synergy(nn.Module):
    """Genes to pathways by a masked layer, drugs two-hot beside them, and a head (Janizek et al. 2021, F.3)."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.pathways = nn.Linear(GENES, N_PATHWAYS)
        width = N_PATHWAYS + N_DRUGS
        self.head = nn.Sequential(nn.Linear(width, 64), nn.Tanh(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, x: Tensor) -> Tensor:
        found = torch.tanh(x[:, :GENES] @ (self.pathways.weight * self.mask).T + self.pathways.bias)
        return self.head(torch.cat([found, x[:, GENES:]], 1))


@dataclass(frozen=True)
class Simulated:
    """Cell lines treated with two drugs each; the first two act together as far as the first pathway is active."""

    x: Tensor
    y: Tensor
    mask: Tensor
    both: np.ndarray

    @classmethod
    def drawn(cls, n: int) -> "Simulated":
        rng = np.random.default_rng(0)
        mask = np.zeros((N_PATHWAYS, GENES), np.float32)
        for genes in mask:
            genes[rng.choice(GENES, 15, replace=False)] = 1
        genes = rng.normal(size=(n, GENES))
        pathways = np.tanh(genes @ (0.4 * mask * rng.normal(size=mask.shape)).T)
        pairs = np.array([rng.choice(N_DRUGS, 2, replace=False) for _ in range(n)])
        pairs[: n // 4] = [0, 1]
        drugs = np.zeros((n, N_DRUGS))
        drugs[np.arange(n)[:, None], pairs] = 1
        both = drugs[:, 0] * drugs[:, 1]
        y = drugs @ rng.normal(size=N_DRUGS) / 2 - 1.5 * both / (1 + np.exp(-3 * pathways[:, 0]))
        y += 0.3 * pathways[:, 2] + 0.1 * rng.normal(size=n)
        x = torch.as_tensor(np.hstack([genes, drugs]), dtype=torch.float32)
        return cls(x, torch.as_tensor(y, dtype=torch.float32)[:, None], torch.as_tensor(mask), both > 0)

    def trained(self) -> nn.Module:
        torch.manual_seed(0)
        module = Synergy(self.mask)
        optimizer = torch.optim.Adam(module.parameters(), 2e-3, weight_decay=1e-5)
        for _ in range(20):
            for some in torch.randperm(len(self.x)).split(128):
                loss = (module(self.x[some]) - self.y[some]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return module.eval()


def test_simulated_drugs_that_act_together_are_the_first_pair() -> None:
    data = Simulated.drawn(2000)
    chosen = np.flatnonzero(data.both)[:60]

    got = ihcli.explain(data.trained(), data.x[chosen].numpy(), layers=["head:input"])

    first, second = np.triu_indices(N_PATHWAYS + N_DRUGS, 1)
    largest = np.abs(got.interactions).mean(axis=0)[first, second].argmax()
    effects = 2 * got.interactions[:, N_PATHWAYS, N_PATHWAYS + 1]
    assert (first[largest], second[largest]) == (N_PATHWAYS, N_PATHWAYS + 1)
    assert effects.mean() < 0


@pytest.mark.parametrize("form", [*FORMS, "exported"], ids=str)
def test_inspect_lists_layers_that_can_be_asked_for(form: Form | str, tmp_path: Path) -> None:
    module, path = Within(made(Pair)), tmp_path / "m.pt2"
    model = in_form(module, form, path)
    if form == "exported":
        asked = ["inspect", str(path), "--trust", "--layers"]
    else:
        asked = ["inspect", str(model_files.save_script(module, tmp_path / "m.pt")), "--layers"]

    listed = CliRunner().invoke(main, asked).stdout.split()

    assert {"net", "net.drug", "net.drug.0", "net.pathways", "net.head"} <= set(listed)
    assert ihcli.explain(model, ROWS[:2], layers=["net.head.0"], method="ig").attributions.shape == (2, 16)


@pytest.mark.parametrize("form", [*FORMS, "exported"], ids=str)
def test_layers_that_other_methods_call_are_opened(form: Form | str, tmp_path: Path) -> None:
    module = Within(made(Methods))

    got = ihcli.explain(in_form(module, form, tmp_path / "m.pt2"), ROWS[:5], layers=["net.head.0"], tolerance=1e-3)

    assert got.attributions.shape == (5, 16)
    assert np.abs(got.completeness_gap).max() < 1e-3


@pytest.mark.parametrize("form", [*FORMS, "exported"], ids=str)
def test_every_layer_that_is_listed_is_opened(form: Form | str, tmp_path: Path) -> None:
    model = load_or_wrap(in_form(Within(made(Methods)), form, tmp_path / "m.pt2"))

    listed = layer_names(model, torch.as_tensor(ROWS[:3]))

    assert {"net", "net.drug", "net.drug.0", "net.pathways", "net.head", "net.head.0"} <= set(listed)
    assert "net.unused" not in listed
    for name in listed:
        find_layers(model, [name], torch.as_tensor(ROWS[:3]))
