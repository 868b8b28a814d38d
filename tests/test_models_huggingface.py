"""Hugging Face checkpoints: logits from embeddings are those from ids, and what is not whole is refused."""

from pathlib import Path

import checkpoints
import pytest
import torch

from ihcli.models import load_model


@pytest.mark.parametrize("name", checkpoints.ARCHITECTURES)
def test_every_architecture_is_read(name: str, tmp_path: Path) -> None:
    model = load_model(checkpoints.save(tmp_path, name))
    texts = model.text.encode(["this movie was not bad"] * 2)
    outputs = model.outputs(model.text.inputs(texts))
    assert outputs.shape == (2, 2)
    assert torch.allclose(outputs[0], outputs[1], atol=1e-5)
