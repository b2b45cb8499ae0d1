"""Normalizations: the signal divided by its standard deviation, over axes that differ from layer to layer."""

from __future__ import annotations

import math
from typing import Any

import keras
from jaxtyping import Float
from keras import ops

from moments_dnns._validation import non_negative, one_of, refusal, whole
from moments_dnns.descriptions.choices import STATISTICS

from .state import State, Tensor, centred, mean_over_points, register, unless_zero


class Normalization(keras.layers.Layer):
    """Divide the signal by its standard deviation, with no trainable scale or shift.

    Formula: `z = (y - m) / sqrt(v + epsilon)`, with mean m and variance v of the true signal over `AXES`. The noise
    goes through the derivative of both: `dz = (dy - mean(dy) - z mean(z dy)) / sqrt(v + epsilon)`. Where the signal is
    constant and `epsilon=0`, signal and noise become 0.

    A subclass sets `AXES` and whether the mean is subtracted (`CENTRED`); it may group channels (`grouped`), or keep
    mean and variance constant for the noise (`differentiates`).

    Args:
        epsilon: Constant added to the variance.
    """

    AXES: tuple[int, ...]
    CENTRED = True
    differentiates = True

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = non_negative("epsilon", epsilon)

    def call(self, state: State) -> State:
        """Return the normalized state."""
        state = State(*state)
        shape = tuple(state.signal.shape)
        signal, noise = self.centred(self.grouped(state.signal)), self.grouped(state.noise)
        variance = self.mean(ops.square(signal))
        # Epsilon in units of the state's signal. Where it is above 1, both terms are divided by it, so that nothing
        # overflows.
        log_epsilon = (math.log(self.epsilon) if self.epsilon else -math.inf) - state.log_signal
        log_scale = ops.maximum(log_epsilon, 0.0)
        denominator = ops.sqrt(variance * ops.exp(-log_scale) + ops.exp(log_epsilon - log_scale))
        factor = ops.where(denominator == 0, 0.0, 1 / unless_zero(denominator))
        signal = signal * factor
        if self.differentiates:
            noise = self.centred(noise)
            noise = noise - signal * (ops.exp(-log_scale) * self.mean(signal * noise))
        signal, noise = (
            x if tuple(x.shape) == shape else ops.reshape(x, (-1, *shape[1:])) for x in (signal, noise * factor)
        )
        return State(signal, noise, -log_scale, state.log_noise - state.log_signal - log_scale)

    def grouped(self, x: Float[Tensor, "batch height width channels"]) -> Float[Tensor, "batch height width ..."]:
        """Return a tensor in the shape to which `AXES` belong."""
        return x

    def centred(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return a tensor without its mean over `AXES`; constants become exactly zero."""
        if not self.CENTRED:
            return x
        first = tuple(slice(0, 1) if axis in self.AXES else slice(None) for axis in range(len(x.shape)))
        shifted = x - x[first]
        return shifted - self.mean(shifted)

    def mean(self, x: Float[Tensor, "batch height width ..."]) -> Float[Tensor, "..."]:
        """Return the mean over `AXES`."""
        return ops.mean(x, axis=self.AXES, keepdims=True)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {**super().get_config(), "epsilon": self.epsilon}


@register
class BatchNormalization(Normalization):
    """Normalize channel by channel over (batch, height, width).

    Formula: `z = (y - m) / sqrt(v + epsilon)`, `dz = dy / sqrt(v + epsilon)`: mean and variance are constants for the
    noise, as in the paper. With `epsilon=0`, signal and noise of a constant channel become 0.

    Args:
        epsilon: Constant added to the variance.
        statistics: Whether mean and variance are constants for the noise: `"constant"`, or `"differentiated"` for the
            exact derivative of the whole batch, `dz = (dy - mean(dy) - z mean(z dy)) / sqrt(v + epsilon)`.

    Call arguments:
        state: The state.

    Returns:
        The state, of the same shape.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.array([1.0, 3.0], "float32").reshape(2, 1, 1, 1)
    >>> state = BatchNormalization(epsilon=0.0)(InitialState()(images, images))
    >>> np.round(np.ravel(state.signal), 5).tolist()
    [-1.0, 1.0]

    Reference: equations 4 and 5, section 2 of arXiv 1811.03087.
    """

    AXES = (0, 1, 2)

    def __init__(self, epsilon: float = 1e-3, statistics: str = "constant", **kwargs: Any):
        super().__init__(epsilon, **kwargs)
        self.statistics = one_of(STATISTICS)("statistics", statistics)
        self.differentiates = self.statistics == "differentiated"

    def centred(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return a tensor without the means of its channels."""
        return centred(x)

    def mean(self, x: Float[Tensor, "batch height width channels"]) -> Float[Tensor, " channels"]:
        """Return the means of channels over batch and space."""
        return mean_over_points(x)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {**super().get_config(), "statistics": self.statistics}


@register
class LayerNormalization(Normalization):
    """Normalize every pixel over its channels, as `keras.layers.LayerNormalization` does.

    Formula: `z = (y - m) / sqrt(v + epsilon)`, with mean and variance over channels, differentiated for the noise.

    Args:
        epsilon: Constant added to the variance.

    Call arguments:
        state: The state.

    Returns:
        The state, of the same shape.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.array([1.0, 3.0], "float32").reshape(1, 1, 1, 2)
    >>> state = LayerNormalization(epsilon=0.0)(InitialState()(images, images))
    >>> np.round(np.ravel(state.signal), 5).tolist(), np.round(np.ravel(state.noise), 5).tolist()
    ([-1.0, 1.0], [0.0, 0.0])

    Reference: section 3 of arXiv 1607.06450.
    """

    AXES = (3,)


@register
class RMSNormalization(Normalization):
    """Divide every pixel by the root mean square of its channels, as `keras.layers.RMSNormalization` does.

    Formula: `z = y / sqrt(mean(y**2) + epsilon)`, `dz = (dy - z mean(z dy)) / sqrt(mean(y**2) + epsilon)`.

    Args:
        epsilon: Constant added to the mean square.

    Call arguments:
        state: The state.

    Returns:
        The state, of the same shape.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.array([3.0, 4.0], "float32").reshape(1, 1, 1, 2)
    >>> state = RMSNormalization(epsilon=0.0)(InitialState()(images, images))
    >>> [round(float(x), 4) for x in np.ravel(state.signal)]
    [0.8485, 1.1314]

    Reference: section 4 of arXiv 1910.07467.
    """

    AXES = (3,)
    CENTRED = False


@register
class InstanceNormalization(Normalization):
    """Normalize every channel of every image over space: group normalization with a group for each channel.

    Formula: `z = (y - m) / sqrt(v + epsilon)`, with mean and variance over (height, width), differentiated for the
    noise.

    Args:
        epsilon: Constant added to the variance.

    Call arguments:
        state: The state.

    Returns:
        The state, of the same shape.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.array([1.0, 3.0], "float32").reshape(1, 2, 1, 1)
    >>> state = InstanceNormalization(epsilon=0.0)(InitialState()(images, images))
    >>> np.round(np.ravel(state.signal), 5).tolist()
    [-1.0, 1.0]

    Reference: equation 2 of arXiv 1607.08022.
    """

    AXES = (1, 2)


@register
class GroupNormalization(Normalization):
    """Normalize groups of channels of every image over space, as `keras.layers.GroupNormalization` does.

    Formula: `z = (y - m) / sqrt(v + epsilon)`, with mean and variance over space and the channels of a group,
    differentiated for the noise.

    Args:
        groups: Number of groups; it divides the channels.
        epsilon: Constant added to the variance.

    Call arguments:
        state: The state.

    Returns:
        The state, of the same shape.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.array([1.0, 3.0, 5.0, 5.5], "float32").reshape(1, 1, 1, 4)
    >>> state = GroupNormalization(groups=2, epsilon=0.0)(InitialState()(images, images))
    >>> np.round(np.ravel(state.signal), 4).tolist()
    [-1.0, 1.0, -1.0, 1.0]

    Reference: section 3 of arXiv 1803.08494.
    """

    AXES = (1, 2, 4)

    def __init__(self, groups: int, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(epsilon, **kwargs)
        self.groups = whole(1)("groups", groups)

    def grouped(
        self, x: Float[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch height width groups members"]:
        """Return a tensor of shape (batch, height, width, groups, channels of a group)."""
        *shape, channels = x.shape
        if channels % self.groups:
            raise ValueError(refusal(f"groups must divide the {channels} channels of the signal.", groups=self.groups))
        return ops.reshape(x, (-1, *shape[1:], self.groups, channels // self.groups))

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {**super().get_config(), "groups": self.groups}
