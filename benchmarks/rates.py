"""What a machine can do at best: products of matrices, convolutions, normals; and what an experiment asks for."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from moments_dnns import Experiment
from moments_dnns._device import num_cores
from moments_dnns.data import load_images, normals

from .common import timed
from .engines import engine

NUM_NORMALS = 2**23
SQUARES = (1024, 2048)


class Counts(NamedTuple):
    """What one realization costs at least, with explicit weights.

    Args:
        operations: Additions and multiplications of the convolutions of signal and noise; nothing else.
        normals: Random numbers for all kernels, and for the noise at the input.
    """

    operations: int
    normals: int


class Product(NamedTuple):
    """The product of a matrix of shape (rows, inner) with one of shape (inner, columns), or a convolution alike.

    A convolution, of a kernel of `size` x `size` pixels with square images, has one row for each pixel of a batch.
    """

    rows: int
    inner: int
    columns: int
    size: int = 1
    side: int = 1

    @property
    def operations(self) -> int:
        """Additions and multiplications."""
        return 2 * self.rows * self.inner * self.columns

    def __str__(self) -> str:
        return f"{'convolution' if self.size > 1 else 'product'} of {self.rows} x {self.inner} x {self.columns}"


@functools.cache
def image_shape(dataset: str) -> tuple[int, ...]:
    """Return height, width and channels of the images of a dataset."""
    return load_images(dataset).images.shape[1:]


def products(experiment: Experiment) -> tuple[Product, Product]:
    """Return the first convolution and each later one, of signal and noise at once, as products of matrices."""
    height, width, channels = image_shape(experiment.dataset)
    size, num_channels = experiment.kernel_size, experiment.num_channels
    side = experiment.layer_side(height)
    inputs = height * width * channels if experiment.fully_connected else channels
    rows = 2 * experiment.batch_size * side**2
    first, other = (Product(rows, size**2 * n, num_channels, size, side) for n in (inputs, num_channels))
    return first, other


def counts(experiment: Experiment) -> Counts:
    """Return what one realization costs at least."""
    first, other = products(experiment)
    others = experiment.total_depth * experiment.kernels_per_layer
    noise = experiment.batch_size * math.prod(image_shape(experiment.dataset))
    return Counts(
        first.operations + others * other.operations,
        first.inner * first.columns + others * other.inner * other.columns + noise,
    )


def product_rates(shapes: Iterable[Product]) -> dict[Product, float]:
    """Return operations per second of products and convolutions, compiled by Keras' backend, in float32."""
    from keras import ops, random

    def convolve(x: Any, kernel: Any) -> Any:
        return ops.conv(x, kernel, padding="same")

    def rate(product: Product) -> float:
        images, channels = product.rows // product.side**2, product.inner // product.size**2
        x = random.normal((images, product.side, product.side, channels))
        kernel = random.normal((product.size, product.size, channels, product.columns))
        if product.size == 1:
            x, kernel = x[:, 0, 0], kernel[0, 0]
        call = engine().compiled(ops.matmul if product.size == 1 else convolve)
        return product.operations / best(lambda: finish(call(x, kernel)))

    return {product: rate(product) for product in dict.fromkeys(shapes)}


def normal_rates() -> dict[str, float]:
    """Return normals per second in float32: of the backend's generator and, on all cores, of NumPy and this library."""
    generators = [np.random.Generator(np.random.SFC64(seed)) for seed in range(num_cores())]
    each = NUM_NORMALS // len(generators)

    def together(draw: Callable[[np.random.Generator], Any]) -> float:
        with ThreadPoolExecutor(len(generators)) as pool:
            return len(generators) * each / best(lambda: [*pool.map(draw, generators)])

    draw = engine().normals(NUM_NORMALS)
    return {
        "NumPy": together(lambda generator: generator.standard_normal(each, np.float32)),
        "Box and Muller in NumPy": together(lambda generator: normals(generator, (each,))),
        "the backend": NUM_NORMALS / best(lambda: finish(draw())),
    }


def finish(tensor: Any) -> None:
    """Wait for a tensor: backends return before they have computed."""
    from keras import ops

    ops.convert_to_numpy(tensor[(0,) * len(tensor.shape)])


def best(call: Callable[[], Any], budget: float = 0.5) -> float:
    """Return the least seconds of a call, over three calls or as many as the budget of seconds holds."""
    call()
    start = time.perf_counter()
    seconds = [timed(call)]
    while len(seconds) < 3 or time.perf_counter() - start < budget:
        seconds.append(timed(call))
    return min(seconds)
