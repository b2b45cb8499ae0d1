"""Normalizations: against float64 and finite differences, and against the Keras layers of the same names."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
)
from tests.support import oracle
from tests.support.cases import assert_close, assert_states_close, make_state, true

pytestmark = pytest.mark.backend

SHAPE = (4, 5, 3, 6)
# name -> (the layer for an epsilon, the oracle's name, what it takes beside epsilon, Keras' layer for an epsilon).
PLAIN = {"center": False, "scale": False}
TABLE = {
    "batch": (
        lambda epsilon: BatchNormalization(epsilon, statistics="differentiated"),
        ("differentiated",),
        lambda epsilon: keras.layers.BatchNormalization(epsilon=epsilon, **PLAIN),
    ),
    "layer": (
        LayerNormalization,
        ("layer_norm",),
        lambda epsilon: keras.layers.LayerNormalization(axis=-1, epsilon=epsilon, **PLAIN),
    ),
    "group": (
        lambda epsilon: GroupNormalization(3, epsilon),
        ("group_norm", 3),
        lambda epsilon: keras.layers.GroupNormalization(3, epsilon=epsilon, **PLAIN),
    ),
    "instance": (
        InstanceNormalization,
        ("instance_norm",),
        lambda epsilon: keras.layers.GroupNormalization(-1, epsilon=epsilon, **PLAIN),
    ),
    "rms": (
        RMSNormalization,
        ("rms_norm",),
        lambda epsilon: keras.layers.RMSNormalization(axis=-1, epsilon=epsilon),
    ),
}
each_normalization = pytest.mark.parametrize("name", TABLE)


def random_state(log_signal=0.0, log_noise=0.0):
    generator = np.random.default_rng(0)
    signal, noise = generator.normal(size=(2, *SHAPE))
    return make_state(signal * generator.uniform(0.5, 2, SHAPE[-1]) + 0.5, noise + 0.3, log_signal, log_noise)


def expected(name, state, epsilon):
    kind, *groups = TABLE[name][1]
    return oracle.NORMALIZATIONS[kind](state, epsilon, *groups)


@each_normalization
@pytest.mark.parametrize(
    ("epsilon", "log_signal"),
    [(1e-3, 0.0), (0.0, 30.0), (10.0, 3.0), (1e-3, 200.0), (1e-3, -200.0), (1e30, 0.0)],
)
def test_signal_and_noise(name, epsilon, log_signal):
    """Finite differences are good to 1e-8; at logarithms of 200, float32 keeps them to 1.5e-5."""
    state = random_state(log_signal, -log_signal / 2)
    normalized = TABLE[name][0](epsilon)(state)
    assert all(np.isfinite(x).all() for x in map(ops.convert_to_numpy, normalized))
    signal, noise = expected(name, true(state), epsilon)
    assert_close(true(normalized)[0], signal, 1e-4)
    assert_close(true(normalized)[1], noise, 3e-4)


@each_normalization
def test_against_keras_and_its_derivative(name):
    """Keras' own layer gives the signal, and `jvp` through it the noise."""
    ours, _, theirs = TABLE[name]
    state, layer = random_state(), theirs(0.01)
    layer.build(SHAPE)
    if name == "batch" and keras.backend.backend() == "torch":
        pytest.skip("Keras' layer changes its moving averages in place, which PyTorch does not differentiate")
    training = {"training": True} if name == "batch" else {}
    signal, noise = ops.jvp(lambda x: layer(x, **training), (state.signal,), (state.noise,))
    normalized = ours(0.01)(state)
    assert_close(true(normalized)[0], ops.convert_to_numpy(signal), 1e-5)
    assert_close(true(normalized)[1], ops.convert_to_numpy(noise), 1e-5)


@each_normalization
def test_what_is_constant_at_epsilon_zero_becomes_zero(name):
    state = random_state()
    signal = np.zeros(SHAPE) if name == "rms" else np.full(SHAPE, 0.1)
    normalized = TABLE[name][0](0.0)(make_state(signal, state.noise))
    for x in normalized[:2]:
        assert not ops.convert_to_numpy(x).any()
    # With an epsilon the noise passes, as far as it is not constant itself.
    perturbation = np.asarray(state.noise)
    noise = true(TABLE[name][0](0.25)(make_state(signal, perturbation)))[1]
    assert_close(noise, expected(name, (signal + 1e-9 * perturbation, perturbation), 0.25)[1], 1e-4)


@each_normalization
def test_a_noise_along_the_signal_changes_nothing_without_epsilon(name):
    """The normalization is homogeneous of degree 0."""
    state = random_state()
    noise = true(TABLE[name][0](0.0)(state._replace(noise=state.signal)))[1]
    assert np.abs(noise).max() < 1e-5


def test_statistics_of_batch_norm_are_constants_unless_differentiated():
    state = random_state()
    constant = true(BatchNormalization()(state))
    differentiated = true(BatchNormalization(statistics="differentiated")(state))
    np.testing.assert_array_equal(constant[0], differentiated[0])
    assert_close(constant[1], oracle.batch_norm(true(state), 1e-3)[1], 1e-5)
    assert np.abs(constant[1] - differentiated[1]).max() > 0.1


@pytest.mark.parametrize("epsilon", [0.0, 1e-30, 1e-3, 10.0, 1e30])
@pytest.mark.parametrize("log_signal", [-200.0, -30.0, 0.0, 30.0, 200.0])
def test_batch_normalization(epsilon, log_signal):
    """At logarithms of 200, float32 keeps them to 1.5e-5."""
    state = random_state(log_signal=log_signal, log_noise=-log_signal / 2)
    normalized = BatchNormalization(epsilon)(state)
    assert all(np.isfinite(x).all() for x in map(np.asarray, normalized))
    assert_states_close(normalized, oracle.batch_norm(true(state), epsilon), 5e-5, 1e-4)


def test_batch_normalization_of_a_large_mean_and_a_small_variation():
    state = random_state()
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


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GroupNormalization(0), ValueError, "groups must be an integer of at least 1"),
        (lambda: GroupNormalization(4)(random_state()), ValueError, "divide the 6 channels.* Received: groups=4"),
        (lambda: LayerNormalization(-1.0), ValueError, "epsilon must be"),
        (lambda: BatchNormalization(statistics="exact"), ValueError, "'differentiated'.* Received: statistics='exact'"),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@each_normalization
def test_configurations(name):
    layer = TABLE[name][0](0.25)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(true(again(random_state()))[1], true(layer(random_state()))[1])
