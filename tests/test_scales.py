"""Every scale of every ending, in every format, against models built by hand of the same logits."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from model_files import quietly, save_joblib
from problems import normal
from sklearn.neural_network import MLPRegressor
from torch import Tensor, nn

import ihcli
from ihcli.cli import main
from ihcli.errors import OptionError
from ihcli.heads import stabilise
from ihcli.heads.saturation import saturation_warning
from ihcli.heads.scales import finish_of, highest_other, on_scale
from ihcli.models import Model, wrap_module
from ihcli.models.formats.exported import Batch, read_program
from ihcli.models.model import MANY_LABELS
from ihcli.models.targets import Target
from ihcli.report.facts import facts_of
from ihcli.scales import ENDINGS as IN_WORDS
from ihcli.scales import MODEL, SCALES

D = 4
Function = Callable[[Tensor], Tensor]
ROWS = 2 * normal(24, D, seed=1)


def scripted(module: nn.Module) -> nn.Module:
    return quietly(torch.jit.script, module)


def traced(module: nn.Module) -> nn.Module:
    return quietly(torch.jit.trace, module, ROWS[:3], check_trace=False)


def exported(module: nn.Module) -> nn.Module:
    program = torch.export.export(module, (ROWS[:3],), dynamic_shapes=({0: torch.export.Dim("n")},))
    return read_program(program, Batch(1, None))


FORMATS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "eager": lambda module: module,
    "scripted": scripted,
    "traced": traced,
    "exported": exported,
}


class Behind(nn.Module):
    """A network's logits, and what is made of them."""

    def __init__(self, network: nn.Module, ending: nn.Module) -> None:
        super().__init__()
        self.network, self.ending = network, ending

    def forward(self, x: Tensor) -> Tensor:
        return self.ending(self.network(x))


class Both(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        p = torch.sigmoid(u)
        return torch.cat([1 - p, p], dim=1)


class BothTheOtherWay(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        p = u.sigmoid()
        return torch.cat([p, 1 - p], dim=1)


class LogSigmoid(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        return torch.nn.functional.logsigmoid(u)


class Flat(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        return torch.sigmoid(u)[:, 0]


class Clipped(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        return torch.sigmoid(u).clamp(1e-7, 1 - 1e-7)


class ByHand(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        return 1 / (1 + torch.exp(-u))


class SharesByHand(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        return torch.exp(u) / torch.exp(u).sum(1, keepdim=True)


class HalfTanh(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        return (1 + torch.tanh(u / 2)) / 2


def both(u: Tensor) -> Tensor:
    return torch.cat([-u, u], 1)


def odds_of_shares(u: Tensor) -> Tensor:
    p = torch.softmax(u, 1)
    return torch.log(p) - torch.log(1 - p)


def same(u: Tensor) -> Tensor:
    return u


def ahead(u: Tensor) -> Tensor:
    """Return u less the highest other one, class by class."""
    if u.shape[1] == 1:
        return u
    others = [torch.cat([u[:, :k], u[:, k + 1 :]], 1).amax(1) for k in range(u.shape[1])]
    return u - torch.stack(others, 1)


SIGMOID = {
    "logit": same,
    "probability": torch.sigmoid,
    "log-probability": torch.nn.functional.logsigmoid,
    "margin": ahead,
}
SOFTMAX = {
    "logit": same,
    "probability": lambda u: torch.softmax(u, 1),
    "log-probability": lambda u: torch.log_softmax(u, 1),
    "margin": ahead,
}
BOTH = {
    "logit": both,
    "probability": lambda u: torch.sigmoid(both(u)),
    "log-probability": lambda u: torch.nn.functional.logsigmoid(both(u)),
    "margin": both,
}
REVERSED = {scale: lambda u, made=made: made(-u) for scale, made in BOTH.items()}
SHARES = SOFTMAX | {"logit": odds_of_shares}

# Name: logits, what is made of them, what it gives, and every scale of the logits.
ENDINGS: dict[str, tuple[int, nn.Module, str, dict[str, Function]]] = {
    "sigmoid": (1, nn.Sigmoid(), "probability", SIGMOID),
    "flat sigmoid": (1, Flat(), "probability", SIGMOID),
    "many sigmoids": (3, nn.Sigmoid(), "probability", SIGMOID),
    "softmax": (3, nn.Softmax(1), "probability", SOFTMAX),
    "softmax of two": (2, nn.Softmax(1), "probability", SOFTMAX),
    "log-softmax": (3, nn.LogSoftmax(1), "log-probability", SOFTMAX),
    "log-sigmoid": (1, LogSigmoid(), "log-probability", SIGMOID),
    "complement": (1, Both(), "probability", BOTH),
    "complement first": (1, BothTheOtherWay(), "probability", REVERSED),
    "one number": (1, nn.Identity(), "logit", SIGMOID),
    "numbers": (3, nn.Identity(), "logit", SOFTMAX),
}
BY_VALUE: dict[str, tuple[int, nn.Module, str, dict[str, Function]]] = {
    "clipped": (1, Clipped(), "probability", SIGMOID),
    "by hand": (1, ByHand(), "probability", SIGMOID),
    "half a tanh": (1, HalfTanh(), "probability", SIGMOID),
    "shares by hand": (3, SharesByHand(), "probability", SHARES),
}


def network(n_outputs: int, hidden: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(n_outputs)
    return nn.Sequential(nn.Linear(D, 12), hidden or nn.Tanh(), nn.Linear(12, n_outputs)).double().eval()


def model_of(
    name: str, format_: str = "eager", hidden: nn.Module | None = None
) -> tuple[Model, nn.Module, dict[str, Function]]:
    """Return a model that ends so, the network of its logits, and every scale of these."""
    n_logits, ending, _, scales = (ENDINGS | BY_VALUE)[name]
    logits = network(n_logits, hidden)
    module = FORMATS[format_](Behind(logits, ending).double().eval())
    return wrap_module(module, dtype=torch.float64), logits, scales


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", ENDINGS)
def test_every_scale_of_every_ending_is_that_of_its_logits(name: str, format_: str) -> None:
    model, logits, scales = model_of(name, format_)
    assert finish_of(model, ROWS).gives == ENDINGS[name][2]
    with torch.no_grad():
        for scale, made in scales.items():
            found = on_scale(model, scale, ROWS)[0].outputs(3 * ROWS)
            torch.testing.assert_close(found, made(logits(3 * ROWS)), rtol=1e-11, atol=1e-12)


class LogSharesByHand(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        return torch.log(torch.exp(u) / torch.exp(u).sum(1, keepdim=True))


def test_the_words_for_an_ending_say_all_that_a_run_needs_to_know_of_it() -> None:
    models = [model_of(name)[0] for name in ENDINGS | BY_VALUE]
    models.append(wrap_module(Behind(network(3), LogSharesByHand()).double().eval(), dtype=torch.float64))
    seen = set()
    for model in models:
        found = finish_of(model, ROWS)
        gives, is_share, is_raw = IN_WORDS[found.words]
        assert (gives, is_share and found.n_outputs > 1, is_raw) == (found.gives, found.is_share, found.is_raw)
        seen.add(found.words)
    assert seen == set(IN_WORDS)


@pytest.mark.parametrize("name", BY_VALUE)
def test_probabilities_that_are_made_in_another_way_are_inverted(name: str) -> None:
    model, logits, scales = model_of(name)
    assert finish_of(model, ROWS).gives == "probability"
    with torch.no_grad():
        for scale, made in scales.items():
            found = on_scale(model, scale, ROWS)[0].outputs(ROWS)
            torch.testing.assert_close(found, made(logits(ROWS)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ENDINGS)
def test_a_model_that_is_on_the_scale_already_stays_as_it_is(name: str) -> None:
    model = model_of(name)[0]
    assert on_scale(model, ENDINGS[name][2], ROWS)[0] is model
    assert on_scale(model, MODEL, ROWS) == (model, None)


@pytest.mark.parametrize("method", ["ig", "ih"])
@pytest.mark.parametrize("scale", [scale for scale in SCALES if scale != MODEL])
@pytest.mark.parametrize("name", ["sigmoid", "softmax", "complement", "numbers"])
def test_explanations_are_those_of_models_built_by_hand(name: str, scale: str, method: str) -> None:
    model, logits, scales = model_of(name)
    if method == "ih" and scale == "margin" and name in ("softmax", "numbers"):
        model, logits, scales = model_of("softmax of two")  # of more, the highest other one is smoothed
    made = scales[scale]

    class ByHandOf(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return made(logits(x))

    settings = {"method": method, "tolerance": 1e-8, "target": 0}
    found = ihcli.explain(model, ROWS[:6].numpy(), scale=scale, **settings)
    expected = ihcli.explain(wrap_module(ByHandOf(), n_inputs=D, dtype=torch.float64), ROWS[:6].numpy(), **settings)
    np.testing.assert_allclose(found.attributions, expected.attributions, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.prediction, expected.prediction, rtol=1e-9)
    if method == "ih":
        np.testing.assert_allclose(found.interactions, expected.interactions, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("beta", [0.5, 1.0, 40.0])
def test_the_highest_other_logit_smoothed_loses_no_digits(beta: float) -> None:
    logits = torch.cat([normal(8, 5, seed=0), 30 * normal(8, 5, seed=1), torch.zeros(1, 5, dtype=torch.float64)])
    expected = torch.stack(
        [torch.logsumexp(beta * torch.cat([logits[:, :k], logits[:, k + 1 :]], 1), 1) / beta for k in range(5)], 1
    )
    torch.testing.assert_close(highest_other(logits, beta), expected, rtol=1e-13, atol=1e-13)
    assert torch.autograd.gradcheck(lambda u: highest_other(u, beta), logits[:8].requires_grad_())


def test_saturated_models_are_explained_by_their_logits() -> None:
    torch.manual_seed(0)
    logits = network(1)
    with torch.no_grad():
        logits[2].bias += 45.0  # where float64 has no digit of 1 - p left
    rows = ROWS[:5].numpy()
    found = ihcli.explain(nn.Sequential(logits, nn.Sigmoid()), rows, scale="logit", method="ih", tolerance=1e-6)
    expected = ihcli.explain(logits, rows, method="ih", tolerance=1e-6)
    assert (found.status == "ok").all()
    np.testing.assert_allclose(found.interactions, expected.interactions, rtol=1e-9, atol=1e-12)


class Seeing(nn.Module):
    """Probabilities; keeps the first number of every row that it is called on."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.bias, self.seen = bias, set[float]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.update(x[:, 0].tolist())
        return torch.sigmoid(x.sum(1, keepdim=True) + self.bias)


@pytest.mark.parametrize("scale", ["model", "probability", "logit"])
def test_no_more_rows_are_run_before_a_run_than_the_first_few(scale: str) -> None:
    """A row on which a model never ends is met by those who explain it, while others go on."""
    rows = normal(60, D, seed=5)
    for bias, is_run in ((0.0, False), (40.0, scale != "logit")):
        module = Seeing(bias)
        model, _ = on_scale(wrap_module(module, n_inputs=D, dtype=torch.float64), scale, rows)
        finish_of(model, rows)
        told = saturation_warning(stabilise(model, rows), [rows], Target("0", ("0",)), scale)
        assert bool(told) == is_run
        assert bool(module.seen & set(rows[8:, 0].tolist())) == is_run


def test_a_saturated_probability_is_told_to_be_and_the_advice_helps() -> None:
    logits = network(1)
    with torch.no_grad():
        logits[2].bias += 20.0
    with pytest.warns(ihcli.IhcliWarning, match=r"saturated.* Try `scale=logit`"):
        ihcli.explain(logits, ROWS[:8].numpy(), scale="probability", method="ig")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ihcli.explain(nn.Sequential(logits, nn.Sigmoid()), ROWS[:8].numpy(), scale="logit", method="ig")


@pytest.mark.parametrize("format_", ["eager", "scripted"])
def test_margins_of_many_classes_are_smoothed_as_relus_are(format_: str) -> None:
    model, _, _ = model_of("softmax", format_, nn.ReLU())
    found = ihcli.explain(model, ROWS.numpy(), scale="margin", method="ih", tolerance=1e-3)
    assert (found.status == "ok").all()
    assert found.drift is not None
    assert np.abs(found.drift).max() < 0.1 * found.prediction.std()
    exact = ihcli.explain(model, ROWS.numpy(), scale="margin", method="ig", tolerance=1e-3)
    assert (exact.status == "ok").all()
    np.testing.assert_allclose(exact.attributions.sum(1), exact.prediction - exact.baseline_prediction, atol=1e-9)


class Grade(nn.Module):
    def forward(self, u: Tensor) -> Tensor:
        return (torch.softmax(u, 1) * torch.arange(u.shape[1])).sum(1)


@pytest.mark.parametrize(
    ("ending", "told"),
    [(nn.Tanh(), "ends in tanh, but its outputs are not probabilities"), (Grade(), "ends in softmax, but")],
)
def test_outputs_that_are_neither_probabilities_nor_logits_are_refused(ending: nn.Module, told: str) -> None:
    model = wrap_module(Behind(network(3), ending).eval(), dtype=torch.float64)
    with pytest.raises(OptionError, match=rf"^`scale`: model: {told}.* Try `scale=model`\.$"):
        ihcli.explain(model, ROWS.numpy(), scale="probability")


def test_regressors_are_refused(tmp_path: Path) -> None:
    regressor = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regressor.fit(ROWS.numpy(), ROWS[:, 0].numpy())
    model = ihcli.load_model(save_joblib(regressor, tmp_path / "regressor.joblib"))
    with pytest.raises(OptionError, match="is a regressor"):
        ihcli.explain(model, ROWS.numpy(), scale="logit")


def test_many_labels_have_a_sigmoid_each() -> None:
    logits = network(3)
    model = wrap_module(logits)
    several = Model(**{**vars(model), "task": MANY_LABELS})
    with torch.no_grad():
        torch.testing.assert_close(on_scale(several, "probability", ROWS)[0].outputs(ROWS), torch.sigmoid(logits(ROWS)))


def test_another_word_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(OptionError, match=r"`scale`: 'probabilty' is not a scale.* Did you mean 'probability'\?"):
        ihcli.explain(network(1), ROWS.numpy(), scale="probabilty")


@pytest.fixture(scope="module")
def run_of_logits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scales")
    scripted(nn.Sequential(network(3), nn.Softmax(1))).save(str(folder / "model.pt"))
    pd.DataFrame(ROWS.numpy(), columns=list("abcd")).to_csv(folder / "data.csv", index=False)
    words = [
        "explain",
        folder / "model.pt",
        folder / "data.csv",
        "--scale",
        "margin",
        "--target",
        "2",
        "-o",
        folder / "run",
    ]
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder


def test_runs_tell_their_scale_everywhere(run_of_logits: Path) -> None:
    told = json.loads((run_of_logits / "run" / "run.json").read_text())
    assert told["scale"] == {"name": "margin", "ending": "a softmax"}
    schema = pq.read_schema(run_of_logits / "run" / "attributions" / "part-000000.parquet")
    units = {field.name: field.metadata[b"unit"].decode() for field in schema}
    assert units["a"] == units["_prediction"] == "units of the explained output (margin)"
    assert units["_relative_error"] == "1"
    ranked = CliRunner().invoke(main, ["attributions", str(run_of_logits / "run"), "--format", "table"])
    assert "target 2 (margin), 24 rows" in ranked.output
    one = CliRunner().invoke(main, ["attributions", str(run_of_logits / "run"), "--row", "0", "--format", "table"])
    assert "target 2 (margin): " in one.output


def test_reports_say_the_scale_on_their_first_screen(run_of_logits: Path) -> None:
    assert ("Scale", "margin, of a model that ends in a softmax") in facts_of(ihcli.read(run_of_logits / "run"))
    page = (Path(ihcli.__file__).parent / "report" / "page.js").read_text(encoding="utf-8")
    subtitle = next(line for line in page.splitlines() if "shown = [" in line)
    assert '"Scale"' in subtitle


def test_runs_on_a_scale_are_verified_with_their_model(run_of_logits: Path) -> None:
    words = ["verify", *(str(run_of_logits / name) for name in ("run", "model.pt", "data.csv"))]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output


def test_a_run_is_not_resumed_on_another_scale(run_of_logits: Path) -> None:
    words = ["explain", *(str(run_of_logits / name) for name in ("model.pt", "data.csv")), "--target", "2", "--resume"]
    done = CliRunner().invoke(main, [*words, "-o", str(run_of_logits / "run")])
    assert done.exit_code != 0
    assert "scale" in done.output
