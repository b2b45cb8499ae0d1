"""Batch normalization of infinitely wide layers, exactly: expectations of ratios, as integrals over one variable.

A channel before batch normalization is Gaussian over the M points of the batch: h ~ N(0, C) once it is centred. After
it, z = h / sqrt(Q + epsilon) with Q = |h|^2 / M, which is random even at infinite width. But a power of the denominator
is an integral of exponentials, and a Gaussian density times the exponential of a quadratic form is Gaussian again:

    E f(h) / (Q + epsilon)^p = 1 / Gamma(p) * integral over t > 0 of
                               t^(p - 1) e^(-epsilon t) det(1 + 2 t C / M)^(-1/2) E f(h_t),   h_t ~ N(0, C_t),

with C_t = C (1 + 2 t C / M)^(-1), for any batch.

Reference: equations 4 and 5 of arXiv 1811.03087; docs/theory.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from moments_dnns._validation import refusal

from .directions import Directions, FeatureDirections, GramDirections
from .features import Features
from .gram import ENTRIES_AT_ONCE, Grams, centred, mean_diagonal, rectified
from .translations import diagonal


class Rule(NamedTuple):
    """A trapezoidal rule.

    Args:
        spacing: Of its nodes.
        negligible: Nodes that weigh less than this, relative to the largest weight, are left out.
    """

    spacing: float
    negligible: float


# t = exp(u - exp(-u)) / sum of (2 / M) eigenvalues, at equally spaced u. The integrand dies doubly exponentially to the
# left and is analytic, so the rules err by 1e-13 and by less than 1e-6 (docs/theory.md), with a third of the nodes.
ACCURACIES = {"exact": Rule(0.3, 1e-17), "figure": Rule(0.6, 3e-9)}

# The ends of u, where t is exp(-104) and exp(170) over the sum.
LEFT, RIGHT = -4.6, 170.0


class Normalized(NamedTuple):
    """A channel after batch normalization.

    Args:
        moments: `nu1_abs_signal`, `nu2_signal`, `mu2_signal`, `mu4_signal` and `mu2_noise`.
        rectified: The second moments after the ReLU that follows.
    """

    moments: dict[str, float]
    rectified: Grams


def normalized(
    grams: Grams, epsilon: float, *, accuracy: str = "exact", features: Features | None = None
) -> Normalized:
    """Return the moments after batch normalization of infinitely many, jointly Gaussian channels of signal and noise.

    Formula: `z = h / sqrt(Q + epsilon)`, `dz = dy / sqrt(Q + epsilon)`.

    Args:
        grams: Second moments before it, of shape (M, M), or the rows of one pixel of each image; the signal need not be
            centred.
        epsilon: Constant added to the variance.
        accuracy: A name of `ACCURACIES`, of the second moments.
        features: What the second moments were averaged from, if that is known: all moments are then exact, and the
            second moments are averaged after the normalization instead of before.

    Returns:
        `Normalized`: the moments of single channels, and the second moments after the ReLU that follows.

    Raises:
        ValueError: If epsilon is 0 and the centred signal has fewer than 3 directions: E 1 / Q is infinite.

    Example:

    >>> eye = np.eye(8)
    >>> round(normalized(Grams(eye, eye, 0 * eye), 0.0).moments["mu4_signal"], 10)  # 3 (M - 1) / (M + 1)
    2.3333333333

    Reference: equations 4 and 5 of arXiv 1811.03087; docs/theory.md.
    """
    scale = mean_diagonal(centred(grams.signal))
    grams, epsilon = grams.scaled(1 / scale, 1 / scale), epsilon / scale
    points = grams.signal.shape[-1]
    if features is None:
        directions: Directions = GramDirections.of(grams)
    else:
        directions = FeatureDirections.of(features.scaled(1 / scale, 1 / scale))
    rates = 2 * directions.positive / points
    if epsilon == 0 and len(rates) < 3:
        raise ValueError(
            refusal(
                "without epsilon, batch normalization needs points that differ in at least 3 directions (fully "
                "connected: 4 images): the noise has no second moment otherwise.",
                epsilon=epsilon,
                directions=len(rates),
            )
        )
    weights, nodes = quadrature(rates, epsilon)
    variances = directions.tilted_variances(nodes / points)
    total, noise = Grams(*(np.zeros_like(grams.signal) for _ in grams)), 0.0
    # A few nodes at a time, so that the matrices fit into memory.
    at_once = max(1, ENTRIES_AT_ONCE // grams.signal.size)
    of_second_moments = np.transpose(quadrature(rates, epsilon, accuracy=accuracy, power=0.0))
    for start in range(0, len(of_second_moments), at_once):
        weight, node = of_second_moments[start : start + at_once].T
        tilted = directions.tilted(node / points)
        noise += float(weight @ diagonal(tilted.noise).mean(axis=-1))
        for sum_of_all, each in zip(total, rectified(tilted), strict=True):
            sum_of_all += np.tensordot(weight, each, 1)
    # Means over points of the expectations, by powers of the denominator; Gamma(1/2) = sqrt(pi), Gamma(2) = 1.
    nu2 = float(weights @ variances.mean(axis=1))
    moments = {
        "nu1_abs_signal": float(weights / np.sqrt(nodes) @ np.sqrt(2 * variances).mean(axis=1)) / np.pi,
        "nu2_signal": nu2,
        "mu2_signal": nu2,
        "mu4_signal": float(weights * nodes @ (3 * np.square(variances)).mean(axis=1)),
        "mu2_noise": noise,
    }
    return Normalized(moments, total)


def quadrature(
    rates: np.ndarray, epsilon: float, *, accuracy: str = "exact", power: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and nodes t for integrals of g(t) exp(-epsilon t) / sqrt(prod(1 + rates t)) over t > 0.

    Args:
        rates: Positive array, of any range.
        epsilon: Not negative; positive unless there are at least 3 rates.
        accuracy: A name of `ACCURACIES`.
        power: g(t) grows at most as `t^(-power)` where t goes to 0; 0 or 1 / 2.

    Returns:
        Two arrays; the sum of weights times g(nodes) is the integral, for g that do not grow to the right.

    Example:

    >>> weights, _ = quadrature(np.full(4, 2.0), 0.0)  # the integral of (1 + 2 t)^-2
    >>> round(float(weights.sum()), 12)
    0.5
    """
    rule = ACCURACIES[accuracy]
    u = np.arange(LEFT, RIGHT, rule.spacing)
    nodes = np.exp(u - np.exp(-u)) / rates.sum()
    logs = u - np.exp(-u) + np.log1p(np.exp(-u)) + np.log(rule.spacing / rates.sum()) - epsilon * nodes
    logs -= np.log1p(nodes[:, None] * rates).sum(axis=1) / 2
    kept = logs > logs.max() + np.log(rule.negligible)
    if power:
        kept |= u < 0  # all nodes to the left: a factor 1 / sqrt(t) decays slowly
    return np.exp(logs[kept]), nodes[kept]
