"""The layer of an activation: a function of the signal, and its derivative along the noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from jaxtyping import Float
from keras import ops

from moments_dnns._validation import refusal
from moments_dnns.descriptions.keras_objects import resolve, specification

from .state import State, Tensor, register

# At signals of size 2**25 (or 2**-25), functions with an asymptote (or a tangent at 0) are homogeneous up to the
# rounding of float32, and fourth powers of the signal are still in float32's range.
FAR = 25
LOG_FAR = 2 * FAR * math.log(2)  # as the logarithm of a mean square

# Signals at which functions are tested.
GRID = np.concatenate([np.linspace(-3, -0.1, 30), np.linspace(0.1, 3, 30)]).astype("float32").reshape(1, 1, 1, -1)


@register
class Activation(keras.layers.Layer):
    """Apply a function to the signal and its derivative to the noise.

    Formula: `x = phi(z)`, `dx = phi'(z) dz`, by forward differentiation (`keras.ops.jvp`), which works for functions of
    several entries too, such as softmax. At a corner of the function, the derivative is the backend's; for `"relu"`
    that is `phi'(0) = 0`.

    A positively homogeneous function (`"relu"`, `"leaky_relu"`, `"linear"`; this is tested numerically) does not change
    the scales of the state. Any other function is applied to the true signal. If it is linear at large (or small)
    signals, larger (or smaller) ones are brought to the scale at which it has become linear, and scaled back after it.

    Args:
        activation: Name of a Keras activation, a `keras.layers` activation layer, or a function of one tensor on
            `keras.ops` that returns its shape.

    Call arguments:
        state: The state.

    Returns:
        The state, of the same shape.

    Raises:
        TypeError, ValueError: If the activation is anything else, has weights or randomness, or changes the shape.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.array([-1.0, 3.0], "float32").reshape(1, 1, 2, 1)
    >>> state = InitialState()(images, images)
    >>> np.abs(Activation("relu")(state).noise).ravel().tolist()
    [0.0, 1.0]
    >>> [round(float(x), 4) for x in np.ravel(Activation("tanh")(state).signal)]
    [-0.7616, 0.9951]

    Reference: equations 2 and 3, section 2 of arXiv 1811.03087.
    """

    def __init__(self, activation: Any = "relu", **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = specification("activation", activation)
        self.function = activation_function(self.activation)
        self.homogeneous = is_homogeneous(self.function, -20, 20)
        # The range of log_signal in which the function is applied to the true signal.
        self.lowest, self.highest = (
            sign * LOG_FAR if is_homogeneous(self.function, sign * FAR, sign * (FAR + 1)) else sign * math.inf
            for sign in (-1, 1)
        )

    def call(self, state: State) -> State:
        """Return the activated state."""
        state = State(*state)
        signal, log_signal = state.signal, state.log_signal
        if not self.homogeneous:
            log_scale = ops.clip(log_signal, self.lowest, self.highest)
            signal, log_signal = signal * ops.exp(log_scale / 2), log_signal - log_scale
        activated, noise = self.differentiated(signal, state.noise)
        return State(activated, noise, log_signal, state.log_noise)

    def differentiated(
        self, signal: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Return the function of the signal, and its derivative along the noise."""
        activated, noise = ops.jvp(self.function, (signal,), (noise,))
        return activated, noise

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {**super().get_config(), "activation": self.activation}


def activation_function(activation: str) -> Callable[[Tensor], Tensor]:
    """Return the function that the text of an activation stands for.

    Raises:
        ValueError: If it fails on a tensor, changes the shape, or has weights or randomness.
    """
    function = resolve("activation", activation)
    try:
        shape = tuple(function(ops.convert_to_tensor(GRID)).shape)
    except Exception as error:  # of any kind: the user's own function is executed
        raise ValueError(
            refusal(f"expected a function of one tensor on keras.ops: {error}.", activation=activation)
        ) from error
    if shape != GRID.shape:
        raise ValueError(
            refusal(f"an activation must keep the shape: {GRID.shape} became {shape}.", activation=activation)
        )
    if getattr(function, "variables", []):
        raise ValueError(refusal("an activation must have no weights and no randomness.", activation=activation))
    # Within a function, so that Keras does not track an activation layer as a part of ours.
    return lambda x: function(x)


def is_homogeneous(function: Callable[[Tensor], Tensor], low: int, high: int) -> bool:
    """Return whether a function is positively homogeneous up to rounding: f(c x) = c f(x) for c between two scales.

    Args:
        function: A function of one tensor.
        low: One scale, as a power of 2.
        high: The other one.

    Example:

    >>> is_homogeneous(ops.relu, -20, 20), is_homogeneous(ops.tanh, -20, 20), is_homogeneous(ops.tanh, -25, -26)
    (True, False, True)
    """
    values = [
        np.asarray(ops.convert_to_numpy(function(ops.convert_to_tensor(GRID * 2.0**power))), np.float64) * 2.0**-power
        for power in (low, (low + high) // 2, high)
    ]
    # Relative to the largest value: ELU is constant on one side and linear on the other.
    atol = 1e-6 * np.abs(values[0]).max()
    return bool(np.isfinite(values).all() and np.allclose(values, values[0], rtol=0, atol=atol))
