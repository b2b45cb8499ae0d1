"""The kernels of Keras' layers, and how many numbers each of their outputs is a sum of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from moments_dnns import _keras_internals as internals

# The names of the weights by which layers multiply their inputs.
KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


class Kernel(NamedTuple):
    """A kernel of a layer.

    Args:
        variable: The weight.
        fan_in: How many products an output is the sum of.
        fan_out: In how many products an input is.
    """

    variable: Any
    fan_in: float
    fan_out: float


def kernels_of(layer: Any) -> Iterator[Kernel]:
    """Yield the kernels of a layer itself, in the order in which it multiplies by them.

    Keras' initializers count all but the last axis of a kernel as inputs, which is wrong for depthwise and transposed
    convolutions; here the products are counted that a layer does sum.

    Example:

    >>> layer = keras.layers.DepthwiseConv2D(3)
    >>> layer.build((None, 8, 8, 32))
    >>> [(kernel.fan_in, kernel.fan_out) for kernel in kernels_of(layer)]
    [(9, 9)]
    """
    for variable in internals.own_variables(layer):
        if variable.name in KERNELS and len(variable.shape) > 1:
            yield Kernel(variable, *_fans(layer, variable))


def _fans(layer: Any, variable: Any) -> tuple[float, float]:
    shape = tuple(int(side) for side in variable.shape)
    if isinstance(layer, keras.layers.EinsumDense):
        inputs, kernel, outputs = _letters(layer.equation)
        summed = math.prod(side for side, letter in zip(shape, kernel, strict=True) if letter not in outputs)
        spread = math.prod(side for side, letter in zip(shape, kernel, strict=True) if letter not in inputs)
        return summed, spread
    pixels, (before, behind) = math.prod(shape[:-2]), shape[-2:]
    if variable.name == "depthwise_kernel" or isinstance(layer, DEPTHWISE):
        return pixels, pixels * behind
    if isinstance(layer, TRANSPOSED):  # whose kernels have the outputs before the inputs
        strides = math.prod(layer.strides)
        return max(pixels / strides, 1) * behind, pixels * before
    # Every input of a grouped convolution is in the outputs of its own group.
    return pixels * before, pixels * behind / getattr(layer, "groups", 1)


DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


def _letters(equation: str) -> tuple[str, str, str]:
    """Return the axes of inputs, kernel and outputs in the equation of an `EinsumDense` layer."""
    left, outputs = equation.replace(" ", "").replace("...", "").split("->")
    inputs, kernel = left.split(",")
    return inputs, kernel, outputs
