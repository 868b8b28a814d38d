"""Methods that captum computes: what comes of ihcli is what captum itself gives, and what cannot be is refused."""

import json
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pandas as pd
import pytest
import torch
from captum import attr
from click.testing import CliRunner
from model_files import save_script
from problems import normal
from torch import Tensor, nn
from torch.nn import functional

import ihcli
from ihcli.cli import main
from ihcli.errors import OptionError, PackageError
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.integration import computing
from ihcli.integration.compared.asking import SEED
from ihcli.integration.compared.masking import NOISE, NOISY_POINTS, SAMPLES, SAMPLES_PER_GROUP
from ihcli.integration.effort import Effort
from ihcli.methods import DUMMY, METHODS, PAIR_SENSITIVITY, SYMMETRY, promised
from ihcli.models import load_model
from ihcli.readers.opening import paths_to
from ihcli.readers.texts import TextReader
from ihcli.verification.recomputation.axioms import AXIOMS

ADAPTED = [name for name, method in METHODS.items() if method.extra == "captum"]
LAYERED = ["deeplift", "deeplift-shap", "lrp", "guided-backprop", "deconvolution"]
ROUNDED = {"rtol": 1e-12, "atol": 1e-13}
IN_FLOAT32 = {"rtol": 2e-5, "atol": 2e-6}
"""That captum adds up outputs in, where it draws sets."""


def mlp() -> nn.Module:
    layers = nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 3)
    return nn.Sequential(*layers)


def cnn() -> nn.Module:
    convolved = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 2), nn.ReLU(inplace=True)
    return nn.Sequential(nn.Unflatten(1, (1, 6, 6)), *convolved, nn.Flatten(), nn.Linear(12, 3))


def made(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return make().double().eval()


NETWORKS = {"mlp": (mlp, 6, [0, 0, 1, 2, 2, 2]), "cnn": (cnn, 36, [i // 6 // 2 * 3 + i % 6 // 2 for i in range(36)])}
EITHER = pytest.mark.parametrize("network", NETWORKS)


class Case:
    """A network, five rows, a start and three, and groups of its inputs."""

    def __init__(self, name: str) -> None:
        make, self.d, self.owner = NETWORKS[name]
        self.net = made(make)
        self.x, self.start = normal(5, self.d, seed=1), normal(3, self.d, seed=2)
        self.g = max(self.owner) + 1
        self.groups = {f"g{k}": [str(i) for i, o in enumerate(self.owner) if o == k] for k in range(self.g)}
        self.mask = torch.tensor(self.owner)[None]

    def explained(self, method: str, **settings: Any) -> ihcli.Explanation:
        many = METHODS[method].many_baselines
        start = self.start if many else self.start[:1]
        return ihcli.explain(
            self.net, self.x.numpy(), method=method, baseline=start.numpy(), groups=self.groups, target=1, **settings
        )

    def summed(self, values: Tensor) -> np.ndarray:
        into = torch.zeros(self.d, self.g, dtype=values.dtype)
        into[torch.arange(self.d), self.mask[0]] = 1
        return (values.detach() @ into).numpy()


@contextmanager
def asked() -> Iterator[None]:
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(SEED)
        yield


OF_LAYERS: dict[str, Callable[[Case], Tensor]] = {
    "deeplift": lambda c: attr.DeepLift(c.net).attribute(c.x, c.start[:1].expand(5, -1), target=1),
    "deeplift-shap": lambda c: attr.DeepLiftShap(c.net).attribute(c.x, c.start, target=1),
    "guided-backprop": lambda c: attr.GuidedBackprop(c.net).attribute(c.x, target=1),
    "deconvolution": lambda c: attr.Deconvolution(c.net).attribute(c.x, target=1),
}


@EITHER
@pytest.mark.parametrize("name", OF_LAYERS)
def test_values_of_layers_are_those_of_captum(name: str, network: str) -> None:
    case, adds_up = Case(network), METHODS[name].adds_up
    is_told = pytest.warns(ihcli.IhcliWarning, match="max-pooling does not add up") if adds_up else nullcontext()
    with is_told if network == "cnn" else nullcontext():
        found = case.explained(name)
    with asked():
        theirs = OF_LAYERS[name](case)
    np.testing.assert_allclose(found.attributions, case.summed(theirs), **ROUNDED)
    assert (found.status == "uncertified").all()
    if adds_up:
        assert (np.abs(found.completeness_gap).max() < 1e-12) == (network == "mlp")


class _FlatCnn(nn.Module):
    """The network without modules that only reshape, of which captum knows none."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.before, self.after = net[1:-2], net[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.before(x.view(-1, 1, 6, 6)).flatten(1))


@EITHER
def test_relevance_is_that_of_captum(network: str) -> None:
    case = Case(network)
    found = case.explained("lrp").attributions
    assert not any(hasattr(module, "rule") or hasattr(module, "activations") for module in case.net.modules())
    theirs = case.net if network == "mlp" else _FlatCnn(case.net)
    with asked():
        values = attr.LRP(theirs).attribute(case.x, target=1)
    np.testing.assert_allclose(found, case.summed(values), **ROUNDED)


def test_relevance_of_a_layer_that_reshapes_inside_is_that_of_captum() -> None:
    net = made(
        lambda: nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Unflatten(1, (2, 3)), nn.Linear(3, 1), nn.Flatten())
    )
    x = normal(4, 3, seed=3)

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = net[:2], net[3]

        def forward(self, x: Tensor) -> Tensor:
            return self.after(self.before(x).view(-1, 2, 3)).flatten(1)

    with asked():
        values = attr.LRP(Plain()).attribute(x, target=0)
    found = ihcli.explain(net, x.numpy(), method="lrp", target=0)
    np.testing.assert_allclose(found.attributions, values.detach(), **ROUNDED)


@EITHER
def test_ablation_is_that_of_captum(network: str) -> None:
    case = Case(network)
    found = case.explained("feature-ablation")
    with asked():
        theirs = attr.FeatureAblation(case.net).attribute(case.x, case.start[:1], target=1, feature_mask=case.mask)
    first = [case.owner.index(k) for k in range(case.g)]
    np.testing.assert_allclose(found.attributions, theirs.numpy()[:, first], **ROUNDED)
    np.testing.assert_allclose(found.attributions, case.explained("occlusion").attributions, **ROUNDED)
    assert found.relative_error.max() < 1e-12
    assert (found.status == "ok").all()


@EITHER
def test_draws_of_orders_are_those_of_captum_and_within_the_error_that_they_report(network: str) -> None:
    case = Case(network)
    found = case.explained("shapley-sampling", tolerance=0.1)
    first = [case.owner.index(k) for k in range(case.g)]
    for row, evaluations in enumerate(found.evaluations):
        with asked():
            theirs = attr.ShapleyValueSampling(case.net).attribute(
                case.x[row : row + 1],
                case.start[:1],
                target=1,
                feature_mask=case.mask,
                n_samples=int(evaluations) // (case.g + 1),
            )
        np.testing.assert_allclose(found.attributions[row], theirs.numpy()[0, first], **IN_FLOAT32)
    exact = case.explained("shapley").attributions
    off = np.abs(found.attributions - exact).sum(1) / np.abs(found.attributions).sum(1)
    assert (off <= found.relative_error).all()
    assert (found.relative_error <= 0.1).all()
    assert (found.status == "ok").all()


@EITHER
@pytest.mark.parametrize("name", ["lime", "kernel-shap"])
def test_linear_models_are_those_of_captum(name: str, network: str) -> None:
    case = Case(network)
    found = case.explained(name)
    kind = {"lime": attr.Lime, "kernel-shap": attr.KernelShap}[name]
    samples = SAMPLES + SAMPLES_PER_GROUP * case.g
    assert (found.evaluations == samples).all()
    for row in range(5):
        with asked():
            theirs = kind(case.net).attribute(
                case.x[row : row + 1],
                case.start[:1],
                target=1,
                feature_mask=case.mask,
                n_samples=samples,
                return_input_shape=False,
            )
        np.testing.assert_allclose(found.attributions[row], theirs.numpy()[0], **IN_FLOAT32)
    fewer = case.explained(name, max_evaluations=60)
    assert (fewer.evaluations == 60).all()
    assert not np.allclose(fewer.attributions, found.attributions)


@EITHER
def test_smoothed_gradients_are_those_of_captum_and_within_the_error_that_they_report(network: str) -> None:
    case = Case(network)
    found = case.explained("smoothgrad", tolerance=0.05)
    for row, draws in enumerate(found.evaluations):
        x, scale = case.x[row : row + 1], (case.x[row : row + 1] - case.start[:1]).abs()
        noisy = attr.NoiseTunnel(attr.Saliency(lambda w, x=x, scale=scale: case.net(x + scale * w)))
        with asked():
            theirs = noisy.attribute(
                torch.zeros(1, case.d, dtype=torch.float64),
                nt_samples=int(draws),
                nt_samples_batch_size=NOISY_POINTS,
                stdevs=NOISE,
                abs=False,
                target=1,
            )
        np.testing.assert_allclose(found.attributions[row], case.summed(theirs / scale)[0], rtol=1e-9, atol=1e-12)
    finer = case.explained("smoothgrad", tolerance=0.01)
    off = np.abs(found.attributions - finer.attributions).sum(1) / np.abs(found.attributions).sum(1)
    assert (off <= found.relative_error + finer.relative_error).all()
    assert (found.relative_error <= 0.05).all()


def test_an_error_that_is_missed_is_told() -> None:
    found = Case("mlp").explained("shapley-sampling", tolerance=1e-9, max_evaluations=80)
    assert (found.status == "not_converged").all()
    assert (found.evaluations == 80).all()


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_model(checkpoints.save(tmp_path_factory.mktemp("texts") / "bert", "bert"), dtype=torch.float64)


SENTENCES = ("this movie was not bad", "a good movie", "it is not a boring film, and wonderful")


def as_rows(sentences: tuple[str, ...]) -> np.ndarray:
    rows = np.empty((len(sentences), 1), dtype=object)
    rows[:, 0] = sentences
    return rows


@pytest.mark.parametrize("name", ["lime", "kernel-shap", "shapley-sampling", "feature-ablation"])
def test_words_are_explained_as_captum_does(name: str, texts: Any) -> None:
    settings = Settings(method=name, target=0, effort=Effort(tolerance=0.2))
    explainer = prepare(texts, TextReader(), as_rows(SENTENCES[:2]), settings)
    found = explainer.explain(as_rows(SENTENCES))
    encoded = explainer.reader.encode(as_rows(SENTENCES))
    for i, text in enumerate(encoded.values):
        paths = paths_to(explainer.reader, explainer.model, encoded.values[i : i + 1], np.zeros(1, int))
        g = len(text.units)
        assert found.units[i] == tuple(text.units)
        asks = {"baselines": paths.baselines[:, 0], "target": 0, "feature_mask": paths.group_of}
        if name in ("lime", "kernel-shap"):
            asks |= {"n_samples": SAMPLES + SAMPLES_PER_GROUP * g, "return_input_shape": False}
        elif name == "shapley-sampling":
            asks |= {"n_samples": int(found.evaluations[i]) // (g + 1)}
        kinds = {"lime": attr.Lime, "kernel-shap": attr.KernelShap, "feature-ablation": attr.FeatureAblation}
        with asked():
            theirs = kinds.get(name, attr.ShapleyValueSampling)(texts.outputs).attribute(paths.inputs, **asks).numpy()
        if name not in ("lime", "kernel-shap"):
            theirs = theirs[:, [int(torch.argmax((paths.group_of[0] == k).int())) for k in range(g)]]
        np.testing.assert_allclose(found.attributions[i], theirs[0], **IN_FLOAT32)


@pytest.mark.parametrize("name", ["lime", "kernel-shap", "shapley-sampling", "smoothgrad"])
def test_a_text_is_explained_alike_alone_and_beside_others(name: str, texts: Any) -> None:
    settings = Settings(method=name, target=0, effort=Effort(tolerance=0.3))
    explainer = prepare(texts, TextReader(), as_rows(SENTENCES), settings)
    same_tokens = ("good good good bad bad", "unbelievably bad")  # more words in fewer tokens, and the reverse
    together = explainer.explain(as_rows((*SENTENCES, *same_tokens)))
    for i, sentence in enumerate((*SENTENCES, *same_tokens)):
        alone = explainer.explain(as_rows((sentence,)))
        np.testing.assert_allclose(alone.attributions[0], together.attributions[i], rtol=1e-9, atol=1e-9)


MONOMIAL = {  # phi of x0 x1^2 at (2, 3) from zeros
    "feature-ablation": (18, 18),
    "shapley-sampling": (9, 9),
    "kernel-shap": (9, 9),
}


class _Monomial(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x[:, 0] * x[:, 1] ** 2)[:, None]


def explain_monomial(method: str, **settings: Any) -> ihcli.Explanation:
    x = np.array([[2.0, 3.0]])
    return ihcli.explain(_Monomial().double(), x, method=method, baseline=np.zeros((1, 2)), **settings)


@pytest.mark.parametrize("name", MONOMIAL)
def test_a_monomial_has_the_values_that_each_method_is_known_for(name: str) -> None:
    found = explain_monomial(name, tolerance=0.02)
    error = np.nan_to_num(found.relative_error[0], nan=0.05)
    np.testing.assert_allclose(found.attributions[0], MONOMIAL[name], atol=(error + 1e-9) * 36)


def test_noise_moves_the_gradient_of_a_monomial_by_its_variance() -> None:
    found = explain_monomial("smoothgrad", tolerance=0.005)
    variance = (NOISE * 3) ** 2  # E[(3 + noise)^2] = 9 + variance; E[2 x0 x1] = 12
    np.testing.assert_allclose(found.attributions[0], [9 + variance, 12], rtol=0.005)
    assert np.abs(found.attributions[0] - [9, 12]).sum() > 0.5 * variance


def test_a_line_through_all_sets_of_a_monomial_has_half_of_it_as_slopes() -> None:
    found = explain_monomial("lime", max_evaluations=4000)
    assert (np.abs(found.attributions[0] - 9) < 2.5).all()  # weights near the record pull them up, the lasso down


@pytest.mark.parametrize("name", [*LAYERED, "smoothgrad", "lime", "kernel-shap"])
def test_of_a_line_every_method_gives_its_slopes(name: str) -> None:
    slopes = torch.tensor([[2.0, -3.0, 0.5]], dtype=torch.float64)
    line = nn.Linear(3, 1, bias=False).double()
    line.weight.data = slopes
    net = nn.Sequential(line, nn.ReLU()).eval()
    x, start = np.array([[5.0, 1.0, 2.0]]), np.array([[3.0, 0.0, 0.0]])
    many = np.repeat(start, 2, 0)
    found = ihcli.explain(net, x, method=name, baseline=many if METHODS[name].many_baselines else start)
    expected = slopes.numpy() if METHODS[name].is_slope else slopes.numpy() * (x - start)
    if name == "lrp":
        expected = slopes.numpy() * x  # it knows no baseline
    np.testing.assert_allclose(found.attributions, expected, rtol=1e-5, atol=0.5 if name == "lime" else 0)  # a lasso


class Functional(nn.Module):
    def __init__(self, bend: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.bend = nn.Linear(6, 5), nn.Linear(5, 2), bend

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.bend(self.first(x)))


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, 4), nn.Linear(4, 2)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x[:, :, None])
        return self.last(self.attention(h, h, h, need_weights=False)[0].mean(1))


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last, self.bend = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 2), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.bend(self.middle(self.bend(self.first(x)))))


def ending(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2), *layers)


REFUSED: dict[str, tuple[str, Callable[[], nn.Module], str]] = {
    "a function": ("deeplift", lambda: Functional(functional.relu), "`relu` is called as a function in Functional"),
    "a method": ("deeplift", lambda: Functional(torch.tanh), r"`tanh` .* in Functional\. .*Try a module, nn\.Tanh\(\)"),
    "a clamp": ("deeplift", lambda: Functional(lambda h: h.clamp(min=0)), "`clamp` is called as a function"),
    "a product": ("deeplift", lambda: Functional(lambda h: h * h), "`mul` is called as a function in Functional"),
    "a layer": ("deeplift", lambda: ending(nn.GELU()), r"the layer nn\.GELU has no rule"),
    "attention": ("deeplift", Attending, r"in nn\.MultiheadAttention"),
    "reuse": ("deeplift", Reused, "the layer 'bend' is called more than once"),
    "softmax": ("deeplift", lambda: ending(nn.Softmax(1)), "the rule of nn.Softmax mixes rows.*Try `scale=logit`"),
    "many": ("deeplift-shap", lambda: Functional(functional.relu), "`relu` is called.*or `method=eg`"),
    "lrp attention": ("lrp", Attending, r"in nn\.MultiheadAttention"),
    "lrp function": ("lrp", lambda: Functional(functional.relu), "`relu` is called as a function"),
    "lrp layer": ("lrp", lambda: ending(nn.Sigmoid()), r"the layer nn\.Sigmoid has no rule.*Try `scale=logit`"),
    "lrp reuse": ("lrp", Reused, "the layer 'bend' is called more than once"),
    "guided function": ("guided-backprop", lambda: Functional(functional.relu), r"Try nn\.ReLU\(\)"),
    "guided none": ("guided-backprop", lambda: Functional(torch.tanh), r"it has no nn\.ReLU"),
    "deconvolution": ("deconvolution", Attending, r"it has no nn\.ReLU"),
}


def explained(name: str, net: nn.Module, **settings: Any) -> ihcli.Explanation:
    x = normal(4, 6, seed=1).numpy()
    baseline = x[:2] if METHODS[name].many_baselines else None
    return ihcli.explain(net, x, method=name, baseline=baseline, target=0, **settings)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_explained_is_refused_by_name(case: str) -> None:
    name, make, message = REFUSED[case]
    with pytest.raises(OptionError, match=message) as caught:
        explained(name, made(make))
    assert f"`method={name}`: cannot explain this model: " in str(caught.value)
    offered = re.findall("`method=([a-z-]+)`", str(caught.value))[1:]
    assert len(offered) == 1
    assert (explained(offered[0], made(make), smooth="none").status == "ok").all()


@pytest.mark.parametrize("name", ["deeplift", "lrp"])
@pytest.mark.parametrize("last", [nn.Sigmoid, lambda: nn.Softmax(1)])
def test_the_advice_to_explain_logits_is_good(name: str, last: Callable[[], nn.Module]) -> None:
    torch.manual_seed(3)
    plain = ending().double().eval()
    found = explained(name, nn.Sequential(*plain, last()).eval(), scale="logit")
    expected = explained(name, plain).attributions
    if isinstance(last(), nn.Sigmoid):
        np.testing.assert_allclose(found.attributions, expected, **ROUNDED)
    assert np.abs(found.attributions).max() > 0


def test_a_scale_that_is_no_layer_is_named() -> None:
    with pytest.raises(OptionError, match=r"to put outputs on their scale.*Try `scale=logit`"):
        explained("deeplift", made(ending), scale="probability")
    assert len(explained("deeplift", made(ending), scale="logit").attributions) == 4


def test_texts_are_refused_by_rules_of_layers(texts: Any) -> None:
    for name in ("deeplift", "lrp", "guided-backprop"):
        with pytest.raises(OptionError, match=f"`method={name}`: cannot explain this model: "):
            prepare(texts, TextReader(), as_rows(SENTENCES), Settings(method=name, target=0))


def test_rows_do_not_depend_on_those_beside_them() -> None:
    case = Case("mlp")
    for name in ADAPTED:
        together = case.explained(name, tolerance=0.1)
        many = METHODS[name].many_baselines
        alone = ihcli.explain(
            case.net,
            case.x[3:4].numpy(),
            method=name,
            baseline=(case.start if many else case.start[:1]).numpy(),
            groups=case.groups,
            target=1,
            tolerance=0.1,
        )
        np.testing.assert_allclose(alone.attributions[0], together.attributions[3], rtol=1e-9, atol=1e-9)
        assert alone.evaluations[0] == together.evaluations[3]


def test_random_numbers_of_others_stay_as_they_are() -> None:
    case = Case("mlp")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for name in ("lime", "kernel-shap", "shapley-sampling", "smoothgrad"):
        case.explained(name, tolerance=0.5)
    assert torch.equal(torch.rand(3), expected)


def test_threads_get_what_they_would_get_alone() -> None:
    case, found = Case("mlp"), {}
    names = ["lrp", "deeplift", "guided-backprop", "kernel-shap"] * 2
    alone = {name: case.explained(name).attributions for name in names}

    def work(place: int, name: str) -> None:
        found[place] = case.explained(name).attributions

    threads = [threading.Thread(target=work, args=each) for each in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, name in enumerate(names):
        np.testing.assert_array_equal(found[place], alone[name])


@pytest.mark.filterwarnings("ignore:the output of .* is not finite")
@pytest.mark.parametrize("name", ["lime", "kernel-shap", "shapley-sampling", "feature-ablation"])
def test_rows_that_are_not_finite_are_told(name: str) -> None:
    class Logarithm(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.log(x).sum(1)

    x = np.abs(normal(40, 3, seed=0).numpy()) + 0.1
    x[-1, 1] = -1.0
    found = ihcli.explain(Logarithm().double(), x, method=name, baseline=np.ones((1, 3)), tolerance=0.5)
    assert found.status[-1] == "non_finite"
    assert np.isnan(found.attributions[-1]).all()
    assert np.isfinite(found.attributions[:-1]).all()


@pytest.mark.parametrize("name", ["lime", "kernel-shap", "shapley-sampling", "feature-ablation"])
def test_a_single_group_gets_all_of_the_change(name: str) -> None:
    net = made(lambda: nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)))
    found = ihcli.explain(net, np.array([[2.0], [-30.0]]), method=name)
    change = found.prediction - found.baseline_prediction
    np.testing.assert_allclose(found.attributions[:, 0], change, rtol=0.2 if name == "lime" else 1e-6)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "find_spec", lambda package: None)
    with pytest.raises(
        PackageError, match=r"^`method=lrp`: needs the package captum. Try pip install 'ihcli\[captum\]'"
    ):
        Case("mlp").explained("lrp")
    assert len(Case("mlp").explained("occlusion").attributions) == 5


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted")
    torch.save(made(mlp).float(), folder / "model.pth")
    save_script(made(mlp).float(), folder / "model.pt")
    pd.DataFrame(normal(20, 6, seed=7).numpy(), columns=list("abcdef")).to_csv(folder / "data.csv", index=False)
    return folder


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.parametrize("name", ADAPTED)
def test_runs_are_ranked_drawn_and_verified(name: str, files: Path) -> None:
    inputs, out = [files / "model.pth", files / "data.csv"], files / name
    done = run("explain", *inputs, "-m", name, "--target", "1", "--tolerance", "0.1", "-o", out)
    assert done.exit_code == 0, done.output
    assert "Warning" not in done.output
    assert "hook" not in done.output
    assert len(run("attributions", out).stdout.splitlines()) == 7
    picture = out.with_suffix(".svg")
    assert run("plot", out, "bar", "-o", picture).exit_code == 0
    assert ("slope of" if METHODS[name].is_slope else "change in") in picture.read_text(encoding="utf-8")
    verified = run("verify", out, *inputs, "--sample", "3")
    assert verified.exit_code == 0, verified.output
    assert "not checked" in verified.output
    other = run("interactions", *inputs, "-m", name, "--target", "1")
    assert other.exit_code != 0
    assert "Try --method " in other.output


@pytest.mark.parametrize("name", ADAPTED)
def test_methods_keep_to_what_the_table_says(name: str, files: Path) -> None:
    inputs, out = [files / "model.pth", files / "data.csv"], files / f"{name}-axioms"
    asked = run("explain", *inputs, "-m", name, "--target", "1", "--tolerance", "0.2", "--limit", "4", "-o", out)
    assert asked.exit_code == 0, asked.output
    done = run("verify", out, *inputs, "--axioms", "--sample", "3", "--format", "jsonl")
    assert done.exit_code == 0, done.output
    found = {each["check"]: each["outcome"] for each in map(json.loads, done.stdout.splitlines())}
    not_made = {DUMMY, SYMMETRY} if name in LAYERED else set()
    assert all(found[axiom] == "not checked" for axiom in not_made)
    for axiom in set(AXIOMS) - {PAIR_SENSITIVITY} - not_made:
        assert found[axiom] == ("passed" if axiom in promised(METHODS[name]) else "no promise"), axiom


def test_shards_and_workers_write_the_same_bytes(files: Path) -> None:
    inputs = [files / "model.pth", files / "data.csv"]
    common = ["--target", "1", "--tolerance", "0.1", "--chunk-rows", "4"]
    for name in ("kernel-shap", "smoothgrad", "shapley-sampling"):
        whole, parallel = files / f"{name}-whole", files / f"{name}-parallel"
        for out, more in ((whole, []), (parallel, ["--workers", "2"])):
            done = run("explain", *inputs, "-m", name, *common, *more, "-o", out)
            assert done.exit_code == 0, done.output
        ours, theirs = (sorted((out / "attributions").iterdir()) for out in (whole, parallel))
        assert [part.name for part in ours] == [part.name for part in theirs]
        assert all(one.read_bytes() == other.read_bytes() for one, other in zip(ours, theirs, strict=True))


def test_the_advice_for_scripts_is_good(files: Path) -> None:
    refused = run("explain", files / "model.pt", files / "data.csv", "-m", "deeplift", "-o", files / "refused")
    assert refused.exit_code == 1
    assert "its layers are TorchScript" in refused.output
    assert not (files / "refused").exists()
    assert "torch.save(module, FILE)" in refused.output
    done = run(
        "explain", files / "model.pth", files / "data.csv", "-m", "deeplift", "--target", "1", "-o", files / "ok"
    )
    assert done.exit_code == 0, done.output


def test_orders_are_asked_for_many_at_once() -> None:
    """captum asks for one after the other: at two calls each they took 25 s of a network that takes 0.1 s."""
    calls: list[int] = []

    def function(x: Tensor) -> Tensor:
        calls.append(len(x))
        return torch.tanh(x).prod(1)

    found = ihcli.explain(function, normal(5, 4, seed=1).numpy(), method="shapley-sampling", tolerance=0.02)
    orders = int(found.evaluations.max()) // 5
    assert orders > 200
    assert len(calls) < orders / 10
