"""What is taken off tensors: means over points, and zeros."""

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns.layers.state import centred, mean_over_points, unless_zero
from tests.support.cases import assert_close

pytestmark = pytest.mark.backend

SHAPES = [(7, 5), (4, 1, 1, 3), (6, 5, 4, 3)]


def random_tensor(shape, mean=0.0):
    return (mean + np.random.default_rng(0).normal(size=shape)).astype("float32")


@pytest.mark.parametrize("shape", SHAPES)
def test_means_are_those_of_channels(shape):
    """The sum of 120 numbers of float32."""
    x = random_tensor(shape, mean=2.0)
    expected = x.astype(np.float64).reshape(-1, shape[-1]).mean(axis=0)
    assert_close(ops.convert_to_numpy(mean_over_points(x)), expected, 1e-6)


def test_means_of_batches_of_any_size():
    images = keras.Input((5, 4, 3))
    model = keras.Model(images, ops.stack([mean_over_points(images)]))
    for batch_size in (2, 7):
        x = random_tensor((batch_size, 5, 4, 3))
        assert_close(ops.convert_to_numpy(model(x))[0], x.astype(np.float64).mean(axis=(0, 1, 2)), 1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_small_variation_around_a_large_mean_keeps_its_digits(shape):
    x = random_tensor(shape, mean=1000.0)
    exact = x.astype(np.float64)
    expected = exact - exact.reshape(-1, shape[-1]).mean(axis=0)
    # Deviations of order 1 from a mean of 1000: taken off at once, they would keep 4 digits.
    assert_close(ops.convert_to_numpy(centred(x)), expected, 1e-6)


def test_constant_channels_become_exactly_zero():
    x = random_tensor((6, 5, 4, 3))
    x[..., 1] = 0.1
    assert not ops.convert_to_numpy(centred(x))[..., 1].any()


def test_zeros_become_ones():
    np.testing.assert_array_equal(ops.convert_to_numpy(unless_zero(np.array([0, -0.0, 1e-40, -3], "float32")))[:2], 1)
    np.testing.assert_array_equal(ops.convert_to_numpy(unless_zero(np.array([1e-30, -3], "float32"))),
                                  np.array([1e-30, -3], "float32"))  # fmt: skip
