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
    missing, unread, named = 0, list[int](), 0
    for row, label in enumerate(labels):
        if label is None or label != label or label == "":
            missing += 1
            continue
        if label not in known:
            known[label] = _class(label, meaning) if are_classes else _number(label, meaning)
        named += not are_classes and _is_name(label, meaning)
        if (value := known[label]) is None:
            unread.append(row)
        else:
            values[row] = value
    first = str(labels[unread[0]])[:MOST_LETTERS] if unread else ""
    words = None
    if len(meaning.names) == 1 and meaning.classes and unread:
        words = np.zeros(len(labels), bool)
        words[[row for row in unread if isinstance(labels[row], str)]] = True
    return Truth(values, missing, len(unread), first, named, words)


def _class(label: Any, meaning: Meaning) -> float | None:
    index = label_index(label, meaning.names)
    return None if index is None else float(index)


def _number(label: Any, meaning: Meaning) -> float | None:
    """Return the number that a label is; the name of a single output means that it is true."""
    if _is_name(label, meaning):
        return 1.0
    word = str(label).strip()
    try:
        value = FLAGS[word.lower()] if word.lower() in FLAGS else float(label)
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def _is_name(label: Any, meaning: Meaning) -> bool:
    return len(meaning.names) == 1 and str(label).strip() in meaning.names
