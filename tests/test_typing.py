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


ROOT = Path(__file__).parents[1]
STRICT = (
    "# mypy: disallow-any-generics, disallow-subclassing-any, disallow-untyped-calls, disallow-untyped-defs, "
    "disallow-incomplete-defs, check-untyped-defs, disallow-untyped-decorators, warn-return-any, strict-equality, "
    "extra-checks, no-implicit-reexport\n"
)
"""What `--strict` means, said to the scripts alone: all else is asked as `make lint` asks it, and lies in its cache."""


@pytest.mark.slow
def test_a_users_script_is_checked_by_its_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(STRICT + RIGHT, encoding="utf-8")
    wrong.write_text(STRICT + WRONG, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(right), str(wrong)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = [line for line in ran.stdout.splitlines() if "wrong.py" in line]
    assert found == ran.stdout.splitlines()
    assert all(any(mistake in line for line in found) for mistake in MISTAKES), ran.stdout + ran.stderr
