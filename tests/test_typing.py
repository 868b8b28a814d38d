"""Types of what users write: a script of theirs passes a strict checker, and its mistakes do not."""

import subprocess
import sys
from pathlib import Path

import pytest

RIGHT = """
import numpy as np
import torch

import ihcli

network = torch.nn.Linear(3, 1)
explanation: ihcli.Explanation = ihcli.explain(network, np.zeros((2, 3)), method="ig", target=[0, 0], progress=True)
record: ihcli.Record = explanation[0]
some: ihcli.Explanation = explanation[:1]
names: tuple[str, ...] = explanation.feature_names
effects = [pair.effect for pair in record.pairs or ()]
saved: ihcli.Result = explanation.save("run", overwrite=True)
for each in saved:
    print(each.target, each.quality["relative_error"])
texts: ihcli.TextExplanation = ihcli.explain_texts("checkpoint", ["a"])
print(ihcli.__version__, saved.to_frame(long=True), explanation.plot("bar"))
try:
    ihcli.read("run")
except ihcli.IhcliError as error:
    print(error)
"""
WRONG = """
import ihcli

ihcli.explain("net.pt", [[1.0]], n_steps=5)
explanation = ihcli.explain("net.pt", [[1.0]])
explanation.attribution
ihcli.read(3)
"""
MISTAKES = ('"n_steps" for "explain"', 'no attribute "attribution"', 'Argument 1 to "read"')


@pytest.mark.slow
def test_a_users_script_is_checked_by_its_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    for name, text in (("right.py", RIGHT), ("wrong.py", WRONG)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    quiet = ["--follow-imports=silent", "--disable-error-code=import-untyped", "--no-error-summary"]
    ran = subprocess.run(
        [*command, *quiet, "right.py", "wrong.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    found = ran.stdout.splitlines()
    assert not [line for line in found if line.startswith("right.py")], ran.stdout
    assert all(any(mistake in line for line in found) for mistake in MISTAKES), ran.stdout + ran.stderr
