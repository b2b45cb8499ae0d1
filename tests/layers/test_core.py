"""Every layer by itself: against the oracle, and on inputs that break careless code."""

import itertools
import math

import numpy as np
import pytest
from keras import ops

from moments_dnns.descriptions.boundaries import BOUNDARIES
from moments_dnns.layers.activation import Activation
from moments_dnns.layers.convolution import Convolution
from moments_dnns.layers.core import Add, InitialState, Rescaling
from moments_dnns.layers.normalization import BatchNormalization
from tests.support import oracle
from tests.support.cases import assert_close, make_state, true

pytestmark = pytest.mark.backend

generator = np.random.default_rng(0)


def random_state(shape=(4, 5, 5, 3), log_signal=0.0, log_noise=0.0):
    signal, noise = generator.normal(size=(2, *shape))
    return make_state(signal + 0.5 * generator.normal(size=shape[-1]), noise, log_signal, log_noise)


def assert_states_close(actual, expected, tolerance_signal=1e-5, tolerance_noise=1e-5):
    signal, noise = true(actual)
    assert_close(signal, expected[0], tolerance_signal)
    assert_close(noise, expected[1], tolerance_noise)


# --- convolution ---------------------------------------------------------------------------------------------------

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
    signals = [true(Convolution(4, 3, boundary=boundary)(state, kernel=kernel))[0] for boundary in BOUNDARIES]
    for one, other in itertools.combinations(signals, 2):
        assert np.abs(one - other).max() > 0.1
        np.testing.assert_allclose(one[:, 1:-1, 1:-1], other[:, 1:-1, 1:-1], atol=1e-5)


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


# --- batch normalization -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.0, 1e-30, 1e-3, 10.0, 1e30])
@pytest.mark.parametrize("log_signal", [-200.0, -30.0, 0.0, 30.0, 200.0])
def test_batch_normalization(epsilon, log_signal):
    """At logarithms of 200, float32 keeps them to 1.5e-5."""
    state = random_state(log_signal=log_signal, log_noise=-log_signal / 2)
    normalized = BatchNormalization(epsilon)(state)
    assert all(np.isfinite(x).all() for x in map(np.asarray, normalized))
    assert_states_close(normalized, oracle.batch_norm(true(state), epsilon), 5e-5, 1e-4)


def test_batch_normalization_of_a_large_mean_and_a_small_variation():
    state = random_state((8, 4, 4, 3))
    state = make_state(np.asarray(state.signal) * 1e-2 + 100, state.noise)
    assert_states_close(BatchNormalization(0.0)(state), oracle.batch_norm(true(state), 0.0), 1e-5, 1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 1e-3])
def test_batch_normalization_of_constant_channels(epsilon):
    state = random_state()
    signal = np.array(state.signal)
    signal[..., 1] = 0.1
    state = make_state(signal, state.noise)
    normalized = BatchNormalization(epsilon)(state)
    assert_states_close(normalized, oracle.batch_norm(true(state), epsilon))
    assert not np.any(np.asarray(normalized.signal)[..., 1])
    assert np.any(np.asarray(normalized.noise)[..., 1]) == (epsilon > 0)


def test_statistics_are_constants_of_the_noise():
    """A noise that is the same everywhere is neither centred nor differentiated away."""
    state = random_state()
    noise = np.ones_like(state.noise)
    normalized = true(BatchNormalization(0.0)(make_state(state.signal, noise)))[1]
    assert_close(normalized, np.broadcast_to(1 / np.asarray(state.signal).std(axis=(0, 1, 2)), noise.shape), 1e-5)


@pytest.mark.parametrize(("epsilon", "error"), [(-1e-3, ValueError), (math.nan, ValueError), ("0", TypeError)])
def test_refused_epsilons(epsilon, error):
    with pytest.raises(error, match=r"epsilon must be a finite number of at least 0\. Received: epsilon="):
        BatchNormalization(epsilon)


# --- activation, addition, scales ----------------------------------------------------------------------------------


def test_relu():
    state = random_state(log_signal=3.0, log_noise=-4.0)
    assert_states_close(Activation()(state), oracle.relu(true(state)), 1e-6, 1e-6)


def test_relu_has_no_slope_at_zero():
    signal = np.array([-1.0, -0.0, 0.0, 1e-30, 2.0]).reshape(1, 1, 5, 1)
    state = Activation()(make_state(signal, np.full_like(signal, 7)))
    np.testing.assert_array_equal(np.ravel(state.signal), np.array([0, 0, 0, 1e-30, 2], "float32"))
    np.testing.assert_array_equal(np.ravel(state.noise), [0, 0, 0, 7, 7])


@pytest.mark.parametrize(
    "logs",
    [(0.0, 0.0, 0.0, 0.0), (3.0, -5.0, -1.0, 2.0), (200.0, 199.0, -200.0, -199.0), (200.0, -200.0, -200.0, 200.0)],
)
def test_add(logs):
    one, other = (
        random_state(log_signal=logs[0], log_noise=logs[1]),
        random_state(log_signal=logs[2], log_noise=logs[3]),
    )
    total = Add()([one, other])
    assert all(np.isfinite(x).all() for x in map(np.asarray, total))
    assert_states_close(total, oracle.add(true(one), true(other)))
    assert_states_close(Add()([other, one]), true(total), 0, 0)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-12, 1e12), (1e15, 1e-15)])
def test_rescaling(scales):
    state = random_state(log_signal=11.0, log_noise=-150.0)
    state = state._replace(signal=state.signal * scales[0], noise=state.noise * scales[1])
    rescaled = Rescaling()(state)
    assert_states_close(rescaled, true(state), 1e-5, 3e-5)
    for x in (rescaled.signal, rescaled.noise):
        assert float(ops.mean(ops.square(x))) == pytest.approx(1, rel=1e-5)


def test_rescaling_leaves_zeros():
    zeros = np.zeros((2, 1, 1, 3))
    for x in Rescaling()(make_state(zeros, zeros)):
        assert not np.any(np.asarray(x))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_initial_state(scale):
    images, noise = generator.normal(size=(2, 3, 4, 4, 2)).astype("float32")
    state = InitialState()(images * np.float32(scale), noise * np.float32(scale))
    for x, given, log in zip(state[:2], (images, noise), state[2:], strict=True):
        assert 0.1 < np.abs(np.asarray(x)).max() < 10
        assert_close(np.asarray(x) * np.exp(float(log) / 2 - math.log(scale)), given, 3e-5)


def test_initial_state_without_noise():
    images = np.ones((2, 4, 4, 3), "float32")
    state = InitialState()(images, 0 * images)
    assert not np.any(np.asarray(state.noise))
    assert float(state.log_noise) == 0
