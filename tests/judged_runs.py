"""Small runs over rows with labels, of classifiers, a regressor and texts, explained by the command itself."""

from pathlib import Path

import checkpoints
import numpy as np
import pandas as pd
import torch
from click.testing import CliRunner
from model_files import save_script
from torch import nn

from ihcli.cli import main

FEATURES = ("age", "[bmi]", "blood pressure", "d")
N_ROWS = 60
MISSING_ROW = 7
WORDS = ("north sea", "south coast", "north coast")
TEXTS = (
    "this movie was not bad",
    "good",
    "a bad, terrible, awful movie",
    "not a boring film",
    "films are good not bad",
)


class Tail(nn.Module):
    """A network that ends as it is told to, and chooses every class for some rows."""

    def __init__(self, n_outputs: int, tail: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, n_outputs))
        self.tail = nn.Identity() if tail is None else tail
        with torch.no_grad():
            self.body[2].weight *= 3
            self.body[2].bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, (P, K)."""
        outputs: torch.Tensor = self.tail(self.body(x))
        return outputs


def table_of(n_classes: int | None) -> pd.DataFrame:
    """Return rows with a key of two words and a label that has nothing to do with the features.

    n_classes  of the label, by name where there are three; None: it is a number
    """
    rng = np.random.default_rng(1)
    found = pd.DataFrame(rng.standard_normal((N_ROWS, len(FEATURES))), columns=list(FEATURES))
    found["id"] = [f"{WORDS[row % len(WORDS)]} {row}" for row in range(N_ROWS)]
    if n_classes is None:
        found["truth"] = rng.standard_normal(N_ROWS) * 3
    else:
        drawn = rng.integers(0, n_classes, N_ROWS)
        found["truth"] = [("low", "mid", "high")[place] for place in drawn] if n_classes == 3 else drawn
    return found


def outputs_of(module: Tail, table: pd.DataFrame) -> np.ndarray:
    """Return what a network gives of the rows of a table, (N, K) float64."""
    with torch.no_grad():
        found: np.ndarray = module(torch.tensor(table[list(FEATURES)].to_numpy(), dtype=torch.float32)).double().numpy()
    return found


def explained(folder: Path, module: Tail, table: pd.DataFrame, *options: object) -> Path:
    """Explain a network over a table, whose features these are in any case, and return where the run is."""
    folder.mkdir(parents=True, exist_ok=True)
    save_script(module.eval(), folder / "net.pt")
    table.to_csv(folder / "table.csv", index=False)
    features = ",".join(FEATURES)
    return _asked(folder, folder / "net.pt", folder / "table.csv", "--features", features, "--key", "id", *options)


def explained_texts(folder: Path, *options: object) -> Path:
    """Explain a tiny checkpoint over texts with labels, and return where the run is."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints.save(folder / "bert", "bert")
    table = pd.DataFrame({"sentence": TEXTS, "truth": ["NEGATIVE", "POSITIVE"] * 2 + ["POSITIVE"]})
    table.to_csv(folder / "texts.csv", index=False)
    return _asked(folder, folder / "bert", folder / "texts.csv", "--text", "sentence", *options)


def _asked(folder: Path, *words: object) -> Path:
    arguments = [str(word) for word in ("explain", *words, "-o", folder / "run", "--overwrite", "--quiet")]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "run"
