"""Numbers and answers as people write them: 1,5 and 1.234,5, 12 %, yes, n.a.; what pandas is told to read them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MISSING = {"?", "-", "--", "---", ".", "..", "*", "none", "<na>", "n.a.", "n.d.", "na", "n/a", "nan", "null", "nil"}
MISSING |= {"missing", "unknown", "undefined", "#value!", "#div/0!", "#ref!", "#name?", "#n/a", "\\n", "(null)", "nat"}
ANSWERS = {"yes": True, "no": False, "y": True, "n": False, "t": True, "f": False, "on": True, "off": False}
ANSWERS |= {"true": True, "false": False, "ja": True, "nein": False, "oui": True, "non": False}
SIGNS = "%$€£¥ \u00a0\u202f"
WITHOUT_SIGNS = str.maketrans("", "", SIGNS)
PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?\d*(?:(?<=\d)\.\d{3})*,\d+(?:[eE][+-]?\d+)?|[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")


@dataclass(frozen=True)
class Numerals:
    """How values that are no numbers to us are read.

    words    what they are
    options  of pandas.read_csv
    removed  letters to take away before what is left is a number
    """

    words: str
    options: dict[str, Any] = field(default_factory=dict)
    removed: str = ""


def numerals_of(values: Sequence[str], separator: str) -> Numerals | None:
    """Tell how all of these values of a column, none of them a number to us, are meant; None where they are not."""
    gone = sorted({value for value in values if value.strip().casefold() in MISSING})
    rest = sorted({value.strip() for value in values} - {value.strip() for value in gone})
    found = _meant(rest, separator) if rest else Numerals("")
    if not values or found is None:
        return None
    marks = f"marks such as {gone[0]!r} for missing values" if gone else ""
    options = {**found.options, **({"na_values": gone} if gone else {})}
    return Numerals(" and ".join(filter(None, (found.words, marks))), options, found.removed)


def options_of(found: Sequence[Numerals]) -> dict[str, Any] | None:
    """Return the options that read all of them; None where there are none, or one option cannot serve all."""
    options: dict[str, Any] = {}
    for name, value in (item for numerals in found for item in numerals.options.items()):
        if isinstance(value, list):
            options[name] = sorted({*options.get(name, ()), *value})
        elif options.setdefault(name, value) != value:
            return None
    return options if found else None


def is_number_text(value: str) -> bool:
    """Return whether a value is a number as Python reads it."""
    try:
        float(value)
    except ValueError:
        return False
    return True


def _meant(values: list[str], separator: str) -> Numerals | None:
    such = f", such as {values[0]!r}"
    if all(value.casefold() in ANSWERS for value in values):
        said = {truth: [value for value in values if ANSWERS[value.casefold()] is truth] for truth in (True, False)}
        named = {"true_values": said[True], "false_values": said[False]}
        return Numerals(f"answers{such}", {name: words for name, words in named.items() if words})
    is_thousands = all(THOUSANDS.fullmatch(value) for value in values)
    if is_thousands and (separator == "," or any("." in value for value in values)):
        return Numerals(f"thousands with commas{such}", {"thousands": ","})
    if all(DECIMAL_COMMA.fullmatch(value) for value in values):
        points = {"thousands": "."} if any("." in value for value in values) else {}
        return Numerals(f"decimal commas{such}", {"decimal": ",", **points})
    bare = [value.translate(WITHOUT_SIGNS) for value in values]
    if bare != values and all(PLAIN.fullmatch(value) or THOUSANDS.fullmatch(value) for value in bare):
        comma = "," if any("," in value for value in bare) else ""
        return Numerals(f"numbers with signs{such}", removed=SIGNS + comma)
    return None
