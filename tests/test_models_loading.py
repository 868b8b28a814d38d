"""Recognising files by content, and modules in memory."""

import subprocess
import sys
import zipfile
from pathlib import Path

import model_files
import pytest
import torch
from torch import nn

from ihcli.errors import ModelError, OptionError
from ihcli.models import evaluating, load_model, wrap_module
from ihcli.models.layers import Affine
from ihcli.models.sniffing import Kind, recognise

EXPECTED = (
    "Expected a TorchScript file, a pickled torch module, a network, linear model, support vector machine or Gaussian "
    "process of scikit-learn (pickle or joblib), or the directory of a Hugging Face checkpoint."
)


def test_content_decides_and_the_name_does_not(tmp_path: Path) -> None:
    module = model_files.network()
    assert recognise(model_files.save_script(module, tmp_path / "a.joblib")) is Kind.TORCHSCRIPT
    assert recognise(model_files.save_zip(module, tmp_path / "b.csv")) is Kind.TORCH_ZIP
    assert recognise(model_files.save_legacy(module, tmp_path / "c.zip")) is Kind.TORCH_LEGACY
    for compress in (0, "zlib", "gzip", "bz2", "lzma", "xz"):
        path = model_files.save_joblib(module, tmp_path / "d.pt", compress=compress)
        assert recognise(path) is Kind.PICKLE
    for protocol in model_files.PROTOCOLS:
        assert recognise(model_files.save_pickle(module, tmp_path / "e.pt2", protocol)) is Kind.PICKLE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"age,bmi\n1,2\n", "a text file, not a model"),
        (b"charge.\n1.", "a text file, not a model"),
        (b"\x00\x01\x02\xff" * 10, "of no known kind, not a model"),
        (b"PAR1\x00\x00", "a Parquet table, not a model: the model comes first, the data second"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"\x04\x22\x4d\x18", "compressed with lz4"),
        (b"PK\x03\x04 broken", "a zip archive that breaks off or is damaged"),
        (b"\x1f\x8b\x08\x00broken", "the gzip compressed stream breaks off or is damaged"),
        (b"\x80\x04garbage", "cannot be read as a pickled model"),
    ],
)
def test_a_file_that_is_no_model_is_one_message(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: {words}")
    assert "\n" not in str(caught.value)


def test_missing_files_and_directories_are_one_message(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value) == f"{path}: no such file. {EXPECTED} Try checking the path."
    with pytest.raises(ModelError, match="an empty directory"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "record",
    ["model/models/model.json", "models/model.json", "m/models/other.json", "serialized_exported_program.json"],
)
def test_every_archive_of_torch_export_is_recognised(record: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(record, "{}")
        archive.writestr("model/constants.pkl", "")
        archive.writestr("model/data.pkl", "")
    assert recognise(path) is Kind.EXPORTED


def test_an_archive_without_a_model_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.txt", "")
    with pytest.raises(ModelError, match="a zip archive without a model in it"):
        load_model(path)


def test_a_device_or_dtype_that_cannot_be_had_is_an_option_error(tmp_path: Path) -> None:
    path = model_files.save_zip(model_files.network(), tmp_path / "model")
    with pytest.raises(OptionError, match=r"`device`: 'warp' cannot be used .* Try `device=cpu`\."):
        load_model(path, device="warp")
    with pytest.raises(OptionError, match=r"`dtype`: float16 is not supported\. Expected float32 or float64\."):
        load_model(path, dtype=torch.float16)


def test_reading_a_model_imports_no_transformers(tmp_path: Path) -> None:
    path = model_files.save_zip(model_files.network(), tmp_path / "model")
    script = (
        "import sys; from ihcli.models import load_model; load_model(sys.argv[1])\n"
        "assert not {'transformers', 'pandas', 'sklearn', 'joblib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, cwd=Path(__file__).parents[1])


def test_a_wrapped_module_is_the_module_itself_untouched() -> None:
    module = model_files.network().double().train()
    model = wrap_module(module, output_names=["no", "yes"], zero=[1.0, 2.0, 3.0])
    assert model.module is module
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert (model.n_inputs, model.dtype, model.output_names) == (3, torch.float64, ("no", "yes"))
    assert model.zero == (1.0, 2.0, 3.0)


def test_wrap_module_counts_inputs_and_takes_what_it_is_told() -> None:
    scaler = Affine(torch.ones(4), torch.zeros(4))
    assert wrap_module(nn.Sequential(scaler, nn.Linear(4, 1))).n_inputs == 4
    assert wrap_module(nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Linear(2, 1))).n_inputs is None
    assert wrap_module(nn.ReLU(), n_inputs=7).n_inputs == 7
    assert wrap_module(nn.ReLU(), feature_names=["a", "b"]).n_inputs == 2
    assert wrap_module(nn.ReLU(), dtype=torch.float64).dtype is torch.float64


def test_wrap_module_refuses_what_cannot_be_explained() -> None:
    with pytest.raises(ModelError, match=r"not a torch module\. Expected an nn\.Module, got function\."):
        wrap_module(lambda inputs: inputs)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"computes in bfloat16, .* Try module\.float\(\)\."):
        wrap_module(nn.Linear(2, 1, dtype=torch.bfloat16))
    with pytest.raises(ModelError, match="takes 3 inputs but carries 2 feature names"):
        wrap_module(model_files.network(), feature_names=["a", "b"])
    with pytest.raises(ModelError, match="carries the feature name 'a' twice"):
        wrap_module(model_files.network(), feature_names=["a", "b", "a"])


def test_evaluating_leaves_every_mode_and_flag_as_it_came() -> None:
    module = model_files.network().train()
    module[1].eval()
    module[0].bias.requires_grad_(False)
    before = _modes(module)
    with evaluating(module):
        assert not any(_modes(module))
    assert _modes(module) == before
    with pytest.raises(ModelError), evaluating(module):
        load_model("nowhere")
    assert _modes(module) == before


def test_evaluating_borrows_scripted_and_frozen_modules() -> None:
    scripted = model_files.quietly(torch.jit.script, model_files.network().train())
    before = _modes(scripted)
    with evaluating(scripted):
        assert not any(part.training for part in scripted.modules())
    assert _modes(scripted) == before
    frozen = model_files.quietly(torch.jit.freeze, scripted.eval())
    with evaluating(frozen):
        frozen(model_files.rows())


def _modes(module: nn.Module) -> list[bool]:
    modes = [part.training for part in module.modules()]
    return modes + [parameter.requires_grad for parameter in module.parameters()]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (5, "its feature_names are 5. Expected a list of names."),
        ({"a": 1}, "its feature_names are {'a': 1}."),
        ([["a"]], "its feature_names are [['a']]."),
        (["\ud800", "b"], "its feature_names are ['\\ud800', 'b']."),
        ([f"x{i // 2}" for i in range(200_000)], "takes 2 inputs but carries 200000 feature names."),
    ],
)
def test_names_that_are_none_are_one_message(names: object, words: str, tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 1))
    module.feature_names = names  # type: ignore[assignment]
    path = model_files.save_zip(module, tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert f"{path}: {words}" in str(caught.value)
    assert str(caught.value).isprintable()
