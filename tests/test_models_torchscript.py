"""TorchScript files: read silently, searched for file access, honest about dtypes and training mode."""

import zipfile
from pathlib import Path

import model_files
import pytest
import torch
from torch import Tensor, nn

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models import load_model


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = model_files.network()
        self.feature_names = ["a", "b", "c"]
        self.output_names = ["no", "yes"]

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network(inputs).softmax(1)


class Saving(nn.Module):
    """Writes a file while it is loaded: its state is restored by code of its own."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.marker, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.marker = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), state[0])

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


class Reading(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + torch.from_file("/etc/hostname", False, 1)


def freeze(module: nn.Module, path: Path) -> Path:
    model_files.quietly(lambda: torch.jit.freeze(torch.jit.script(module)).save(str(path)))
    return path


def test_scripted_traced_and_frozen_modules_are_read(tmp_path: Path) -> None:
    module, inputs = model_files.network(), model_files.rows()
    for path in (
        model_files.save_script(module, tmp_path / "scripted"),
        model_files.save_trace(module, inputs, tmp_path / "traced"),
        freeze(module, tmp_path / "frozen"),
    ):
        model = load_model(path)
        assert torch.allclose(model.outputs(inputs), module(inputs), atol=1e-6)
        assert (model.format, model.dtype, model.n_inputs) == ("TorchScript", torch.float32, 3)
        assert not any(parameter.requires_grad for parameter in model.module.parameters())


def test_a_module_saved_in_training_mode_is_put_in_eval_mode(tmp_path: Path) -> None:
    module, inputs = model_files.network(), model_files.rows()
    wanted = module(inputs)
    model = load_model(model_files.save_script(module.train(), tmp_path / "model"))
    assert torch.allclose(model.outputs(inputs), wanted, atol=1e-6)


def test_names_are_read_from_attributes_and_from_extra_files(tmp_path: Path) -> None:
    path = model_files.save_script(Named(), tmp_path / "model")
    model = load_model(path)
    assert (model.feature_names, model.output_names, model.n_inputs) == (("a", "b", "c"), ("no", "yes"), 3)
    extra = {"feature_names.json": '["u", "v", "w"]'}
    script = model_files.quietly(torch.jit.script, model_files.network())
    model_files.quietly(torch.jit.save, script, str(path), _extra_files=extra)
    assert load_model(path).feature_names == ("u", "v", "w")


def test_feature_names_that_do_not_fit_the_first_layer_are_refused(tmp_path: Path) -> None:
    module = model_files.network()
    module.feature_names = ["a", "b"]  # type: ignore[assignment]
    path = model_files.save_zip(module, tmp_path / "model")
    with pytest.raises(ModelError, match="takes 3 inputs but carries 2 feature names"):
        load_model(path)


def test_a_scripted_module_computes_in_the_dtype_asked_for(tmp_path: Path) -> None:
    module, inputs = model_files.network(), model_files.rows(dtype=torch.float64)
    model = load_model(model_files.save_script(module, tmp_path / "model"), dtype=torch.float64)
    assert torch.allclose(model.outputs(inputs), module.double()(inputs), atol=1e-12)


def test_a_frozen_module_that_ignores_the_dtype_is_refused_with_words(tmp_path: Path) -> None:
    path = freeze(model_files.network(), tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        load_model(path, dtype=torch.float64)
    assert str(caught.value) == (
        f"{path}: a frozen or traced model that holds its dtype as a constant, so that it cannot run in float64. "
        "Try `dtype=float32`, or save it again without torch.jit.freeze or from a model converted to float64."
    )
    double = freeze(model_files.network().double(), tmp_path / "double")
    assert load_model(double).dtype is torch.float64
    with pytest.raises(ModelError, match="cannot run in float32"):
        load_model(double, dtype=torch.float32)


class Casting(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.dtype = dtype

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs).to(self.dtype)


def test_a_cast_to_float32_inside_a_trace_gives_way_to_float64(tmp_path: Path) -> None:
    module, rows = Casting(torch.float32), model_files.rows(dtype=torch.float64)
    path = model_files.save_trace(module, model_files.rows(), tmp_path / "model")
    assert load_model(path).dtype is torch.float32
    assert torch.equal(load_model(path, dtype=torch.float64).outputs(rows), module.double().linear(rows))


def test_a_cast_inside_a_trace_is_refused_where_it_loses_the_dtype(tmp_path: Path) -> None:
    path = model_files.save_trace(Casting(torch.float64), model_files.rows(), tmp_path / "model")
    assert load_model(path, dtype=torch.float64).dtype is torch.float64
    with pytest.raises(ModelError, match=r"cannot run in float32\. Try `dtype=float64`"):
        load_model(path)


@pytest.mark.parametrize(("layer", "name"), [(nn.Dropout(0.5), "dropout"), (nn.BatchNorm1d(3), "batch_norm")])
def test_a_trace_taken_in_training_mode_is_refused(layer: nn.Module, name: str, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 3), layer).train()
    path = model_files.save_trace(module, model_files.rows(), tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value) == (
        f"{path}: {name} is fixed in training mode, so that outputs are random or depend on other rows. "
        "Try model.eval() before torch.jit.trace, and save it again."
    )


def test_a_file_that_writes_while_loading_is_refused_before_it_does(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = model_files.save_script(Saving(str(marker)), tmp_path / "model")
    marker.unlink(missing_ok=True)
    with pytest.raises(UnsafeModelError) as caught:
        load_model(path)
    assert not marker.exists()
    assert "uses save, which can read or write files" in str(caught.value)
    assert "`trust`" in str(caught.value)
    load_model(path, trust=True)
    assert marker.exists()


def test_file_access_behind_spaces_is_refused(tmp_path: Path) -> None:
    marker, path, edited = tmp_path / "marker", tmp_path / "model", tmp_path / "edited"
    model_files.save_script(Saving(str(marker)), path)
    marker.unlink(missing_ok=True)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(edited, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"torch.save(", b"torch . save ("))
    with pytest.raises(UnsafeModelError, match="uses save"):
        load_model(edited)
    assert not marker.exists()
    load_model(edited, trust=True)
    assert marker.exists()


def test_a_file_that_reads_files_is_refused(tmp_path: Path) -> None:
    path = model_files.save_script(Reading(), tmp_path / "model")
    with pytest.raises(UnsafeModelError, match="uses from_file"):
        load_model(path)


@pytest.mark.parametrize("kept", [0.2, 0.7, 0.99])
def test_a_truncated_file_is_one_message(kept: float, tmp_path: Path) -> None:
    path = model_files.save_script(model_files.network(), tmp_path / "model")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ModelError, match=r"a zip archive that breaks off or is damaged\. Expected a TorchScript file"):
        load_model(path)


def test_an_archive_without_its_code_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/constants.pkl", "x")
    with pytest.raises(ModelError, match="cannot be loaded as TorchScript"):
        load_model(path)


@pytest.mark.parametrize("trust", [False, True])
def test_a_quantized_script_is_refused_for_what_it_is(trust: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    quantized = model_files.quietly(
        lambda: torch.ao.quantization.quantize_dynamic(model_files.network().float(), {nn.Linear})
    )
    model_files.quietly(lambda: torch.jit.script(quantized).save(str(path)))

    with pytest.raises(ModelError, match=r"a quantized network, which has no derivatives.*was before") as caught:
        load_model(path, trust=trust)

    assert not isinstance(caught.value, UnsafeModelError)
