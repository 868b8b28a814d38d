"""Words that messages share: lists of names, the first line of an error, and what a stranger wrote made printable."""

import difflib
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

MOST_LETTERS = 300
"""Of a name or a sentence that someone else chose, in a message."""
MODELS_IN_WORDS = (
    "a TorchScript file, a pickled torch module, a network, linear model, support vector machine or Gaussian process "
    "of scikit-learn (pickle or joblib), or the directory of a Hugging Face checkpoint"
)
OPTIONS_ELSEWHERE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("baselines", "background", "background_data", "reference", "references"), ("baseline",)),
    **dict.fromkeys(("n_steps", "num_steps", "points"), ("steps",)),
    **dict.fromkeys(("nsamples", "n_samples", "num_samples"), ("baseline_rows", "max_evaluations")),
    **dict.fromkeys(("max_evals", "npermutations", "budget"), ("max_evaluations",)),
    **dict.fromkeys(("internal_batch_size", "perturbations_per_eval", "batch_size"), ("memory_bytes", "chunk_rows")),
    **dict.fromkeys(("algorithm", "explainer", "attribution_method"), ("method",)),
    **dict.fromkeys(("output_index", "class_index", "target_class", "explain_class"), ("target",)),
    **dict.fromkeys(("link", "model_output", "output_type"), ("scale",)),
    **dict.fromkeys(("tol", "rtol", "eps", "epsilon"), ("tolerance",)),
    **dict.fromkeys(("random_state", "random_seed", "rng"), ("seed",)),
    **dict.fromkeys(("feature_mask", "clustering", "partition"), ("groups",)),
    **dict.fromkeys(("feature_names", "columns", "cols"), ("features", "feature", "feature_names")),
    "features": ("feature_names",),
    **dict.fromkeys(("additional_forward_args", "forward_args"), ("inputs",)),
    **dict.fromkeys(("drop", "ignore", "skip_columns"), ("exclude",)),
    **dict.fromkeys(("id", "ids", "id_column", "index_col", "primary_key"), ("key",)),
    **dict.fromkeys(("labels", "y", "y_true", "true_class", "label_column"), ("label", "labels")),
    **dict.fromkeys(("class_names", "target_names"), ("output_names",)),
    **dict.fromkeys(("gpu", "cuda", "accelerator"), ("device",)),
    **dict.fromkeys(("n_jobs", "jobs", "num_workers", "processes", "n_workers"), ("workers",)),
    **dict.fromkeys(("nrows", "n_rows", "max_rows", "head"), ("limit",)),
    **dict.fromkeys(("max_display", "num_features", "top", "n", "k", "top_n"), ("top_k",)),
    **dict.fromkeys(("output", "output_file", "output_dir", "outdir", "save", "to"), ("out",)),
    **dict.fromkeys(("output_format", "fmt"), ("format_name",)),
    **dict.fromkeys(("force", "replace", "clobber"), ("overwrite",)),
    **dict.fromkeys(("silent", "no_progress"), ("quiet", "progress")),
    **dict.fromkeys(("verbose", "show_progress"), ("progress",)),
    **dict.fromkeys(("beta", "softplus", "softplus_beta"), ("smooth",)),
    **dict.fromkeys(("precision", "float_type"), ("dtype",)),
}
"""What captum, shap and others call options, and what these are called here; names as Python has them."""


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


def quoted(name: str, at_most: int = MOST_LETTERS) -> str:
    """Return a name in quotes for a message, cut where it goes on and on, and as printable as `printable` makes it."""
    return repr(name) if len(name) <= at_most else f"{name[:at_most]!r}..."


def listed(names: Sequence[str], at_most: int = 12) -> str:
    """Return names for a message: the first ones, then how many more."""
    shown = ", ".join(map(quoted, names[:at_most]))
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most} more"


def article(name: str) -> str:
    """Return that of a class, of which two capitals are read as letters: an SVC, an MLPClassifier, a Ridge."""
    return "an" if name[:1] in (*("AEFHILMNORSX" if name[:2].isupper() else "AEIO"),) else "a"


def counted(count: int, plural: str) -> str:
    """Return how many there are of what is named in the plural: "1 row", "2,000 entries"."""
    one = f"{plural[:-3]}y" if plural.endswith("ies") else plural.removesuffix("s")
    return f"{count:,} {one if count == 1 else plural}"


def either(names: Sequence[str], conjunction: str = "or") -> str:
    """Return names with commas, and the conjunction before the last: "a, b or c"."""
    *some, last = names
    return f"{', '.join(some)} {conjunction} {last}" if some else last


def all_of(names: Sequence[str]) -> str:
    """Return names as `either` does: "a, b and c"."""
    return either(names, "and")


def did_you_mean(name: str, valid: Sequence[str], elsewhere: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return " Did you mean 'x'?" where valid names are written alike, are called so elsewhere, or are close.

    Parameters:
        elsewhere: what other tools call otherwise, and the names here, of which only valid ones count.
    """
    known = {
        _letters_of(other): [ours for ours in meant if ours in valid] for other, meant in (elsewhere or {}).items()
    }
    known = {other: ours for other, ours in known.items() if ours}
    here: dict[str, list[str]] = {}
    for other in valid:
        if len(other) <= MOST_LETTERS:
            here.setdefault(_letters_of(other), []).append(other)
    known |= here
    close = difflib.get_close_matches(_letters_of(name[:MOST_LETTERS]), list(known), n=1)
    return f" Did you mean {either([repr(ours) for ours in known[close[0]]])}?" if close else ""


def _letters_of(name: str) -> str:
    """Return a name without what spellings of one word differ in; what has neither letters nor digits as it is."""
    return re.sub(r"[\W_]+", "", name.lower()) or name


def isolated(name: str) -> str:
    """Return a name as it is, of letters from right to left so that it does not turn what stands next to it."""
    turns = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)
    return f"\u2068{name}\u2069" if turns else name


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
