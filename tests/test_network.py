"""No command creates a socket: they run with sockets that raise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_data"
BLOCK = """
import socket

def refuse(*arguments, **keywords):
    raise RuntimeError("a socket was created")

socket.socket.__init__ = refuse
socket.create_connection = socket.getaddrinfo = socket.socketpair = refuse
"""
MODELS = ("breast_cancer_relu.pt", "breast_cancer_sklearn.joblib")


def isolated(directory: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python, and every Python that it starts, with sockets that raise on creation."""
    (directory / "sitecustomize.py").write_text(BLOCK)
    environment = {**os.environ, "PYTHONPATH": f"{directory}:{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=directory)


def test_the_block_is_in_force(tmp_path: Path) -> None:
    done = isolated(tmp_path, "-c", "import socket; socket.socket()")
    assert "a socket was created" in done.stderr


@pytest.mark.parametrize("model", MODELS)
def test_a_run_and_its_rankings_need_no_network(model: str, tmp_path: Path) -> None:
    table = SAMPLE / "breast_cancer.csv"
    explain = ("explain", SAMPLE / model, table, "-o", "run", "--key", "patient", "--limit", "5", "--debug")
    for arguments in (("inspect", SAMPLE / model), explain, ("interactions", "run"), ("attributions", "run")):
        done = isolated(tmp_path, "-m", "ihcli", *arguments)
        assert done.returncode == 0, done.stderr
        assert "socket" not in done.stderr
