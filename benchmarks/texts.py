"""Integrated Hessians of sentences under a fine-tuned transformer, against the published procedure on the same ones.

Needs a checkpoint and texts, which are not part of the project:

    make bench-texts CHECKPOINT=directory TEXTS=table COLUMN=name
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.setup import Setup, alone, watch
from benchmarks.tables import Cell, Result
from ihcli import load_model
from ihcli.data.texts import open_texts
from ihcli.explainers.explainer import Explainer
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.integration.effort import Effort
from ihcli.models import Model
from ihcli.models.texts import EncodedText
from ihcli.readers.texts import TextReader

SOURCE = ("CHECKPOINT", "TEXTS", "COLUMN")
FIRST, SENTENCES, STEP = 200, 8, 2
GRID = (16, 16)
BATCH_POINTS = 32
TOLERANCE, TRUTH = 0.01, 5e-4
COLUMNS = (
    "implementation",
    "sentences",
    "s per sentence",
    "evaluations per sentence",
    "median error",
    "largest error",
    "within 1 %",
    "peak MiB",
    "time, times ihcli",
    "error, times ihcli",
)
NOTES = (
    f"ihcli: explain at tolerance {TOLERANCE:g}, checks left out, as of one sentence after the other; the published "
    f"procedure: alpha-beta grid of {GRID[0]} x {GRID[1]} points, a second backward pass per token, {BATCH_POINTS} "
    "points in a call. Zero-embedding baseline, units are tokens for both. Ratios over the sentences that both saw.",
    f"Error: relative L1 error of a sentence's interactions, against ihcli at tolerance {TRUTH:g}. Seconds: of CPU "
    "time of one thread, on a GPU of wall time.",
)


Source = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What one implementation took and gave: arrays over its sentences, peak memory, and words about the model."""

    errors: np.ndarray
    evaluations: np.ndarray
    seconds: np.ndarray
    peak_mib: float
    about: str = ""

    def line(self, name: str, time_ratio: float, error_ratio: float) -> list[Cell]:
        """Return the line of the table."""
        return [
            name,
            len(self.errors),
            float(self.seconds.mean()),
            float(self.evaluations.mean()),
            float(np.median(self.errors)),
            float(self.errors.max()),
            f"{np.mean(self.errors <= TOLERANCE):.1%}",
            self.peak_mib,
            time_ratio,
            error_ratio,
        ]


def measure(setup: Setup) -> list[Result]:
    """Measure both on sentences spread over the first of the table, one after the other."""
    missing = [name for name in SOURCE if not os.environ.get(name)]
    if missing:
        raise SystemExit(
            f"texts: needs {', '.join(missing)}. Try make bench-texts CHECKPOINT=dir TEXTS=file COLUMN=name."
        )
    rows, about = lines(setup)
    return [Result("texts", "Integrated Hessians of sentences", COLUMNS, rows, (*NOTES, about))]


def lines(setup: Setup, device: str = "cpu") -> tuple[list[list[Cell]], str]:
    """Return the lines of both on a device, and words about the model."""
    source = tuple(os.environ[name] for name in SOURCE)
    count, step = setup.rows(SENTENCES, 3), setup.rows(STEP, 2)
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder, "truth.pt")
        ours = alone(_ours, source, count, truth, device)
        theirs = alone(_theirs, source, count, step, truth, device)
    time_ratio = float(theirs.seconds.sum() / ours.seconds[::step].sum())
    error_ratio = float(np.median(theirs.errors) / np.median(ours.errors[::step]))
    return [ours.line("ihcli", 1.0, 1.0), theirs.line("published procedure", time_ratio, error_ratio)], ours.about


def _ours(source: Source, count: int, truth: Path, device: str) -> Found:
    model, texts = _opened(source, count, device)
    explainer, finer = (_explainer(model, texts, tolerance) for tolerance in (TOLERANCE, TRUTH))
    explainer.explain(texts[:1])  # the first call pays for starting up
    seen = watch(lambda: [_timed(lambda text=text: explainer.explain(text), device) for text in texts[:, None]], device)
    found = [explanation for explanation, _ in seen.value]
    torch.save([torch.as_tensor(finer.explain(text).interactions[0]) for text in texts[:, None]], truth)
    lengths = [len(explanation.units[0]) for explanation in found]
    return Found(
        errors=_errors([explanation.interactions[0] for explanation in found], torch.load(truth)),
        evaluations=np.array([int(explanation.evaluations[0]) for explanation in found]),
        seconds=np.array([seconds for _, seconds in seen.value]),
        peak_mib=seen.peak_mib,
        about=f"{model.format}; {np.mean(lengths):.1f} tokens a sentence on average, {max(lengths)} at most.",
    )


def _theirs(source: Source, count: int, step: int, truth: Path, device: str) -> Found:
    model, texts = _opened(source, count, device)
    encoded = TextReader("token").on(model).encode(texts[::step]).values.tolist()
    seen = watch(
        lambda: [_timed(lambda text=text: published_interactions(model, text).cpu(), device) for text in encoded],
        device,
    )
    return Found(
        errors=_errors([gamma.numpy() for gamma, _ in seen.value], torch.load(truth)[::step]),
        evaluations=np.full(len(encoded), GRID[0] * GRID[1]),
        seconds=np.array([seconds for _, seconds in seen.value]),
        peak_mib=seen.peak_mib,
    )


def published_interactions(model: Model, text: EncodedText) -> Tensor:
    """Return Gamma (L, L) of the predicted output from the zero embedding, as Janizek et al. (2021) compute it."""
    x, start = model.text.inputs([text]), model.text.baseline([text], "zeros")
    with torch.no_grad():
        target = int(model.outputs(x).argmax())
    k, m = GRID
    t = torch.outer(torch.arange(1, k + 1) / k, torch.arange(1, m + 1) / m).flatten().to(x)
    delta, width = x - start, model.text.width

    def per_token(values: Tensor) -> Tensor:
        return (values * delta).unflatten(1, (-1, width)).sum(2)

    gamma = x.new_zeros(len(text.ids), len(text.ids))
    for some in t.split(BATCH_POINTS):
        z = (start + some[:, None] * delta).requires_grad_()
        (gradient,) = torch.autograd.grad(model.outputs(z)[:, target].sum(), z, create_graph=True)
        first = per_token(gradient)
        for token in range(len(gamma)):
            (second,) = torch.autograd.grad(first[:, token].sum(), z, retain_graph=True)
            gamma[token] += (some[:, None] * per_token(second)).sum(0) / len(t)
        gamma.diagonal().add_(first.detach().sum(0) / len(t))
    return gamma


def _opened(source: Source, count: int, device: str) -> tuple[Model, np.ndarray]:
    checkpoint, path, column = source
    if device == "cpu":
        torch.set_num_threads(1)
    texts = open_texts(path, column).head(FIRST).inputs
    return load_model(checkpoint, device=device), texts[:: max(1, len(texts) // count)][:count]


def _explainer(model: Model, texts: np.ndarray, tolerance: float) -> Explainer:
    return prepare(model, TextReader("token"), texts, Settings(effort=Effort(tolerance)))


def _timed(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    return work(), clock() - started


def _errors(found: Sequence[np.ndarray], truth: Sequence[Tensor]) -> np.ndarray:
    pairs = zip(found, truth, strict=True)
    return np.array([np.abs(gamma - exact.numpy()).sum() / np.abs(exact.numpy()).sum() for gamma, exact in pairs])
