"""Keras layers that map states to states: one class per step of a network."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from .boundaries import pad
from .devices import accelerators, uses_xla
from .experiment import BOUNDARIES, WEIGHTS
from .randomness import gaussian, sample_product, uses_gram
from .state import State, Tensor, centred, mean_over_points, unless_zero
from .validation import boolean, non_negative, one_of, refusal, whole

register = keras.saving.register_keras_serializable(package="moments_dnns")


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
        weights: `"explicit"` draws the kernel. `"gram"` draws the outputs of a fully connected layer from their law
            given its inputs, which is the same law at a cost that grows with the width instead of its square.
            `"auto"` takes the faster one.

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
        weights: str = "auto",
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
        if boundary == "symmetric" and kernel_size % 2 == 0:
            raise ValueError(refusal("the 'symmetric' boundary needs an odd kernel_size.", kernel_size=kernel_size))

    def call(self, state: State, seed: Tensor = None, kernel: Tensor = None) -> State:
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
        return state._replace(signal=signal, noise=noise)

    def samples_outputs(self, shape: tuple[int | None, ...]) -> bool:
        """Tell whether the outputs of a signal of a shape are drawn without a kernel."""
        fully_connected = self.kernel_size == self.strides == 1 and tuple(shape[1:3]) == (1, 1)
        if self.sampling == "gram" and not fully_connected:
            raise ValueError(
                refusal("weights='gram' needs a fully connected layer.", kernel_size=self.kernel_size, shape=shape)
            )
        return fully_connected and uses_gram(self.sampling, shape[0], self.num_channels)

    def sample_outputs(self, state: State, seed: Tensor) -> list[Tensor]:
        """Return the outputs for a signal and a noise of shape (batch, 1, 1, channels), which share their weights."""
        x = ops.concatenate([state.signal, state.noise])[:, 0, 0]
        outputs = sample_product(x, self.num_channels, seed, self.gain / x.shape[-1])
        return ops.split(outputs[:, None, None], 2)

    def draw_kernel(self, seed: Tensor, input_channels: int) -> Tensor:
        """Return the Gaussian kernel of a seed."""
        shape = (self.kernel_size, self.kernel_size, input_channels, self.num_channels)
        return gaussian(shape, seed, self.gain / math.prod(shape[:3]))

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
    >>> np.abs(ReLU()(InitialState()(images, images)).noise).ravel().tolist()
    [0.0, 1.0]

    Reference: equations 2 and 3, section 2 of arXiv 1811.03087.
    """

    def call(self, state: State) -> State:
        """Return the rectified state; the scales stay, because the rectifier is homogeneous."""
        state = State(*state)
        signal, noise = ops.jvp(ops.relu, (state.signal,), (state.noise,))
        return state._replace(signal=signal, noise=noise)


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
