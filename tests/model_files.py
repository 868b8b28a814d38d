"""Builders of model files for tests: small networks, every way of saving them, and files that attack the reader."""

import io
import os
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch import nn

PROTOCOLS = range(6)


def network(n_inputs: int = 3, n_outputs: int = 2, seed: int = 0) -> nn.Sequential:
    """A smooth network with a batch normalisation that has seen data, in eval mode."""
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Linear(n_inputs, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, n_outputs)
    )
    layers(torch.randn(20, n_inputs))
    return layers.eval()


def rows(n_rows: int = 4, n_inputs: int = 3, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(n_rows, n_inputs, generator=torch.Generator().manual_seed(1)).to(dtype)


def quietly(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call something of torch.jit or scikit-learn whose warnings are not under test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments, **keywords)


def save_script(module: nn.Module, path: Path) -> Path:
    quietly(lambda: torch.jit.script(module).save(str(path)))
    return path


def save_trace(module: nn.Module, example: torch.Tensor, path: Path) -> Path:
    quietly(lambda: torch.jit.trace(module, example, check_trace=False).save(str(path)))
    return path


def save_pickle(content: Any, path: Path, protocol: int = pickle.DEFAULT_PROTOCOL) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def save_joblib(content: Any, path: Path, **keywords: Any) -> Path:
    joblib.dump(content, path, **keywords)
    return path


def save_legacy(content: Any, path: Path) -> Path:
    quietly(torch.save, content, path, _use_new_zipfile_serialization=False)
    return path


def save_zip(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


class Call:
    """An object whose pickle calls a function when it is read."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.parts


def touch(marker: Path) -> Call:
    """An object that creates the marker file when it is read."""
    return Call(os.system, f"touch {marker}")


def hooked_network(marker: Path) -> nn.Sequential:
    """A network of allowed layers with an attack among its hooks."""
    module = network()
    module[0]._forward_hooks[0] = touch(marker)  # type: ignore[assignment]
    return module


def object_array(marker: Path) -> np.ndarray:
    """An array of objects, which joblib stores as a pickle within the pickle."""
    array = np.empty(2, dtype=object)
    array[0] = touch(marker)
    return array


def embedded_storage(marker: Path) -> Call:
    """A tensor storage whose bytes are an attack of their own, read by torch without restriction."""
    buffer = io.BytesIO()
    quietly(torch.save, touch(marker), buffer, _use_new_zipfile_serialization=False)
    return Call(torch.storage._load_from_bytes, buffer.getvalue())


def stack_global(module: str, name: str) -> bytes:
    """The protocol 4 opcodes that push a global, its name possibly dotted."""
    return text(module) + text(name) + b"\x93"


def text(word: str) -> bytes:
    """The opcodes that push a string."""
    content = word.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def opcodes(body: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + body + b"."
