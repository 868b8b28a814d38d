"""The command line: one file a command; each parses, makes one library call and prints.

Only click is imported here and in the commands; what computes or draws is imported where it is used, so that help
answers at once.
"""

from ihcli.cli.group import main

__all__ = ["main"]
