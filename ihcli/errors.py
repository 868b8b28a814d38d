"""The errors a user can meet; imports nothing of ours.

Every message is a whole answer: `<file or option>: what is wrong. Expected X, got Y. Try Z.`
It names an option as Python does, in backticks: `tolerance`, or with a value `smooth=auto`; so do warnings.
The core raises these; only the command line turns them into text and an exit code, and options into its own spelling.
"""


class IhcliError(Exception):
    """Anything the user can fix: `str(error)` is the whole message."""


class IhcliWarning(UserWarning):
    """Something to know before trusting an explanation."""


class OptionError(IhcliError):
    """An option or argument whose value cannot be used."""


class UnknownOptionError(OptionError, TypeError):
    """An argument of a function of Python that it does not have."""


class ModelError(IhcliError):
    """A model that cannot be read, or that cannot be explained as it is."""


class ModelCallError(ModelError):
    """A model whose own code raised when it was called; `reason` is its own sentence."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class UnsafeModelError(ModelError):
    """A model file that asks for code off the allow-list; nothing of it was run."""


class DataError(IhcliError):
    """A table that cannot be read, or whose columns or values do not fit."""


class RunError(IhcliError):
    """A run directory that cannot be written, or cannot be read as a run."""


class PackageError(IhcliError):
    """A package that only this needs, and that is not installed."""
