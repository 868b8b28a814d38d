"""What is opened, in words: one sentence before a run."""

from collections.abc import Iterator, Sequence

from ihcli.openings.openings import Opening, Openings
from ihcli.vocabulary import Vocabulary
from ihcli.wording import all_of, quoted

MOST_NAMES = 6
"""Of columns in a sentence, which is at most two lines then."""


def opened_in_words(openings: Openings, start: str) -> str:
    """Return what is looked up, what is read as whole numbers, and what both are opened from.

    Parameters:
        start: whose vector paths start from, as "the most frequent code's vector".
    """
    parts = [
        _of_tables([each for each in openings.lookups if each.codes is not None], openings.names),
        _of_numbers([each for each in openings.lookups if each.codes is None], openings),
    ]
    goes = "each goes" if len({column for each in openings.lookups for column in each.columns}) > 1 else "it goes"
    return f"{', and '.join(part for part in parts if part)}: {goes} from {start} to the row's."


def _of_tables(lookups: Sequence[Opening], names: Sequence[str]) -> str:
    columns = _columns(lookups)
    if not columns:
        return ""
    alone = {each.columns[0]: each.codes for each in lookups if len(each.columns) == 1}
    if set(alone) == set(columns):
        codes = _counted([str(alone[column]) for column in columns], "code", alone[columns[0]])
    else:
        largest = max(each.codes or 0 for each in lookups)
        codes = f"a table of {largest} codes" if len(lookups) == 1 else f"tables of up to {largest} codes"
    return f"{_named(columns, names)} looked up ({codes})"


def _of_numbers(lookups: Sequence[Opening], openings: Openings) -> str:
    tables = _columns([each for each in openings.lookups if each.codes is not None])
    columns = [column for column in _columns(lookups) if column not in tables]
    if not columns:
        return ""
    widths = [sum(int((each.owner == column).sum()) for each in lookups) for column in columns]
    return (
        f"{_named(columns, openings.names)} read as whole numbers or flags "
        f"({_counted([str(width) for width in widths], 'value', widths[0])})"
    )


def _columns(lookups: Sequence[Opening]) -> list[int]:
    return sorted({column for each in lookups for column in each.columns})


def _named(columns: Sequence[int], names: Sequence[str]) -> str:
    """Return "'job', 'month' and 20 more are"."""
    return f"{_shortened([quoted(names[column]) for column in columns])} {'is' if len(columns) == 1 else 'are'}"


def _counted(numbers: Sequence[str], noun: str, first: int | None) -> str:
    return f"{_shortened(numbers)} {noun}{'' if len(numbers) == 1 == first else 's'}"


def _shortened(words: Sequence[str]) -> str:
    return all_of(
        words if len(words) <= MOST_NAMES else [*words[: MOST_NAMES - 1], f"{len(words) - MOST_NAMES + 1} more"]
    )


def unlisted_codes(openings: Openings, known: Vocabulary) -> Iterator[str]:
    """Yield which columns have fewer listed values than the model has codes of them, if any do.

    A list made of a table that lacks some values of the training's gives those behind them other codes.
    """
    tables = {each.columns[0]: each.codes for each in openings.lookups if len(each.columns) == 1}
    found = [
        f"{quoted(name)} ({known.size(name):,} of {codes:,})"
        for name, codes in ((openings.names[column], codes) for column, codes in sorted(tables.items()))
        if codes is not None and name in known.values and known.size(name) < codes
    ]
    if found:
        yield (
            f"fewer values are listed in {known.source} than the model has codes of {_shortened(found)}. Where "
            "training had values that a list lacks, those behind them are taken for others. Try the lists of training, "
            "with a placeholder for each code that no value has."
        )


def columns_in_words(openings: Openings) -> Iterator[tuple[str, str]]:
    """Yield every column that is opened and what of it is: how wide, of how many codes, and whether it is held too."""
    for column in _columns(openings.lookups):
        found = [_of_column(each, column) for each in openings.lookups if column in each.columns]
        held = ["read in another way as well, and held at each row's own code"] if column in openings.held else []
        yield openings.names[column], ", ".join(dict.fromkeys([*found, *held]))


def _of_column(lookup: Opening, column: int) -> str:
    width = int((lookup.owner == column).sum())
    values = f"{width} value{'' if width == 1 else 's'}"
    if lookup.codes is None:
        return f"{values} read as whole numbers or flags"
    table = f"a table of {lookup.codes} codes"
    return f"{values} from {table}" if len(lookup.columns) == 1 else f"{values} from {table} of several columns"
