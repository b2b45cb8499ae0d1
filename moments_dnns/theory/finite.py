"""Squared norms in fully connected vanilla networks of finite width: their exact law. NumPy and SciPy only.

A channel of a layer is y ~ N(0, 2 |x|^2 / N), and the ReLU keeps it with probability 1/2, whatever |y| is. Hence, for
one sample and independently from layer to layer,

    |x'|^2 / |x|^2 = (2 / N) chi^2_K,   K ~ Bin(N, 1/2),

with a chi-squared variable of K degrees of freedom. The first convolution has no ReLU and N(0, 1 / fan_in) weights: for
an image u, |x_0|^2 = (|u|^2 / fan_in) chi^2_N. The same holds for the noise: (y, dy) and (-y, -dy) have the same law,
so that |dy| is independent of the sign of y. A sample of which the ReLU keeps no channel (K = 0, with probability 2^-N)
is zero from there on; the laws below are those of the other samples, which live.

Reference: section 4 of arXiv 1811.03087; docs/theory.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy  # its rooms only when they are first used, so that the command line answers at once

from moments_dnns._validation import boolean, whole

# Numbers of kept channels that are less probable than this, relative to the most probable one, are left out.
NEGLIGIBLE = 1e-20


class Cumulants(NamedTuple):
    """The first four cumulants of a random variable.

    Args:
        mean: The first cumulant.
        variance: The second one.
        third: The third one; over variance^(3/2) it is the skewness.
        fourth: The fourth one; over variance^2 it is the excess kurtosis.
    """

    mean: float
    variance: float
    third: float
    fourth: float


class Density(NamedTuple):
    """A probability density at equally spaced points.

    Args:
        grid: The points, an increasing array.
        density: The density at these points, of the same shape.
    """

    grid: np.ndarray
    density: np.ndarray


def log_norm_cumulants(num_channels: int, num_layers: int = 1, first_convolution: bool = False) -> Cumulants:
    """Return the cumulants of ln(|x_L|^2 / |x_0|^2), given that the sample lives.

    Formula: given K, those of `ln((2 / N) chi^2_K)` are `psi(K / 2) + ln(4 / N)` and the polygamma functions at K / 2;
    K is binomial, and the cumulants of independent layers add up.

    Args:
        num_channels: Width N of all layers.
        num_layers: Number of layers L, each a convolution and a ReLU.
        first_convolution: Whether the first convolution counts too, the logarithm being that of
            (|x_L|^2 / N) / (|u|^2 / fan_in) for an image u.

    Returns:
        `Cumulants`; in wide layers, mean and variance are about -5 L / (2 N) and 5 L / N, and the others are smaller.

    Raises:
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> law = log_norm_cumulants(1000)
    >>> round(law.mean * 1000, 2), round(law.variance * 1000, 2)
    (-2.5, 5.02)

    Reference: section 4 of arXiv 1811.03087; docs/theory.md.
    """
    channels, layers = whole(1)("num_channels", num_channels), whole(1)("num_layers", num_layers)
    of_layer = _mixed_cumulants(*_living(channels), np.log(4 / channels))
    of_first = _mixed_cumulants(np.array([channels]), np.ones(1), np.log(2 / channels))
    counted = boolean("first_convolution", first_convolution)
    return Cumulants(*(layers * one + counted * other for one, other in zip(of_layer, of_first, strict=True)))


def log_norm_density(num_channels: int, num_layers: int, first_convolution: bool = False) -> Density:
    """Return the exact density of ln(|x_L|^2 / |x_0|^2), given that the sample lives.

    Formula: the characteristic function of a layer, `sum over k of p_k (4 / N)^(is) Gamma(k / 2 + is) / Gamma(k / 2)`,
    to the power L, and back by a fast Fourier transform.

    Args:
        num_channels: Width N of all layers.
        num_layers: Number of layers L.
        first_convolution: As for `log_norm_cumulants`.

    Returns:
        `Density` on a grid that leaves out less than 1e-9 of the probability.

    Raises:
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> grid, density = log_norm_density(128, 200)
    >>> round(float(np.trapezoid(density, grid)), 9)
    1.0

    Reference: section 4 and figure 2 of arXiv 1811.03087; docs/theory.md.
    """
    mean, variance, *_ = log_norm_cumulants(num_channels, num_layers, first_convolution)
    deviation = np.sqrt(variance)
    kept, shares = _living(num_channels)
    # The density decays as exp(x k / 2) with the smallest k to the left, and doubly exponentially to the right; its
    # transform decays as a Gaussian and then as exp(-pi s / 2), or faster. The highest frequency is larger than that
    # needs, so that the grid is fine enough to draw.
    period, highest = 120 / kept[0] + 30 * deviation, 40 + 100 / deviation
    size = 2 ** int(np.ceil(np.log2(period * highest / np.pi)))
    frequencies = 2 * np.pi / period * np.arange(size // 2 + 1)
    grid = mean - 2 * period / 3 + period / size * np.arange(size)
    transform = _characteristic(frequencies, kept, shares, np.log(4 / num_channels)) ** num_layers
    if first_convolution:
        transform *= _characteristic(frequencies, np.array([num_channels]), np.ones(1), np.log(2 / num_channels))
    density = np.fft.irfft(np.conj(transform * np.exp(-1j * frequencies * grid[0])), size) * (size / period)
    return Density(grid, np.maximum(density, 0))


def log_norm_cdf(
    x: np.ndarray | float, num_channels: int, num_layers: int, first_convolution: bool = False
) -> np.ndarray:
    """Return the probability that ln(|x_L|^2 / |x_0|^2) is at most x, given that the sample lives.

    Args:
        x: The values of the logarithm, of any shape.
        num_channels: Width N of all layers.
        num_layers: Number of layers L.
        first_convolution: As for `log_norm_cumulants`.

    Returns:
        Array of the shape of `x`, from 0 to 1.

    Raises:
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> round(float(log_norm_cdf(-2.5 * 200 / 128, 128, 200)), 2)
    0.51

    Reference: section 4 of arXiv 1811.03087; docs/theory.md.
    """
    grid, density = log_norm_density(num_channels, num_layers, first_convolution)
    rise = scipy.interpolate.CubicSpline(grid, density).antiderivative()
    return np.clip(rise(np.clip(x, grid[0], grid[-1])), 0, 1)


def dead_probability(num_channels: int, num_layers: int) -> float:
    """Return the probability that all channels of a sample are zero after L layers, `1 - (1 - 2^-N)^L`.

    Args:
        num_channels: Width N of all layers.
        num_layers: Number of layers L.

    Returns:
        The probability.

    Raises:
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> round(dead_probability(2, 2), 6)
    0.4375

    Reference: section 4 of arXiv 1811.03087; docs/theory.md.
    """
    channels, layers = whole(1)("num_channels", num_channels), whole(1)("num_layers", num_layers)
    return float(-np.expm1(layers * np.log1p(-(2.0**-channels))))


def _living(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of channels that a ReLU may keep, from 1 on, and their probabilities."""
    kept = np.arange(1, channels + 1)
    logs = (
        scipy.special.gammaln(channels + 1)
        - scipy.special.gammaln(kept + 1)
        - scipy.special.gammaln(channels - kept + 1)
    )
    weights = np.exp(logs - logs.max())
    likely = weights > NEGLIGIBLE
    return kept[likely], weights[likely] / weights[likely].sum()


def _mixed_cumulants(freedom: np.ndarray, shares: np.ndarray, log_scale: float) -> Cumulants:
    """Return the cumulants of ln(chi^2 / 2) + log_scale, with degrees of freedom of the probabilities `shares`."""
    means = scipy.special.psi(freedom / 2)
    second, third, fourth = (scipy.special.polygamma(order, freedom / 2) for order in (1, 2, 3))
    off = means - shares @ means
    variance = shares @ (second + off**2)
    skew = shares @ (third + 3 * off * second + off**3)
    moment = shares @ (fourth + 3 * second**2 + 4 * off * third + 6 * off**2 * second + off**4)
    return Cumulants(float(shares @ means + log_scale), float(variance), float(skew), float(moment - 3 * variance**2))


def _characteristic(frequencies: np.ndarray, freedom: np.ndarray, shares: np.ndarray, log_scale: float) -> np.ndarray:
    """Return the characteristic function of the variable of `_mixed_cumulants`."""
    total = np.zeros(len(frequencies), complex)
    for half, share in zip(freedom / 2, shares, strict=True):
        total += share * np.exp(scipy.special.loggamma(half + 1j * frequencies) - scipy.special.gammaln(half))
    return np.asarray(total * np.exp(1j * frequencies * log_scale))
