"""Object stores to test with: an S3 server on this machine, and memory through fsspec; and what lies in them."""

import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.fs as fs
import pytest

from ihcli.files.locations import Location, locate
from ihcli.files.stores import StorePath

NAMES = (
    "a/.h/x-5.csv",
    "a/x-1.csv",
    "a/x-2.csv",
    "a/.x-3.csv",
    "a/b/x-4.csv",
    "a/b/c/y.csv",
    "z.csv",
)  # of files that `filled` has
S3 = """
import sys
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
GCS = """
import sys
from gcp_storage_emulator.server import create_server

server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="bucket")
server.start()
print(*server._api._httpd.server_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def serving(code: str) -> Iterator[str]:
    """Serve S3 or GCS from a process of its own, and give its address; it ends with the process that asked for it."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **piped) as process:
        assert process.stdout is not None
        host, port = process.stdout.readline().split()
        try:
            yield f"{host}:{port}"
        finally:
            process.terminate()


def bucket_of(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> StorePath:
    """Make a bucket, and let the environment name the server."""
    name = f"b{uuid.uuid4().hex}"
    urllib.request.urlopen(urllib.request.Request(f"http://{endpoint}/{name}", method="PUT")).close()
    environment = {
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://{endpoint}",
    }
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    return in_store(f"s3://{name}")


def in_gcs(endpoint: str) -> StorePath:
    """Return a place of its own in the bucket of the server."""
    return in_store(f"gs://anonymous@bucket/{uuid.uuid4().hex}?scheme=http&endpoint_override={endpoint}")


def in_memory() -> StorePath:
    """Return a place of its own in the memory of this process, behind fsspec."""
    return in_store(f"memory://{uuid.uuid4().hex}")


def in_store(url: str) -> StorePath:
    location = locate(url)
    assert isinstance(location, StorePath)
    return location


def upload(file: Path, target: StorePath) -> str:
    """Copy a file, and return its URL."""
    target.write_bytes(file.read_bytes())
    return str(target)


def content(place: Location) -> dict[str, bytes]:
    """Return what every file below a place holds, by its path from there."""
    if isinstance(place, Path):
        return {str(file.relative_to(place)): file.read_bytes() for file in place.rglob("*") if file.is_file()}
    selector = fs.FileSelector(place.within, recursive=True, allow_not_found=True)
    found = place.store.filesystem.get_file_info(selector)
    files = [info.path for info in found if info.type == fs.FileType.File]
    names = [file.removeprefix(f"{place.within.rstrip('/')}/") for file in files]
    return {name: (place / name).open().read() for name in names}
