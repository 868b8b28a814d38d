"""Numbers as people write them: recognised where all values agree, and left alone where they do not."""

import pytest

from ihcli.data.formats.numerals import Numerals, numerals_of, options_of

MEANT = [
    (["1,5", "2,25"], ";", {"decimal": ","}),
    (["1,500", "2,250"], ";", {"decimal": ","}),
    (["1.500,5", "2,25"], ";", {"decimal": ",", "thousands": "."}),
    (["1,500", "2,250"], ",", {"thousands": ","}),
    (["1,500.5", "2,250"], ";", {"thousands": ","}),
    (["0,126", "1,250", "-0,109"], ",", {"decimal": ","}),
    (["?", " - ", "N.A."], ",", {"na_values": [" - ", "?", "N.A."]}),
    (["1,5", "?"], ";", {"decimal": ",", "na_values": ["?"]}),
    (["Yes", "NO"], ",", {"true_values": ["Yes"], "false_values": ["NO"]}),
]


@pytest.mark.parametrize(("values", "separator", "options"), MEANT)
def test_values_that_agree_are_told(values: list[str], separator: str, options: dict[str, object]) -> None:
    found = numerals_of(values, separator)
    assert found is not None
    assert (found.options, found.removed) == (options, "")


@pytest.mark.parametrize("values", [["12 %", "3%"], ["$1,234.50", "-€5"], ["1\u00a0234"], ["£ 1e3"]])
def test_signs_are_taken_away_and_a_number_remains(values: list[str]) -> None:
    found = numerals_of(values, ",")
    assert found is not None
    assert found.removed
    assert all(float(value.translate(str.maketrans("", "", found.removed))) for value in values)


@pytest.mark.parametrize("values", [[], ["red"], ["1,5", "red"], ["yes", "1,5"], ["1,5 %"], ["1.2.3"], ["2024-01-05"]])
def test_other_text_is_left_alone(values: list[str]) -> None:
    assert numerals_of(values, ";") is None


def test_options_of_several_columns_serve_all_or_none() -> None:
    marks = [Numerals("", {"na_values": ["?"]}), Numerals("", {"na_values": ["-"], "decimal": ","})]
    assert options_of(marks) == {"na_values": ["-", "?"], "decimal": ","}
    assert options_of([Numerals("", {"thousands": ","}), Numerals("", {"thousands": "."})]) is None
    assert options_of([]) is None
