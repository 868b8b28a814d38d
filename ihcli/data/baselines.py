"""Where paths start: one baseline for ig and ih, a distribution of them for eg and eh."""

from collections.abc import Sequence

import numpy as np

from ihcli.data.drawing import Baselines, Drawing, Pool
from ihcli.data.formats.opening import find_files, open_table
from ihcli.data.frames import rows_of
from ihcli.data.frequencies import Frequencies
from ihcli.data.rows import Rows
from ihcli.data.sampling import AUTO
from ihcli.data.survey import Scan, Survey, collect, draw
from ihcli.data.tables import open_dataset
from ihcli.errors import DataError, OptionError
from ihcli.files.locations import locate
from ihcli.methods import names_of
from ihcli.wording import all_of, did_you_mean, either, listed

ZEROS, MEAN, MEDIAN, MODE = "zeros", "mean", "median", "mode"
ONE_ROW = (ZEROS, MEAN, MEDIAN, MODE)
KEYWORDS = (*ONE_ROW, "data")
OF_TEXTS = ("zeros", "pad", "mask")
MEDIAN_ROWS = 100_000
MEDIAN_VALUES = 20_000_000  # 160 MB in float64; wide tables sample fewer rows
ONE, MANY = names_of(many_baselines=False, integrals=True), names_of(many_baselines=True, integrals=True)
TRY_MANY = f"Try {either([f'`method={MANY[0]}`', *MANY[1:]])}, which average over many"
TRY_ONE = f"Try {either([f'`method={ONE[0]}`', *ONE[1:]])}, which start from one"


def is_file(spec: str | None) -> bool:
    """Return whether `baseline` names a file, of tables or of texts."""
    return spec is not None and spec not in (*KEYWORDS, *OF_TEXTS)


def resolve_baselines(
    spec: str | np.ndarray | None,
    *,
    many: bool,
    dataset: Rows,
    survey: Survey | None = None,
    zero: Sequence[float] | None = None,
    drawing: Drawing | None = None,
    codes: Sequence[Frequencies] = (),
) -> Baselines:
    """Turn "zeros", "mean", "median", "mode", "data", a file or an array into baselines.

    Parameters:
        spec: None: "data" when `many`, else "zeros". A file needs the feature columns; an array is (D,) or (B, D).
        many: whether the method averages over baselines (eg, eh) or starts from one (ig, ih).
        dataset: the rows to explain: "mean" and "median" are taken over them, "data" is drawn from them.
        survey: of all its rows, with `drawn_rows` drawn from its seed; None: as much of it as is needed is done here.
        zero: the D raw inputs that the network itself sees as 0; None: zeros.
        drawing: how a larger distribution is subsampled, without replacement; None: uniformly.
        codes: frequencies of the columns whose numbers stand for categories; "mean", "median" and "mode" are the most
            frequent value there, "mode" is the mean elsewhere.

    Rows with missing or infinite values are left out of a distribution and of its population.

    Raises:
        OptionError: a wrong keyword, or one row where many are expected and the reverse; it names the other method.
        DataError: a table that cannot be read, lacks a feature, or has no usable row.
    """
    drawing = drawing or Drawing()
    if spec is None:
        spec = "data" if many else "zeros"
    if isinstance(spec, str) and spec in KEYWORDS:
        require_count(spec, many)
        if spec in ONE_ROW:
            return _one_row(spec, dataset, None if survey is None else survey.scan, zero, drawing.seed, codes)
    if many:
        return find_pool(spec, dataset, survey, drawing).draw(drawing.rows)
    return _only_row(*_baseline_rows(spec, dataset))


def find_pool(
    spec: str | np.ndarray | None, dataset: Rows, survey: Survey | None, drawing: Drawing, auto: bool = False
) -> Pool:
    """Return what many baselines are drawn from; see `resolve_baselines`.

    auto  whether `baseline_rows` asks for as many as are enough
    """
    spec = "data" if spec is None else spec
    if isinstance(spec, str) and spec in KEYWORDS:
        require_count(spec, many=True, auto=auto)
        return _pool(survey or dataset.survey(drawing.surveyed, drawing.seed), f"the data {dataset.path}", drawing)
    table, source = _baseline_rows(spec, dataset)
    survey = table.survey(drawing.surveyed, drawing.seed)
    if survey.scan.n_rows == 1:
        raise OptionError(f"{source}: has 1 row, {all_of(MANY)} average over many. {_try_one(auto)}.")
    return _pool(survey, source, drawing)


def drawn_rows(spec: str | np.ndarray | None, many: bool, drawing: Drawing) -> int:
    """Return how many rows of the data `resolve_baselines` takes from their survey."""
    is_data = spec is None if not isinstance(spec, str) else spec == "data"
    return drawing.surveyed if many and is_data else 0


def require_count(spec: str, many: bool, auto: bool = False) -> None:
    """Raise OptionError for a keyword that means one row where many are averaged over, and the reverse."""
    if spec == "data" and not many:
        raise OptionError(f"`baseline=data`: is many rows, {all_of(ONE)} take one. {TRY_MANY}, or `baseline=mean`.")
    if spec in ONE_ROW and many:
        raise OptionError(
            f"`baseline={spec}`: is one row, {all_of(MANY)} average over many. {_try_one(auto)}, or `baseline=data`."
        )


def _try_one(auto: bool) -> str:
    """Return the way out for one row: methods that no number of baselines is left to."""
    return f"{TRY_ONE} and take no `baseline_rows={AUTO}`" if auto else TRY_ONE


def _one_row(
    spec: str,
    dataset: Rows,
    scan: Scan | None,
    zero: Sequence[float] | None,
    seed: int,
    codes: Sequence[Frequencies],
) -> Baselines:
    if spec == ZEROS and zero is not None:
        values, source = np.asarray(zero, np.float64), "zeros of the network's own input, in raw units"
    elif spec == ZEROS:
        values, source = np.zeros(len(dataset.columns.features)), "zeros"
    elif spec in (MEAN, MODE):
        values, source = (scan or dataset.scan()).mean, f"mean of the data {dataset.path}"
    else:
        values, source = _median(dataset, (scan or dataset.scan()).n_rows, seed)
    if spec != ZEROS and codes:
        values, source = values.copy(), f"{source}, the most frequent value of codes"
        for each in codes:
            values[each.column] = each.mode
    if len(values) != len(dataset.columns.features):
        raise OptionError(
            f"`baseline={spec}`: has {len(values)} values. Expected one for each of the "
            f"{len(dataset.columns.features)} features. Try a file with the feature columns."
        )
    without = [name for name, value in zip(dataset.columns.features, values, strict=True) if not np.isfinite(value)]
    if without:
        raise DataError(
            f"`baseline={spec}`: {dataset.path} has no finite value in column {listed(without)}. "
            f"Try `exclude={without[0]}`, or `baseline=zeros`."
        )
    return Baselines(values[np.newaxis], 1, source)


def _median(dataset: Rows, n_rows: int, seed: int) -> tuple[np.ndarray, str]:
    limit = min(MEDIAN_ROWS, max(1_000, MEDIAN_VALUES // len(dataset.columns.features)))
    rows = collect(map(dataset.filled, dataset.inputs()), draw(n_rows, limit, seed))
    rows[np.isinf(rows)] = np.nan
    values = np.full(rows.shape[1], np.nan)
    has_values = ~np.isnan(rows).all(axis=0)
    values[has_values] = np.nanmedian(rows[:, has_values], axis=0)
    source = f"median of the data {dataset.path}"
    return values, source if n_rows <= limit else f"{source}, estimated on {limit} of its {n_rows} rows (seed {seed})"


def _baseline_rows(spec: str | np.ndarray, dataset: Rows) -> tuple[Rows, str]:
    features = dataset.columns.features
    if not isinstance(spec, str):
        values = np.atleast_2d(np.asarray(spec))
        if values.ndim != 2 or values.shape[1] != len(features):
            raise OptionError(
                f"`baseline`: has shape {np.shape(spec)}. Expected ({len(features)},) or (B, {len(features)})."
            )
        table: Rows = rows_of(values, features, dataset.vocabulary)
        table.fills = dataset.fills
        return table, "`baseline`"
    require_baselines(spec)
    missing = [name for name in features if name not in open_table(spec).schema.names]
    if missing:
        raise DataError(
            f"`baseline={spec}`: lacks {len(missing)} of the {len(features)} features: {listed(missing)}. "
            "Expected the feature columns of the data."
        )
    table = open_dataset(spec, features=features, vocabulary=dataset.vocabulary)
    table.fills = dataset.fills
    return table, f"`baseline={spec}`"


def require_baselines(spec: str) -> None:
    """Raise OptionError or DataError where baselines are neither a keyword nor files that are there."""
    if spec in KEYWORDS:
        return
    if not locate(spec).exists() and not any(character in spec for character in "*?[./\\"):
        raise OptionError(
            f"`baseline={spec}`: is neither a keyword nor a file. Expected one of {', '.join(KEYWORDS)}, or a Parquet "
            f"or CSV file with the feature columns.{did_you_mean(spec, KEYWORDS)}"
        )
    find_files(spec)


def _only_row(table: Rows, source: str) -> Baselines:
    scan = table.scan()
    if scan.n_rows > 1:
        raise OptionError(f"{source}: has {scan.n_rows} rows, {all_of(ONE)} take one. {TRY_MANY}.")
    _require_complete(scan, source)
    return Baselines(table.filled(next(table.inputs())), 1, source)


def _require_complete(scan: Scan, source: str) -> None:
    for missing in scan.missing:
        raise DataError(
            f"{source}: column {missing.column!r} is {missing.kind}. Expected a finite value in every feature."
        )


def _pool(survey: Survey, source: str, drawing: Drawing) -> Pool:
    if survey.scan.n_complete == 0:
        raise DataError(f"{source}: every row has a missing or infinite value. Expected at least one complete row.")
    return Pool(survey.sample, survey.scan.n_complete, source, drawing)
