"""Images, of scikit-learn's small digits: black pixels (Erion et al. 2021) and an 8 made a 3 (Lundberg and Lee "
"2017)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from benchmarks.paper.experiment import Asked, Claim, Experiment, Grid, Section, mean_of, over
from benchmarks.paper.explaining import explained
from benchmarks.paper.networks import as_tensor
from benchmarks.paper.pictures import draw_images

SIDE, PIXELS, TRAINED_ON = 8, 64, 1400
OURS, OTHER = 8, 3
METHODS = ("ig", "eg", "shapley", "gradient-input", "gradient")
RANDOM = "random"
MASKED = 0.2
BASELINES = 100


@dataclass(frozen=True)
class Figures:
    """For each seed: accuracy; of ig and eg the share of attributions on black pixels; changes in log-odds.

    change  by method: the mean change in log-odds of 3 against 8, of images of an 8 whose first pixels are made black
    image   an 8, and what ig and eg give its pixels for the output 8 (first seed)
    """

    accuracy: list[float]
    black: dict[str, list[float]]
    change: dict[str, list[float]]
    image: list[list[float]]


def network(seed: int) -> nn.Module:
    """Return a network of two convolutions over pixels as columns."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Unflatten(1, (1, SIDE, SIDE)),
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 16, 10),
        )


def _trained(net: nn.Module, x: np.ndarray, digit: np.ndarray, epochs: int, seed: int) -> nn.Module:
    optimizer, order = torch.optim.Adam(net.parameters(), 3e-3), np.random.default_rng(seed)
    for _ in range(epochs):
        for rows in np.array_split(order.permutation(len(x)), len(x) // 64):
            loss = nn.functional.cross_entropy(net(as_tensor(x[rows])), torch.as_tensor(digit[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval().requires_grad_(False)


def measure(asked: Asked) -> Figures:
    """Train a network for each seed, and explain twenty images of an 8 that it has not seen."""
    images = load_digits()
    x, digit = (images.data / 16).astype(np.float32), images.target
    background = x[:TRAINED_ON]
    eights = x[TRAINED_ON:][digit[TRAINED_ON:] == OURS][: asked.of(20, 2)]
    names = [*asked.of(METHODS, METHODS[:2]), RANDOM]
    found = Figures([], {"ig": [], "eg": []}, {name: [] for name in names}, [])
    for seed in range(asked.of(3, 1)):
        net = _trained(network(seed), background, digit[:TRAINED_ON], asked.of(20, 4), seed)
        said = net(as_tensor(x[TRAINED_ON:])).argmax(1).numpy()
        found.accuracy.append(float((said == digit[TRAINED_ON:]).mean()))
        maps = {name: _maps(net, eights, background[: asked.of(BASELINES, 4)], name, seed) for name in names}
        for name, (ours, other) in maps.items():
            found.change[name].append(_change(net, eights, ours - other))
            if name in found.black:
                size = np.abs(ours)
                found.black[name].append(float(size[eights == 0].sum() / size.sum()))
        if seed == 0:
            found.image.extend(values.tolist() for values in (eights[0], maps["ig"][0][0], maps["eg"][0][0]))
    return found


def _maps(
    net: nn.Module, x: np.ndarray, background: np.ndarray, method: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return attributions of the outputs for both digits."""
    if method == RANDOM:
        return np.random.default_rng(seed).standard_normal(x.shape), np.zeros_like(x)
    options: dict[str, object] = {"smooth": "none", "tolerance": 0.05}
    if method == "eg":
        options |= {"baseline": background, "steps": 8}
    ours, other = (explained(net, x, method, target=digit, **options).attributions for digit in (OURS, OTHER))
    return ours, other


def _change(net: nn.Module, x: np.ndarray, values: np.ndarray) -> float:
    """Return the mean change in log-odds once the pixels of the largest values are black."""
    first = np.argsort(-values, axis=1)[:, : round(MASKED * PIXELS)]
    masked = x.copy()
    np.put_along_axis(masked, first, 0, axis=1)
    odds = [(logits[:, OTHER] - logits[:, OURS]).numpy() for logits in (net(as_tensor(x)), net(as_tensor(masked)))]
    return float((odds[1] - odds[0]).mean())


def section(found: Figures) -> Section:
    """Say it."""
    others = {name: mean_of(values) for name, values in found.change.items()}
    n = len(found.accuracy)
    return Section(
        how=f"""scikit-learn's digits, 8 x 8 pixels as columns, two convolutions behind `nn.Unflatten`; {TRAINED_ON:,}
            images to train on, accuracy on the others {over(found.accuracy)} over {n} seeds. 20 images of an 8 are
            explained, ig and others from black, eg against {BASELINES} images. *Made a 3*: the fifth of the pixels with
            the largest attribution for 8 less that for 3 is made black, and the log-odds of 3 against 8 change by so
            much.""",
        claims=[
            Claim(
                "share of attributions on black pixels, ig",
                "0",
                f"{max(found.black['ig']):.3f}",
                "0",
                max(found.black["ig"]) == 0,
            ),
            Claim("the same, eg", "not 0", over(found.black["eg"]), "above 0.05", min(found.black["eg"]) > 0.05),
            Claim(
                "8 made a 3, ig against random",
                "more than random, in a picture",
                f"{others['ig']:+.2f} against {others[RANDOM]:+.2f}",
                "more",
                others["ig"] > others[RANDOM],
            ),
        ],
        grids=[
            Grid(
                ("change in log-odds", *(f"`{name}`" if name != RANDOM else name for name in found.change)),
                [["mean over images and seeds", *(over(values, 2) for values in found.change.values())]],
            )
        ],
        picture="An 8, and what ig and eg give its pixels for the output 8",
        remarks=[
            """A pixel that equals its baseline gets nothing by ig, whatever the network makes of its being black. The
            baselines of eg are other images, so that the emptiness of a corner can speak for an 8."""
        ],
    )


def draw(found: Figures, file: Path) -> None:
    """Draw the image and its maps."""
    titles = ("image", "ig from black", "eg over images")
    images = [np.reshape(pixels, (SIDE, SIDE)) for pixels in found.image]
    draw_images(file, list(zip(titles, images, strict=True)))


EXPERIMENT = Experiment(
    "Digits (Erion et al. 2021, supplementary Fig. 3; Lundberg and Lee 2017, Fig. 5)", Figures, measure, section, draw
)
