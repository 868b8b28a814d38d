"""Models that lie on a store, copied to this machine for as long as they are read."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ihcli.errors import IhcliError, ModelError
from ihcli.locations import Location
from ihcli.models.directories import is_read
from ihcli.models.sniffing import recognise
from ihcli.stores import READ_BYTES, StorePath


@contextmanager
def on_this_machine(location: Location) -> Iterator[Path]:
    """Give the path of a model, or that of a copy, which is gone in the end; what is raised names the model itself.

    Only what is a model is copied; of a checkpoint, the files that are read. Cost: its bytes, in the directory for
    temporary files.

    Raises ModelError where it is none, or the store or the disk refuses.
    """
    if not isinstance(location, StorePath):
        yield location
        return
    recognise(location)
    with TemporaryDirectory(prefix="ihcli-") as folder:
        copy = Path(folder) / "model"
        try:
            _copy(location, copy)
        except OSError as error:
            raise ModelError(
                f"{location}: cannot be copied to {folder}: {error.strerror}. Try again, or with TMPDIR where there "
                "is room."
            ) from error
        try:
            yield copy
        except IhcliError as error:
            error.args = tuple(str(words).replace(str(copy), str(location)) for words in error.args)
            raise


def _copy(location: StorePath, copy: Path) -> None:
    if not location.is_dir():
        _copy_file(location, copy)
        return
    copy.mkdir()
    files = [file for file in location.iterdir() if file.is_file()]
    for file in files:
        if is_read(file.name, {each.name for each in files}):
            _copy_file(file, copy / file.name)


def _copy_file(file: StorePath, copy: Path) -> None:
    with file.open() as stream, copy.open("xb") as written:
        shutil.copyfileobj(stream, written, READ_BYTES)
