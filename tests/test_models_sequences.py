"""Models of sequences, in every form in which they are saved, as models of rows."""

from pathlib import Path

import model_files
import numpy as np
import pytest
import torch
from sequence_models import FORMS, MODELS, Convolution, Recurrent, example, network, save
from torch import Tensor, nn

import ihcli
from ihcli.errors import ModelError
from ihcli.heads import stabilise
from ihcli.models import load_model, wrap_module
from ihcli.models.sequences import Axes, axes_of
from ihcli.smoothing import find_operations

T, F = 6, 3
EXACT = {torch.float64: 1e-12, torch.float32: 2e-5}
ROWS = np.random.default_rng(0).normal(size=(5, T * F))


class Hinged(Recurrent):
    """A probability behind a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1]).relu().softmax(1)


SAVED = [(name, form, torch.float64) for name in MODELS for form in FORMS]
SAVED += [(*each, torch.float32) for each in zip(MODELS, FORMS, strict=True)]  # each once: no axis hangs on a dtype


@pytest.mark.parametrize(("name", "form", "dtype"), SAVED)
def test_a_saved_network_of_sequences_is_one_of_rows(name: str, form: str, dtype: torch.dtype, tmp_path: Path) -> None:
    module = network(name, T, F, dtype)
    model = load_model(save(form, module, example(module, T, F), tmp_path / "model"), trust=form in ("pickle", "pt2"))
    axes = axes_of(model, (T, F), by_channel=False, channels_first=None)
    assert (axes.channels_first, axes.either) == (name == "convolution", False)
    rows = torch.as_tensor(ROWS).to(dtype)
    sequences = rows.view(-1, T, F).transpose(1, 2) if axes.channels_first else rows.view(-1, T, F)
    with torch.no_grad():
        found, wanted = axes.of_rows(model).outputs(rows), module(sequences)
    torch.testing.assert_close(found, wanted, rtol=0, atol=EXACT[dtype])


@pytest.mark.parametrize("channels_first", [False, True])
def test_columns_channel_by_channel_are_the_same_columns(channels_first: bool) -> None:
    name = "convolution" if channels_first else "lstm"
    model = wrap_module(network(name, T, F))
    by_step, by_channel = (axes_of(model, (T, F), order, None).of_rows(model) for order in (False, True))
    rows = torch.as_tensor(ROWS)
    swapped = rows.view(-1, T, F).transpose(1, 2).reshape(-1, T * F)
    with torch.no_grad():
        torch.testing.assert_close(by_step.outputs(rows), by_channel.outputs(swapped), rtol=0, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_hinges_and_probabilities_of_a_network_of_sequences_are_found(form: str, tmp_path: Path) -> None:
    module = Hinged(nn.GRU, F).double().eval()
    model = load_model(save(form, module, example(module, T, F), tmp_path / "model"), trust=form in ("pickle", "pt2"))
    of_rows, rows = axes_of(model, (T, F), False, None).of_rows(model), torch.as_tensor(ROWS)
    assert find_operations(of_rows, rows).replaceable == ("relu",)
    stable = stabilise(of_rows, rows)
    assert {name.strip("_") for name in stable.final} == {"softmax"}
    assert not stable.unknown


def test_a_network_that_takes_both_is_said_to() -> None:
    class Total(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.square().sum((1, 2))

    assert axes_of(wrap_module(Total()), (T, F), False, None) == Axes(T, F, False, False, either=True)
    assert axes_of(wrap_module(Total()), (T, F), False, True) == Axes(T, F, False, True)


@pytest.mark.parametrize("form", ["script", "trace", "pt2"])
def test_no_recurrent_layer_reads_beyond_its_weights(form: str, tmp_path: Path) -> None:
    """In float32 oneDNN takes steps of any width, without a word."""
    module = network("lstm", T, F, torch.float32)
    model = load_model(save(form, module, example(module, T, F), tmp_path / "model"), trust=form == "pt2")
    for shape, channels_first in (((T, F), True), ((T, F + 1), None)):
        with pytest.raises(ModelError, match=rf"Expected what it takes, \(N, T, {F}\)"):
            axes_of(model, shape, False, channels_first)


REFUSED = {
    "another width": (lambda: network("lstm", T, F), (7, 2), r"Try `features` for T x 3 columns\."),
    "another width that fits": (lambda: network("lstm", T, F), (9, 2), r"\(N, T, 3\)\. Try `sequence=6x3`\."),
    "a convolution": (lambda: network("convolution", T, F), (9, 2), r"\(N, 3, T\)\. Try `sequence=6x3`\."),
    "rows second": (lambda: RowsSecond().double().eval(), (T, F), r"takes \(T, N, F\), .* batch_first=True"),
    "rows": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(7, 2)), (T, F), r"cannot be multiplied .*Expected outputs"),
}


class RowsSecond(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.LSTM(F, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][-1])


@pytest.mark.parametrize("case", REFUSED)
def test_a_network_that_takes_no_such_sequences_is_refused(case: str) -> None:
    build, shape, words = REFUSED[case]
    with pytest.raises(ModelError, match=rf"^model: takes neither \(N, {shape[0]}, {shape[1]}\) nor .*{words}"):
        axes_of(wrap_module(build().eval()), shape, False, None)


def test_steps_and_channels_the_other_way_round_are_refused_and_the_advice_helps() -> None:
    for name, taken in (("lstm", r"\(N, T, 3\)"), ("convolution", r"\(N, 3, T\)")):
        model = network(name, T, F)
        with pytest.raises(ModelError, match=rf"^model: takes {taken}, of any number of steps, .* `sequence=6x3`"):
            ihcli.explain(model, ROWS, sequence=(F, T))
        assert set(ihcli.explain(model, ROWS, sequence=(T, F), target=0, method="ig").status) == {"ok"}
    turned = ROWS.reshape(-1, T, F).transpose(0, 2, 1)
    with pytest.raises(ModelError, match=r"or `channels_first` alone for an array \(N, F, T\)\.$"):
        ihcli.explain(network("convolution", T, F), turned)
    found = ihcli.explain(network("convolution", T, F), turned, channels_first=True, target=0, method="ig")
    assert set(found.status) == {"ok"}


def test_the_advice_about_rows_second_leads_to_an_explanation() -> None:
    class RowsFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = RowsSecond().double()

        def forward(self, x: Tensor) -> Tensor:
            return self.module(x.transpose(0, 1))

    assert set(ihcli.explain(RowsFirst(), ROWS, sequence=(T, F), target=0).status) == {"ok"}


def test_zero_and_names_of_channels_become_those_of_columns() -> None:
    module = network("convolution", T, F)
    model = wrap_module(module, feature_names=["hr", "bp", "temp"], zero=[1.0, 2.0, 3.0])
    for by_channel, zero in ((False, (1.0, 2.0, 3.0) * T), (True, (1.0,) * T + (2.0,) * T + (3.0,) * T)):
        of_rows = axes_of(model, (T, F), by_channel, None).of_rows(model)
        assert (of_rows.zero, of_rows.feature_names, of_rows.n_inputs) == (zero, None, T * F)
    found = ihcli.explain(model, ROWS, sequence=(T, F), units="channel", target=0)
    assert found.feature_names == ("hr", "bp", "temp")


def test_an_exported_program_tells_its_steps_and_any_number_of_rows_is_run(tmp_path: Path) -> None:
    module = network("transformer", T, F)
    given = torch.randn(2, T, F, dtype=torch.float64)
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(module, (given,)), path)  # of two rows
    model = load_model(path, trust=True)
    assert (model.sequence_shape, model.n_inputs) == ((T, F), None)
    of_rows, rows = axes_of(model, (T, F), False, None).of_rows(model), torch.as_tensor(ROWS)
    with torch.no_grad():
        torch.testing.assert_close(of_rows.outputs(rows), module(rows.view(-1, T, F)), rtol=0, atol=1e-12)


def test_an_exported_program_of_any_number_of_steps_is_read(tmp_path: Path) -> None:
    module, steps = network("temporal", T, F), torch.export.Dim("steps", min=2, max=99)
    shapes = ({0: torch.export.Dim("rows"), 1: steps},)
    path = tmp_path / "model.pt2"
    given = torch.randn(3, 5, F, dtype=torch.float64)
    program = model_files.quietly(torch.export.export, module, (given,), dynamic_shapes=shapes)
    torch.export.save(program, path)
    found = ihcli.explain(load_model(path, trust=True), ROWS, sequence=(T, F), target=0)
    assert set(found.status) == {"ok"}


def test_the_message_about_an_exported_program_leads_to_an_explanation(tmp_path: Path) -> None:
    module = network("convolution", T, F)
    model = load_model(save("pt2", module, example(module, T, F), tmp_path / "model.pt2"), trust=True)
    with pytest.raises(ModelError, match=r"takes \(N, 3, 6\), sequences, .* 18 features.* or `sequence=6x3` where"):
        ihcli.explain(model, ROWS)
    assert set(ihcli.explain(model, ROWS, sequence="6x3", target=0).status) == {"ok"}
    assert type(module) is Convolution
