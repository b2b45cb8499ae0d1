"""Images: known data sets, a photograph, your own array or file; and batches of them."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs
import numpy as np
from PIL import Image

from . import _seeds
from ._validation import refusal, whole

Dataset: TypeAlias = str | os.PathLike[str] | np.ndarray


SUFFIXES = (".npy", ".npz")


KEPT = {"bool": np.uint8, "uint8": np.uint8, "float32": np.float32}  # Any other type of number becomes float64.


CONTENT = "images must be a numeric array of shape (images, height, width) or (images, height, width, channels)."


@attrs.frozen(eq=False)
class Images:
    """A set of images.

    Args:
        images: (images, height, width, channels), uint8, float32 or float64, read-only.
        label: What `Experiment.dataset` says of them.
        sha256: Hash of dtype, shape and bytes of the array as it was given.
    """

    images: np.ndarray
    label: str
    sha256: str


@attrs.frozen(eq=False)
class Batch:
    """What goes into one realization.

    Args:
        signal: (batch, height, width, channels), float32, of mean 0 and variance 1 in every channel.
        noise: The same shape, float32, i.i.d. N(0, 1).
        num_constant_channels: How many channels have no standard deviation, and are zero.
    """

    signal: np.ndarray
    noise: np.ndarray
    num_constant_channels: int


def dataset_label(dataset: Dataset) -> str:
    """Return what an experiment records of a data set, without loading it.

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


def load_images(dataset: Dataset) -> Images:
    """Load images. Bytes and float32 are kept as they are, booleans become bytes and other numbers float64.

    Args:
        dataset: `"cifar10"` or `"mnist"` (the training images, downloaded once by Keras), `"photo"` (10,000 crops of
            the photograph in Matplotlib's sample data, no network), a path to a `.npy` or `.npz` file of one array,
            or an array of shape (images, height, width) or (images, height, width, channels).

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
        array = dataset
    else:
        array = DATASETS[label]() if label in DATASETS else _from_file(label)
    sha256 = _hash(array)
    return Images(_checked(array, label), label, sha256)


def draw_batch(images: Images, batch_size: int, *, flatten: bool, seed: np.random.SeedSequence) -> Batch:
    """Draw different images and their noise: the input of one realization.

    Every channel of the signal is standardised over (batch, height, width), `x = (y - mean(y)) / std(y)`; a channel
    that is constant over the batch is centred and left at zero. Two children of the seed draw the images and the noise.

    Args:
        images: Where to draw from.
        batch_size: Number of images.
        flatten: Whether images become one pixel of height * width * channels channels, before they are standardised.
        seed: What the batch depends on; it is not changed.

    Returns:
        The batch.

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
    """Draw independent normal numbers by Box and Muller, as weights are drawn: three times faster than NumPy's way.

    Args:
        generator: Where uniform numbers come from.
        shape: The shape of the result.

    Returns:
        float32 array.

    Example:

    >>> normals(np.random.default_rng(0), (2, 3)).shape
    (2, 3)
    """
    size = math.prod(shape)
    uniform, angle = generator.random((2, -(-size // 2)), np.float32)
    radius = np.sqrt(-2 * np.log(1 - uniform))
    angle *= np.float32(2 * math.pi)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:size].reshape(shape)


def _standardised(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the signal, and which channels are constant."""
    # Constants become exactly zero, and a large common level costs no digits of the differences.
    centred = pixels - pixels[0, 0, 0].astype(np.float64)
    # Dividing by the largest difference first keeps its square within range, however small or large it is.
    largest = np.abs(centred).max(0).max((0, 1))
    constant = largest == 0
    centred /= np.where(constant, 1, largest)
    # Averages run over the batch first, because NumPy is slow at sums over all axes but a short last one.
    centred -= centred.mean(0).mean((0, 1))
    variance = np.square(centred).mean(0).mean((0, 1))
    centred /= np.sqrt(np.where(constant, 1, variance))
    return centred.astype(np.float32), constant


def _hash(array: np.ndarray) -> str:
    if array.dtype.kind not in "biuf":
        raise TypeError(refusal(CONTENT, dtype=array.dtype))
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _checked(array: np.ndarray, label: str) -> np.ndarray:
    """Return a copy with four axes that nobody can change, of a type of `KEPT` or float64."""
    if array.ndim not in (3, 4) or array.size == 0:
        raise ValueError(refusal(CONTENT, dataset=label, shape=array.shape))
    with np.errstate(over="ignore"):  # What is beyond float64 becomes infinite, and is refused as such.
        images = np.array(array, KEPT.get(array.dtype.name, np.float64), order="C").reshape(*array.shape[:3], -1)
    lowest, highest = float(images.min()), float(images.max())
    if not np.isfinite(highest - lowest):
        raise ValueError(
            refusal("pixels must be finite, and so must their range.", dataset=label, lowest=lowest, highest=highest)
        )
    if (images == images[0, 0, 0]).all():
        raise ValueError(refusal("images must vary: every channel is constant.", dataset=label, shape=array.shape))
    images.flags.writeable = False
    return images


def _from_file(path: str) -> np.ndarray:
    if not Path(path).is_file():
        raise FileNotFoundError(refusal("dataset must be an existing .npy or .npz file.", dataset=path))
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            (name,) = loaded.files
            return loaded[name]
    except (ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            refusal(
                "dataset must be a .npy file, or a .npz file of exactly one array, that NumPy reads "
                f"without pickle ({error}).",
                dataset=path,
            )
        ) from error


def _from_keras(name: str) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        from keras import datasets

        try:
            (images, _), _ = getattr(datasets, name).load_data()
        except Exception as error:  # Keras raises nothing narrower when a download fails.
            raise ConnectionError(
                refusal(
                    f"{name!r} is not at hand, and Keras could not download it ({error}). dataset='photo' needs no "
                    "network; so do an array of images and a path to .npy or .npz.",
                    dataset=name,
                )
            ) from error
        return images

    return load


def _photo() -> np.ndarray:
    """Return 10,000 square crops, at places and scales (1/6 to 2/3 of the height) drawn once and for all, half flipped.

    Windows of 32 x 32 pixels are mostly flat. Larger ones, averaged down to that size, hold edges and shapes as the
    images of data sets do.
    """
    spec = importlib.util.find_spec("matplotlib")  # Finds the folder without importing the plotting library.
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            refusal("Matplotlib must be installed: its sample data holds the photograph.", dataset="photo")
        )
    path = Path(spec.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    with Image.open(path) as file:
        photo = file.convert("RGB").reduce(2)
    rng = np.random.default_rng(0)
    size = photo.height * np.exp(rng.uniform(np.log(1 / 6), np.log(2 / 3), 10_000))
    left, top = rng.random((2, 10_000)) * (np.array([[photo.width], [photo.height]]) - size)
    boxes = np.stack([left, top, left + size, top + size], axis=1)
    crops = np.stack([np.asarray(photo.resize((32, 32), Image.Resampling.BOX, box=tuple(box))) for box in boxes])
    crops[::2] = crops[::2, :, ::-1]
    return crops


DATASETS: dict[str, Callable[[], np.ndarray]] = {
    "cifar10": _from_keras("cifar10"),
    "mnist": _from_keras("mnist"),
    "photo": _photo,
}
