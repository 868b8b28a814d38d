"""The columns beside the values: one table, and statuses that say what they mean."""

import inspect
from dataclasses import fields

import numpy as np
import pytest

from ihcli import quality
from ihcli.explanation import Explanation, TextExplanation
from ihcli.quality import COLUMNS, MISSED, STATUSES, WITHOUT_VALUES, Entries, Status, columns_of, has_values
from ihcli.report.trust import SPREADS


def test_a_column_is_called_as_its_field() -> None:
    assert [column.name for column in COLUMNS] == [f"_{field.name}" for field in fields(Entries)]


def test_names_of_columns_are_spelled_once() -> None:
    constants = {value for name, value in vars(quality).items() if name.isupper() and isinstance(value, str)}
    assert {column.name for column in COLUMNS} <= constants


def test_the_documentation_of_entries_says_what_every_column_is() -> None:
    told = inspect.getdoc(Entries) or ""
    for column in COLUMNS:
        assert f"{column.attribute:20} (N,) {column.type}: {column.definition}" in told


@pytest.mark.parametrize("kind", [Explanation, TextExplanation])
def test_every_explanation_has_all_columns(kind: type[Entries]) -> None:
    assert {column.attribute for column in COLUMNS} < {field.name for field in fields(kind)}


def test_runs_have_the_columns_of_what_they_are() -> None:
    names = [column.attribute for column in columns_of(())]
    assert not {"drift", "sampling_error", "truncated"} & set(names)
    assert [column.attribute for column in columns_of(("smoothed",))][-3] == "drift"
    assert columns_of(("smoothed", "subsampled", "texts")) == COLUMNS


def test_reports_tell_first_what_they_draw() -> None:
    assert [column.attribute for column in SPREADS] == ["relative_error", "drift", "sampling_error", "completeness_gap"]


def test_statuses_are_words_in_files_and_comparisons() -> None:
    assert STATUSES == ("ok", "not_converged", "rounding", "uncertified", "missing_input", "non_finite")
    assert [f"{status}" for status in Status] == list(STATUSES) == list(Status)
    assert MISSED == ("not_converged", "rounding")
    assert WITHOUT_VALUES == ("missing_input", "non_finite")


def test_every_status_that_missed_has_a_remedy_and_no_other() -> None:
    for status in Status:
        assert bool(status.remedies) == (status in MISSED), status
        assert status.meaning


def test_figures_are_there_by_status() -> None:
    assert has_values(np.array(STATUSES, dtype=object)).tolist() == [True, True, True, True, False, False]
