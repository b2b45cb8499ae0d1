"""Which pixels a convolution reads, beyond the border of an image too. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

NOTHING = -1  # stands for a pixel that is not there, and reads as zero

# How NumPy pads the pixels of an image as every boundary does.
PADDING: dict[str, dict[str, Any]] = {
    "periodic": {"mode": "wrap"},
    "symmetric": {"mode": "symmetric"},
    "zero_padding": {"mode": "constant", "constant_values": NOTHING},
}

BOUNDARIES = tuple(PADDING)


def padded_pixels(height: int, width: int, kernel_size: int, boundary: str) -> np.ndarray:
    """Return the pixels of an image, with those that a kernel reads beyond each border.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        kernel_size: Side of the kernel; an even one reads one pixel more to the right and below.
        boundary: `"periodic"`, `"symmetric"` or `"zero_padding"`.

    Returns:
        Integer array of shape (height + kernel_size - 1, width + kernel_size - 1): numbers of pixels, row by row,
        and -1 where there is nothing.

    Example:

    >>> padded_pixels(1, 3, 3, "periodic")[0].tolist(), padded_pixels(1, 3, 3, "zero_padding")[1].tolist()
    ([2, 0, 1, 2, 0], [-1, 0, 1, 2, -1])

    Reference: section 2 of arXiv 1811.03087.
    """
    margin = ((kernel_size - 1) // 2, kernel_size // 2)
    pixels = np.arange(height * width, dtype="int32").reshape(height, width)
    return np.pad(pixels, margin, **PADDING[boundary])


def read_pixels(height: int, width: int, kernel_size: int, boundary: str, strides: int = 1) -> np.ndarray:
    """Return what every entry of a kernel reads for every pixel of the output.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        kernel_size: Side of the kernel.
        boundary: `"periodic"`, `"symmetric"` or `"zero_padding"`.
        strides: Step between the output's pixels.

    Returns:
        Integer array of shape (kernel_size**2, pixels of the output): numbers of pixels, and -1 for nothing.

    Example:

    >>> read_pixels(1, 3, 1, "periodic", strides=2).tolist()
    [[0, 2]]

    Reference: equation 1 of arXiv 1811.03087.
    """
    padded = padded_pixels(height, width, kernel_size, boundary)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel_size, kernel_size))[::strides, ::strides]
    return windows.reshape(-1, kernel_size**2).T
