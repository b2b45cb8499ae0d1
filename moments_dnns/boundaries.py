"""What a convolution reads beyond the border of an image."""

from __future__ import annotations

from keras import ops

from .pixels import padded_pixels
from .state import Tensor


def pad(x: Tensor, kernel_size: int, boundary: str) -> Tensor:
    """Return images with the pixels that a kernel reads beyond each border.

    Args:
        x: Tensor of shape (batch, height, width, channels).
        kernel_size: Side of the kernel; an even one reads one pixel more to the right and below.
        boundary: `"periodic"`, `"symmetric"` or `"zero_padding"`.

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
    # One gather over all pixels: the tensor is copied once, not once for each axis.
    pixels = padded_pixels(height, width, kernel_size, boundary)
    gathered = ops.take(ops.reshape(x, (-1, height * width, channels)), pixels.ravel(), axis=1)
    return ops.reshape(gathered, (-1, *pixels.shape, channels))
