"""Text that a spreadsheet would run as a formula, and what keeps it from that."""

import re

RISKY = r"^[=+\-@\t\r]"
NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
"""Written so that Arrow reads them as Python does."""
_RISKY, _NUMBER = re.compile(RISKY), re.compile(NUMBER)


def is_number(text: str) -> bool:
    """Return whether text is a number as it is written here."""
    return _NUMBER.fullmatch(text) is not None


def safe(text: str) -> str:
    """Return text with an apostrophe before it where it begins as a formula does, and is no number."""
    return f"'{text}" if _RISKY.match(text) and not is_number(text) else text
