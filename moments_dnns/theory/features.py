"""Channels that are linear in the same Gaussian weights, as all are before the first nonlinear step of a network.

Reference: equation 1 of arXiv 1811.03087; docs/theory.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from moments_dnns.descriptions.boundaries import PADDED

from .gram import Grams
from .translations import averaged_products, spectra


class Features(NamedTuple):
    """A signal `y = F w` and its noise `dy = D w` with the same weights w, which are independent and of variance 1.

    Args:
        signal: F, of shape (images, pixels, number of weights).
        noise: D, of the same shape.

    Example:

    >>> Features(np.ones((1, 1, 3)), np.zeros((1, 1, 3))).averaged_grams().signal.tolist()
    [[3.0]]

    Reference: equation 1 of arXiv 1811.03087.
    """

    signal: np.ndarray
    noise: np.ndarray

    def scaled(self, signal: float, noise: float) -> Features:
        """Return the features with the squares of signal and noise multiplied by two factors."""
        return Features(self.signal * np.sqrt(signal), self.noise * np.sqrt(noise))

    def centred(self) -> Features:
        """Return the features of the signal that is centred over the points, and the noise as it is."""
        return Features(self.signal - self.signal.mean(axis=(0, 1)), self.noise)

    def variances(self) -> np.ndarray:
        """Return the variances of the signal, of shape (images, pixels)."""
        return np.square(self.signal).sum(axis=-1)

    def convolved(self, reads: np.ndarray, gain: float = 2.0) -> Features:
        """Return the features after a convolution of infinitely many channels, as `gram.convolved` does to their Grams.

        Args:
            reads: The pixels that are read, from `descriptions.boundaries.read_pixels`.
            gain: Variance of the weights times fan_in.
        """
        return Features(*(read_features(each, reads) * np.sqrt(gain / len(reads)) for each in self))

    def grams(self) -> Grams:
        """Return the second moments over all points, of shape (M, M)."""
        x, dx = (each.reshape(-1, each.shape[-1]) for each in self)
        return Grams(x @ x.T, dx @ dx.T, x @ dx.T)

    def averaged_grams(self) -> Grams:
        """Return the second moments averaged over all translations, of shape (images, M), for periodic boundaries."""
        pixels = self.signal.shape[1]
        x, dx = (spectra(each) for each in self)
        return Grams(*(averaged_products(*pair, pixels) for pair in ((x, x), (dx, dx), (x, dx))))


def read_features(features: np.ndarray, reads: np.ndarray) -> np.ndarray:
    """Return the features of all pixels that a kernel reads, those of the padding being 0.

    Args:
        features: Of shape (images, pixels, number).
        reads: From `descriptions.boundaries.read_pixels`, of shape (entries, pixels of the output).

    Returns:
        Array of shape (images, pixels of the output, entries * number).

    Example:

    >>> read_features(np.array([[[5.0], [6.0]]]), np.array([[1, PADDED], [0, 1]])).tolist()
    [[[6.0, 5.0], [0.0, 6.0]]]
    """
    images, _, number = features.shape
    # One more pixel, which is zero, for the padding: its number -1 is that of the last one.
    padded = np.concatenate([features, np.zeros((images, -PADDED, number))], axis=1)
    return padded[:, reads.T].reshape(images, reads.shape[1], -1)
