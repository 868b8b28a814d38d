"""No command creates a socket: they run with sockets that raise."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_data"
BLOCK = """
import socket

def refuse(*arguments, **keywords):
    raise RuntimeError("a socket was created")

socket.socket.__init__ = refuse
socket.create_connection = socket.getaddrinfo = socket.socketpair = refuse
"""
ONE_AFTER_THE_OTHER = """
import json, sys
from ihcli.cli import main
for arguments in json.loads(sys.argv[1]):
    main(arguments, prog_name="ihcli", standalone_mode=False)
    print("done")
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


def test_a_run_and_its_rankings_need_no_network(tmp_path: Path) -> None:
    """All of them in one process, for it is the same block from its first import to its end."""
    table, commands = str(SAMPLE / "breast_cancer.csv"), []
    for model in (str(SAMPLE / name) for name in MODELS):
        explain = ("explain", model, table, "-o", "run", "--key", "patient", "--limit", "5", "--overwrite", "--debug")
        commands += [("inspect", model), explain, ("interactions", "run"), ("attributions", "run")]
    done = isolated(tmp_path, "-c", ONE_AFTER_THE_OTHER, json.dumps(commands))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done\n") == len(commands)
    assert "socket" not in done.stderr
