"""Scales: what the explained number is, the model's own output or what can be made of it; no torch."""

from ihcli.errors import OptionError
from ihcli.wording import did_you_mean

MODEL, LOGIT, PROBABILITY, LOG_PROBABILITY, MARGIN = "model", "logit", "probability", "log-probability", "margin"
SCALES = {
    MODEL: "the model's own output",
    LOGIT: "ln p / (1 - p) of a sigmoid's probability p, what goes into a softmax",
    PROBABILITY: "p, the sigmoid or softmax of the logits",
    LOG_PROBABILITY: "ln p",
    MARGIN: "how far the logit of a class is ahead of the highest other one",
}
"""Names and what they mean."""

TAKEN_FOR_LOGITS = "numbers, taken for logits"
"""How a model ends whose outputs do not say what they are."""
TAKEN_FOR_PROBABILITIES = "numbers between 0 and 1"
"""How one ends of which only a sample of its outputs says that they may be probabilities."""
ENDINGS = {
    "a sigmoid": (PROBABILITY, False, True),
    "a softmax": (PROBABILITY, True, True),
    "the logarithm of a sigmoid": (LOG_PROBABILITY, False, True),
    "the logarithm of a softmax": (LOG_PROBABILITY, True, True),
    "a sigmoid and its complement": (PROBABILITY, True, False),
    "shares that add up to 1": (PROBABILITY, True, False),
    TAKEN_FOR_PROBABILITIES: (PROBABILITY, False, True),
    "logarithms of shares": (LOG_PROBABILITY, True, False),
    TAKEN_FOR_LOGITS: (LOGIT, True, True),
}
"""How models end, in the words that runs keep: the scale of the outputs, whether those of several classes are shares of
1, and whether logits are what a softmax takes; `ihcli.heads.scales` finds it out."""


def scale_named(name: str) -> str:
    """Return a scale as it is asked for; raises OptionError for another word."""
    if name not in SCALES:
        raise OptionError(
            f"`scale`: {name!r} is not a scale. Expected one of {', '.join(SCALES)}.{did_you_mean(name, tuple(SCALES))}"
        )
    return name


def output_in_words(scale: str, target: str) -> str:
    """Return what is explained of a target: "output yes", "logit of yes"."""
    return f"output {target}" if scale == MODEL else f"{scale} of {target}"
