"""What goes to a device and comes back is what it was."""

import numpy as np
import torch

from ihcli.derivatives.transfers import packed, unpacked, upload


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
