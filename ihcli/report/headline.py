"""The sentence that a page begins with: what a run knows of a target, and nothing that it does not know."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import floor

import pyarrow as pa

from ihcli.methods import METHODS
from ihcli.quality import STATUS, TARGET, Status
from ihcli.results.model_quality import ModelQuality
from ihcli.results.result import Result
from ihcli.wording import isolated, told_apart

STRONGEST = 3  # features that the sentence speaks of
NAME_LETTERS = 40


@dataclass(frozen=True)
class Known:
    """What a sentence is made of.

    features  ranked, None where no row's error is small enough for it;  pairs likewise, None also without pairs
    certain   how many leading ranks of pairs are certain; None where that is not known
    statuses  how many rows have which, of this target
    others    rows without values, which are of no target, as that of the predicted class is not known for them
    noun      what is ranked, in the plural
    """

    features: pa.Table | None
    pairs: pa.Table | None
    certain: int | None
    statuses: Mapping[str, int]
    method: str
    noun: str
    others: int = 0


def headlines_of(
    result: Result,
    rankings: tuple[Mapping[str, pa.Table], Mapping[str, pa.Table]],
    certain: Mapping[str, int | None],
    entries: pa.Table,
    quality: ModelQuality,
) -> list[str]:
    """Return the sentence on each target.

    Parameters:
        rankings: of features and of pairs, by target.
        certain: the targets, and how many leading ranks of their pairs are certain.
        entries: `_target` and `_status` of all of them.
    """
    statuses: dict[str | None, dict[str, int]] = {}
    counts = entries.group_by([TARGET, STATUS]).aggregate([([], "count_all")]).to_pylist()
    for found in counts:
        statuses.setdefault(found[TARGET], {})[found[STATUS]] = found["count_all"]
    features, pairs = rankings
    method, noun, others = result.method, result.layout.noun, sum(statuses.get(None, {}).values())
    known = (
        Known(features.get(name), pairs.get(name), ranks, statuses.get(name, {}), method, noun, others)
        for name, ranks in certain.items()
    )
    return [headline_of(each, quality) for each in known]


def headline_of(known: Known, quality: ModelQuality) -> str:
    """Return the sentence; empty where nothing is known."""
    found = [*_of_features(known), *_of_pairs(known), *_of_rows(known)]
    found += [f"{words} {_short(value)}" for words, value in quality.beside_labels()[:1]]
    told = "; ".join(found)
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def _of_features(known: Known) -> Iterator[str]:
    """Say what part of all attributions the strongest few have: three, or the first where there are hardly more."""
    if known.features is None or known.features.num_rows < 2:
        return
    some = STRONGEST if known.features.num_rows > STRONGEST else 1
    share = sum(value or 0.0 for value in known.features["share"].slice(0, some).to_pylist())
    if not share > 0:
        return
    if some == 1:
        name = _named(known.features["feature"][0].as_py())
        yield f"one {known.noun.removesuffix('s')}, {name}, carries {percent(share)} of the attribution"
    else:
        yield f"three {known.noun} carry {percent(share)} of the attribution"


def _of_pairs(known: Known) -> Iterator[str]:
    if known.pairs is None or not known.pairs.num_rows or not known.pairs["mean_abs"][0].as_py():
        return
    first, second = (known.pairs[name][0].as_py() for name in ("feature_i", "feature_j"))
    is_open = known.certain == 0 and known.pairs.num_rows > 1
    doubt = ", within error of the next" if is_open else ""
    yield f"the strongest pair is {isolated(_named(first))} × {isolated(_named(second))}{doubt}"


def _of_rows(known: Known) -> Iterator[str]:
    """Say how many rows are certified, or within tolerance where the error is an estimate; nothing without errors."""
    method, rows = METHODS.get(known.method), sum(known.statuses.values())
    if method is None or method.error_of is None or not rows or Status.UNCERTIFIED in known.statuses:
        return
    words = "certified" if method.is_integral else "within tolerance"
    of_rows = "rows with values" if known.others else "rows"
    yield f"{percent(known.statuses.get(Status.OK, 0) / rows)} of {of_rows} are {words}"


def percent(share: float) -> str:
    """Return a share in percent, never rounded up to all: 42 %, 0.3 %, 99.9 %."""
    found = 100 * share
    if found >= 100 or found == 0:
        return f"{min(found, 100):.0f} %"
    if found < 1:
        return f"{found:.1g} %"
    return f"{floor(10 * found) / 10:.1f} %" if found > 99 else f"{found:.0f} %"


def _short(value: float) -> str:
    """Return a figure of the model with three digits; of one that is not perfect, no 1."""
    return "0.999" if 0.9995 <= value < 1 else f"{value:.3g}"


def _named(name: str) -> str:
    return told_apart([name], NAME_LETTERS)[name]
