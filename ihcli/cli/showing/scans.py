"""How pairs depend on beta, as people read it: a line for each beta that was tried, and the pairs that turn."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ihcli.cli.showing.drawn import Section
from ihcli.cli.showing.words import number_in_words

if TYPE_CHECKING:
    from ihcli.explanation.betas import BetaScan, TriedBeta, TurningPair

NAMED = 10
MOST_WIDTH = 80
HEADS = ("beta", "drift", "evaluations", "converged", "in pairs", "agreement", "next", "largest", "turned")


def scan_in_words(scan: "BetaScan") -> list[str]:
    """Return the lines of a table of betas, what they mean, and the pairs whose sign depends on beta."""
    rows = f"{scan.rows} rows of the data" if scan.rows > 1 else "a row of the data"
    sharpest = "" if scan.sharpest is None else f"; compared with beta {scan.sharpest:g}, the sharpest that converges"
    return [
        f"Betas of SoftPlus tried on {rows}{sharpest}:",
        *_aligned([HEADS, *(tuple(_cells(scan, each)) for each in scan.betas)]),
        f"Taken: beta {scan.chosen:g}{_why(scan)}",
        *_turning(scan),
    ]


def scan_sections(scan: "BetaScan") -> list[Section]:
    """Return the same lines as what a command shows."""
    title, *told = scan_in_words(scan)
    return [Section(title, notes=told)]


def _aligned(records: Sequence[Sequence[str]]) -> Iterator[str]:
    """Give lines of a table, columns set apart by two blanks, or by one where that makes it too wide."""
    widths = [max(map(len, column)) for column in zip(*records, strict=True)]
    blanks = 2 if sum(widths) + 2 * len(widths) <= MOST_WIDTH else 1
    for record in records:
        yield "".join(f"{cell:>{width + blanks}}" for cell, width in zip(record, widths, strict=True))


def _cells(scan: "BetaScan", each: "TriedBeta") -> Iterator[str]:
    yield f"{each.beta:g}{'*' if each.beta == scan.chosen else ''}"
    yield f"{100 * each.drift:.2g} %"
    yield number_in_words(each.evaluations, 3)
    yield _share(each.converged)
    yield _share(each.pairs_share)
    yield _figure(each.agreement)
    yield _figure(each.following)
    yield "-" if each.top is None else f"{each.top} of {scan.top_k}"
    yield "-" if each.turned is None else str(each.turned)


def _why(scan: "BetaScan") -> str:
    of_whom = "those of the next" if scan.sharpest is None else "the sharpest's"
    if scan.is_stable:
        return f", the smallest whose pairs agree with {of_whom} (rank correlation {scan.stable:g} in the median row)."
    return "; whether its pairs are those of sharper ones is not known."


def _turning(scan: "BetaScan") -> Iterator[str]:
    if scan.sharpest is None:
        return
    if not scan.n_turning:
        yield "No pair that counts changes its sign."
        return
    left_out = scan.n_turning - min(NAMED, len(scan.turning))
    yield f"The sign of {'one pair' if scan.n_turning == 1 else f'{scan.n_turning} pairs'} depends on beta:"
    for pair in scan.turning[:NAMED]:
        yield f"  {pair_in_words(pair, scan.sharpest)}"
    if left_out:
        yield f"  and {left_out} more, of gentler betas or smaller effects; run.json names {len(scan.turning)}."


def pair_in_words(pair: "TurningPair", sharpest: float) -> str:
    """Return a pair, and under which betas its effect has which sign."""
    of_row = "" if pair.row is None else f" (text {pair.row} of the sample)"
    here, there = ("negative", "positive") if pair.effect < 0 else ("positive", "negative")
    betas = ", ".join(f"{beta:g}" for beta in pair.betas)
    at = f"{here} at beta {sharpest:g}, {there} at {betas}"
    return f"{pair.feature_1} x {pair.feature_2}{of_row}: {at}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3g} %"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
