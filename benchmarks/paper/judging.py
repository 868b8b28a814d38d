"""How good a classifier is, in the papers' four figures."""

from collections.abc import Sequence

import numpy as np

from benchmarks.paper.experiment import mean_of
from benchmarks.paper.ranks import roc_area

QUALITIES = ("accuracy", "TPR", "TNR", "AUROC")


def quality_of(probability: np.ndarray, positive: np.ndarray) -> list[float]:
    """Return accuracy, true positive and true negative rate at one half, and the area under the ROC curve."""
    said = probability > 0.5
    right = said == positive
    shares = (right.mean(), right[positive].mean(), right[~positive].mean(), roc_area(probability, positive))
    return [float(share) for share in shares]


def in_words(qualities: Sequence[Sequence[float]]) -> str:
    """Return the means of several networks."""
    means = (mean_of([one[place] for one in qualities]) for place in range(len(QUALITIES)))
    return ", ".join(f"{name} {mean:.3f}" for name, mean in zip(QUALITIES, means, strict=True))
