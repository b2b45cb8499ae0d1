"""Pooling: one point of every square of points."""

from __future__ import annotations

from typing import Any

import keras
from jaxtyping import Float
from keras import ops

from moments_dnns._validation import refusal, whole

from .state import State, Tensor, register


class Pooling(keras.layers.Layer):
    """Make one point of every square of points; what does not fill a square at the border is left out.

    Args:
        strides: Side of the squares in pixels.
    """

    def __init__(self, strides: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.strides = whole(1)("strides", strides)

    def call(self, state: State) -> State:
        """Return the state at the new points; the scales stay, because pooling is homogeneous."""
        state = State(*state)
        signal, noise = ops.jvp(self.pool, (self.squares(state.signal),), (self.squares(state.noise),))
        return state._replace(signal=signal, noise=noise)

    def squares(
        self, x: Float[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch rows columns channels points"]:
        """Return a tensor of shape (batch, height, width, channels, points of a square)."""
        side, (height, width, channels) = self.strides, x.shape[1:]
        rows, columns = height // side, width // side
        if not rows * columns:
            raise ValueError(refusal(f"strides must be at most the sides {height} and {width}.", strides=side))
        x = ops.reshape(x[:, : rows * side, : columns * side], (-1, rows, side, columns, side, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 5, 2, 4)), (-1, rows, columns, channels, side * side))

    def pool(self, squares: Float[Tensor, "*shape points"]) -> Float[Tensor, "*shape"]:
        """Return a number for every square."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "strides": self.strides}


@register
class AveragePooling(Pooling):
    """Average squares of points, of signal and noise alike; what does not fill a square at the border is left out.

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
    """Take the largest signal of every square of points, and its noise; incomplete squares are left out.

    Where several are largest, the noise is what the backend takes as the derivative there.

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
