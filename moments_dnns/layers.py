"""Keras layers that map states to states: where they begin, convolutions, additions, and their scales."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from .boundaries import pad
from .devices import accelerators, uses_xla
from .experiment import BOUNDARIES, WEIGHTS, check_gain
from .initializers import draw
from .randomness import gaussian, sample_product, uses_gram
from .specifications import resolve, specification
from .state import State, Tensor, register, unless_zero
from .validation import boolean, non_negative, one_of, refusal, whole

# What tells the seed of a layer's bias from that of its kernel.
BIAS_BITS = 0x2545F491


@register
class InitialState(keras.layers.Layer):
    """Make a state of images and noise.

    The noise is divided by its largest magnitude, so that noise of any scale keeps its digits.

    Call arguments:
        images: Tensor of shape (batch, height, width, channels).
        noise: Tensor of the same shape.

    Example:

    >>> images = np.ones((2, 4, 4, 3), "float32")
    >>> tuple(InitialState()(images, images).signal.shape)
    (2, 4, 4, 3)

    Reference: section 3 of arXiv 1811.03087.
    """

    def call(self, images: Tensor, noise: Tensor) -> State:
        """Return the state."""
        signal_scale = unless_zero(ops.max(ops.abs(images)))
        noise_scale = unless_zero(ops.max(ops.abs(noise)))
        return State(images / signal_scale, noise / noise_scale, 2 * ops.log(signal_scale), 2 * ops.log(noise_scale))


@register
class Convolution(keras.layers.Layer):
    """Convolve signal and noise with one kernel, drawn afresh at every call.

    Formula: `y = omega * x`, `dy = omega * dx`, with `omega` i.i.d. N(0, gain / fan_in) and
    `fan_in = kernel_size**2 * input channels`. A bias b, one i.i.d. N(0, bias_variance) for each output channel, is
    added to the signal.

    Args:
        num_channels: Number of output channels.
        kernel_size: Side of the kernel in pixels.
        strides: Step between the output's pixels.
        boundary: `"periodic"` (opposite border), `"symmetric"` (mirrored, border pixel repeated; odd kernels
            only) or `"zero_padding"`.
        gain: Variance of the weights times fan_in; 2 is He's.
        weights: `"explicit"` draws the kernel. `"gram"` draws the outputs of a fully connected layer from their law
            given its inputs, which is the same law at a cost that grows with the width instead of its square.
            `"auto"` takes the faster one.
        kernel_initializer: `"gaussian"`, with the variance that `gain` says; or a name or an instance of
            `keras.initializers.Initializer`, which has a gain of its own and draws afresh from the seed, not from its
            own.
        bias_variance: Variance of the biases.

    Call arguments:
        state: The state.
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.
        kernel: Tensor of shape (kernel_size, kernel_size, input channels, num_channels), instead of a seed.
        bias: Tensor of shape (num_channels,), beside a kernel; by default there is none then.

    Example:

    >>> images = np.ones((2, 4, 4, 3), "float32")
    >>> state = Convolution(8, kernel_size=3, strides=2)(InitialState()(images, images), seed=np.array([1, 2]))
    >>> tuple(state.noise.shape)
    (2, 2, 2, 8)

    Reference: equations 1 and 3, section 2 of arXiv 1811.03087; section 2 of arXiv 1611.01232 for biases.
    """

    def __init__(
        self,
        num_channels: int,
        kernel_size: int,
        strides: int = 1,
        boundary: str = "periodic",
        gain: float = 2.0,
        weights: str = "auto",
        kernel_initializer: Any = "gaussian",
        bias_variance: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_channels = whole(1)("num_channels", num_channels)
        self.kernel_size = whole(1)("kernel_size", kernel_size)
        self.strides = whole(1)("strides", strides)
        self.boundary = one_of(BOUNDARIES)("boundary", boundary)
        self.gain = non_negative("gain", gain)
        # Not self.weights, which is Keras' own name for variables.
        self.sampling = one_of(WEIGHTS)("weights", weights)
        self.kernel_initializer = specification("kernel_initializer", kernel_initializer)
        self.gaussian = self.kernel_initializer == "gaussian"
        self.initializer = None if self.gaussian else resolve("kernel_initializer", self.kernel_initializer)
        self.bias_variance = non_negative("bias_variance", bias_variance)
        if boundary == "symmetric" and kernel_size % 2 == 0:
            raise ValueError(refusal("the 'symmetric' boundary needs an odd kernel_size.", kernel_size=kernel_size))
        check_gain(self.kernel_initializer, self.gain, self.sampling)

    def call(self, state: State, seed: Tensor = None, kernel: Tensor = None, bias: Tensor = None) -> State:
        """Return the convolved state."""
        state = State(*state)
        if (seed is None) == (kernel is None):
            raise ValueError(refusal("expected either a seed or a kernel.", seed=seed, kernel=kernel))
        if None in state.signal.shape[1:] or self.kernel_size > min(state.signal.shape[1:3]):
            raise ValueError(
                refusal(
                    "height, width and channels must be known, and kernel_size at most the side of the image, of shape "
                    f"{tuple(state.signal.shape)}.",
                    kernel_size=self.kernel_size,
                )
            )
        if kernel is None and self.samples_outputs(state.signal.shape):
            signal, noise = self.sample_outputs(state, seed)
        else:
            kernel = self.draw_kernel(seed, state.signal.shape[-1]) if kernel is None else kernel
            signal, noise = self.convolve(state, kernel)
        state = state._replace(signal=signal, noise=noise)
        if bias is None and seed is not None and self.bias_variance:
            bias = self.draw_bias(seed)
        return state if bias is None else self.add_bias(state, bias)

    def samples_outputs(self, shape: tuple[int | None, ...]) -> bool:
        """Tell whether the outputs of a signal of a shape are drawn without a kernel."""
        fully_connected = self.kernel_size == self.strides == 1 and tuple(shape[1:3]) == (1, 1)
        if self.sampling == "gram" and not fully_connected:
            raise ValueError(
                refusal("weights='gram' needs a fully connected layer.", kernel_size=self.kernel_size, shape=shape)
            )
        return fully_connected and self.gaussian and uses_gram(self.sampling, shape[0], self.num_channels)

    def sample_outputs(self, state: State, seed: Tensor) -> list[Tensor]:
        """Return the outputs for a signal and a noise of shape (batch, 1, 1, channels), which share their weights."""
        x = ops.concatenate([state.signal, state.noise])[:, 0, 0]
        outputs = sample_product(x, self.num_channels, seed, self.gain / x.shape[-1])
        return ops.split(outputs[:, None, None], 2)

    def draw_kernel(self, seed: Tensor, input_channels: int) -> Tensor:
        """Return the kernel of a seed."""
        shape = (self.kernel_size, self.kernel_size, input_channels, self.num_channels)
        if self.initializer is not None:
            return draw(self.initializer, shape, seed)
        return gaussian(shape, seed, self.gain / math.prod(shape[:3]))

    def draw_bias(self, seed: Tensor) -> Tensor:
        """Return the bias of a seed, which shares no number with the kernel's."""
        bits = np.array([BIAS_BITS, 0], "int32")
        return gaussian((self.num_channels,), ops.bitwise_xor(ops.cast(seed, "int32"), bits), self.bias_variance)

    @staticmethod
    def add_bias(state: State, bias: Tensor) -> State:
        """Add a bias to the signal, at the larger of their two scales."""
        log_bias = 2 * ops.log(unless_zero(ops.max(ops.abs(bias))))
        log_signal = ops.maximum(state.log_signal, log_bias)
        signal = state.signal * ops.exp((state.log_signal - log_signal) / 2) + bias * ops.exp(-log_signal / 2)
        return state._replace(signal=signal, log_signal=log_signal)

    def convolve(self, state: State, kernel: Tensor) -> list[Tensor]:
        """Return signal and noise, convolved with one kernel."""
        if self.kernel_size == self.strides == 1:
            return [ops.matmul(x, kernel[0, 0]) for x in (state.signal, state.noise)]
        return [
            self.convolve_padded(pad(x, self.kernel_size, self.boundary), kernel) for x in (state.signal, state.noise)
        ]

    def convolve_padded(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Return images convolved where the kernel lies within them."""
        if self.strides == 1 and uses_xla() and not accelerators():
            # On a CPU, XLA has a fast convolution for outputs as large as the inputs, three to six times faster.
            y = ops.conv(x, kernel, padding="same", data_format="channels_last")
            before, after = (self.kernel_size - 1) // 2, self.kernel_size // 2
            return y[:, before : y.shape[1] - after, before : y.shape[2] - after]
        return ops.conv(x, kernel, strides=self.strides, padding="valid", data_format="channels_last")

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {
            **super().get_config(),
            "num_channels": self.num_channels,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "boundary": self.boundary,
            "gain": self.gain,
            "weights": self.sampling,
            "kernel_initializer": self.kernel_initializer,
            "bias_variance": self.bias_variance,
        }


@register
class Add(keras.layers.Layer):
    """Add two states: signal to signal, noise to noise.

    Call arguments:
        states: Two states of one shape; each may carry scales of its own.

    Example:

    >>> images = np.ones((2, 4, 4, 3), "float32")
    >>> state = InitialState()(images, images)
    >>> float(ops.max(Add()([state, state]).signal))
    2.0

    Reference: section 5 of arXiv 1811.03087.
    """

    def call(self, states: list[State]) -> State:
        """Return the sum, at the larger of the two scales."""
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
    """Divide noise and signal by their root mean squares r and add 2 ln r to their running logarithms.

    Nothing else changes, because the true signal and noise stay the same; what is exactly zero stays zero.

    Args:
        rescale_signal: Whether the signal is rescaled too, which normalized ones do not need.

    Call arguments:
        state: The state.

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
        """Return the state with a mean square of 1."""
        signal, noise, log_signal, log_noise = state
        if self.rescale_signal:
            signal, log_signal = self.rescaled(signal, log_signal)
        noise, log_noise = self.rescaled(noise, log_noise)
        return State(signal, noise, log_signal, log_noise)

    @staticmethod
    def rescaled(x: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return a tensor with a mean square of 1, and its running logarithm."""
        mean_square = unless_zero(ops.mean(ops.square(x)))
        return x * (1 / ops.sqrt(mean_square)), log_scale + ops.log(mean_square)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "rescale_signal": self.rescale_signal}
