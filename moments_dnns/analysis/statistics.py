"""Statistics over realizations: bands, histograms, means with their intervals, and slopes. NumPy and SciPy only."""

from __future__ import annotations

import math
from typing import NamedTuple

import attrs
import numpy as np
from scipy.special import stdtrit

ONE_SIGMA = (0.16, 0.84)  # quantiles
FEWEST_BINS, MOST_BINS = 10, 200
FEWEST_REALIZATIONS = 4  # for an interval: fewer determine their standard deviation too badly
LEVEL = 0.95  # of intervals


class Band(NamedTuple):
    """Natural logarithms of a mean over realizations and of the ends of its one sigma band.

    Args:
        mean: ln of the mean, of shape (num_computations,).
        lower: ln of the 16th percentile, of the same shape.
        upper: ln of the 84th percentile, of the same shape.
    """

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def log_band(logs: np.ndarray) -> Band:
    """Return the mean over realizations and the 16th and 84th percentiles, all as natural logarithms.

    Args:
        logs: ln x, of shape (num_realizations, num_computations).

    Returns:
        `Band` of ln mean(x) and of ln x at the two percentiles, each of shape (num_computations,).

    Example:

    >>> band = log_band(np.log([[1.0], [2.0], [6.0]]) + 2000)
    >>> [round(float(np.exp(end[0] - 2000)), 2) for end in band]
    [3.0, 1.32, 4.72]

    Reference: figures 3 to 5 of arXiv 1811.03087.
    """
    lower, upper = (log_quantile(logs, quantile) for quantile in ONE_SIGMA)
    return Band(log_mean(logs), lower, upper)


def log_mean(logs: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Return ln mean(exp(logs)) over the first axis without forming an exponential that could overflow.

    Args:
        logs: ln x, of shape (num_realizations, ...), with NaN for numbers that are left out.
        counts: How often each realization counts in each of several means, of shape (num_means, num_realizations); by
            default once, in a single mean.

    Returns:
        ln of the means, of shape (...), or (num_means, ...) with `counts`; NaN where all numbers are left out.

    Example:

    >>> log_mean(np.array([[1000.0, 0.0], [1000.0, np.nan]])).tolist()
    [1000.0, 0.0]
    >>> np.exp(log_mean(np.log([1.0, 4.0]), np.array([[2, 1], [0, 3]]))).round(6).tolist()
    [2.0, 4.0]
    """
    kept = ~np.isnan(logs)
    largest = np.max(logs, axis=0, where=kept, initial=-np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 where all are left out, ln 0 where the others are 0
        relative = np.where(kept, np.exp(logs - largest), 0.0)
        if counts is None:
            return largest + np.log(relative.sum(axis=0) / kept.sum(axis=0))
        return largest + np.log(counts @ relative / (counts @ kept))


def log_quantile(logs: np.ndarray, quantile: float) -> np.ndarray:
    """Return the logarithm of a quantile of exp(logs) over the first axis.

    It is the quantile of `numpy.quantile`, linear between neighbouring realizations.

    Args:
        logs: ln x, of shape (num_realizations, num_computations).
        quantile: Between 0 and 1.

    Returns:
        ln of the quantile of x, of shape (num_computations,).

    Example:

    >>> float(np.exp(log_quantile(np.log([[1.0], [2.0]]), 0.25))[0]).__round__(6)
    1.25
    """
    ordered = np.sort(logs, axis=0)  # NaNs come last
    last = np.maximum(np.sum(~np.isnan(logs), axis=0) - 1, 0)
    position = quantile * last
    neighbours = np.stack([np.floor(position), np.ceil(position)]).astype(int)
    low, high = np.take_along_axis(ordered, neighbours, axis=0)
    # ln of w e^low + (1 - w) e^high, exact where both are equal.
    weight = 1 - (position - np.floor(position))
    return high + np.log1p(weight * np.expm1(low - high))


def bin_edges(samples: np.ndarray) -> np.ndarray:
    """Return the edges of bins of one width for histograms at several depths.

    The width is the median over depths of the rule of Freedman and Diaconis, 2 IQR / n^(1/3), so that depths of
    different spread are all resolved; 10 to 200 bins cover all samples. Samples without any spread get a bin of
    width 1 between two empty ones.

    Args:
        samples: ln x, of shape (num_realizations, num_computations), with NaN for numbers that are left out.

    Returns:
        Increasing array of shape (num_bins + 1,).

    Example:

    >>> bin_edges(np.full((1, 3), 7.0)).tolist()
    [5.5, 6.5, 7.5, 8.5]
    """
    finite = samples[np.isfinite(samples)]
    if not finite.size:
        return np.array([0.0, 1.0])
    low, high = finite.min(), finite.max()
    if high - low <= 1e-12 * max(abs(low), abs(high), 1):  # a smaller spread of logarithms is round-off
        return low + np.array([-1.5, -0.5, 0.5, 1.5])
    widths = [_bin_width(column[np.isfinite(column)]) for column in samples.T]
    width = np.median([width for width in widths if width] or [high - low])
    return np.linspace(low, high, int(np.clip(np.ceil((high - low) / width), FEWEST_BINS, MOST_BINS)) + 1)


def _bin_width(sample: np.ndarray) -> float:
    if sample.size < 2:
        return 0.0
    quarter, three_quarters = np.quantile(sample, (0.25, 0.75))
    return float(2 * (three_quarters - quarter) / sample.size ** (1 / 3))


def density(sample: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the density of a sample in bins; it integrates to 1.

    Args:
        sample: Array of shape (num_realizations,), with NaN for numbers that are left out.
        edges: Increasing array of shape (num_bins + 1,).

    Returns:
        Array of shape (num_bins,), all 0 if all numbers are left out.

    Example:

    >>> density(np.array([0.1, 0.2, 0.9, np.nan]), np.array([0.0, 0.5, 1.0])).round(3).tolist()
    [1.333, 0.667]
    """
    counts, _ = np.histogram(sample[np.isfinite(sample)], edges)
    return counts / (np.diff(edges) * max(counts.sum(), 1))


@attrs.frozen
class Estimate:
    """An estimate from realizations, with its 95 % confidence interval.

    Args:
        value: The estimate.
        lower: Lower end of the interval; minus infinity if there are too few realizations.
        upper: Upper end of the interval; infinity if there are too few realizations.

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
        """Return 1 if the whole interval is above a threshold, -1 if it is below, 0 if it is on both sides."""
        return int(self.lower > threshold) - int(self.upper < threshold)

    def times(self, factor: float) -> Estimate:
        """Return the estimate multiplied by a positive factor."""
        return Estimate(self.value * factor, self.lower * factor, self.upper * factor)

    def to_dict(self) -> dict[str, float | None]:
        """Return the numbers by name, with None for infinite ends of the interval."""
        return {key: number if math.isfinite(number) else None for key, number in attrs.asdict(self).items()}


def estimate(samples: np.ndarray) -> Estimate:
    """Return the mean of independent samples with Student's interval, mean ± t s / √n.

    Student's interval needs no random numbers, is exact for few normal samples, where resampling gives too narrow ones,
    and holds for skewed samples as soon as their mean is nearly normal. The result does not depend on their order.

    Args:
        samples: Finite numbers, of shape (num_realizations,), at least one.

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
    """Return the slopes of least squares lines, one for each realization.

    Args:
        logs: Array of shape (num_realizations, num_depths).
        position: The depths, or their logarithms, of shape (num_depths,); at least two different numbers.

    Returns:
        Array of shape (num_realizations,).

    Example:

    >>> slopes(np.array([[1.0, 3.0, 5.0], [7.0, 7.0, 7.0]]), np.array([1.0, 2.0, 3.0])).tolist()
    [2.0, 0.0]
    """
    centred = position - position.mean()
    return ((logs - logs.mean(axis=1, keepdims=True)) * centred).sum(axis=1) / (centred**2).sum()
