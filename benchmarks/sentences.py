"""A sentence read by a CNN over embedded words and by a fine-tuned transformer: the strongest pairs of both.

The CNN is that of Janizek et al. (2021), trained here on whole sentences of SST. Needs these and a checkpoint, which
are not part of the project:

    make bench-sentences SST=directory CHECKPOINT=directory
"""

import gzip
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import ihcli
from benchmarks.setup import Setup, alone
from benchmarks.tables import Cell, Result

SOURCE = ("SST", "CHECKPOINT")
SENTENCE = "this movie was not bad"
BESIDE = ("a bad terrible awful movie",)
"""Explained along with it: a column is found to be looked up where rows differ in it."""
LENGTH, WIDTH, FILTERS, EPOCHS, MOST = 52, 32, 32, 6, 4
PADDING, UNKNOWN, FIRST = 0, 1, 2
COLUMNS = ("network", "dev accuracy", "positive", "empty", "rank", "pair", "effect", "share of pairs")
NOTES = (
    f'"{SENTENCE}", ih from zero embeddings at tolerance 0.01. Positive: its logit (the transformer has one '
    "for each class); empty: the same of the baseline. Share: of the sum of absolute effects of pairs.",
    f"CNN: {WIDTH} numbers a word, widths 3 and 8 of {FILTERS} filters, pooled in twos, dense 50, ReLU, dropout 0.5; "
    f"Adam 1e-3, batches of 128, {EPOCHS} epochs of 6,920 whole sentences (the paper: two epochs of more phrases). "
    f"TorchScript over {LENGTH} columns of codes of words, each looked up and one gate.",
)


class Cnn(nn.Module):
    """Codes of words to a logit."""

    def __init__(self, n_words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(n_words, WIDTH, padding_idx=PADDING)
        self.words.weight.data *= 0.1  # from torch's start it learns next to nothing of so few sentences
        self.dropped, self.pooled = nn.Dropout(0.5), nn.MaxPool1d(2)
        self.narrow, self.wide = nn.Conv1d(WIDTH, FILTERS, 3), nn.Conv1d(WIDTH, FILTERS, 8)
        positions = (LENGTH - 2) // 2 + (LENGTH - 7) // 2
        self.head = nn.Sequential(nn.Linear(FILTERS * positions, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 1))

    def forward(self, codes: Tensor) -> Tensor:
        """Return logits (n, 1) of codes (n, LENGTH)."""
        words = self.dropped(self.words(codes.long())).transpose(1, 2)
        few, many = self.pooled(torch.relu(self.narrow(words))), self.pooled(torch.relu(self.wide(words)))
        return self.head(torch.cat([few.flatten(1), many.flatten(1)], 1))


@dataclass(frozen=True)
class Sentences:
    """Words of sentences and 1 where they are positive."""

    words: list[list[str]]
    positive: Tensor

    @classmethod
    def read(cls, folder: str, split: str) -> "Sentences":
        """Read a file of SST: a line a sentence, its label first."""
        with gzip.open(Path(folder, f"stsa.binary.{split}.gz"), "rt", encoding="utf-8") as stream:
            lines = [line.split() for line in stream]
        return cls([line[1:] for line in lines], torch.tensor([float(line[0]) for line in lines]))


def measure(setup: Setup) -> list[Result]:
    """Train the CNN, and explain the sentence with it and with the checkpoint."""
    missing = [name for name in SOURCE if not os.environ.get(name)]
    if missing:
        raise SystemExit(f"sentences: needs {', '.join(missing)}. Try make bench-sentences SST=dir CHECKPOINT=dir.")
    folder, checkpoint = (os.environ[name] for name in SOURCE)
    rows = [*alone(of_cnn, folder, setup.rows(EPOCHS, 2)), *alone(of_transformer, checkpoint)]
    return [Result("sentences", "A sentence under a CNN and under a transformer", COLUMNS, rows, NOTES)]


def of_cnn(folder: str, epochs: int) -> list[list[Cell]]:
    """Return the lines of a CNN that is trained on the sentences in the folder."""
    training, dev = (Sentences.read(folder, split) for split in ("train", "dev"))
    counted = Counter(word for words in training.words for word in words).most_common()
    vocabulary = {word: FIRST + i for i, (word, count) in enumerate(counted) if count > 1}
    torch.manual_seed(0)
    model = trained(Cnn(FIRST + len(vocabulary)), coded(training.words, vocabulary), training.positive, epochs)
    with torch.no_grad():
        right = (model(coded(dev.words, vocabulary))[:, 0] > 0) == (dev.positive > 0)
    shown = coded([text.split() for text in (SENTENCE, *BESIDE)], vocabulary).numpy()
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "cnn.pt")
        torch.jit.script(model).save(str(path))
        found = ihcli.explain(ihcli.load_model(path), shown, baseline="zeros")
    words = SENTENCE.split()
    about: list[Cell] = ["CNN", float(right.float().mean())]
    about += [float(found.prediction[0]), float(found.baseline_prediction[0])]
    return [[*about, *line] for line in strongest(found.interactions[0][: len(words), : len(words)], words)]


def coded(sentences: Sequence[Sequence[str]], vocabulary: dict[str, int]) -> Tensor:
    """Return codes (n, LENGTH) of words, cut or padded."""
    codes = [[vocabulary.get(word, UNKNOWN) for word in words] for words in sentences]
    return torch.tensor([(some + [PADDING] * LENGTH)[:LENGTH] for some in codes])


def trained(model: nn.Module, codes: Tensor, positive: Tensor, epochs: int) -> nn.Module:
    """Return the model, trained."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for some in torch.randperm(len(codes)).split(128):
            loss = nn.functional.binary_cross_entropy_with_logits(model(codes[some])[:, 0], positive[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def of_transformer(checkpoint: str) -> list[list[Cell]]:
    """Return the lines of a checkpoint."""
    found = ihcli.explain_texts(ihcli.load_model(checkpoint), [SENTENCE], target="POSITIVE")
    about: list[Cell] = ["transformer", "", float(found.prediction[0]), float(found.baseline_prediction[0])]
    return [[*about, *line] for line in strongest(found.interactions[0], list(found.units[0]))]


def strongest(gamma: np.ndarray, names: Sequence[str]) -> list[list[Cell]]:
    """Return rank, names, effect and share of the strongest pairs."""
    first, second = np.triu_indices(len(gamma), 1)
    effects = gamma[first, second] + gamma[second, first]
    order = np.argsort(-np.abs(effects), kind="stable")[:MOST]
    total = np.abs(effects).sum()
    return [
        [rank, f"{names[first[k]]} x {names[second[k]]}", float(effects[k]), f"{abs(effects[k]) / total:.1%}"]
        for rank, k in enumerate(order, 1)
    ]
