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

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from moments_dnns._validation import refusal

from .gram import ENTRIES_AT_ONCE, Grams, centred, mean_diagonal, rectified
from .translations import blocks, diagonal, from_blocks, multiplicities, num_translations


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

# Eigenvalues below this times the number of points are 0, relative to the largest variance of a point.
ROUND_OFF = 4e-15


class Spectrum(NamedTuple):
    """The directions of a centred signal over the points, in a block for each frequency of its translations.

    Args:
        values: Eigenvalues of the second moments, of shape (frequencies, images); 0 where they are no directions.
        vectors: Eigenvectors in the columns, of shape (frequencies, images, images); 0 where they are no directions.
        translations: Number of pixels by which images may be translated; 1 for one block over all points.
    """

    values: np.ndarray
    vectors: np.ndarray
    translations: int

    @property
    def positive(self) -> np.ndarray:
        """The eigenvalues that are not 0, of all frequencies."""
        every = np.repeat(self.values, multiplicities(self.translations), axis=0)
        return every[every > 0]

    def tilted_variances(self, times: np.ndarray) -> np.ndarray:
        """Return the variances of C (1 + t C)^-1, with a row for each t and a column for each image or point."""
        squares = np.square(np.abs(self.vectors)) * multiplicities(self.translations)[:, None, None] / self.translations
        values = self.values.ravel()
        return (values / (1 + times[:, None] * values)) @ squares.swapaxes(-1, -2).reshape(len(values), -1)


def spectrum_of(gram: np.ndarray) -> Spectrum:
    """Return the directions of the signal of a Gram matrix, once it is centred.

    Example:

    >>> spectrum_of(np.eye(4)).positive.round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    values, vectors = np.linalg.eigh(blocks(centred(gram)))
    # Eigenvalues that are 0 but for rounding, such as that of the mean, are no directions of the signal.
    none = values <= ROUND_OFF * gram.shape[-1] * diagonal(gram).max()
    return Spectrum(np.where(none, 0, values), np.where(none[:, None, :], 0, vectors), num_translations(gram))


class Normalized(NamedTuple):
    """A channel after batch normalization.

    Args:
        moments: `nu1_abs_signal`, `nu2_signal`, `mu2_signal`, `mu4_signal` and `mu2_noise`.
        rectified: The second moments after the ReLU that follows.
    """

    moments: dict[str, float]
    rectified: Grams


def normalized(grams: Grams, epsilon: float, *, accuracy: str = "exact") -> Normalized:
    """Return the moments after batch normalization of infinitely many, jointly Gaussian channels of signal and noise.

    Formula: `z = h / sqrt(Q + epsilon)`, `dz = dy / sqrt(Q + epsilon)`.

    Args:
        grams: Second moments before it, of shape (M, M), or the rows of one pixel of each image; the signal need not be
            centred.
        epsilon: Constant added to the variance.
        accuracy: A name of `ACCURACIES`, of the second moments.

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
    spectrum = spectrum_of(grams.signal)
    points = grams.signal.shape[-1]
    rates = 2 * spectrum.positive / points
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
    variances = spectrum.tilted_variances(2 * nodes / points)
    total, noise = Grams(*(np.zeros_like(grams.signal) for _ in grams)), 0.0
    of_second_moments = quadrature(rates, epsilon, accuracy=accuracy, power=0.0)
    for weight, tilted in _tilted(grams, spectrum, *of_second_moments):
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


def _tilted(
    grams: Grams, spectrum: Spectrum, weights: np.ndarray, nodes: np.ndarray
) -> Iterator[tuple[np.ndarray, Grams]]:
    """Yield weights, and second moments of centred signal and noise under the density times exp(-t Q).

    A few nodes at a time, so that the matrices fit into memory.
    """
    values, vectors, translations = spectrum
    cross = blocks(grams.cross).copy()
    # Centred as the signal is; a mean would be divided by an eigenvalue that is 0 but for rounding.
    cross[0] -= cross[0].mean(axis=0)
    cross = vectors.conj().swapaxes(-1, -2) @ cross
    at_once = max(1, ENTRIES_AT_ONCE // grams.signal.size)
    for start in range(0, len(nodes), at_once):
        weight = weights[start : start + at_once]
        t = nodes[start : start + at_once, None, None, None] * (2 / grams.signal.shape[-1])
        shrunk = 1 / (1 + t * values[:, None, :])
        signal = from_blocks(_square(vectors * np.sqrt(shrunk * values[:, None, :])), translations)
        if cross.any():
            adjoint = cross.conj().swapaxes(-1, -2)
            noise = grams.noise - from_blocks(_square(adjoint * np.sqrt(shrunk * t)), translations)
            yield weight, Grams(signal, noise, from_blocks((vectors * shrunk) @ cross, translations))
        else:
            noise = np.broadcast_to(grams.noise, signal.shape)
            yield weight, Grams(signal, noise, np.zeros_like(signal))


def _square(factors: np.ndarray) -> np.ndarray:
    """Return F F* of matrices, which takes half the time of a product of two different ones if they are real."""
    return factors @ factors.conj().swapaxes(-1, -2)
