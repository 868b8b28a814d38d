"""Models that return several tensors: one message, whose advice makes a model of one of them."""

import os
import re
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from prepared import light_python
from torch import Tensor, nn

import ihcli
from ihcli.cli import main
from ihcli.errors import ModelError

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
TWO_TASKS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.classes, self.price = nn.Linear(3, 8), nn.Linear(8, 2), nn.Linear(8, 1)

    def forward(self, x: torch.Tensor):
        h = torch.relu(self.body(x))
        return {"classes": self.classes(h), "price": self.price(h)}
"""


@dataclass
class Scored:
    hidden: Tensor
    scores: Tensor


class Named(NamedTuple):
    scores: Tensor
    loss: None = None


class Returning(nn.Module):
    def __init__(self, made: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.made = made

    def forward(self, x: Tensor) -> Any:
        return self.made(torch.tanh(x))


KINDS: dict[str, tuple[Callable[[Tensor], Any], str, str]] = {
    "a tuple": (lambda h: (h, h.sum(1)), "a tuple", "[0]"),
    "a list, no tensor first": (lambda h: [None, h], "a list", "[1]"),
    "a dictionary, hidden states first": (lambda h: {"h": h[:, None], "y": h}, "a dict", '["y"]'),
    "a dataclass": (lambda h: Scored(h[:, None], h), "a Scored", ".scores"),
    "a named tuple": (Named, "a Named", "[0]"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_in_python_a_lambda_takes_one_of_several_outputs(kind: str) -> None:
    made, words, taken = KINDS[kind]
    model = Returning(made)

    with pytest.raises(ModelError, match=f"returns {words}. Expected one tensor") as caught:
        ihcli.explain(model, X, target=0)
    advice = re.search(r"Try (lambda x: \S+) in the place of the model", str(caught.value))
    assert advice is not None
    assert advice[1].endswith(taken)
    got = ihcli.explain(eval(advice[1], {"model": model}), X, target=0)

    assert (got.status == "ok").all()
    np.testing.assert_allclose(got.attributions[:, 0], torch.tanh(X[:, 0]), rtol=1e-3)


@pytest.mark.parametrize("made", [lambda h: {}, lambda h: h.detach().numpy(), lambda h: (h[:2], h[:2, 0])])
def test_where_nothing_has_the_rows_nothing_is_named(made: Callable[[Tensor], Any]) -> None:
    with pytest.raises(ModelError, match="Try wrapping it in a module that picks the output"):
        ihcli.explain(Returning(made), X)


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments, "t.csv", "-o", "run", "-m", "ig", "--target", "0"])


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Save a network of two outputs in several forms, and go where they are."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(TWO_TASKS)
    names: dict[str, Any] = {"__name__": "two_tasks"}
    exec(compile(TWO_TASKS, "net.py", "exec"), names)
    module: nn.Module = names["Net"]().eval()
    torch.save(module.state_dict(), "weights.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript
        torch.jit.trace(module, X, strict=False).save("traced.pt")
    pd.DataFrame(X.numpy(), columns=list("abc")).to_csv("t.csv", index=False)
    return module


def is_of_classes(module: nn.Module) -> bool:
    prediction = ihcli.read("run")[0].quality["prediction"]
    return bool(np.isclose(prediction, module(X)["classes"][0, 0].item(), rtol=1e-5))


def test_with_code_a_class_in_its_file_takes_one(net: nn.Module) -> None:
    refused = explain("weights.pt", "--code", "net.py:Net")
    advice = re.search(r"Try (class Picked\(Net\): .+) in its file, and --code (\S+?)\.\n", refused.stderr)

    assert advice is not None, refused.output
    Path("net.py").write_text(f"{TWO_TASKS}\n\n{advice[1]}\n")
    assert explain("weights.pt", "--code", advice[2]).exit_code == 0
    assert is_of_classes(net)


def test_of_a_script_a_line_takes_one(net: nn.Module) -> None:
    refused = explain("traced.pt")
    advice = re.search(r"Try (python -c .+), only if you trust who made it, and (\S+) as MODEL", refused.stderr)

    assert advice is not None, refused.output
    path = os.pathsep.join((str(Path(light_python()).parent), os.environ["PATH"]))
    subprocess.run(advice[1], shell=True, check=True, env={**os.environ, "PATH": path})
    done = explain(advice[2])
    assert done.exit_code == 0, done.output
    assert is_of_classes(net)
