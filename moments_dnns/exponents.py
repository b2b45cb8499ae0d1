"""Power laws of residual networks: the closed form, and how well realizations tell the exponent. NumPy and SciPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from .analysis import power_law
from .estimates import LEVEL, Estimate
from .validation import non_negative, refusal, whole


class Exponents(NamedTuple):
    """The exponent of the power law of chi by its two definitions.

    Args:
        tau: (delta^(2 res_depth) - 1) / 2, from the growth in one layer of the residual branch.
        slope: d ln chi / d ln l, by least squares over the deeper half of the measured units.
    """

    tau: Estimate
    slope: Estimate


def residual_sensitivity(depth: np.ndarray | int, delta: float, res_depth: int, input_power: float = 1.0) -> np.ndarray:
    """Return chi after l residual units over chi at the input, if all branches have one power and one growth.

    Formula: `chi_l^2 / chi_0^2 = Gamma(l + r + D) Gamma(r + 1) / (Gamma(r + D) Gamma(l + r + 1))`, with
    `D = delta^(2 H)`: batch normalization gives every branch the same power, r times which the input has; it multiplies
    chi by delta^H, and powers add. For large l, chi goes as l^tau, `tau = (D - 1) / 2`.

    Args:
        depth: Numbers of units l.
        delta: Growth of chi in one layer of the branch.
        res_depth: Layers H in a branch.
        input_power: The input's mu2 over that of a branch's output, r.

    Returns:
        Float64 array of the shape of `depth`.

    Raises:
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> residual_sensitivity(np.array([0, 1, 100]), 2**0.25, 2).round(4).tolist()  # D = 2: sqrt((l + 2) / 2)
    [1.0, 1.2247, 7.1414]

    Reference: theorem 4 and equation 7 of arXiv 1811.03087; docs/theory.md.
    """
    layers = whole(1)("res_depth", res_depth)
    with np.errstate(over="ignore"):
        power = np.float64(non_negative("delta", delta)) ** (2 * layers)
    units, start = np.asarray(depth, np.float64), non_negative("input_power", input_power)
    if not (units >= 0).all() or start == 0 or not 0 < power < np.inf:
        raise ValueError(
            refusal(
                "expected depths of at least 0, a positive input_power, and a delta whose powers are positive and "
                "finite.",
                depth=depth,
                delta=delta,
                input_power=input_power,
            )
        )
    logs = gammaln(units + start + power) - gammaln(start + power) - gammaln(units + start + 1) + gammaln(start + 1)
    return np.exp(logs / 2)


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
        num_resamples: How often as many realizations are drawn with replacement.
        seed: What the draws depend on.

    Returns:
        `Exponents`: percentile intervals.

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
    counts = np.random.default_rng(whole(0)("seed", seed)).multinomial(number, np.full(number, 1 / number), drawn)
    # The first row is the sample itself.
    weights = np.vstack([np.ones(number), counts]) / number
    chi, first, last = (_log_means(weights, each) for each in logs)
    delta = np.exp(last - first).mean(axis=1)
    taus = np.expm1(2 * layers * np.log(delta)) / 2
    taus[0] = power_law(np.asarray(depth), logs[0], logs[1], logs[2], layers).tau
    return Exponents(_estimate(taus), _estimate(_slopes(np.asarray(depth, np.float64), chi)))


def _log_means(weights: np.ndarray, logs: np.ndarray) -> np.ndarray:
    largest = logs.max(axis=0)
    return largest + np.log(weights @ np.exp(logs - largest))


def _slopes(depth: np.ndarray, log_chi: np.ndarray) -> np.ndarray:
    # At least two depths; early ones are not yet on the power law.
    chosen = (depth >= depth.max() / 2) | (np.arange(len(depth)) >= len(depth) - 2)
    x = np.log(depth[chosen]) - np.log(depth[chosen]).mean()
    return np.asarray(log_chi[:, chosen] @ x / (x @ x))


def _estimate(values: np.ndarray) -> Estimate:
    lower, upper = np.quantile(values[1:], ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(float(values[0]), float(lower), float(upper))
