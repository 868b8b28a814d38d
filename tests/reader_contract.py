"""What holds for every reader: a class of tests that each tenant inherits."""

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch

from ihcli.explainers.explainer import Explainer
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.explanation import AnyExplanation
from ihcli.models import Model
from ihcli.quality import Status
from ihcli.readers import Encoded, Reader
from ihcli.readers.opening import inputs_of, paths_to

ROUNDING = 1e-9
"""float64, sums in another order."""
FIGURES = ("prediction", "baseline_prediction", "relative_error")


@dataclass(frozen=True)
class Case:
    """A reader and what it reads.

    model    in float64
    records  several of each of some shapes, some without input
    missing  places of those
    method   that explains them
    """

    model: Model
    reader: Reader
    records: Sequence[Any] | np.ndarray
    missing: tuple[int, ...]
    method: str = "ih"

    def some(self, places: Sequence[int] | np.ndarray) -> Sequence[Any] | np.ndarray:
        """Return the records at these places."""
        return self.records[places] if isinstance(self.records, np.ndarray) else [self.records[i] for i in places]

    @property
    def present(self) -> np.ndarray:
        """Places of records with input."""
        return np.setdiff1d(np.arange(len(self.records)), self.missing)

    def explainer(self, **settings: Any) -> Explainer:
        """Prepare one on all records with input."""
        return prepare(self.model, self.reader, self.some(self.present), Settings(method=self.method, **settings))

    @cached_property
    def bound(self) -> Reader:
        """The reader on the model."""
        return self.reader.on(self.model)

    @cached_property
    def encoded(self) -> Encoded:
        """All records."""
        return self.bound.encode(self.records)


def assert_same(found: AnyExplanation, expected: AnyExplanation, places: Sequence[int] | np.ndarray) -> None:
    """Compare all entries of one explanation with those of another at these places."""
    assert len(found) == len(places)
    for i, j in enumerate(places):
        assert (found.status[i], found.target[i]) == (expected.status[j], expected.target[j])
        for name in FIGURES:
            assert getattr(found, name)[i] == pytest.approx(getattr(expected, name)[j], abs=ROUNDING, nan_ok=True)
        for values in (found.attributions, found.interactions):
            wanted = expected.attributions if values is found.attributions else expected.interactions
            if values is not None and found.status[i] != Status.MISSING_INPUT:
                np.testing.assert_allclose(values[i], wanted[j], atol=ROUNDING * (1 + np.abs(wanted[j]).max()))


class ReaderContract:
    """Inherit, and give a fixture `case` of class scope."""

    def test_records_without_input_are_marked_and_no_others(self, case: Case) -> None:
        assert np.flatnonzero(~case.encoded.present).tolist() == sorted(case.missing)
        assert case.encoded.kind.shape == (len(case.records),)
        assert list(case.encoded.shapes) == sorted(set(case.encoded.shapes))
        places = np.concatenate([alike for _, alike in case.encoded.alike()])
        assert sorted(places) == case.present.tolist()

    def test_encoded_records_give_inputs_of_their_shape(self, case: Case) -> None:
        for shape, alike in case.encoded.alike():
            inputs = case.bound.inputs(case.encoded.values[alike])
            assert inputs.shape == (len(alike), math.prod(shape))
            assert inputs.is_floating_point()
            assert torch.isfinite(inputs).all()

    def test_a_record_is_encoded_the_same_in_any_company(self, case: Case) -> None:
        for place in case.present:
            alone = case.bound.encode(case.some([place]))
            shape = case.encoded.shapes[case.encoded.kind[place]]
            assert alone.shapes == (shape,)
            together = case.bound.inputs(case.encoded.values[[place]])
            torch.testing.assert_close(case.bound.inputs(alone.values), together, rtol=0, atol=0)

    def test_paths_begin_at_the_baseline_and_end_at_the_record(self, case: Case) -> None:
        for shape, alike in case.encoded.alike():
            some = case.encoded.values[alike]
            paths = paths_to(case.bound, case.model, some, np.zeros(len(alike), np.int64))
            b = case.bound.n_baselines
            assert (paths.n_rows, paths.n_baselines) == (len(alike), b)
            start, delta = paths.ends(torch.arange(len(alike) * b))
            ends = inputs_of(case.bound, case.model, some).repeat_interleave(b, 0)
            torch.testing.assert_close(start + delta, ends)
            begins = case.bound.baseline(some).to(start).expand(len(alike), b, math.prod(shape))
            torch.testing.assert_close(start, begins.reshape(start.shape), rtol=0, atol=0)

    def test_units_name_each_group_and_each_owns_an_input(self, case: Case) -> None:
        for shape, alike in case.encoded.alike():
            some, d = case.encoded.values[alike], math.prod(shape)
            fixed, owners = case.bound.units, case.bound.owners(some)
            names = [fixed] * len(alike) if fixed is not None else case.bound.own_units(some)
            owners = np.broadcast_to(np.arange(d) if owners is None else owners, (len(alike), d))
            for units, owner in zip(names, owners, strict=True):
                assert set(owner.tolist()) == set(range(len(units)))
                assert all(isinstance(name, str) and name for name in units)
            assert paths_to(case.bound, case.model, some, np.zeros(len(alike))).n_groups == max(map(len, names))

    def test_an_explanation_has_a_value_for_each_unit(self, case: Case, together: AnyExplanation) -> None:
        assert np.flatnonzero(together.status == Status.MISSING_INPUT).tolist() == sorted(case.missing)
        for place in case.present:
            names = case.bound.units or case.bound.own_units(case.encoded.values[[place]])[0]
            phi = together.attributions[place]
            assert phi.shape == (len(names),)
            change = together.prediction[place] - together.baseline_prediction[place]
            assert phi.sum() == pytest.approx(change, abs=2e-2 * np.abs(phi).sum() + ROUNDING)
            if together.interactions is not None:
                assert together.interactions[place].shape == (len(names), len(names))

    def test_one_by_one_is_as_all_together(self, case: Case, together: AnyExplanation) -> None:
        explainer = case.explainer()
        for place in range(len(case.records)):
            alone = explainer.explain(case.some([place]), first_row=place)
            assert alone.row.tolist() == [place]
            assert_same(alone, together, [place])

    def test_neither_order_nor_batches_matter(self, case: Case, together: AnyExplanation) -> None:
        order = np.random.default_rng(0).permutation(len(case.records))
        assert_same(case.explainer().explain(case.some(order)), together, order)
        assert_same(case.explainer(memory_bytes=1 << 14).explain(case.records), together, range(len(case.records)))

    def test_all_targets_of_a_record_stand_together(self, case: Case) -> None:
        every = case.explainer(target="all").explain(case.records, first_row=5)
        k = len(every) // len(case.records)
        assert every.row.tolist() == np.repeat(5 + np.arange(len(case.records)), k).tolist()

    def test_nothing_but_records_without_input_can_be_explained(self, case: Case, together: AnyExplanation) -> None:
        found = case.explainer().explain(case.some(list(case.missing)))
        assert set(found.status) == {Status.MISSING_INPUT}
        assert (found.interactions is None) == (together.interactions is None)

    def test_larger_records_hold_more_memory(self, case: Case) -> None:
        load = case.explainer().load
        held = [case.bound.held_bytes(shape, load) for shape in case.encoded.shapes]
        assert held == sorted(held)
        assert held[0] > 0
        assert case.explainer().row_bytes > 0

    def test_it_can_be_sent_to_another_process_before_it_is_on_a_model(self, case: Case) -> None:
        again = pickle.loads(pickle.dumps(case.reader)).on(case.model).encode(case.records)
        assert again.shapes == case.encoded.shapes
        assert again.kind.tolist() == case.encoded.kind.tolist()

    @pytest.fixture(scope="class")
    @classmethod
    def together(cls, case: Case) -> AnyExplanation:
        """All records, explained in one call."""
        return case.explainer().explain(case.records)
