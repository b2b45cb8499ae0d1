"""Convolution: against the oracle at every boundary, the kernels that it draws, and what is refused."""

import itertools
import math

import numpy as np
import pytest

from moments_dnns.descriptions.boundaries import BOUNDARIES
from moments_dnns.layers.convolution import Convolution
from tests.support import oracle
from tests.support.cases import assert_states_close, make_state, true

pytestmark = pytest.mark.backend

generator = np.random.default_rng(0)


def random_state(shape=(4, 5, 5, 3), log_signal=0.0, log_noise=0.0):
    signal, noise = generator.normal(size=(2, *shape))
    return make_state(signal + 0.5 * generator.normal(size=shape[-1]), noise, log_signal, log_noise)


# (kernel_size, strides, (height, width)): even and odd kernels, as large as the image, strides on even and odd sides.
SHAPES = [
    (1, 1, (5, 5)),
    (1, 2, (5, 4)),
    (2, 1, (5, 4)),
    (2, 2, (4, 5)),
    (3, 1, (5, 4)),
    (3, 2, (5, 5)),
    (3, 2, (6, 4)),
    (3, 1, (3, 3)),
    (4, 1, (4, 4)),
    (4, 3, (4, 7)),
    (5, 1, (5, 5)),
    (5, 2, (6, 5)),
]


@pytest.mark.parametrize(
    ("kernel_size", "strides", "sides", "boundary"),
    [(*shape, boundary) for shape in SHAPES for boundary in BOUNDARIES if boundary != "symmetric" or shape[0] % 2],
)
def test_convolution(kernel_size, strides, sides, boundary):
    state = random_state((2, *sides, 3), 1.5, -2.5)
    kernel = generator.normal(size=(kernel_size, kernel_size, 3, 4)).astype("float32")
    actual = Convolution(4, kernel_size, strides, boundary)(state, kernel=kernel)
    assert tuple(actual.signal.shape) == (2, -(-sides[0] // strides), -(-sides[1] // strides), 4)
    assert_states_close(actual, oracle.convolution(true(state), kernel, boundary, strides))


def test_boundaries_differ():
    state = random_state()
    kernel = generator.normal(size=(3, 3, 3, 4)).astype("float32")
    signals = {name: true(Convolution(4, 3, boundary=name)(state, kernel=kernel))[0] for name in BOUNDARIES}
    for (boundary, one), (other_boundary, other) in itertools.combinations(signals.items(), 2):
        assert np.abs(one - other).max() > 0.1
        if "periodic_one_sided" not in (boundary, other_boundary):
            np.testing.assert_allclose(one[:, 1:-1, 1:-1], other[:, 1:-1, 1:-1], atol=1e-5)
    displaced = np.roll(signals["periodic"], (1, 1), axis=(1, 2))
    np.testing.assert_allclose(signals["periodic_one_sided"], displaced, atol=1e-5)


def test_signal_and_noise_meet_the_same_kernel():
    state = random_state()
    convolved = Convolution(4, 3)(state._replace(noise=state.signal), seed=np.array([1, 2]))
    assert np.array_equal(convolved.signal, convolved.noise)


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_drawn_kernels_are_gaussian(gain):
    """Tolerances are 4 standard errors of the estimates for independent Gaussians."""
    kernel = np.ravel(Convolution(64, 3, gain=gain).draw_kernel(np.array([123, 456]), 40)).astype(np.float64)
    count = kernel.size
    z = kernel / math.sqrt(gain / (9 * 40))
    assert abs(z.mean()) < 4 / math.sqrt(count)
    assert abs((z**2).mean() - 1) < 4 * math.sqrt(2 / count)
    assert abs((z**4).mean() - 3) < 4 * math.sqrt(96 / count)
    for threshold, tail in [(1, 0.317311), (2, 0.045500), (3, 0.002700)]:
        assert abs((abs(z) > threshold).mean() - tail) < 4 * math.sqrt(tail / count)


def test_the_same_seed_draws_the_same_kernel_and_others_uncorrelated_ones():
    layer = Convolution(32, 3)
    seeds = np.random.SeedSequence(0).generate_state(12).reshape(-1, 2) >> 1
    kernels = np.stack([np.ravel(layer.draw_kernel(seed.astype("int32"), 32)) for seed in seeds])
    assert np.array_equal(kernels[0], np.ravel(layer.draw_kernel(seeds[0].astype("int32"), 32)))
    correlations = np.corrcoef(kernels)[np.triu_indices(len(seeds), 1)]
    assert abs(correlations).max() < 4 / math.sqrt(kernels.shape[1])


def test_a_seed_draws_what_draw_kernel_says():
    state, seed, layer = random_state(), np.array([3, 2**31 - 1]), Convolution(4, 3)
    drawn = layer(state, seed=seed)
    passed = layer(state, kernel=layer.draw_kernel(seed, 3))
    assert_states_close(drawn, true(passed), 1e-6, 1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "expected"),
    [
        (dict(kernel_size=2, boundary="symmetric"), ValueError, "odd kernel_size. Received: kernel_size=2"),
        (dict(kernel_size=0), ValueError, "kernel_size must be an integer of at least 1. Received: kernel_size=0"),
        (dict(kernel_size=3.0), TypeError, "kernel_size must be an integer of at least 1. Received: kernel_size=3.0"),
        (dict(kernel_size=3, strides=0), ValueError, "strides must be .* Received: strides=0"),
        (
            dict(kernel_size=3, boundary="reflect"),
            ValueError,
            "'symmetric', 'zero_padding'. Received: boundary='reflect'",
        ),
        (dict(kernel_size=3, gain=-1), ValueError, "gain must be .* Received: gain=-1"),
    ],
)
def test_refused_convolutions(arguments, error, expected):
    with pytest.raises(error, match=expected):
        Convolution(4, **arguments)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_kernel_larger_than_the_image_is_refused(boundary):
    with pytest.raises(ValueError, match=r"at most the side of the image.* Received: kernel_size=5"):
        Convolution(4, 5, boundary=boundary)(random_state((2, 4, 6, 3)), seed=np.array([1, 2]))


def test_either_a_seed_or_a_kernel():
    seed, kernel = np.array([1, 2]), np.ones((1, 1, 3, 4), "float32")
    for weights in ({}, {"seed": seed, "kernel": kernel}):
        with pytest.raises(ValueError, match=r"either a seed or a kernel\. Received: seed="):
            Convolution(4, 1)(random_state(), **weights)
