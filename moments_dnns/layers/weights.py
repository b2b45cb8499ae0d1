"""Random kernels and biases, drawn from a seed that is a tensor; and random products, drawn without their kernel."""

from __future__ import annotations

import importlib
import math
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from jaxtyping import Float
from keras import ops

from moments_dnns._keras_internals import Initializer, TensorSeed, seeded
from moments_dnns._validation import non_negative, refusal

from .state import Seed, Tensor, register, unless_zero

# From this ratio of channels to images on, `weights="gram"` is faster: measured, see benchmarks/README.md.
CHANNELS_PER_IMAGE = 8

# Added to the unit diagonal of the float64 correlations, so that rounding leaves every pivot positive. As an error of
# the outputs it is the root of that, 1.4e-7, about what float32 rounds in the explicit product.
JITTER = 2e-14

# Horizontal strips in which half of a Gram matrix is computed, with 5/8 of the work of the whole; more are no faster.
NUM_STRIPS = 4

# Flips bits of the seed of a kernel to make that of its bias.
BIAS_BITS = 0x2545F491


def gaussian(shape: tuple[int, ...], seed: Seed, variance: float = 1.0) -> Float[Tensor, "..."]:
    """Return independent normal numbers with mean 0.

    Formula: `sqrt(-2 ln(1 - u)) * (cos, sin)(2 pi v)` with u, v uniform on [0, 1) (Box and Muller), which takes half
    the time of TensorFlow's own normals on a CPU. With JAX, `sqrt(2) erfinv(u)` with u uniform on (-1, 1), in a third
    of the time: its own normals, in the order of counters that one device draws fastest.

    Args:
        shape: The shape of the result.
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.
        variance: Their variance.

    Returns:
        float32 tensor.

    Example:

    >>> tuple(gaussian((2, 3), np.array([1, 2])).shape)
    (2, 3)
    """
    if keras.backend.backend() == "jax":
        return _jax_normals(shape, seed) * variance**0.5
    size = math.prod(shape)
    uniform = keras.random.uniform((2, -(-size // 2)), dtype="float32", seed=TensorSeed(seed))
    radius = ops.sqrt(-2 * variance * ops.log(1 - uniform[0]))
    angle = 2 * math.pi * uniform[1]
    numbers = ops.concatenate([radius * ops.cos(angle), radius * ops.sin(angle)])
    return ops.reshape(numbers[:size], shape)


def _jax_normals(shape: tuple[int, ...], seed: Seed) -> Float[Tensor, "..."]:
    jax = importlib.import_module("jax")
    key = jax.random.wrap_key_data(ops.cast(seed, "uint32"), impl="threefry2x32")
    with jax.threefry_partitionable(False):
        return jax.random.normal(key, shape, "float32")


def draw_kernel(
    shape: tuple[int, int, int, int], seed: Seed, gain: float, initializer: Initializer | None = None
) -> Float[Tensor, "height width inputs outputs"]:
    """Return a random kernel: a Gaussian one, i.i.d. N(0, gain / fan_in), or that of an initializer.

    Args:
        shape: (height, width, inputs, outputs); fan_in is the product of the first three.
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.
        gain: Variance of Gaussian weights times fan_in.
        initializer: A `keras.initializers.Initializer`, which is not changed. It draws a kernel of height and width 1
            as the matrix of a dense layer.

    Returns:
        Tensor of the shape.

    Example:

    >>> he_normal = keras.initializers.HeNormal()
    >>> kernels = [draw_kernel((3, 3, 4, 8), np.array([1, k]), 2.0, he_normal) for k in (2, 2, 3)]
    >>> [bool(np.allclose(kernels[0], kernel)) for kernel in kernels]
    [True, True, False]
    """
    if initializer is None:
        return gaussian(shape, seed, gain / math.prod(shape[:3]))
    drawn = seeded(initializer, TensorSeed(seed))
    if shape[:2] == (1, 1):
        return drawn(shape[2:], dtype="float32")[None, None]
    return drawn(shape, dtype="float32")


def draw_bias(num_channels: int, seed: Seed, variance: float) -> Float[Tensor, " {num_channels}"]:
    """Return a random bias, i.i.d. N(0, variance), from the seed of a kernel but independent of it.

    Args:
        num_channels: Number of entries.
        seed: The seed of the kernel.
        variance: Variance of the entries.

    Returns:
        Tensor of shape (num_channels,).

    Example:

    >>> tuple(draw_bias(8, np.array([1, 2]), 0.5).shape)
    (8,)
    """
    bits = np.array([BIAS_BITS, 0], "int32")
    return gaussian((num_channels,), ops.bitwise_xor(ops.cast(seed, "int32"), bits), variance)


def gram_root(x: Float[Tensor, "points channels"]) -> Float[Tensor, "points columns"]:
    """Return a small matrix L with `L @ L.T = x @ x.T`, to the precision of float32 in every row.

    Args:
        x: Tensor of shape (points, channels).

    Returns:
        Lower triangular tensor of shape (points, points), or (points, channels) where these are fewer and the backend
        is not TensorFlow; rows of zeros stay zero.

    Example:

    >>> root = gram_root(ops.array([[3.0, 4.0]]))
    >>> round(abs(float(root[0, 0])), 5)
    5.0
    """
    if keras.backend.backend() != "tensorflow":
        # JAX has float64 only if a user enables it, and Keras' products on PyTorch never have it. A QR decomposition
        # does not form the Gram matrix, whose condition number is the square of that of x.
        root = ops.qr(ops.transpose(x))[1]
        # The signs of its rows are arbitrary and differ between programs; they are made those of a Cholesky factor.
        return ops.transpose(root * ops.where(ops.diagonal(root) < 0, -1.0, 1.0)[:, None])
    gram = _lower_gram(ops.cast(x, "float64"))
    norms = ops.sqrt(ops.diagonal(gram))
    scale = 1 / unless_zero(norms)
    correlation = gram * scale[:, None] * scale[None] + JITTER * ops.eye(x.shape[0], dtype="float64")
    # Not ops.cholesky, which looks at every entry once more: what is not a number stays none.
    root = importlib.import_module("tensorflow").linalg.cholesky(correlation)
    return ops.cast(root * norms[:, None], "float32")


def _lower_gram(x: Float[Tensor, "points channels"]) -> Float[Tensor, "points points"]:
    """Return `x @ x.T`, correct on and below its diagonal, which is all that a Cholesky decomposition reads."""
    points = x.shape[0]
    edges = [points * i // NUM_STRIPS for i in range(NUM_STRIPS + 1)]
    strips = [ops.matmul(x[start:stop], ops.transpose(x[:stop])) for start, stop in pairwise(edges) if start < stop]
    return ops.concatenate([ops.pad(strip, ((0, 0), (0, points - strip.shape[1]))) for strip in strips])


def sample_product(
    x: Float[Tensor, "points channels"], num_channels: int, seed: Seed, variance: float
) -> Float[Tensor, "points {num_channels}"]:
    """Return `x @ w` for a random matrix w of independent normal weights, without drawing w.

    Given x, the columns of the product are independent and Gaussian, with the covariance `variance * x @ x.T`. So it
    has exactly the law of `L @ z`, with `L @ L.T = x @ x.T` and z one normal number for each entry of the result.

    Args:
        x: Tensor of shape (points, channels).
        num_channels: Number of columns of w.
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.
        variance: Variance of the weights.

    Returns:
        Tensor of shape (points, num_channels).

    Example:

    >>> tuple(sample_product(np.ones((2, 8), "float32"), 5, np.array([1, 2]), 0.25).shape)
    (2, 5)
    """
    root = gram_root(x)
    return ops.matmul(root, gaussian((root.shape[1], num_channels), seed, variance))


def uses_gram(weights: str, batch_size: int | None, num_channels: int) -> bool:
    """Return whether the outputs of a fully connected layer are sampled from a Gram matrix.

    Args:
        weights: `"explicit"`, `"gram"`, or `"auto"`: for layers that are wide enough, on TensorFlow only.
        batch_size: Number of images; None if it is not known.
        num_channels: Number of output channels.

    Example:

    >>> uses_gram("explicit", 64, 512), uses_gram("auto", 64, 256), uses_gram("gram", 64, 256)
    (False, False, True)
    """
    if weights == "auto":
        # On other backends `gram_root` costs more, and JAX's decompositions may block in threads.
        return (
            keras.backend.backend() == "tensorflow"
            and batch_size is not None
            and CHANNELS_PER_IMAGE * batch_size <= num_channels
        )
    return weights == "gram"


@register
class DeltaOrthogonal(keras.initializers.Initializer):
    """Draw kernels that are zero but for an orthogonal matrix at their centre, so that a convolution keeps lengths.

    Formula: `omega[centre] = sqrt(gain) * Q`, `Q @ Q.T = I`, Q uniform among such matrices; else `omega = 0`.

    Args:
        gain: Factor by which a convolution with as many outputs as inputs multiplies mean squares.
        seed: An integer, or a `keras.random.SeedGenerator`.

    Example:

    >>> kernel = np.asarray(DeltaOrthogonal(2.0, seed=1)((3, 3, 4, 8)))
    >>> bool(np.allclose(kernel[1, 1] @ kernel[1, 1].T, 2 * np.eye(4), atol=1e-5)), int(np.count_nonzero(kernel[0]))
    (True, 0)

    Reference: algorithm 1 of arXiv 1806.05393.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None):
        self.gain = non_negative("gain", gain)
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Float[Tensor, "..."]:
        """Return a kernel of shape (..., input channels, output channels)."""
        *sides, inputs, outputs = shape
        if inputs > outputs:
            raise ValueError(
                refusal("a delta-orthogonal kernel needs input channels that are at most the output channels.",
                        inputs=inputs, outputs=outputs)
            )  # fmt: skip
        matrix = keras.initializers.Orthogonal(self.gain**0.5, seed=self.seed)((inputs, outputs), dtype)
        around = [((side - 1) // 2, side // 2) for side in sides]
        return ops.pad(ops.reshape(matrix, (1,) * len(sides) + (inputs, outputs)), [*around, (0, 0), (0, 0)])

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same initializer."""
        return {"gain": self.gain, "seed": self.seed}
