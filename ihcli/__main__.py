"""`python -m ihcli`: the command line."""

from ihcli.cli import main

if __name__ == "__main__":
    main(prog_name="ihcli")
