"""`python -m ihcli`: the command line."""

from ihcli.cli import start

if __name__ == "__main__":
    start()
