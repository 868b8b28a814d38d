"""Options in texts of the core, which names them as Python does, spelled as on the command line."""

import re

import click

NAMED = re.compile(r"(?<![^\s(])`([a-z_]+)(?:=(.*?))?`(?![^\s.,:;)])", re.DOTALL)
"""`tolerance` or `smooth=auto`: words between spaces, as names of strangers stand in quotes."""
SAID_SHORT = ("out",)
LIBRARY = {"engine": "engine_derivatives"}
"""What `ihcli.explain` calls otherwise than the command line."""


def spelled(text: str, *, short: bool = False, marked: bool = False) -> str:
    """Return text in which every option that the core named in backticks is spelled as the command line declares it.

    Parameters:
        short: with one letter, where the option has one.
        marked: in backticks still, as pages have it.
    """
    if "`" not in text:
        return text
    declared = _declared()

    def spell(found: re.Match[str]) -> str:
        names = declared.get(LIBRARY.get(found[1], found[1]))
        if names is None:
            return found[0]
        name = min(names, key=len) if short or found[1] in SAID_SHORT else max(names, key=len)
        told = name if found[2] is None else f"{name} {found[2]}"
        return f"`{told}`" if marked else told

    return NAMED.sub(spell, text)


def _declared() -> dict[str, list[str]]:
    """Return the spellings of every option of every command, by the name under which a command receives it."""
    context = click.get_current_context(silent=True)
    if context is None:
        return {}
    root = context.find_root().command
    commands = root.commands.values() if isinstance(root, click.Group) else (root,)
    options = (option for command in commands for option in command.params if isinstance(option, click.Option))
    return {option.name: option.opts for option in options if option.name is not None}
