"""What graphs have fixed: training mode where it shows, devices and dtypes told as what they are."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import model_files
import pytest
import torch
import torch.nn.functional as F
from preflights import preflight
from torch import Tensor, nn

import ihcli
from ihcli.errors import ModelError
from ihcli.models import load_model
from ihcli.models.fixed import fixed_devices, fixed_dtypes

D = 3
Layer = Callable[[Tensor], Tensor]


class Applied(nn.Module):
    """A function of the inputs, behind a layer that tells their number or not."""

    def __init__(self, function: Layer, has_width: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(D, D) if has_width else nn.Identity()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.first(x))


def explained(path: Path, **options: object) -> None:
    """Read and explain as a run does, whichever of them refuses."""
    model = load_model(path, trust=True, **options)
    assert set(ihcli.explain(model, model_files.rows(8, D).numpy()).status) == {"ok"}


def exported(module: nn.Module, path: Path) -> Path:
    program = model_files.quietly(torch.export.export, module, (model_files.rows(4, D),))
    with path.open("wb") as stream:
        torch.export.save(program, stream)
    return path


HARMLESS: dict[str, Layer] = {
    "dropout of nothing": lambda x: F.dropout(x, 0.0, True),
    "alpha dropout of nothing": lambda x: F.alpha_dropout(x, 0.0, True),
    "dropout that is not used": lambda x: x + 0 * F.dropout(x.detach() * 0, 0.5, True),
}
RANDOM: dict[str, tuple[Layer, str]] = {
    "dropout": (lambda x: F.dropout(x, 0.5, True), "dropout"),
    "dropout of little": (lambda x: F.dropout(x, 0.02, True), "dropout"),
    "alpha dropout": (lambda x: F.alpha_dropout(x, 0.2, True), "alpha_dropout"),
    "feature dropout": (lambda x: F.feature_alpha_dropout(x, 0.2, True), "feature_alpha_dropout"),
    "slopes": (lambda x: F.rrelu(x - 9, training=True), "rrelu"),
    "statistics of a batch": (lambda x: F.batch_norm(x, None, None, training=True), "batch_norm"),
}


@pytest.mark.parametrize("has_width", [True, False])
@pytest.mark.parametrize("name", HARMLESS)
def test_training_mode_that_does_nothing_is_no_reason(name: str, has_width: bool, tmp_path: Path) -> None:
    explained(model_files.save_trace(Applied(HARMLESS[name], has_width), model_files.rows(4, D), tmp_path / "model"))


@pytest.mark.parametrize("has_width", [True, False])
@pytest.mark.parametrize("name", RANDOM)
def test_training_mode_that_shows_is_refused_with_what_mends_it(name: str, has_width: bool, tmp_path: Path) -> None:
    function, operation = RANDOM[name]
    path = model_files.save_trace(Applied(function, has_width), model_files.rows(4, D), tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        explained(path)
    assert str(caught.value) == (
        f"{path}: {operation} is fixed in training mode, so that outputs are random or depend on other rows. "
        "Try model.eval() before torch.jit.trace, and save it again."
    )


def test_an_exported_program_is_judged_alike(tmp_path: Path) -> None:
    explained(exported(Applied(HARMLESS["dropout of nothing"]), tmp_path / "harmless"))
    with pytest.raises(ModelError, match=r"dropout is fixed in training mode.* before torch\.export\.export, and save"):
        explained(exported(Applied(RANDOM["dropout"][0]), tmp_path / "random"))


def test_a_branch_that_is_never_taken_is_no_reason(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.is_hot = False

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            if self.is_hot or bool((x > 1e6).any()):
                y = F.dropout(y, 0.5, True)
            return y

    explained(model_files.save_script(Branching(), tmp_path / "model"))


class OnDevice(nn.Module):
    """A trace holds the device of its states as a constant."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.GRU(1, 4, batch_first=True)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layer(x.unsqueeze(-1), torch.zeros(1, x.shape[0], 4, device=torch.device("cpu")))
        return self.last(states[:, -1])


def moved(path: Path, device: str) -> Path:
    """Make a trace one that was taken on another device."""
    target = path.with_suffix(".moved")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith(".py"):
                content = content.replace(b'torch.device("cpu")', f'torch.device("{device}")'.encode())
            archive.writestr(name, content)
    return target


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1", "mps", "xpu:0"])
def test_a_device_that_a_trace_holds_is_told_as_a_device(device: str, tmp_path: Path) -> None:
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has one")
    here = model_files.save_trace(OnDevice().eval(), model_files.rows(4, D), tmp_path / "model")
    explained(here)
    path = moved(here, device)
    with pytest.raises(ModelError) as caught:
        explained(path)
    message = str(caught.value)
    assert f"It was traced or frozen on {device} and holds that device as a constant. Expected a model that" in message
    assert f"Try `device={device}` on a machine that has it, which this one does not, or tracing" in message
    assert "dtype" not in message
    assert message.isprintable()


def test_the_constants_of_graphs_are_read(tmp_path: Path) -> None:
    script = model_files.quietly(torch.jit.trace, OnDevice().eval(), model_files.rows(4, D))
    assert fixed_devices(script) == [torch.device("cpu")]
    frozen = model_files.quietly(lambda: torch.jit.freeze(torch.jit.script(model_files.network().double())))
    assert fixed_dtypes(frozen) == [torch.float64]
    assert fixed_dtypes(model_files.network()) == []


class Mixed(nn.Module):
    """Computes in two precisions, neither of which it is wholly in."""

    def __init__(self, inner: torch.dtype) -> None:
        super().__init__()
        self.inner = inner
        self.first, self.last = nn.Linear(D, 4).to(inner), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x.to(self.inner))).to(torch.float32))


def mixed(inner: torch.dtype, path: Path, is_frozen: bool) -> Path:
    script = model_files.quietly(torch.jit.trace, Mixed(inner).eval(), model_files.rows(4, D))
    model_files.quietly(lambda: (torch.jit.freeze(script) if is_frozen else script).save(str(path)))
    return path


@pytest.mark.parametrize("inner", [torch.float16, torch.bfloat16])
def test_precisions_that_a_graph_mixes_are_named_and_no_option_is_offered(inner: torch.dtype, tmp_path: Path) -> None:
    path = mixed(inner, tmp_path / "model", is_frozen=False)
    for dtype in (None, torch.float32, torch.float64):
        with pytest.raises(ModelError, match=r"It holds 'b?float\d\d'.* as a constant, in a cast") as caught:
            explained(path, dtype=dtype)
        assert "`dtype" not in str(caught.value)


def test_a_graph_that_mixes_float32_into_float64_runs_in_float64(tmp_path: Path) -> None:
    path = mixed(torch.float64, tmp_path / "model", is_frozen=False)
    with pytest.raises(ModelError, match=r"cannot run in float32\. Try `dtype=float64`"):
        explained(path, dtype=torch.float32)
    for dtype in (None, torch.float64):
        explained(path, dtype=dtype)


def test_constants_of_another_precision_do_where_casts_lead_to_them(tmp_path: Path) -> None:
    explained(mixed(torch.float64, tmp_path / "model", is_frozen=True), dtype=torch.float32)
    for half in (torch.float16, torch.bfloat16):
        model = load_model(mixed(half, tmp_path / "model", is_frozen=True))
        checked = preflight(model, model_files.rows(8, D), second_order=False)
        assert any(f"computes in {str(half)[6:]} inside" in warning for warning in checked.warnings)
