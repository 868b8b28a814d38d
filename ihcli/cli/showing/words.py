"""Figures of a computation in words: durations, sizes, shares, the closing summary and the forecast of --dry-run."""

import math
from typing import TYPE_CHECKING

from ihcli.cli.showing.spelling import spelled
from ihcli.data.sampling import AUTO, tolerance_in_words
from ihcli.methods import uncertified
from ihcli.quality import MISSED, WITHOUT_VALUES, Circumstances, Status, remedies_in_words

if TYPE_CHECKING:
    from ihcli.runs.request import RunRequest
    from ihcli.runs.shards import Shard
    from ihcli.runs.totals import Estimate, Outlook, RunTotals

FAR = 5
"""Sampling errors of the median row above so many tolerances are said: by default, those above the 5 % of auto."""
BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def number_in_words(value: float, digits: int = 4) -> str:
    """Return a number with so many significant digits, in plain notation unless it is very large or very small."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits - 1}e}"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.0f}" if abs(rounded) >= 10**digits else f"{rounded:#.{digits}g}".rstrip(".")


def share_in_words(part: int, whole: int) -> str:
    """Return a percentage with one decimal that says 100.0 only for all, and 0.0 only for none."""
    per_mille = round(1000 * part / max(1, whole))
    if 0 < part < whole:
        per_mille = min(max(per_mille, 1), 999)
    return f"{per_mille / 10:.1f} %"


def duration_in_words(seconds: float) -> str:
    """Return "3.2 s", "4 min 10 s" or "2 h 5 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size_in_words(size_bytes: float) -> str:
    """Return "512 B", "1.5 KiB", "3.2 GiB"."""
    power = min(int(math.log(max(size_bytes, 1), 1024)), len(BINARY_UNITS) - 1)
    return f"{size_bytes / 1024**power:.{min(power, 1)}f} {BINARY_UNITS[power]}"


def outlook_in_words(outlook: "Outlook", lacking: tuple[str, ...] = ()) -> str:
    """Return what stands before a long run: how long, and which options would make it shorter, but those lacking."""
    kept = (found for found in outlook.remedies if not found.option.startswith(lacking))
    remedies = [f"{spelled(f'`{found.option}`', short=True)} ({found.gain})" for found in kept]
    least = "at least " if outlook.is_least else "about "
    return (
        f"{outlook.rows:,} rows are expected to take {least}{duration_in_words(outlook.wall_s)}. "
        f"Shorter: {', or '.join(remedies)}."
    )


def progress_in_words(done: float, total: int, things: str, left_s: float | None) -> str:
    """Return "312 of 1,500 rows (20.8 %), 3 min 10 s left"."""
    left = "" if left_s is None else f", {duration_in_words(left_s)} left"
    return f"{int(done):,} of {total:,} {things} ({share_in_words(int(done), total)}){left}"


def summary_in_words(totals: "RunTotals", request: "RunRequest", *, kept: bool = True) -> list[str]:
    """Return the sentences that end a computation: what was done, which rows missed, which have no values.

    kept  whether a run with `_status` remains
    """
    pairs = "" if totals.entries == totals.rows else f" ({totals.entries} row-target pairs)"
    of_all = f"of {totals.entries} {'row-target pairs' if pairs else 'rows'}"
    flagged = "; they are flagged in _status" if kept else ""
    tolerance = tolerance_in_words(totals.tolerance, totals.sampling_share)
    within = f"{share_in_words(totals.statuses.get(Status.OK, 0), totals.entries)} within tolerance {tolerance}"
    told = "1 row" if totals.rows == 1 else f"{totals.rows} rows"
    sentences = [
        f"Explained {told}{pairs} in {duration_in_words(totals.wall_s)}: "
        f"{totals.evaluations / max(1, totals.rows):.1f} evaluations per row, "
        f"{f'and {request.method} knows no error' if request.method in uncertified() else within}."
    ]
    if totals.truncated:
        sentences.append(f"{totals.truncated} {of_all} are longer than the model takes; their end was left out.")
    if missed := _counts(totals, MISSED):
        remedies = remedies_in_words(missed, Circumstances(request.steps, totals.dtype, totals.jumps))
        sentences.append(
            f"{sum(missed.values())} {of_all} missed the tolerance ({_listed(missed)}){flagged}. Try {remedies}."
        )
    if _is_far_off(totals, request):
        sentences.append(
            f"Drawing {request.baseline_rows} baselines leaves the median row a sampling error of about "
            f"{100 * (totals.sampling_error or 0):.2g} %, far above the errors of its integrals. "
            f"Try `baseline_rows={AUTO}`, which draws as many as `sampling_tolerance` asks for."
        )
    if empty := _counts(totals, WITHOUT_VALUES):
        sentences.append(f"{sum(empty.values())} {of_all} have no values ({_listed(empty)}){flagged}.")
    return sentences


def closing_in_words(totals: "RunTotals", request: "RunRequest", out: str, shard: "Shard | None") -> list[str]:
    """Return the sentences that end `ihcli explain`: the summary, and where it was written."""
    if totals.was_done and shard is not None:
        return [f"Shard {shard} of the run in {out} is finished already, {totals.rows} rows."]
    if totals.was_done:
        return [f"The run in {out} is finished already, {totals.rows} rows; nothing is left to do."]
    written = f"Run written to {out}."
    if shard is not None:
        written = f"Shard {shard} written to {out}; ihcli merge {out} makes one run of all."
    first, *others = summary_in_words(totals, request)
    return [f"{first} {written}", *others]


def forecast_in_words(estimate: "Estimate") -> list[str]:
    """Return one line per figure of an estimate, then its notes."""
    share, tolerance = estimate.share_converged, estimate.tolerance
    within = "Within tolerance" if tolerance is None else f"Within tolerance {tolerance:g}"
    figures = {
        "Rows": str(estimate.rows),
        **({"Features": str(estimate.features)} if estimate.features is not None else {}),
        "Targets per row": str(estimate.targets),
        "Evaluations per row": f"{estimate.evaluations_per_row:.1f}",
        **({} if share is None else {within: f"{100 * share:.1f} %"}),
        "Rows per second": number_in_words(estimate.rows_per_s, 3),
        "Expected time": f"{duration_in_words(estimate.wall_s)} ({_seconds_in_words(estimate)})",
        "Expected size on disk": f"{size_in_words(estimate.disk_bytes)} ({_sizes_in_words(estimate)})",
        f"Expected memory{' of each' if estimate.workers > 1 else ''}": f"{size_in_words(estimate.peak_bytes)} at most",
    }
    lines = [f"{name:24}{figure}" for name, figure in figures.items()]
    return [f"From a pilot of {estimate.pilot_rows} rows:", *lines, *estimate.notes]


def _seconds_in_words(estimate: "Estimate") -> str:
    by_whom = f" by {estimate.workers} workers" if estimate.workers > 1 else ""
    summary = f", summary {duration_in_words(estimate.summary_s)}" if estimate.summary_bytes else ""
    return f"checks {duration_in_words(estimate.checks_s)}, rows {duration_in_words(estimate.rows_s)}{by_whom}{summary}"


def _sizes_in_words(estimate: "Estimate") -> str:
    summary = f", summary {size_in_words(estimate.summary_bytes)}" if estimate.summary_bytes else ""
    return f"rows {size_in_words(estimate.parts_bytes)}{summary}"


def _is_far_off(totals: "RunTotals", request: "RunRequest") -> bool:
    """Return whether so many baselines were asked for that drawing them decides how right the values are."""
    return request.baseline_rows != AUTO and (totals.sampling_error or 0) > FAR * totals.tolerance


def _counts(totals: "RunTotals", statuses: tuple[str, ...]) -> dict[str, int]:
    return {status: totals.statuses[status] for status in statuses if totals.statuses.get(status)}


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{status} {count}" for status, count in counts.items())
