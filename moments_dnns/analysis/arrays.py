"""Arrays that users pass, checked before anything is computed from them: by name, or by moment and place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.moments import DERIVATIONS, MOMENTS, array_name, derive, place_number, split_name

from .layer_facts import layers_of, off

# Each third of the depths needs two measurements, and the last two thirds must double the depth: within less, powers
# of depth and exponentials look alike.
FEWEST_DEPTHS = 6
LEAST_SPAN = 2.0


class CheckedArrays(Mapping[str, np.ndarray]):
    """The arrays of a mapping, each checked on access.

    Args:
        arrays: Mapping from names to arrays of one shape, (num_realizations, num_computations).

    Raises:
        TypeError: On access to an array that does not hold real numbers.
        ValueError: On access to an array that has another number of axes, is empty, or differs in shape from the first.
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


def checked_mapping(moments: Any) -> Mapping[str, Any]:
    """Return moments as they are if they are a mapping.

    Raises:
        TypeError: If they are not.
    """
    if not isinstance(moments, Mapping):
        raise TypeError(refusal("moments must be a mapping from names to arrays.", moments=type(moments).__name__))
    return moments


def checked_depth(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the depths of the columns of arrays, as float64.

    Args:
        values: An increasing positive number for each column.
        shape: The shape of the arrays, (num_realizations, num_computations).

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If they do not increase, are not positive, or are too many or too few.
    """
    depth = _numbers("depth", values).astype(np.float64)
    if depth.shape != shape[1:] or not (np.isfinite(depth).all() and depth[0] > 0 and (np.diff(depth) > 0).all()):
        raise ValueError(refusal(f"depth must hold {shape[1]} increasing positive numbers.", depth=depth.tolist()))
    return depth


def _numbers(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(refusal(f"{name} must be an array of real numbers.", dtype=str(array.dtype)))
    return array


class MeasuredMoments:
    """The arrays of an experiment or of a characterized model, by moment and place instead of by name.

    Args:
        moments: The argument of `diagnose`.

    Layers of a model at which nothing varies in any realization are left out: branches that are off at initialisation
    have no sensitivity.

    Attributes:
        depth: The measured depths, of shape (num_depths,); layers of a model are counted from 1.
        silent: At which share of the realizations nothing varies at the end: at the last depth, or in the whole last
            third of a model's layers, but for those that are off because of weights of zeros.
        num_realizations: Number of realizations.
        places: The places of the arrays, in order; models have a single one, `""`.
        is_model: Whether these are moments along the layers of a model.
        unit: What one step of depth is: `"layer"`, `"residual unit"` or `"measured layer"`.
        is_standardised: Whether signal and noise at the input are known to have variance 1, as in experiments.

    Raises:
        TypeError: If `moments` is not a mapping, or an array does not hold real numbers.
        ValueError: If there are no moments, shapes do not match, or depth is missing or does not increase.

    Example:

    >>> measured = MeasuredMoments({"log_chi_loc1": np.zeros((3, 2)), "log_chi_loc4": np.ones((3, 2)), "depth": [5, 9]})
    >>> measured.places, measured.last("log_chi")[0].tolist(), measured.depth.tolist()
    (['loc1', 'loc4'], [1.0, 1.0], [5.0, 9.0])
    """

    def __init__(self, moments: Mapping[str, Any]) -> None:
        names = checked_mapping(moments).keys()
        place_of = {name: place for name in names if (place := _place(name)) is not None}
        if not place_of:
            raise ValueError(refusal("expected moments named <moment>_<loc> or <moment>.", moments=list(moments)))
        self.is_model = "layer" in names
        if not self.is_model and "depth" not in names:
            raise ValueError(refusal("expected depth, or layer for the layers of a model.", moments=list(moments)))
        self._arrays = CheckedArrays({name: moments[name] for name in place_of})
        shape = self._arrays[next(iter(place_of))].shape
        self.num_realizations = shape[0]
        self.depth = checked_depth(np.arange(1, shape[1] + 1) if self.is_model else moments["depth"], shape)
        self.places = sorted(set(place_of.values()), key=lambda place: place_number(place) or 0)
        self.is_standardised = isinstance(getattr(moments, "experiment", None), Experiment)
        self._kept: Any = slice(None)
        self.silent = self._silent_at_the_end(moments)
        architecture = getattr(getattr(moments, "experiment", None), "structure", None)
        unit = "residual unit" if getattr(architecture, "residual", False) else "layer"
        self.unit = "measured layer" if self.is_model else unit

    @property
    def is_deep(self) -> bool:
        """Whether there are enough depths to compare the middle third with the last."""
        number = len(self.depth)
        return number >= FEWEST_DEPTHS and bool(self.depth[-1] >= LEAST_SPAN * self.depth[number // 3])

    def at(self, moment: str, place: str) -> np.ndarray | None:
        """Return the array of a moment at a place, or None if it is not there and does not follow from others."""
        with np.errstate(all="ignore"):  # zeros in signal and noise have no chi
            try:
                return np.asarray(derive(self._arrays, array_name(moment, place)), np.float64)[:, self._kept]
            except KeyError:
                return None

    def _silent_at_the_end(self, moments: Mapping[str, Any]) -> float:
        """Return the attribute `silent`, and leave out the layers at which nothing varies in any realization."""
        variance, noise = self.last("mu2_signal"), self.last("log_mu2_noise")
        if variance is None:
            return 0.0
        silent = variance == 0 if noise is None else (variance == 0) & ~(noise > -np.inf)
        if not self.is_model:
            return float(silent[:, -1].mean())
        layers = layers_of(moments)
        counted = silent[:, ~off(layers)] if layers else silent
        varies = ~silent.all(axis=0)
        if varies.any():
            self._kept = np.flatnonzero(varies)
            self.depth = np.arange(1.0, 1 + varies.sum())
        return float(counted[:, 2 * counted.shape[1] // 3 :].all(axis=1).mean())

    def last(self, moment: str) -> np.ndarray | None:
        """Return the array of a moment at the last place that has one, or None if no place has."""
        arrays = (self.at(moment, place) for place in reversed(self.places))
        return next((array for array in arrays if array is not None), None)


def _place(name: str) -> str | None:
    """Return the place in the name of an array, `""` for a moment without place, or None if it is no moment."""
    moment, place = split_name(name)
    return place if moment in {*MOMENTS, *DERIVATIONS} and place_number(place) is not None else None
