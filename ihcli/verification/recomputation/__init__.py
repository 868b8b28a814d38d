"""Recomputation of a sample of a run's rows, from the model and the data: truth to hold reported errors against."""

from ihcli.verification.recomputation.drawing import Question
from ihcli.verification.recomputation.recomputing import recompute

__all__ = ["Question", "recompute"]
