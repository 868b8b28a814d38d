"""Networks that compare two equal things: rows of Gamma cancel, so that only what is known of all entries can tell."""

import numpy as np
import pytest
import torch
from judging import Case, judge, truth_of
from zoo import DECEIVING

TOLERANCES = (0.01, 0.001)
ROWS = 60
HONEST = 0.95
"""Share of rows of one network that may not be understated."""
SOLVED = {torch.float64: 0.9, torch.float32: 0.7}
"""Share of rows that must be ok: refusing them all would be honest too. In float32 some are `rounding` at 0.001."""
LEADING = 3

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ihcli.library.IhcliWarning")]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", DECEIVING)
def test_no_row_is_ok_whose_interactions_are_off_by_more_than_the_tolerance(name: str, dtype: torch.dtype) -> None:
    for tolerance in TOLERANCES:
        found = judge(Case(name, ROWS), "ih", tolerance, dtype)
        solved, honest = found.is_ok.mean(), found.is_honest_of_all.mean()
        wrong = found.is_ok & (found.interactions > tolerance)
        worst = found.interactions.max(where=found.is_ok, initial=0)
        words = f"tolerance {tolerance:g}: ok {solved:.2f}, honest {honest:.3f}, worst error of ok rows {worst:.1e}"
        print(f"{name}, float{torch.finfo(dtype).bits}, {words}, evaluations {found.evaluations.mean():.1f}")
        assert not wrong.any(), words
        assert honest >= HONEST, words
        assert solved >= SOLVED[dtype], words
        assert (found.is_order_right | wrong).all()


@pytest.mark.parametrize("name", DECEIVING)
def test_pairs_rank_over_all_rows_as_they_do_in_truth(name: str) -> None:
    case = Case(name, ROWS)
    found, truth = case.answered("ih", 0.01, torch.float64).interactions, truth_of(case).interactions
    assert found is not None
    assert truth is not None
    assert _leading(found) == _leading(truth)


def _leading(interactions: np.ndarray) -> list[int]:
    sizes = np.abs(interactions).mean(0)[np.triu_indices(interactions.shape[1], 1)]
    return list(np.argsort(-sizes)[:LEADING])
