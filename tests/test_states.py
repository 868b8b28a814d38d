"""State files: one counts, another is there until it does."""

import os
from pathlib import Path

import numpy as np
import pytest

from ihcli.runs.states import StateFiles


def state_of(*parts: tuple[int, int]) -> dict[str, np.ndarray]:
    return {"parts": np.array(parts, np.int64).reshape(-1, 2), "mean": np.array([0.1, 1 / 3])}


def test_the_state_of_the_most_parts_that_are_there_counts(tmp_path: Path) -> None:
    states = StateFiles(tmp_path)
    assert states.newest({0, 1}) is None
    for index, parts in enumerate([[(0, 1)], [(0, 2)], [(0, 2), (5, 6)]]):
        states.write(index, state_of(*parts))
    for present, covered in (({0}, [[0, 1]]), ({0, 1, 2}, [[0, 2]]), ({0, 1, 5}, [[0, 2], [5, 6]])):
        found = states.newest(present)
        assert found is not None
        assert found["parts"].tolist() == covered
        assert found["mean"].tolist() == [0.1, 1 / 3]
    assert states.newest({1, 5}) is None


def test_older_states_go_when_one_counts(tmp_path: Path) -> None:
    states = StateFiles(tmp_path)
    for index in range(3):
        states.write(index, state_of((0, index + 1)))
    states.keep_only(2)
    assert os.listdir(states.path) == ["000002.npz"]
    states.forget()
    states.forget()
    assert not states.path.exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"not an archive"])
def test_a_damaged_state_does_not_count(tmp_path: Path, content: bytes) -> None:
    states = StateFiles(tmp_path)
    states.write(0, state_of((0, 1)))
    (states.path / "000001.npz").write_bytes(content)
    found = states.newest({0, 1})
    assert found is not None
    assert found["parts"].tolist() == [[0, 1]]
