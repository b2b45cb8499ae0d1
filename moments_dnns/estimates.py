"""Means over realizations with their intervals, and slopes. NumPy and SciPy only."""

from __future__ import annotations

import math

import attrs
import numpy as np
from scipy.special import stdtrit

# Three numbers or fewer say too little of their own spread.
FEWEST_REALIZATIONS = 4
LEVEL = 0.95  # of intervals


@attrs.frozen
class Estimate:
    """A mean over realizations, and the interval that holds the true mean in 95 of 100 experiments.

    Args:
        value: The mean.
        lower: Lower end of the interval; minus infinity where there are too few realizations.
        upper: Upper end of the interval; infinity where there are too few realizations.

    Example:

    >>> str(Estimate(0.549, 0.5431, 0.5549)), str(Estimate(0.549, -np.inf, np.inf))
    ('0.549 [0.543, 0.555]', '0.549')
    """

    value: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.value:.3g}" + (f" [{self.lower:.3g}, {self.upper:.3g}]" if self.is_bounded else "")

    @property
    def is_bounded(self) -> bool:
        """Whether there are enough realizations for an interval."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)

    def side(self, threshold: float) -> int:
        """Return 1 where the whole interval is above a threshold, -1 where it is below, 0 where it is on both sides."""
        return int(self.lower > threshold) - int(self.upper < threshold)

    def times(self, factor: float) -> Estimate:
        """Return the estimate in another, positive unit."""
        return Estimate(self.value * factor, self.lower * factor, self.upper * factor)

    def to_dict(self) -> dict[str, float | None]:
        """Return plain numbers, with None for the ends of an interval that is not there."""
        return {key: number if math.isfinite(number) else None for key, number in attrs.asdict(self).items()}


def estimate(samples: np.ndarray) -> Estimate:
    """Return the mean of independent samples with Student's interval, mean ± t s / √n.

    Student's interval needs no random numbers, is right for few realizations, where resampling is too narrow, and
    holds for skewed samples as soon as their mean is nearly normal. The order of the samples changes no bit.

    Args:
        samples: Finite numbers, one per realization, at least one.

    Returns:
        `Estimate`, without an interval from fewer than 4 samples.

    Example:

    >>> str(estimate(np.array([1.0, 2.0, 3.0, 4.0])))
    '2.5 [0.446, 4.55]'
    """
    ordered, number = np.sort(samples), len(samples)
    mean = float(ordered.mean())
    if number < FEWEST_REALIZATIONS:
        return Estimate(mean, -math.inf, math.inf)
    half = float(stdtrit(number - 1, (1 + LEVEL) / 2)) * float(ordered.std(ddof=1)) / math.sqrt(number)
    return Estimate(mean, mean - half, mean + half)


def slopes(logs: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return the slope of the least squares line through every row.

    Args:
        logs: Array of shape (num_realizations, num_depths).
        position: Where the columns stand, of shape (num_depths,), at least two different numbers.

    Returns:
        Array of shape (num_realizations,).

    Example:

    >>> slopes(np.array([[1.0, 3.0, 5.0], [7.0, 7.0, 7.0]]), np.array([1.0, 2.0, 3.0])).tolist()
    [2.0, 0.0]
    """
    centred = position - position.mean()
    return ((logs - logs.mean(axis=1, keepdims=True)) * centred).sum(axis=1) / (centred**2).sum()
