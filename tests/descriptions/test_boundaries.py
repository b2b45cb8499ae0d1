"""The pixels that convolutions read, one by one."""

import numpy as np
import pytest

from moments_dnns.descriptions.boundaries import BOUNDARIES, PADDED, read_pixels
from tests.support.oracle import pixel, pixels_before


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("height", "width", "kernel_size", "strides"), [(3, 4, 3, 1), (4, 4, 2, 2), (5, 6, 5, 3)])
def test_every_entry_of_a_kernel_reads_what_the_oracle_reads(height, width, kernel_size, strides, boundary):
    before = pixels_before(kernel_size, boundary)
    expected = []
    for u in range(kernel_size):
        for v in range(kernel_size):
            for row in range(0, height, strides):
                for column in range(0, width, strides):
                    seen = pixel(row + u - before, height, boundary), pixel(column + v - before, width, boundary)
                    expected.append(PADDED if None in seen else seen[0] * width + seen[1])
    read = read_pixels(height, width, kernel_size, boundary, strides)
    np.testing.assert_array_equal(read, np.reshape(expected, (kernel_size**2, -1)))
