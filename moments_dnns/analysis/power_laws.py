"""The power law of the sensitivity in residual networks: its fit, and the confidence interval of its exponent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from moments_dnns._validation import refusal, whole

from .statistics import LEVEL, Estimate, log_mean, slopes


class PowerLaw(NamedTuple):
    """The power law c l^tau of the sensitivity chi in the number l of residual units.

    Args:
        tau: The exponent.
        log_c: ln c.
    """

    tau: float
    log_c: float


def power_law(
    depth: np.ndarray, log_chi: np.ndarray, log_chi_first: np.ndarray, log_chi_last: np.ndarray, res_depth: int
) -> PowerLaw:
    """Return the power law c l^tau that batch-normalized residual networks follow.

    Formula: `tau = (delta^(2 res_depth) - 1) / 2`, where delta is the average over depth of
    mean(chi_last) / mean(chi_first), the growth in one layer of the residual branch; c minimizes the sum over depths of
    (mean(chi) - c l^tau)^2.

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
    tau = _tau(first, last, res_depth)
    with np.errstate(over="ignore", invalid="ignore"):
        # Linear least squares, c = sum(chi l^tau) / sum(l^(2 tau)), on logarithms.
        shape = np.where(np.isnan(mean), -np.inf, tau * np.log(depth))
        log_c = np.logaddexp.reduce(np.where(np.isnan(mean), -np.inf, mean + shape)) - np.logaddexp.reduce(2 * shape)
    return PowerLaw(float(tau), float(log_c))


class Exponents(NamedTuple):
    """The exponent of the power law of chi by two definitions.

    Args:
        tau: (delta^(2 res_depth) - 1) / 2, from the growth in one layer of the residual branch.
        slope: d ln chi / d ln l, by least squares over the deeper half of the measured units.
    """

    tau: Estimate
    slope: Estimate


def bootstrap_power_law(
    depth: np.ndarray,
    log_chi: np.ndarray,
    log_chi_first: np.ndarray,
    log_chi_last: np.ndarray,
    res_depth: int,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Exponents:
    """Return the exponent of a residual network with confidence intervals, from resampling its realizations.

    Args:
        depth: The measured residual units, of shape (num_computations,), at least 2.
        log_chi: ln chi after the units, of shape (num_realizations, num_computations), finite; at least 2 realizations.
        log_chi_first: ln chi before a layer of the branch, of the same shape.
        log_chi_last: ln chi after that layer, of the same shape.
        res_depth: Layers in a branch.
        num_resamples: Number of resamples, each of as many realizations, drawn with replacement.
        seed: Seed of the resamples.

    Returns:
        `Exponents`, with 95 % percentile intervals.

    Raises:
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> depth = np.array([1.0, 4.0, 16.0])
    >>> log_chi = np.log(depth) / 2 + np.array([[0.0], [1.0]])
    >>> law = bootstrap_power_law(depth, log_chi, np.zeros((2, 3)), np.full((2, 3), np.log(2) / 4), res_depth=2)
    >>> str(law.tau), str(law.slope)
    ('0.5 [0.5, 0.5]', '0.5 [0.5, 0.5]')

    Reference: section 6 and figure 5 of arXiv 1811.03087.
    """
    logs = [np.asarray(each, np.float64) for each in (log_chi, log_chi_first, log_chi_last)]
    number, points = logs[0].shape if logs[0].ndim == 2 else (0, 0)
    if number < 2 or np.shape(depth) != (points,) or points < 2 or any(each.shape != logs[0].shape for each in logs):
        raise ValueError(
            refusal(
                "expected arrays of one shape, at least 2 realizations by at least 2 depths.",
                depth=np.shape(depth),
                shapes=[each.shape for each in logs],
            )
        )
    if not all(np.isfinite(each).all() for each in logs):
        raise ValueError(refusal("expected finite logarithms.", finite=[np.isfinite(each).all() for each in logs]))
    layers, drawn = whole(1)("res_depth", res_depth), whole(1)("num_resamples", num_resamples)
    resamples = np.random.default_rng(whole(0)("seed", seed)).multinomial(number, np.full(number, 1 / number), drawn)
    chi, first, last = map(log_mean, logs)
    chi_drawn, first_drawn, last_drawn = (log_mean(each, resamples) for each in logs)
    position = np.asarray(depth, np.float64)
    return Exponents(
        _percentile_interval(_tau(first, last, layers), _tau(first_drawn, last_drawn, layers)),
        _percentile_interval(_deep_slopes(position, chi[None])[0], _deep_slopes(position, chi_drawn)),
    )


def _tau(log_chi_first: np.ndarray, log_chi_last: np.ndarray, res_depth: int) -> np.ndarray:
    """Return (delta^(2 res_depth) - 1) / 2 from means of shape (..., depths); delta is a mean over depth."""
    with np.errstate(over="ignore", invalid="ignore"):
        log_delta = log_mean(np.moveaxis(log_chi_last - log_chi_first, -1, 0))
        return np.expm1(2 * res_depth * log_delta) / 2


def _deep_slopes(depth: np.ndarray, log_chi: np.ndarray) -> np.ndarray:
    """Return d ln chi / d ln l over the deeper half of the depths, at least two: others do not follow the law yet."""
    deep = (depth >= depth.max() / 2) | (np.arange(len(depth)) >= len(depth) - 2)
    return slopes(log_chi[:, deep], np.log(depth[deep]))


def _percentile_interval(value: float | np.ndarray, resampled: np.ndarray) -> Estimate:
    lower, upper = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(float(value), float(lower), float(upper))
