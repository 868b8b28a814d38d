"""Every layout answers what writers, readers and screens ask; what it writes it reads back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from runs import made_up_explanation

from ihcli.errors import RunError
from ihcli.explanation import AnyExplanation, TextExplanation
from ihcli.layouts.choosing import layout_of, layout_of_run, summary_of_state
from ihcli.layouts.columns import SPARSE, holds_top_pairs, known_beside, largest
from ihcli.layouts.layout import Layout
from ihcli.layouts.tables import TableLayout, matrices
from ihcli.layouts.texts import TextLayout
from ihcli.plots import KINDS
from ihcli.quality import ATTRIBUTIONS, COLUMNS, INTERACTIONS, Status, columns_of
from ihcli.runs.parts import attributions_table, interactions_table
from ihcli.runs.storage import InteractionStorage

NO_KEYS = pa.table({})
FULL, TOP = InteractionStorage("full"), InteractionStorage("top", 2)


def of_table() -> AnyExplanation:
    return made_up_explanation()


def of_texts() -> AnyExplanation:
    """Return the same figures as texts: of three words, of two, and one without values."""
    table, sizes = made_up_explanation(), (3, 2, 3, 2, 3, 0)
    units, phi, gamma = (np.empty(len(sizes), object) for _ in range(3))
    for i, n in enumerate(sizes):
        units[i] = ("good", "not", "good")[:n]
        gamma[i] = table.interactions[i, :n, :n].astype(np.float32)
        phi[i] = gamma[i].sum(axis=1)
    known = {column.attribute: getattr(table, column.attribute) for column in COLUMNS}
    status = np.array([Status.OK if n else Status.MISSING_INPUT for n in sizes], object)
    known |= {"truncated": np.zeros(len(sizes), bool), "status": status}
    return TextExplanation(units=units, attributions=phi, interactions=gamma, **known)


EACH = pytest.mark.parametrize("made_up", [of_table, of_texts])
Made = Callable[[], AnyExplanation]


def tables_of(made_up: Made) -> tuple[Layout[Any], AnyExplanation, pa.Table, pa.Table]:
    explanation = made_up()
    stored = interactions_table(explanation, NO_KEYS, FULL)
    assert stored is not None
    return layout_of(explanation), explanation, attributions_table(explanation, NO_KEYS), stored


@EACH
def test_columns_are_those_that_the_layout_names(made_up: Made) -> None:
    layout, _, entries, _ = tables_of(made_up)
    beside = [column.name for column in columns_of({*layout.traits, "interactions"})]
    assert entries.column_names == [*beside, *layout.columns]


@EACH
@pytest.mark.parametrize("storage", [FULL, TOP])
def test_types_are_among_those_that_may_stand_in_files(made_up: Made, storage: InteractionStorage) -> None:
    explanation = made_up()
    layout, entries = layout_of(explanation), attributions_table(explanation, NO_KEYS)
    floats = pa.from_numpy_dtype(explanation.attributions[0].dtype)
    stored = interactions_table(explanation, NO_KEYS, storage)
    assert stored is not None
    expected = layout.interaction_types(floats, pairs=storage is TOP, beside=known_beside({"interactions"}, 1))
    assert stored.column_names[2:] == list(expected)
    for table, types in ((entries, layout.attribution_types(floats)), (stored, expected)):
        for name, allowed in types.items():
            assert table[name].type in allowed, name
    assert holds_top_pairs(stored[INTERACTIONS].type) == (storage is TOP)


@EACH
def test_entries_come_back_as_they_were(made_up: Made) -> None:
    layout, explanation, entries, stored = tables_of(made_up)
    names = layout.names(entries)
    for i, (entry, gamma) in enumerate(zip(entries.to_pylist(), layout.matrices(stored[INTERACTIONS]), strict=True)):
        found, phi = layout.record(entry)
        assert found == names[i]
        if explanation.has_values[i]:
            np.testing.assert_array_equal(np.array(phi), explanation.attributions[i])
            assert gamma is not None
            np.testing.assert_array_equal(gamma.ravel(), explanation.interactions[i].ravel())
        else:
            assert gamma is None


@EACH
def test_entries_of_one_size_make_the_summary_of_the_whole(made_up: Made) -> None:
    layout, explanation, entries, stored = tables_of(made_up)
    whole, again, seen = layout.summary(), layout.summary(), []
    whole.update(explanation)
    for some in layout.sized(entries, stored[INTERACTIONS], explanation.has_values):
        known = {c.attribute: None if c.present else np.zeros(len(some.place)) for c in COLUMNS}
        known |= {name: getattr(explanation, name)[some.place] for name in ("row", "target", "status")}
        again.update(layout.explanation(entries, some, known))
        seen += some.place.tolist()
    assert sorted(seen) == np.flatnonzero(explanation.has_values).tolist()
    left, right = (found.attributions().sort_by("rank") for found in (whole, again))
    assert left["feature"].equals(right["feature"])
    np.testing.assert_allclose(left["mean_abs"].to_numpy(), right["mean_abs"].to_numpy(), rtol=1e-12)


@EACH
def test_the_state_of_a_summary_tells_its_kind(made_up: Made) -> None:
    explanation = made_up()
    summary = layout_of(explanation).summary()
    summary.update(explanation)
    found = summary_of_state(summary.state())
    assert type(found) is type(summary)
    assert found.attributions().equals(summary.attributions())


def test_a_run_tells_its_layout() -> None:
    assert layout_of_run(["age"], None) == TableLayout(("age",))
    assert layout_of_run(None, "token") == TextLayout("token")


@pytest.mark.parametrize("layout", [TableLayout(("age",)), TextLayout("word")])
def test_pictures_that_a_layout_has_are_drawn_and_others_refused(layout: Layout[Any]) -> None:
    assert set(layout.plots) < set(KINDS)
    for kind in KINDS:
        if kind in layout.plots:
            layout.require_plot(Path("run"), kind)
        else:
            with pytest.raises(RunError, match=r"run: explains (a table|texts).*\. Try \w+"):
                layout.require_plot(Path("run"), kind)


def test_every_picture_is_of_some_layout() -> None:
    assert {*TableLayout.plots, *TextLayout.plots} == set(KINDS)


# The largest pairs


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_largest_are_found_where_all_of_them_were_looked_at_first(count: int) -> None:
    sizes = np.random.default_rng(count).uniform(0, 1, 40 * SPARSE)
    best = np.arange(count) * SPARSE
    sizes[best] = 10 - np.arange(count)
    np.testing.assert_array_equal(largest(sizes, count), best)


@pytest.mark.parametrize("count", [1, 3, 40, 41, 1000])
def test_the_largest_are_those_of_sorting(count: int) -> None:
    sizes = np.random.default_rng(count).integers(0, 50, 40 * SPARSE).astype(float)  # with many ties
    np.testing.assert_array_equal(largest(sizes, count), np.argsort(-sizes, kind="stable")[:count])


# Columns of matrices


@pytest.mark.parametrize("has_gaps", [False, True])
def test_matrices_of_a_slice_are_those_of_its_rows(has_gaps: bool) -> None:
    explanation = made_up_explanation()
    explanation.status[3] = Status.MISSING_INPUT if has_gaps else Status.OK
    stored = interactions_table(explanation, NO_KEYS, FULL)
    assert stored is not None
    whole = explanation.interactions.copy()
    if has_gaps:
        whole[3] = np.nan
    for start, length in ((0, 6), (2, 3), (5, 1), (3, 0)):
        found = matrices(stored[INTERACTIONS].slice(start, length), 3)
        np.testing.assert_array_equal(found, whole[start : start + length])


def test_lists_of_a_slice_are_those_of_its_rows() -> None:
    layout, explanation, entries, stored = tables_of(of_texts)
    part, has_values = entries.slice(1, 3), explanation.has_values[1:4]
    for some in layout.sized(part, stored[INTERACTIONS].slice(1, 3), has_values):
        for place, phi, gamma in zip(some.place, some.phi, some.gamma, strict=True):
            np.testing.assert_array_equal(phi, explanation.attributions[1 + place])
            np.testing.assert_array_equal(gamma, explanation.interactions[1 + place])
    assert part[ATTRIBUTIONS].num_chunks == 1
