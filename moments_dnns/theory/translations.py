"""Gram matrices that do not change if all images of a batch are translated together, in blocks of one frequency each.

A Gram matrix has a row for each of the M points of a batch. Where K_{(a, s), (b, s')} depends on the pixels s and s' by
their distance t = s' - s alone, and boundaries are periodic, the rows of one pixel of each image are all of it: an
array of shape (batch, M), whose entry at a and (b, t) is K_ab(t). By Fourier's transform it is one Hermitian matrix
over the images for each frequency, `K_ab(w) = sum over t of K_ab(t) exp(-i w t)`, and its products, inverses and
eigenvalues are those of these blocks.

All functions take the rows of a matrix of either kind: where there is a row for every point, one block is the matrix
itself. So the shape says which kind it is, and each formula of the theory stands once.

Reference: section 2 of arXiv 1811.03087, for the boundary; docs/theory.md.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft


def num_translations(gram: np.ndarray) -> int:
    """Return the number of pixels by which images may be translated; 1 where there is a row for every point.

    Example:

    >>> num_translations(np.eye(8)), num_translations(np.ones((2, 8)))
    (1, 4)
    """
    return gram.shape[-1] // gram.shape[-2]


def diagonal(gram: np.ndarray) -> np.ndarray:
    """Return the entries of the points with themselves, of shape (..., rows).

    Example:

    >>> diagonal(np.array([[1, 0, 0, 0, 5, 0, 0, 0], [5, 0, 0, 0, 2, 0, 0, 0]])).tolist()
    [1, 2]
    """
    return np.einsum("...aa->...a", gram[..., :: num_translations(gram)])


def transposed(gram: np.ndarray) -> np.ndarray:
    """Return the rows of the transposed matrix, whose entries are K_ba(-t).

    Example:

    >>> transposed(np.array([[0, 1, 0, 0, 2, 0, 0, 3, 0]])).tolist()
    [[0, 0, 1, 0, 0, 3, 0, 0, 2]]
    """
    *leading, images, points = gram.shape
    side = math.isqrt(points // images)
    if side == 1:
        return gram.swapaxes(-1, -2)
    opposite = -np.arange(side) % side
    by_distance = gram.reshape(*leading, images, images, side, side)[..., opposite[:, None], opposite]
    return by_distance.swapaxes(-3, -4).reshape(gram.shape)


def multiplicities(translations: int) -> np.ndarray:
    """Return how many frequencies each block stands for: those of w and -w are conjugates, and one of them is kept.

    Example:

    >>> multiplicities(9).tolist(), multiplicities(1).tolist()
    ([1, 2, 1, 2, 1, 2], [1])
    """
    side = math.isqrt(translations)
    columns = np.arange(side // 2 + 1)
    return np.tile(np.where(2 * columns % side, 2, 1), side)


def blocks(gram: np.ndarray) -> np.ndarray:
    """Return the matrix over images for each frequency, those of `multiplicities`; the first is of frequency 0.

    Args:
        gram: The rows of a matrix, of shape (..., images, images * side**2).

    Returns:
        Array of shape (..., frequencies, images, images), complex unless there is one frequency alone.

    Example:

    >>> blocks(np.eye(3)[:1].repeat(3, axis=1))[:, 0, 0].real.round(12).tolist()  # all distances of the first row
    [3.0, 0.0, 3.0, 0.0, 3.0, 0.0]
    """
    *leading, images, points = gram.shape
    side = math.isqrt(points // images)
    if side == 1:
        return gram[..., None, :, :]
    spectrum = fft.rfft2(gram.reshape(*leading, images, images, side, side))
    return np.ascontiguousarray(np.moveaxis(spectrum.reshape(*leading, images, images, -1), -1, -3))


def from_blocks(each: np.ndarray, translations: int) -> np.ndarray:
    """Return the rows of the matrix that has these blocks, the inverse of `blocks`.

    Example:

    >>> rows = np.arange(36.0).reshape(2, 18)
    >>> np.allclose(from_blocks(blocks(rows), 9), rows)
    True
    """
    side = math.isqrt(translations)
    if side == 1:
        return each[..., 0, :, :]
    *leading, _, images, _ = each.shape
    spectrum = np.moveaxis(each, -3, -1).reshape(*leading, images, images, side, side // 2 + 1)
    return fft.irfft2(spectrum, s=(side, side)).reshape(*leading, images, images * translations)


def spectra(features: np.ndarray) -> np.ndarray:
    """Return the Fourier transform over the pixels of features, of shape (frequencies, images, features).

    Args:
        features: Of the pixels of square images, of shape (images, pixels, features).

    Example:

    >>> spectra(np.ones((1, 4, 1)))[:, 0, 0].real.tolist()
    [4.0, 0.0, 0.0, 0.0]
    """
    images, pixels, number = features.shape
    side = math.isqrt(pixels)
    if side == 1:
        return features.swapaxes(0, 1)
    spectrum = fft.rfft2(features.reshape(images, side, side, number), axes=(1, 2))
    return np.ascontiguousarray(np.moveaxis(spectrum.reshape(images, -1, number), 0, 1))


def averaged_products(one: np.ndarray, other: np.ndarray, translations: int) -> np.ndarray:
    """Return the mean over all translations of the products of features, summed over the features.

    Formula: `K_ab(t) = mean over pixels s of sum over features e of x_{a, s, e} y_{b, s + t, e}`.

    Args:
        one: From `spectra`, of shape (..., frequencies, images, features).
        other: From `spectra`, of the same shape.
        translations: Number of pixels of an image.

    Returns:
        The rows of one pixel of each image, of shape (..., images, images * translations).

    Example:

    >>> x = spectra(np.array([[[1.0], [0.0], [0.0], [0.0]]]))
    >>> averaged_products(x, x, 4).round(12).tolist()
    [[0.25, 0.0, 0.0, 0.0]]
    """
    return from_blocks(one.conj() @ other.swapaxes(-1, -2), translations) / translations
