"""Where arrays of images come from: data sets that Keras downloads, a photograph, files."""

from __future__ import annotations

import importlib.util
import socket
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from ._backend import check_installed
from ._validation import refusal

SUFFIXES = (".npy", ".npz")

SECONDS_TO_ANSWER = 30.0  # of a server from which a data set is downloaded


def read_images(path: str) -> np.ndarray:
    """Return the array of a `.npy` file, or of a `.npz` file that holds one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If NumPy cannot read it without pickle, or it holds several arrays.
    """
    check_file(path)
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


def check_file(path: str) -> None:
    """Refuse a path that leads to no file.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(refusal("dataset must be an existing .npy or .npz file.", dataset=path))


@contextmanager
def _answering(seconds: float) -> Iterator[None]:
    """Give up on servers that send nothing for so long: Keras has no time limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_keras(name: str) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        check_installed()
        from keras import datasets

        try:
            with _answering(SECONDS_TO_ANSWER):
                (images, _), _ = getattr(datasets, name).load_data()
        except Exception as error:  # Keras has no narrower class for a download that fails
            raise ConnectionError(
                refusal(
                    f"{name!r} is missing, and Keras could not download it ({error}). dataset='photo' needs no "
                    "network; so do an array of images and a path to .npy or .npz.",
                    dataset=name,
                )
            ) from error
        return images

    return load


def _photo() -> np.ndarray:
    """Return 10,000 square crops of a photograph, of shape (10000, 32, 32, 3), uint8.

    Their places and sizes (1/6 to 2/3 of the height) are random with a fixed seed; every other crop is mirrored. Crops
    of 32 x 32 pixels would be mostly flat; larger ones, averaged down to that size, have edges and shapes as the images
    of data sets do.
    """
    spec = importlib.util.find_spec("matplotlib")  # the folder of Matplotlib, which is not imported for that
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


# Loaders of the known data sets, as arrays of shape (images, height, width) or (images, height, width, channels).
DATASETS: dict[str, Callable[[], np.ndarray]] = {
    "cifar10": _from_keras("cifar10"),
    "mnist": _from_keras("mnist"),
    "photo": _photo,
}
