"""What is said of the error that drawing baselines makes holds: for phi, and for all of Gamma, draw after draw."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
from judging import relative
from oracles import Truth, true_integrals
from problems import straight_paths
from zoo import built

import ihcli
from ihcli.data.groups import Groups
from ihcli.data.tables import ArrayDataset
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.integration.certify import Effort
from ihcli.models import wrap_module
from ihcli.readers.questions import TableQuestion

NETS = ("SwiGLU", "SIREN, omega 8", "saturated sigmoid", "mixture density, logarithm")
DRAWS = 60
POPULATION, BASELINES = 120, 20
ROWS = 2
TOLERANCE = 0.05
"""Of the integrals, well below the 10 to 50 % that so few baselines leave."""
COVERED = 0.9
"""Share of rows and draws in which twice the standard error is at least the true one; a normal law has 0.95."""
COVERED_PAIRS = 0.8
"""The same for single pairs, whose law over so few baselines is further from normal."""

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ihcli.library.IhcliWarning")]


@cache
def drawn_answers(name: str) -> tuple[ihcli.Explanation, ...]:
    """Explain the same rows over baselines drawn from the table with another seed each time."""
    trained = built(name)
    model = wrap_module(deepcopy(trained.module).double())
    data = ArrayDataset(trained.rows[:POPULATION].numpy())
    settings = Settings(method="eh", effort=Effort(TOLERANCE))
    answers = []
    for seed in range(DRAWS):
        asked = TableQuestion("data", True, Groups.of(data.columns.features, None), BASELINES, seed)
        survey = asked.survey(data)
        reader = asked.reader(model, data, survey)
        explainer = prepare(model, reader, survey.sample.first(reader.sample_records), settings)
        answers.append(explainer.explain(trained.rows[:ROWS].double().numpy(), None))
    return tuple(answers)


@cache
def whole_table(name: str) -> Truth:
    """Return the truth of the same rows over all of the table."""
    trained = built(name)
    rows = trained.rows[:POPULATION].double()
    return true_integrals(deepcopy(trained.module).double(), straight_paths(rows[:ROWS], rows), True).mean


@pytest.mark.parametrize("name", NETS)
def test_two_standard_errors_cover_what_all_baselines_would_give(name: str) -> None:
    answers, whole = drawn_answers(name), whole_table(name)
    of_phi = [2 * a.sampling_error >= relative(a.attributions, whole.attributions) for a in answers]
    of_gamma = [2 * a.interaction_sampling_error >= relative(a.interactions, whole.interactions) for a in answers]
    of_pairs = [2 * a.interaction_spread >= np.abs(a.interactions - whole.interactions) for a in answers]
    words = f"{name}: phi {np.mean(of_phi):.3f}, Gamma {np.mean(of_gamma):.3f}, pairs {np.mean(of_pairs):.3f}"
    print(words)
    assert np.mean(of_phi) >= COVERED, words
    assert np.mean(of_gamma) >= COVERED, words
    assert np.mean(of_pairs) >= COVERED_PAIRS, words
