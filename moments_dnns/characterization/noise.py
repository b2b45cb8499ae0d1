"""The noise of the inputs: which have one, and what it is in each realization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moments_dnns import _seeds
from moments_dnns._validation import refusal, warn
from moments_dnns.data import dataset_label, normals

from .inputs import Feed, numbers
from .route import Route
from .tracing import Place

# Of every input that has noise: an array, or None where it is drawn for every realization.
Noise = dict[str, np.ndarray | None]

EXPECTED = (
    "noise must be 'normal', an array of the shape of an input, names of inputs, or a mapping from names to these"
)


def chosen_noise(noise: Any, fed: Feed) -> Noise:
    """Return the noise of the inputs that have one.

    Args:
        noise: `"normal"`, an array, names of inputs, or a mapping from names to `"normal"`, an array, or None.
        fed: The inputs.

    Raises:
        TypeError, ValueError: If it is something else, or does not fit.

    Example:

    >>> fed = Feed((np.eye(3), np.arange(3)), ("x", "label"), lambda tensors: (tuple(tensors), {}))
    >>> chosen_noise("normal", fed), chosen_noise(["label"], fed)
    ({'x': None}, {'label': None})
    """
    if isinstance(noise, str) and noise == "normal":
        return dict.fromkeys(_varying(fed))
    if isinstance(noise, Mapping):
        given = {name: each for name, each in noise.items() if each is not None}
    elif isinstance(noise, str) or (isinstance(noise, Sequence) and all(isinstance(each, str) for each in noise)):
        given = dict.fromkeys([noise] if isinstance(noise, str) else noise, "normal")
        if isinstance(noise, str) and noise not in fed.names:
            raise TypeError(refusal(f"{EXPECTED}.", noise=noise))
    else:
        given = {_fitting(noise, fed): noise}
    if not given or not set(given) <= set(fed.names):
        raise ValueError(refusal(f"noise must be that of inputs among {', '.join(fed.names)}.", noise=list(given)))
    arrays = dict(zip(fed.names, fed.arrays, strict=True))
    for name in given:
        _check_varying(name, arrays[name])
    shapes = {name: array.shape for name, array in arrays.items()}
    return {
        name: _checked(name, given[name], shapes[name] if name in fed.floating else None)
        for name in fed.names
        if name in given
    }


def _varying(fed: Feed) -> list[str]:
    """Return the names of the inputs that vary, without integers where others do: a mask of ones is no signal."""
    arrays = dict(zip(fed.names, fed.arrays, strict=True))
    names = fed.floating or fed.names
    varying = [name for name in names if arrays[name].min() < arrays[name].max()]
    constant = [name for name in names if name not in varying]
    if not varying:
        _check_varying(constant[0], arrays[constant[0]])
    if constant:
        warn(f"inputs that are the same everywhere have no noise: {', '.join(constant)}")
    return varying


def _check_varying(name: str, array: np.ndarray) -> None:
    if array.min() == array.max():
        raise ValueError(refusal("expected inputs that are not all the same.", input=name, value=array.flat[0].item()))


def _fitting(noise: Any, fed: Feed) -> str:
    """Return the name of the input that an array is the noise of: the only one, or the only one of its shape."""
    names = fed.floating or fed.names
    shape = numbers("noise", noise).shape
    of_shape = [
        name for name, array in zip(fed.names, fed.arrays, strict=True) if name in names and array.shape == shape
    ]
    if len(names) > 1 and len(of_shape) != 1:
        raise ValueError(refusal(f"{EXPECTED}: which of {', '.join(names)} has it?", noise=shape))
    return (of_shape or list(names))[0]


def _checked(name: str, value: Any, shape: tuple[int, ...] | None) -> np.ndarray | None:
    """Return the noise of an input; the shape of what integers become is known later."""
    if isinstance(value, str) and value == "normal":
        return None
    array = numbers("noise", value).astype(np.float32)
    if (shape is not None and array.shape != shape) or not np.isfinite(array).all() or not array.any():
        expected = "that of the first layer's output" if shape is None else str(shape)
        raise ValueError(
            refusal(f"noise must be 'normal', or finite, not zero, and of the shape {expected}.", **{name: array.shape})
        )
    return array


def given_noise(noise: Noise, path: Route) -> list[np.ndarray | None]:
    """Return the noise of every input and beginning of a route: an array, or None where it is drawn.

    Raises:
        ValueError: If the array for integers does not fit to what a layer makes of them.
    """
    given = [noise[name] for name in path.inputs]
    for place, names in zip(path.begins, path.sources, strict=True):
        arrays = [array for name in names if (array := noise[name]) is not None]
        if len(arrays) > 1 or any(array.shape != place.shape for array in arrays):
            raise ValueError(
                refusal(
                    f"noise of {', '.join(names)} must be 'normal' or one array of the shape {place.shape}: it begins "
                    f"at {place.name}.",
                    noise=[array.shape for array in arrays],
                )
            )
        given.append(arrays[0] if arrays else None)
    return given


def drawn_noise(given: Sequence[np.ndarray | None], path: Route, fed: Feed, seed: np.random.SeedSequence) -> list[Any]:
    """Return the noise of every input and beginning of a route in the realization with a seed."""
    generator = np.random.default_rng(_seeds.child(seed, _seeds.NOISE))
    arrays = dict(zip(fed.names, fed.arrays, strict=True))
    shapes = [*(arrays[name].shape for name in path.inputs), *(place.shape for place in path.begins)]
    types: list[Any] = [*(arrays[name].dtype for name in path.inputs), *(np.float32 for _ in path.begins)]
    return [
        (normals(generator, shape) if array is None else array).astype(dtype)
        for array, shape, dtype in zip(given, shapes, types, strict=True)
    ]


def drawn_cotangents(outputs: Sequence[Place], seed: np.random.SeedSequence) -> list[np.ndarray]:
    """Return i.i.d. normal numbers for each output of a model, where gradients begin in the realization with a seed."""
    generator = np.random.default_rng(_seeds.child(seed, _seeds.COTANGENTS))
    return [normals(generator, place.shape).astype(np.float32) for place in outputs]


def noise_label(given: Sequence[np.ndarray | None], path: Route) -> str:
    """Return what a description says of the noise."""
    labels = ["normal" if array is None else dataset_label(array) for array in given]
    if path.begins:
        names = [*path.inputs, *(place.name for place in path.begins)]
        return ", ".join(f"{label} at {name}" for label, name in zip(labels, names, strict=True))
    return labels[0] if len(set(labels)) == 1 else ", ".join(labels)
