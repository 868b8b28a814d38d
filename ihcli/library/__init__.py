"""The front door: what Python calls, and what it gets back. What only looks at results imports no torch."""

from ihcli.errors import IhcliWarning

__all__ = ["IhcliWarning"]
