"""Checksums of arrays to which rows are added in any order.

The checksum of an array is the sum, modulo 2**64, of the hashes of its rows, each taken together with the number of the
row. So new rows are added to a checksum without reading the others, and the order in which they come does not matter. A
row that changed, or that lies in another place or another file, changes the sum.

Reference: M. Bellare, D. Micciancio, A new paradigm for collision-free hashing: incrementality at reduced cost,
EUROCRYPT 1997.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

NUM_BYTES = 8
EMPTY = "00" * NUM_BYTES  # the checksum of no rows


def checksum(rows: np.ndarray, numbers: Iterable[int], before: str = EMPTY) -> str:
    """Return the checksum of an array with more rows.

    Args:
        rows: float64 array of shape (rows, columns).
        numbers: The number of each row, counted from 0, none of which is in `before`.
        before: The checksum of the rows that were there before.

    Returns:
        16 hexadecimal digits.

    Example:

    >>> array = np.eye(2)
    >>> checksum(array, [0, 1]) == checksum(array[:1], [0], before=checksum(array[1:], [1]))
    True
    """
    total = int(before, 16)
    for number, row in zip(numbers, np.ascontiguousarray(rows, "<f8"), strict=True):
        digest = blake2b(row, digest_size=NUM_BYTES, salt=number.to_bytes(NUM_BYTES, "little")).digest()
        total += int.from_bytes(digest, "little")
    return f"{total % 256**NUM_BYTES:0{2 * NUM_BYTES}x}"


def digest(content: bytes) -> str:
    """Return the hash of bytes that are written at once, in as many digits."""
    return blake2b(content, digest_size=NUM_BYTES).hexdigest()
