"""Numbers and texts in the length in which a page holds them."""

from typing import Any

import numpy as np

DIGITS = 4
MOST_CHARACTERS = 400


def rounded(values: np.ndarray, digits: int = DIGITS) -> list[Any]:
    """Return numbers with so many significant digits, None for those that are not finite."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values.tolist()]


def clipped(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text of at most so many characters, with a sign where it is cut."""
    return text if len(text) <= most else text[: most - 1] + "…"
