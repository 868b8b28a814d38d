"""Where files lie: paths of this machine, and URLs of stores behind the names that pathlib has for the same."""

import errno
import glob
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from ihcli.errors import IhcliError, OptionError, PackageError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
QUERY = re.compile(r"[A-Za-z_]+=[^?]*")  # a question mark with anything else behind it is of a glob
SECRET = re.compile(r"secret|sig|token|password|account_key|access_key", re.IGNORECASE)
READ_BYTES = 8 << 20
"""Read at once from a store, where every request costs a round trip."""
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
        return f"{self.store.url}/{_text(self.key)}{self.store.query and f'?{self.store.query}'}"

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
        return f"{self.store.root}{_text(self.key)}".rstrip("/") or "/"

    def exists(self) -> bool:
        """Return whether there is such a file, or one below it."""
        return self._info().type != fs.FileType.NotFound

    def is_file(self) -> bool:
        """Return whether it is a file."""
        return self._info().type == fs.FileType.File if self._is_file is None else self._is_file

    def is_dir(self) -> bool:
        """Return whether it is a directory: on stores without any, whether there are files below it."""
        return self._info().type == fs.FileType.Directory if self._is_file is None else not self._is_file

    def modified(self) -> datetime | None:
        """Return when it was last written, by the clock of the store; None where that cannot be told."""
        mtime: datetime | None = self._info().mtime
        return mtime

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
            yield replace(self / name, _is_file=is_file[name])

    def glob(self, pattern: str) -> Iterator["StorePath"]:
        """Give what matches the pattern, part by part; `**` stands for any directories."""
        first, *rest = PurePosixPath(pattern).parts
        for path in self._matching(first):
            if not rest:
                yield path
            elif path.is_dir():
                yield from path.glob("/".join(rest))

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

    def write_bytes(self, content: bytes | memoryview) -> None:
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
        except (OSError, pa.ArrowException) as error:
            raise StoreError(errno.EIO, _reason(error), str(self)) from error

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
                if path.is_dir():
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
            return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


Location = Path | StorePath


def locate(place: str | Location) -> Location:
    """Return the location that a path or URL names; a URL of file:// is a path.

    Arrow's own clients serve s3, gs, hdfs and abfs, with the credentials of the environment; fsspec serves other
    schemes, where the package that it needs is installed. Cost: none; of a bucket of S3 whose region is not told, a
    request.

    Raises OptionError for a URL that cannot be used, or that has a secret in it, which run.json would keep;
    PackageError where a package is missing.
    """
    if not isinstance(place, str):
        return place
    if not is_url(place):
        return Path(place)
    url = _Url.of(place)
    if url.scheme == "file":
        return Path("/") / url.path
    url.refuse_secrets()
    filesystem, within = _filesystem(url)
    root = within.removesuffix(url.path) if url.path else f"{within.rstrip('/')}/"
    if f"{root}{url.path}".rstrip("/") != within.rstrip("/"):
        raise OptionError(f"{place}: is read as {within}. Expected a URL that ends in a plain path.")
    return StorePath(Store(f"{url.scheme}://{url.authority}", url.query, root, filesystem), PurePosixPath(url.path))


def is_url(place: str) -> bool:
    """Return whether the text names a place by URL."""
    return URL.match(place) is not None


def is_reachable(recorded: str, *named: str | Location) -> bool:
    """Return whether a place that a file tells of is a path, or of a store that the user named as well.

    A run.json may be anybody's: no server is asked for anything because it says so.
    """
    if not is_url(recorded):
        return True
    stores = {_Url.of(str(place)).store for place in named if is_url(str(place))}
    return _Url.of(recorded).store in stores


def is_glob(location: Location) -> bool:
    """Return whether a path holds the signs of a glob."""
    return glob.has_magic(str(location if isinstance(location, Path) else location.key))


def matching(pattern: Location) -> list[Location]:
    """Return the files that a glob matches, sorted."""
    if isinstance(pattern, Path):
        return sorted(path for name in glob.glob(str(pattern), recursive=True) if (path := Path(name)).is_file())
    parts = pattern.key.parts
    fixed = list(takewhile(lambda part: not glob.has_magic(part), parts))
    top = StorePath(pattern.store, PurePosixPath(*fixed))
    return sorted(path for path in top.glob("/".join(parts[len(fixed) :])) if path.is_file())


def parquet_file(file: Location, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file; the options are those of `pyarrow.parquet.ParquetFile`.

    Of a store, the columns that are read of a row group are fetched at once, in as few requests as their places allow;
    page by page, a row group of matrices would take hundreds.
    """
    if isinstance(file, Path):
        return pq.ParquetFile(file, **options)
    return pq.ParquetFile(file.within, filesystem=file.store.filesystem, **{"pre_buffer": True, **options})


class _Url(NamedTuple):
    scheme: str
    authority: str
    path: str
    query: str

    @classmethod
    def of(cls, text: str) -> "_Url":
        scheme, _, rest = text.partition("://")
        before, mark, query = rest.rpartition("?")
        if not (mark and QUERY.fullmatch(query)):
            before, query = rest, ""
        authority, _, path = before.partition("/")
        return cls(scheme.lower(), authority, _text(PurePosixPath(path.strip("/"))), query)

    @property
    def store(self) -> tuple[str, str, str]:
        """What URLs of one store share."""
        return self.scheme, self.authority, self.query

    def refuse_secrets(self) -> None:
        user, _, host = self.authority.rpartition("@")
        names = [pair.partition("=")[0] for pair in self.query.split("&")]
        if ":" in user or any(SECRET.search(name) for name in names):
            raise OptionError(
                f"{self.scheme}://{host}/{self.path}: was given with a secret in the URL, which run.json would keep. "
                "Expected none. Try the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the "
                "profile that the store's own tools read."
            )


def _filesystem(url: _Url) -> tuple[fs.FileSystem, str]:
    base = f"{url.scheme}://{url.authority}/"
    try:
        try:
            return fs.FileSystem.from_uri(f"{base}{quote(url.path)}{url.query and f'?{url.query}'}")
        except pa.ArrowInvalid as error:
            if "Unrecognized filesystem type" not in str(error):
                raise
        from fsspec.core import url_to_fs

        filesystem, within = url_to_fs(f"{base}{url.path}")
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), within
    except ImportError as error:
        raise PackageError(f"{base}{url.path}: needs a package that is not installed. {_reason(error)}.") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise OptionError(
            f"{base}{url.path}: cannot be opened: {_reason(error)}. Expected a URL such as s3://bucket/run. "
            "Try checking the URL, the credentials and the network."
        ) from error


def _text(key: PurePosixPath) -> str:
    return "" if key == PurePosixPath() else str(key)


def _reason(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\s*\(Request ID: .*?\)", "", text).rstrip(".")
