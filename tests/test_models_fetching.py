"""Models of stores: what is copied, what is not, and that a store changes nothing else."""

import tempfile
from pathlib import Path

import boto3
import checkpoints
import pytest
import torch
from pyarrow.fs import FileSelector
from stores import content, upload
from torch import nn

from ihcli.errors import IhcliError, ModelError, UnsafeModelError
from ihcli.files.fingerprints import path_fingerprint
from ihcli.files.stores import StorePath
from ihcli.models import fetching, load_model
from ihcli.models.formats.directories import is_read

SAMPLE = Path(__file__).parents[1] / "sample_data"
FILES = ["breast_cancer_relu.pt", "breast_cancer_sklearn.joblib", "diabetes_softplus.pkl"]


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> object:
    """Let copies lie in a directory of this test, where none is when the test has ended."""
    directory = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield
    assert list(directory.glob("ihcli-*")) == []


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are copied."""
    names, copy = [], fetching._copy_file

    def noted(file: StorePath, to: Path) -> None:
        names.append(file.name)
        copy(file, to)

    monkeypatch.setattr(fetching, "_copy_file", noted)
    return names


@pytest.mark.parametrize("name", FILES)
def test_a_file_on_a_store_is_the_model_that_it_is_on_a_disk(store: StorePath, name: str) -> None:
    store.mkdir()
    url = upload(SAMPLE / name, store / name)
    there, here = load_model(url), load_model(SAMPLE / name)
    assert there.path == store / name
    assert (there.format, there.n_inputs, there.feature_names, there.zero) == (
        *(here.format, here.n_inputs, here.feature_names, here.zero),
    )
    x = torch.randn(5, here.n_inputs or 0, dtype=here.dtype)
    torch.testing.assert_close(there.outputs(x), here.outputs(x), rtol=0, atol=0)
    assert path_fingerprint(store / name) == path_fingerprint(SAMPLE / name)


def test_a_checkpoint_on_a_store_is_read_without_what_is_for_others(
    store: StorePath, tmp_path: Path, copied: list[str]
) -> None:
    directory, place = tmp_path / "bert", store / "models" / "bert"
    checkpoints.save(directory, "bert")
    (directory / "onnx").mkdir()
    for name in ("tf_model.h5", "pytorch_model.bin", ".gitattributes", "onnx/model.onnx"):
        (directory / name).write_bytes(b"for others")
    for name, held in content(directory).items():
        (place / name).parent.mkdir()
        (place / name).write_bytes(held)
    there, here = load_model(str(place)), load_model(directory)
    assert there.text is not None
    assert here.text is not None
    texts = [reader.encode(["a bad film"]) for reader in (there.text, here.text)]
    outputs = [model.outputs(model.text.inputs(text)) for model, text in zip((there, here), texts, strict=True)]
    torch.testing.assert_close(*outputs, rtol=0, atol=0)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(copied)
    assert not {"tf_model.h5", "pytorch_model.bin", "model.onnx"} & set(copied)
    assert path_fingerprint(place) == path_fingerprint(directory)


def test_pickled_weights_are_copied_where_there_are_no_others() -> None:
    assert is_read("pytorch_model.bin", {"pytorch_model.bin", "config.json"})
    assert not is_read("pytorch_model.bin", {"pytorch_model.bin", "model.safetensors"})


@pytest.mark.parametrize(
    ("name", "held", "text"),
    [
        ("table.parquet", b"PAR1 and so on", "a Parquet table, not a model"),
        ("empty.pt", b"", "the file is empty"),
        ("torn.pt", b"PK and so on", "a zip archive that breaks off or is damaged"),
        ("tables/one.csv", b"a,b\n1,2\n", "a directory without config.json"),
        (None, b"", "no such file"),
    ],
)
def test_what_is_no_model_is_refused_before_it_is_copied(
    store: StorePath, copied: list[str], name: str | None, held: bytes, text: str
) -> None:
    place = store / "none.pt"
    if name is not None:
        place = store / name.partition("/")[0]
        (store / name).parent.mkdir()
        (store / name).write_bytes(held)
    with pytest.raises(ModelError) as caught:
        load_model(place)
    assert str(caught.value).startswith(f"{place}: {text}")
    assert copied == []


def test_what_a_reader_says_of_a_copy_names_the_model_on_the_store(store: StorePath, tmp_path: Path) -> None:
    store.mkdir()
    torch.save(nn.Sequential(nn.Linear(2, 1), Unknown()), tmp_path / "net.pt")
    url = upload(tmp_path / "net.pt", store / "net.pt")
    with pytest.raises(UnsafeModelError) as caught:
        load_model(url)
    assert str(caught.value).startswith(f"{url}: ")
    assert "ihcli-" not in str(caught.value)


class Unknown(nn.Identity):
    """Off the allow-list."""


def test_a_key_that_climbs_out_of_the_directory_is_not_followed(bucket: StorePath, copied: list[str]) -> None:
    keys = ("bert/config.json", "bert/..", "bert/../climbed")
    for key in keys:
        boto3.client("s3").put_object(Bucket=bucket.within, Key=key, Body=b"{}")  # Arrow's client would refuse to
    listed = bucket.store.filesystem.get_file_info(FileSelector(f"{bucket.within}/bert", recursive=True))
    assert {f"{bucket.within}/{key}" for key in keys} <= {info.path for info in listed}
    with pytest.raises(IhcliError):
        load_model(bucket / "bert")
    assert copied == ["config.json"]
    assert [path.name for path in (bucket / "bert").rglob("*")] == ["config.json"]


def test_a_full_disk_is_named(bucket: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    url = upload(SAMPLE / FILES[0], bucket / "net.pt")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetching.shutil, "copyfileobj", full)
    with pytest.raises(ModelError, match=r"net\.pt: cannot be copied to .*: No space left on device\. Try .*TMPDIR"):
        load_model(url)
