"""What every place for files promises, a directory and each kind of store: tests that a class for each inherits."""

import io

import pytest
from stores import NAMES, content

from ihcli.errors import RunError
from ihcli.files.durable import make_directory, remove_tree, replacing
from ihcli.files.locations import Location
from ihcli.files.stores import StoreError, StorePath, _Fetching


class PlaceContract:
    """Files are written, read, listed and removed as on a disk; `place` is empty, and may not be there yet."""

    @pytest.fixture
    def place(self) -> Location:
        raise NotImplementedError

    @pytest.fixture
    def filled(self, place: Location) -> Location:
        for name in NAMES:
            make_directory((place / name).parent)
            (place / name).write_bytes(name.encode())
        return place

    def test_what_is_written_is_read(self, place: Location) -> None:
        file = place / "deep" / "file.bin"
        assert not file.exists()
        assert not file.is_file()
        with pytest.raises(FileNotFoundError):
            file.stat()
        make_directory(file.parent)
        file.write_bytes(b"one\ntwo\n")
        assert file.exists()
        assert file.is_file()
        assert not file.is_dir()
        assert file.parent.is_dir()
        assert file.read_text() == "one\ntwo\n"
        assert file.stat().st_size == 8
        with file.open("rb") as stream:
            assert stream.read(3) == b"one"
            assert stream.seek(-4, io.SEEK_END) == 4
            assert stream.read() == b"two\n"
            assert stream.tell() == 8
        with file.open("rb", buffering=0) as raw:
            assert raw.read(2) == b"on"

    def test_a_file_that_is_gone_is_not_found(self, place: Location) -> None:
        make_directory(place)
        file = place / "file.bin"
        file.write_bytes(b"one")
        file.unlink()
        assert not file.exists()
        file.unlink(missing_ok=True)
        with pytest.raises(FileNotFoundError):
            file.unlink()
        with pytest.raises(FileNotFoundError):
            file.open("rb")

    def test_names_do_not_change_what_is_written(self, place: Location) -> None:
        make_directory(place)
        (place / "table.csv.gz").write_bytes(b"as it is")
        assert (place / "table.csv.gz").read_text() == "as it is"

    def test_a_listing_tells_names_and_kinds(self, filled: Location) -> None:
        found = {path.name: (path.is_file(), path.is_dir()) for path in (filled / "a").iterdir()}
        file, directory = (True, False), (False, True)
        assert found == {"x-1.csv": file, "x-2.csv": file, ".x-3.csv": file, "b": directory, ".h": directory}

    def test_files_and_directories_are_removed(self, filled: Location) -> None:
        with pytest.raises(OSError, match="not empty"):
            (filled / "a").rmdir()
        remove_tree(filled / "a" / "b")
        assert not (filled / "a" / "b").exists()
        assert set(content(filled)) == {"a/.h/x-5.csv", "a/x-1.csv", "a/x-2.csv", "a/.x-3.csv", "z.csv"}
        (filled / "z.csv").replace(filled / "a" / "x-1.csv")
        left = {name: name.encode() for name in ("a/.h/x-5.csv", "a/x-2.csv", "a/.x-3.csv")}
        assert content(filled) == {**left, "a/x-1.csv": b"z.csv"}

    def test_a_file_is_written_whole_or_not_at_all(self, place: Location) -> None:
        make_directory(place)
        with replacing(place / "run.json") as stream:
            stream.write(b"old")
            assert not (place / "run.json").exists()
        with pytest.raises(RunError, match=r"run\.json.*: cannot be written: boom"):
            _fail_to_write(place / "run.json")
        assert content(place) == {"run.json": b"old"}


def _fail_to_write(file: Location) -> None:
    with replacing(file) as stream:
        stream.write(b"half")
        raise OSError("boom")


class StoreContract(PlaceContract):
    """What stores promise beyond that."""

    def test_a_file_is_opened_for_reading_bytes_alone(self, place: StorePath) -> None:
        (place / "deep").mkdir()
        (place / "deep" / "file.bin").write_bytes(b"one")
        with (place / "deep" / "file.bin").open() as stream:
            assert stream.read() == b"one"
        with pytest.raises(ValueError, match="opened for reading"):
            (place / "deep" / "file.bin").open("wb")

    def test_a_directory_that_is_not_there_lists_nothing(self, filled: StorePath) -> None:
        assert list((filled / "none").iterdir()) == []

    def test_a_file_that_is_removed_while_it_is_opened_is_not_found(self, place: StorePath) -> None:
        place.mkdir()
        file = place / "file.bin"
        file.write_bytes(b"one")
        ended = place.store.filesystem.open_input_file(file.within)
        ended.close()  # what Arrow's client of gs gives then
        with pytest.raises(StoreError, match="closed file"):
            _Fetching(file, ended).read()
        file.unlink()
        with pytest.raises(FileNotFoundError):
            _Fetching(file, ended).read()
