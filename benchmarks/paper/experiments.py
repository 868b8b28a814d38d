"""The experiments, in the order of the page, and how one of them is measured."""

import os
import time

import torch

from benchmarks.paper import (
    digits,
    draws,
    drugs,
    faithfulness,
    heart,
    pulsar,
    retraining,
    sanity,
    steps,
    table3,
    timing,
    words,
)
from benchmarks.paper.experiment import Asked
from benchmarks.paper.keeping import Measured, keep

EXPERIMENTS = {
    "table3": table3.EXPERIMENT,
    "sanity": sanity.EXPERIMENT,
    "retraining": retraining.EXPERIMENT,
    "steps": steps.EXPERIMENT,
    "timing": timing.EXPERIMENT,
    "heart": heart.EXPERIMENT,
    "pulsar": pulsar.EXPERIMENT,
    "words": words.EXPERIMENT,
    "drugs": drugs.EXPERIMENT,
    "faithfulness": faithfulness.EXPERIMENT,
    "draws": draws.EXPERIMENT,
    "digits": digits.EXPERIMENT,
}


def measure(name: str, asked: Asked) -> str:
    """Measure one experiment on one thread of this process, keep it, and return a line about it."""
    torch.set_num_threads(1)
    begun = time.monotonic()
    figures = EXPERIMENTS[name].measure(asked)
    wall_s = time.monotonic() - begun
    keep(name, Measured(figures, wall_s, os.getloadavg()[1], os.cpu_count() or 0, torch.__version__))
    return f"{wall_s:7.1f} s  {name}"
