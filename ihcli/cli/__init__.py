"""The command line: one file a command; each parses, makes one library call and prints.

Only click is imported here and in the commands; what computes or draws is imported where it is used, so that help
answers at once.
"""

import os

# Threads that spin while they wait take the cores from the writer and from whatever else the machine does: 1,000 rows
# at D = 500 took 6.7 s and take 5.4, and on a busy machine it is the difference between seconds and minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is imported
# Matrices are made anew for each part, and the kernel gives pages of 4 KiB one by one: a tenth of the time that rows of
# D = 500 take to explain. Of tensors of 2 MiB and more torch asks for large pages, where the system gives them.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

from ihcli.cli import process
from ihcli.cli.group import main

__all__ = ["main", "start"]


def start() -> None:
    """Run the command as a process of its own."""
    process.own()
    main(prog_name="ihcli")
