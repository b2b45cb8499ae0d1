"""The law of squared norms at finite width, against networks with explicit weights."""

import numpy as np
import pytest
from scipy.stats import binomtest, kstest

from moments_dnns import Experiment
from moments_dnns.simulation.network import build_network, num_seeds
from moments_dnns.theory.finite import dead_probability, log_norm_cdf, log_norm_cumulants, log_norm_density

CHANNELS, LAYERS, SAMPLES = 8, 12, 3000


@pytest.fixture(scope="module")
def samples():
    """ln(|x_L|^2 / |x_0|^2) of signal and noise of networks, one sample in each; -inf for the dead."""
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(SAMPLES, CHANNELS))
    noise = signal + rng.normal(size=(SAMPLES, CHANNELS))  # correlated with the signal, which must play no role
    start = [np.square(each).sum(axis=1) for each in (signal, noise)]
    for _ in range(LAYERS):
        weights = rng.normal(size=(SAMPLES, CHANNELS, CHANNELS)) * np.sqrt(2 / CHANNELS)
        signal, noise = (np.einsum("sij,sj->si", weights, each) for each in (signal, noise))
        signal, noise = signal * (signal > 0), noise * (signal > 0)
    with np.errstate(divide="ignore"):
        return [np.log(np.square(x).sum(axis=1) / x0) for x, x0 in zip((signal, noise), start, strict=True)]


@pytest.mark.parametrize("of", [0, 1], ids=["signal", "noise"])
def test_the_law_is_that_of_networks(samples, of):
    living = samples[of][np.isfinite(samples[of])]
    assert kstest(living, lambda x: log_norm_cdf(x, CHANNELS, LAYERS)).pvalue > 0.01
    # A law that is off by what the second moment of K makes would be refused.
    assert kstest(living, lambda x: log_norm_cdf(x, CHANNELS + 1, LAYERS)).pvalue < 1e-3
    dead = SAMPLES - len(living)
    assert binomtest(dead, SAMPLES, dead_probability(CHANNELS, LAYERS)).pvalue > 0.01


def test_cumulants_are_those_of_networks(samples):
    living = samples[0][np.isfinite(samples[0])]
    law = log_norm_cumulants(CHANNELS, LAYERS)
    off = living - living.mean()
    assert abs(living.mean() - law.mean) < 4 * np.sqrt(law.variance / len(living))
    # Var of the sample variance is (k4 + 2 k2^2) / n.
    assert abs(off.var() - law.variance) < 4 * np.sqrt((law.fourth + 2 * law.variance**2) / len(living))
    # Of the third central moment, about 6 k2^3 / n + 9 k2 k4 / n.
    spread = np.sqrt((6 * law.variance**3 + 9 * law.variance * law.fourth) / len(living))
    assert abs((off**3).mean() - law.third) < 6 * spread


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("channels", "layers"), [(1, 1), (2, 3), (16, 40), (128, 200), (512, 1)])
def test_density_and_cumulants_agree(channels, layers, first):
    grid, density = log_norm_density(channels, layers, first)
    step, law = grid[1] - grid[0], log_norm_cumulants(channels, layers, first)
    mean = density @ grid * step
    second, third, fourth = (density @ (grid - mean) ** power * step for power in (2, 3, 4))
    assert density.sum() * step == pytest.approx(1, abs=1e-9)
    scale = np.sqrt(law.variance)
    assert mean == pytest.approx(law.mean, abs=1e-8 * scale)
    assert second == pytest.approx(law.variance, rel=1e-6)
    assert third == pytest.approx(law.third, abs=1e-5 * scale**3)
    assert fourth - 3 * second**2 == pytest.approx(law.fourth, abs=1e-3 * scale**4)


def test_one_channel_has_a_known_law():
    # It lives where K = 1: 2 chi^2_1, whose distribution is an error function.
    from scipy.stats import chi2

    x = np.linspace(-20, 3, 50)
    np.testing.assert_allclose(log_norm_cdf(x, 1, 1), chi2.cdf(np.exp(x) / 2, 1), atol=1e-8)


def test_wide_layers_have_the_known_limits():
    law = log_norm_cumulants(100_000)
    assert law.mean * 100_000 == pytest.approx(-2.5, rel=1e-3)
    assert law.variance * 100_000 == pytest.approx(5, rel=1e-3)
    first = log_norm_cumulants(100_000, 1, first_convolution=True)
    assert (first.variance - law.variance) * 100_000 == pytest.approx(2, rel=1e-3)


def test_layers_are_independent():
    one, many = log_norm_cumulants(10), log_norm_cumulants(10, 7)
    np.testing.assert_allclose(many, 7 * np.array(one), rtol=1e-12)


@pytest.mark.backend
def test_the_library_has_the_law_where_all_images_point_one_way():
    channels, layers, number = 16, 20, 150
    experiment = Experiment(
        "vanilla", layers, 1, channels, 2, number, num_computations=1, weights="explicit", compute_reff_noise=False
    )
    network = build_network(experiment, (1, 1, 5))
    rng = np.random.default_rng(0)
    images = rng.normal(size=5).astype("float32") * np.array([[1], [3]], "float32")
    found = []
    for _ in range(number):
        seeds = rng.integers(0, 2**31, (num_seeds(experiment), 2)).astype("int32")
        inputs = [each.reshape(2, 1, 1, 5) for each in (images, images)]
        table = dict(zip(experiment.array_names, network.predict_on_batch([*inputs, seeds])[0], strict=True))
        found.append([table["nu2_signal_loc3"], table["log_mu2_noise_loc3"]])
    logs = np.array(found, np.float64) - np.log(np.square(images).mean())
    np.testing.assert_allclose(logs[:, 0], logs[:, 1], atol=1e-4)  # noise := signal
    assert kstest(logs[:, 0], lambda x: log_norm_cdf(x, channels, layers, first_convolution=True)).pvalue > 0.01


@pytest.mark.parametrize("function", [log_norm_cumulants, log_norm_density, dead_probability])
@pytest.mark.parametrize("arguments", [(0, 1), (4, 0)])
def test_widths_and_depths_are_counted_from_one(function, arguments):
    with pytest.raises(ValueError, match="at least 1.*Received: "):
        function(*arguments)


def test_no_probability_is_lost():
    assert log_norm_cdf(np.array([-1e4, 1e4]), 4, 4).tolist() == [0, pytest.approx(1, abs=1e-9)]
    assert dead_probability(1, 1) == 0.5
    assert dead_probability(128, 200) == pytest.approx(200 * 2.0**-128, rel=1e-9)
