"""State: what flows through a network, and the two things that are asked of any of its tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from moments_dnns._backend import accelerators, uses_xla

Tensor = Any


register = keras.saving.register_keras_serializable(package="moments_dnns")


class State(NamedTuple):
    """A signal, its noise, and the logarithms of what was divided out of them.

    The true signal is `exp(log_signal / 2) * signal`, the true noise `exp(log_noise / 2) * noise`: both grow or
    die exponentially with depth, so their scales are kept as logarithms of mean squares. Layers map states to
    states and take the plain tuple that a loaded model hands them.

    Args:
        signal: Tensor of shape (batch, height, width, channels).
        noise: Tensor of the same shape, the infinitesimal perturbation of the signal.
        log_signal: Scalar, natural logarithm of the mean square divided out of the signal.
        log_noise: Scalar, the same for the noise.

    Reference: section 3 of arXiv 1811.03087.
    """

    signal: Tensor
    noise: Tensor
    log_signal: Tensor
    log_noise: Tensor


def mean_over_points(x: Tensor) -> Tensor:
    """Average over batch and space, channel by channel: shape (..., channels) -> (channels,)."""
    # The batch first: sums of whole images are contiguous, hence fast, and sums of sums keep more digits.
    of_batch = _mean_over_batch(x)
    return ops.mean(of_batch, axis=tuple(range(len(of_batch.shape) - 1)))


def _mean_over_batch(x: Tensor) -> Tensor:
    if uses_xla() or accelerators() or None in x.shape:
        return ops.mean(x, axis=0)
    # On a CPU without XLA, a product of matrices sums three to six times faster than the operation made for it.
    batch_size, *shape = x.shape
    return ops.reshape(ops.matmul(ops.ones((1, batch_size)), ops.reshape(x, (batch_size, -1))) / batch_size, shape)


def centred(x: Tensor) -> Tensor:
    """Take off the mean over batch and space, channel by channel.

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


def unless_zero(x: Tensor) -> Tensor:
    """Replace zeros by ones, so that what has no scale can be divided by it and stays as it is."""
    return ops.where(x == 0, ops.ones_like(x), x)
