"""Models whose weights are drawn anew: what is left of an explanation then is no finding about what was learned."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ihcli.errors import ModelError
from ihcli.models.model import Model


def reinitialise(model: Model, seed: int) -> None:
    """Permute the entries of every weight of a model in place, and draw the signs of those of matrices and kernels.

    It is the model randomisation of Adebayo et al. (2018). Sizes stay those that training gave, so that activations
    stay where they were, and every format can do it: TorchScript and exported programs do not tell how their layers
    were initialised. With the signs that were learned, their mean stays, and with it some of the function. Buffers
    stay: scalers and running statistics say what inputs look like; so do layers that only scale, those of diagonal
    matrices.

    Raises ModelError where nothing can be permuted: weights that are constants of a frozen graph are out of reach.
    """
    weights = list(_weights(model))
    if not weights:
        raise ModelError(
            f"{model.subject}: has no weights that can be drawn: in this {model.format} they are constants of the "
            "graph, or there are none. Expected parameters. Try the model as it was before torch.jit.freeze or "
            "torch.jit.optimize_for_inference."
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in weights:
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            drawn = weight.reshape(-1)[order].reshape(weight.shape)
            signs = 2 * torch.randint(0, 2, weight.shape, generator=generator) - 1
            weight.copy_(drawn * signs.to(drawn) if weight.dim() > 1 else drawn)


def _weights(model: Model) -> Iterator[Tensor]:
    """Yield weights once each, those that look up words too; a single number has no other order."""
    seen: set[int] = set()
    modules = [model.module] if model.text is None else [model.module, model.text.embedding]
    for module in modules:
        for name, weight in module.named_parameters():
            is_new = weight.data_ptr() not in seen
            seen.add(weight.data_ptr())
            if is_new and weight.is_floating_point() and weight.numel() > 1 and not _only_scales(module, name):
                yield weight


def _only_scales(module: nn.Module, name: str) -> bool:
    """Return whether a weight belongs to a layer whose matrix is diagonal: a scaler written as a layer."""
    layer = name.rpartition(".")[0]
    told = dict(module.named_parameters())
    matrix = told.get(f"{layer}.weight" if layer else "weight")
    if matrix is None or matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        return False
    return bool((matrix == torch.diag(torch.diagonal(matrix))).all())
