"""`ihcli completion`: the script by which a shell completes the words of a command."""

import click

from ihcli.cli.asking.computation import common_options
from ihcli.cli.asking.sections import SETTINGS, SectionedCommand

VARIABLE = "_IHCLI_COMPLETE"
"""By which click is asked for the words, as it is called after the command."""


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Print what completes words in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes commands, options and their values with the Tab key.

    Methods, kinds of pictures and formats are completed, files, and of a RUN its features, targets and keys. Put the
    script where the shell looks for it, and start a new one:

    \b
    ihcli completion bash > ~/.local/share/bash-completion/completions/ihcli
    ihcli completion zsh > ~/.zfunc/_ihcli                  with fpath+=~/.zfunc before compinit in ~/.zshrc
    ihcli completion fish > ~/.config/fish/completions/ihcli.fish
    eval "$(ihcli completion bash)"                         for this shell alone
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "ihcli", VARIABLE).source())
