"""Gram matrices of infinitely wide layers, step by step: convolution, ReLU, effective rank. Exact. NumPy only.

In a layer of infinite width the channels are independent draws of one random vector over the M points of a batch
(images times pixels), and averages over channels are expectations. The linear steps need its second moments alone:
K = E x x', which is the kernel of the Gaussian process (NNGP), Kd = E dx dx' of the noise, and G = E x dx' of both. A
convolution averages each of them over the entries of its kernel. A ReLU turns K into the arc-cosine kernel of degree 1;
where G is 0, it multiplies Kd by the arc-cosine kernel of degree 0.

Reference: equations 1 to 3 of arXiv 1811.03087; arXiv 0911.0418 for the kernels; docs/theory.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.descriptions.boundaries import PADDED

from .translations import blocks, diagonal, multiplicities, num_translations, transposed

# Gram matrices of more points take minutes and gigabytes for every layer.
MOST_POINTS = 4096

# Entries of matrices that are computed at a time: 128 kB of float64, so that what is in between stays in the caches.
ENTRIES_AT_ONCE = 2**14

# Deviations from symmetry, relative to the largest entry, and negative eigenvalues, relative to the trace, up to this
# are rounding errors.
ROUND_OFF = 1e-8


class Grams(NamedTuple):
    """Second moments of the channels of a signal x and its noise dx, over the pairs of M points.

    Args:
        signal: E x_a x_b, of shape (..., M, M).
        noise: E dx_a dx_b, of the same shape.
        cross: E x_a dx_b, of the same shape, not symmetric.

    Example:

    >>> signal, noise, cross = Grams(np.eye(2), np.eye(2), np.zeros((2, 2))).scaled(4, 1)
    >>> signal.tolist()
    [[4.0, 0.0], [0.0, 4.0]]

    Reference: section 3 of arXiv 1811.03087.
    """

    signal: np.ndarray
    noise: np.ndarray
    cross: np.ndarray

    def scaled(self, signal: float, noise: float) -> Grams:
        """Return the second moments with the squares of signal and noise multiplied by two factors."""
        return Grams(self.signal * signal, self.noise * noise, self.cross * (np.sqrt(signal) * np.sqrt(noise)))

    def plus(self, other: Grams) -> Grams:
        """Return the second moments of the sum of these channels and others, whose weights are independent."""
        return Grams(*(one + two for one, two in zip(self, other, strict=True)))


def centred(gram: np.ndarray) -> np.ndarray:
    """Return H K H, the Gram matrix of channels that are centred over the points; H = 1 - 11'/M.

    Example:

    >>> centred(np.array([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    means = gram.mean(axis=-1, keepdims=True)
    of_columns = np.repeat(means.swapaxes(-1, -2), num_translations(gram), axis=-1)
    return (gram - means) - (of_columns - means.mean(axis=-2, keepdims=True))


def mean_diagonal(gram: np.ndarray) -> float:
    """Return the mean over points of E x_a^2."""
    return float(diagonal(gram).mean())


def effective_rank(gram: np.ndarray) -> float:
    """Return Tr C / ||C|| of the covariance C of infinitely many channels, from their Gram matrix over points.

    The covariance over channels and the centred Gram matrix over points have the same eigenvalues but for zeros.

    Args:
        gram: E x_a x_b, of shape (M, M), or the rows of one pixel of each image.

    Returns:
        The effective rank, between 1 and M - 1; 0 for channels without variance.

    Example:

    >>> round(effective_rank(np.eye(5)), 12)
    4.0

    Reference: definition 1 of arXiv 1811.03087.
    """
    covariance = centred(gram)
    variance = mean_diagonal(covariance)
    if variance <= 0:
        return 0.0
    # Divided first, so that all entries are within the range of the solver.
    points = gram.shape[-1]
    return float(1 / np.linalg.eigvalsh(blocks(covariance / (points * variance))).max())


def convolved(gram: np.ndarray, reads: np.ndarray, gain: float = 2.0) -> np.ndarray:
    """Return the Gram matrix after a convolution with Gaussian weights of variance gain / fan_in.

    Formula: `K_ab -> gain / k^2 * sum over the k^2 entries of the kernel of K_{r(a) r(b)}`, where r(a) is the pixel
    that the entry reads for a; zero padding contributes nothing.

    Args:
        gram: E x_a x_b, of shape (batch * pixels, batch * pixels), the pixels of an image side by side; or the rows of
            one pixel of each image, where the boundary is periodic.
        reads: The pixels that are read, from `descriptions.boundaries.read_pixels`, of shape (kernel_size**2, pixels).
        gain: Variance of the weights times fan_in; 2 is He's.

    Returns:
        Array of the shape of `gram`.

    Example:

    >>> from moments_dnns.descriptions.boundaries import read_pixels
    >>> np.diag(convolved(np.eye(9), read_pixels(3, 3, 3, "zero_padding"))).round(2)[:2].tolist()
    [0.89, 1.33]

    Reference: equations 1 and 3 of arXiv 1811.03087.
    """
    entries, pixels = reads.shape
    if entries == 1 or num_translations(gram) > 1:
        return gain * gram  # which translations by the entries of the kernel do not change
    images = np.arange(len(gram) // pixels)[:, None] * pixels
    padded = np.pad(gram, (0, 1))  # one more point, which is zero, for the padding
    total = np.zeros_like(gram)
    for read in reads:
        points = np.where(read == PADDED, len(gram), images + read).ravel()
        total += padded[np.ix_(points, points)]
    return total * (gain / entries)


def rectified(grams: Grams) -> Grams:
    """Return the second moments after a ReLU, of jointly Gaussian signal and noise without mean.

    Formula, with scales s_a, correlations c_ab, S = sqrt(1 - c^2) and P = (pi - arccos c) / (2 pi):
    `E relu(y_a) relu(y_b) = s_a s_b (S / (2 pi) + c P)`, `E 1_a 1_b = P`, where 1_a is 1 for y_a > 0 and 0 otherwise;
    `E relu(y_a) 1_b dy_b = G_ab P + G_bb s_a S / (2 pi s_b)` and `E 1_a 1_b dy_a dy_b = Kd_ab P + D_ab / (2 pi S)`,
    `D_ab = (G_aa G_bb + G_ba G_ab) / (s_a s_b) - c (G_aa G_ab / s_a^2 + G_ba G_bb / s_b^2)`, with the cross moments
    G and the noise's moments Kd before the ReLU. D / S goes to 0 where c goes to 1 or -1.

    Args:
        grams: Moments before the ReLU, of shape (..., M, M), or the rows of one pixel of each image.

    Returns:
        Moments after it, of the same shape.

    Example:

    >>> one = np.ones((1, 1))
    >>> [float(gram[0, 0]) for gram in rectified(Grams(one, one, 0 * one))]
    [0.5, 0.5, 0.0]

    Reference: equations 2 and 3 of arXiv 1811.03087; arXiv 0911.0418 for the kernels.
    """
    scale = np.sqrt(np.maximum(diagonal(grams.signal), 0))
    # A point without variance is zero, and so is the derivative of the ReLU there.
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    # G in units of the signal's scales: g_ab = G_ab / s_a.
    crossed = grams.cross * inverse[..., :, None] if grams.cross.any() else None
    both = None if crossed is None else (crossed, transposed(crossed))
    points = scale.shape[-1]
    at_once = max(1, ENTRIES_AT_ONCE * points // grams.signal.size)
    after = Grams(*(np.empty(grams.signal.shape) for _ in grams))
    for start in range(0, points, at_once):
        rows = slice(start, start + at_once)
        for whole, part in zip(after, _rectified_rows(grams, scale, inverse, both, rows), strict=True):
            whole[..., rows, :] = part
    return after


def _rectified_rows(
    grams: Grams, scale: np.ndarray, inverse: np.ndarray, both: tuple[np.ndarray, np.ndarray] | None, rows: slice
) -> Grams:
    """Return some of the rows of the second moments after a ReLU.

    Args:
        grams: Moments before it, of shape (..., rows, M).
        scale: The standard deviations of the signal, of shape (..., rows).
        inverse: One over these, 0 where they are 0.
        both: The cross moments over the scales of their rows, and their transposes; None if all are 0.
        rows: Which rows.
    """
    translations = num_translations(grams.signal)
    scales, inverses = _of_columns(scale, translations), _of_columns(inverse, translations)
    cosine = grams.signal[..., rows, :] * inverse[..., rows, None]
    cosine *= inverses
    np.clip(cosine, -1, 1, out=cosine)
    # The arccosine of 1 - 1e-16 is 1e-8, so that correlations of points with themselves must be exactly 1.
    selves = slice(rows.start * translations, rows.stop * translations, translations)
    np.einsum("...aa->...a", cosine[..., selves])[...] = scale[..., rows] > 0
    mask = 0.5 - np.arccos(cosine) / (2 * np.pi)
    if not scale.all():
        mask *= (scale[..., rows, None] > 0) & (scales > 0)
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    signal = sine / (2 * np.pi)
    signal += cosine * mask
    signal *= scale[..., rows, None]
    signal *= scales
    noise = grams.noise[..., rows, :] * mask
    if both is None:
        return Grams(signal, noise, np.zeros_like(noise))
    own = diagonal(both[0])
    owns = _of_columns(own, translations)
    here, there = both[0][..., rows, :], both[1][..., rows, :].copy()
    pairs = own[..., rows, None] * here
    pairs += owns * there
    pairs *= -cosine
    pairs += own[..., rows, None] * owns
    pairs += here * there
    pairs /= np.where(sine > 0, 2 * np.pi * sine, np.inf)
    noise += pairs
    cross = grams.cross[..., rows, :] * mask
    sine *= owns / (2 * np.pi)
    sine *= scale[..., rows, None]
    cross += sine
    return Grams(signal, noise, cross)


def _of_columns(values: np.ndarray, translations: int) -> np.ndarray:
    """Return what rows have, of shape (..., rows), for the columns, of shape (..., 1, M)."""
    return np.repeat(values, translations, axis=-1)[..., None, :]


def checked_grams(gram: Any, noise_gram: Any, cross_gram: Any, pixels: int) -> Grams:
    """Return given second moments as `Grams` of float64, or refuse them.

    Args:
        gram: E x_a x_b, of shape (M, M), or the rows of one pixel of each image, of shape (M / pixels, M).
        noise_gram: E dx_a dx_b, of the same shape; None for independent unit noise.
        cross_gram: E x_a dx_b, of the same shape; None for zero.
        pixels: Number of points of an image.

    Raises:
        ValueError: If they are no second moments of a signal and a noise over whole images, or the points are too many,
            or do not differ.

    Example:

    >>> float(checked_grams(np.eye(4), None, None, 2).noise[0, 0])
    1.0
    """
    signal = np.asarray(gram, np.float64)
    rows, points = signal.shape if signal.ndim == 2 else (0, 0)
    if rows not in (points, points / pixels) or points < 2 or points % pixels or signal.size > MOST_POINTS**2:
        raise ValueError(
            refusal(
                f"gram must be a square matrix of 2 to {MOST_POINTS} points, spatial_size**2 of them to an image, or "
                f"its rows of one pixel of each image, of at most {MOST_POINTS}**2 entries. Larger ones take a smaller "
                "batch.",
                shape=signal.shape,
                pixels=pixels,
            )
        )
    noise = np.eye(points)[:: points // rows] if noise_gram is None else np.asarray(noise_gram, np.float64)
    cross = np.zeros_like(signal) if cross_gram is None else np.asarray(cross_gram, np.float64)
    if not noise.shape == cross.shape == signal.shape:
        raise ValueError(
            refusal("Gram matrices must have one shape.", gram=signal.shape, noise=noise.shape, cross=cross.shape)
        )
    of_signal, of_noise = blocks(signal), blocks(noise)
    joint = of_signal
    if cross.any():
        joint = np.block([[of_signal, blocks(cross)], [blocks(transposed(cross)), of_noise]])
    for name, each in {"gram": of_signal, "noise_gram": of_noise, "joint Gram matrix": joint}.items():
        _check_covariance(name, each, multiplicities(points // rows))
    variance = mean_diagonal(centred(signal))
    if variance <= ROUND_OFF**2 * mean_diagonal(signal):
        raise ValueError(refusal("the points of gram must differ.", variance=variance))
    return Grams(signal, noise, cross)


def _check_covariance(name: str, each: np.ndarray, counts: np.ndarray) -> None:
    """Refuse the blocks of a matrix that is not finite, symmetric and positive semidefinite, or is zero."""
    fine = bool(np.isfinite(each).all())
    fine = fine and bool(np.allclose(each, each.conj().swapaxes(-1, -2), atol=ROUND_OFF * np.abs(each).max()))
    smallest = float(np.linalg.eigvalsh(each).min()) if fine else np.nan
    trace = float(counts @ np.einsum("faa->f", each).real)
    if not smallest >= -ROUND_OFF * trace or not trace > 0:
        raise ValueError(
            refusal(
                f"{name} must be finite, symmetric, without negative eigenvalues, and not zero.",
                smallest_eigenvalue=smallest,
                trace=trace,
            )
        )
