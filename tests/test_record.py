"""The record of finished parts: counts that add up, and a state from which an equal record comes back."""

import json

import numpy as np
import pytest
from runs import made_up_explanation

from ihcli.record import Record


def record_of(*parts: int, second_order: bool = True) -> Record:
    record = Record()
    for part in parts:
        explanation = made_up_explanation(2 + part, targets=("risk", "gain"), second_order=second_order)
        record.merge(Record.of_part(part, 2 + part, explanation))
    return record


def assert_equal_states(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], strict=True)


def test_counts_add_up() -> None:
    record = record_of(0, 1, 2)
    assert (record.rows, record.entries, record.evaluations) == (9, 18, 8 * 18)
    assert record.statuses == {"ok": 18}
    record.merge(Record.of_part(3, 1, made_up_explanation(1, status="missing_input")))
    assert list(record.statuses.items()) == [("ok", 18), ("missing_input", 1)]


def test_parts_are_ranges_in_whatever_order_they_come() -> None:
    record = record_of(4, 0, 1, 6, 5)
    assert record.parts == [range(2), range(4, 7)]
    assert [part in record for part in (1, 2, 3, 4, 7)] == [True, False, False, True, False]
    with pytest.raises(ValueError, match="part 5 would count twice"):
        record.merge(record_of(5))


@pytest.mark.parametrize("second_order", [True, False])
def test_a_record_that_goes_on_from_its_state_equals_one_that_never_stopped(second_order: bool) -> None:
    begun = record_of(0, 1, second_order=second_order)
    begun.wall_s = 1.5
    resumed = Record.of_state(begun.state())
    assert_equal_states(resumed.state(), begun.state())
    for record in (begun, resumed):
        record.merge(record_of(2, second_order=second_order))
    assert_equal_states(resumed.state(), begun.state())
    assert resumed.summary.attributions().equals(begun.summary.attributions())
    if second_order:
        assert resumed.summary.interactions().equals(begun.summary.interactions())
    assert resumed.wall_s == 1.5


def test_an_empty_record_has_a_state() -> None:
    assert Record.of_state(Record().state()).parts == []


def test_a_state_holds_plain_arrays() -> None:
    state = record_of(0).state()
    assert all(values.dtype.kind in "fiu" for values in state.values())
    assert json.loads(state["counts"].tobytes())["statuses"] == {"ok": 4}
