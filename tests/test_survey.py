"""Samples of a survey are uniform, from their seed, and collected in order however rows come in blocks."""

import numpy as np
import pytest

from ihcli.data.survey import Sampler, collect, draw


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


def sampled(rows: np.ndarray, size: int, seed: int, block_rows: int = 7) -> np.ndarray:
    sampler = Sampler(size, seed)
    for start in range(0, len(rows), block_rows):
        sampler.add(rows[start : start + block_rows])
    return sampler.sample().values


@pytest.mark.parametrize("n_rows", [1, 4, 5, 6, 10, 11, 400])
@pytest.mark.parametrize("block_rows", [1, 3, 64, 400])
def test_a_sampler_takes_rows_once_each_in_order_whatever_the_blocks(n_rows: int, block_rows: int) -> None:
    rows = np.arange(2.0 * n_rows).reshape(n_rows, 2)
    taken = sampled(rows, 5, seed=1, block_rows=block_rows)
    assert len(taken) == min(n_rows, 5)
    assert (np.diff(taken[:, 0]) > 0).all()
    np.testing.assert_array_equal(taken, rows[(taken[:, 0] / 2).astype(int)])
    np.testing.assert_array_equal(taken, sampled(rows, 5, seed=1))
    if n_rows == 400:
        assert (taken != sampled(rows, 5, seed=2)).any()


def test_a_sampler_takes_every_row_as_often_as_any_other() -> None:
    rows = np.arange(40)[:, np.newaxis]
    counts = np.bincount(np.concatenate([sampled(rows, 3, seed) for seed in range(4000)]).ravel(), minlength=40)
    assert np.abs(counts - 300).max() < 5 * (300 * 0.925) ** 0.5  # five standard deviations


def test_smaller_samples_are_part_of_larger_ones() -> None:
    rows, sampler = np.arange(100)[:, np.newaxis], Sampler(20, 3)
    sampler.add(rows)
    large, small = sampler.sample().first(20).ravel(), sampler.sample().first(6).ravel()
    assert set(small) < set(large)
    assert list(small) == sorted(small)
    np.testing.assert_array_equal(small, sampled(rows, 6, seed=3).ravel())


def test_blocks_without_rows_are_no_obstacle() -> None:
    sampler = Sampler(4, 0)
    sampler.add(np.empty((0, 3)))
    assert sampler.sample().values.shape == (0, 3)
    sampler.add(np.ones((2, 3)))
    sampler.add(np.empty((0, 3)))
    np.testing.assert_array_equal(sampler.sample().values, np.ones((2, 3)))
