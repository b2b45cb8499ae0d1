"""Closed forms against the theory of infinitely wide networks, and against recursions."""

import numpy as np
import pytest

from moments_dnns.theory import closed_forms
from moments_dnns.theory.closed_forms import residual_sensitivity
from moments_dnns.theory.infinite import infinite_width
from tests.support import wide

BATCHES = (4, 5, 8, 64)


@pytest.mark.parametrize("batch", BATCHES)
def test_an_exchangeable_batch_has_the_closed_forms(batch):
    theory = infinite_width("bn_ff", 3 * np.eye(batch), 40)
    for layer in (0, -1):
        growth = theory["chi_loc3"][layer] / theory["chi_loc2"][layer]
        assert growth == pytest.approx(closed_forms.batch_norm_growth(batch), rel=1e-11)
        assert theory["mu4_signal_loc3"][layer] == pytest.approx(closed_forms.batch_norm_mu4(batch), rel=1e-11)
        assert theory["nu1_abs_signal_loc3"][layer] == pytest.approx(closed_forms.batch_norm_nu1(batch), rel=1e-11)
        assert theory["mu2_signal_loc3"][layer] == pytest.approx(1, rel=1e-11)
        assert theory["reff_noise_loc4"][layer] == pytest.approx(batch - 1, rel=1e-11)
    np.testing.assert_allclose(
        np.diff(theory["log_chi_loc4"]), np.log(closed_forms.feedforward_growth(batch)), rtol=1e-10
    )


def test_every_batch_becomes_exchangeable():
    theory = infinite_width("bn_ff", wide.draw_grams(12)[0], 40)
    assert np.diff(theory["log_chi_loc4"])[-1] == pytest.approx(np.log(closed_forms.feedforward_growth(12)), abs=1e-6)
    assert theory["nu1_abs_signal_loc3"][-1] == pytest.approx(closed_forms.batch_norm_nu1(12), abs=1e-6)
    assert abs(theory["nu1_abs_signal_loc3"][0] - closed_forms.batch_norm_nu1(12)) > 1e-3


def test_large_batches_have_the_known_limits():
    theory = infinite_width("bn_ff", np.eye(512), 1)
    growth = theory["chi_loc4"] ** 2 / theory["chi_loc1"] ** 2
    assert growth[0] == pytest.approx(np.pi / (np.pi - 1), rel=0.01)
    assert closed_forms.feedforward_growth(10**7) ** 2 == pytest.approx(np.pi / (np.pi - 1), rel=1e-6)
    assert closed_forms.batch_norm_nu1(10**7) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-6)


def test_vanilla_sensitivity_rises_linearly():
    batch, norm = 5, 4.0
    gram = norm * (0.7 * np.eye(batch) + 0.3)
    chi = infinite_width("vanilla", gram, 3000)["chi_loc3"]
    # The next term of 1 / sqrt(1 - c) is of order ln l, so the slope has an error of order 1 / l.
    assert chi[-1] - chi[-2] == pytest.approx(closed_forms.vanilla_slope(norm, batch), rel=0.005)
    assert chi[-1] / 3000 == pytest.approx(closed_forms.vanilla_slope(norm, batch), rel=0.01)


def test_the_relation_of_the_activation_is_a_tight_bound():
    theory = infinite_width("bn_ff", wide.draw_grams(8)[0], 10)
    growth = theory["chi_loc4"] / theory["chi_loc3"]
    relation = closed_forms.activation_growth(theory["nu1_abs_signal_loc3"])
    assert (relation < growth).all()
    np.testing.assert_allclose(relation, growth, rtol=5e-3)


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (closed_forms.batch_norm_growth, 3),
        (closed_forms.feedforward_growth, 3),
        (closed_forms.batch_norm_mu4, 1),
        (closed_forms.batch_norm_nu1, 0),
        (closed_forms.activation_growth, 1.1),
        (closed_forms.activation_growth, -0.1),
        (closed_forms.vanilla_slope, 0.0),
    ],
)
def test_closed_forms_refuse_what_has_none(function, value):
    with pytest.raises(ValueError, match="Received: "):
        function(value)


@pytest.mark.parametrize(("delta", "res_depth", "power"), [(1.2, 2, 1.0), (1.1, 3, 2.5), (0.9, 1, 0.3)])
def test_the_closed_form_solves_the_recursion(delta, res_depth, power):
    signal, noise, expected = power, power, []
    for _ in range(50):
        signal, noise = signal + 1, noise + delta ** (2 * res_depth) * noise / signal
        expected.append(np.sqrt(noise / signal / 1))
    found = residual_sensitivity(np.arange(1, 51), delta, res_depth, power)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    # From the Gamma functions' asymptotics, the exponent is tau up to 1 / l.
    far = residual_sensitivity(np.array([10**6, 2 * 10**6]), delta, res_depth, power)
    assert np.log2(far[1] / far[0]) == pytest.approx((delta ** (2 * res_depth) - 1) / 2, abs=1e-5)


def test_deep_residual_networks_follow_it():
    theory = infinite_width("bn_res", wide.draw_grams(8)[0], 400, res_depth=2)
    chi, unit = theory["log_chi_loc5"], np.arange(1, 401)
    # Growth in a branch of two layers, at depths where it has settled: from the input of the unit on.
    power = theory["mu2_signal_loc5"][-1] - theory["mu2_signal_loc1"][-1]
    noise = np.exp(theory["log_mu2_noise_loc5"]) - np.exp(theory["log_mu2_noise_loc1"])
    growth = np.sqrt(noise / power * np.exp(-2 * theory["log_chi_loc1"]))[-1]
    start = theory["mu2_signal_loc5"][199] / power
    expected = np.log(residual_sensitivity(unit[200:] - 200, growth**0.5, 2, start))
    np.testing.assert_allclose(chi[200:] - chi[199], expected, rtol=0.02)


@pytest.mark.parametrize("arguments", [(-1, 1.2, 2), (1, 0.0, 2), (1, 1.2, 2, 0.0), (1, -1.0, 2), (1, 1e200, 2)])
def test_models_without_a_power_law_are_refused(arguments):
    with pytest.raises(ValueError, match="Received: "):
        residual_sensitivity(*arguments)
