"""Batch normalization of infinitely wide layers: adaptive quadrature, special cases, and brute force."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from moments_dnns.theory import batch_norm
from moments_dnns.theory.gram import Grams, centred
from moments_dnns.theory.infinite import infinite_width
from tests.support import wide


@pytest.mark.parametrize(
    ("rates", "epsilon", "power"),
    [
        (np.array([2.0, 1.0, 0.5]), 0.0, 0.0),
        (np.geomspace(1, 1e-6, 9), 0.0, 0.0),
        (np.geomspace(1, 1e-6, 9), 0.01, 0.5),
        (np.array([1.0]), 0.1, 0.0),
        (np.ones(63), 0.0, 0.5),
        (np.ones(2000), 1e-3, 0.5),
    ],
)
def test_quadrature_is_that_of_an_adaptive_rule(rates, epsilon, power):
    weights, nodes = batch_norm.quadrature(rates, epsilon)

    def integrand(u):
        return np.exp((1 - power) * u - epsilon * np.exp(u) - np.log1p(rates * np.exp(u)).sum() / 2)

    ends = np.linspace(-80, 120, 41)
    expected = sum(quad(integrand, *pair, epsabs=0, epsrel=1e-12)[0] for pair in pairwise(ends))
    assert weights @ nodes**-power == pytest.approx(expected, rel=1e-11)


def test_chunks_of_nodes_change_nothing(monkeypatch):
    grams = Grams(*wide.draw_grams(6))
    expected = batch_norm.normalized(grams, 0.1)
    monkeypatch.setattr(batch_norm, "ENTRIES_AT_ONCE", 5 * 36)
    found = batch_norm.normalized(grams, 0.1)
    for one, other in zip(found.rectified, expected.rectified, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_noise_where_there_is_no_signal_passes_all_but_the_activation():
    gram = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    theory = infinite_width("vanilla", gram, 1)
    assert theory["mu2_noise_loc2"][0] == pytest.approx(2)
    assert theory["mu2_noise_loc3"][0] == pytest.approx(2 / 3)
    # Q = 2 g^2 / 3 with a normal g: E 1 / (Q + 1 / 3) = 3 E 1 / (2 g^2 + 1).
    found = batch_norm.normalized(Grams(gram, np.eye(3), 0 * gram), 1 / 3)
    expected = quad(lambda g: 3 / (2 * g**2 + 1) * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi), -40, 40, points=[0])[0]
    assert found.moments["mu2_noise"] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(np.diag(found.rectified.noise), np.array([0.5, 0.5, 0]) * expected, rtol=1e-9)


def test_noise_that_is_the_centred_signal_stays_it():
    gram = centred(wide.draw_grams(6)[0])
    after = batch_norm.normalized(Grams(gram, gram, gram), 0.2).rectified
    np.testing.assert_allclose(after.noise, after.signal, rtol=1e-12)
    np.testing.assert_allclose(after.cross, after.signal, rtol=1e-12)


def test_few_images_need_epsilon():
    assert np.isfinite(infinite_width("bn_ff", np.eye(3), 3, epsilon=1e-3)["log_chi_loc4"]).all()
    theory = infinite_width("bn_ff", np.eye(2), 1, epsilon=1e-12)
    assert theory["nu1_abs_signal_loc3"][0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_second_moments_after_a_relu_are_those_of_brute_force(epsilon):
    grams = Grams(*wide.draw_grams(5))
    expected = batch_norm.normalized(grams, epsilon).rectified
    wide.assert_second_moments(expected, lambda state: wide.relu(wide.batch_norm(state, epsilon)), grams)
