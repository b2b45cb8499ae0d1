"""The base class of layers with a kernel, which draw it and a bias afresh at every call."""

from __future__ import annotations

from typing import Any

import keras
from jaxtyping import Float
from keras import ops

from moments_dnns._validation import non_negative, refusal
from moments_dnns.descriptions.choices import GAIN, check_gain
from moments_dnns.descriptions.keras_objects import resolve, specification

from .state import Seed, State, Tensor, unless_zero
from .weights import draw_bias, draw_kernel

# The arguments that all layers with a kernel have.
OPTIONS = ("gain", "kernel_initializer", "bias_variance")


class Linear(keras.layers.Layer):
    """Multiply signal and noise by one kernel, and add a bias to the signal.

    Formula: `y = omega x + b`, `dy = omega dx`, with `omega` i.i.d. N(0, gain / fan_in) and `b` i.i.d.
    N(0, bias_variance).

    A subclass implements `call`: it draws a kernel by `kernel_of`, multiplies both by it, and adds a bias by `biased`.

    Args:
        gain: Variance of the weights times fan_in; 2 is He's.
        kernel_initializer: `"gaussian"`, with variance gain / fan_in; or a name or an instance of
            `keras.initializers.Initializer`, which has its own gain, but draws from the seed of the call.
        bias_variance: Variance of the biases.
    """

    def __init__(
        self, gain: float = GAIN, kernel_initializer: Any = "gaussian", bias_variance: float = 0.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.gain = non_negative("gain", gain)
        self.kernel_initializer = specification("kernel_initializer", kernel_initializer)
        self.gaussian = self.kernel_initializer == "gaussian"
        self.initializer = None if self.gaussian else resolve("kernel_initializer", self.kernel_initializer)
        self.bias_variance = non_negative("bias_variance", bias_variance)
        check_gain(self.kernel_initializer, self.gain, "explicit")

    @property
    def options(self) -> dict[str, Any]:
        """The arguments in `OPTIONS`, by name."""
        return {name: getattr(self, name) for name in OPTIONS}

    def kernel_of(self, seed: Seed, shape: tuple[int, int, int, int]) -> Float[Tensor, "..."]:
        """Return the kernel for a seed, of shape (height, width, inputs, outputs)."""
        return draw_kernel(shape, seed, self.gain, self.initializer)

    def biased(self, state: State, seed: Seed | None, bias: Float[Tensor, " outputs"] | None = None) -> State:
        """Return a state with a bias added to its signal: the given one, or one drawn from the seed of the kernel."""
        if bias is None and seed is not None and self.bias_variance:
            bias = draw_bias(state.signal.shape[-1], seed, self.bias_variance)
        return state if bias is None else add_bias(state, bias)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {**super().get_config(), **self.options}


def add_bias(state: State, bias: Float[Tensor, " channels"]) -> State:
    """Return a state with a bias added to its signal, at the larger of their two scales."""
    log_bias = 2 * ops.log(unless_zero(ops.max(ops.abs(bias))))
    log_signal = ops.maximum(state.log_signal, log_bias)
    signal = state.signal * ops.exp((state.log_signal - log_signal) / 2) + bias * ops.exp(-log_signal / 2)
    return state._replace(signal=signal, log_signal=log_signal)


def check_weights(seed: Tensor, kernel: Tensor) -> None:
    """Refuse a call that has both a seed and a kernel, or neither.

    Raises:
        ValueError: If there is not exactly one of them.
    """
    if (seed is None) == (kernel is None):
        raise ValueError(refusal("expected either a seed or a kernel.", seed=seed, kernel=kernel))
