"""Means over realizations with their intervals, and slopes. NumPy only."""

from __future__ import annotations

import math

import attrs
import numpy as np

# Three numbers or fewer say too little of their own spread.
FEWEST_REALIZATIONS = 4
NORMAL = 1.959964  # 97.5 % of a normal distribution lie below
# The quantile of Student's law over the normal one z, in powers of 1 / degrees: polynomials of z, highest power first.
EXPANSION = (
    (1 / 4, 0, 1 / 4, 0),
    (5 / 96, 0, 16 / 96, 0, 3 / 96, 0),
    (3 / 384, 0, 19 / 384, 0, 17 / 384, 0, -15 / 384, 0),
)


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
    '2.5 [0.461, 4.54]'
    """
    ordered, number = np.sort(samples), len(samples)
    mean = float(ordered.mean())
    if number < FEWEST_REALIZATIONS:
        return Estimate(mean, -math.inf, math.inf)
    half = student(number - 1) * float(ordered.std(ddof=1)) / math.sqrt(number)
    return Estimate(mean, mean - half, mean + half)


def student(degrees: int) -> float:
    """Return the number below which 97.5 % of Student's distribution lie, right to 1 % from 3 degrees of freedom on.

    Example:

    >>> [round(student(degrees), 2) for degrees in (3, 9, 49, 10**6)]
    [3.16, 2.26, 2.01, 1.96]

    Reference: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    terms = (np.polyval(powers, NORMAL) / degrees**i for i, powers in enumerate(EXPANSION, start=1))
    return NORMAL + float(sum(terms))


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
