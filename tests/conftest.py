"""Every test runs on one thread: workers side by side, and sums in one order. Object stores to try things on."""

from collections.abc import Iterator

import pytest
import torch
from stores import bucket_of, serve_s3

from ihcli.locations import StorePath

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    with serve_s3() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> StorePath:
    """A new bucket of an S3 server on this machine, which the environment names to this process and its children."""
    return bucket_of(s3_server, monkeypatch)
