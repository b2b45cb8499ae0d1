"""Power laws of residual networks: the closed form against its recursion and the theory, intervals against trials."""

import numpy as np
import pytest

from moments_dnns.analysis.power_laws import bootstrap_power_law, power_law
from moments_dnns.theory.closed_forms import residual_sensitivity
from moments_dnns.theory.infinite import infinite_width
from tests.support import wide


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


DEPTH = np.arange(1, 21) * 10.0


def draw_realizations(rng, number=40, exponent=0.55):
    """ln chi on a power law with noise of its own in every realization, and a growth of the layers that suits it."""
    chi = exponent * np.log(DEPTH) + 0.1 * rng.normal(size=(number, 1)) + 0.05 * rng.normal(size=(number, 20))
    first = chi + 0.01 * rng.normal(size=chi.shape)
    return chi, first, first + np.log(2 * exponent + 1) / 4 + 0.02 * rng.normal(size=(number, 1))


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = np.zeros(2)
    for trial in range(100):
        chi, first, last = draw_realizations(np.random.default_rng(trial))
        found = bootstrap_power_law(DEPTH, chi, first, last, 2, num_resamples=200, seed=trial)
        held += [each.lower <= 0.55 <= each.upper for each in found]
        assert found.tau.value == power_law(DEPTH, chi, first, last, 2).tau
        assert found.tau.lower < found.tau.value < found.tau.upper
    # 95 of 100, with a standard error of 2.2; percentile intervals of 40 realizations are a little short.
    assert (held >= 86).all()
    assert (held < 100).any()


def test_intervals_depend_on_the_seed_alone():
    arrays = (DEPTH, *draw_realizations(np.random.default_rng(0)), 2)
    assert bootstrap_power_law(*arrays, seed=1) == bootstrap_power_law(*arrays, seed=1)
    assert bootstrap_power_law(*arrays, seed=1) != bootstrap_power_law(*arrays, seed=2)


def test_the_slope_is_that_of_the_deeper_half():
    chi = np.tile(0.5 * np.log(np.maximum(DEPTH, 100)), (2, 1))
    found = bootstrap_power_law(DEPTH, chi, chi, chi, 2)
    assert found.slope.value == pytest.approx(0.5)
    # Where one depth is in the deeper half, the one before it counts too.
    found = bootstrap_power_law(np.array([1.0, 10.0]), chi[:, [8, 19]], chi[:, :2], chi[:, :2], 2)
    assert found.slope.value == pytest.approx(np.log(2) / 2 / np.log(10))


def test_sensitivities_beyond_float64_are_no_problem():
    chi, first, last = (each + 5000 for each in draw_realizations(np.random.default_rng(0)))
    found = bootstrap_power_law(DEPTH, chi, first, last, 2)
    assert found.slope.value == pytest.approx(0.55, abs=0.05)
    assert found.tau.is_bounded


FINE = {"depth": DEPTH, **dict.fromkeys(("log_chi", "log_chi_first", "log_chi_last"), np.zeros((3, 20)))}
REFUSED = [
    ({"depth": DEPTH[:4]}, "one shape"),
    ({"log_chi": np.zeros(20)}, "one shape"),
    ({"log_chi_last": np.zeros((3, 19))}, "one shape"),
    ({"log_chi": np.full((3, 20), np.nan)}, "finite"),
    ({"res_depth": 0}, "res_depth"),
    ({"num_resamples": 0}, "num_resamples"),
    ({"seed": -1}, "seed"),
    ({name: array[:1] for name, array in FINE.items() if name != "depth"}, "at least 2 realizations"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_bad_arrays_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received: "):
        bootstrap_power_law(**{**FINE, "res_depth": 2, **changes})


@pytest.mark.parametrize("arguments", [(-1, 1.2, 2), (1, 0.0, 2), (1, 1.2, 2, 0.0), (1, -1.0, 2), (1, 1e200, 2)])
def test_models_without_a_power_law_are_refused(arguments):
    with pytest.raises(ValueError, match="Received: "):
        residual_sensitivity(*arguments)
