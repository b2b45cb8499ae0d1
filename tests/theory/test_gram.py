"""Steps of Gram matrices: special cases, and a ReLU against brute force."""

import numpy as np
import pytest

from moments_dnns.theory.gram import Grams, effective_rank, rectified
from moments_dnns.theory.infinite import infinite_width
from tests.support import wide


def test_points_that_agree_or_vanish_are_no_special_case():
    gram = np.diag([1.0, 2.0, 0.0, 1.0])
    gram[0, 3] = gram[3, 0] = 1.0  # the same image twice
    after = rectified(Grams(gram, np.ones((4, 4)), 0.5 * gram))
    assert after.signal[0, 3] == pytest.approx(0.5)
    assert after.noise[0, 3] == pytest.approx(0.5)
    assert not after.noise[2].any()
    assert not after.signal[2].any()
    theory = infinite_width("bn_ff", gram, 5, epsilon=1e-3)
    assert all(np.isfinite(theory[name]).all() for name in theory)


def test_the_rank_of_a_gram_matrix_is_that_of_the_covariance():
    features = np.random.default_rng(0).normal(size=(7, 40)) * np.geomspace(1, 0.1, 40)
    assert effective_rank(features @ features.T) == pytest.approx(wide.effective_rank(features), rel=1e-12)


def test_second_moments_after_a_relu_are_those_of_brute_force():
    grams = Grams(*wide.draw_grams(5))
    wide.assert_second_moments(rectified(grams), wide.relu, grams)
