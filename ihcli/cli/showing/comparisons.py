"""What a person sees of a comparison: runs first, then features, pairs and the rows that agree least."""

from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from ihcli.cli.showing.drawn import Section

if TYPE_CHECKING:
    import pyarrow as pa

    from ihcli.results.comparing.comparison import Comparison

MOST_SHOWN = 20
AGREEMENT = ("spearman", "least_spearman", "spearman_abs", "overlap", "same_sign", "largest_change")
OVER_RUNS = ("mean_abs", "mean_abs_std", "worst_rank", "in_top")
COLUMNS = {
    "runs": ("values", "run", "other", *AGREEMENT, "ranking_spearman"),
    "feature": ("feature", "spearman", "same_sign", "largest_change", *OVER_RUNS),
    "pair": ("feature_i", "feature_j", "spearman", "same_sign", "largest_change", *OVER_RUNS),
    "row": ("_row", "values", *AGREEMENT, "feature", "feature_i", "feature_j"),
}
SPARE = (
    *("mean_abs_std", "ranking_spearman", "in_top", "spearman_abs", "mean_abs", "overlap", "largest_change"),
    *("same_sign", "least_spearman"),
)
NOUNS = {"feature": "features", "pair": "pairs"}
RUNS_NOTE = (
    "spearman: rank correlation of signed values, of the median row; least_spearman: of the row that agrees least; "
    "spearman_abs: of sizes."
)
SPARSE_NOTE = (
    "Interactions: runs store the largest pairs of every row, so rows are compared on the pairs that both runs store, "
    "without a rank correlation; mean_abs and ranks are those of the summaries."
)
RANDOM_NOTE = (
    "The signed one should be near 0. Sizes agree even so, often at 0.6 to 0.8: every effect grows with how far the "
    "row is from the baseline, whatever the weights."
)
SLOPES_NOTE = "Values of some runs are slopes, per unit of the inputs: ranks and signs are compared, sizes are not."


def sections_of(
    comparison: "Comparison", tables: "Mapping[str, pa.Table]", rows: "pa.Table", *, is_random: bool = False
) -> Iterator[Section]:
    """Give what a person sees of each target.

    Parameters:
        tables: lines by what they are of;  rows: those of rows that agree least.
        is_random: whether the others are of the first run's model with random weights.
    """
    from ihcli.results.comparing.lines import targets_of

    everything = {**tables, **({"row": rows} if len(rows) else {})}
    for target in targets_of(everything.values()):
        for kind, table in everything.items():
            found = _of_target(table, target)
            if len(found):
                yield _section(comparison, kind, found, target, is_random)


def _section(comparison: "Comparison", kind: str, found: "pa.Table", target: str, is_random: bool) -> Section:
    notes: tuple[str, ...] = ()
    if kind == "runs":
        title, notes = (
            _title(comparison, target, max(found["rows"].to_pylist())),
            tuple(_notes(comparison, random_in_words(found) if is_random else _settings(comparison))),
        )
    else:
        title = f"target {target}: {_which(comparison, kind, len(found))}"
    known = [name for name in COLUMNS[kind] if name in found.column_names and found[name].null_count < len(found)]
    known = [name for name in known if kind != "runs" or name not in ("run", "other") or len(comparison.results) > 2]
    return Section(title, found.select(known).slice(0, MOST_SHOWN), notes, spare=SPARE)


def _which(comparison: "Comparison", kind: str, n: int) -> str:
    if kind == "row":
        return f"the {n} rows that agree least"
    what = "words" if kind == "feature" and not comparison.first.layout.is_aligned else NOUNS[kind]
    return (
        f"{what}, the largest first" if n <= MOST_SHOWN else f"the {MOST_SHOWN} largest of {n} {what}; -o FILE has all"
    )


def _title(comparison: "Comparison", target: str, compared: int) -> str:
    keys = comparison.first.keys
    joined = f"joined on {', '.join(keys)}" if keys else "joined on their numbers"
    return f"{', '.join(comparison.names)}: target {target}, {compared} entries, {joined}"


def _notes(comparison: "Comparison", told: Iterable[str]) -> Iterator[str]:
    counts = comparison.counts
    yield RUNS_NOTE
    for count, why in (
        (counts.without_values, "have no values in one run at least"),
        (counts.other_target, "have another target in another run: try `target=NAME` or `target=all` in ihcli explain"),
        (counts.other_text, "are cut into other units in another run"),
    ):
        if count:
            yield f"{count} entries are not compared: they {why}."
    yield from told
    if not comparison.are_alike_in_size:
        yield SLOPES_NOTE
    if comparison.have_pairs and not comparison.has_matrices:
        yield SPARSE_NOTE


def _settings(comparison: "Comparison") -> Iterator[str]:
    yield from (f"Differs: {setting}" for setting in comparison.settings)
    if not comparison.settings:
        yield "The runs have the same settings, model and data."


def random_in_words(lines: "pa.Table") -> Iterator[str]:
    """Give what the lines of two runs say where the others have random weights, over all draws."""
    for values in lines["values"].unique().to_pylist():
        found = [line for line in lines.to_pylist() if line["values"] == values]
        signed, sizes = (
            [line[name] for line in found if line[name] is not None] for name in ("mean_spearman", "spearman_abs")
        )
        if signed and sizes:
            yield (
                f"Random weights, {values}: over {len(signed)} draws the signed correlation of a row is "
                f"{fmean(signed):.2f} (deviation {pstdev(signed):.2f}) on average, that of sizes {fmean(sizes):.2f}."
            )
    yield RANDOM_NOTE


def _of_target(table: "pa.Table", target: str) -> "pa.Table":
    import pyarrow.compute as pc

    return table.filter(pc.equal(table["target"], target))
