"""The pixels that a convolution reads, also beyond the border of an image. NumPy only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

PADDED = -1  # the number of all pixels of the zero padding


class Boundary(NamedTuple):
    """What convolutions read around a pixel.

    Args:
        padding: The arguments of `numpy.pad` that continue the pixels of an image beyond its border.
        periodic: Whether all pixels are alike, so that translations of the images leave the law of a network as it is.
        centred: Whether the pixel is in the middle of what is read, up to half a pixel; else it is the last of it.
    """

    padding: dict[str, Any]
    periodic: bool = False
    centred: bool = True


BOUNDARIES = {
    "periodic": Boundary({"mode": "wrap"}, periodic=True),
    "periodic_one_sided": Boundary({"mode": "wrap"}, periodic=True, centred=False),
    "symmetric": Boundary({"mode": "symmetric"}),
    "zero_padding": Boundary({"mode": "constant", "constant_values": PADDED}),
}


def padded_pixels(height: int, width: int, kernel_size: int, boundary: str) -> np.ndarray:
    """Return the numbers of an image's pixels, and around them the numbers of those that are read beyond each border.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        kernel_size: Side of the kernel; an even one that is centred reads one pixel more to the right and below.
        boundary: A key of `BOUNDARIES`.

    Returns:
        Integer array of shape (height + kernel_size - 1, width + kernel_size - 1). Pixels are numbered row by row from
        0 on; -1 is zero padding.

    Example:

    >>> for boundary in ("periodic", "periodic_one_sided", "symmetric", "zero_padding"):
    ...     padded_pixels(1, 3, 3, boundary)[-2].tolist()
    [2, 0, 1, 2, 0]
    [1, 2, 0, 1, 2]
    [0, 0, 1, 2, 2]
    [-1, 0, 1, 2, -1]

    Reference: section 2 of arXiv 1811.03087.
    """
    continued = BOUNDARIES[boundary]
    before = (kernel_size - 1) // 2 if continued.centred else kernel_size - 1
    pixels = np.arange(height * width, dtype="int32").reshape(height, width)
    return np.pad(pixels, (before, kernel_size - 1 - before), **continued.padding)


def read_pixels(height: int, width: int, kernel_size: int, boundary: str, strides: int = 1) -> np.ndarray:
    """Return the number of the pixel that each entry of a kernel reads, for each pixel of the output.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        kernel_size: Side of the kernel.
        boundary: A key of `BOUNDARIES`.
        strides: Step between the output's pixels.

    Returns:
        Integer array of shape (kernel_size**2, pixels of the output), with -1 for zero padding.

    Example:

    >>> read_pixels(1, 3, 1, "periodic", strides=2).tolist()
    [[0, 2]]

    Reference: equation 1 of arXiv 1811.03087.
    """
    padded = padded_pixels(height, width, kernel_size, boundary)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel_size, kernel_size))[::strides, ::strides]
    return windows.reshape(-1, kernel_size**2).T
