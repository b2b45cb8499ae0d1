"""Token mixing: a dense layer over the points of space."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from .convolution import Convolution
from .state import State, Tensor, register


@register
class TokenMixing(keras.layers.Layer):
    """Mix the points of space by one matrix, shared by all channels and drawn afresh at every call.

    Formula: `y[p] = sum over points q of x[q] omega[q, p]`, with `omega` i.i.d. N(0, gain / points); a bias for each
    point.

    Args:
        gain, kernel_initializer, bias_variance: As those of `Convolution`.

    Call arguments:
        state: The state.
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.
        kernel: Tensor of shape (1, 1, points, points), instead of a seed.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.ones((2, 4, 4, 3), "float32")
    >>> tuple(TokenMixing()(InitialState()(images, images), seed=np.array([1, 2])).signal.shape)
    (2, 4, 4, 3)

    Reference: equation 1 of arXiv 2105.01601.
    """

    def __init__(
        self, gain: float = 2.0, kernel_initializer: Any = "gaussian", bias_variance: float = 0.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        # One that mixes a single point refuses what the others would refuse.
        mixing = Convolution(1, 1, gain=gain, kernel_initializer=kernel_initializer, bias_variance=bias_variance)
        self.options = {name: getattr(mixing, name) for name in ("gain", "kernel_initializer", "bias_variance")}

    def call(self, state: State, seed: Tensor = None, kernel: Tensor = None) -> State:
        """Return the mixed state."""
        state = State(*state)
        height, width, channels = state.signal.shape[1:]
        points = height * width
        signal, noise = (
            ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, channels, 1, points)) for x in (state.signal, state.noise)
        )
        # Points take the place of channels, and channels that of points.
        mixing = Convolution(points, 1, weights="explicit", **self.options)
        state = mixing.call(state._replace(signal=signal, noise=noise), seed=seed, kernel=kernel)
        signal, noise = (
            ops.transpose(ops.reshape(x, (-1, channels, height, width)), (0, 2, 3, 1))
            for x in (state.signal, state.noise)
        )
        return state._replace(signal=signal, noise=noise)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), **self.options}
