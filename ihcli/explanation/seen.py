"""What rows show of the model and the data beside what is explained: every output, what is true, and how far off."""

from dataclasses import dataclass, replace

import numpy as np

from ihcli.scales import LOG_PROBABILITY, LOGIT, MARGIN, PROBABILITY

HALF = {PROBABILITY: 0.5, LOG_PROBABILITY: float(np.log(0.5)), LOGIT: 0.0, MARGIN: 0.0}
"""Above which a single output decides for its class."""


@dataclass(frozen=True)
class Meaning:
    """What the outputs of a model mean.

    names        of the K outputs
    scale        what they are;  own is that of the model as it came; None: numbers of their own, as of a regressor
    are_classes  whether one output of several is chosen, the largest; a single one chooses where it has a scale
    is_share     whether the probabilities of a row add up to 1;  is_raw whether logits are what a softmax takes
    judged       index of the output that a number in the label column is the true value of; None: none
    words        how the model ends, as far as that was told
    """

    names: tuple[str, ...]
    scale: str | None
    own: str | None
    are_classes: bool
    is_share: bool
    is_raw: bool
    judged: int | None
    words: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the model chooses among, by name; none where it chooses none."""
        if len(self.names) == 1:
            return () if self.scale is None else (f"not {self.names[0]}", self.names[0])
        return self.names if self.are_classes else ()

    @property
    def may_be_numbers(self) -> bool:
        """Whether only labels can tell that a single output is no number of its own: logits look like any others."""
        return len(self.names) == 1 and self.own in (None, LOGIT)

    def chosen(self, outputs: np.ndarray) -> np.ndarray:
        """Return the class that the model chooses for each of (n, K) outputs, (n,); the first of several."""
        if outputs.shape[1] > 1 or self.scale is None:
            return outputs.argmax(axis=1)
        return (outputs[:, 0] > HALF[self.scale]).astype(np.int64)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray | None:
        """Return those of (n, K) outputs, like them; None where outputs do not tell."""
        k = outputs.shape[1]
        if self.scale == PROBABILITY:
            return outputs
        if self.scale == LOG_PROBABILITY:
            return np.exp(outputs)
        if self.scale == LOGIT and self.is_share and self.is_raw and k > 1:
            return np.exp(outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True))
        if self.scale == LOGIT or (self.scale == MARGIN and (k == 1 or (k == 2 and self.is_share))):
            return np.exp(-np.logaddexp(0.0, -outputs))
        return None

    def own_outputs(self, outputs: np.ndarray) -> np.ndarray:
        """Return (n, K) outputs as those of the model as it came."""
        shares = None if self.own == self.scale else self.probabilities(outputs)
        if shares is None:
            return outputs
        with np.errstate(divide="ignore"):
            of_shares = {LOG_PROBABILITY: np.log(shares), LOGIT: np.log(shares) - np.log1p(-shares)}
        return of_shares.get(str(self.own), shares)


@dataclass(frozen=True)
class Truth:
    """What the label column says of N rows.

    values   (N,) float64: index of the output that a label names, or of a single output its number; NaN: nothing
    missing  how many have no label
    unread   how many have one that is neither an output nor a number, and the first of these
    named    how many have the name of a single output
    words    (N,) bool: which of the unread are words, that is, no such name; None: none are
    """

    values: np.ndarray
    missing: int
    unread: int
    first_unread: str = ""
    named: int = 0
    words: np.ndarray | None = None

    @property
    def settled(self) -> "Truth":
        """The same where these are all rows: a single output that labels name is not true where they hold others."""
        if self.words is None or not self.named:
            return self
        unread = self.unread - int(self.words.sum())
        return replace(self, values=np.where(self.words, 0.0, self.values), unread=unread, words=None)


@dataclass(frozen=True)
class Nearness:
    """How far rows are from baselines at least, in standard deviations of the baselines.

    places  what is compared: ("column", its name), ("output", its name)
    least, most  (P,) of the signed distances of all rows; inf and -inf of none
    """

    places: tuple[tuple[str, str], ...]
    least: np.ndarray
    most: np.ndarray


@dataclass(frozen=True)
class Seen:
    """What N rows show, whichever of their outputs are explained.

    outputs  (N, K) of the model as it came, on the scale that is explained; NaN of rows without input
    truth    None where there is no label column;  nearness None where baselines have no spread
    """

    meaning: Meaning
    outputs: np.ndarray
    truth: Truth | None
    nearness: Nearness | None
