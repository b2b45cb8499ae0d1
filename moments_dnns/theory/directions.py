"""The directions of a centred Gaussian signal over the points of a batch, and its law times exp(-t |h|^2).

With h ~ N(0, C), this is N(0, C (1 + 2 t C)^-1) up to a factor, and the noise follows.

Reference: docs/theory.md.
"""

from __future__ import annotations

from typing import Protocol

import attrs
import numpy as np

from .features import Features
from .gram import Grams, centred
from .translations import (
    averaged_products,
    blocks,
    diagonal,
    from_blocks,
    multiplicities,
    num_translations,
    spectra,
)

# Eigenvalues below this times the number of points are 0, relative to the largest variance of a point.
ROUND_OFF = 4e-15


class Directions(Protocol):
    """A centred signal and its noise, by the eigenvalues and eigenvectors of the signal's second moments C."""

    @property
    def positive(self) -> np.ndarray:
        """The eigenvalues of C that are not 0."""

    def tilted_variances(self, times: np.ndarray) -> np.ndarray:
        """Return the variances of the signal times exp(-t |h|^2), of shape (times, points)."""

    def tilted(self, times: np.ndarray) -> Grams:
        """Return the second moments of signal and noise for the law times exp(-t |h|^2), with an axis of times."""


@attrs.frozen(eq=False)
class GramDirections:
    """Directions of given second moments, in a block for each frequency of their translations.

    Args:
        values: Eigenvalues, of shape (frequencies, images); 0 where they are no directions.
        vectors: Eigenvectors in the columns, of shape (frequencies, images, images); 0 where they are no directions.
        cross: The products of the eigenvectors and the cross moments, of the same shape.
        noise: E dx_a dx_b, as in the `Grams`.
    """

    values: np.ndarray
    vectors: np.ndarray
    cross: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, grams: Grams) -> GramDirections:
        """Return the directions of a signal, once it is centred."""
        values, vectors = np.linalg.eigh(blocks(centred(grams.signal)))
        # Eigenvalues that are 0 but for rounding, such as that of the mean, are no directions of the signal.
        none = values <= ROUND_OFF * grams.signal.shape[-1] * diagonal(grams.signal).max()
        vectors = np.where(none[:, None, :], 0, vectors)
        cross = blocks(grams.cross).copy()
        # Centred as the signal is; a mean would be divided by an eigenvalue that is 0 but for rounding.
        cross[0] -= cross[0].mean(axis=0)
        return cls(np.where(none, 0, values), vectors, vectors.conj().swapaxes(-1, -2) @ cross, grams.noise)

    @property
    def positive(self) -> np.ndarray:
        """The eigenvalues that are not 0, of all frequencies."""
        every = np.repeat(self.values, multiplicities(num_translations(self.noise)), axis=0)
        return every[every > 0]

    def tilted_variances(self, times: np.ndarray) -> np.ndarray:
        """Return the variances of `tilted`, of shape (times, rows)."""
        translations = num_translations(self.noise)
        squares = np.square(np.abs(self.vectors)) * multiplicities(translations)[:, None, None] / translations
        values = self.values.ravel()
        return (values / (1 + 2 * times[:, None] * values)) @ squares.swapaxes(-1, -2).reshape(len(values), -1)

    def tilted(self, times: np.ndarray) -> Grams:
        """Return the second moments for the law times exp(-t |h|^2), with an axis of times before the rows."""
        translations = num_translations(self.noise)
        t, values = 2 * times[:, None, None, None], self.values[:, None, :]
        shrunk = 1 / (1 + t * values)
        signal = from_blocks(_square(self.vectors * np.sqrt(shrunk * values)), translations)
        if not self.cross.any():
            return Grams(signal, np.broadcast_to(self.noise, signal.shape), np.zeros_like(signal))
        adjoint = self.cross.conj().swapaxes(-1, -2)
        noise = self.noise - from_blocks(_square(adjoint * np.sqrt(shrunk * t)), translations)
        return Grams(signal, noise, from_blocks((self.vectors * shrunk) @ self.cross, translations))


@attrs.frozen(eq=False)
class FeatureDirections:
    """Directions of a signal in the space of its weights, which are those of its noise.

    The law times exp(-t |h|^2) is one of weights that are not independent: exact, whatever the images. Its second
    moments alone are averaged over translations.

    Args:
        values: Eigenvalues, of shape (number of weights,); 0 where they are no directions.
        squares: Of the centred signal's features, in the eigenvectors, of shape (points, number of weights).
        signal: Their Fourier transform over the pixels, of shape (frequencies, images, number of weights).
        noise: That of the noise's features, of the same shape.
    """

    values: np.ndarray
    squares: np.ndarray
    signal: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, features: Features) -> FeatureDirections:
        """Return the directions of a signal, once it is centred."""
        signal = features.centred().signal
        values, vectors = np.linalg.eigh(np.tensordot(signal, signal, ((0, 1), (0, 1))))
        points = signal.shape[0] * signal.shape[1]
        none = values <= ROUND_OFF * points * features.variances().max()
        values, signal = np.where(none, 0, values), np.where(none, 0, signal @ vectors)
        squares = np.square(signal).reshape(points, -1)
        return cls(values, squares, spectra(signal), spectra(features.noise @ vectors))

    @property
    def positive(self) -> np.ndarray:
        """The eigenvalues that are not 0."""
        return self.values[self.values > 0]

    def tilted_variances(self, times: np.ndarray) -> np.ndarray:
        """Return the variances of `tilted`, of shape (times, points)."""
        return (1 / (1 + 2 * times[:, None] * self.values)) @ self.squares.T

    def tilted(self, times: np.ndarray) -> Grams:
        """Return the second moments for the law times exp(-t |h|^2), averaged over translations."""
        translations = len(self.squares) // self.signal.shape[1]
        shrunk = 1 / (1 + 2 * times[:, None, None, None] * self.values)
        signal, noise = self.signal * shrunk, self.noise * shrunk
        pairs = ((signal, self.signal), (noise, self.noise), (signal, self.noise))
        return Grams(*(averaged_products(*pair, translations) for pair in pairs))


def _square(factors: np.ndarray) -> np.ndarray:
    """Return F F* of matrices, which takes half the time of a product of two different ones if they are real."""
    return factors @ factors.conj().swapaxes(-1, -2)
