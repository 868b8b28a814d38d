"""Saturation and negation in sentences, of Janizek, Sturmfels and Lee (2021), by a checkpoint that reads texts."""

import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

import ihcli
from benchmarks.paper.experiment import Asked, Claim, Experiment, Grid, Section
from benchmarks.tables import Cell

TARGET = "NEGATIVE"
ADJECTIVES = ("bad", "terrible", "awful", "horrible")
SATURATING = [f"a {' , '.join(ADJECTIVES[:n])} movie" for n in range(1, len(ADJECTIVES) + 1)]
NEGATED, FUNNY = "this movie was not bad", "a painfully funny movie"
SENTENCES = [*SATURATING, NEGATED, FUNNY]


@dataclass(frozen=True)
class Figures:
    """For each sentence: words, its output and that of the baseline, attributions, and effects of pairs as a matrix."""

    words: list[list[str]]
    prediction: list[float]
    baseline: list[float]
    attributions: list[list[float]]
    effects: list[list[list[float]]]
    error: float


def measure(asked: Asked) -> Figures:
    """Explain the sentences word by word from zero embeddings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ihcli.IhcliWarning)
        found = ihcli.explain_texts(ihcli.load_model(str(asked.checkpoint)), SENTENCES, target=TARGET)
    return Figures(
        words=[list(units) for units in found.units],
        prediction=[float(value) for value in found.prediction],
        baseline=[float(value) for value in found.baseline_prediction],
        attributions=[values.tolist() for values in found.attributions],
        effects=[(2 * values).tolist() for values in found.interactions],
        error=float(np.max(found.relative_error)),
    )


def _effect(found: Figures, sentence: str, one: str, other: str) -> float:
    place = SENTENCES.index(sentence)
    words = found.words[place]
    return found.effects[place][words.index(one)][words.index(other)]


def _saturation(found: Figures) -> list[list[float]]:
    """Return of each sentence its output, the attribution of an adjective, effects of two, and of one with movie."""
    lines = []
    for place, words in enumerate(found.words[: len(SATURATING)]):
        effects, phi = np.array(found.effects[place]), np.array(found.attributions[place])
        adjectives = [i for i, word in enumerate(words) if word in ADJECTIVES]
        among = effects[np.ix_(adjectives, adjectives)]
        pairs = float((among.sum() - np.trace(among)) / 2)
        with_noun = float(effects[adjectives, words.index("movie")].mean())
        lines.append([found.prediction[place], float(phi[adjectives].mean()), pairs, with_noun])
    return lines


def section(found: Figures) -> Section:
    """Say it."""
    lines = _saturation(found)
    first, last = lines[0], lines[-1]
    share = [line[1] for line in lines]
    negation, place = _effect(found, NEGATED, "not", "bad"), SENTENCES.index(FUNNY)
    off_diagonal = np.abs(np.array(found.effects[place])[np.triu_indices(len(found.words[place]), 1)])
    rows: list[list[Cell]] = [
        [sentence, *(f"{value:+.2f}" for value in line)] for sentence, line in zip(SATURATING, lines, strict=True)
    ]
    return Section(
        how=f"""A checkpoint fine-tuned on whole sentences of SST (here: six layers, 384 numbers a word, as MiniLM; the
            paper: DistilBERT). `ihcli explain --text`, ih from zero embeddings, target {TARGET}, the logit; relative
            error at most {found.error:.4f}. The baseline has {found.baseline[0]:+.2f}.""",
        claims=[
            Claim(
                "the output saturates: one adjective, four",
                "0.9981, 0.9984 (probability)",
                f"{first[0]:+.2f}, {last[0]:+.2f} (logit)",
                "within 0.1",
                abs(first[0] - last[0]) < 0.1,
            ),
            Claim(
                "attribution of an adjective, of one to four",
                "",
                ", ".join(f"{value:+.2f}" for value in share),
                "falls",
                all(a > b for a, b in pairwise(share)),
            ),
            Claim(
                "effects of two adjectives together, sum, of two to four",
                "against the class",
                ", ".join(f"{line[2]:+.2f}" for line in lines[1:]),
                "against the class",
                all(line[2] < 0 for line in lines[1:]),
            ),
            Claim(f'"{NEGATED}": not x bad', "positive", f"{negation:+.2f} for {TARGET}", "against it", negation < 0),
            Claim(
                f'"{FUNNY}": strongest pair',
                "painfully x funny is positive",
                f"{off_diagonal.max():.2f} of an output of {found.prediction[place]:+.2f}; "
                f"painfully x funny {_effect(found, FUNNY, 'painfully', 'funny'):+.2f}",
            ),
        ],
        grids=[
            Grid(
                ("sentence", "output", "attribution of an adjective", "pairs of adjectives, sum", "adjective x movie"),
                rows,
            )
        ],
        remarks=[
            """Each adjective alone would do; the second and later ones add nothing to the output, and what they would
            have added stands as negative effects of pairs. Of "painfully funny" the paper shows that the network has
            learned the idiom. What this one has is in the last line above: an example of one network need not be one of
            another."""
        ],
    )


EXPERIMENT = Experiment(
    "Saturation and negation (Janizek et al. 2021, 5.1)", Figures, measure, section, needs="checkpoint"
)
