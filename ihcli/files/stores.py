"""Files and directories of stores, behind the names that pathlib has for what is done with them."""

import errno
import glob
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import fs

from ihcli.errors import IhcliError

READ_BYTES = 8 << 20
"""Read at once from a store, where every request costs a round trip."""
UP = ".."  # which keys of stores may hold like any name; it is passed over, since elsewhere it leads out
PUTS_WHOLE = ("s3", "gcs")
"""Types of stores whose objects appear when all of them is there, and whose directories are beginnings of names."""


class StoreError(IhcliError, OSError):
    """What a store refuses; an OSError too, so that who minds disks minds stores."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}. Try checking the URL, the credentials and the network."


@dataclass(frozen=True, order=True)
class Store:
    """A bucket, container or server.

    url    scheme and authority;  query  what follows the path in every URL of it
    root   what its filesystem has in front of the path, such as "bucket/"
    """

    url: str
    query: str
    root: str
    filesystem: fs.FileSystem = field(compare=False, repr=False)

    @property
    def puts_whole(self) -> bool:
        """Whether a file that is being written has no name until it is whole."""
        return self.filesystem.type_name in PUTS_WHOLE

    @property
    def lists_directories(self) -> bool:
        """Whether listing a directory tells of those in it; Arrow's client of gs tells only of files."""
        return bool(self.filesystem.type_name != "gcs")


class Stat(NamedTuple):
    """What is told of a file without reading it, by the names of `os.stat_result`.

    st_size      bytes
    st_mtime_ns  when it was last written, by the clock of the store; 0 where the store does not tell
    """

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True, order=True)
class StorePath:
    """A file or directory of a store, with those names of `pathlib.Path` that ihcli uses.

    What the store refuses is a StoreError. A path that `iterdir` or `glob` gave knows from the listing whether it is a
    file; any other asks whenever it is asked.
    """

    store: Store
    key: PurePosixPath
    _is_file: bool | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.store.url}/{text_of(self.key)}{self.store.query and f'?{self.store.query}'}"

    def __truediv__(self, name: str) -> "StorePath":
        return StorePath(self.store, self.key / name)

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.key.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.key.stem

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot."""
        return self.key.suffix

    @property
    def parent(self) -> "StorePath":
        """The directory that it is in."""
        return StorePath(self.store, self.key.parent)

    def with_name(self, name: str) -> "StorePath":
        """Return its neighbour of that name."""
        return StorePath(self.store, self.key.with_name(name))

    def absolute(self) -> "StorePath":
        """Return itself."""
        return self

    @property
    def within(self) -> str:
        """The path as the filesystem takes it."""
        return f"{self.store.root}{text_of(self.key)}".rstrip("/") or "/"

    def exists(self) -> bool:
        """Return whether there is such a file, or one below it."""
        return self._info().type != fs.FileType.NotFound

    def is_file(self) -> bool:
        """Return whether it is a file."""
        return self._info().type == fs.FileType.File if self._is_file is None else self._is_file

    def is_dir(self) -> bool:
        """Return whether it is a directory: on stores without any, whether there are files below it."""
        return self._info().type == fs.FileType.Directory if self._is_file is None else not self._is_file

    def stat(self) -> Stat:
        """Return size and time of a file."""
        info = self._info()
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return Stat(info.size or 0, info.mtime_ns or 0)

    def iterdir(self) -> Iterator["StorePath"]:
        """Give what is directly in it, nothing where it is not there; one request for a thousand names."""
        listed = fs.FileSelector(self.within, allow_not_found=True, recursive=not self.store.lists_directories)
        with self.refusals():
            found = self._filesystem.get_file_info(listed)
        is_file: dict[str, bool] = {}
        for info in found:
            name, *deeper = PurePosixPath(info.path).relative_to(self.within).parts
            is_file[name] = info.type == fs.FileType.File and not deeper
        for name in is_file:
            if name != UP:
                yield replace(self / name, _is_file=is_file[name])

    def glob(self, pattern: str) -> Iterator["StorePath"]:
        """Give what matches the pattern, part by part; `**` stands for any directories, or at the end for all below.

        As in a shell, `*` and `**` leave out names that start with a dot.
        """
        first, *rest = PurePosixPath(pattern).parts
        if first == "**" and not rest:
            rest = ["*"]
        for path in self._matching(first):
            if not rest:
                yield path
            elif path.is_dir():
                yield from path.glob("/".join(rest))

    def rglob(self, pattern: str) -> Iterator["StorePath"]:
        """Give what is below it at any depth and has a name that matches, names that start with a dot too."""
        listed = fs.FileSelector(self.within, allow_not_found=True, recursive=True)
        with self.refusals():
            found = self._filesystem.get_file_info(listed)
        for info in found:
            path = replace(self, key=self.key / PurePosixPath(info.path).relative_to(self.within))
            if fnmatchcase(path.name, pattern) and UP not in path.key.parts:
                yield replace(path, _is_file=info.type == fs.FileType.File)

    def open(self, mode: str = "rb", buffering: int = READ_BYTES) -> io.BufferedReader:
        """Open for reading; of what is not buffered, each read is a request."""
        if mode != "rb":
            raise ValueError(f"{mode}: a file of a store is opened for reading, and written whole")
        with self.refusals():
            raw = _Fetching(self, self._filesystem.open_input_file(self.within))
        return io.BufferedReader(raw, buffering) if buffering else raw  # type: ignore[return-value]

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content as text."""
        with self.open() as stream:
            return stream.read().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        """Write the file; on stores that put files whole, it is there whole or not at all."""
        # In one call: Arrow closes the stream after an error too, and what was written until then would be the file.
        # Without compression, since it would take a name that ends in .gz for a wish.
        with self.refusals(), self._filesystem.open_output_stream(self.within, compression=None) as stream:
            stream.write(content)

    def replace(self, target: "StorePath") -> None:
        """Move the file to another name of the store, over what is there."""
        with self.refusals():
            self._filesystem.move(self.within, target.within)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file."""
        try:
            with self.refusals():
                self._filesystem.delete_file(self.within)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self) -> None:
        """Make the directory and those above it, where the store has directories."""
        if not self.store.puts_whole:
            with self.refusals():
                self._filesystem.create_dir(self.within)

    def rmdir(self) -> None:
        """Remove the directory, which must be empty."""
        if any(self.iterdir()):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(self))
        self.remove_tree()

    def remove_tree(self) -> None:
        """Remove the directory and all that is in it."""
        try:
            with self.refusals():
                self._filesystem.delete_dir(self.within)
        except FileNotFoundError:  # of a directory that was only the beginning of names, its own object
            if self.exists():
                raise

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Let what the store refuses meanwhile be a StoreError, but FileNotFoundError where there is no such file."""
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from error
        except Exception as error:
            is_told = isinstance(error, OSError | pa.ArrowException)  # whoever serves another scheme raises anything
            if not is_told and not isinstance(self._filesystem, fs.PyFileSystem):
                raise
            raise StoreError(errno.EIO, reason_of(error), str(self)) from error

    @property
    def _filesystem(self) -> fs.FileSystem:
        return self.store.filesystem

    def _info(self) -> fs.FileInfo:
        with self.refusals():
            return self._filesystem.get_file_info(self.within)

    def _matching(self, part: str) -> Iterator["StorePath"]:
        if part == "**":
            yield replace(self, _is_file=False)
            for path in self.iterdir():
                if path.is_dir() and not path.name.startswith("."):
                    yield from path._matching("**")
        elif glob.has_magic(part):
            shows_hidden = part.startswith(".")
            for path in self.iterdir():
                if fnmatchcase(path.name, part) and (shows_hidden or not path.name.startswith(".")):
                    yield path
        elif (path := self / part).exists():
            yield path


class _Fetching(io.RawIOBase):
    """A file of a store as a raw stream of Python's, for buffers to stand on."""

    def __init__(self, path: StorePath, file: pa.NativeFile) -> None:
        self._path = path
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._path.refusals():
            try:
                return int(self._file.readinto(buffer))
            except (OSError, ValueError) as error:  # of gs, ValueError where the file went between its finding and this
                if self._path.exists():
                    raise OSError(reason_of(error)) from error
                raise FileNotFoundError from error

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def text_of(key: PurePosixPath) -> str:
    """Return a path below the root as text, nothing for the root itself."""
    return "" if key == PurePosixPath() else str(key)


def reason_of(error: BaseException) -> str:
    """Return the first line of what an error says, without what differs from one request to the next."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\s*\(Request ID: .*?\)", "", text).rstrip(".")
