"""The panel rule: exact up to its degree and no further, for both densities, on every panel that bisection makes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial import legendre

from ihcli.integration.quadrature import MOST_EXTENDED, TAIL, PanelRule, panel_rule

EXACT = 1e-13
"""A few units of rounding of sums of n terms that are at most about 1."""
INEXACT = 1e-9
"""Well above rounding, well below the first error of the rules tested."""
PANELS = [(0.0, 1.0), (0.0, 0.25), (0.5, 1.0), (0.25, 0.5), (0.75, 0.875), (0.0, 2.0**-20)]
SIZES = [3, 4, 8, 12]


def power_integral(degree: int, a: float, b: float) -> float:
    return (b ** (degree + 1) - a ** (degree + 1)) / (degree + 1)


def log_power_integral(degree: int, a: float, b: float) -> float:
    """Integrate -ln t * t^degree by parts: [-ln t t^(k+1) / (k+1)] + int t^k / (k+1)."""
    k = degree + 1
    edge = [-np.log(t) * t**k / k if t > 0 else 0.0 for t in (a, b)]
    return edge[1] - edge[0] + (b**k - a**k) / k**2


def on(n: int, a: float, b: float):
    nodes = panel_rule(n).on(np.array([a]), np.array([b]))
    return nodes.t[0], nodes.weights[0], nodes.log_weights[0]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("a", "b"), PANELS)
def test_weights_are_exact_up_to_degree_2n_minus_1(n, a, b):
    t, weights, _ = on(n, a, b)
    for degree in range(2 * n):
        assert weights @ t**degree == pytest.approx(power_integral(degree, a, b), abs=EXACT, rel=EXACT)


@pytest.mark.parametrize("n", [3, 4, 8])
def test_weights_are_not_exact_at_degree_2n(n):
    t, weights, _ = on(n, 0.0, 1.0)
    assert abs(weights @ t ** (2 * n) - power_integral(2 * n, 0.0, 1.0)) > 1e-11


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("a", "b"), PANELS)
def test_log_weights_are_exact_up_to_degree_n_minus_1(n, a, b):
    t, _, log_weights = on(n, a, b)
    for degree in range(n):
        assert log_weights @ t**degree == pytest.approx(log_power_integral(degree, a, b), abs=EXACT, rel=10 * EXACT)


@pytest.mark.parametrize(("n", "a", "b"), [(3, 0.0, 1.0), (4, 0.0, 1.0), (8, 0.0, 1.0), (3, 0.5, 1.0), (4, 0.25, 0.5)])
def test_log_weights_are_not_exact_at_degree_n(n, a, b):
    t, _, log_weights = on(n, a, b)
    assert abs(log_weights @ t**n - log_power_integral(n, a, b)) > INEXACT


def test_log_weights_beat_gauss_legendre_at_the_singularity():
    t, weights, log_weights = on(8, 0.0, 1.0)
    exact = log_power_integral(0, 0.0, 1.0)
    assert abs(weights @ -np.log(t) - exact) > 1e-3
    assert log_weights.sum() == pytest.approx(exact, abs=EXACT)


@pytest.mark.parametrize(("density", "order"), [("weights", 6), ("log_weights", 3)])
def test_the_error_on_a_smooth_integrand_falls_with_the_order_of_the_rule(density, order):
    exact = _composite(12, 4, density)
    errors = np.array([abs(_composite(3, level, density) - exact) for level in (1, 2, 3, 4)])
    assert np.all(np.log2(errors[:-1] / errors[1:]) > order - 0.5)


def test_the_weights_integrate_a_cosine():
    assert _composite(12, 4, "weights") == pytest.approx(np.sin(3) / 3, abs=EXACT)


def _composite(n: int, level: int, density: str) -> float:
    """Integrate cos 3t over [0, 1] cut into 2^level equal panels."""
    ends = np.arange(2**level + 1) / 2**level
    nodes = panel_rule(n).on(ends[:-1], ends[1:])
    return np.sum(getattr(nodes, density) * np.cos(3 * nodes.t))


def test_composite_panels_add_up_to_the_whole():
    a, b = np.array([0.0, 0.25, 0.5, 0.75, 0.875]), np.array([0.25, 0.5, 0.75, 0.875, 1.0])
    nodes = panel_rule(8).on(a, b)
    for degree in range(8):
        assert np.sum(nodes.weights * nodes.t**degree) == pytest.approx(power_integral(degree, 0.0, 1.0), abs=EXACT)
        log_sum = np.sum(nodes.log_weights * nodes.t**degree)
        assert log_sum == pytest.approx(log_power_integral(degree, 0.0, 1.0), abs=EXACT)


def test_many_panels_are_placed_as_each_alone():
    ends = np.array(PANELS)
    together = panel_rule(5).on(ends[:, 0], ends[:, 1])
    for i, (a, b) in enumerate(PANELS):
        t, weights, log_weights = on(5, a, b)
        np.testing.assert_allclose(together.t[i], t, rtol=EXACT)
        np.testing.assert_allclose(together.weights[i], weights, rtol=EXACT)
        np.testing.assert_allclose(together.log_weights[i], log_weights, rtol=EXACT, atol=EXACT)


def test_nodes_ascend_inside_their_panel():
    for a, b in PANELS:
        t, weights, _ = on(8, a, b)
        assert a < t[0]
        assert t[-1] < b
        assert np.all(np.diff(t) > 0)
        assert np.all(weights > 0)


@pytest.mark.parametrize("n", SIZES)
def test_the_embedded_difference_vanishes_below_degree_n_minus_1_only(n):
    rule = panel_rule(n)
    for degree in range(n - 1):
        assert abs(rule.embedded_difference @ rule.nodes**degree) < EXACT
    assert abs(rule.embedded_difference @ rule.nodes ** (n - 1)) > 1e-4


@pytest.mark.parametrize("n", SIZES)
def test_the_embedded_rule_leaves_out_the_middle_node(n):
    rule = panel_rule(n)
    embedded = rule.weights - rule.embedded_difference
    assert embedded[n // 2] == pytest.approx(0.0, abs=EXACT)
    assert np.all(np.delete(np.abs(embedded), n // 2) > 1e-3)


@pytest.mark.parametrize("n", SIZES)
def test_coefficients_are_those_of_the_legendre_series(n):
    rule = panel_rule(n)
    series = np.random.default_rng(n).normal(size=n)
    np.testing.assert_allclose(rule.coefficients @ legendre.legval(rule.nodes, series), series, atol=10 * EXACT)


def test_a_panel_nearer_to_zero_than_its_width_is_refused():
    with pytest.raises(ValueError, match="a panel must start at 0 or at its own width from 0 at least"):
        panel_rule(8).on(np.array([0.0, 0.1]), np.array([0.1, 0.5]))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_rule_without_a_node_to_spare_is_refused(n):
    with pytest.raises(ValueError, match="a panel needs at least 3 nodes"):
        panel_rule(n)


@pytest.mark.parametrize("table", ["nodes", "weights", "_log_at_zero", "_log_inside"])
def test_a_wrong_table_cannot_be_built(table):
    rule = panel_rule(8)
    wrong = np.array(getattr(rule, table))
    wrong.flat[3] += 1e-8
    with pytest.raises(ValueError, match="quadrature table is off"):
        replace(rule, **{table: wrong})


def test_a_rule_is_built_once():
    assert panel_rule(8) is panel_rule(8)


@pytest.mark.parametrize("n", [3, 6, 8])
@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.0, 0.25), (0.5, 1.0), (0.75, 0.875)])
def test_leaks_are_what_the_rule_gets_wrong_of_further_polynomials(n, a, b):
    rule = panel_rule(n)
    leaks = rule.leaks(np.array([a]), np.array([b]))[0]
    assert leaks.shape == (TAIL,)
    s, w = legendre.leggauss(400)
    u = (s + 1) / 2  # t - a = (b - a) u^2 takes the logarithm's edge off
    t = a + (b - a) * u**2
    nodes = rule.on(np.array([a]), np.array([b]))
    for degree, leak in enumerate(leaks, start=n):
        polynomial = legendre.Legendre.basis(degree, domain=[a, b])
        exact = np.sum(w / 2 * (b - a) * 2 * u * -np.log(t) * polynomial(t))
        assert leak == pytest.approx(exact - nodes.log_weights[0] @ polynomial(nodes.t[0]), abs=1e-8 * (b - a))


def test_the_last_pairs_are_sums_of_two_coefficients():
    rule = panel_rule(8)
    values = legendre.legval(rule.nodes, [0, 0, 0, 0, 2, 3, 5, 7])
    np.testing.assert_allclose(rule.last_pairs @ values, [12, 5], atol=1e-12)
    assert not panel_rule(3).last_pairs[1].any()


@pytest.mark.parametrize("n", [3, 4, 5, 6, 8])
def test_extensions_begin_with_the_nodes_of_their_rule_and_the_longest_is_exact_further(n):
    rule, (pair, longest) = panel_rule(n), panel_rule(n).extensions
    assert (len(pair.nodes), len(longest.nodes)) == (n + 2, 2 * n + 1)
    np.testing.assert_array_equal(pair.nodes[:n], rule.nodes)
    np.testing.assert_array_equal(longest.nodes[: n + 2], pair.nodes)
    np.testing.assert_array_equal(longest.nodes[n : n + 2], [longest.nodes.min(), longest.nodes.max()])
    np.testing.assert_array_equal(pair.weights, [*rule.weights, 0, 0])
    assert (pair.extensions, longest.extensions) == ((), ())
    assert np.all(np.abs(longest.nodes) < 1)
    beyond = 3 * n + 2 + n % 2  # the next even power: odd ones are exact by symmetry
    for degree in range(beyond + 1):
        error = abs(longest.weights @ longest.nodes**degree - power_integral(degree, -1.0, 1.0))
        assert (error > 1e-10) == (degree == beyond)


@pytest.mark.parametrize("n", [3, 5, 8])
@pytest.mark.parametrize(("a", "b"), PANELS)
def test_log_weights_of_extensions_are_exact_up_to_degrees_n_plus_1_and_2n(n, a, b):
    for extension in panel_rule(n).extensions:
        nodes = extension.on(np.array([a]), np.array([b]))
        for degree in range(len(extension.nodes)):
            got = nodes.log_weights[0] @ nodes.t[0] ** degree
            assert got == pytest.approx(log_power_integral(degree, a, b), abs=EXACT, rel=10 * EXACT)


@pytest.mark.parametrize("n", [4, 5, 6, 8])
def test_two_more_nodes_at_the_ends_leave_less_than_as_many_of_gauss_and_legendre(n):
    """Against -ln t, of coefficients that shrink by 0.3; to 4, 5 and 6 nodes they do a little less."""

    def left(rule: PanelRule) -> float:
        leaks = rule.leaks(np.zeros(1), np.ones(1))[0]
        return float(np.abs(leaks) @ 0.3 ** (len(rule.nodes) + np.arange(len(leaks))))

    pair = left(panel_rule(n).extensions[0])
    assert pair < 0.2 * left(panel_rule(n))
    assert (pair < left(panel_rule(n + 2))) == (n >= 7)


def test_rules_of_many_nodes_have_no_extension():
    assert panel_rule(MOST_EXTENDED).extensions
    assert not panel_rule(MOST_EXTENDED + 1).extensions
