"""Kernels from an initializer of Keras and a seed that is a tensor, and the delta-orthogonal initializer."""

from __future__ import annotations

import copy
from typing import Any

import keras
from keras import ops

from .randomness import TensorSeed
from .state import Tensor, register
from .validation import non_negative, refusal


@register
class DeltaOrthogonal(keras.initializers.Initializer):
    """Draw kernels that are zero but for an orthogonal matrix at their centre: a convolution that keeps lengths.

    Formula: `omega[centre] = sqrt(gain) * Q`, `Q @ Q.T = I`, Q uniform among such matrices; else `omega = 0`.

    Args:
        gain: By which mean squares are multiplied; in terms of `Experiment.gain`, its variance of weights times fan_in.
        seed: An integer, or a `keras.random.SeedGenerator`.

    Example:

    >>> kernel = np.asarray(DeltaOrthogonal(2.0, seed=1)((3, 3, 4, 8)))
    >>> bool(np.allclose(kernel[1, 1] @ kernel[1, 1].T, 2 * np.eye(4), atol=1e-5)), int(np.count_nonzero(kernel[0]))
    (True, 0)

    Reference: algorithm 1 of arXiv 1806.05393.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None):
        self.gain = non_negative("gain", gain)
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """Return a kernel of shape (..., input channels, output channels)."""
        *sides, inputs, outputs = shape
        if inputs > outputs:
            raise ValueError(
                refusal("a delta-orthogonal kernel needs input channels that are at most the output channels.",
                        inputs=inputs, outputs=outputs)
            )  # fmt: skip
        matrix = keras.initializers.Orthogonal(self.gain**0.5, seed=self.seed)((inputs, outputs), dtype)
        around = [((side - 1) // 2, side // 2) for side in sides]
        return ops.pad(ops.reshape(matrix, (1,) * len(sides) + (inputs, outputs)), [*around, (0, 0), (0, 0)])

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {"gain": self.gain, "seed": self.seed}


def draw(initializer: Any, shape: tuple[int, ...], seed: Tensor) -> Tensor:
    """Return the kernel that an initializer draws from a seed that is a tensor.

    Args:
        initializer: A `keras.initializers.Initializer`, which stays as it is.
        shape: (height, width, input channels, output channels); of a single point, it is drawn as the matrix that a
            dense layer has.
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.

    Example:

    >>> kernels = [draw(keras.initializers.HeNormal(), (3, 3, 4, 8), np.array([1, k])) for k in (2, 2, 3)]
    >>> [bool(np.allclose(kernels[0], kernel)) for kernel in kernels]
    [True, True, False]
    """
    seeded = copy.copy(initializer)
    # Those that are random draw with it at every call; the others have no use for it.
    seeded.seed = TensorSeed(seed)
    if shape[:2] == (1, 1):
        return seeded(shape[2:], dtype="float32")[None, None]
    return seeded(shape, dtype="float32")
