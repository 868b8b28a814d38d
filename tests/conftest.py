"""Every test runs on one thread: workers side by side, and sums in one order. Object stores to try things on."""

import signal
from collections.abc import Iterator

import pytest
import torch
from stores import GCS, NAMES, S3, bucket_of, in_gcs, in_memory, serving

from ihcli.files.stores import StorePath

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; commands would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    with serving(S3) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    with serving(GCS) as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> StorePath:
    """A new bucket of an S3 server on this machine, which the environment names to this process and its children."""
    return bucket_of(s3_server, monkeypatch)


@pytest.fixture(params=["s3", "gcs", "memory"])
def store(request: pytest.FixtureRequest) -> StorePath:
    """An empty place in each kind of store: with directories that listings tell of, that they do not, and real ones."""
    if request.param == "memory":
        return in_memory()
    if request.param == "gcs":
        return in_gcs(request.getfixturevalue("gcs_server"))
    bucket = request.getfixturevalue("bucket")
    assert isinstance(bucket, StorePath)
    return bucket


@pytest.fixture
def filled(store: StorePath) -> StorePath:
    for name in NAMES:
        (store / name).parent.mkdir()
        (store / name).write_bytes(name.encode())
    return store
