"""What goes into a Keras model: its images, its other inputs, and which of them is which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import keras
import numpy as np

from moments_dnns import _seeds
from moments_dnns._validation import refusal
from moments_dnns.data import dataset_label, normals

from .graph import input_name

IMAGE_AXES = 4


@attrs.frozen(eq=False)
class Feed:
    """The inputs of a model.

    Args:
        arrays: An array for every input of the model, in their order; the images are float32.
        image: The position of the images.
        noise: Its noise, float32 of the same shape; None where it is drawn for every realization.
    """

    arrays: tuple[np.ndarray, ...]
    image: int
    noise: np.ndarray | None

    @property
    def images(self) -> np.ndarray:
        """The images."""
        return self.arrays[self.image]

    @property
    def label(self) -> str:
        """What a description says of the inputs."""
        return "+".join(dataset_label(array) for array in self.arrays)

    def noise_of(self, seed: np.random.SeedSequence) -> np.ndarray:
        """Return the noise of the realization with a seed."""
        if self.noise is not None:
            return self.noise
        return normals(np.random.default_rng(_seeds.child(seed, _seeds.NOISE)), self.images.shape)


def feed(model: keras.Model, images: Any, noise: Any) -> Feed:
    """Return the inputs of a functional model, checked.

    Args:
        model: The model.
        images: An array, or for several inputs a mapping from their names to arrays.
        noise: `"normal"` or an array.

    Raises:
        TypeError, ValueError: If there is no image input, or more than one, or an array does not fit.

    Example:

    >>> model = keras.Sequential([keras.Input((4, 4, 1), name="pixels"), keras.layers.Flatten()])
    >>> feed(model, np.eye(4)[None].repeat(2, 0), "normal").images.shape
    Traceback (most recent call last):
    ValueError: expected images of shape (batch, 4, 4, 1), at least two. Received: pixels=(2, 4, 4)
    """
    image = _image_input(model)
    names = [input_name(tensor) for tensor in model.inputs]
    given = images if isinstance(images, Mapping) else {names[image]: images}
    if set(given) != set(names):
        raise ValueError(
            refusal(f"images must be a mapping with an array for each of {', '.join(names)}.", images=list(given))
        )
    arrays = [_numbers(name, given[name]) for name in names]
    arrays[image] = _checked(names[image], arrays[image], tuple(model.inputs[image].shape[1:]))
    for name, array, tensor in zip(names, arrays, model.inputs, strict=True):
        if array.dtype.kind == "f" and not keras.backend.is_float_dtype(tensor.dtype):
            raise TypeError(refusal(f"{name} must hold integers.", dtype=str(array.dtype)))
        if len(array) != len(arrays[image]) or not _fits(array.shape[1:], tuple(tensor.shape[1:])):
            expected = (len(arrays[image]), *tensor.shape[1:])
            raise ValueError(refusal(f"{name} must have the shape {expected}.", **{name: array.shape}))
    return Feed(tuple(arrays), image, _checked_noise(noise, arrays[image].shape))


def _image_input(model: keras.Model) -> int:
    found = [
        index
        for index, tensor in enumerate(model.inputs)
        if len(tensor.shape) == IMAGE_AXES and keras.backend.is_float_dtype(tensor.dtype)
    ]
    if len(found) != 1:
        inputs = {input_name(tensor): (tuple(tensor.shape), tensor.dtype) for tensor in model.inputs}
        raise ValueError(
            refusal(
                f"model {model.name!r} must have exactly one image input, of shape (batch, height, width, channels) "
                "and a floating-point type, as integers have no infinitesimal noise.",
                inputs=inputs,
            )
        )
    return found[0]


def _numbers(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or not array.ndim:
        raise TypeError(
            refusal(f"{name} must be an array of real numbers.", **{name: type(value).__name__}, dtype=str(array.dtype))
        )
    return array


def _checked(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    if array.ndim != IMAGE_AXES or len(array) < 2 or not _fits(array.shape[1:], shape):
        expected = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(refusal(f"expected images of shape (batch, {expected}), at least two.", **{name: array.shape}))
    with np.errstate(over="ignore"):  # what is beyond float32 is refused as infinite
        images = array.astype(np.float32)
    lowest, highest = images.min(), images.max()
    if not (np.isfinite([lowest, highest]).all() and lowest < highest):
        raise ValueError(refusal("images must be finite, and not all the same.", lowest=lowest, highest=highest))
    return images


def _checked_noise(noise: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    if isinstance(noise, str) and noise == "normal":
        return None
    array = _numbers("noise", noise).astype(np.float32)
    if array.shape != shape or not np.isfinite(array).all() or not array.any():
        raise ValueError(
            refusal(f"noise must be 'normal' or a finite array of shape {shape} that is not zero.", noise=array.shape)
        )
    return array


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        side is None or side == given for given, side in zip(shape, expected, strict=True)
    )
