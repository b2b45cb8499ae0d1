"""Keras layers that map states to states: one class per step of a network."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from .experiment import BOUNDARIES
from .state import State, Tensor, centred, mean_over_points, unless_zero
from .validation import non_negative, one_of, refusal, whole

register = keras.saving.register_keras_serializable(package="moments_dnns")

# How NumPy names the pixels that a boundary shows beyond the border; zero padding shows none.
PAD_MODES: dict[str, Any] = {"periodic": "wrap", "symmetric": "symmetric"}


class TensorSeed(keras.random.SeedGenerator):
    """A seed that is a tensor, where Keras' own generators take integers only.

    Args:
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.
    """

    def __init__(self, seed: Tensor):
        # No state is kept, hence no call of the parent's: a layer's call stays a pure function.
        self.seed = ops.cast(seed, "uint32" if keras.backend.backend() == "jax" else "int32")

    def next(self, ordered: bool = True) -> Tensor:
        """Return the seed."""
        return self.seed


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
    `fan_in = kernel_size**2 * input channels`. There is no bias.

    Args:
        num_channels: Number of output channels.
        kernel_size: Side of the kernel in pixels.
        strides: Step between the output's pixels.
        boundary: `"periodic"` (opposite border), `"symmetric"` (mirrored, border pixel repeated; odd kernels
            only) or `"zero_padding"`.
        gain: Variance of the weights times fan_in; 2 is He's.

    Call arguments:
        state: The state.
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.
        kernel: Tensor of shape (kernel_size, kernel_size, input channels, num_channels), instead of a seed.

    Example:

    >>> images = np.ones((2, 4, 4, 3), "float32")
    >>> state = Convolution(8, kernel_size=3, strides=2)(InitialState()(images, images), seed=np.array([1, 2]))
    >>> tuple(state.noise.shape)
    (2, 2, 2, 8)

    Reference: equations 1 and 3, section 2 of arXiv 1811.03087.
    """

    def __init__(
        self,
        num_channels: int,
        kernel_size: int,
        strides: int = 1,
        boundary: str = "periodic",
        gain: float = 2.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_channels = whole(1)("num_channels", num_channels)
        self.kernel_size = whole(1)("kernel_size", kernel_size)
        self.strides = whole(1)("strides", strides)
        self.boundary = one_of(BOUNDARIES)("boundary", boundary)
        self.gain = non_negative("gain", gain)
        if boundary == "symmetric" and kernel_size % 2 == 0:
            raise ValueError(refusal("the 'symmetric' boundary needs an odd kernel_size.", kernel_size=kernel_size))

    def call(self, state: State, seed: Tensor = None, kernel: Tensor = None) -> State:
        """Return the convolved state."""
        state = State(*state)
        if (seed is None) == (kernel is None):
            raise ValueError(refusal("expected either a seed or a kernel.", seed=seed, kernel=kernel))
        if self.kernel_size > min(state.signal.shape[1:3]):
            raise ValueError(
                refusal(
                    f"kernel_size must be at most the side of the image, of shape {tuple(state.signal.shape)}.",
                    kernel_size=self.kernel_size,
                )
            )
        if kernel is None:
            kernel = self.draw_kernel(seed, state.signal.shape[-1])
        signal, noise = ops.split(self.convolve(ops.concatenate([state.signal, state.noise]), kernel), 2)
        return state._replace(signal=signal, noise=noise)

    def draw_kernel(self, seed: Tensor, input_channels: int) -> Tensor:
        """Return the Gaussian kernel of a seed."""
        shape = (self.kernel_size, self.kernel_size, input_channels, self.num_channels)
        stddev = math.sqrt(self.gain / math.prod(shape[:3]))
        return keras.random.normal(shape, stddev=stddev, dtype=self.compute_dtype, seed=TensorSeed(seed))

    def convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Return x, shape (batch, height, width, channels), convolved with the kernel."""
        if self.kernel_size == self.strides == 1:
            return ops.matmul(x, kernel[0, 0])
        return ops.conv(self.pad(x), kernel, strides=self.strides, padding="valid", data_format="channels_last")

    def pad(self, x: Tensor) -> Tensor:
        """Return x with the pixels that the boundary shows beyond each border."""
        width = ((self.kernel_size - 1) // 2, self.kernel_size // 2)
        if self.boundary == "zero_padding":
            return ops.pad(x, ((0, 0), width, width, (0, 0)))
        for axis in (1, 2):
            pixels = np.pad(np.arange(x.shape[axis], dtype="int32"), width, mode=PAD_MODES[self.boundary])
            x = ops.take(x, pixels, axis=axis)
        return x

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {
            **super().get_config(),
            "num_channels": self.num_channels,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "boundary": self.boundary,
            "gain": self.gain,
        }


@register
class BatchNormalization(keras.layers.Layer):
    """Normalize the signal channel by channel, with statistics that are constants for the noise.

    Formula: `z = (y - m) / sqrt(v + epsilon)`, `dz = dy / sqrt(v + epsilon)`, with mean m and variance v of the
    true signal over (batch, height, width). There is no trainable scale or shift. A constant channel at
    `epsilon=0` has no standard deviation: its signal and its noise become 0.

    Args:
        epsilon: Constant added to the variance.

    Call arguments:
        state: The state.

    Example:

    >>> images = np.array([1.0, 3.0], "float32").reshape(2, 1, 1, 1)
    >>> state = BatchNormalization(epsilon=0.0)(InitialState()(images, images))
    >>> np.round(np.ravel(state.signal), 5).tolist()
    [-1.0, 1.0]

    Reference: equations 4 and 5, section 2 of arXiv 1811.03087.
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = non_negative("epsilon", epsilon)

    def call(self, state: State) -> State:
        """Return the normalized state."""
        state = State(*state)
        signal = centred(state.signal)
        variance = mean_over_points(ops.square(signal))
        # Epsilon in the units of the rescaled signal; the larger of the two sets the scale, so nothing overflows.
        log_epsilon = (math.log(self.epsilon) if self.epsilon else -math.inf) - state.log_signal
        log_scale = ops.maximum(log_epsilon, 0.0)
        denominator = ops.sqrt(variance * ops.exp(-log_scale) + ops.exp(log_epsilon - log_scale))
        factor = ops.where(denominator == 0, 0.0, 1 / unless_zero(denominator))
        return State(signal * factor, state.noise * factor, -log_scale, state.log_noise - state.log_signal - log_scale)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "epsilon": self.epsilon}


@register
class ReLU(keras.layers.Layer):
    """Rectify the signal and let the noise through where the signal is positive.

    Formula: `x = max(z, 0)`, `dx = dz where z > 0, else 0`; the derivative at 0 is 0.

    Call arguments:
        state: The state.

    Example:

    >>> images = np.array([-1.0, 3.0], "float32").reshape(1, 1, 2, 1)
    >>> np.ravel(ReLU()(InitialState()(images, images)).noise).tolist()
    [0.0, 1.0]

    Reference: equations 2 and 3, section 2 of arXiv 1811.03087.
    """

    def call(self, state: State) -> State:
        """Return the rectified state; the scales stay, because the rectifier is homogeneous."""
        state = State(*state)
        passes = state.signal > 0
        return state._replace(
            signal=ops.relu(state.signal), noise=ops.where(passes, state.noise, ops.zeros_like(state.noise))
        )


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
    """Divide signal and noise by their root mean squares r and add 2 ln r to their running logarithms.

    Nothing else changes, because the true signal and noise stay the same; what is exactly zero stays zero.

    Call arguments:
        state: The state.

    Example:

    >>> images = np.full((2, 4, 4, 3), 7.0, "float32")
    >>> round(float(Rescaling()(InitialState()(images, images)).log_noise), 3)
    3.892

    Reference: section 3 of arXiv 1811.03087.
    """

    def call(self, state: State) -> State:
        """Return the state with a mean square of 1."""
        state = State(*state)
        signal_square = unless_zero(ops.mean(ops.square(state.signal)))
        noise_square = unless_zero(ops.mean(ops.square(state.noise)))
        return State(
            state.signal / ops.sqrt(signal_square),
            state.noise / ops.sqrt(noise_square),
            state.log_signal + ops.log(signal_square),
            state.log_noise + ops.log(noise_square),
        )
