"""Failures as the user meets them: one message on standard error, and an exit code."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any

import click

from ihcli.cli.showing.terminal import insist, line, lines
from ihcli.errors import IhcliError, RunError
from ihcli.wording import first_line, in_words

MISSED_TOLERANCE = 3
DEBUG = "ihcli.debug"
OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError")


class Interrupted(click.ClickException):
    """The user pressed Ctrl-C."""

    exit_code = 130

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence as it is: an interruption is no error."""
        insist(self.message)


class Ended(Interrupted):
    """The process was asked to end; the exit code is 128 and the signal, as shells have it."""

    exit_code = 143


@contextmanager
def failures_are_messages(context: click.Context) -> Iterator[None]:
    """Turn exceptions into messages of click, exit code 1; with --debug they pass with their traceback."""
    try:
        yield
    except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        raise Interrupted("Interrupted.") from None
    except Exception as error:
        if context.meta.get(DEBUG):
            sys.excepthook = _show_traceback
            raise
        raise click.ClickException(_message(error)) from error


@contextmanager
def failures_are_printable() -> Iterator[None]:
    """Let the messages of click, which repeat words of the command line, be one printable line."""
    try:
        yield
    except click.ClickException as error:
        told = error.format_message()
        # Only this one has lines of its own: the values of a choice.
        shown = lines(told) if isinstance(error, click.MissingParameter) else line(told)
        error.format_message = lambda: shown  # type: ignore[method-assign]
        raise


@contextmanager
def reading_run(path: str) -> Iterator[None]:
    """Let whatever a run that somebody altered raises, beyond what is looked for, be one message that names it."""
    try:
        yield
    except (IhcliError, click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError, MemoryError):
        raise
    except Exception as error:
        raise RunError(
            f"{path}: cannot be read as a run ({in_words(error)}). Expected what ihcli explain writes. "
            f"Try ihcli verify {path}, or again with --debug for the traceback."
        ) from error


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(lines("".join(traceback.format_exception(kind, error, trace))))


def _message(error: Exception) -> str:
    if isinstance(error, IhcliError):
        return str(error)
    name = type(error).__name__
    if name in OUT_OF_MEMORY:
        return "--memory: not enough memory. Try a smaller --memory, or fewer rows at a time with --chunk-rows."
    return f"unexpected {name}: {first_line(error)}. Try again with --debug for the traceback."


@contextmanager
def closed_pipes_end_quietly() -> Iterator[None]:
    """Exit with 0 when the reader of standard output has gone, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        # Python flushes standard output once more at its end, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(0) from None
