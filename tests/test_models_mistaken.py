"""Files and directories given in place of a model: each is called what it is, and what is proposed works."""

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import model_files
import numpy as np
import pytest
import torch
from prepared import python
from safetensors.torch import save_file

from ihcli.errors import ModelError
from ihcli.models import load_model

FILES: dict[str, tuple[bytes, str]] = {
    "Parquet": (b"PAR1\x15\x04", "a Parquet table, not a model"),
    "Keras .h5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file, in which Keras keeps its models"),
    "lz4": (b"\x04\x22\x4d\x18\x00", "compressed with lz4, which is not read"),
    "zstd": (b"\x28\xb5\x2f\xfd\x00", "compressed with zstd, which is not read"),
    "joblib 0.9": (b"ZF0x00000", "written by joblib 0.9 or older"),
    "GGUF": (b"GGUF\x03\x00\x00\x00", "a GGUF file, whose weights are quantized"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer"),
    "NumPy": (b"\x93NUMPY\x01\x00", "an array of NumPy"),
    "CatBoost": (b"CBM1\x00\x00", "a model of CatBoost. Expected"),
    "LightGBM": (b"tree\nversion=v4\nnum_class=1\n", "a model of LightGBM. Expected"),
    "XGBoost JSON": (b'{"learner":{"attributes":{}}}', "a model of XGBoost. Expected"),
    "XGBoost UBJ": (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", "a model of XGBoost. Expected"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c\x00", "a 7-Zip archive"),
    "RAR": (b"Rar!\x1a\x07", "a RAR archive"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "a file of MATLAB"),
    "R": (gzip.compress(b"RDX3\nX\n\x00\x00"), "a file of R, gzip compressed"),
    "TFLite": (b"\x1c\x00\x00\x00TFL3\x14\x00", "a model of TensorFlow Lite"),
    "web page": (b"\n<!DOCTYPE html><html><head>", "a web page in place of the model"),
    "page with a comment": (b"<!-- sign in --><html lang='en'>", "a web page in place of the model"),
    "PMML": (b"<?xml version='1.0'?><PMML>", "an XML file, not a model"),
    "JSON": (b'{"architectures": []}', "a JSON file, not a model"),
    "script": (b'"""Train."""\nimport torch\nprint(1)\n', "a Python script, not a model"),
    "ONNX": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x9d\x02", "an ONNX model, which is not read"),
    "Flax": (b"\x81\xa6params\x81\xa5Dense", "a MessagePack file, in which Flax keeps weights"),
    "empty": (b"", "the file is empty"),
    "text": (b"hello, world\n", "a text file, not a model"),
    "noise": (b"\x00\x01\x02\xff" * 99, "of no known kind, not a model"),
}


def refused(path: Path) -> str:
    """Return the one message, the same with trust and without."""
    with pytest.raises(ModelError) as caught:
        load_model(path)
    message = str(caught.value)
    with pytest.raises(ModelError) as trusted:
        load_model(path, trust=True)
    assert str(trusted.value) == message
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert "`trust`" not in message
    return message


def run(line: str, path: Path) -> None:
    line = line.replace("python", python(), 1)
    done = subprocess.run(["sh", "-c", line], cwd=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_kind_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    content, words = FILES[name]
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    message = refused(path)
    assert message.startswith(f"{path}: {words}")
    assert "Expected a" in message
    assert " Try " in message


def test_weights_alone_are_one_option_from_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = model_files.network()
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef Net():\n"
        "    layers = nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 2)\n"
        "    return nn.Sequential(*layers)\n"
    )
    message = refused(tmp_path / "w.safetensors")
    assert "weights (safetensors), without the network" in message
    (code,) = re.findall(r"Try `code=(.+?)`", message)
    monkeypatch.chdir(tmp_path)
    inputs = model_files.rows()
    torch.testing.assert_close(load_model("w.safetensors", code=code).outputs(inputs), module(inputs))


@pytest.mark.parametrize("n_bytes", [0x0580, 0x0280])
def test_weights_whose_header_begins_as_a_pickle_does_are_told(n_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", n_bytes) + b'{"a":'.ljust(n_bytes + 9))
    assert "weights (safetensors), without the network" in refused(path)


def test_weights_of_a_checkpoint_lead_to_its_directory(tmp_path: Path) -> None:
    save_file(model_files.network().state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert (
        f"Try {tmp_path}, the directory of the checkpoint; or, for a network that transformers lacks, `code="
        in refused(tmp_path / "model.safetensors")
    )


def model_in(tmp_path: Path) -> bytes:
    return model_files.save_script(model_files.network(), tmp_path / "inner.pt").read_bytes()


@pytest.mark.parametrize("beside", ["train.py", "MAR-INF/MANIFEST.json"])
def test_a_zip_around_a_model_is_one_line_from_it(beside: str, tmp_path: Path) -> None:
    path = tmp_path / "the project.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("p/model.pt", model_in(tmp_path))
        archive.writestr(beside, "")
    message = refused(path)
    assert "with 'p/model.pt' in it" in message
    assert ("TorchServe" in message) is beside.startswith("MAR")
    (line,) = re.findall(r"python -m zipfile -e .*? unpacked(?=,)", message)
    (model,) = re.findall(r"(\S+) as MODEL", message)
    run(line, tmp_path)
    assert load_model(tmp_path / model).n_inputs == 3


@pytest.mark.parametrize("packed", [gzip, bz2, lzma])
def test_a_compressed_model_is_one_line_from_it(packed: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / f"a model.pt.{packed.__name__}"
    path.write_bytes(packed.compress(model_in(tmp_path)))
    message = refused(path)
    assert "a zip archive, as torch saves models" in message
    line, model = re.findall(r"Try (python -c .+), and (.+) as MODEL", message)[0]
    run(line, tmp_path)
    assert load_model(tmp_path / model).n_inputs == 3


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_archive_is_told_compressed_or_not(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "project.tar"
    with tarfile.open(path, mode) as archive:
        archive.addfile(tarfile.TarInfo("model.pt"), io.BytesIO())
    assert "a tar archive" in refused(path)


def test_other_zip_archives_are_told(tmp_path: Path) -> None:
    keras, arrays = tmp_path / "m.keras", tmp_path / "m.npz"
    with zipfile.ZipFile(keras, "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    np.savez(arrays, a=np.ones(3))
    assert "a model of Keras (.keras)" in refused(keras)
    assert "arrays of NumPy (.npz)" in refused(arrays)


DIRECTORIES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "empty": ((), "an empty directory", "Try the path of a file."),
    "SavedModel": (("saved_model.pb", "variables/x"), "a SavedModel of TensorFlow", "the same network in torch"),
    "checkpoints": (
        ("checkpoint-500/config.json", "checkpoint-1500/config.json", "runs/events"),
        "over checkpoints ('checkpoint-500', 'checkpoint-1500')",
        "Try {}/checkpoint-1500.",
    ),
    "model in it": (("model.pt", "train.py"), "with '{}/model.pt' in it", "Try {}/model.pt."),
    "MLflow": (("MLmodel", "data/model.pth"), "with '{}/data/model.pth' in it", "Try {}/data/model.pth."),
    "tables": (("a.parquet", "b.parquet"), "with tables in it", "Try swapping MODEL and DATA."),
    "other": (("notes.txt",), "a directory without config.json", "Try the path of a file."),
}


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_directory_of_another_kind_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    files, words, step = DIRECTORIES[name]
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("{}")
    message = refused(tmp_path)
    assert words.format(tmp_path) in message
    assert step.format(tmp_path) in message


@pytest.mark.parametrize("with_config", [False, True])
def test_an_adapter_is_one_line_from_its_merged_model(with_config: bool, tmp_path: Path) -> None:
    """The line runs against a package of that name which does to directories what merging does to models."""
    adapter = tmp_path / "lora"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "base")}))
    if with_config:
        (adapter / "config.json").write_text(json.dumps({"architectures": ["BertForSequenceClassification"]}))
        (adapter / "tokenizer.json").write_text("{}")
    (tmp_path / "peft.py").write_text(PEFT)
    (tmp_path / "transformers.py").write_text(TRANSFORMERS)
    message = refused(adapter)
    assert "holds an adapter (adapter_config.json), not whole weights" in message
    (line,) = re.findall(r"python -c '[^']*'", message)
    run(line, tmp_path)
    assert sorted(path.name for path in (tmp_path / "lora-merged").iterdir()) == ["model", "tokenizer"]


PEFT = """
import json, pathlib, types

class AutoPeftModelForSequenceClassification:
    @classmethod
    def from_pretrained(cls, path, num_labels=2):
        model, settings = cls(), json.loads((pathlib.Path(path) / "adapter_config.json").read_text())
        model.active_peft_config = types.SimpleNamespace(**settings)
        return model

    def merge_and_unload(self):
        return self

    def save_pretrained(self, path):
        pathlib.Path(path).mkdir()
        (pathlib.Path(path) / "model").touch()
"""
TRANSFORMERS = """
import pathlib

class AutoTokenizer:
    @classmethod
    def from_pretrained(cls, path):
        assert path.endswith("base")
        return cls()

    def save_pretrained(self, path):
        (pathlib.Path(path) / "tokenizer").touch()
"""


def test_a_pointer_in_a_checkpoint_is_told_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertForSequenceClassification"]}))
    (tmp_path / "model.safetensors").write_bytes(FILES["LFS pointer"][0])
    with pytest.raises(ModelError, match=r"model\.safetensors: a Git LFS pointer.* Try git lfs install, then git lfs"):
        load_model(tmp_path)


def test_a_directory_of_sentence_transformers_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    (tmp_path / "modules.json").write_text("[]")
    with pytest.raises(ModelError, match="sentence-transformers, which gives embeddings and no classes"):
        load_model(tmp_path)


def test_a_path_that_is_not_there_gets_a_name_close_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.pt").touch()
    hints: dict[str, str] = {
        "modle.pt": "Did you mean 'model.pt'?",
        "org/some-model": "Try hf download org/some-model --local-dir some-model, and some-model as MODEL.",
        "elsewhere.bin": "Try checking the path.",
        "no/such/folder": "Try checking the path.",
    }
    for path, hint in hints.items():
        with pytest.raises(ModelError) as caught:
            load_model(path)
        assert str(caught.value).startswith(f"{path}: no such file.")
        assert str(caught.value).rstrip(".").endswith(hint.rstrip("."))


def test_a_directory_that_may_not_be_listed_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ModelError, match=r"cannot be opened \(Permission denied\)"):
        load_model(tmp_path)
