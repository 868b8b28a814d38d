"""Expected Gradients by shap's GradientExplainer, which draws a baseline and a place on the path for each gradient."""

import sys

import numpy as np
import shap
import torch

from benchmarks.answering import Asked, answer
from benchmarks.setup import softplus_net


def main() -> None:
    """Answer for the network of as many inputs as rows have, over the baselines in WORK.npz."""
    torch.set_num_threads(1)
    baselines = torch.as_tensor(np.load(sys.argv[1])["baselines"])

    def explain(rows: np.ndarray, asked: Asked) -> tuple[np.ndarray, float]:
        explainer = shap.GradientExplainer(softplus_net(rows.shape[1]), baselines, batch_size=asked["points_a_call"])
        found = explainer.shap_values(torch.as_tensor(rows), nsamples=asked["draws"], rseed=0)
        return np.asarray(found).reshape(rows.shape), asked["draws"]

    answer(explain)


if __name__ == "__main__":
    main()
