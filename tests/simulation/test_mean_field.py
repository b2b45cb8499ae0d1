"""The edge of chaos: wide tanh networks against the mean-field theory of arXiv 1611.01232."""

import numpy as np
import pytest

from moments_dnns import run_experiment

BIAS_VARIANCE = 0.05
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(101)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def fixed_point(gain):
    """q* = sigma_w**2 E tanh(sqrt(q*) z)**2 + sigma_b**2 (equation 3)."""
    q = 1.0
    for _ in range(2000):
        q = gain * WEIGHTS @ np.tanh(np.sqrt(q) * NODES) ** 2 + BIAS_VARIANCE
    return q


def growth(gain):
    """ln chi_1, chi_1 = sigma_w**2 E tanh'(sqrt(q*) z)**2 (equation 5): growth of the noise's mean square per layer."""
    return np.log(gain * WEIGHTS @ np.cosh(np.sqrt(fixed_point(gain)) * NODES) ** -4.0)


def critical_gain():
    low, high = 1.0, 4.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if growth(middle) < 0 else (low, middle)
    return low


def test_the_critical_line_is_that_of_the_paper():
    """Figure 2 there: sigma_w = 1.33 at sigma_b**2 = 0.05."""
    assert np.sqrt(critical_gain()) == pytest.approx(1.33, abs=0.02)


@pytest.mark.parametrize("ratio", [0.7, 1.4])
def test_noise_dies_below_the_critical_line_and_grows_above_it(ratio):
    """Over the last 15 of 30 layers and 4 realizations, the standard error of the growth per layer is 0.004.

    Sensitivity is the noise relative to the differences between images. Below the line both die at one rate, and chi
    stays; above it these differences stay, and chi grows with the noise.
    """
    gain = ratio * critical_gain()
    moments = run_experiment(
        "vanilla", 30, 1, 512, 8, 4, dataset="photo", num_computations=30, verbose=False, activation="tanh", gain=gain,
        bias_variance=BIAS_VARIANCE, compute_reff_signal=False, compute_reff_noise=False,
    )  # fmt: skip
    of_noise, of_chi = (np.diff(moments[name][:, 14:]).mean(axis=1) for name in ("log_mu2_noise_loc2", "log_chi_loc2"))
    assert (np.sign(of_noise) == np.sign(ratio - 1)).all()
    assert of_noise.mean() == pytest.approx(growth(gain), abs=0.02)
    assert of_chi.mean() == pytest.approx(max(growth(gain) / 2, 0), abs=0.02)
    assert moments["nu2_signal_loc2"][:, 14:].mean() == pytest.approx(fixed_point(gain), rel=0.05)
