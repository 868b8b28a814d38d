"""What model a run explains, and how its explanation is spread: figures of the summary, in sentences for people."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from ihcli.runs.run import Run
from ihcli.scales import TAKEN_FOR_LOGITS
from ihcli.summaries.concentration import concentration
from ihcli.summaries.doubts import classes_of, doubts
from ihcli.summaries.figures import Line, figures_table, lines_of
from ihcli.summaries.judging import ENDING
from ihcli.summaries.ranking import OPPOSED, by_target, floats
from ihcli.wording import printable

MANY_ROWS = 0.25
"""Share of rows in which an attribution has another sign than the main effect, for a feature to be named."""
NAMED = 3
IN_WORDS = {
    "accuracy": "accuracy",
    "true_positive_rate": "TPR",
    "true_negative_rate": "TNR",
    "auroc": "AUROC",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "r2": "R2",
    "rmse": "RMSE",
}
"""Figures of the model beside labels, as they are called and in their order."""


@dataclass(frozen=True)
class ModelQuality:
    """What a run tells of its model, and of its explanation as a whole.

    lines    figures, see `ihcli.summaries.figures`
    opposed  by target, features that matter and whose attribution has another sign than their main effect in many
             rows, with the share of these rows
    noun     what features are called
    """

    lines: tuple[Line, ...]
    opposed: dict[str, list[tuple[str, float]]]
    noun: str = "features"

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, str | None], Line]:
        return {(line.of, line.figure, line.output if line.of != "model" else None): line for line in self.lines}

    def figure(self, name: str, of: str = "model", output: str | None = None) -> float | None:
        """Return a figure of the model, or of a class or target; None where it is not known."""
        line = self._by_name.get((of, name, output))
        return None if line is None else line.value

    @property
    def calibrated_class(self) -> str | None:
        """The class whose probability bins are of: the second of two; None: the chosen one."""
        classes = classes_of(self.lines)
        return classes[1] if len(classes) == 2 else None

    @property
    def table(self) -> pa.Table:
        """All figures, as `summary/model.parquet` holds them."""
        return figures_table(self.lines)

    def beside_labels(self) -> list[tuple[str, float]]:
        """Return what is known of the model beside labels: each figure as it is called, and its value."""
        several = self.figure("true_positive_rate") is None
        named = {**IN_WORDS, "auroc": "macro AUROC"} if several and len(classes_of(self.lines)) > 2 else IN_WORDS
        known = ((words, self.figure(name)) for name, words in named.items())
        return [(words, value) for words, value in known if value is not None]

    def model_in_words(self) -> str | None:
        """Return a sentence on how good the predictions are; None without labels."""
        figures = [f"{words} {value:.3g}" for words, value in self.beside_labels()]
        if not figures:
            return None
        largest = self._by_name.get(("model", "largest_class", None))
        if largest is not None and largest.value is not None:
            name = printable(str(largest.output))
            figures[0] += (
                f" (all labels are {name})" if largest.value == 1 else f" (always {name}: {largest.value:.3g})"
            )
        taken = " Outputs are taken for logits." if self._takes_for_logits else ""
        return f"Model, on {int(self.figure('labels') or 0):,} rows with labels: {', '.join(figures)}.{taken}"

    def effects_in_words(self, target: str) -> str | None:
        """Return a sentence on how the explanation of a target is spread; None where that is not known."""
        in_pairs = self.figure("share_of_pairs", "target", target)
        found = [f"{_percent(in_pairs)} of all effects are in pairs"] if in_pairs is not None else []
        found += filter(None, (self._makes_90(of, target) for of in ("features", "pairs")))
        return f"{'; '.join(found)}." if found else None

    def company_in_words(self, target: str) -> str | None:
        """Return a sentence on features that matter through others; None where there are none."""
        found = self.opposed.get(target)
        if not found:
            return None
        names = ", ".join(f"{printable(name)} ({_percent(share)} of rows)" for name, share in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        return f"Important through company, with an attribution of another sign than the main effect: {names}{more}."

    def warnings(self) -> Iterator[str]:
        """Yield what a user should look at before trusting the rest."""
        yield from doubts(self.lines)

    @property
    def _takes_for_logits(self) -> bool:
        """Whether a single output of numbers was taken for a logit, as labels are of two classes."""
        ending = self._by_name.get(("model", ENDING, None))
        classes = classes_of(self.lines)
        is_single = self.figure("accuracy") is not None and classes[0] == f"not {classes[-1]}"
        return is_single and ending is not None and ending.name == TAKEN_FOR_LOGITS

    def _makes_90(self, of: str, target: str) -> str | None:
        most, gini, needed = (self.figure(n, "target", target) for n in (of, f"gini_of_{of}", f"make_90_of_{of}"))
        if not most or needed is None or gini is None:
            return None
        noun, what = (self.noun, "attributions") if of == "features" else (of, "pair effects")
        return f"{int(needed):,} of {int(most):,} {noun} make 90 % of the {what} (Gini {gini:.2f})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def model_quality(run: Run) -> ModelQuality:
    """Return what a run tells of its model; of one of an older ihcli what follows of its rankings.

    Raises RunError where the run has no summary.
    """
    features, stored = run.summary_attributions(), run.summary_model()
    lines = [] if stored is None else lines_of(stored)
    if stored is None or run.all_rows:
        pairs = run.summary_interactions() if run.has_summary_of_pairs else None
        counts = run.layout.counts_occurrences
        lines = [line for line in lines if line.of != "target"] + [*concentration(features, pairs, counts=counts)]
    told = ModelQuality(tuple(lines), {})
    rankings = by_target(features) if OPPOSED in features.column_names else {}
    opposed = {target: _opposed(told, target, ranking) for target, ranking in rankings.items()}
    return ModelQuality(told.lines, opposed, run.layout.noun)


def _opposed(told: ModelQuality, target: str, ranking: pa.Table) -> list[tuple[str, float]]:
    """Return which of the features that make nine tenths have another sign than their main effects in many rows."""
    most = int(told.figure("make_90_of_features", "target", target) or 0)
    names, shares = ranking["feature"].slice(0, most).to_pylist(), floats(ranking, OPPOSED)[:most].tolist()
    return [(name, share) for name, share in zip(names, shares, strict=True) if share >= MANY_ROWS]
