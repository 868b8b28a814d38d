"""Every test runs on one thread: workers side by side, and sums in one order. Object stores to try things on.

What takes seconds to import is imported by the tests that need it, so that those of the mathematics start at once.
"""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import prepared
import pytest

if TYPE_CHECKING:
    from ihcli.files.stores import StorePath

for contract in ("engine_contract", "executor_contract", "store_contract"):
    pytest.register_assert_rewrite(contract)  # as in files of tests, so that a failure shows both sides
os.environ["OMP_NUM_THREADS"] = "1"  # read once, when numpy or torch is imported; commands inherit it
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every command that tests start compiles all of ihcli again
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; commands would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
prepared.do_not_wait_for_disks()
WHILE_TESTING = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WHILE_TESTING] = ExitStack()
    if not hasattr(config, "workerinput"):  # workers of pytest share what this process serves
        config.stash[WHILE_TESTING].enter_context(prepared.served())


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[WHILE_TESTING].close()


@pytest.fixture(scope="session")
def small_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small network and its table; not to be written into."""
    from small_runs import write_inputs

    return write_inputs(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def run_alone(small_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of that network over its table, written by one process."""
    from small_runs import request_of

    from ihcli.execution.pipeline import run
    from ihcli.runs.totals import Observer

    out = tmp_path_factory.mktemp("small") / "alone"
    run(request_of(small_inputs), out, Observer())
    return out


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that the pages' commands run in: with the sample data, and a run over texts."""
    from runs import write_text_run

    shutil.copytree(Path(__file__).parents[1] / "sample_data", tmp_path / "sample_data")
    write_text_run(tmp_path / "texts-run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    from stores import S3, serving

    with serving(S3) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    from stores import GCS, serving

    with serving(GCS) as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> "StorePath":
    """A new bucket of an S3 server on this machine, which the environment names to this process and its children."""
    from stores import bucket_of

    return bucket_of(s3_server, monkeypatch)


@pytest.fixture(params=["s3", "gcs", "memory"])
def store(request: pytest.FixtureRequest) -> "StorePath":
    """An empty place in each kind of store: with directories that listings tell of, that they do not, and real ones."""
    from stores import in_gcs, in_memory

    if request.param == "memory":
        return in_memory()
    if request.param == "gcs":
        return in_gcs(request.getfixturevalue("gcs_server"))
    bucket: StorePath = request.getfixturevalue("bucket")
    return bucket


@pytest.fixture
def filled(store: "StorePath") -> "StorePath":
    from stores import NAMES

    for name in NAMES:
        (store / name).parent.mkdir()
        (store / name).write_bytes(name.encode())
    return store
