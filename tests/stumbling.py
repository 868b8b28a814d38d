"""A network over which workers stumble at one chunk, or which ends them there, until it is mended."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor, nn


class Stumbling(nn.Module):
    """Takes four inputs; fails in worker processes when it is given two rows that begin with a certain value.

    first   that value
    mended  file whose existence ends the failures
    kills   whether the process is killed in place of an exception
    """

    def __init__(self, first: float, mended: Path, kills: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.Softplus(), nn.Linear(6, 2))
        self.first, self.mended, self.kills = torch.tensor(first), str(mended), kills

    def forward(self, x: Tensor) -> Tensor:
        if multiprocessing.parent_process() is not None and len(x) == 2 and bool(x[0, 0] == self.first):
            self._fail()
        return self.layers(x)

    def _fail(self) -> None:
        if os.path.exists(self.mended):
            return
        if self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("these rows are too much")


class Waiting(Stumbling):
    """Waits in that place, in workers, until it is mended."""

    def __init__(self, first: float, mended: Path) -> None:
        super().__init__(first, mended, kills=False)

    def _fail(self) -> None:
        while not os.path.exists(self.mended):
            time.sleep(0.02)
