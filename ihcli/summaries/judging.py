"""How good a model's predictions are beside the labels: sums over rows that stream by, and what follows of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ihcli.explanation.seen import Meaning, Truth
from ihcli.summaries.figures import Line
from ihcli.summaries.moments import Moments
from ihcli.summaries.scores import Scores

BINS = 10
ENDING, WORDS = "ending", "words."
MOST_SCORES = 1 << 19
"""Different scores that are kept, of all classes together: 12 MB."""
MOST_RANKED_CLASSES = 100
"""Of more classes no area under the ROC curve is taken."""
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""A smaller probability of the true class counts as this, as scikit-learn does."""
Sums = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Judging:
    """Sums over rows, of a model whose outputs mean this; they add up over any sets of rows.

    sums     by name. `rows`, and `chosen` (K,) of them by the class that was chosen. Of rows with labels: `true` and
             `hits` (K,) by the true class, `log_loss`, and `bins` (BINS, 3) of rows, probabilities and true ones; where
             labels are numbers `squares` of what predictions are off, and in `numbers` how many are -1, 0, 1 and
             others. Labels that are `missing`, that are `unread`, and that are the name of the single output, `named`
    truth    moments of numbers in the label column
    scores   of every class, or of the second of two
    words    the same of rows whose labels are words, as if these said that the single output is not true: as they do
             where it is the name of other rows' labels
    """

    meaning: Meaning
    sums: Sums = field(default_factory=dict)
    truth: Moments | None = None
    scores: tuple[Scores, ...] = ()
    first_unread: str = ""
    words: "Judging | None" = None

    @classmethod
    def of(cls, meaning: Meaning, outputs: np.ndarray, truth: Truth | None) -> "Judging":
        """Return the sums over rows of outputs (N, K); rows without any are left out."""
        known = np.isfinite(outputs).all(axis=1)
        outputs = outputs[known]
        sums: dict[str, np.ndarray] = {"rows": np.array(len(outputs))}
        if meaning.classes and not (truth is None and meaning.may_be_numbers):
            sums["chosen"] = _counts(meaning.chosen(outputs), len(meaning.classes))
        if truth is None:
            return cls(meaning, sums)
        sums |= {name: np.array(getattr(truth, name)) for name in ("missing", "unread", "named")}
        words = None
        if truth.words is not None:
            of_words = outputs[truth.words[known]]
            words = cls(meaning, {"unread": np.array(-truth.words.sum())})._with(of_words, np.zeros(len(of_words)))
        found = cls(meaning, sums, first_unread=truth.first_unread, words=words)
        values = truth.values[known]
        has_label = np.isfinite(values)
        return found._with(outputs[has_label], values[has_label])

    def _with(self, outputs: np.ndarray, values: np.ndarray) -> "Judging":
        """Return this with what labels say of rows that have one."""
        found = self
        if self.meaning.judged is not None and not self._has_many_classes:
            found = found._with_numbers(self.meaning.own_outputs(outputs)[:, self.meaning.judged], values)
            is_class = np.isin(values, (-1, 0, 1))
            outputs, values = outputs[is_class], np.maximum(values[is_class], 0)
        return found._with_classes(outputs, values.astype(np.int64)) if self.meaning.classes else found

    @property
    def _has_many_classes(self) -> bool:
        return len(self.meaning.names) > 1 and bool(self.meaning.classes)

    def _with_numbers(self, predicted: np.ndarray, values: np.ndarray) -> "Judging":
        kinds = [(values == each).sum() for each in (-1, 0, 1)]
        sums = {
            "squares": np.array(((predicted - values) ** 2).sum()),
            "numbers": np.array([*kinds, len(values) - sum(kinds)]),
        }
        truth = Moments.of(values[:, None]) if len(values) else None
        return replace(self, sums={**self.sums, **sums}, truth=truth)

    def _with_classes(self, outputs: np.ndarray, true: np.ndarray) -> "Judging":
        """Return this with what labels, numbers of classes (N,), say of outputs (N, K)."""
        k = len(self.meaning.classes)
        is_hit = self.meaning.chosen(outputs) == true
        sums = {"true": _counts(true, k), "hits": _counts(true[is_hit], k)}
        shares = self.meaning.probabilities(outputs)
        if shares is not None and (self.meaning.is_share or len(self.meaning.names) == 1):
            sums |= _of_probabilities(_of_classes(shares), true, is_hit)
        scores = _scores(self.meaning, outputs if shares is None else shares, true)
        return replace(self, sums={**self.sums, **sums}, scores=scores)

    def merge(self, other: "Judging") -> "Judging":
        """Return those of both sets of rows."""
        every = {**other.sums, **self.sums}
        both = self.sums.keys() & other.sums.keys()
        sums = {name: self.sums[name] + other.sums[name] if name in both else one for name, one in every.items()}
        scores = tuple(mine.merge(theirs) for mine, theirs in zip(self.scores, other.scores, strict=False))
        truths = [each for each in (self.truth, other.truth) if each is not None]
        words = [each for each in (self.words, other.words) if each is not None]
        return replace(
            self,
            sums=sums,
            truth=truths[0].merge(truths[1]) if len(truths) > 1 else next(iter(truths), None),
            scores=scores or self.scores or other.scores,
            first_unread=self.first_unread or other.first_unread,
            words=words[0].merge(words[1]) if len(words) > 1 else next(iter(words), None),
        )

    # What follows

    @property
    def settled(self) -> "Judging":
        """The same where these are all rows, see `ihcli.explanation.seen.Truth`."""
        if self.words is None or not self.sums["named"]:
            return self
        return replace(self, words=None).merge(self.words)

    @property
    def is_of_numbers(self) -> bool:
        """Whether labels are numbers that the output should be, not classes."""
        if "numbers" not in self.sums or not self.meaning.classes:
            return "numbers" in self.sums
        minus, zero, _, others = self.sums["numbers"].tolist()
        return bool(others) or bool(minus and zero)

    def lines(self) -> Iterator[Line]:
        """Give every figure of the model, then those of classes and bins."""
        if self.settled is not self:
            yield from self.settled.lines()
            return
        rows = int(self.sums["rows"])
        yield Line("model", "rows", rows, rows)
        if self.meaning.words:
            yield Line("model", ENDING, None, rows, name=self.meaning.words)
        for name in ("missing", "unread"):
            if self.sums.get(name, 0):
                first = self.first_unread if name == "unread" else None
                yield Line("model", f"labels_{name}", int(self.sums[name]), rows, name=first)
        if self.is_of_numbers:
            yield from self._of_numbers()
        else:
            yield from self._of_classes()

    def _of_numbers(self) -> Iterator[Line]:
        n = 0 if self.truth is None else self.truth.count
        yield Line("model", "labels", n, n)
        if self.truth is None:
            return
        squares, total = float(self.sums["squares"]), float(self.truth.squares[0])
        yield Line("model", "r2", 1 - squares / total if total > 0 and n > 1 else None, n)
        yield Line("model", "rmse", float(np.sqrt(squares / n)), n)

    def _of_classes(self) -> Iterator[Line]:
        if "true" in self.sums:
            yield from self._against_labels()
        for place, name in enumerate(self.meaning.classes if "chosen" in self.sums else ()):
            yield Line("class", "chosen", int(self.sums["chosen"][place]), int(self.sums["rows"]), output=name)
            if "true" in self.sums:
                yield from self._of_class(place, name)
        if "bins" in self.sums:
            yield from self._of_bins()

    def _against_labels(self) -> Iterator[Line]:
        true, hits = self.sums["true"], self.sums["hits"]
        n = int(true.sum())
        yield Line("model", "labels", n, n)
        if not n:
            return
        yield Line("model", "accuracy", float(hits.sum() / n), n)
        yield Line("model", "largest_class", float(true.max() / n), n, output=self.meaning.classes[int(true.argmax())])
        if len(true) == 2:
            for name, place in (("true_positive_rate", 1), ("true_negative_rate", 0)):
                rate = float(hits[place] / true[place]) if true[place] else None
                yield Line("model", name, rate, int(true[place]), output=self.meaning.classes[place])
        areas = [score.auroc() for score in self.scores]
        known = [(area, error) for area, error in areas if np.isfinite(area)]
        if areas:
            area, error = np.mean(known, axis=0).tolist() if known else (None, None)
            yield Line("model", "auroc", area, n, error=error)
        if "log_loss" in self.sums:
            bins = self.sums["bins"]
            yield Line("model", "log_loss", float(self.sums["log_loss"] / n), n)
            yield Line("model", "calibration_error", float(np.abs(bins[:, 1] - bins[:, 2]).sum() / n), n)

    def _of_class(self, place: int, name: str) -> Iterator[Line]:
        true, hits = int(self.sums["true"][place]), int(self.sums["hits"][place])
        yield Line("class", "true", true, int(self.sums["true"].sum()), output=name)
        yield Line("class", "recall", hits / true if true else None, true, output=name)
        if len(self.scores) == len(self.meaning.classes) > 2:
            area, error = self.scores[place].auroc()
            yield Line("class", "auroc", area if np.isfinite(area) else None, true, output=name, error=error)

    def _of_bins(self) -> Iterator[Line]:
        for place, (rows, probability, true) in enumerate(self.sums["bins"].tolist()):
            name, n = f"{place / BINS:g} to {(place + 1) / BINS:g}", int(rows)
            yield Line("bin", "probability", probability / rows if rows else None, n, name=name)
            yield Line("bin", "frequency", true / rows if rows else None, n, name=name)

    # As arrays

    def state(self) -> dict[str, np.ndarray]:
        """Return all figures as arrays by name."""
        arrays = {f"sums.{name}": np.asarray(values) for name, values in self.sums.items()}
        if self.truth is not None:
            arrays |= {f"truth.{name}": np.asarray(values) for name, values in vars(self.truth).items()}
        for place, score in enumerate(self.scores):
            arrays |= {f"scores.{place}.{name}": values for name, values in score.state().items()}
        if self.words is not None:
            arrays |= {f"{WORDS}{name}": values for name, values in self.words.state().items()}
        return arrays

    def with_state(self, arrays: Mapping[str, np.ndarray]) -> "Judging":
        """Return that of the same meaning of which these arrays are the state."""
        sums = {name.removeprefix("sums."): values for name, values in arrays.items() if name.startswith("sums.")}
        truth = None
        if "truth.count" in arrays:
            mean, mean_abs, squares = (arrays[f"truth.{name}"] for name in ("mean", "mean_abs", "squares"))
            truth = Moments(int(arrays["truth.count"]), mean, mean_abs, squares)
        n_scores = sum(name.startswith("scores.") and name.endswith(".keys") for name in arrays)
        scores = []
        for place in range(n_scores):
            start = f"scores.{place}."
            scores.append(Scores.of_state({n.removeprefix(start): v for n, v in arrays.items() if n.startswith(start)}))
        mine = {name.removeprefix(WORDS): values for name, values in arrays.items() if name.startswith(WORDS)}
        words = Judging(self.meaning).with_state(mine) if mine else None
        return replace(self, sums=sums, truth=truth, scores=tuple(scores), words=words)


def _counts(places: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(places, minlength=k)


def _of_classes(shares: np.ndarray) -> np.ndarray:
    """Return probabilities of all classes, of a single one that of the other too."""
    return np.concatenate([1 - shares, shares], axis=1) if shares.shape[1] == 1 else shares


def _of_probabilities(shares: np.ndarray, true: np.ndarray, is_hit: np.ndarray) -> dict[str, np.ndarray]:
    """Return what probabilities (N, K) come to beside the true classes (N,).

    Bins, each with its upper end, are by the probability of the second of two classes, or of the chosen one among more.
    """
    of_true = shares[np.arange(len(true)), true] / shares.sum(axis=1)
    told = np.log(np.clip(of_true, LEAST_PROBABILITY, 1.0))
    told_of, is_so = (shares[:, 1], true == 1) if shares.shape[1] == 2 else (shares.max(axis=1, initial=0.0), is_hit)
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], told_of)
    weighed = [np.bincount(place, weights, BINS) for weights in (None, told_of, is_so.astype(float))]
    return {"log_loss": np.array(-told.sum()), "bins": np.stack(weighed, axis=1).astype(np.float64)}


def _scores(meaning: Meaning, scores: np.ndarray, true: np.ndarray) -> tuple[Scores, ...]:
    """Return the scores of every class (N, K) against all others; of two, those of the second."""
    k = len(meaning.classes)
    if k > MOST_RANKED_CLASSES:
        return ()
    if k == 2:
        both = scores[:, -1] if scores.shape[1] == 1 or meaning.is_share else scores[:, 1] - scores[:, 0]
        return (Scores.of(both, true == 1, MOST_SCORES),)
    return tuple(Scores.of(scores[:, place], true == place, MOST_SCORES // k) for place in range(k))
