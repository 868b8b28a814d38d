"""Arrays are handed out again for the next points, and never twice for the same."""

import pickle
import threading

import torch

from ihcli.derivatives.room import Room

LIKE = torch.zeros(3, 4)


def test_arrays_in_turn_share_no_memory_and_the_next_points_get_the_same() -> None:
    room = Room()
    first = [room.next(LIKE, 3, 4), room.next(LIKE, 2, 5), room.named("a", LIKE, 4, 4), room.of_layer(LIKE)()]
    assert len({array.untyped_storage().data_ptr() for array in first}) == 4
    assert [tuple(array.shape) for array in first] == [(3, 4), (2, 5), (4, 4), (3, 4)]
    room.again()
    second = [room.next(LIKE, 3, 4), room.next(LIKE, 2, 3), room.named("a", LIKE, 2, 2), room.of_layer(LIKE)()]
    assert [array.data_ptr() for array in second] == [array.data_ptr() for array in first]


def test_a_larger_array_of_a_name_is_made_and_smaller_ones_are_part_of_it() -> None:
    room = Room()
    small, large = room.named("a", LIKE, 2), room.named("a", LIKE, 100)
    assert small.data_ptr() != large.data_ptr()
    assert room.named("a", LIKE, 2).data_ptr() == large.data_ptr()


def test_arrays_are_of_the_dtype_of_what_they_are_like() -> None:
    room = Room()
    for dtype in (torch.float32, torch.float64, torch.float32):
        assert room.named("a", LIKE.to(dtype), 3, 4).dtype == dtype


def test_on_a_device_every_array_is_new() -> None:
    room, there = Room(), torch.zeros(3, device="meta")
    room.named("a", LIKE, 3)
    found = [room.named("a", there, 3), room.named("a", there, 3)]
    assert found[0] is not found[1]
    assert {array.device.type for array in found} == {"meta"}


def test_every_thread_and_every_copy_has_a_room_of_its_own() -> None:
    room, found = Room(), []
    here = room.named("a", LIKE, 3)
    thread = threading.Thread(target=lambda: found.append(room.named("a", LIKE, 3)))
    thread.start()
    thread.join()
    found.append(pickle.loads(pickle.dumps(room)).named("a", LIKE, 3))
    assert all(array.data_ptr() != here.data_ptr() for array in found)
