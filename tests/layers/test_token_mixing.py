"""Token mixing against the oracle, with kernels that are given and kernels that are drawn."""

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns.layers.token_mixing import TokenMixing
from moments_dnns.layers.weights import draw_bias, draw_kernel
from tests.support.cases import assert_close, make_state, true

pytestmark = pytest.mark.backend

SEED = np.array([12, 34], "int32")
HEIGHT, WIDTH, CHANNELS = 3, 4, 5
POINTS = HEIGHT * WIDTH


def random_state():
    signal, noise = np.random.default_rng(0).normal(size=(2, 2, HEIGHT, WIDTH, CHANNELS))
    return make_state(signal, noise, 1.5, -2.5)


def mixed(x, kernel):
    """Return images whose points, numbered row by row, are mixed, in float64."""
    numbered = x.reshape(len(x), POINTS, CHANNELS)
    return np.einsum("bqc,qp->bpc", numbered, np.asarray(kernel, np.float64)).reshape(x.shape)


def numbers(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), np.float64)


def test_points_are_mixed_by_a_given_kernel():
    """Sums of 12 products of float32."""
    state, kernel = random_state(), np.random.default_rng(1).normal(size=(POINTS, POINTS)).astype("float32")
    result = true(TokenMixing(bias_variance=1.0)(state, kernel=kernel[None, None]))
    for actual, x in zip(result, true(state), strict=True):
        assert_close(actual, mixed(x, kernel), 1e-6)


@pytest.mark.parametrize("initializer", ["gaussian", "he_normal"])
def test_a_seed_draws_kernel_and_bias(initializer):
    state = random_state()
    law = None if initializer == "gaussian" else keras.initializers.HeNormal()
    kernel = numbers(draw_kernel((1, 1, POINTS, POINTS), SEED, 2.0, law))[0, 0]
    bias = numbers(draw_bias(POINTS, SEED, 0.3)).reshape(1, HEIGHT, WIDTH, 1)
    signal, noise = true(TokenMixing(kernel_initializer=initializer, bias_variance=0.3)(state, seed=SEED))
    assert_close(signal, mixed(true(state)[0], kernel) + bias, 2e-6)
    assert_close(noise, mixed(true(state)[1], kernel), 2e-6)


def test_the_variance_of_the_kernel_is_its_gain_over_the_points():
    images = np.zeros((1, 20, 20, 1))
    images[0, 0, 0, 0] = 1.0
    drawn = true(TokenMixing(gain=3.0)(make_state(images, images), seed=SEED))[0]
    # Four standard errors of the variance of 400 independent Gaussians.
    assert abs(np.mean(drawn**2) * 400 / 3.0 - 1) < 4 * np.sqrt(2 / 400)


def test_refused_calls():
    state, kernel = random_state(), np.ones((1, 1, POINTS, POINTS), "float32")
    for weights in ({}, {"seed": SEED, "kernel": kernel}):
        with pytest.raises(ValueError, match=r"either a seed or a kernel\. Received: seed="):
            TokenMixing()(state, **weights)
    # Called directly: on JAX, Keras would put numbers in the place of open sides.
    images = keras.Input((None, WIDTH, CHANNELS))
    with pytest.raises(ValueError, match=r"must be known\. Received: shape=\(None, 4, 5\)"):
        TokenMixing().call(state._replace(signal=images, noise=images), seed=SEED)
    with pytest.raises(ValueError, match="gain must be .* Received: gain=-1"):
        TokenMixing(gain=-1)
