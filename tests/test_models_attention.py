"""Attention and recurrent layers: second derivatives in every format, with what torch has none for kept away."""

import copy
import functools
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pytest
import torch
from prepared import python
from torch import Tensor, nn

import ihcli
from ihcli.errors import ModelError
from ihcli.models import Model, load_model, wrap_module
from ihcli.models.fixed import has_recurrence
from ihcli.smoothing import smooth_model

D, WIDTH = 4, 8


class Encoder(nn.Module):
    """Every feature a token; without inputs the layer's normalisation has nothing to divide by, hence the offset."""

    def __init__(self, activation: str = "gelu") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens, self.offset = nn.Parameter(torch.randn(D, WIDTH)), nn.Parameter(torch.randn(D, WIDTH))
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True, activation=activation)
        self.last = nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x.unsqueeze(-1) * self.tokens + self.offset)[:, 0])


class Multihead(Encoder):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(WIDTH, 2, batch_first=True)  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.unsqueeze(-1) * self.tokens + self.offset
        mixed, _ = self.layer(tokens, tokens, tokens, need_weights=False)
        return self.last(torch.tanh(mixed[:, 0]))


class Functional(Encoder):
    def forward(self, x: Tensor) -> Tensor:
        heads = (x.unsqueeze(-1) * self.tokens + self.offset).view(-1, 4, 2, 4).transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(heads, heads, heads)
        return self.last(mixed.transpose(1, 2).reshape(-1, 4, 8)[:, 0])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.LSTM(1, WIDTH, batch_first=True)
        self.last = nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layer(x.unsqueeze(-1))
        return self.last(states[:, -1])


MODULES: dict[str, type[nn.Module]] = {
    "encoder": Encoder,
    "multihead": Multihead,
    "functional": Functional,
    "recurrent": Recurrent,
}
FORMATS = ("pickled", "scripted", "traced", "exported")


def rows(n_rows: int = 5) -> Tensor:
    return model_files.rows(n_rows, D)


def saved(module: nn.Module, format_name: str, path: Path) -> Path:
    module = module.eval()
    if format_name == "pickled":
        return model_files.save_zip(module, path)
    if format_name == "scripted":
        return model_files.save_script(module, path)
    if format_name == "traced":
        return model_files.save_trace(module, rows(3), path)
    program = model_files.quietly(
        torch.export.export, module, (rows(3),), dynamic_shapes=({0: torch.export.Dim("n", min=2, max=100_000)},)
    )
    with path.open("wb") as stream:
        torch.export.save(program, stream)
    return path


@functools.cache
def content(name: str, format_name: str) -> bytes:
    """Return the file of one of MODULES; to export one takes seconds."""
    with tempfile.TemporaryDirectory() as directory:
        return saved(MODULES[name](), format_name, Path(directory) / "model").read_bytes()


def loaded(name: str, format_name: str, path: Path) -> Model:
    path.write_bytes(content(name, format_name))
    return load_model(path, trust=True)


def plain(module: nn.Module) -> nn.Module:
    """The same module in float64, given in memory."""
    return copy.deepcopy(module).double().eval()


@functools.cache
def truth(name: str) -> Any:
    explanation = ihcli.explain(plain(MODULES[name]()), rows(2).double().numpy(), tolerance=1e-3)
    assert set(explanation.status) == {"ok"}
    return explanation.interactions


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", MODULES)
def test_interactions_are_those_of_the_module_in_every_format(name: str, format_name: str, tmp_path: Path) -> None:
    found, true = ihcli.explain(loaded(name, format_name, tmp_path / "model"), rows(2).numpy()), truth(name)
    assert set(found.status) == {"ok"}
    assert np.abs(found.interactions - true).sum() <= 0.04 * np.abs(true).sum()


@pytest.mark.parametrize("format_name", ["pickled", "scripted", "traced"])
def test_a_smoothed_encoder_is_one_function_with_gradients_and_without(format_name: str, tmp_path: Path) -> None:
    """The fast path of scripts, taken without gradients only, would compute what no smoothing reached."""
    model = load_model(saved(Encoder("relu"), format_name, tmp_path / "model"), trust=True)
    smooth = smooth_model(model, 0.5)
    with torch.no_grad():
        values, sharp = smooth.outputs(rows()), model.outputs(rows())
    assert torch.allclose(values, smooth.outputs(rows().requires_grad_()), atol=1e-6)
    assert not values.requires_grad
    assert not torch.allclose(values, sharp, atol=1e-3)


class Watching(nn.Module):
    """Notes the switches of torch whenever it is called."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.seen: set[tuple[bool, ...]] = set()

    def forward(self, x: Tensor) -> Tensor:
        cuda = torch.backends.cuda
        fused = cuda.flash_sdp_enabled() or cuda.mem_efficient_sdp_enabled() or cuda.cudnn_sdp_enabled()
        self.seen.add((fused, torch.backends.mha.get_fastpath_enabled(), torch.backends.cudnn.enabled))
        return self.layer(x)


@pytest.mark.parametrize("method", ["ig", "ih", "eh"])
@pytest.mark.parametrize("name", MODULES)
def test_every_call_is_made_with_the_switches_turned(name: str, method: str) -> None:
    module = Watching(MODULES[name]().double()).eval()
    ihcli.explain(module, rows(2).double().numpy(), method=method)
    assert module.seen == {(False, False, name != "recurrent")}


def test_threads_side_by_side_do_not_turn_each_other_s_switches() -> None:
    before = torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled()
    failed: list[BaseException] = []

    def explain() -> None:
        try:
            ihcli.explain(plain(Functional()), rows().double().numpy())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=explain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert (
        (torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled()) == before == (True, True)
    )


def test_workers_and_verification_compute_them_too(tmp_path: Path) -> None:
    saved(Encoder(), "scripted", tmp_path / "model.pt")
    np.savetxt(tmp_path / "data.csv", rows(6).numpy(), delimiter=",", header="a,b,c,d", comments="")
    explain = ("explain", "model.pt", "data.csv", "-o", "run", "--workers", "2", "--chunk-rows", "3")
    for arguments in (explain, ("verify", "run", "model.pt", "data.csv", "--sample", "1")):
        command = [python(), "-m", "ihcli", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr


def traced_without_gradients(path: Path) -> Path:
    with torch.no_grad():
        return saved(Encoder(), "traced", path)


@pytest.mark.parametrize("method", ["ig", "ih"])
def test_a_traced_fast_path_is_named_and_the_advice_about_it_works(method: str, tmp_path: Path) -> None:
    path = traced_without_gradients(tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        ihcli.explain(load_model(path), rows().numpy(), method=method)
    assert str(caught.value) == (
        f"{path}: holds _transformer_encoder_layer_fwd, torch's fast path of attention, which has no derivative, as it "
        "was traced under torch.no_grad(). Expected the plain path. Try to trace and save it again after "
        "torch.backends.mha.set_fastpath_enabled(False)."
    )
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        traced_without_gradients(path)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert set(ihcli.explain(load_model(path), rows().numpy(), method=method).status) == {"ok"}


class Underived(torch.autograd.Function):
    """x^2, with a first derivative by an operation that has none itself."""

    @staticmethod
    def forward(context: Any, inputs: Tensor) -> Tensor:
        context.save_for_backward(inputs)
        return inputs**2

    @staticmethod
    def backward(context: Any, given: Tensor) -> Tensor:
        (inputs,) = context.saved_tensors
        return given * 2 * torch.igamma(inputs.abs() + 1, inputs.abs() + 1)


def test_an_operation_without_a_derivative_is_named_with_what_still_works() -> None:
    class Calls(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Underived.apply(x).sum(1)

    model = wrap_module(Calls().eval(), dtype=torch.float64)
    with pytest.raises(ModelError, match=r"the second derivative failed: .*igamma.*\. Try methods ig or eg"):
        ihcli.explain(model, rows().double().numpy())
    assert len(ihcli.explain(model, rows().double().numpy(), method="ig").status) == 5

    class Directly(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.igamma(x.abs() + 1, x.abs() + 1).sum(1)

    model = wrap_module(Directly().eval(), dtype=torch.float64)
    for method in ("ig", "ih"):
        with pytest.raises(ModelError, match=r"the gradient failed: .*igamma.* every method needs its") as caught:
            ihcli.explain(model, rows().double().numpy(), method=method)
        assert "ig or eg" not in str(caught.value)


@pytest.mark.parametrize("format_name", FORMATS)
def test_recurrent_layers_are_known_in_every_format(format_name: str, tmp_path: Path) -> None:
    for name in MODULES:
        model = loaded(name, format_name, tmp_path / name)
        assert has_recurrence(model.module) == (name == "recurrent"), name
