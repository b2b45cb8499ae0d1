"""What a figure needs to know about arrays: bands, histograms, the power law. NumPy only.

Everything drawn is positive and may grow exponentially with depth, so realizations come in as natural logarithms
and statistics go out as natural logarithms: chi = exp(2000) has no float64. NaN marks a realization that is left
out at a depth; where all are left out, the statistic is NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ONE_SIGMA = (0.16, 0.84)
FEWEST_BINS, MOST_BINS = 10, 200


class Band(NamedTuple):
    """Natural logarithms of a mean over realizations and of the ends of its 1 sigma band, each one per depth."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def log_band(logs: np.ndarray) -> Band:
    """Return the mean over realizations and the 16th and 84th percentiles, all as logarithms.

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


def log_mean(logs: np.ndarray) -> np.ndarray:
    """Return ln mean(exp(logs)) over the first axis without forming an exponential that could overflow.

    Example:

    >>> log_mean(np.array([[1000.0, 0.0], [1000.0, np.nan]])).tolist()
    [1000.0, 0.0]
    """
    left_out = np.isnan(logs)
    largest = np.max(logs, axis=0, where=~left_out, initial=-np.inf)
    with np.errstate(invalid="ignore"):  # 0 / 0 where nothing is left
        relative = np.where(left_out, 0.0, np.exp(logs - largest))
        return largest + np.log(relative.sum(axis=0) / np.sum(~left_out, axis=0))


def log_quantile(logs: np.ndarray, quantile: float) -> np.ndarray:
    """Return the logarithm of a quantile of exp(logs) over the first axis.

    The same quantile as `numpy.quantile`'s, linear between neighbouring realizations.

    Args:
        logs: ln x, of shape (num_realizations, num_computations).
        quantile: Between 0 and 1.

    Returns:
        ln of the quantile of x, of shape (num_computations,).

    Example:

    >>> float(np.exp(log_quantile(np.log([[1.0], [2.0]]), 0.25))[0]).__round__(6)
    1.25
    """
    ordered = np.sort(logs, axis=0)  # NaN come last
    last = np.maximum(np.sum(~np.isnan(logs), axis=0) - 1, 0)
    position = quantile * last
    neighbours = np.stack([np.floor(position), np.ceil(position)]).astype(int)
    low, high = np.take_along_axis(ordered, neighbours, axis=0)
    # ln of w e^low + (1 - w) e^high, exact where both are equal.
    weight = 1 - (position - np.floor(position))
    return high + np.log1p(weight * np.expm1(low - high))


def bin_edges(samples: np.ndarray) -> np.ndarray:
    """Return bins of one width for histograms at several depths.

    The width is the median over depths of the rule of Freedman and Diaconis, 2 IQR / n^(1/3), so that depths of
    different spread are all resolved; 10 to 200 bins cover all samples. Samples without any spread get a bin of
    width 1 between two empty ones.

    Args:
        samples: ln x, of shape (num_realizations, num_computations), with NaN for what is left out.

    Returns:
        Increasing array of edges.

    Example:

    >>> bin_edges(np.full((1, 3), 7.0)).tolist()
    [5.5, 6.5, 7.5, 8.5]
    """
    finite = samples[np.isfinite(samples)]
    if not finite.size:
        return np.array([0.0, 1.0])
    low, high = finite.min(), finite.max()
    if high - low <= 1e-12 * max(abs(low), abs(high), 1):  # logarithms: less is round-off
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
    """Return the density of a sample in bins: it integrates to 1, whatever is left out.

    Args:
        sample: Array of shape (num_realizations,), with NaN for what is left out.
        edges: Increasing array of shape (num_bins + 1,).

    Returns:
        Array of shape (num_bins,), all 0 for a sample of which nothing is left.

    Example:

    >>> density(np.array([0.1, 0.2, 0.9, np.nan]), np.array([0.0, 0.5, 1.0])).round(3).tolist()
    [1.333, 0.667]
    """
    counts, _ = np.histogram(sample[np.isfinite(sample)], edges)
    return counts / (np.diff(edges) * max(counts.sum(), 1))


class PowerLaw(NamedTuple):
    """The power law c l^tau of the sensitivity in depth, c as a natural logarithm."""

    tau: float
    log_c: float


def power_law(
    depth: np.ndarray, log_chi: np.ndarray, log_chi_first: np.ndarray, log_chi_last: np.ndarray, res_depth: int
) -> PowerLaw:
    """Return the power law c l^tau that batch-normalized residual networks follow.

    tau = (delta^(2 res_depth) - 1) / 2, with delta the average over depth of mean(chi_last) / mean(chi_first), the
    growth in one layer of the residual branch; c makes the sum over depths of (mean(chi) - c l^tau)^2 least.

    Args:
        depth: The measured residual units l, of shape (num_computations,).
        log_chi: ln chi after the units, of shape (num_realizations, num_computations).
        log_chi_first: ln chi before a layer of the branch, of the same shape.
        log_chi_last: ln chi after that layer, of the same shape.
        res_depth: Number of layers in the branch.

    Returns:
        `PowerLaw` of tau and ln c; not finite where the arrays leave nothing to fit, or tau is beyond float64.

    Example:

    >>> depth = np.array([1.0, 4.0])
    >>> law = power_law(depth, np.log([[3.0, 6.0]]), np.zeros((1, 2)), np.full((1, 2), np.log(2) / 4), res_depth=2)
    >>> round(law.tau, 6), round(float(np.exp(law.log_c)), 6)
    (0.5, 3.0)

    Reference: section 6 of arXiv 1811.03087, figure 5.
    """
    left_out = np.isnan(log_chi_first) | np.isnan(log_chi_last)
    first, last = (log_mean(np.where(left_out, np.nan, logs)) for logs in (log_chi_first, log_chi_last))
    mean = log_mean(log_chi)
    with np.errstate(over="ignore", invalid="ignore"):
        tau = np.expm1(2 * res_depth * log_mean(last - first)) / 2
        # Linear least squares, c = sum(chi l^tau) / sum(l^(2 tau)), on logarithms.
        shape = np.where(np.isnan(mean), -np.inf, tau * np.log(depth))
        log_c = np.logaddexp.reduce(np.where(np.isnan(mean), -np.inf, mean + shape)) - np.logaddexp.reduce(2 * shape)
    return PowerLaw(float(tau), float(log_c))
