"""Arrays of a mapping that somebody hands over, checked before anything is computed of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from moments_dnns._validation import refusal


class Checked(Mapping[str, np.ndarray]):
    """The arrays of a mapping, each checked when it is asked for, so that an error names the one at fault.

    Args:
        arrays: Mapping from names to arrays, which must all have the shape of the first that is asked for.
    """

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = arrays
        self.shape: tuple[int, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        array = _numbers(name, self._arrays[name])
        if array.ndim != 2 or not array.size or (self.shape and array.shape != self.shape):
            expected = self.shape or "(num_realizations, num_computations)"
            raise ValueError(refusal(f"{name} must have shape {expected}.", shape=array.shape))
        self.shape = array.shape
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _numbers(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(refusal(f"{name} must be an array of real numbers.", dtype=str(array.dtype)))
    return array


def checked_depth(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the depths of arrays of a shape, or refuse what is not one increasing positive number for each column."""
    depth = _numbers("depth", values).astype(np.float64)
    if depth.shape != shape[1:] or not (np.isfinite(depth).all() and depth[0] > 0 and (np.diff(depth) > 0).all()):
        raise ValueError(refusal(f"depth must hold {shape[1]} increasing positive numbers.", depth=depth.tolist()))
    return depth
