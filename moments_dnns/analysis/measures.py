"""Numbers with intervals from the moments of a network: growth of the sensitivity, effective rank, kurtosis.

Each function leaves out the realizations with numbers that are not finite where it looks, and marks them in `lost`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.moments import DERIVATIONS, MOMENTS, array_name, derive, place_number, split_name

from .arrays import Checked, checked_depth
from .statistics import Estimate, estimate, slopes

# Each third of the depths needs two measurements, and the last two thirds must double the depth: over less, powers
# and exponentials look alike.
FEWEST_DEPTHS = 6


LEAST_SPAN = 2.0


# Where mu2 is this close to 1 in all realizations, a normalization has made it so.
NORMALIZED = 0.1


@attrs.frozen
class Growth:
    """How ln chi grows with the depth l.

    Args:
        rate: d ln chi / dl over the second half of the depths.
        exponent: d ln chi / d ln l over the second half: the power of depth, where there is one.
        exponent_middle: The same over the middle third.
        exponent_end: The same over the last third. A power law keeps the exponent of the middle third; an exponential
            raises it, in proportion to depth.
        excess: `exponent_end` beyond half way from a power law to an exponential: negative for a power law, positive
            for an exponential.
    """

    rate: Estimate
    exponent: Estimate
    exponent_middle: Estimate
    exponent_end: Estimate
    excess: Estimate


class Measured:
    """The arrays of an experiment or of a characterized model, by moment instead of by name.

    Args:
        moments: What `diagnose` takes.

    Raises:
        TypeError: If it is not a mapping, or an array does not hold real numbers.
        ValueError: If there are no moments, shapes do not match, or depth is missing or does not increase.

    Example:

    >>> measured = Measured({"log_chi_loc1": np.zeros((3, 2)), "log_chi_loc4": np.ones((3, 2)), "depth": [5, 10]})
    >>> measured.places, measured.last("log_chi")[0].tolist(), measured.depth.tolist()
    (['loc1', 'loc4'], [1.0, 1.0], [5.0, 10.0])
    """

    def __init__(self, moments: Mapping[str, Any]) -> None:
        if not isinstance(moments, Mapping):
            raise TypeError(refusal("moments must be a mapping from names to arrays.", moments=type(moments).__name__))
        self.layered = "layer" in moments.keys()
        # The layers of a model are one place, without a name.
        places = {name: place for name in moments.keys() if (place := _place(name)) is not None}
        if not places:
            raise ValueError(refusal("expected moments named <moment>_<loc> or <moment>.", moments=list(moments)))
        row = getattr(getattr(moments, "experiment", None), "row", None)
        self.unit = (
            "measured layer" if self.layered else "residual unit" if getattr(row, "residual", False) else "layer"
        )
        self.arrays = Checked({name: moments[name] for name in places})
        self.places = sorted(set(places.values()), key=lambda place: place_number(place) or 0)
        self.shape = np.shape(self.arrays[next(iter(places))])
        if not self.layered and "depth" not in moments.keys():
            raise ValueError(refusal("expected depth, or layer for the layers of a model.", moments=list(moments)))
        self.depth = checked_depth(np.arange(1, self.shape[1] + 1) if self.layered else moments["depth"], self.shape)

    @property
    def is_deep(self) -> bool:
        """Whether there are depths enough to compare the middle third with the last."""
        number = len(self.depth)
        return number >= FEWEST_DEPTHS and bool(self.depth[-1] >= LEAST_SPAN * self.depth[number // 3])

    def at(self, moment: str, place: str) -> np.ndarray | None:
        """Return the array of a moment at a place, or None where it does not follow from what is there."""
        with np.errstate(all="ignore"):  # a dead signal and its dead noise have no chi
            try:
                return np.asarray(derive(self.arrays, array_name(moment, place)), np.float64)
            except KeyError:
                return None

    def last(self, moment: str) -> np.ndarray | None:
        """Return the array of a moment at the last place where there is one."""
        found = (self.at(moment, place) for place in reversed(self.places))
        return next((array for array in found if array is not None), None)


def _place(name: str) -> str | None:
    """Return the place of a moment, or None of what is no moment."""
    moment, place = split_name(name)
    return place if moment in {*MOMENTS, *DERIVATIONS} and place_number(place) is not None else None


def growth(measured: Measured, lost: np.ndarray) -> Growth | None:
    """Return how the sensitivity grows, or None where it was not measured, or at too few depths.

    Example:

    >>> depth = np.array([1.0, 2, 4, 8, 16, 32])
    >>> law = {"log_chi_loc1": 0.5 * np.log(depth) + np.zeros((4, 1)), "depth": depth}
    >>> found = growth(Measured(law), np.zeros(4, bool))
    >>> round(found.exponent_middle.value, 6), round(found.exponent_end.value, 6), found.excess.upper < 0
    (0.5, 0.5, True)
    """
    log_chi, depth = measured.last("log_chi"), measured.depth
    number = len(depth)
    if log_chi is None or not measured.is_deep:
        return None
    middle, end, half = slice(number // 3, 2 * number // 3), slice(2 * number // 3, None), slice(number // 2, None)
    # Depths before the middle third are not looked at.
    kept = _finite(lost, np.where(np.arange(number) < middle.start, 0.0, log_chi))
    if not len(kept):
        return None
    log_depth = np.log(depth)
    in_middle, in_end = (slopes(kept[:, third], log_depth[third]) for third in (middle, end))
    # What the exponents of chi = exp(l) would be: the depth itself, roughly.
    raised = np.divide(*(slopes(depth[None, third], log_depth[third])[0] for third in (end, middle)))
    return Growth(
        rate=estimate(slopes(kept[:, half], depth[half])),
        exponent=estimate(slopes(kept[:, half], log_depth[half])),
        exponent_middle=estimate(in_middle),
        exponent_end=estimate(in_end),
        excess=estimate(in_end - (1 + raised) / 2 * in_middle),
    )


def rank(measured: Measured, lost: np.ndarray) -> tuple[Estimate | None, Estimate | None]:
    """Return the effective rank of the signal at the end, and d ln rank / d ln l over the second half of the depths.

    Of the layers of a model it is the largest in the last third, since a layer of few channels has no large one, and
    there is no second number; both are None where they were not measured.

    Example:

    >>> depth = np.array([1.0, 2, 4, 8, 16, 32])
    >>> measured = Measured({"reff_signal_loc3": 64 / depth + np.zeros((4, 1)), "depth": depth})
    >>> at_end, exponent = rank(measured, np.zeros(4, bool))
    >>> at_end.value, round(exponent.value, 6)
    (2.0, -1.0)
    """
    ranks, number = measured.last("reff_signal"), len(measured.depth)
    if ranks is None:
        return None, None
    if measured.layered:
        # A rank that no realization has, of a layer of one channel say, is not lost.
        tail = ranks[:, 2 * number // 3 :]
        tail = tail[:, np.isfinite(tail).any(axis=0)]
        tail = _finite(lost, tail) if tail.size else tail
        return (estimate(tail[:, tail.mean(axis=0).argmax()]) if tail.size else None), None
    half = slice(number // 2 if measured.is_deep else -1, None)
    kept = _finite(lost, ranks[:, half])
    if not len(kept):
        return None, None
    exponents = slopes(np.log(kept), np.log(measured.depth[half])) if kept.shape[1] > 1 else None
    return estimate(kept[:, -1]), None if exponents is None else estimate(exponents)


def kurtosis(measured: Measured, lost: np.ndarray) -> tuple[Estimate | None, Estimate | None]:
    """Return mu4 / mu2^2 of the signal at the last normalized place, and ln of it over that at the first depth.

    Only after a normalization do all channels have one scale, so that the moments of one are those of all: elsewhere
    a large ratio may only say that channels differ. A place is normalized where mu2 is 1; where pruning has left mu4
    without mu2, it was. Both are None where no place near the end is normalized.

    Example:

    >>> mu4 = np.array([3.0, 30.0]) + np.zeros((4, 1))
    >>> at_end, grown = kurtosis(Measured({"mu4_signal_loc3": mu4, "depth": [10, 20]}), np.zeros(4, bool))
    >>> at_end.value, round(grown.value / np.log(10), 6).item()
    (30.0, 1.0)
    """
    for place in reversed(measured.places):
        mu4, mu2 = measured.at("mu4_signal", place), measured.at("mu2_signal", place)
        if mu4 is None:
            continue
        mu2 = np.ones_like(mu4) if mu2 is None else mu2
        normalized = np.flatnonzero(((np.abs(mu2 - 1) < NORMALIZED) | ~np.isfinite(mu2)).all(axis=0))
        if len(normalized) and normalized[-1] >= 2 * len(measured.depth) // 3:
            first, last = normalized[[0, -1]]
            ends = _finite(lost, np.stack([mu4[:, i] / mu2[:, i] ** 2 for i in (first, last)], axis=1))
            if len(ends):
                return estimate(ends[:, 1]), estimate(np.log(ends[:, 1] / ends[:, 0]))
    return None, None


def _finite(lost: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Return the rows whose numbers are all finite, and mark the others as lost."""
    finite = np.isfinite(array).all(axis=1)
    lost |= ~finite
    return array[finite]
