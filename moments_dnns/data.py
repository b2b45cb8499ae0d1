"""Images of a known data set, an array or a file, and the batches that realizations draw from them."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import attrs
import numpy as np

from . import _seeds
from ._datasets import DATASETS, SUFFIXES, check_file, read_images
from ._validation import refusal, whole

Dataset: TypeAlias = str | os.PathLike[str] | np.ndarray

# The types that images keep, or become; any other type of numbers becomes float64.
DTYPES = {"bool": np.uint8, "uint8": np.uint8, "float32": np.float32}

# Channels are standardised in parts, so that a large batch of many stays within the processor's cache.
CHANNELS_AT_A_TIME = 512

EXPECTED = "images must be a numeric array of shape (images, height, width) or (images, height, width, channels)."


@attrs.frozen(eq=False)
class Images:
    """A set of images.

    Args:
        images: (images, height, width, channels), uint8, float32 or float64, read-only.
        label: The name of the data set, as in `Experiment.dataset`.
        sha256: Hash of dtype, shape and bytes of the original array.
    """

    images: np.ndarray
    label: str
    sha256: str


@attrs.frozen(eq=False)
class Batch:
    """The input of one realization.

    Args:
        signal: (batch, height, width, channels), float32, of mean 0 and variance 1 in every channel.
        noise: The same shape, float32, i.i.d. N(0, 1).
        num_constant_channels: Number of channels that are constant over the batch; their signal is zero.
    """

    signal: np.ndarray
    noise: np.ndarray
    num_constant_channels: int


def dataset_label(dataset: Dataset) -> str:
    """Return the text by which an experiment records a data set, without loading it.

    Args:
        dataset: A known name, a path to `.npy` or `.npz`, or an array.

    Returns:
        The name, the path as text, or `"array-"` and the first 12 digits of the array's hash.

    Raises:
        TypeError: If it is none of the three.
        ValueError: If it is a string that is neither a known name nor a path to `.npy` or `.npz`.

    Example:

    >>> dataset_label("cifar10"), dataset_label(np.zeros((10, 8, 8), np.uint8))
    ('cifar10', 'array-ec063fe6d1a4')
    """
    if isinstance(dataset, np.ndarray):
        return f"array-{_hash(dataset)[:12]}"
    expected = f"dataset must be one of {', '.join(map(repr, DATASETS))}, a path ending in .npy or .npz, or an array."
    label = os.fspath(dataset) if isinstance(dataset, str | os.PathLike) else None
    if not isinstance(label, str):
        raise TypeError(refusal(expected, dataset=type(dataset)))
    if label not in DATASETS and Path(label).suffix not in SUFFIXES:
        raise ValueError(refusal(expected, dataset=dataset))
    return label


def check_dataset(dataset: Dataset) -> None:
    """Refuse a file that is not there, without reading one that is.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if is_file(dataset):
        check_file(dataset_label(dataset))


def is_file(dataset: Dataset) -> bool:
    """Return whether a data set is a path, neither a known name nor an array.

    Example:

    >>> is_file("photo"), is_file("images.npy")
    (False, True)
    """
    return not isinstance(dataset, np.ndarray) and dataset_label(dataset) not in DATASETS


def load_images(dataset: Dataset) -> Images:
    """Return the images of a data set, a file or an array.

    Bytes and float32 keep their type, booleans become bytes, all other numbers float64.

    Args:
        dataset: `"cifar10"` or `"mnist"` (the training images, downloaded once by Keras), `"photo"` (10,000 crops of
            the photograph in Matplotlib's sample data, no network), a path to a `.npy` or `.npz` file of one array,
            or an array of shape (images, height, width) or (images, height, width, channels). The last one of a name
            stays in memory.

    Returns:
        The images, read-only.

    Raises:
        TypeError: If `dataset` is none of these, or its pixels are no real numbers.
        ValueError: If the name is unknown, the file unreadable, or the images are empty, infinite or constant.
        FileNotFoundError: If there is no such file.
        ConnectionError: If the data set cannot be downloaded.

    Example:

    >>> load_images("photo").images.shape
    (10000, 32, 32, 3)
    """
    label = dataset_label(dataset)
    if isinstance(dataset, np.ndarray):
        return _images(dataset, label)
    return _known(label, DATASETS[label]) if label in DATASETS else _images(read_images(label), label)


# The last data set of a known name stays in memory: making it anew takes longer than the realizations of a small run.
@functools.lru_cache(maxsize=1)
def _known(label: str, load: Callable[[], np.ndarray]) -> Images:
    return _images(load(), label)


def _images(array: np.ndarray, label: str) -> Images:
    sha256 = _hash(array)
    return Images(_checked(array, label), label, sha256)


def draw_batch(images: Images, batch_size: int, *, flatten: bool, seed: np.random.SeedSequence) -> Batch:
    """Return a batch of different images, drawn without replacement, and its noise.

    Every channel of the signal is standardised over (batch, height, width), `x = (y - mean(y)) / std(y)`; a channel
    that is constant over the batch becomes zero. Two children of the seed draw the images and the noise.

    Args:
        images: The images to draw from.
        batch_size: Number of images in the batch.
        flatten: Whether images become one pixel of height * width * channels channels, before they are standardised.
        seed: The seed of the realization; it is not changed.

    Returns:
        The batch, of shape (batch_size, height, width, channels), or (batch_size, 1, 1, height * width * channels).

    Raises:
        ValueError: If there are fewer images than `batch_size`, or every channel of the batch is constant.

    Example:

    >>> batch = draw_batch(load_images("photo"), 64, flatten=False, seed=np.random.SeedSequence(0))
    >>> batch.signal.shape, batch.noise.dtype, batch.num_constant_channels
    ((64, 32, 32, 3), dtype('float32'), 0)

    Reference: section 2 of arXiv 1811.03087.
    """
    available = len(images.images)
    if whole(1)("batch_size", batch_size) > available:
        raise ValueError(
            refusal(f"batch_size must be at most the {available} images of the dataset.", batch_size=batch_size)
        )
    chosen = np.random.default_rng(_seeds.child(seed, _seeds.IMAGES)).choice(available, batch_size, replace=False)
    pixels = images.images[chosen]
    signal, constant = _standardised(pixels.reshape(batch_size, 1, 1, -1) if flatten else pixels)
    if constant.all():
        raise ValueError(
            refusal(
                "the images of a batch must differ in some channel (a fully connected network has "
                "one per pixel): without variation there is no signal.",
                dataset=images.label,
                batch_size=batch_size,
                flatten=flatten,
            )
        )
    noise = normals(np.random.default_rng(_seeds.child(seed, _seeds.NOISE)), signal.shape)
    return Batch(signal, noise, int(constant.sum()))


def normals(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return independent N(0, 1) numbers, by the method of Box and Muller: three times faster than NumPy's own.

    Args:
        generator: The generator of the uniform numbers that it takes.
        shape: The shape of the result.

    Returns:
        float32 array.

    Example:

    >>> normals(np.random.default_rng(0), (2, 3)).shape
    (2, 3)
    """
    size = math.prod(shape)
    radius, angle = generator.random((2, -(-size // 2)), np.float32)
    # In place: most of the time would go to fresh memory otherwise.
    np.log(np.subtract(1, radius, out=radius), out=radius)
    radius *= -2
    np.sqrt(radius, out=radius)
    angle *= np.float32(2 * math.pi)
    numbers = np.empty((2, *angle.shape), np.float32)
    np.cos(angle, out=numbers[0])
    np.sin(angle, out=numbers[1])
    numbers *= radius
    return numbers.ravel()[:size].reshape(shape)


def _standardised(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standardised pixels as float32, and which channels are constant, of shape (channels,)."""
    channels = pixels.shape[-1]
    signal, constant = np.empty(pixels.shape, np.float32), np.empty(channels, bool)
    parts = -(-channels // CHANNELS_AT_A_TIME)
    for start, stop in pairwise(channels * part // parts for part in range(parts + 1)):
        signal[..., start:stop], constant[start:stop] = _standardised_part(pixels[..., start:stop])
    return signal, constant


def _standardised_part(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standardised pixels of some channels as float64, and which of these are constant."""
    # Subtracting a pixel makes constants exactly zero, and keeps the digits of small differences at a large level.
    centred = pixels - pixels[0, 0, 0].astype(np.float64)
    # Dividing by the largest difference keeps the squares below within the range of float64.
    largest = np.maximum(centred.max(0), -centred.min(0)).max((0, 1))
    constant = largest == 0
    centred /= np.where(constant, 1, largest)
    # The mean over the batch is taken first: NumPy is slow at sums over all axes but a short last one.
    centred -= centred.mean(0).mean((0, 1))
    variance = np.square(centred).mean(0).mean((0, 1))
    centred /= np.sqrt(np.where(constant, 1, variance))
    return centred, constant


def _hash(array: np.ndarray) -> str:
    if array.dtype.kind not in "biuf":
        raise TypeError(refusal(EXPECTED, dtype=array.dtype))
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _checked(array: np.ndarray, label: str) -> np.ndarray:
    """Return a copy of shape (images, height, width, channels) that cannot be changed, or refuse what are no images."""
    if array.ndim not in (3, 4) or array.size == 0:
        raise ValueError(refusal(EXPECTED, dataset=label, shape=array.shape))
    if array.ndim == 4 and array.shape[1] in (1, 3) and 4 < array.shape[2] == array.shape[3]:
        raise ValueError(refusal(f"{EXPECTED} Channels come last: np.moveaxis(images, 1, -1).", shape=array.shape))
    with np.errstate(over="ignore"):  # numbers beyond float64 become infinite, and are refused below
        images = np.array(array, DTYPES.get(array.dtype.name, np.float64), order="C").reshape(*array.shape[:3], -1)
    lowest, highest = float(images.min()), float(images.max())
    if not np.isfinite(highest - lowest):
        raise ValueError(
            refusal("pixels must be finite, and so must their range.", dataset=label, lowest=lowest, highest=highest)
        )
    if (images == images[0, 0, 0]).all():
        raise ValueError(refusal("images must vary: every channel is constant.", dataset=label, shape=array.shape))
    return np.asarray(images.data.toreadonly())  # which nobody can make writeable again
