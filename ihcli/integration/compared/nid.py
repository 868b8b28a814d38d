"""Neural Interaction Detection: how strongly weights alone let two inputs come together, without any data.

    s_ij = sum over units u of the first layer of  z_u min(|W_1[u, i]|, |W_1[u, j]|),   z = |w_out| |W_L| ... |W_2|

Tsang, Cheng, Liu (2018). The same for every row, and never negative; of chains of affine layers only.
"""

import numpy as np

from ihcli.derivatives.chain import Chain


def strengths(chain: Chain) -> np.ndarray:
    """Return s of every two inputs and each of K outputs before the head, (K, D, D), 0 on the diagonal.

    Cost: K D^2 times the width of the first layer.
    """
    first, *others = (affine.weight.detach().abs().double().cpu().numpy() for affine in chain.affines)
    if not others:
        return np.zeros((len(first), first.shape[1], first.shape[1]))
    reach = others[-1]
    for weight in reversed(others[:-1]):
        reach = reach @ weight
    d = first.shape[1]
    found = np.zeros((len(reach), d, d))
    for i in range(d):
        shared = np.minimum(first[:, i, None], first)  # (units, D)
        found[:, i] = reach @ shared
        found[:, i, i] = 0
    return found
