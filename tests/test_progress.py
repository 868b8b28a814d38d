"""The progress of finished parts: counts that add up, and a state from which an equal progress comes back."""

import json
from dataclasses import replace

import numpy as np
import pytest
from runs import made_up_explanation

from ihcli.runs.progress import Progress


def progress_of(*parts: int, second_order: bool = True) -> Progress:
    progress = Progress()
    for part in parts:
        explanation = made_up_explanation(2 + part, targets=("risk", "gain"), second_order=second_order)
        progress.merge(Progress.of_part(part, 2 + part, explanation, (bytes([part]) * 32, bytes(32))))
    return progress


def assert_equal_states(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], strict=True)


def test_counts_add_up() -> None:
    progress = progress_of(0, 1, 2)
    assert (progress.rows, progress.entries, progress.evaluations) == (9, 18, 8 * 18)
    assert progress.statuses == {"ok": 18}
    progress.merge(Progress.of_part(3, 1, made_up_explanation(1, status="missing_input")))
    assert list(progress.statuses.items()) == [("ok", 18), ("missing_input", 1)]


def test_parts_are_ranges_in_whatever_order_they_come() -> None:
    progress = progress_of(4, 0, 1, 6, 5)
    assert progress.parts == [range(2), range(4, 7)]
    assert [part in progress for part in (1, 2, 3, 4, 7)] == [True, False, False, True, False]
    with pytest.raises(ValueError, match="part 5 would count twice"):
        progress.merge(progress_of(5))


@pytest.mark.parametrize("second_order", [True, False])
def test_a_record_that_goes_on_from_its_state_equals_one_that_never_stopped(second_order: bool) -> None:
    begun = progress_of(0, 1, second_order=second_order)
    begun.wall_s = 1.5
    resumed = Progress.of_state(begun.state())
    assert_equal_states(resumed.state(), begun.state())
    for progress in (begun, resumed):
        progress.merge(progress_of(2, second_order=second_order))
    assert_equal_states(resumed.state(), begun.state())
    assert resumed.summary.attributions().equals(begun.summary.attributions())
    if second_order:
        assert resumed.summary.interactions().equals(begun.summary.interactions())
    assert resumed.wall_s == 1.5


def test_the_median_sampling_error_is_known_of_any_parts_within_12_percent() -> None:
    rng = np.random.default_rng(0)
    errors = rng.lognormal(-2, 1, (4, 101))
    merged = Progress()
    for part, some in enumerate(errors):
        made_up = replace(made_up_explanation(101), sampling_error=np.where(some > 2, np.nan, some))
        merged.merge(Progress.of_state(Progress.of_part(part, 101, made_up).state()))
    known = errors[errors <= 2]
    assert merged.sampling_error == pytest.approx(np.median(known), rel=0.13)
    of_pairs = replace(made_up_explanation(5), sampling_error=np.ones(5), interaction_sampling_error=np.full(5, 0.1))
    assert Progress.of_part(0, 5, of_pairs).sampling_error == pytest.approx(0.1)
    assert progress_of(0).sampling_error is None


def test_a_state_of_before_knows_no_sampling_error() -> None:
    state = progress_of(0).state()
    counts = json.loads(state["counts"].tobytes())
    del counts["sampling"]
    state["counts"] = np.frombuffer(json.dumps(counts).encode(), np.uint8)
    assert Progress.of_state(state).sampling_error is None


def test_an_empty_record_has_a_state() -> None:
    assert Progress.of_state(Progress().state()).parts == []


def test_a_state_holds_plain_arrays() -> None:
    state = progress_of(0).state()
    assert all(values.dtype.kind in "fiu" for values in state.values())
    assert json.loads(state["counts"].tobytes())["statuses"] == {"ok": 4}
