"""Convolutions of signal and noise with one kernel, and the padding of images at their border."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from keras import ops

from moments_dnns._backend import accelerators, uses_xla
from moments_dnns._validation import one_of, refusal, whole
from moments_dnns.descriptions.boundaries import BOUNDARIES, padded_pixels
from moments_dnns.descriptions.choices import WEIGHTS, check_gain

from .linear import Linear, check_weights
from .state import Seed, State, Tensor, register
from .weights import sample_product, uses_gram


def pad(
    x: Float[Tensor, "batch height width channels"], kernel_size: int, boundary: str
) -> Float[Tensor, "batch height+{kernel_size}-1 width+{kernel_size}-1 channels"]:
    """Return images padded by the pixels that a kernel reads beyond each border.

    Args:
        x: Tensor of shape (batch, height, width, channels).
        kernel_size: Side of the kernel; an even one that is centred reads one pixel more to the right and below.
        boundary: `"periodic"`, `"periodic_one_sided"`, `"symmetric"` or `"zero_padding"`.

    Returns:
        Tensor of shape (batch, height + kernel_size - 1, width + kernel_size - 1, channels).

    Example:

    >>> row = ops.reshape(ops.arange(3.0), (1, 1, 3, 1))
    >>> np.ravel(pad(row, 3, "periodic"))[:5].tolist()
    [2.0, 0.0, 1.0, 2.0, 0.0]
    """
    if boundary == "zero_padding":
        margin = ((kernel_size - 1) // 2, kernel_size // 2)
        return ops.pad(x, ((0, 0), margin, margin, (0, 0)))
    height, width, channels = x.shape[1:]
    # A single gather copies the tensor once; padding axis by axis would copy it twice.
    pixels = padded_pixels(height, width, kernel_size, boundary)
    gathered = ops.take(ops.reshape(x, (-1, height * width, channels)), pixels.ravel(), axis=1)
    return ops.reshape(gathered, (-1, *pixels.shape, channels))


@register
class Convolution(Linear):
    """Convolve signal and noise with one kernel, drawn afresh at every call.

    Formula: `y = omega * x`, `dy = omega * dx`, with `omega` i.i.d. N(0, gain / fan_in) and
    `fan_in = kernel_size**2 * input channels`. A bias b, one i.i.d. N(0, bias_variance) for each output channel, is
    added to the signal.

    Args:
        num_channels: Number of output channels.
        kernel_size: Side of the kernel in pixels.
        strides: Step between the output's pixels.
        boundary: `"periodic"` (opposite border), `"symmetric"` (mirrored, border pixel repeated; odd kernels only),
            `"zero_padding"`, or `"periodic_one_sided"`, where the kernel is not centred on its pixel but reads it and
            those above and to the left of it.
        gain: Variance of the weights times fan_in; 2 is He's.
        weights: `"explicit"` draws the kernel. `"gram"` draws the outputs of a fully connected layer given its inputs;
            they have the same law, at a cost that grows with the width instead of its square. `"auto"` takes the
            faster one.
        kernel_initializer: `"gaussian"`, with variance gain / fan_in; or a name or an instance of
            `keras.initializers.Initializer`, which has its own gain, but draws from the seed of the call.
        bias_variance: Variance of the biases.

    Call arguments:
        state: The state.
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.
        kernel: Tensor of shape (kernel_size, kernel_size, input channels, num_channels), instead of a seed.
        bias: Tensor of shape (num_channels,), together with a kernel; without it, a given kernel has no bias.

    Returns:
        The state, of shape (batch, ceil(height / strides), ceil(width / strides), num_channels).

    Raises:
        TypeError, ValueError: If an argument is refused, the kernel is larger than the images, or there is not exactly
            one of seed and kernel.

    Example:

    >>> from moments_dnns.layers.core import InitialState
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
        super().__init__(gain, kernel_initializer, bias_variance, **kwargs)
        self.num_channels = whole(1)("num_channels", num_channels)
        self.kernel_size = whole(1)("kernel_size", kernel_size)
        self.strides = whole(1)("strides", strides)
        self.boundary = one_of(BOUNDARIES)("boundary", boundary)
        # Not self.weights, which are a layer's variables in Keras.
        self.sampling = one_of(WEIGHTS)("weights", weights)
        check_gain(self.kernel_initializer, self.gain, self.sampling)
        if boundary == "symmetric" and kernel_size % 2 == 0:
            raise ValueError(refusal("the 'symmetric' boundary needs an odd kernel_size.", kernel_size=kernel_size))

    def call(
        self,
        state: State,
        seed: Seed | None = None,
        kernel: Float[Tensor, "side side inputs outputs"] | None = None,
        bias: Float[Tensor, " outputs"] | None = None,
    ) -> State:
        """Return the convolved state."""
        check_weights(seed, kernel)
        state = State(*state)
        shape = tuple(state.signal.shape)
        self.check_shape(shape)
        if kernel is None and self.samples_outputs(shape):
            signal, noise = self.sample_outputs(state, seed)
        else:
            kernel = self.draw_kernel(seed, shape[-1]) if kernel is None else kernel
            signal, noise = self.convolve(state, kernel)
        return self.biased(state._replace(signal=signal, noise=noise), seed, bias)

    def check_shape(self, shape: tuple[Any, ...]) -> None:
        """Refuse signals of unknown shape, and images smaller than the kernel."""
        if None in shape[1:] or self.kernel_size > min(shape[1:3]):
            raise ValueError(
                refusal(
                    "height, width and channels must be known, and kernel_size at most the side of the image, of shape "
                    f"{shape}.",
                    kernel_size=self.kernel_size,
                )
            )

    def samples_outputs(self, shape: tuple[int | None, ...]) -> bool:
        """Return whether outputs are drawn without a kernel for a signal of shape (batch, height, width, channels)."""
        fully_connected = self.kernel_size == self.strides == 1 and tuple(shape[1:3]) == (1, 1)
        if self.sampling == "gram" and not fully_connected:
            raise ValueError(
                refusal("weights='gram' needs a fully connected layer.", kernel_size=self.kernel_size, shape=shape)
            )
        return fully_connected and self.gaussian and uses_gram(self.sampling, shape[0], self.num_channels)

    def sample_outputs(self, state: State, seed: Seed) -> list[Float[Tensor, "batch 1 1 {self.num_channels}"]]:
        """Return the outputs of signal and noise, of shape (batch, 1, 1, channels), drawn with the same weights."""
        x = ops.concatenate([state.signal, state.noise])[:, 0, 0]
        outputs = sample_product(x, self.num_channels, seed, self.gain / x.shape[-1])
        return ops.split(outputs[:, None, None], 2)

    def draw_kernel(
        self, seed: Seed, input_channels: int
    ) -> Float[Tensor, "{self.kernel_size} {self.kernel_size} {input_channels} {self.num_channels}"]:
        """Return the kernel for a seed."""
        return self.kernel_of(seed, (self.kernel_size, self.kernel_size, input_channels, self.num_channels))

    def convolve(
        self, state: State, kernel: Float[Tensor, "side side inputs outputs"]
    ) -> list[Float[Tensor, "batch height width outputs"]]:
        """Return the signal and the noise, each convolved with the kernel."""
        if self.kernel_size == self.strides == 1:
            return [ops.matmul(x, kernel[0, 0]) for x in (state.signal, state.noise)]
        return [
            self.convolve_padded(pad(x, self.kernel_size, self.boundary), kernel) for x in (state.signal, state.noise)
        ]

    def convolve_padded(
        self,
        x: Float[Tensor, "batch padded_height padded_width inputs"],
        kernel: Float[Tensor, "side side inputs outputs"],
    ) -> Float[Tensor, "batch height width outputs"]:
        """Return padded images convolved with a kernel, without further padding."""
        if self.strides == 1 and uses_xla() and not accelerators():
            # On a CPU, XLA's convolutions with outputs of the size of the inputs are three to six times faster.
            y = ops.conv(x, kernel, padding="same", data_format="channels_last")
            before, after = (self.kernel_size - 1) // 2, self.kernel_size // 2
            return y[:, before : y.shape[1] - after, before : y.shape[2] - after]
        return ops.conv(x, kernel, strides=self.strides, padding="valid", data_format="channels_last")

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {
            **super().get_config(),
            "num_channels": self.num_channels,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "boundary": self.boundary,
            "weights": self.sampling,
        }
