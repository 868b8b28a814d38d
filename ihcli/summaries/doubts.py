"""What figures of the model give reason to doubt, in sentences: said at the end of a run, and above what it shows."""

import math
from collections.abc import Iterator, Sequence

from ihcli.scales import TAKEN_FOR_LOGITS, TAKEN_FOR_PROBABILITIES
from ihcli.summaries.figures import Line
from ihcli.summaries.judging import ENDING
from ihcli.wording import listed, printable, quoted

LEAST_ROWS = 20
"""Of fewer rows it is nothing unusual that all are of one class."""
MANY_SPREADS = 20.0
"""Standard deviations of the baselines: nearer rows can be of other people, and farther ones hardly are."""
MOST_OFF = 2.0
"""Standard deviations of labels that predictions of numbers may be off: a model that says their mean is off by 1."""
NAMED = 3


def doubts(lines: Sequence[Line]) -> Iterator[str]:
    """Yield what a user should look at before trusting the rest, from the figures of a summary."""
    yield from _of_classes(lines)
    yield from _of_distance(lines)
    yield from _of_numbers(lines)
    for line in lines:
        if line.figure == "labels_unread":
            yield (
                f"{int(line.value or 0):,} labels are none of the model's outputs and are left out, first "
                f"{quoted(str(line.name))}. {_expected(classes_of(lines))}"
            )


def _expected(classes: Sequence[str]) -> str:
    """Return what labels are to be, and how outputs get the names of theirs."""
    if len(classes) == 2 and classes[0] == f"not {classes[1]}":
        return (
            "Expected 0, 1 or the name of the output. Try `output_names` with that word of the label column which the "
            "output is of."
        )
    outputs = f"{listed(classes)}, or an index" if len(classes) > 2 else "0, 1 or the name of an output"
    return f"Expected {outputs}. Try `output_names` with the words of the label column, in the order of the outputs."


def classes_of(lines: Sequence[Line]) -> list[str]:
    """Return the classes that the model chooses among; none of a regressor."""
    return [str(line.output) for line in lines if (line.of, line.figure) == ("class", "chosen")]


def _of_classes(lines: Sequence[Line]) -> Iterator[str]:
    of_model = {line.figure: line.value for line in lines if line.of == "model"}
    rows = int(of_model.get("rows") or 0)
    if rows < LEAST_ROWS or of_model.get("largest_class") == 1 or not _are_surely_classes(lines):
        return
    for line in lines:
        if (line.of, line.figure, line.value) == ("class", "chosen", rows):
            yield f"every row is class {printable(str(line.output))}: all {rows:,} predictions. Is that so in the data?"


def _are_surely_classes(lines: Sequence[Line]) -> bool:
    """Return whether the model's end, the names of several outputs or labels say that they are classes, not numbers.

    A regressor may well give numbers between 0 and 1.
    """
    of_model = {line.figure: line for line in lines if line.of == "model"}
    ending, labels = of_model.get(ENDING), of_model.get("labels")
    is_told = ending is not None and ending.name not in (TAKEN_FOR_LOGITS, TAKEN_FOR_PROBABILITIES)
    has_labels = labels is not None and bool(labels.value)
    classes = classes_of(lines)
    are_named = classes != [str(place) for place in range(len(classes))] and classes[0] != f"not {classes[-1]}"
    return is_told or has_labels or are_named


def _of_numbers(lines: Sequence[Line]) -> Iterator[str]:
    """Yield that labels look wrong where predictions are farther off than those of any model that learnt of them."""
    for line in lines:
        if (line.of, line.figure) != ("model", "r2") or line.value is None or line.rows < LEAST_ROWS:
            continue
        off = math.sqrt(1 - line.value)
        if off > MOST_OFF:
            yield (
                f"predictions are off by {off:,.3g} standard deviations of the labels (R2 {line.value:.3g}): are these "
                "on another scale than the model's output, or of another column? Try `label` with the column that it "
                "was trained to predict, in the units it was given in."
            )


def _of_distance(lines: Sequence[Line]) -> Iterator[str]:
    far = [line for line in lines if line.figure == "nearest_spreads" and (line.value or 0) >= MANY_SPREADS]
    for kind, of in (("predictions", "output"), ("rows", "column")):
        found = [line for line in far if line.of == of]
        if found:
            where = f" in {listed([str(line.name) for line in found], NAMED)}" if of == "column" else ""
            most = max(line.value or 0 for line in found)
            yield (
                f"{kind} lie at least {most:,.0f} baseline spreads away{where}: is the data scaled as in training, and "
                "as the baselines are?"
            )
