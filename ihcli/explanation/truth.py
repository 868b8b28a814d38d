"""What a label column says of rows: which output is the true one, or what the single output should be."""

from typing import Any

import numpy as np

from ihcli.explanation.seen import Meaning, Truth
from ihcli.vocabulary import label_index

FLAGS = {"true": 1.0, "false": 0.0}
MOST_LETTERS = 40


def truth_of(labels: np.ndarray, meaning: Meaning) -> Truth:
    """Return what labels (N,) say of a model with these outputs; each different label is read once."""
    are_classes = len(meaning.names) > 1 and meaning.are_classes
    values, known = np.full(len(labels), np.nan), dict[Any, float | None]()
    missing, unread = 0, []
    for row, label in enumerate(labels):
        if label is None or label != label or label == "":
            missing += 1
            continue
        if label not in known:
            known[label] = _class(label, meaning) if are_classes else _number(label, meaning)
        if (value := known[label]) is None:
            unread.append(label)
        else:
            values[row] = value
    return Truth(values, missing, len(unread), str(unread[0])[:MOST_LETTERS] if unread else "")


def _class(label: Any, meaning: Meaning) -> float | None:
    index = label_index(label, meaning.names)
    return None if index is None else float(index)


def _number(label: Any, meaning: Meaning) -> float | None:
    """Return the number that a label is; the name of a single output means that it is true."""
    word = str(label).strip()
    if len(meaning.names) == 1 and word in meaning.names:
        return 1.0
    try:
        value = FLAGS[word.lower()] if word.lower() in FLAGS else float(label)
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None
