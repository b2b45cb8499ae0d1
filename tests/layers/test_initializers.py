"""Kernels and biases: drawn afresh from a seed that is a tensor, with the moments that their initializers promise."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns.layers.convolution import Convolution
from moments_dnns.layers.weights import DeltaOrthogonal, draw_bias, sample_product
from tests.support import oracle
from tests.support.cases import assert_close, make_state, true

backend = pytest.mark.backend

SEED, OTHER = np.array([12, 34], "int32"), np.array([12, 35], "int32")
FAN_IN, FAN_OUT = 9 * 32, 9 * 48


def kernel(initializer, seed=SEED, size=3, inputs=32, outputs=48):
    layer = Convolution(outputs, size, kernel_initializer=initializer)
    return np.asarray(ops.convert_to_numpy(layer.draw_kernel(seed, inputs)), np.float64)


# initializer -> variance of its entries, where those are independent.
VARIANCES = {
    "he_normal": 2 / FAN_IN,
    "he_uniform": 2 / FAN_IN,
    "lecun_normal": 1 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "glorot_uniform": 2 / (FAN_IN + FAN_OUT),
    keras.initializers.VarianceScaling(3.0, "fan_in", "untruncated_normal", seed=7): 3 / FAN_IN,
    keras.initializers.RandomNormal(stddev=0.2): 0.04,
}


@pytest.mark.parametrize(("initializer", "variance"), VARIANCES.items())
def test_variances(initializer, variance):
    """Four standard errors of the variance of independent Gaussians, of which no entry here is more spread."""
    drawn = kernel(initializer)
    assert abs((drawn**2).mean() / variance - 1) < 4 * math.sqrt(2 / drawn.size)
    assert abs(drawn.mean()) < 4 * math.sqrt(variance / drawn.size)


ON_EVERY_BACKEND = ["he_normal", "glorot_uniform", "orthogonal", DeltaOrthogonal(2.0)]
RANDOM = ["lecun_normal", "truncated_normal", "delta_orthogonal", keras.initializers.Orthogonal(1.4, seed=1)]


@pytest.mark.parametrize("initializer", [*(pytest.param(each, marks=backend) for each in ON_EVERY_BACKEND), *RANDOM])
def test_a_seed_decides_the_kernel_alone_and_within_a_loop(initializer):
    layer = Convolution(8, 3, kernel_initializer=initializer)
    drawn = [kernel(initializer, seed, inputs=8, outputs=8) for seed in (SEED, SEED, OTHER)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0] - drawn[2]).max() > 0.01
    model_seeds = keras.Input(batch_shape=(2, 2), dtype="int32")

    class Loop(keras.layers.Layer):
        def build(self, shape):
            pass

        def call(self, seeds):
            def drawn(i, table):
                return ops.slice_update(table, (i, 0, 0, 0, 0), layer.draw_kernel(seeds[i], 8)[None])

            return ops.fori_loop(0, 2, drawn, ops.zeros((2, 3, 3, 8, 8)))

    looped = keras.Model(model_seeds, Loop()(model_seeds)).predict_on_batch(np.stack([SEED, OTHER]))
    # A compiled program may round differently.
    np.testing.assert_allclose(looped, [drawn[0], drawn[2]], rtol=0, atol=2e-6)


@backend
@pytest.mark.parametrize("size", [1, 3, 4])
def test_delta_orthogonal_kernels_keep_lengths(size):
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 6))
    omega = kernel(DeltaOrthogonal(2.0), size=size, inputs=6, outputs=10)
    y = oracle.convolve(x, omega)
    np.testing.assert_allclose((y**2).sum(axis=-1), 2 * (x**2).sum(axis=-1), rtol=1e-5)
    assert np.count_nonzero(omega.any(axis=(2, 3))) == 1


def test_delta_orthogonal_kernels_need_enough_output_channels():
    with pytest.raises(ValueError, match=r"at most the output channels\. Received: inputs=8, outputs=4"):
        kernel("delta_orthogonal", inputs=8, outputs=4)


@backend
def test_orthogonal_dense_layers_keep_angles():
    omega = kernel(keras.initializers.Orthogonal(3.0), size=1, inputs=8, outputs=8)[0, 0]
    np.testing.assert_allclose(omega @ omega.T, 9 * np.eye(8), atol=1e-5)


@pytest.mark.parametrize(("initializer", "expected"), [("zeros", np.zeros((8, 8))), ("identity", np.eye(8))])
def test_deterministic_initializers(initializer, expected):
    np.testing.assert_array_equal(kernel(initializer, size=1, inputs=8, outputs=8)[0, 0], expected)


# --- biases --------------------------------------------------------------------------------------------------------


@backend
@pytest.mark.parametrize("weights", ["explicit", "gram"])
@pytest.mark.parametrize("log_signal", [0.0, 5.0, -200.0, 200.0])
def test_biases(weights, log_signal):
    """One number for each channel, on the signal alone, at its true scale, whatever the signal's."""
    signal, noise = np.random.default_rng(0).normal(size=(2, 6, 1, 1, 5))
    state = make_state(signal, noise, log_signal, 1.0)
    layer = Convolution(300, 1, weights=weights, bias_variance=0.5)
    without = Convolution(300, 1, weights=weights)(state, seed=SEED)
    biased, bias = layer(state, seed=SEED), np.asarray(ops.convert_to_numpy(draw_bias(300, SEED, 0.5)), np.float64)
    assert all(np.isfinite(x).all() for x in map(ops.convert_to_numpy, biased))
    assert_close(true(biased)[0], true(without)[0] + bias, 5e-5)
    np.testing.assert_array_equal(true(biased)[1], true(without)[1])
    assert abs(bias.var() / 0.5 - 1) < 4 * math.sqrt(2 / 300)
    # The kernel's own numbers are others.
    assert abs(np.corrcoef(bias, ops.convert_to_numpy(layer.draw_kernel(SEED, 1)).ravel())[0, 1]) < 4 / math.sqrt(300)


@backend
def test_gram_sampling_is_for_gaussian_kernels_only():
    state = make_state(*np.random.default_rng(0).normal(size=(2, 4, 1, 1, 6)))
    sampled = Convolution(64, 1, weights="gram")(state, seed=SEED)
    x = ops.concatenate([state.signal, state.noise])[:, 0, 0]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(sampled.signal)[:, 0, 0],
        ops.convert_to_numpy(sample_product(x, 64, SEED, 2 / 6))[:4],
    )
    assert not Convolution(64, 1, kernel_initializer="he_normal").samples_outputs((4, 1, 1, 6))
    with pytest.raises(ValueError, match="weights='gram' belong to kernel_initializer='gaussian'"):
        Convolution(64, 1, weights="gram", kernel_initializer="he_normal")
    with pytest.raises(ValueError, match=r"others have a gain of their own\. Received: gain=1\.0"):
        Convolution(64, 1, gain=1.0, kernel_initializer="he_normal")


@pytest.mark.parametrize(
    ("initializer", "error", "message"),
    [
        ("he", ValueError, "kernel_initializer must be one of 'gaussian'.* Received: kernel_initializer='he'"),
        (lambda shape, dtype: None, TypeError, "kernel_initializer must be a name, or a keras.initializers.Initiali"),
        (keras.layers.ReLU(), TypeError, "kernel_initializer must be a name"),
        (keras.initializers.HeNormal, TypeError, "kernel_initializer must be a name"),
        ('{"class_name":"NoSuch","config":{}}', ValueError, "kernel_initializer cannot be made here"),
        ("{", ValueError, "must be the JSON of a Keras object"),
    ],
)
def test_refused(initializer, error, message):
    with pytest.raises(error, match=message):
        Convolution(4, 3, kernel_initializer=initializer)
