"""Words that messages share: lists of names, the first line of an error, and what a stranger wrote made printable."""

import difflib
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence

MOST_LETTERS = 300
"""Of a name or a sentence that someone else chose, in a message."""
MODELS_IN_WORDS = (
    "a TorchScript file, a pickled torch module, a scikit-learn MLP (pickle or joblib), or the directory of a Hugging "
    "Face checkpoint"
)


def printable(text: str, at_most: int | None = MOST_LETTERS) -> str:
    r"""Return text that a stranger chose on one line and without terminal codes, cut where it goes on and on.

    Everything that `str.isprintable` refuses (line ends, escape sequences, marks that turn the direction of
    writing, lone surrogates) is shown as Python would write it, such as `\x1b`. Printable letters stay as they are.
    """
    shown = text if at_most is None else text[:at_most]
    if not shown.isprintable():
        shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in shown)
    return shown if len(text) <= (at_most or len(text)) else f"{shown}..."


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, printable and without its full stop, or the kind of error."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return printable(line).rstrip(".")


def in_words(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"


def quoted(name: str) -> str:
    """Return a name in quotes for a message, cut where it goes on and on."""
    return repr(name) if len(name) <= MOST_LETTERS else f"{name[:MOST_LETTERS]!r}..."


def listed(names: Sequence[str], at_most: int = 12) -> str:
    """Return names for a message: the first ones, then how many more."""
    shown = ", ".join(map(quoted, names[:at_most]))
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most} more"


def either(names: Sequence[str], conjunction: str = "or") -> str:
    """Return names with commas, and the conjunction before the last: "a, b or c"."""
    *some, last = names
    return f"{', '.join(some)} {conjunction} {last}" if some else last


def all_of(names: Sequence[str]) -> str:
    """Return names as `either` does: "a, b and c"."""
    return either(names, "and")


def did_you_mean(name: str, valid: Sequence[str]) -> str:
    """Return " Did you mean 'x'?" where one of the valid names is close, else nothing."""
    lowered = {other.lower(): other for other in valid if len(other) <= MOST_LETTERS}
    close = difflib.get_close_matches(name[:MOST_LETTERS].lower(), list(lowered), n=1)
    return f" Did you mean {lowered[close[0]]!r}?" if close else ""


def shortened(name: str, width: int, seen: int = 0) -> str:
    """Return a name on one line of at most `width` letters: of a longer one its start and its end, around an ellipsis.

    Parameters:
        seen: letters with which others begin, too; what follows them is shown as well, where there is room.
    """
    name = _on_one_line(name)
    if len(name) <= width:
        return name
    end, part = (width - 1) // 2, (width - 2) // 3
    if part < 2 or not part < seen < len(name) - part:
        return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"
    middle = name[seen : min(seen + part, len(name) - part)]
    return f"{name[: width - 2 - 2 * part]}…{middle}…{name[-part:]}"


def told_apart(names: Iterable[str], width: int) -> dict[str, str]:
    """Return each name cut in the middle to that width; of those that would look alike what differs, or a number."""
    cut = {name: shortened(name, width) for name in names}
    for alike in _alike(cut):
        lines = [_on_one_line(name) for name in alike]
        first, last = min(lines), max(lines)
        seen = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        cut |= {name: shortened(name, width, seen) for name in alike}
    taken, counts = set(cut.values()), Counter[str]()
    for name in (name for alike in _alike(cut) for name in alike):
        while (numbered := _numbered(name, width, counts)) in taken:
            pass
        cut[name] = numbered
        taken.add(numbered)
    return cut


def _numbered(name: str, width: int, counts: Counter[str]) -> str:
    base = shortened(name, width)
    counts[base] += 1
    number = f"·{counts[base]}"
    return f"{shortened(name, max(1, width - len(number)))}{number}"


def _alike(cut: dict[str, str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name, shown in cut.items():
        groups.setdefault(shown, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _on_one_line(name: str) -> str:
    return printable(" ".join(name.split()), None) or "(blank)"


def argument(text: str) -> str:
    """Return text as one argument on a command line."""
    return printable(shlex.quote(text))


def column_list(names: Sequence[str]) -> str:
    """Return names as the argument of `features` and `exclude`, in quotes where they hold commas or blanks."""
    return argument(",".join(map(_in_a_list, names)))


def _in_a_list(name: str) -> str:
    is_plain = name == name.strip() and name and "," not in name and not name.startswith(('"', "@"))
    return name if is_plain else '"' + name.replace('"', '""') + '"'
