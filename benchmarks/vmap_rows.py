"""Sums over points by torch.func: vmap of grad, and of forward over reverse."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.answering import Asked, Points, answer, summed
from benchmarks.setup import softplus_net


def main() -> None:
    """Answer for the network of as many inputs as rows have."""
    torch.set_num_threads(1)

    def explain(rows: np.ndarray, asked: Asked) -> tuple[np.ndarray, float]:
        net, points = softplus_net(rows.shape[1]).requires_grad_(False), Points.read(asked["points"])
        gradient = torch.func.grad(lambda z: net(z)[0])
        gradients = torch.func.vmap(gradient)
        hessians = torch.func.vmap(torch.func.jacfwd(lambda z: (gradient(z),) * 2, has_aux=True))

        def sums(some: Points, x: np.ndarray) -> np.ndarray:
            start, t, first = map(torch.as_tensor, (some.start, some.t, some.first))
            delta = torch.as_tensor(x)[:, None] - start
            z = (start + t[:, None] * delta).flatten(0, 1)
            if some.second is None:
                return _weighted(gradients(z), delta, first).numpy()
            bends, slopes = hessians(z)
            bends = bends.unflatten(0, delta.shape[:2])
            gamma = torch.einsum("rqij,rqi,rqj->rij", bends, delta * torch.as_tensor(some.second)[:, None], delta)
            gamma.diagonal(dim1=1, dim2=2).add_(_weighted(slopes, delta, first))
            return gamma.numpy()

        return summed(sums, rows, points, asked["points_a_call"]), len(points)

    answer(explain)


def _weighted(slopes: Tensor, delta: Tensor, first: Tensor) -> Tensor:
    return torch.einsum("rqd,rqd,q->rd", slopes.unflatten(0, delta.shape[:2]), delta, first)


if __name__ == "__main__":
    main()
