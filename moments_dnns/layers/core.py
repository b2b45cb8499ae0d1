"""The basic layers: they make a state of images, add two states, and move the scale of a state into its logarithms."""

from __future__ import annotations

from typing import Any

import keras
from jaxtyping import Float
from keras import ops

from moments_dnns._validation import boolean

from .state import State, Tensor, register, unless_zero


@register
class InitialState(keras.layers.Layer):
    """Make a state of images and noise.

    The noise is divided by its largest magnitude, so that noise of any scale keeps its digits.

    Call arguments:
        images: Tensor of shape (batch, height, width, channels).
        noise: Tensor of the same shape.

    Returns:
        The state, with signal and noise from -1 to 1.

    Example:

    >>> images = np.ones((2, 4, 4, 3), "float32")
    >>> tuple(InitialState()(images, images).signal.shape)
    (2, 4, 4, 3)

    Reference: section 3 of arXiv 1811.03087.
    """

    def call(self, images: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"]) -> State:
        """Return the state."""
        signal_scale = unless_zero(ops.max(ops.abs(images)))
        noise_scale = unless_zero(ops.max(ops.abs(noise)))
        return State(images / signal_scale, noise / noise_scale, 2 * ops.log(signal_scale), 2 * ops.log(noise_scale))


@register
class Add(keras.layers.Layer):
    """Add two states: signal to signal, noise to noise.

    Formula: `y = x1 + x2`, `dy = dx1 + dx2`.

    Call arguments:
        states: Two states of one shape; each may have scales of its own.

    Returns:
        Their sum, with the larger of the two scales.

    Example:

    >>> images = np.ones((2, 4, 4, 3), "float32")
    >>> state = InitialState()(images, images)
    >>> float(ops.max(Add()([state, state]).signal))
    2.0

    Reference: section 5 of arXiv 1811.03087.
    """

    def call(self, states: list[State]) -> State:
        """Return the sum."""
        one, other = (State(*state) for state in states)
        log_signal = ops.maximum(one.log_signal, other.log_signal)
        log_noise = ops.maximum(one.log_noise, other.log_noise)
        return State(
            sum(state.signal * ops.exp((state.log_signal - log_signal) / 2) for state in (one, other)),
            sum(state.noise * ops.exp((state.log_noise - log_noise) / 2) for state in (one, other)),
            log_signal,
            log_noise,
        )


@register
class Rescaling(keras.layers.Layer):
    """Divide signal and noise by their root mean squares, and add the logarithms of the mean squares to the scales.

    Formula: `x / r`, `log_scale + 2 ln r`, with `r = sqrt(mean(x**2))`, or 1 where that is 0. The true signal and the
    true noise do not change.

    Args:
        rescale_signal: Whether the signal is rescaled too; a network that normalizes it in every layer need not.

    Call arguments:
        state: The state.

    Returns:
        The state, with mean squares of 1.

    Example:

    >>> images = np.full((2, 4, 4, 3), 7.0, "float32")
    >>> round(float(Rescaling()(InitialState()(images, images)).log_noise), 3)
    3.892

    Reference: section 3 of arXiv 1811.03087.
    """

    def __init__(self, rescale_signal: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.rescale_signal = boolean("rescale_signal", rescale_signal)

    def call(self, state: State) -> State:
        """Return the state with mean squares of 1."""
        signal, noise, log_signal, log_noise = state
        if self.rescale_signal:
            signal, log_signal = self.rescaled(signal, log_signal)
        noise, log_noise = self.rescaled(noise, log_noise)
        return State(signal, noise, log_signal, log_noise)

    @staticmethod
    def rescaled(
        x: Float[Tensor, "*shape"], log_scale: Float[Tensor, ""]
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, ""]]:
        """Return a tensor with a mean square of 1, and its scale: `log_scale` plus ln of the mean square before."""
        mean_square = unless_zero(ops.mean(ops.square(x)))
        return x * (1 / ops.sqrt(mean_square)), log_scale + ops.log(mean_square)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {**super().get_config(), "rescale_signal": self.rescale_signal}
