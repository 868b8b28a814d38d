"""Where files lie: a path of this machine or a URL, found and opened alike."""

import errno
import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice, takewhile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from ihcli.errors import OptionError, PackageError
from ihcli.files.stores import Store, StorePath, reason_of, text_of
from ihcli.wording import did_you_mean, printable

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
QUERY = re.compile(r"[A-Za-z_]+=[^?]*")  # a question mark with anything else behind it is of a glob
HUB = "hf"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
IMPOSSIBLE = (errno.ENAMETOOLONG, errno.ELOOP)
MOST_NEIGHBOURS = 10_000  # whose names are compared with one that is not there
SECRET = re.compile(r"secret|sig|token|password|account_key|access_key", re.IGNORECASE)

Location = Path | StorePath


def locate(place: str | Location) -> Location:
    """Return the location that a path or URL names; a URL of file:// is a path.

    Arrow's own clients serve s3, gs, hdfs and abfs, with the credentials of the environment; fsspec serves other
    schemes, where the package that it needs is installed. Cost: of a path, a look at it; of a bucket of S3 whose
    region is not told, a request.

    Raises OptionError for a path that no file can have, and for a URL that cannot be used or has a secret in it, which
    run.json would keep; PackageError where a package is missing.
    """
    if not isinstance(place, str):
        if not hasattr(place, "exists"):
            raise OptionError(f"path: is of the type {type(place).__name__}. Expected text, a Path or a URL.")
        return place
    if not is_url(place):
        _refuse_impossible(place)
        return Path(place)
    url = _Url.of(place)
    if url.scheme == "file":
        return Path("/") / url.path
    url.refuse_secrets()
    url.refuse_hub()
    filesystem, within = _filesystem(url)
    root = within.removesuffix(url.path) if url.path else f"{within.rstrip('/')}/"
    if f"{root}{url.path}".rstrip("/") != within.rstrip("/"):
        raise OptionError(f"{place}: is read as {within}. Expected a URL that ends in a plain path.")
    return StorePath(Store(f"{url.scheme}://{url.authority}", url.query, root, filesystem), PurePosixPath(url.path))


def _refuse_impossible(path: str) -> None:
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in IMPOSSIBLE and not glob.has_magic(path):
            raise OptionError(f"{printable(path)}: {error.strerror}. Expected a path that a file can have.") from error


def is_url(place: str) -> bool:
    """Return whether the text names a place by URL."""
    return URL.match(place) is not None


def name_of(place: str) -> str:
    """Return the last part of a path or URL, by its text alone."""
    return PurePosixPath(_Url.of(place).path).name if is_url(place) else Path(place).name


def is_reachable(recorded: str, *named: str | Location) -> bool:
    """Return whether a place that a file tells of is a path, or of a store that the user named as well.

    A run.json may be anybody's: no server is asked for anything because it says so.
    """
    if not is_url(recorded):
        return True
    stores = {_Url.of(str(place)).store for place in named if is_url(str(place))}
    return _Url.of(recorded).store in stores


def absence(path: Location, kind: str, expected: str) -> str:
    """Return what to say of a path where nothing is."""
    step = neighbour_of(path) or _hub_step(path, kind) or " Try checking the path."
    return f"{path}: no such {kind}. Expected {expected}.{step}"


def neighbour_of(path: Location) -> str:
    """Return " Did you mean 'x'?" where something of a close name is beside the path; stores are not searched."""
    if isinstance(path, Path):
        with suppress(OSError):
            return did_you_mean(path.name, [entry.name for entry in islice(path.parent.iterdir(), MOST_NEIGHBOURS)])
    return ""


def _hub_step(path: Location, kind: str) -> str:
    """Return what to try for the name of a model on a hub, owner and name, which no directory here begins."""
    is_of_hub = kind == "file" and isinstance(path, Path) and HUB_NAME.fullmatch(str(path)) is not None
    if not is_of_hub or path.parent.exists():
        return ""
    return f" No hub is asked for anything. Try hf download {path} --local-dir {path.name}, and {path.name} as MODEL."


def is_glob(location: Location) -> bool:
    """Return whether a path holds the signs of a glob."""
    return glob.has_magic(str(location if isinstance(location, Path) else location.key))


def distinct(files: Iterable[Location]) -> list[Location]:
    """Return files sorted, and each of this machine once, by the name with the fewest directories: links are names."""
    found: dict[object, Location] = {}
    for file in sorted(files, key=lambda file: (len(file.parts) if isinstance(file, Path) else 0, file)):
        status = file.stat() if isinstance(file, Path) else None
        found.setdefault(file if status is None else (status.st_dev, status.st_ino), file)
    return sorted(found.values())


def matching(pattern: Location) -> list[Location]:
    """Return the files that a glob matches, sorted."""
    if isinstance(pattern, Path):
        found = _expanded(Path(), pattern.parts) if "**" in pattern.parts else map(Path, glob.glob(str(pattern)))
        return distinct(path for path in found if path.is_file())
    parts = pattern.key.parts
    fixed = list(takewhile(lambda part: not glob.has_magic(part), parts))
    top = StorePath(pattern.store, PurePosixPath(*fixed))
    return sorted(path for path in top.glob("/".join(parts[len(fixed) :])) if path.is_file())


def parquet_file(file: Location, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file; the options are those of `pyarrow.parquet.ParquetFile`.

    Of a store, the columns that are read of a row group are fetched at once, in as few requests as their places allow;
    page by page, a row group of matrices would take hundreds.

    Raises ArrowException or OSError where it cannot be read.
    """
    if isinstance(file, Path):
        try:
            return pq.ParquetFile(file, **options)
        except UnicodeEncodeError as error:
            raise OSError(errno.EILSEQ, "its name is not UTF-8. Try renaming it") from error
    return pq.ParquetFile(file.within, filesystem=file.store.filesystem, **{"pre_buffer": True, **options})


def _expanded(base: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Give what a pattern matches below a directory; `**` enters each directory once, where links make a circle too."""
    if not parts:
        yield base
        return
    part, *rest = parts
    if part == "**":
        for directory in _tree(base):
            yield from _expanded(directory, rest or ["*"])
    elif glob.has_magic(part):
        for name in glob.glob(part, root_dir=base):
            yield from _expanded(base / name, rest)
    elif (base / part).exists():
        yield from _expanded(base / part, rest)


def _tree(top: Path) -> Iterator[Path]:
    """Give a directory and those below it that are not hidden, the upper ones first."""
    entered: set[tuple[int, int]] = set()
    level = [top] if top.is_dir() else []
    while level:
        below = []
        for directory in level:
            status = directory.stat()
            if (status.st_dev, status.st_ino) not in entered:
                entered.add((status.st_dev, status.st_ino))
                yield directory
                below += [directory / name for name in sorted(glob.glob("*/", root_dir=directory))]
        level = below


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
        return cls(scheme.lower(), authority, text_of(PurePosixPath(path.strip("/"))), query)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}/{self.path}"

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

    def refuse_hub(self) -> None:
        if self.scheme == HUB:
            raise OptionError(
                f"{self}: is on a hub, which is never asked for anything. Expected a path on this machine, or the URL "
                "of a store. Try hf download, and the directory that it names."
            )


def _filesystem(url: _Url) -> tuple[fs.FileSystem, str]:
    try:
        base = f"{url.scheme}://{url.authority}/"
        return fs.FileSystem.from_uri(f"{base}{quote(url.path)}{url.query and f'?{url.query}'}")
    except (OSError, ValueError, pa.ArrowException) as error:
        if "Unrecognized filesystem type" in str(error):
            return _fsspec_filesystem(url)
        raise _unopened(url, error) from error


def _fsspec_filesystem(url: _Url) -> tuple[fs.FileSystem, str]:
    from fsspec.core import url_to_fs

    if url.query:
        raise OptionError(f"{url}: takes no settings. Expected a plain path, got ?{url.query}.")
    try:
        filesystem, within = url_to_fs(str(url))
    except ImportError as error:
        raise PackageError(f"{url}: needs a package that is not installed. {reason_of(error)}.") from error
    except Exception as error:  # of whoever wrote what serves the scheme
        raise _unopened(url, error) from error
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), within


def _unopened(url: _Url, error: Exception) -> OptionError:
    return OptionError(
        f"{url}: cannot be opened: {reason_of(error)}. Expected a URL such as s3://bucket/run. "
        "Try checking the URL, the credentials and the network."
    )
