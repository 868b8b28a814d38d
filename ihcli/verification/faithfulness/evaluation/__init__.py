"""An evaluation of a run: its rows joined with model and data again, and held against what the model makes of them."""

from ihcli.verification.faithfulness.evaluation.evaluating import Cost, Evaluation
from ihcli.verification.faithfulness.evaluation.opening import Asked, open_evaluation

__all__ = ["Asked", "Cost", "Evaluation", "open_evaluation"]
