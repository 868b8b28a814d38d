"""Files of stores: what is read, listed and written, and what a store refuses."""

import io

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from stores import content, in_memory

from ihcli.files.locations import locate
from ihcli.files.stores import StoreError, StorePath, _Fetching


def test_what_is_written_is_read(store: StorePath) -> None:
    file = store / "deep" / "file.bin"
    assert not file.exists()
    assert not file.is_file()
    with pytest.raises(FileNotFoundError):
        file.stat()
    file.parent.mkdir()
    file.write_bytes(b"one\ntwo\n")
    assert file.exists()
    assert file.is_file()
    assert not file.is_dir()
    assert file.parent.is_dir()
    assert file.read_text() == "one\ntwo\n"
    assert file.stat().st_size == 8
    with file.open() as stream:
        assert stream.read(3) == b"one"
        assert stream.seek(-4, io.SEEK_END) == 4
        assert stream.read() == b"two\n"
        assert stream.tell() == 8
    with file.open(buffering=0) as raw:
        assert raw.read(2) == b"on"
    file.unlink()
    assert not file.exists()
    file.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        file.unlink()
    with pytest.raises(FileNotFoundError):
        file.open()
    with pytest.raises(ValueError, match="opened for reading"):
        file.open("wb")


def test_a_file_that_is_removed_while_it_is_opened_is_not_found(store: StorePath) -> None:
    store.mkdir()
    file = store / "file.bin"
    file.write_bytes(b"one")
    ended = store.store.filesystem.open_input_file(file.within)
    ended.close()  # what Arrow's client of gs gives then
    with pytest.raises(StoreError, match="closed file"):
        _Fetching(file, ended).read()
    file.unlink()
    with pytest.raises(FileNotFoundError):
        _Fetching(file, ended).read()


def test_a_file_of_s3_that_is_removed_once_it_is_open_is_not_found(bucket: StorePath) -> None:
    (bucket / "file.bin").write_bytes(b"one")
    with (bucket / "file.bin").open() as stream:
        (bucket / "file.bin").unlink()
        with pytest.raises(FileNotFoundError):
            stream.read()


def test_names_do_not_change_what_is_written(store: StorePath) -> None:
    store.mkdir()
    (store / "table.csv.gz").write_bytes(b"as it is")
    assert (store / "table.csv.gz").read_text() == "as it is"


def test_a_listing_tells_names_and_kinds(filled: StorePath) -> None:
    found = {path.name: (path.is_file(), path.is_dir()) for path in (filled / "a").iterdir()}
    file, directory = (True, False), (False, True)
    assert found == {"x-1.csv": file, "x-2.csv": file, ".x-3.csv": file, "b": directory, ".h": directory}
    assert list((filled / "none").iterdir()) == []


def test_files_and_directories_are_removed(filled: StorePath) -> None:
    with pytest.raises(OSError, match="not empty"):
        (filled / "a").rmdir()
    (filled / "a" / "b").remove_tree()
    assert not (filled / "a" / "b").exists()
    assert set(content(filled)) == {"a/.h/x-5.csv", "a/x-1.csv", "a/x-2.csv", "a/.x-3.csv", "z.csv"}
    (filled / "z.csv").replace(filled / "a" / "x-1.csv")
    left = {name: name.encode() for name in ("a/.h/x-5.csv", "a/x-2.csv", "a/.x-3.csv")}
    assert content(filled) == {**left, "a/x-1.csv": b"z.csv"}


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
