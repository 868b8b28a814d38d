"""Integrated Gradients by captum."""

import numpy as np
import torch
from captum.attr import IntegratedGradients

from benchmarks.answering import Asked, answer
from benchmarks.setup import softplus_net


def main() -> None:
    """Answer for the network of as many inputs as rows have, from zeros."""
    torch.set_num_threads(1)

    def explain(rows: np.ndarray, asked: Asked) -> tuple[np.ndarray, float]:
        attribution = IntegratedGradients(softplus_net(rows.shape[1]).requires_grad_(False))
        size, steps = asked["points_a_call"], asked["steps"]
        found = attribution.attribute(torch.as_tensor(rows), target=0, n_steps=steps, internal_batch_size=size)
        return found.detach().numpy(), steps

    answer(explain)


if __name__ == "__main__":
    main()
