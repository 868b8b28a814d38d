"""How good a model is: scikit-learn's own figures, for every way in which outputs can tell of classes or numbers."""

import functools
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, log_loss, r2_score, recall_score, roc_auc_score, root_mean_squared_error

from ihcli.explanation.seen import Meaning, Truth
from ihcli.explanation.truth import truth_of
from ihcli.scales import LOG_PROBABILITY, LOGIT, MARGIN, PROBABILITY
from ihcli.summaries.judging import MOST_RANKED_CLASSES, Judging
from ihcli.summaries.scores import Scores

ROUNDING = 1e-9
"""Sums of a few hundred float64 numbers in another order."""
N_ROWS = 400
ONE, TWO, FOUR = ("sick",), ("no", "yes"), ("a", "b", "c", "d")


def meaning(names: tuple[str, ...], scale: str | None, **changes: object) -> Meaning:
    several = len(names) > 1
    known = {"are_classes": several, "is_share": several, "is_raw": True, "judged": None if several else 0}
    return Meaning(**{"names": names, "scale": scale, "own": scale, **known, **changes})


def logits(n_outputs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, K) logits and the true classes, which they tell of somewhat."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, max(2, n_outputs), N_ROWS)
    told = rng.normal(size=(N_ROWS, n_outputs))
    told = (4 * told).round() / 4 if n_outputs == 1 else told  # ties, which softmax would split by rounding
    return told + (true[:, None] == np.arange(n_outputs) + (n_outputs == 1)), true


def shares_of(u: np.ndarray) -> np.ndarray:
    """Return the probability of every class, (n, K) of two classes or more."""
    if u.shape[1] == 1:
        p = 1 / (1 + np.exp(-u))
        return np.hstack([1 - p, p])
    return np.exp(u) / np.exp(u).sum(axis=1, keepdims=True)


def outputs_on(scale: str, u: np.ndarray) -> np.ndarray:
    shares = shares_of(u)[:, -u.shape[1] :]
    margin = (
        u if u.shape[1] == 1 else u - np.where(u == u.max(1, keepdims=True), np.sort(u)[:, -2:-1], u.max(1)[:, None])
    )
    return {PROBABILITY: shares, LOG_PROBABILITY: np.log(shares), LOGIT: u, MARGIN: margin}[scale]


def figures(found: Judging) -> dict[str, float]:
    return {line.figure: line.value for line in found.lines() if line.of == "model"}


def judged(of: Meaning, outputs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return figures(Judging.of(of, outputs, truth_of(labels.astype(object), of)))


def of_positive_bins(p: np.ndarray, true: np.ndarray) -> float:
    """Return the expected calibration error by scikit-learn's curve, whose bins have their upper ends too."""
    frequency, told = calibration_curve(true, p, n_bins=10)
    counts = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], p), minlength=10)
    return float((np.abs(frequency - told) * counts[counts > 0]).sum() / len(p))


@pytest.mark.parametrize("scale", [PROBABILITY, LOG_PROBABILITY, LOGIT, MARGIN])
@pytest.mark.parametrize("names", [ONE, TWO])
def test_two_classes_are_judged_as_scikit_learn_does(names: tuple[str, ...], scale: str) -> None:
    u, true = logits(len(names))
    p = shares_of(u)[:, 1]
    found = judged(meaning(names, scale), outputs_on(scale, u), true)
    assert found["accuracy"] == pytest.approx(accuracy_score(true, p > 0.5), abs=ROUNDING)
    assert found["true_positive_rate"] == pytest.approx(recall_score(true, p > 0.5), abs=ROUNDING)
    assert found["true_negative_rate"] == pytest.approx(recall_score(true, p > 0.5, pos_label=0), abs=ROUNDING)
    assert found["auroc"] == pytest.approx(roc_auc_score(true, p), abs=ROUNDING)
    assert found["log_loss"] == pytest.approx(log_loss(true, p), abs=ROUNDING)
    assert found["calibration_error"] == pytest.approx(of_positive_bins(p, true), abs=ROUNDING)


@pytest.mark.parametrize("scale", [PROBABILITY, LOG_PROBABILITY, LOGIT])
def test_several_classes_are_judged_as_scikit_learn_does(scale: str) -> None:
    u, true = logits(4)
    found = judged(meaning(FOUR, scale), outputs_on(scale, u), np.array(FOUR)[true])
    assert found["accuracy"] == pytest.approx(accuracy_score(true, u.argmax(1)), abs=ROUNDING)
    assert found["log_loss"] == pytest.approx(log_loss(true, shares_of(u)), abs=ROUNDING)
    assert found["auroc"] == pytest.approx(roc_auc_score(true, shares_of(u), multi_class="ovr"), abs=ROUNDING)
    confidence, is_right = shares_of(u).max(1), u.argmax(1) == true
    assert found["calibration_error"] == pytest.approx(of_positive_bins(confidence, is_right), abs=ROUNDING)
    assert "true_positive_rate" not in found


def test_margins_of_several_classes_tell_no_probabilities() -> None:
    u, true = logits(4)
    found = judged(meaning(FOUR, MARGIN), outputs_on(MARGIN, u), true)
    assert found["accuracy"] == pytest.approx(accuracy_score(true, u.argmax(1)), abs=ROUNDING)
    assert found["auroc"] > 0.6
    assert "log_loss" not in found


@pytest.mark.parametrize("labels", [[0, 1], [False, True], ["false", "TRUE"], [-1, 1], ["0", "sick"], [0.0, 1.0]])
def test_labels_of_a_single_output_may_be_written_in_many_ways(labels: list[object]) -> None:
    u, true = logits(1)
    told = np.array([labels[each] for each in true], object)
    assert judged(meaning(ONE, LOGIT), u, told) == judged(meaning(ONE, LOGIT), u, true)


def test_words_beside_the_name_of_a_single_output_say_that_it_is_not_true() -> None:
    """Wherever rows are cut: a part may hold one of the words alone."""
    u, true = logits(1)
    order = np.argsort(true, kind="stable")
    u, told = u[order], np.array(["well", "sick"], object)[true[order]]
    of = meaning(ONE, LOGIT)
    parts = [
        Judging.of(of, u[some], truth_of(told[some], of)) for some in (slice(0, 50), slice(50, 370), slice(370, None))
    ]
    whole = functools.reduce(Judging.merge, [Judging(of).with_state(part.state()) for part in parts])
    assert figures(whole) == pytest.approx(judged(of, u, true[order]))
    assert figures(whole)["labels"] == N_ROWS


def test_words_without_the_name_of_a_single_output_say_nothing() -> None:
    u, true = logits(1)
    found = judged(meaning(ONE, LOGIT), u, np.array(["well", "ill"], object)[true])
    assert found["labels_unread"] == N_ROWS
    assert "accuracy" not in found


def test_numbers_are_judged_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(100, 20, N_ROWS)
    predicted = y + rng.normal(0, 5, N_ROWS)
    for scale in (None, LOGIT):  # whatever numbers a model gives, labels that are no classes say that it is a regressor
        found = judged(meaning(ONE, scale), predicted[:, None], y)
        assert found["r2"] == pytest.approx(r2_score(y, predicted), abs=ROUNDING)
        assert found["rmse"] == pytest.approx(root_mean_squared_error(y, predicted), rel=ROUNDING)
        assert "accuracy" not in found


def test_shares_are_judged_as_the_model_gives_them_on_every_scale() -> None:
    u, _ = logits(1)
    rate = np.random.default_rng(1).uniform(0.1, 0.9, N_ROWS)
    own = judged(meaning(ONE, PROBABILITY), shares_of(u)[:, 1:], rate)
    on_logits = judged(meaning(ONE, LOGIT, own=PROBABILITY), u, rate)
    assert own["r2"] == pytest.approx(on_logits["r2"], abs=ROUNDING)


def test_the_output_of_the_label_column_is_judged_among_several_numbers() -> None:
    outputs = np.random.default_rng(0).normal(size=(50, 3))
    of = meaning(("a", "b", "c"), None, are_classes=False, judged=1)
    assert judged(of, outputs, outputs[:, 1])["r2"] == 1
    assert "r2" not in judged(replace(of, judged=None), outputs, outputs[:, 1])


@pytest.mark.parametrize("value", [0, 1])
def test_labels_of_one_class_have_no_area(value: int) -> None:
    u, _ = logits(1)
    found = judged(meaning(ONE, LOGIT), u, np.full(N_ROWS, value))
    assert found["auroc"] is None
    assert found["largest_class"] == 1
    assert None in (found["true_positive_rate"], found["true_negative_rate"])


def test_missing_and_foreign_labels_are_left_out_and_counted() -> None:
    u, true = logits(2)
    told = np.array(TWO, object)[true]
    told[:30], told[30:40], told[40:45] = None, float("nan"), "perhaps"
    of = meaning(TWO, LOGIT)
    truth = truth_of(told, of)
    assert (truth.missing, truth.unread, truth.first_unread) == (40, 5, "perhaps")
    found = figures(Judging.of(of, u, truth))
    rest = judged(of, u[45:], told[45:])
    assert found["labels"] == N_ROWS - 45
    assert {name: found[name] for name in IN_BOTH} == {name: rest[name] for name in IN_BOTH}


IN_BOTH = ("labels", "accuracy", "auroc", "log_loss", "calibration_error")


def test_rows_without_output_are_left_out() -> None:
    u, true = logits(2)
    u[:7] = np.nan
    assert judged(meaning(TWO, LOGIT), u, true)["labels"] == N_ROWS - 7


@pytest.mark.parametrize("names", [ONE, TWO, FOUR])
@pytest.mark.parametrize("sizes", [(1, 399), (200, 200), (100, 150, 150), (0, 400)])
def test_parts_in_any_order_add_up_to_the_whole(names: tuple[str, ...], sizes: tuple[int, ...]) -> None:
    u, true = logits(len(names))
    of, ends = meaning(names, LOGIT), np.cumsum([0, *sizes])
    parts = [Judging.of(of, u[a:b], truth_of(true[a:b].astype(object), of)) for a, b in pairwise(ends)]
    whole = figures(Judging.of(of, u, truth_of(true.astype(object), of)))
    for some in (parts, parts[::-1]):
        found = some[0]
        for other in some[1:]:
            stored = Judging(of).with_state(other.state())
            found = found.merge(stored)
        assert figures(found) == pytest.approx(whole, abs=ROUNDING, nan_ok=True)


def test_few_kept_scores_bound_the_area_whatever_the_order() -> None:
    rng = np.random.default_rng(0)
    score, is_positive = rng.normal(size=5000), rng.random(5000) < 0.3
    score += is_positive
    truth = roc_auc_score(is_positive, score)
    every = Scores.of(score, is_positive, 1 << 19)
    assert every.auroc() == pytest.approx((truth, 0.0), abs=ROUNDING)
    few = Scores.of(score, is_positive, 64)
    area, error = few.auroc()
    assert len(few.keys) <= 64
    assert 0 < abs(area - truth) <= error < 0.05
    joined = Scores.of(score[4000:], is_positive[4000:], 64).merge(Scores.of(score[:4000], is_positive[:4000], 64))
    np.testing.assert_array_equal(joined.keys, few.keys)
    np.testing.assert_array_equal(joined.counts, few.counts)


def test_scores_of_any_size_keep_their_order() -> None:
    score = np.array([-np.inf, -1e300, -1.0, -1e-300, -0.0, 0.0, 1e-300, 1.0, 1e300, np.inf])
    found = Scores.of(score, np.zeros(10, bool), 100)
    assert len(found.keys) == 9  # both zeros are one
    assert (np.diff(found.counts[:, 0]) == [0, 0, 0, 1, -1, 0, 0, 0]).all()
    assert Scores.of(score, score > 0, 100).auroc() == (1.0, 0.0)


def test_of_very_many_classes_no_area_is_taken() -> None:
    k = MOST_RANKED_CLASSES + 1
    u, true = logits(k)
    assert "auroc" not in judged(meaning(tuple(map(str, range(k))), LOGIT), u, true)


def test_the_first_of_two_equal_outputs_is_chosen_as_target_predicted_does() -> None:
    of = meaning(TWO, LOGIT)
    found = Judging.of(of, np.zeros((4, 2)), Truth(np.array([0.0, 0, 0, 1]), 0, 0))
    assert figures(found)["accuracy"] == 0.75
    assert figures(found)["auroc"] == 0.5
