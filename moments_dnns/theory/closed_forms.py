"""Closed forms for infinitely wide, fully connected networks, in the limit of large depth.

With depth, batch normalization makes the images of a batch *exchangeable*: all norms and all correlations are equal.
Then a centred channel h is an isotropic Gaussian in B - 1 directions, its direction is independent of its length, and
every average over a batch normalization with epsilon = 0 follows from the moments of a chi-squared variable with B - 1
degrees of freedom. So the forms are exact for exchangeable batches, and asymptotic in depth for all others.

Reference: theorems 2 to 4 and section 5 of arXiv 1811.03087; docs/theory.md.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln

from moments_dnns._validation import one_of, positive, refusal, whole
from moments_dnns.descriptions.choices import STATISTICS


def batch_norm_growth(batch: int) -> float:
    """Return how much batch normalization multiplies chi: `delta_BN = sqrt((B - 1) / (B - 3))`.

    From `chi(z)^2 / chi(y)^2 = E[Q] E[1 / Q]`, with `(B - 1) Q / E[Q]` chi-squared with B - 1 degrees of freedom.

    Args:
        batch: Number of images B, at least 4: the noise has no second moment with fewer.

    Returns:
        delta_BN chi, the ratio of chi at two places.

    Raises:
        TypeError, ValueError: If `batch` is refused.

    Example:

    >>> round(batch_norm_growth(64) ** 2, 6)
    1.032787

    Reference: theorem 3 of arXiv 1811.03087; docs/theory.md.
    """
    batch = whole(4)("batch", batch)
    return math.sqrt((batch - 1) / (batch - 3))


def batch_norm_mu4(batch: int) -> float:
    """Return the fourth moment after batch normalization: `mu4(z) = 3 (B - 1) / (B + 1)`.

    Args:
        batch: Number of images B, at least 2.

    Returns:
        mu4(z), which is 3 for a Gaussian and less for any batch.

    Raises:
        TypeError, ValueError: If `batch` is refused.

    Example:

    >>> batch_norm_mu4(2), round(batch_norm_mu4(64), 6)
    (1.0, 2.907692)

    Reference: section 5 of arXiv 1811.03087; docs/theory.md.
    """
    batch = whole(2)("batch", batch)
    return 3 * (batch - 1) / (batch + 1)


def batch_norm_nu1(batch: int) -> float:
    """Return the mean magnitude after batch normalization, `sqrt((B - 1) / pi) Gamma((B - 1) / 2) / Gamma(B / 2)`.

    Args:
        batch: Number of images B, at least 2.

    Returns:
        nu1(|z|), which tends to sqrt(2 / pi) from above.

    Raises:
        TypeError, ValueError: If `batch` is refused.

    Example:

    >>> round(batch_norm_nu1(2), 6), round(batch_norm_nu1(64), 6)
    (1.0, 0.801057)

    Reference: section 5 of arXiv 1811.03087; docs/theory.md.
    """
    batch = whole(2)("batch", batch)
    return math.sqrt((batch - 1) / math.pi) * math.exp(math.lgamma((batch - 1) / 2) - math.lgamma(batch / 2))


def activation_growth(nu1: np.ndarray | float) -> np.ndarray:
    """Return how much a ReLU after batch normalization multiplies chi: `delta_phi = (1 - nu1(|z|)^2 / 2)^(-1/2)`.

    At epsilon = 0, `delta_phi^-2 = 1 - E_c[nu1_c^2] / 2` is exact, for the ReLU halves the squares of noise and signal
    and the mean of a rectified channel is half its nu1_c. The formula has the square of the mean over channels instead
    of the mean square: it is exact when nu1_c has no spread over channels, and otherwise a lower bound.

    Args:
        nu1: nu1(|z|) before the ReLU, from 0 to 1.

    Returns:
        delta_phi chi, of the same shape.

    Raises:
        ValueError: If a value is outside [0, 1].

    Example:

    >>> float(activation_growth(0.0)), round(float(activation_growth(1.0)), 6)
    (1.0, 1.414214)

    Reference: section 5 of arXiv 1811.03087.
    """
    values = np.asarray(nu1, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(refusal("nu1 of a normalized signal must be from 0 to 1.", nu1=nu1))
    return 1 / np.sqrt(1 - np.square(values) / 2)


def feedforward_growth(batch: int, statistics: str = "constant") -> float:
    """Return how much a layer of a deep bn_ff network multiplies chi.

    Formula: `delta^2 = (B - 1) / (B - 3) / ((1 - 1 / B) (1 - 2 J))`, where J is the ReLU kernel of two images at
    correlation -1 / (B - 1), `J = (sqrt(1 - c^2) + c (pi - arccos c)) / (2 pi)`. It tends to pi / (pi - 1).

    Where the noise goes through the statistics, the part of it that changes the norm of a channel is lost:
    `delta^2 = ((B - 1 + K) / (1 - 2 J) - 1) / (B - 3)`, with `K = 1 - arccos(c) / pi`.

    Args:
        batch: Number of images B, at least 4.
        statistics: Mean and variance are `"constant"` for the noise, or `"differentiated"`.

    Returns:
        delta chi, the ratio of chi after and before a layer.

    Raises:
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> round(feedforward_growth(10**9) ** 2 * (math.pi - 1) / math.pi, 6)
    1.0
    >>> round(feedforward_growth(64, "differentiated") ** 2, 6)
    1.493063

    Reference: section 5 of arXiv 1811.03087; equation 25 of arXiv 1902.08129; docs/theory.md.
    """
    growth = batch_norm_growth(batch)
    cosine = -1 / (batch - 1)
    kernel = (math.sqrt(1 - cosine**2) + cosine * (math.pi - math.acos(cosine))) / (2 * math.pi)
    if one_of(STATISTICS)("statistics", statistics) == "differentiated":
        derivative = 1 - math.acos(cosine) / math.pi
        return math.sqrt(((batch - 1 + derivative) / (1 - 2 * kernel) - 1) / (batch - 3))
    return growth / math.sqrt((1 - 1 / batch) * (1 - 2 * kernel))


def vanilla_slope(norm: float = 1.0, batch: int | None = None) -> float:
    """Return the limit of chi / l in a fully connected vanilla network, `sqrt(2) / (3 pi) / sqrt(norm (1 - 1 / B))`.

    The correlation of two images follows `1 - c -> 1 - c - (2 sqrt(2) / (3 pi)) (1 - c)^(3/2)`, so that
    `(1 - c) l^2 -> 9 pi^2 / 2`, and mu2(x) is `norm (1 - 1 / B) (1 - c)`, while mu2(dx) = 1 is conserved. Images of
    unequal norms keep a variance, and chi a limit, instead.

    Args:
        norm: Mean square of the signal over that of the noise after the first layer, the same for all images.
        batch: Number of images B, at least 2; by default infinitely many.

    Returns:
        The slope of chi.

    Raises:
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> round(vanilla_slope(), 6)
    0.150053

    Reference: theorem 2 of arXiv 1811.03087; docs/theory.md.
    """
    share = 1.0 if batch is None else 1 - 1 / whole(2)("batch", batch)
    return math.sqrt(2) / (3 * math.pi) / math.sqrt(positive("norm", norm) * share)


def residual_sensitivity(depth: np.ndarray | int, delta: float, res_depth: int, input_power: float = 1.0) -> np.ndarray:
    """Return chi after l residual units over chi at the input, if all branches have the same power and growth.

    Formula: `chi_l^2 / chi_0^2 = Gamma(l + r + D) Gamma(r + 1) / (Gamma(r + D) Gamma(l + r + 1))`, with
    `D = delta^(2 H)`. Batch normalization gives all branches the same power, of which the input has r times as much;
    each branch multiplies chi by delta^H, and powers add. For large l, chi grows as l^tau, `tau = (D - 1) / 2`.

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
        power = np.float64(positive("delta", delta)) ** (2 * layers)
    units, start = np.asarray(depth, np.float64), positive("input_power", input_power)
    if not (units >= 0).all() or not 0 < power < np.inf:
        raise ValueError(
            refusal(
                "expected depths of at least 0, and a delta whose powers are positive and finite.",
                depth=depth,
                delta=delta,
            )
        )
    logs = gammaln(units + start + power) - gammaln(start + power) - gammaln(units + start + 1) + gammaln(start + 1)
    return np.exp(logs / 2)
