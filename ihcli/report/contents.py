"""What the page shows of a run: facts, trust, rankings, a matrix of the strongest pairs, and a sample of records."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.errors import DataError, RunError
from ihcli.files.locations import name_of
from ihcli.layouts.layout import Layout
from ihcli.report.compared import ComparedTable, compared_with
from ihcli.report.facts import facts_of, warnings_of
from ihcli.report.headline import headlines_of
from ihcli.report.numbers import clipped, packed, rounded
from ihcli.report.outcomes import outcomes_of
from ihcli.report.sample import PageRows, Shown, choose_rows, read_records
from ihcli.report.trust import Trust, trust_of
from ihcli.results.certainty import certain_of, judged
from ihcli.results.explained_data import FeatureValues, feature_values
from ihcli.results.model_quality import ModelQuality
from ihcli.results.result import Result
from ihcli.runs.told import if_told, plain
from ihcli.summaries.ranking import LEFT_OUT, by_target
from ihcli.summaries.rest import rest_of

MOST_TARGETS = 8
MOST_FEATURES = 2_000  # of a target
MOST_PAIRS = 1_000  # of a target
MATRIX_FEATURES = 40  # beyond, cells are too small to point at
RANKED_DIGITS = 8  # of rankings, which can be taken along; the page shows fewer
DEPENDENCE_PAIRS = 12  # of a target
FEATURE_COLUMNS = ("mean_abs", "mean", "std", "share", "rows", "main_mean_abs", "main_mean")
PAIR_COLUMNS = ("mean_abs", "error_bar", "standard_error", "mean", "std", "share", "rows")


@dataclass(frozen=True)
class Target:
    """What is shown of one explained output; names are positions in Contents.names.

    features      columns of the ranked features
    pairs         columns of the ranked pairs; None where the run has no summary of them
    all_features  how many there are, also those not shown
    matrix        feature positions, and the upper triangles, diagonal included, of mean_abs and mean; None for texts
    dependence    pairs of positions, the strongest first
    left_out      how many rows are left out of "features", and of "pairs", as their errors are too large to rank
    none_rank     whether that would be all of them, and all are taken
    certain       how many of the leading ranks of pairs are certain; None where that is not known
    not_listed    a sentence on pairs that the summary does not list; None where it lists all
    spread        sentences on how the explanation is spread over features and pairs
    """

    name: str
    features: dict[str, list[Any]]
    all_features: int
    pairs: dict[str, list[Any]] | None
    all_pairs: int
    matrix: dict[str, list[Any]] | None
    dependence: list[tuple[int, int]]
    left_out: dict[str, int]
    none_rank: bool
    certain: int | None
    not_listed: str | None
    spread: list[str]


@dataclass(frozen=True)
class Contents:
    """All of a page, as plain values.

    model              figures of the model beside labels, as they are called; labels is how many rows have one
    names              of features, groups or units, clipped
    texts              whether rows are texts
    unit               word or token; None for a table
    features           how many the rows of a table have, also those not shown; None for texts
    headlines          a sentence on each target
    all_targets        how many targets the run has, also those not shown
    has_values         whether records carry values of the features
    categories         of one-hot groups, by position in names: the values of records are places among them
    why_no_values      a sentence, where they do not
    compared, compared_settings  how far other runs agree, and in what they differ; empty without such
    """

    title: str
    facts: list[tuple[str, str]]
    warnings: list[str]
    trust: Trust
    model: list[tuple[str, float]]
    labels: int
    texts: bool
    unit: str | None
    features: int | None
    names: list[str]
    keys: list[str]
    targets: list[Target]
    headlines: list[str]
    all_targets: int
    sample: PageRows
    has_values: bool
    categories: dict[int, list[str]]
    why_no_values: str | None
    compared: list[ComparedTable] = field(default_factory=list)
    compared_settings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, with the many numbers of records packed."""
        content = asdict(self)
        for record in content["sample"]["records"]:
            record |= {name: None if record[name] is None else packed(record[name]) for name in ("phi", "values")}
        found: dict[str, Any] = plain(content)
        return found


@dataclass(frozen=True)
class _Names:
    """Names that the page mentions, each once."""

    place: dict[str, int]

    def of(self, name: str) -> int:
        return self.place.setdefault(name, len(self.place))


def contents_of(
    result: Result, *, data: str | Path | None = None, seed: int = 0, others: Sequence[Result] = ()
) -> Contents:
    """Gather the page of a finished run; see `ihcli.report.write_report`.

    Memory: identity and quality of all rows, the summaries, and the drawn rows.
    """
    compared, settings = compared_with(result, others) if others else ([], [])
    ranked, pairs = _rankings(result)
    all_ranked, all_pairs = _rankings(replace(result, run=replace(result.run, all_rows=True)))
    shown = list(all_ranked)[:MOST_TARGETS]
    names = _Names({})
    quality = result.model_quality
    targets = [
        _target(
            *(
                names,
                quality,
                name,
                ranked.get(name, all_ranked[name]),
                pairs.get(name, all_pairs.get(name)),
                result.layout,
            ),
            none_rank=name not in ranked or (name in all_pairs and name not in pairs),
        )
        for name in shown
    ]
    trust, entries = trust_of(result)
    certain = {name: target.certain for name, target in zip(shown, targets, strict=True)}
    on_page = Shown(
        names=[name for name in result.feature_names if name in names.place],
        place=names.place,
        targets={target.name: target.dependence for target in targets},
    )
    outcomes = outcomes_of(result, entries, None if data is None else str(data))
    chosen = choose_rows(result, entries, outcomes, on_page, seed)
    values, reason = _values(result, on_page.names, chosen.rows, data)
    sample = read_records(result, chosen, outcomes, on_page, None if values is None else values.numbers)
    categories = {} if values is None else values.categories
    return Contents(
        title=_title(result),
        facts=facts_of(result),
        warnings=[*quality.warnings(), *warnings_of(result)],
        trust=trust,
        model=[(words, value) for words, value in quality.beside_labels()],
        labels=int(quality.figure("labels") or 0),
        texts=result.layout.in_reading_order,
        unit=result.told.units,
        features=len(result.feature_names) if result.layout.is_aligned else None,
        names=[clipped(name) for name in names.place],
        keys=[clipped(name) for name in result.keys],
        targets=targets,
        headlines=headlines_of(result, (ranked, pairs), certain, entries, quality),
        all_targets=len(all_ranked),
        sample=sample,
        has_values=values is not None,
        categories={names.place[group]: [clipped(name) for name in found] for group, found in categories.items()},
        why_no_values=reason,
        compared=compared,
        compared_settings=settings,
    )


def _rankings(result: Result) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """Return the rankings of features and of pairs by target."""
    pairs = result.summary_interactions() if result.run.has_summary_of_pairs else None
    return by_target(result.summary_attributions()), {} if pairs is None else by_target(pairs)


def _target(
    names: _Names,
    quality: ModelQuality,
    name: str,
    ranked: pa.Table,
    pairs: pa.Table | None,
    layout: Layout[Any],
    *,
    none_rank: bool,
) -> Target:
    spread = [*filter(None, (quality.effects_in_words(name), quality.company_in_words(name)))]
    features = {"name": [names.of(feature) for feature in ranked["feature"].slice(0, MOST_FEATURES).to_pylist()]}
    shown = ranked.slice(0, MOST_FEATURES)
    features |= {column: _rounded(shown, column) for column in FEATURE_COLUMNS if column in ranked.column_names}
    if pairs is None:
        return Target(
            *(clipped(name), features, ranked.num_rows, None, 0, None, []),
            left_out={"features": _left_out(ranked)},
            none_rank=none_rank,
            certain=None,
            not_listed=None,
            spread=spread,
        )
    rest = rest_of(pairs).get(name)
    best = pairs.slice(0, MOST_PAIRS)
    columns: dict[str, list[Any]] = {
        place: [names.of(feature) for feature in best[column].to_pylist()]
        for place, column in (("first", "feature_i"), ("second", "feature_j"))
    }
    columns |= {column: _rounded(best, column) for column in PAIR_COLUMNS if column in best.column_names}
    dependence = list(zip(columns["first"], columns["second"], strict=True))[:DEPENDENCE_PAIRS]
    return Target(
        name=clipped(name),
        features=features,
        all_features=ranked.num_rows,
        pairs=columns,
        all_pairs=pairs.num_rows + (0 if rest is None else rest.pairs),
        matrix=_matrix(names, ranked, pairs) if layout.is_aligned else None,
        dependence=dependence if layout.is_aligned else [],
        left_out={"features": _left_out(ranked), "pairs": _left_out(pairs)},
        none_rank=none_rank,
        certain=next((certain for certain, _ in certain_of({name: judged(pairs, None)}).values()), None),
        not_listed=None if rest is None else rest.in_words(),
        spread=spread,
    )


def _left_out(ranking: pa.Table) -> int:
    count: int = ranking[LEFT_OUT][0].as_py() if LEFT_OUT in ranking.column_names and ranking.num_rows else 0
    return count


def _matrix(names: _Names, ranked: pa.Table, pairs: pa.Table) -> dict[str, list[Any]]:
    """Return the features whose pairs are strongest together, and their pair and main effects."""
    first, second = (pairs[column].to_pylist() for column in ("feature_i", "feature_j"))
    mean_abs = pairs["mean_abs"].to_numpy()
    strength = dict.fromkeys(ranked["feature"].to_pylist(), 0.0)
    for i, j, size in zip(first, second, mean_abs.tolist(), strict=True):
        strength[i] += size
        strength[j] += size
    kept = sorted(strength, key=lambda name: -strength[name])[:MATRIX_FEATURES]
    place = {name: position for position, name in enumerate(kept)}
    triangles: dict[str, list[Any]] = {}
    for statistic, main in (("mean_abs", "main_mean_abs"), ("mean", "main_mean")):
        square = np.full((len(kept),) * 2, np.nan)
        for i, j, value in zip(first, second, pairs[statistic].to_pylist(), strict=True):
            if i in place and j in place:
                square[place[i], place[j]] = square[place[j], place[i]] = value
        if main in ranked.column_names:
            mains = dict(zip(ranked["feature"].to_pylist(), ranked[main].to_pylist(), strict=True))
            np.fill_diagonal(square, [mains[name] for name in kept])
        triangles[statistic] = rounded(square[np.triu_indices(len(kept))])
    return {"names": [names.of(name) for name in kept], **triangles}


def _rounded(table: pa.Table, column: str) -> list[Any]:
    return rounded(table[column].to_numpy(), RANKED_DIGITS)


def _values(
    result: Result, names: Sequence[str], rows: Sequence[int], data: str | Path | None
) -> tuple[FeatureValues | None, str | None]:
    """Return the values of features, or why there are none; `data` that does not fit is an error."""
    if not result.layout.is_aligned:
        return None, None
    try:
        return feature_values(result, names, rows, data), None
    except (DataError, RunError) as error:
        if data is not None:
            raise
        return None, str(error)


def _title(result: Result) -> str:
    info = result.told
    named = (if_told(lambda: info.model.path), if_told(lambda: info.data.path))
    found = [name_of(path) for path in named if path]
    return clipped(" on ".join(found) or result.path.name)
