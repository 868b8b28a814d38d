"""What is asked of an explanation, whatever it explains."""

from dataclasses import dataclass, field

from ihcli.data.sampling import SAMPLING_TOLERANCE
from ihcli.integration.effort import Effort
from ihcli.methods import DEFAULT
from ihcli.models.targets import UNNAMED, OutputNames
from ihcli.scales import MODEL


@dataclass(frozen=True)
class Settings:
    """What is asked of an explanation, beside model, rows, groups and baselines.

    scale             on which outputs are explained, see `ihcli.heads.scales`
    outputs           what outputs are called, beside what the model's file says
    smooth            "auto", "scan", "none" or beta
    smooth_tolerance  most drift and share of changed predictions that "auto" admits
    smooth_stable     agreement of pairs with those of sharper betas that is asked for, see `ihcli.explainers.scanning`
    memory_bytes      bound on the working set; None: a share of what is free
    engine            "auto", "mlp", "operations" or "autograd": who takes derivatives
    whole_matrices    whether each row's matrix is wanted whole, or its largest entries and sums alone
    sees_model        whether it is told what rows show of the model as well, which runs keep
    sampling_tolerance  sampling error that decides how many baselines are drawn, where nobody says how many
    """

    method: str = DEFAULT
    target: str | int | None = None
    scale: str = MODEL
    outputs: OutputNames = UNNAMED
    effort: Effort = field(default_factory=Effort)
    smooth: str | float = "auto"
    smooth_tolerance: float = 0.01
    smooth_stable: float | None = None
    memory_bytes: int | None = None
    engine: str = "auto"
    sampling_tolerance: float = SAMPLING_TOLERANCE
    whole_matrices: bool = True
    sees_model: bool = False
