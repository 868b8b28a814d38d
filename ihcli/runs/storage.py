"""What is stored of the interactions of a row."""

from dataclasses import dataclass
from typing import Literal

from ihcli.errors import OptionError


@dataclass(frozen=True)
class InteractionStorage:
    """What a run stores of the interactions of a row: the whole matrix, its `top` largest pairs, or nothing."""

    kind: Literal["full", "top", "none"] = "full"
    top: int = 0

    @classmethod
    def parse(cls, option: str) -> "InteractionStorage":
        """Read "full", "top:K" or "none"; raises OptionError."""
        if option == "full":
            return cls("full")
        if option == "none":
            return cls("none")
        kind, _, count = option.partition(":")
        if kind == "top" and count.isdecimal() and int(count) > 0:
            return cls("top", int(count))
        raise OptionError(
            f"`interactions={option}`: is not understood. Expected full, top:K with K at least 1, or none."
        )


FULL = InteractionStorage()
