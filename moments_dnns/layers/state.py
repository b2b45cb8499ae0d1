"""State: a signal, its noise and their scales; and the operations on tensors that several layers share."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from jaxtyping import Float, Integer
from keras import ops

from moments_dnns._backend import accelerators, uses_xla

# A tensor of any backend, symbolic or not, or a NumPy array. Annotations add shapes by jaxtyping, as in
# `Float[Tensor, "batch channels"]`; only tests check them, see `tests/support/shapes.py`.
Tensor = Any

# A seed of random numbers, with entries from 0 to 2**31 - 1.
Seed = Integer[Tensor, "2"]

register = keras.saving.register_keras_serializable(package="moments_dnns")


class State(NamedTuple):
    """A signal and its noise, each with a scale that was divided out of it.

    The true signal is `exp(log_signal / 2) * signal`, the true noise `exp(log_noise / 2) * noise`. Both grow or decay
    exponentially with depth, so that their scales are logarithms. Layers map states to states; they accept plain
    tuples too, which loaded models pass to them.

    Args:
        signal: Tensor of shape (batch, height, width, channels); other Keras models have signals of other shapes.
        noise: Tensor of the same shape, the infinitesimal perturbation of the signal.
        log_signal: Scalar, natural logarithm of the mean square that was divided out of the signal.
        log_noise: Scalar, the same for the noise.

    Reference: section 3 of arXiv 1811.03087.
    """

    signal: Float[Tensor, "*shape"]
    noise: Float[Tensor, "*shape"]
    log_signal: Float[Tensor, ""]
    log_noise: Float[Tensor, ""]


def mean_over_points(x: Float[Tensor, "*points channels"]) -> Float[Tensor, " channels"]:
    """Return the mean of each channel over batch and space."""
    # The batch comes first: sums of whole images are contiguous and therefore fast, and sums of sums keep more digits.
    of_batch = _mean_over_batch(x)
    return ops.mean(of_batch, axis=tuple(range(len(of_batch.shape) - 1)))


def _mean_over_batch(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "..."]:
    if uses_xla() or accelerators() or None in x.shape:
        return ops.mean(x, axis=0)
    # On a CPU without XLA, a product of matrices is three to six times faster than ops.mean.
    batch_size, *shape = x.shape
    return ops.reshape(
        ops.matmul(ops.ones((1, batch_size), x.dtype), ops.reshape(x, (batch_size, -1))) / batch_size, shape
    )


def centred(x: Float[Tensor, "*points channels"]) -> Float[Tensor, "*points channels"]:
    """Return a tensor without the means of its channels over batch and space.

    The first point is subtracted before the mean is taken: a constant channel becomes exactly zero, and a small
    variation around a large mean keeps its digits.

    Args:
        x: Tensor of shape (..., channels).

    Returns:
        Tensor of the same shape, with channel means 0.

    Example:

    >>> ops.convert_to_numpy(centred(ops.array([[1.0, 0.1], [3.0, 0.1]]))).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    shifted = x - x[(slice(0, 1),) * (len(x.shape) - 1)]
    return shifted - mean_over_points(shifted)


def unless_zero(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return a tensor with ones in place of zeros: a scale to divide by, for which zeros stay zeros."""
    return ops.where(x == 0, ops.ones_like(x), x)
