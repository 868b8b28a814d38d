"""Rows explained by ihcli: the whole call, checks of the model included."""

import sys
import warnings

import numpy as np
import torch

import ihcli
from benchmarks.answering import Asked, answer
from benchmarks.setup import softplus_net


def main() -> None:
    """Answer for the network of as many inputs as rows have, over so many baselines drawn of those in WORK.npz."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    saved = np.load(sys.argv[1])

    def explain(rows: np.ndarray, asked: Asked) -> tuple[np.ndarray, float]:
        net, method = softplus_net(rows.shape[1]), asked["method"]
        baselines = saved["baselines"]
        if asked.get("exactly"):
            net, rows, baselines = net.double(), rows.astype(np.float64), baselines.astype(np.float64)
        effort = {name: asked[name] for name in ("tolerance", "steps") if name in asked}
        if method in ("eg", "eh"):
            start = {"baseline": baselines, "baseline_rows": asked["baselines"]}
        else:
            start = {"baseline": baselines[0]}
        found = ihcli.explain(net, rows, method=method, smooth="none", **start, **effort)
        values = found.attributions if found.interactions is None else found.interactions
        return values, float(found.evaluations.mean())

    answer(explain)


if __name__ == "__main__":
    main()
