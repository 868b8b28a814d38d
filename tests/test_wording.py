import re
import string
from pathlib import Path

import pytest

import ihcli
from ihcli.wording import (
    MOST_LETTERS,
    counted,
    did_you_mean,
    first_line,
    isolated,
    listed,
    printable,
    quoted,
    shortened,
    told_apart,
)


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


def test_spellings_of_one_word_are_the_same_word() -> None:
    valid = ["top_k", "mean radius"]
    for name in ("topk", "top-k", "TopK", "TOP_K"):
        assert did_you_mean(name, valid) == " Did you mean 'top_k'?"
    assert did_you_mean("mean_radius", valid) == " Did you mean 'mean radius'?"
    assert did_you_mean("a-b", ["a_b", "ab", "c"]) == " Did you mean 'a_b' or 'ab'?"


def test_what_other_tools_call_otherwise_is_proposed_by_the_name_here() -> None:
    elsewhere = {"n_steps": ("steps",), "background": ("baseline", "baselines")}
    assert did_you_mean("--n-steps", ["steps", "seed"], elsewhere) == " Did you mean 'steps'?"
    assert did_you_mean("n_stepps", ["steps", "seed"], elsewhere) == " Did you mean 'steps'?"
    assert did_you_mean("background", ["baselines", "steps"], elsewhere) == " Did you mean 'baselines'?"
    assert did_you_mean("background", ["steps", "seed"], elsewhere) == ""


def test_a_name_that_is_one_here_is_never_taken_for_another_tools() -> None:
    assert did_you_mean("ids", ["ids", "key"], {"ids": ("key",)}) == " Did you mean 'ids'?"


def test_a_long_name_is_cut_in_its_middle() -> None:
    assert shortened("worst_concave_points_of_all", 20) == "worst_conc…ts_of_all"
    assert shortened("age", 3) == "age"
    assert shortened("a\n b ", 9) == "a b"
    assert shortened(" \n", 9) == "(blank)"
    assert shortened("\x1b[2J", 9) == "\\x1b[2J"


LONG = "worst_concave_points_of_the_{}_side_of_the_sample"


@pytest.mark.parametrize("width", [4, 6, 12, 16, 24, 30])
@pytest.mark.parametrize(
    "names",
    [
        [LONG.format("left"), LONG.format("right"), "age"],
        [LONG.format(f"{place:04d}") for place in range(200)],
        ["x" * 99 + middle + "y" * 99 for middle in ("", "a", "b", "ab", "é", "😀", "\x1b")],
        ["a b", "a  b", "a\tb", " a b ", "a b·1", "a b·2", "a\n\nb·1"],
        ["", " ", "\n", "(blank)"],
        ["x" * length for length in range(60)],
        ["a" * 50 + "1" + "b" * 9, "a" * 20 + "1" + "b" * 50, "a" * 50 + "2" + "b" * 9],
    ],
)
def test_different_names_never_look_alike(names: list[str], width: int) -> None:
    cut = told_apart([*names, *names], width)
    assert list(cut) == names
    assert len(set(cut.values())) == len(names)
    assert all(shown.isprintable() and len(shown) <= max(width, len("·200") + 1) for shown in cut.values())


def test_names_that_differ_in_their_middle_show_it() -> None:
    cut = told_apart([LONG.format("left"), LONG.format("right")], 24)
    assert list(cut.values()) == ["worst_co…left_si…_sample", "worst_co…right_s…_sample"]


def test_a_message_escapes_a_name_once() -> None:
    """quoted and listed make names printable; what `printable` made of them is escaped a second time by repr."""
    assert quoted("two\nlines") == "'two\\nlines'"
    assert quoted("x" * 400, 80) == f"'{'x' * 80}'..."
    twice = re.compile(r"\{printable\([^{}]*\)!r\}|quoted\(printable\(")
    package = Path(ihcli.__file__).parent
    assert [str(file) for file in package.rglob("*.py") if twice.search(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(("count", "told"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1200, "1,200 rows")])
def test_one_of_them_is_told_in_the_singular(count: int, told: str) -> None:
    assert counted(count, "rows") == told
    assert counted(1, "entries") == "1 entry"


def test_only_names_from_right_to_left_are_isolated() -> None:
    assert [isolated(name) for name in ("age", "-b", "\u4e2d")] == ["age", "-b", "\u4e2d"]
    assert [isolated(name) for name in ("\u05d0b", "\u0627")] == ["\u2068\u05d0b\u2069", "\u2068\u0627\u2069"]
