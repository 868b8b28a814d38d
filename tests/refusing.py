"""What refusing a hostile file may cost, and what the refusal says: one message that names the file and the culprit."""

import subprocess
from pathlib import Path

from prepared import python

MOST_GROWTH_MIB, MOST_SECONDS = 300, 20
"""What the largest refusal may add to a process, and how long it may take."""
MEASURED = """
import resource, sys, time
from ihcli.errors import ModelError
from ihcli.models import load_model
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    load_model(sys.argv[1])
except ModelError as error:
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(grown // 1024, time.process_time() - started, error)
"""


def assert_is_one_message(message: str, path: Path, culprit: str) -> None:
    assert culprit in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 1500


def assert_refused_within_bounds(path: Path, culprit: str) -> None:
    """Load the file in a process of its own."""
    done = subprocess.run([python(), "-c", MEASURED, path], capture_output=True, text=True, check=True, timeout=120)
    grown_mib, seconds, message = done.stdout.split(maxsplit=2)
    assert_is_one_message(message.removesuffix("\n"), path, culprit)
    assert int(grown_mib) < MOST_GROWTH_MIB
    assert float(seconds) < MOST_SECONDS
