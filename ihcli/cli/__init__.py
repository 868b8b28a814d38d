"""The command line: one file a command; each parses, makes one library call and prints.

Only click is imported here and in the commands; what computes or draws is imported where it is used, so that help
answers at once.
"""

import os

# Threads that spin while they wait take the cores from the writer and from whatever else the machine does: 1,000 rows
# at D = 500 took 6.7 s and take 5.4, and on a busy machine it is the difference between seconds and minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is imported

from ihcli.cli import process
from ihcli.cli.group import main

__all__ = ["main", "start"]


def start() -> None:
    """Run the command as a process of its own."""
    process.own()
    main(prog_name="ihcli")
