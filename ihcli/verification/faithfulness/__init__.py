"""How faithful values of units are to a model: units are kept, removed and moved, and its outputs say what matters."""

from ihcli.verification.faithfulness.curves import Curve, curves
from ihcli.verification.faithfulness.metrics import METRICS, Metric

__all__ = ["METRICS", "Curve", "Metric", "curves"]
