"""What goes to a device and comes back is what it was."""

import numpy as np
import pytest
import torch
from placement import CUDA, fake_device, placed

from ihcli.derivatives import transfers
from ihcli.derivatives.transfers import Coming, download, packed, pieces, sent, unpacked, upload


def test_packed_arrays_come_apart_as_they_were_whatever_their_dtypes_and_shapes() -> None:
    rng = np.random.default_rng(0)
    arrays = (
        rng.integers(0, 9, 3),
        rng.random((2, 5), np.float32),
        rng.random(1),
        np.zeros((0, 4), np.float32),
        rng.random((4, 6))[:, ::2],
        rng.random(7) < 0.5,
    )
    found = unpacked(torch.from_numpy(packed(arrays)), arrays)
    for array, tensor in zip(arrays, found, strict=True):
        assert tensor.numpy().dtype == array.dtype
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_on_the_cpu_nothing_is_copied_that_may_be_written_to() -> None:
    array, fixed = np.arange(3.0), np.broadcast_to(1.0, 3)
    for tensor in upload(torch.device("cpu"), array, fixed):
        tensor[0] = 7
    assert (array[0], fixed[0]) == (7, 1)


def test_what_comes_together_comes_apart_as_it_was() -> None:
    value, matrix = torch.arange(3.0), torch.arange(8.0).view(2, 2, 2).transpose(0, 2)
    for array, tensor in zip(Coming(value, matrix).arrays(), (value, matrix), strict=True):
        np.testing.assert_array_equal(array, tensor.numpy())


def test_what_numpy_does_not_know_comes_as_float32() -> None:
    tensor = torch.arange(3, dtype=torch.bfloat16)
    for array in (*Coming(tensor).arrays(), download(tensor)):
        np.testing.assert_array_equal(array, np.arange(3, dtype=np.float32))


@pytest.mark.parametrize("dtype", [None, torch.float32])
def test_what_is_sent_is_there_in_the_dtype_that_is_wanted(dtype: torch.dtype | None) -> None:
    array, tensor = np.ones(3), torch.ones(3, dtype=torch.float64)
    assert sent(tensor, torch.device("cpu")) is tensor
    with fake_device():
        for there in (sent(torch.ones(3, dtype=torch.float64), CUDA, dtype), sent(placed(tensor), CUDA, dtype)):
            assert (there.device, there.dtype) == (CUDA, dtype or torch.float64)
        there, index = upload(CUDA, array, np.arange(4))
    assert (there.device, there.dtype, index.dtype, index.shape) == (CUDA, torch.float64, torch.int64, (4,))


@pytest.mark.parametrize("numbers", [1, 5, 24, 100])
def test_pieces_of_a_tensor_are_all_of_it_in_order(monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    monkeypatch.setattr(transfers, "PIECE_NUMBERS", numbers)
    tensor = torch.arange(24.0).view(4, 6).T
    found = list(pieces(tensor))
    assert max(map(len, found)) == min(numbers, 24)
    np.testing.assert_array_equal(np.concatenate(found), tensor.flatten().numpy())


@pytest.mark.parametrize("shape", [(), (0, 3), (4, 6)])
@pytest.mark.parametrize("numbers", [5, 100])
def test_what_is_fetched_from_a_device_has_its_shape_and_dtype(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], numbers: int
) -> None:
    monkeypatch.setattr(transfers, "PIECE_NUMBERS", numbers)
    tensor = torch.ones(shape, dtype=torch.float64)
    with fake_device():
        there = placed(tensor)
        for array in (download(there), Coming(there).arrays()[0]):
            assert (array.shape, array.dtype) == (shape, np.float64)
