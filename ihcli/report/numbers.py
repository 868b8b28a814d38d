"""Numbers and texts in the length in which a page holds them."""

import base64
from typing import Any

import numpy as np

DIGITS = 4
MOST_CHARACTERS = 400


def rounded(values: np.ndarray, digits: int = DIGITS) -> list[Any]:
    """Return numbers with so many significant digits, None for those that are not finite."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values.tolist()]


def packed(values: np.ndarray) -> dict[str, Any]:
    """Return many numbers in half the length of their digits: bytes in base64, NaN for those that are not finite.

    They are of 4 bytes, which keeps seven digits, and of 8 where one of them is too large or too small for that.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    sizes, limits = np.abs(values[np.isfinite(values) & (values != 0)]), np.finfo(np.float32)
    is_narrow = bool(((sizes >= limits.tiny) & (sizes <= limits.max)).all())
    stored = values.astype("<f4" if is_narrow else "<f8")
    return {"floats": base64.b64encode(stored.tobytes()).decode(), "size": stored.itemsize}


def clipped(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text of at most so many characters, with a sign where it is cut."""
    return text if len(text) <= most else text[: most - 1] + "…"
