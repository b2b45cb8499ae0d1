"""Activations: signals and derivatives against float64, at any scale, and what is refused."""

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns.layers.activation import Activation
from tests.support import oracle
from tests.support.cases import assert_close, assert_states_close, make_state, true

pytestmark = pytest.mark.backend

SHAPE = (3, 4, 4, 6)
HOMOGENEOUS = ("relu", "leaky_relu", "linear")


def random_state(log_signal=0.0, log_noise=0.0):
    signal, noise = np.random.default_rng(0).normal(size=(2, *SHAPE))
    return make_state(signal, noise, log_signal, log_noise)


@pytest.mark.parametrize("name", oracle.FUNCTIONS)
@pytest.mark.parametrize("log_signal", [0.0, 4.0, -6.0])
def test_signal_and_noise(name, log_signal):
    state = random_state(log_signal, -3.0)
    activated, expected = Activation(name)(state), oracle.with_tangent(oracle.FUNCTIONS[name])(true(state))
    assert_close(true(activated)[0], expected[0], 1e-5)
    assert_close(true(activated)[1], expected[1], 1e-4)
    assert (float(activated.log_signal) == log_signal) == (name in HOMOGENEOUS or log_signal == 0)


def sine(x):
    return ops.sin(x)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (keras.layers.LeakyReLU(0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
        (keras.layers.ELU(alpha=0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(np.minimum(x, 0)))),
        (keras.activations.tanh, np.tanh),
        (ops.tanh, np.tanh),
        (sine, np.sin),
        (lambda x: x * ops.tanh(x), lambda x: x * np.tanh(x)),
    ],
)
def test_layers_and_functions(activation, function):
    layer, state = Activation(activation), random_state(1.0)
    expected = oracle.with_tangent(function)(true(state))
    again = Activation.from_config(layer.get_config())
    assert isinstance(layer.get_config()["activation"], str)
    for each in (layer, again):
        assert_close(true(each(state))[0], expected[0], 1e-5)
        assert_close(true(each(state))[1], expected[1], 1e-4)


@pytest.mark.parametrize(
    ("name", "log_signal", "signal", "slope"),
    [
        # Far below 1 these are lines, far above they are lines or saturate.
        ("tanh", -300.0, lambda x: x, lambda x: np.ones_like(x)),
        ("silu", -300.0, lambda x: x / 2, lambda x: np.full_like(x, 0.5)),
        ("silu", 300.0, lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
        ("elu", 300.0, lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
        ("softplus", -300.0, lambda x: np.full_like(x, np.log(2)), lambda x: np.full_like(x, 0.5)),
        ("tanh", 60.0, np.sign, np.zeros_like),
        ("relu", 300.0, lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
    ],
)
def test_signals_far_from_one(name, log_signal, signal, slope):
    """exp(150) and exp(-150) have no float32; logarithms of 300 are kept to 3e-5."""
    state = random_state(log_signal)
    activated = Activation(name)(state)
    assert all(np.isfinite(x).all() for x in map(ops.convert_to_numpy, activated))
    x, noise = true(state)
    assert_close(true(activated)[0], signal(x), 1e-4)
    np.testing.assert_allclose(true(activated)[1], slope(x) * noise, atol=1e-4)


def test_relu_has_no_slope_at_zero_and_saturation_none_at_all():
    state = make_state(np.zeros((1, 1, 2, 1)), np.full((1, 1, 2, 1), 7.0))
    assert not np.any(ops.convert_to_numpy(Activation("relu")(state).noise))
    np.testing.assert_allclose(np.ravel(ops.convert_to_numpy(Activation("tanh")(state).noise)), 7)


def test_relu():
    state = random_state(log_signal=3.0, log_noise=-4.0)
    assert_states_close(Activation()(state), oracle.relu(true(state)), 1e-6, 1e-6)


def test_relu_has_no_slope_at_zero():
    signal = np.array([-1.0, -0.0, 0.0, 1e-30, 2.0]).reshape(1, 1, 5, 1)
    state = Activation()(make_state(signal, np.full_like(signal, 7)))
    np.testing.assert_array_equal(np.ravel(state.signal), np.array([0, 0, 0, 1e-30, 2], "float32"))
    np.testing.assert_array_equal(np.ravel(state.noise), [0, 0, 0, 7, 7])


@pytest.mark.parametrize(
    ("activation", "error", "message"),
    [
        ("rel", ValueError, "activation must be one of 'celu'.* Received: activation='rel'"),
        (3, TypeError, "activation must be a name, a keras.layers activation layer, or a function.* Received: activ"),
        (keras.layers.PReLU(), ValueError, "no weights and no randomness"),
        (keras.layers.GaussianNoise(0.5), ValueError, "no weights and no randomness"),
        (keras.layers.LeakyReLU, TypeError, "activation must be a name"),
        (keras.initializers.HeNormal(), TypeError, "activation must be a name"),
        (keras.activations.glu, ValueError, "an activation must keep the shape"),
        (lambda x, y: x, ValueError, "a function of one tensor on keras.ops"),
        ("no_such_module:f", ValueError, "activation cannot be made here"),
        ("mine-0123456789ab", ValueError, "not known in this process: pass it again, or give one that can be imported"),
    ],
)
def test_refused(activation, error, message):
    with pytest.raises(error, match=message):
        Activation(activation)
