"""Colours of figures, the same in pictures and on the page: told apart under common colour blindness, and in print."""

RAISES, LOWERS = "#e66101", "#266ebe"
MISSING, EMPTY = "#b0b0b0", "#ededed"
NEUTRAL = "#5f6f81"  # of points that no value colours
VALUES = (LOWERS, "#a06f93", RAISES)
"""Of feature values, from low to high; the middle is no grey, which is of points without a value."""
SIZES = ("#ffffff", "#cfdff1", "#8fb7e0", "#4a8ccd", LOWERS, "#0b3c74")
"""Of sizes, from nothing on: ever darker."""
SIGNS = ("#0b3c74", LOWERS, "#f8f8f8", RAISES, "#7f3000")
"""Of signed numbers: blue lowers, white is nothing, orange raises."""
CATEGORIES = (LOWERS, RAISES, "#1b9e77", "#c51b8a", "#8c6d1f", "#56b4e9", "#7b3294")
OTHERS = "#404040"  # of categories beyond these
LOW, HIGH = 5.0, 95.0
"""Percentiles of values between which colours change: a few extreme ones would leave the others one colour."""


def mixed(colour: str, other: str, share: float) -> str:
    """Return a colour with a share of another in it; both as #rrggbb."""
    both = zip(parts(colour), parts(other), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in both)


def parts(colour: str) -> tuple[int, ...]:
    """Return red, green and blue of #rrggbb, each up to 255."""
    return tuple(bytes.fromhex(colour.removeprefix("#")))
