"""What a model says of the rows of a run beside what is true of them: the class it chooses, and the label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import DataError, OptionError
from ihcli.explanation.seen import HALF, Meaning
from ihcli.explanation.truth import truth_of
from ihcli.quality import DRIFT, PREDICTION, ROW, TARGET
from ihcli.results.contrasting.columns import Columns
from ihcli.results.result import Result
from ihcli.runs.told import if_told
from ihcli.scales import ENDINGS, LOGIT, MARGIN, MODEL
from ihcli.summaries.doubts import classes_of
from ihcli.summaries.judging import ENDING
from ihcli.wording import quoted

BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class Outcomes:
    """What is known of n rows, ascending.

    classes      those that the model chooses among, by name; none of a regressor
    predicted    (n,) the chosen class; -1 where the run does not tell
    probability  (n,) of that class;  margin (n,) how far it is from another choice; NaN where the run does not tell
    true         (n,) the true class, or the number that the output should be; NaN where it is not known
    off          (n,) prediction less that number; NaN of classes
    judged       the target that numbers are the true values of; None of classes
    label        the column of labels; None where the run has none
    why_no_labels  a sentence, where they could not be read;  why_no_classes  one where the chosen class is not known
    """

    rows: np.ndarray
    classes: tuple[str, ...]
    predicted: np.ndarray
    probability: np.ndarray
    margin: np.ndarray
    true: np.ndarray
    off: np.ndarray
    judged: str | None
    label: str | None
    why_no_labels: str | None
    why_no_classes: str | None

    @property
    def is_known(self) -> np.ndarray:
        """Whether it can be told if the chosen class is the true one, (n,)."""
        return (self.predicted >= 0) & np.isfinite(self.true)

    @property
    def is_wrong(self) -> np.ndarray:
        """Whether the chosen class is not the true one, (n,)."""
        return self.is_known & (self.predicted != self.true)

    def at(self, rows: Sequence[int]) -> "Outcomes":
        """Return those of some rows, ascending, that are among these."""
        place = np.searchsorted(self.rows, rows)
        names = ("rows", "predicted", "probability", "margin", "true", "off")
        return Outcomes(**{**vars(self), **{name: getattr(self, name)[place] for name in names}})


@dataclass(frozen=True)
class _Entries:
    """Entries of a run in the order of rows: index of the output, -1 where it is none, and what the model gives."""

    row: np.ndarray
    place: np.ndarray
    value: np.ndarray


def outcomes_of(result: Result, entries: pa.Table, data: str | None) -> Outcomes:
    """Return what the run, and the label column of its data, tell of all rows.

    Parameters:
        entries: `_row`, `_target`, `_prediction`, and `_drift` where there is one, of all of them.
        data: a table to look for labels in instead of the explained one.
    """
    meaning, asked = _meaning(result), str(if_told(lambda: result.told.target))
    found = _entries(entries, meaning.names)
    rows, first = np.unique(found.row, return_index=True)
    predicted, probability, margin = _chosen(meaning, found, first, asked)
    label, (labels, reason) = if_told(lambda: result.told.arguments.label), (None, None)
    if label is not None:
        labels, reason = _labels(result, str(label), rows, data)
    true, off = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    judged = None if meaning.classes else _judged(result, asked, label)
    if labels is not None:
        true = truth_of(labels, meaning).settled.values
        if len(meaning.names) == 1 and meaning.classes:
            true = np.where(np.isin(true, (-1, 0, 1)), np.maximum(true, 0), np.nan)
    if judged is not None:
        of_judged = found.place == meaning.names.index(judged)
        off[np.searchsorted(rows, found.row[of_judged])] = found.value[of_judged]
        off -= true
    elif meaning.classes and asked == "label":
        true = np.where(found.place[first] < 0, np.nan, found.place[first])
    elif not meaning.classes:
        true = np.full(len(rows), np.nan)
    return Outcomes(
        *(rows, meaning.classes, predicted, probability, margin, true, off, judged, label, reason),
        why_no_classes=_why_no_classes(meaning, predicted, found),
    )


def _why_no_classes(meaning: Meaning, predicted: np.ndarray, found: _Entries) -> str | None:
    known, explained = int((predicted >= 0).sum()), len(np.unique(found.row[np.isfinite(found.value)]))
    if not meaning.classes or known >= explained:
        return None
    return (
        f"Which class is predicted is known of {known:,} of {explained:,} rows: of several outputs the run explains "
        "one, so that the largest of all is not known. Try ihcli explain with no target named."
    )


def _meaning(result: Result) -> Meaning:
    """Return what the outputs mean, as far as the run tells; of an older one they are numbers."""
    lines = result.model_quality.lines
    classes = classes_of(lines)
    words = next((str(line.name) for line in lines if line.figure == ENDING), "")
    own, is_share, is_raw = ENDINGS.get(words, (None, False, False))
    told = if_told(lambda: result.told.scale)
    names = tuple(if_told(lambda: result.told.model.outputs) or result.targets)
    return Meaning(
        names=names,
        scale=(own if told is None or told.name == MODEL else told.name) if classes else None,
        own=own,
        are_classes=len(names) > 1 and bool(classes),
        is_share=is_share and len(names) > 1,
        is_raw=is_raw,
        judged=0 if len(names) == 1 else None,
        words=words,
    )


def _entries(entries: pa.Table, names: Sequence[str]) -> _Entries:
    row = entries[ROW].to_numpy()
    place = pc.fill_null(pc.index_in(entries[TARGET], value_set=pa.array(names, pa.string())), -1)
    value = entries[PREDICTION].to_numpy().astype(np.float64)
    if DRIFT in entries.column_names:  # labels are held against the model as it came
        value = value - np.nan_to_num(entries[DRIFT].to_numpy().astype(np.float64))
    order = np.argsort(row, kind="stable")
    return _Entries(row[order], place.to_numpy()[order].astype(np.int64), value[order])


def _chosen(
    meaning: Meaning, found: _Entries, first: np.ndarray, asked: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the chosen class, its probability and how far it is from another, of each row, which begin at `first`."""
    n, k = len(first), len(meaning.names)
    predicted, probability, margin = np.full(n, -1), np.full(n, np.nan), np.full(n, np.nan)
    if not meaning.classes or not n:
        return predicted, probability, margin
    outputs = found.value.reshape(n, -1) if len(found.value) == n * k else None
    if outputs is not None and (k == 1 or (found.place.reshape(n, k) == np.arange(k)).all()):
        known = np.isfinite(outputs).all(axis=1)
        predicted[known], probability[known], margin[known] = _among_all(meaning, outputs[known])
    elif len(found.value) == n:
        known = np.isfinite(found.value) & (found.place >= 0)
        place, value = found.place[known], found.value[known]
        predicted[known], probability[known], margin[known] = _by_one(meaning, place, value, asked)
    return predicted, probability, margin


def _among_all(meaning: Meaning, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what all outputs (n, K) of rows say."""
    chosen, shares = meaning.chosen(outputs), meaning.probabilities(outputs)
    if outputs.shape[1] == 1:
        edge = np.abs(outputs[:, 0] - HALF[str(meaning.scale)])
        share = None if shares is None else np.where(chosen == 1, shares[:, 0], 1 - shares[:, 0])
        return chosen, _or_nan(share, len(chosen)), edge if share is None else share - 0.5
    ranked = np.sort(outputs if shares is None else shares, axis=1)
    share = None if shares is None else shares[np.arange(len(chosen)), chosen]
    return chosen, _or_nan(share, len(chosen)), ranked[:, -1] - ranked[:, -2]


def _by_one(
    meaning: Meaning, place: np.ndarray, value: np.ndarray, asked: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what one output of several says of each row: who is chosen where that output is not is known of two."""
    k, share = len(meaning.names), _or_nan(_share(meaning, value), len(value))
    if asked == "predicted":
        return place, share, share - 1 / k if np.isfinite(share).any() else value
    sure = share - 0.5 if meaning.is_share else value if meaning.scale == MARGIN else np.full(len(value), np.nan)
    predicted = np.where(sure > 0, place, 1 - place if k == 2 else -1)
    predicted = np.where(np.isfinite(sure), predicted, -1)
    probability = np.where(predicted == place, share, np.where(predicted >= 0, 1 - share, np.nan))
    return predicted, probability, np.where(predicted >= 0, np.abs(sure), np.nan)


def _share(meaning: Meaning, value: np.ndarray) -> np.ndarray | None:
    """Return the probability of the class whose output (n,) is known, without those of the others."""
    of_softmax = meaning.scale == LOGIT and meaning.is_share and meaning.is_raw
    if of_softmax or (meaning.scale == MARGIN and len(meaning.names) > 2):
        return None
    shares = meaning.probabilities(value[:, None])
    return None if shares is None else shares[:, 0]


def _or_nan(values: np.ndarray | None, n: int) -> np.ndarray:
    return np.full(n, np.nan) if values is None else values


def _judged(result: Result, asked: str, label: str | None) -> str | None:
    """Return the target that a number in the label column is the true value of."""
    if result.model_quality.figure("rmse") is None:
        return None
    names = result.told.model.outputs
    return names[0] if len(names) == 1 else next((name for name in (label, asked) if name in names), None)


def _labels(result: Result, name: str, rows: np.ndarray, data: str | None) -> tuple[np.ndarray | None, str | None]:
    """Return the labels of rows (n,), or why there are none."""
    found = []
    try:
        columns = Columns(result, data)
        columns.is_number(name, "the label")
        following = columns.follow([name])
        for start in range(0, len(rows), BLOCK_ROWS):
            values = following.beside(pa.table({ROW: rows[start : start + BLOCK_ROWS]}))[name]
            found.append(np.asarray(values, dtype=object))
    except (DataError, OptionError) as error:
        reason = str(error).partition(" Expected")[0].partition(" Try ")[0]
        return None, f"{reason} Try ihcli report with data that have the column {quoted(name)}."
    return np.concatenate(found) if found else np.empty(0, object), None
