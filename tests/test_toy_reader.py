"""A kind of record of somebody's own is one file: sequences, against closed forms and the paper's double integral.

The file is the first block of code of docs/how_it_works.md under "Where do I add a kind of record?".
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oracles import double_integral
from problems import normal
from reader_contract import Case, ReaderContract
from torch import Tensor, nn
from toy_reader import SequenceReader

import ihcli
from ihcli.errors import DataError, OptionError
from ihcli.models import wrap_module
from ihcli.quality import Status

FILE = Path(__file__).parent / "toy_reader.py"
PAGE = Path(__file__).parents[1] / "docs" / "how_it_works.md"
QUESTION = "## Where do I add a kind of record?"
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
EXACT = 1e-9  # float64, a few hundred operations
MIDPOINTS, OF_MIDPOINTS = 24, 5e-3  # error of so many midpoints on each level


class SquaredSum(nn.Module):
    """f = (sum over steps of w . step)^2, of sequences (P, steps, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, -2.0], dtype=torch.float64))

    def forward(self, steps: Tensor) -> Tensor:
        return (steps @ self.weight).sum(1) ** 2


class Recurrent(nn.Module):
    """Two outputs from the last state of a GRU."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.GRU(2, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, steps: Tensor) -> Tensor:
        states, _ = self.layer(3 * steps)
        return self.head(states[:, -1])


def sequences(*lengths: int) -> list[np.ndarray]:
    return [normal(length, 2, seed=length).numpy() for length in lengths]


def blocks() -> list[str]:
    """Return the code that the page shows; the file itself as long as the page does not ask the question."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition(QUESTION)
    return BLOCK.findall(section.partition("\n## ")[0])


def test_the_page_shows_this_reader_and_what_it_shows_runs() -> None:
    assert blocks()[0] == FILE.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in blocks():
        exec(compile(block, PAGE.name, "exec"), names)
    reader = names["SequenceReader"](2)
    found = ihcli.explain_records(SquaredSum(), sequences(2), reader, method="ig", tolerance=1e-9)
    assert found.attributions[0].sum() == pytest.approx(found.prediction[0])


def test_steps_of_a_square_have_the_values_of_its_closed_form() -> None:
    records = [*sequences(3, 1, 7), None, np.zeros((0, 2)), np.full((2, 2), np.nan), *sequences(3)]
    found = ihcli.explain_records(SquaredSum(), records, SequenceReader(2), tolerance=1e-9)
    missing = [3, 4, 5]
    assert found.status.tolist() == [Status.MISSING_INPUT if i in missing else Status.OK for i in range(7)]
    for i in set(range(7)) - set(missing):
        step = records[i] @ np.array([0.5, -2.0])
        total = step.sum()
        assert found.units[i] == tuple(f"step {k}" for k in range(len(step)))
        np.testing.assert_allclose(found.attributions[i], total * step, atol=EXACT)
        gamma = np.outer(step, step) / 2 + np.diag(total * step) / 2
        np.testing.assert_allclose(found.interactions[i], gamma, atol=EXACT)


def test_steps_of_a_recurrent_network_have_the_values_of_the_double_integral() -> None:
    module, (record,) = Recurrent().double(), sequences(3)
    found = ihcli.explain_records(module, [record], SequenceReader(2), target=1, tolerance=1e-6)
    inputs = torch.as_tensor(record.ravel())

    def output(flat: Tensor) -> Tensor:
        return module(flat.unflatten(1, (-1, 2)))[:, 1:]

    by_input = double_integral(output, inputs, torch.zeros_like(inputs), MIDPOINTS)
    by_step = by_input.reshape(3, 2, 3, 2).sum((1, 3))
    np.testing.assert_allclose(found.interactions[0], by_step, atol=OF_MIDPOINTS * np.abs(by_step).sum())
    np.testing.assert_allclose(found.interactions[0].sum(1), found.attributions[0], atol=1e-5)


def test_a_network_comes_back_as_it_was_and_its_hinges_are_smoothed() -> None:
    class Hinged(SquaredSum):
        def forward(self, steps: Tensor) -> Tensor:
            return torch.relu(steps @ self.weight).sum(1)

    module = Hinged().train()
    found = ihcli.explain_records(module, sequences(2, 4), SequenceReader(2))
    assert module.training
    assert module.weight.requires_grad
    assert np.abs(found.drift).max() > 0


def test_what_does_not_fit_a_reader_is_said_in_words() -> None:
    module, reader = SquaredSum(), SequenceReader(2)
    with pytest.raises(OptionError, match=r"^`method=eg`: averages over many .*have one\. .*=ig`\."):
        ihcli.explain_records(module, sequences(2), reader, method="eg")
    with pytest.raises(DataError, match=r"^records: none of a sample has any input\. Expected one at least\."):
        ihcli.explain_records(module, [None], reader)
    with pytest.raises(DataError, match=r"^records: there are none\. Expected one at least\."):
        ihcli.explain_records(module, [], reader)


class TestSequenceReader(ReaderContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls) -> Case:
        records = [*sequences(3, 2), None, *sequences(4, 3, 2), np.zeros((0, 2))]
        return Case(wrap_module(Recurrent().double().eval()), SequenceReader(2), records, (2, 6))
