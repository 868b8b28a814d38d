"""Files of stores: what is read, listed and written, and what a store refuses."""

from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from store_contract import PlaceContract, StoreContract
from stores import in_gcs, in_memory

from ihcli.files.locations import locate
from ihcli.files.stores import StoreError, StorePath


class TestDisk(PlaceContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path / "place"


class TestS3(StoreContract):
    @pytest.fixture
    def place(self, bucket: StorePath) -> StorePath:
        return bucket


class TestGcs(StoreContract):
    @pytest.fixture
    def place(self, gcs_server: str) -> StorePath:
        return in_gcs(gcs_server)


class TestMemory(StoreContract):
    @pytest.fixture
    def place(self) -> StorePath:
        return in_memory()


def test_a_file_of_s3_that_is_removed_once_it_is_open_is_not_found(bucket: StorePath) -> None:
    (bucket / "file.bin").write_bytes(b"one")
    with (bucket / "file.bin").open() as stream:
        (bucket / "file.bin").unlink()
        with pytest.raises(FileNotFoundError):
            stream.read()


def test_what_a_store_refuses_is_one_message(bucket: StorePath) -> None:
    nowhere = locate("s3://no-such-bucket-here/run")
    assert isinstance(nowhere, StorePath)
    assert not nowhere.exists()
    with pytest.raises(StoreError) as caught:
        nowhere.write_bytes(b"x")
    assert str(caught.value).startswith("s3://no-such-bucket-here/run: When ")
    assert "The specified bucket does not exist. Try checking the URL, the credentials and the network." in str(
        caught.value
    )
    assert isinstance(caught.value, OSError)
    assert "AWS Error NO_SUCH_BUCKET" in caught.value.strerror


def test_whatever_a_store_of_fsspec_raises_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    class LostError(Exception):
        pass

    def lost(*_: object) -> None:
        raise LostError("no route to host")

    place = in_memory()
    monkeypatch.setattr(MemoryFileSystem, "info", lost)
    with pytest.raises(StoreError, match=r"memory://.*/x: no route to host\. Try checking the URL"):
        (place / "x").exists()
