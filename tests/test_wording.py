import string

import pytest

from ihcli.wording import MOST_LETTERS, did_you_mean, first_line, listed, printable


@pytest.mark.parametrize("text", ["plain", string.punctuation, "age in years", "größe", "naïve 🙂", "年齢"])
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "a\rb", "\x00", "\u202eevil", "\x9b31m", "\ud800", "\u2028"])
def test_what_could_move_a_terminal_is_written_out(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown != text


def test_long_text_is_cut_where_it_is_too_long_and_only_there() -> None:
    assert printable("x" * MOST_LETTERS) == "x" * MOST_LETTERS
    assert printable("x" * (MOST_LETTERS + 1)) == "x" * MOST_LETTERS + "..."
    assert printable("x" * 10_000, at_most=None) == "x" * 10_000


def test_the_first_line_of_an_error_that_says_something() -> None:
    assert first_line(ValueError("\n  wrong\x1b[31m width.\nmore")) == "wrong\\x1b[31m width"


@pytest.mark.parametrize("error", [ValueError(), ValueError("\n \n")])
def test_an_error_that_says_nothing_is_called_by_its_kind(error: ValueError) -> None:
    assert first_line(error) == "ValueError"


def test_names_are_listed_up_to_a_number() -> None:
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed(["a", "b", "c"], at_most=2) == "'a', 'b' and 1 more"


def test_a_close_name_is_proposed() -> None:
    assert did_you_mean("Age", ["age", "bmi"]) == " Did you mean 'age'?"
    assert did_you_mean("zzz", ["age", "bmi"]) == ""
