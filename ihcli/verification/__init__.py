"""Verification of a run from its own files: what must agree with what, and by how much; no model, no torch."""

from ihcli.verification.checking import verify_run
from ihcli.verification.findings import FAILED, NO_PROMISE, NOT_CHECKED, PASSED, Finding

__all__ = ["FAILED", "NOT_CHECKED", "NO_PROMISE", "PASSED", "Finding", "verify_run"]
