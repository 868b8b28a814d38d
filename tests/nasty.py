"""Words of strangers that would move a terminal, hide what is written or pass for ours; tables that hold them."""

import json
import os
import pickle
import pty
import re
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from prepared import python
from torch import nn

CODES = {
    "clear": "\x1b[2J",
    "title": "\x1b]0;owned\x07",
    "return": "\rall checks passed",
    "line": "\nall checks passed",
    "null": "\x00",
    "delete": "\x7f\x08",
    "c1": "\x9b31m\x85",
    "override": "\u202egnp\u2066",
    "separator": "\u2028\u2029",
    "tag": "\U000e0001",
    "markup": "[red]:smile:[/red]",
}
WORD = "".join(CODES.values())
FEATURES = tuple(f"{name}{code}" for name, code in CODES.items())
KEY = f"id{WORD}"
CONTROLS, INVISIBLE = "\x00-\x08\x0b-\x1f\x7f-\x9f", "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
UNSAFE = re.compile(f"[{CONTROLS}{INVISIBLE}\U000e0000-\U000e007f]")
RUN = """
import sys, json
from ihcli.cli import main
for arguments in json.load(open(sys.argv[1])):
    sys.stdout.write(chr(30) + chr(10)); sys.stdout.flush()
    try:
        main(arguments, prog_name="ihcli")
    except SystemExit:
        pass
    except Exception:
        sys.excepthook(*sys.exc_info())
"""


def write_table(path: Path, n_rows: int = 4) -> None:
    """Write a table whose names and keys are nasty."""
    rng = np.random.default_rng(0)
    columns = {KEY: [f"{WORD}{row}" for row in range(n_rows)]}
    pq.write_table(pa.table({**columns, **{name: rng.normal(size=n_rows) for name in FEATURES}}), path)


def write_model(path: Path) -> None:
    """Write a network that tells nasty names of its inputs."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(len(FEATURES), 4), nn.Softplus(), nn.Linear(4, 1))
    net.feature_names = list(FEATURES)
    path.write_bytes(pickle.dumps(net.eval()))


def unsafe_in(shown: str) -> list[str]:
    """Return what a terminal would obey; line ends are `\\r\\n` there."""
    return UNSAFE.findall(shown.replace("\r\n", "\n"))


def shown_on_terminal(commands: list[list[str]], script: Path, cwd: Path) -> list[str]:
    """Return what each command shows on a terminal without colours, all of them run in one process."""
    script.write_text(json.dumps(commands))
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    command = [python(), "-c", RUN, str(script)]
    blocks = []
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=cwd):
        os.close(theirs)
        while block := _read(ours):
            blocks.append(block)
    os.close(ours)
    return b"".join(blocks).decode(errors="surrogateescape").split("\x1e\r\n")[1:]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # Linux says so when the other side of a terminal is closed
        return b""
