"""ihcli.explain on arrays and DataFrames."""

from collections.abc import Callable
from pathlib import Path

import checkpoints
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import ihcli
from ihcli.errors import DataError, ModelError, OptionError
from ihcli.models import Model, wrap_module
from ihcli.readers.texts import TextReader

EXACT = 1e-10  # float64, a few hundred operations


class Product(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0] * x[:, 1]


def product() -> nn.Module:
    return Product().double()


def small_net(seed: int = 0, outputs: int = 1) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, outputs)).double()


def rows(n: int = 6, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def test_a_product_splits_evenly_between_main_and_pair_effects() -> None:
    model = ihcli.Model(product(), "torch module", torch.float64, torch.device("cpu"))
    result = ihcli.explain(model, np.array([[2.0, 3.0]]), tolerance=1e-9)
    np.testing.assert_allclose(result.attributions, [[3.0, 3.0]], atol=EXACT)
    np.testing.assert_allclose(result.interactions, [[[1.5, 1.5], [1.5, 1.5]]], atol=EXACT)
    assert result.status.tolist() == ["ok"]


def test_columns_of_a_data_frame_name_the_features() -> None:
    frame = pd.DataFrame(rows(), columns=["age", "dose", "weight"])
    result = ihcli.explain(small_net(), frame, method="ig")
    assert result.feature_names == ("age", "dose", "weight")
    assert result.interactions is None


def test_a_model_with_names_picks_its_columns_from_a_data_frame() -> None:
    model = small_net()
    frame = pd.DataFrame(rows(), columns=["c", "a", "b"])
    named = small_net()
    named.feature_names = ["a", "b", "c"]
    picked = ihcli.explain(named, frame.assign(other=1.0))
    by_hand = ihcli.explain(model, frame[["a", "b", "c"]].to_numpy())
    np.testing.assert_array_equal(picked.attributions, by_hand.attributions)
    with pytest.raises(DataError, match="x: lacks 1 of the model's features, the first is 'b'"):
        ihcli.explain(named, frame[["a", "c"]])


def test_the_module_comes_back_in_the_mode_it_was_in() -> None:
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))
    module.train()
    module[0].eval()
    module[0].weight.requires_grad_(False)
    ihcli.explain(module, rows())
    assert [part.training for part in module] == [False, True, True, True]
    assert [p.requires_grad for p in module.parameters()] == [False, True, True, True]


@pytest.mark.parametrize("method", ["ig", "eg", "ih", "eh"])
def test_attributions_and_interactions_are_complete(method: str) -> None:
    result = ihcli.explain(small_net(), rows(30), method=method, tolerance=1e-6)
    total = result.prediction - result.baseline_prediction
    np.testing.assert_allclose(result.attributions.sum(1), total, atol=1e-6)
    if result.interactions is not None:
        np.testing.assert_allclose(result.interactions.sum(2), result.attributions, atol=1e-6)
        np.testing.assert_array_equal(result.interactions, result.interactions.transpose(0, 2, 1))


def test_every_output_of_every_row_is_explained_on_request() -> None:
    x = rows(4)
    model = small_net(outputs=3)
    model.output_names = ["low", "mid", "high"]
    everything = ihcli.explain(model, x, target="all")
    one = ihcli.explain(model, x, target="mid")
    assert everything.row.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert everything.target.tolist() == ["low", "mid", "high"] * 4
    np.testing.assert_allclose(everything.attributions[1::3], one.attributions, atol=EXACT)


def test_the_predicted_output_is_the_default_and_labels_choose_by_name() -> None:
    x = rows(5)
    model = small_net(outputs=3)
    model.output_names = ["low", "mid", "high"]
    predicted = ihcli.explain(model, x)
    with torch.no_grad():
        expected = np.array(model.output_names)[model(torch.as_tensor(x)).argmax(1).numpy()]
    assert predicted.target.tolist() == expected.tolist()
    labelled = ihcli.explain(model, x, target="label", labels=["high", "low", "mid", "high", "low"])
    assert labelled.target.tolist() == ["high", "low", "mid", "high", "low"]


def test_rows_with_missing_inputs_are_flagged_and_the_others_unaffected() -> None:
    x = rows(5)
    whole = ihcli.explain(small_net(), x)
    holed = x.copy()
    holed[2, 1] = np.nan
    told = r"^x: column .1. has 1 null value, the first in row 2\. Such rows have no figures: .* missing_input\.$"
    with pytest.warns(ihcli.IhcliWarning, match=told):
        result = ihcli.explain(small_net(), holed)
    assert result.status.tolist() == ["ok", "ok", "missing_input", "ok", "ok"]
    assert np.isnan(result.attributions[2]).all()
    assert result.evaluations[2] == 0
    kept = [0, 1, 3, 4]
    np.testing.assert_array_equal(result.interactions[kept], whole.interactions[kept])


def test_groups_add_up_their_members() -> None:
    frame = pd.DataFrame(rows(), columns=["a1", "a2", "b"])
    single = ihcli.explain(small_net(), frame, tolerance=1e-8)
    grouped = ihcli.explain(small_net(), frame, groups={"a": ["a1", "a2"]}, tolerance=1e-8)
    assert grouped.feature_names == ("a", "b")
    np.testing.assert_allclose(grouped.attributions[:, 0], single.attributions[:, :2].sum(1), atol=1e-8)
    np.testing.assert_allclose(grouped.interactions[:, 0, 0], single.interactions[:, :2, :2].sum((1, 2)), atol=1e-7)


def test_a_smoothed_model_reports_its_drift() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).double()
    x = rows(20)
    smoothed = ihcli.explain(model, x)
    with torch.no_grad():
        exact = model(torch.as_tensor(x))[:, 0].numpy()
    assert smoothed.drift is not None
    np.testing.assert_allclose(smoothed.prediction - smoothed.drift, exact, atol=EXACT)
    assert np.abs(smoothed.drift).max() > 0


def test_an_unsmoothed_relu_net_is_flagged_in_every_row_at_little_cost() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)).double()
    with pytest.warns(ihcli.IhcliWarning, match=r"jumps along the paths \(relu x2\).*Try `smooth=auto`"):
        result = ihcli.explain(model, rows(50), smooth="none")
    assert set(result.status) == {"not_converged"}
    assert result.evaluations.max() <= 64


def test_subsampled_baselines_report_their_sampling_error() -> None:
    x = rows(60)
    whole = ihcli.explain(small_net(), x, method="eg", baseline_rows=60)
    part = ihcli.explain(small_net(), x, method="eg", baseline_rows=20)
    assert whole.sampling_error is None
    assert part.sampling_error is not None
    off = np.abs(part.attributions - whole.attributions).sum(1) / np.abs(whole.attributions).sum(1)
    assert np.median(off) < 2 * np.median(part.sampling_error)
    assert np.median(off) > 0.2 * np.median(part.sampling_error)


def test_memory_does_not_change_the_answer() -> None:
    x = rows(40)
    roomy = ihcli.explain(small_net(), x, method="eh")
    tight = ihcli.explain(small_net(), x, method="eh", memory_bytes=1 << 20)
    np.testing.assert_allclose(tight.attributions, roomy.attributions, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(tight.interactions, roomy.interactions, rtol=1e-10, atol=1e-13)
    assert tight.evaluations.tolist() == roomy.evaluations.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "shap"}, "`method`: 'shap' is not a method. Expected one of ig, eg, ih, eh, gradient, "),
        (
            {"target": "high"},
            "`target`: 'high' is not an output of the model. Expected one of 'prediction', an index from 0 to 0",
        ),
        ({"max_evaluations": 7}, "`max_evaluations`: 7 is too few. Expected at least 8, one panel of 8 nodes"),
        ({"steps": 1024}, "`steps`: 1024 cannot be. Expected 3 to 512."),
        ({"baseline": "data"}, "`baseline=data`: is many rows, ig and ih take one."),
        ({"groups": {"g": ["0", "nothing"]}}, "'nothing'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        ihcli.explain(small_net(), rows(), **arguments)
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> ihcli.Model:
    directory = tmp_path_factory.mktemp("checkpoint")
    checkpoints.save(directory, "bert")
    return ihcli.load_model(directory)


def test_texts_are_explained_word_by_word(reader: ihcli.Model) -> None:
    with pytest.warns(ihcli.IhcliWarning, match=r"^1 of 3 texts are empty or null: they are flagged missing_input\.$"):
        result = ihcli.explain_texts(reader, ["not bad at all", None, "bad"], target=0)
    assert result.status.tolist() == ["ok", "missing_input", "ok"]
    assert result.units[0][1:-1] == ("not", "bad", "at", "all")
    phi = result.attributions[0]
    assert np.abs(result.interactions[0].sum(axis=1) - phi).sum() <= 0.01 * np.abs(phi).sum()
    alone = ihcli.explain_texts(reader, ["bad"], target=0)
    np.testing.assert_allclose(result.attributions[2], alone.attributions[0], rtol=1e-4, atol=1e-6)


def test_pairs_of_texts_are_explained_together(reader: ihcli.Model) -> None:
    with pytest.warns(ihcli.IhcliWarning, match="1 of 2 texts are empty or null"):
        result = ihcli.explain_texts(reader, ["not bad", "good"], ["bad", None], method="ig", units="token")
    assert result.interactions is None
    assert result.status.tolist() == ["ok", "missing_input"]
    assert result.units[0].count("bad") == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda model: ihcli.explain(model, rows()), ModelError, r"reads texts\. Try ihcli\.explain_texts"),
        (lambda model: ihcli.explain_texts(model, "not bad"), DataError, r"is one string\. .* Try \[text\]"),
        (lambda model: ihcli.explain_texts(model, ["a"], ["b", "c"]), DataError, "has 1 strings and 2 pairs"),
        (lambda model: ihcli.explain_texts(model, [1.5]), DataError, "holds something that is not a string"),
        (lambda model: ihcli.explain_texts(model, ["a"], method="eh"), OptionError, "a text has one. Try `method=ih`"),
    ],
)
def test_texts_and_tables_are_told_apart(
    reader: ihcli.Model, call: Callable[[ihcli.Model], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(reader)


@pytest.mark.parametrize("model", [nn.Linear(3, 1), wrap_module(nn.Linear(3, 1).eval())])
def test_a_model_of_numbers_is_not_given_texts(model: nn.Module | Model) -> None:
    with pytest.raises(ModelError, match=r"^model: takes numbers\. .* Try ihcli\.explain\(model, x\)\.$"):
        ihcli.explain_texts(model, ["not bad"])


WORDS = TextReader("word", "zeros")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ihcli.explain_texts(None, ["a"]),
            ModelError,
            r"^model: a NoneType\. Expected a path, a torch module, ",
        ),
        (lambda: ihcli.explain_texts("net.pt", ["a"]), ModelError, r"^net\.pt: no such file"),
        (lambda: ihcli.explain("net.pt", np.zeros((2, 3))), ModelError, r"^net\.pt: no such file"),
        (lambda: ihcli.explain(Path("net.pt"), np.zeros((2, 3))), ModelError, r"^net\.pt: no such file"),
        (lambda: ihcli.explain_records("net.pt", [0.0], WORDS), ModelError, r"^net\.pt: no such file"),
        (lambda: ihcli.explain_records(nn.Linear(3, 1), [0.0], None), DataError, r"^reader: .* got NoneType\.$"),
    ],
)
def test_what_is_no_model_and_no_reader_is_said(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
