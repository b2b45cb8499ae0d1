"""A batch after the first convolution: its second moments over all points, or what is averaged over translations.

NumPy only.
"""

from __future__ import annotations

import math

import numpy as np

from moments_dnns._validation import one_of, refusal
from moments_dnns.descriptions.boundaries import BOUNDARIES, read_pixels
from moments_dnns.descriptions.experiment import Experiment

from .features import Features, read_features
from .gram import MOST_POINTS, Grams

# What is done where translating all images together would change nothing but the images: their Gram matrices are
# averaged over all translations, never, or where they have too many points otherwise.
SYMMETRIES = ("auto", "none", "translations")

AVERAGED = (
    "the images have too many points for the exact theory: second moments are averaged over translations of the images "
    "from the first ReLU on, which is approximate; docs/theory.md has the errors."
)


def first_features(experiment: Experiment, signal: np.ndarray, noise: np.ndarray) -> Features:
    """Return signal and noise after the first convolution, as linear functions of its weights.

    Args:
        experiment: The description of the experiment.
        signal: The signal of a batch, of shape (batch, height, width, channels), or (batch, 1, 1, channels) if the
            network is fully connected.
        noise: Its noise, of the same shape.

    Returns:
        `Features` of the pixels after the convolution: the pixels that it reads, divided by the square root of their
        number.

    Example:

    >>> experiment = Experiment("vanilla", 2, 3, 4, 2, 1, num_computations=1)
    >>> first_features(experiment, *np.ones((2, 2, 8, 8, 3))).signal.shape
    (2, 16, 27)

    Reference: equation 1 of arXiv 1811.03087.
    """
    _, height, width, channels = signal.shape
    reads = read_pixels(height, width, experiment.kernel_size, experiment.boundary, experiment.first_strides)
    pixels = (np.asarray(each, np.float64).reshape(len(each), height * width, channels) for each in (signal, noise))
    return Features(*(read_features(each, reads) for each in pixels)).scaled(*2 * [1 / (len(reads) * channels)])


def first_grams(experiment: Experiment, signal: np.ndarray, noise: np.ndarray) -> Grams:
    """Return the Gram matrices after the first convolution, averaged over its weights.

    Formula: `K_ab` is the mean, over the entries of the kernel and the input channels, of the product of the pixels
    that the convolution reads for the points a and b; zero padding is 0.

    Args:
        experiment: The description of the experiment.
        signal: The signal of a batch, as for `first_features`.
        noise: Its noise, of the same shape.

    Returns:
        `Grams` over the batch * height * width points after the convolution.

    Raises:
        ValueError: If there are more points than `infinite_width` takes.

    Example:

    >>> experiment = Experiment("vanilla", 2, 1, 4, 2, 1, num_computations=1)
    >>> first_grams(experiment, np.ones((2, 1, 1, 3)), np.eye(2, 3).reshape(2, 1, 1, 3)).cross.round(3).tolist()
    [[0.333, 0.333], [0.333, 0.333]]

    Reference: equation 1 of arXiv 1811.03087.
    """
    averages_translations(experiment, signal.shape, "none")
    return first_features(experiment, signal, noise).grams()


def averages_translations(experiment: Experiment, shape: tuple[int, ...], symmetry: str) -> bool:
    """Return whether the Gram matrices of a batch are averaged over translations of its images.

    Args:
        experiment: The description of the experiment.
        shape: Of the batch, (batch, height, width, channels).
        symmetry: A name of `SYMMETRIES`.

    Raises:
        ValueError: If they cannot be averaged and shall be, or if there are too many points.

    Example:

    >>> experiment = Experiment("bn_ff", 2, 3, 4, 64, 1, num_computations=1)
    >>> [averages_translations(experiment, (batch, 32, 32, 3), "auto") for batch in (16, 64)]
    [False, True]

    Reference: section 2 of arXiv 1811.03087, for the boundary; docs/theory.md.
    """
    one_of(SYMMETRIES)("symmetry", symmetry)
    batch, pixels = shape[0], math.prod(experiment.layer_side(side) for side in shape[1:3])
    periodic = BOUNDARIES[experiment.boundary].periodic
    if symmetry == "translations" and not periodic:
        raise ValueError(
            refusal(
                "translations leave the law of a network as it is where its boundary is periodic, and only there.",
                symmetry=symmetry,
                boundary=experiment.boundary,
            )
        )
    many = batch * pixels > MOST_POINTS
    averaged = periodic and pixels > 1 and (symmetry == "translations" or (symmetry == "auto" and many))
    most = MOST_POINTS // (math.isqrt(pixels) if averaged else pixels)
    if batch > most:
        points = "images times the side of a layer" if averaged else "images times pixels of a layer"
        raise ValueError(
            refusal(
                f"the exact theory takes at most {MOST_POINTS} points, which are {points}. Layers of {pixels} pixels "
                f"need a batch_size of at most {most}.",
                batch_size=batch,
                points=batch * pixels,
            )
        )
    return averaged
