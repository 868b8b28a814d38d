"""Samples are uniform, from their seed, and collected in order however rows come in blocks."""

import numpy as np
import pytest

from ihcli.sampling import collect, draw


def test_few_rows_are_all_drawn() -> None:
    np.testing.assert_array_equal(draw(3, 5, seed=0), [0, 1, 2])


def test_rows_are_drawn_once_each_and_as_the_seed_says() -> None:
    drawn = draw(1000, 100, seed=1)
    assert len(set(drawn.tolist())) == 100
    np.testing.assert_array_equal(drawn, np.sort(drawn))
    np.testing.assert_array_equal(drawn, draw(1000, 100, seed=1))
    assert (drawn != draw(1000, 100, seed=2)).any()


def test_every_row_is_drawn_as_often_as_any_other() -> None:
    counts = np.bincount(np.concatenate([draw(10, 3, seed) for seed in range(2000)]), minlength=10)
    assert np.abs(counts - 600).max() < 5 * (600 * 0.7) ** 0.5  # five standard deviations


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_rows_are_collected_whatever_the_blocks(size: int) -> None:
    rows = np.arange(40).reshape(20, 2)
    blocks = (rows[i : i + size] for i in range(0, 20, size))
    np.testing.assert_array_equal(collect(blocks, np.array([0, 6, 7, 19])), rows[[0, 6, 7, 19]])


def test_no_block_is_read_in_vain() -> None:
    def blocks() -> object:
        yield np.zeros((5, 1))
        raise AssertionError("read on")

    assert len(collect(blocks(), np.array([1, 4]))) == 2
