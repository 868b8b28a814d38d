"""Damaged copies of good files of every format: a result or one message, whatever the damage."""

from pathlib import Path

import fuzzing
import numpy as np

CPU_SECONDS, SEED = 10, 1


def test_damaged_files_are_results_or_messages(tmp_path: Path) -> None:
    executions, failures = fuzzing.fuzz(CPU_SECONDS, SEED, tmp_path)
    assert failures == []
    assert min(executions.values()) > 20


def test_an_error_that_is_not_ours_would_be_seen(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise KeyError(path.name)

    assert fuzzing.outcome(fail, tmp_path) == f"KeyError: {tmp_path.name!r}"


def test_mutations_change_files_and_repeat_with_their_seed() -> None:
    content = bytes(range(256))
    first, again = (
        [fuzzing.mutated(content, random) for _ in range(50)] for random in map(np.random.default_rng, (3, 3))
    )
    assert first == again
    assert sum(copy != content for copy in first) > 45
