"""Whole depths in law: a chaotic network cannot be followed number by number, its averages can.

Seeds are fixed, and tolerances are 4 standard errors where nothing else is said.
"""

import functools
import math

import numpy as np
import pytest

from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.moments import derive, from_logarithms
from moments_dnns.simulation.network import build_network, num_seeds
from tests.support.cases import GEOMETRIES


def simulate(experiment, num_realizations, image_shape):
    """Arrays of shape (num_realizations, num_computations) by name, from images that are noise themselves."""
    generator, network, tables = np.random.default_rng(0), build_network(experiment, image_shape), []
    for _ in range(num_realizations):
        images, noise = generator.normal(size=(2, experiment.batch_size, *image_shape))
        images = (images - images.mean(axis=(0, 1, 2))) / images.std(axis=(0, 1, 2))
        seeds = generator.integers(0, 2**31, (num_seeds(experiment), 2)).astype("int32")
        tables.append(network.predict_on_batch([images.astype("float32"), noise.astype("float32"), seeds]))
    return from_logarithms(experiment.array_names, np.array(tables))


def make_experiment(architecture, total_depth, kernel_size, num_channels, batch_size, num_computations, **changes):
    return Experiment(
        architecture,
        total_depth,
        kernel_size,
        num_channels,
        batch_size,
        1,
        num_computations=num_computations,
        compute_reff_signal=False,
        compute_reff_noise=False,
        **changes,
    )


# --- vanilla: conservation in expectation ----------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_vanilla_layers_conserve_signal_and_noise_in_expectation(geometry):
    """Given the layer before, each ratio has the mean 1: ratios are uncorrelated over depth, and light-tailed."""
    kernel_size, boundary = GEOMETRIES[geometry]
    batch_size, image_shape = (8, (1, 1, 192)) if kernel_size == 1 else (2, (8, 8, 3))
    experiment = make_experiment("vanilla", 100, kernel_size, 32, batch_size, 100, boundary=boundary)
    moments = simulate(experiment, 30, image_shape)
    for moment in ("nu2_signal", "mu2_noise"):
        ratios = derive(moments, f"{moment}_loc3") / derive(moments, f"{moment}_loc1")
        standard_error = ratios.std(ddof=1) / math.sqrt(ratios.size)
        assert standard_error < 0.01
        if geometry == "zero_padding":
            # What lies beyond the border is lost.
            assert 0.6 < ratios.mean() < 0.9
        else:
            assert abs(ratios.mean() - 1) < 4 * standard_error


# --- bn_ff: the published numbers ------------------------------------------------------------------------------------

PUBLISHED_REALIZATIONS, NUM_REALIZATIONS = 200, 20


@functools.cache
def deep_bn_ff():
    """Fully connected, width 512, batch 64: the setting of the published numbers."""
    return simulate(make_experiment("bn_ff", 200, 1, 512, 64, 10), NUM_REALIZATIONS, (1, 1, 192))


def assert_agrees(samples, published_mean, published_std):
    standard_error = math.hypot(
        published_std / math.sqrt(PUBLISHED_REALIZATIONS), samples.std(ddof=1) / math.sqrt(len(samples))
    )
    assert abs(samples.mean() - published_mean) < 4 * standard_error
    assert 0.5 < samples.std(ddof=1) / published_std < 2


def test_bn_ff_grows_as_published():
    """Increments of ln chi over separate layers are independent: their variances are differences of variances."""
    log_chi = derive(deep_bn_ff(), "log_chi_loc4")
    assert_agrees(log_chi[:, -1] - log_chi[:, 4], 41.418 - 20.777, math.sqrt(0.188**2 - 0.123**2))


def test_bn_ff_is_as_far_from_gaussian_as_published():
    assert_agrees(deep_bn_ff()["nu1_abs_signal_loc3"][:, -1], 0.7795, 0.0064)


def test_activation_amplifies_by_what_it_takes_from_the_signal():
    """delta_phi chi = (1 - nu1**2 / 2)**(-1/2) within 0.5 %, at every batch-norm ReLU layer on average."""
    moments = deep_bn_ff()
    growth = np.exp(derive(moments, "log_chi_loc4") - derive(moments, "log_chi_loc3"))
    predicted = (1 - moments["nu1_abs_signal_loc3"] ** 2 / 2) ** -0.5
    assert np.mean(growth / predicted) == pytest.approx(1, abs=0.005)


# --- bn_res: the power law -------------------------------------------------------------------------------------------


def test_bn_res_follows_its_power_law():
    """tau = (delta**(2 * res_depth) - 1) / 2, with delta the growth along the branch; the first units still differ."""
    experiment = make_experiment("bn_res", 200, 3, 64, 8, 20)
    moments = simulate(experiment, 8, (8, 8, 3))
    chi = {place: derive(moments, f"chi_{place}").mean(axis=0) for place in ("loc1", "loc4", "loc5")}
    delta = np.mean(chi["loc4"] / chi["loc1"])
    tau = (delta ** (2 * experiment.res_depth) - 1) / 2
    power = experiment.depth**tau
    fit = power * (power @ chi["loc5"]) / (power @ power)
    np.testing.assert_allclose(chi["loc5"][1:], fit[1:], rtol=0.15)
    assert 0.45 < tau < 0.75
    assert chi["loc5"][-1] / chi["loc5"][1] == pytest.approx(10**tau, rel=0.15)
