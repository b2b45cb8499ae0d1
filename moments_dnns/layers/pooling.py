"""Pooling: squares of pixels become one pixel."""

from __future__ import annotations

from typing import Any

import keras
from jaxtyping import Float
from keras import ops

from moments_dnns._validation import refusal, whole

from .state import State, Tensor, register


class Pooling(keras.layers.Layer):
    """Replace every square of pixels by one pixel; incomplete squares at the border are left out.

    A subclass implements `pool`.

    Args:
        strides: Side of the squares in pixels.
    """

    def __init__(self, strides: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.strides = whole(1)("strides", strides)

    def call(self, state: State) -> State:
        """Return the pooled state; its scales stay the same, because pooling is homogeneous."""
        state = State(*state)
        signal, noise = ops.jvp(self.pool, (self.squares(state.signal),), (self.squares(state.noise),))
        return state._replace(signal=signal, noise=noise)

    def squares(
        self, x: Float[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch rows columns channels points"]:
        """Return a tensor of shape (batch, rows, columns, channels, pixels of a square), one entry for each square."""
        side, (height, width, channels) = self.strides, x.shape[1:]
        rows, columns = height // side, width // side
        if not rows * columns:
            raise ValueError(refusal(f"strides must be at most the sides {height} and {width}.", strides=side))
        x = ops.reshape(x[:, : rows * side, : columns * side], (-1, rows, side, columns, side, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 5, 2, 4)), (-1, rows, columns, channels, side * side))

    def pool(self, squares: Float[Tensor, "*shape points"]) -> Float[Tensor, "*shape"]:
        """Return a number for every square, from its pixels in the last axis."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {**super().get_config(), "strides": self.strides}


@register
class AveragePooling(Pooling):
    """Average squares of pixels, of signal and noise alike; incomplete squares at the border are left out.

    Args:
        strides: Side of the squares in pixels.

    Call arguments:
        state: The state.

    Returns:
        The state, of shape (batch, height // strides, width // strides, channels).

    Raises:
        ValueError: If a square is larger than the images.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.array([1.0, 2.0, 3.0, 2.0], "float32").reshape(1, 2, 2, 1)
    >>> state = AveragePooling(2)(InitialState()(images, images))
    >>> round(float(ops.max(state.signal) * 3), 4)
    2.0
    """

    def pool(self, squares: Float[Tensor, "*shape points"]) -> Float[Tensor, "*shape"]:
        """Return the average of every square."""
        return ops.mean(squares, axis=-1)


@register
class MaxPooling(Pooling):
    """Take the largest signal of every square of pixels, and its noise; incomplete squares at the border are left out.

    Where several signals are largest, the derivative is the backend's.

    Args:
        strides: Side of the squares in pixels.

    Call arguments:
        state: The state.

    Returns:
        The state, of shape (batch, height // strides, width // strides, channels).

    Raises:
        ValueError: If a square is larger than the images.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.array([1.0, 2.0, 3.0, 2.0], "float32").reshape(1, 2, 2, 1)
    >>> state = MaxPooling(2)(InitialState()(images, -images))
    >>> float(ops.max(state.signal)), float(ops.max(state.noise))
    (1.0, -1.0)
    """

    def pool(self, squares: Float[Tensor, "*shape points"]) -> Float[Tensor, "*shape"]:
        """Return the largest number of every square."""
        return ops.max(squares, axis=-1)
