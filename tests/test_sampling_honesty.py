"""What is said of the error that drawing baselines makes holds: for phi, and for all of Gamma, draw after draw.

Nobody asks for a tolerance here, so that integrals are held to a share of that error: so is what they add to it.
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from judging import relative
from oracles import Truth, true_integrals
from problems import straight_paths
from zoo import built

import ihcli
from ihcli.data.groups import Groups
from ihcli.data.sampling import TOLERANCE
from ihcli.data.tables import ArrayDataset
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.explanation import Explanation
from ihcli.integration.effort import Effort
from ihcli.integration.spread import sampling_error
from ihcli.models import wrap_module
from ihcli.readers.questions import TableQuestion

NETS = ("SwiGLU", "SIREN, omega 8", "saturated sigmoid", "mixture density, logarithm")
DRAWS = 30
POPULATION, BASELINES = 120, 20
ROWS = 2
COVERED = 0.9
"""Share of rows and draws in which twice the standard error is at least the true one; a normal law has 0.95."""
COVERED_PAIRS = 0.8
"""The same for single pairs, whose law over so few baselines is further from normal."""

HONEST = 0.99
"""Share of rows and draws whose integrals are as near as reported."""
INFLATED = 1.1
"""Times the standard error over the same baselines, integrated exactly, that the reported one may be."""

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ihcli.library.IhcliWarning")]


@dataclass(frozen=True)
class Draw:
    """Rows explained over baselines that were drawn, and which of the table these are, (B,)."""

    explanation: ihcli.Explanation
    places: np.ndarray


@cache
def draws_of(name: str) -> tuple[Draw, ...]:
    """Explain the same rows over baselines drawn from the table with another seed each time."""
    trained = built(name)
    model = wrap_module(deepcopy(trained.module).double())
    data = ArrayDataset(trained.rows[:POPULATION].numpy())
    settings = Settings(method="eh", effort=Effort.asked(None, None, None))
    draws = []
    for seed in range(DRAWS):
        asked = TableQuestion("data", True, Groups.of(data.columns.features, None), BASELINES, seed)
        survey = asked.survey(data)
        reader = asked.reader(model, data, survey)
        explainer = prepare(model, reader, survey.sample.first(reader.sample_records), settings)
        explanation = explainer.explain(trained.rows[:ROWS].double().numpy(), None)
        assert isinstance(explanation, Explanation)
        apart = np.abs(reader.baselines.values[:, None] - trained.rows[:POPULATION].numpy()).sum(2)
        draws.append(Draw(explanation, apart.argmin(1)))
    return tuple(draws)


def exactly(name: str, draw: Draw) -> Truth:
    """Return the truth over the same baselines."""
    paths = whole_table(name)
    assert paths.interactions is not None
    return Truth(paths.attributions[:, draw.places], paths.interactions[:, draw.places])


@cache
def whole_table(name: str) -> Truth:
    """Return the truth of the same rows from each row of the table."""
    trained = built(name)
    rows = trained.rows[:POPULATION].double()
    return true_integrals(deepcopy(trained.module).double(), straight_paths(rows[:ROWS], rows), True)


@pytest.mark.parametrize("name", NETS)
def test_two_standard_errors_cover_what_all_baselines_would_give(name: str) -> None:
    answers, whole = [draw.explanation for draw in draws_of(name)], whole_table(name).mean
    of_phi = [2 * a.sampling_error >= relative(a.attributions, whole.attributions) for a in answers]
    of_gamma = [2 * a.interaction_sampling_error >= relative(a.interactions, whole.interactions) for a in answers]
    of_pairs = [2 * a.interaction_spread >= np.abs(a.interactions - whole.interactions) for a in answers]
    words = f"{name}: phi {np.mean(of_phi):.3f}, Gamma {np.mean(of_gamma):.3f}, pairs {np.mean(of_pairs):.3f}"
    print(words)
    assert np.mean(of_phi) >= COVERED, words
    assert np.mean(of_gamma) >= COVERED, words
    assert np.mean(of_pairs) >= COVERED_PAIRS, words


@pytest.mark.parametrize("name", NETS)
def test_integrals_held_to_the_sampling_error_are_as_near_as_reported(name: str) -> None:
    honest, of_all, inflated, loose = [], [], [], []
    for draw in draws_of(name):
        answer, truth = draw.explanation, exactly(name, draw)
        honest.append(answer.relative_error >= relative(answer.attributions, truth.mean.attributions))
        of_all.append(answer.interaction_error >= relative(answer.interactions, truth.mean.interactions))
        inflated.append(answer.sampling_error / sampling_error(truth.attributions, POPULATION))
        loose.append(answer.relative_error > TOLERANCE)
    words = (
        f"{name}: honest {np.mean(honest):.3f}, of all entries {np.mean(of_all):.3f}, sampling error times "
        f"{np.max(inflated):.3f} at most, above {TOLERANCE:g} {np.mean(loose):.3f}"
    )
    print(words)
    assert np.mean(honest) >= HONEST, words
    assert np.mean(of_all) >= HONEST, words
    assert np.max(inflated) <= INFLATED, words
