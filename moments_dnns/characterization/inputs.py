"""What goes into a Keras model: its inputs, how it takes them, and which of them have noise."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import keras
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.data import dataset_label

# The names that Keras makes up for inputs, and counts over a session.
UNNAMED = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?(CLONE)?")


@attrs.frozen(eq=False)
class Feed:
    """The inputs of a model.

    Args:
        arrays: An array for every input, in the order of the model.
        names: Their names.
        pack: Maps a tensor for each of them to positional and keyword arguments of the model.
    """

    arrays: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    pack: Callable[[Sequence[Any]], tuple[tuple[Any, ...], dict[str, Any]]]

    @property
    def label(self) -> str:
        """What a description says of the inputs."""
        return "+".join(dataset_label(array) for array in self.arrays)

    @property
    def floating(self) -> tuple[str, ...]:
        """The names of the inputs that are no integers."""
        return tuple(name for name, array in zip(self.names, self.arrays, strict=True) if array.dtype.kind == "f")


def feed(model: keras.Model, inputs: Any) -> Feed:
    """Return the inputs of a model, checked.

    Args:
        model: The model.
        inputs: An array; a list, a tuple or a mapping of arrays, as the model takes them; or an iterable of batches, of
            which the first is taken.

    Raises:
        TypeError, ValueError: If an array does not fit.

    Example:

    >>> model = keras.Sequential([keras.Input((4, 4, 1), name="pixels"), keras.layers.Flatten()])
    >>> feed(model, np.eye(4)[None].repeat(3, 0)).arrays[0].shape
    (3, 4, 4, 1)
    """
    inputs = first_batch(inputs)
    known = getattr(model, "inputs", None)
    if not known:
        return _of_call(model, inputs)
    names = _names(model)
    given = _matched(names, model, inputs)
    arrays = [_checked(name, given[name], tensor) for name, tensor in zip(names, known, strict=True)]
    _check_batches(names, arrays)

    struct = _struct(model)
    return Feed(tuple(arrays), names, lambda tensors: ((keras.tree.pack_sequence_as(struct, list(tensors)),), {}))


def first_batch(inputs: Any) -> Any:
    """Return the inputs of the first batch of what yields batches, and anything else as it is."""
    if isinstance(inputs, keras.utils.PyDataset):
        batch = inputs[0]
    elif isinstance(inputs, Iterator) or hasattr(inputs, "element_spec") or type(inputs).__name__ == "DataLoader":
        batch = next(iter(inputs))
    else:
        return inputs
    # Keras' own convention: inputs, targets and weights of samples. A DataLoader makes lists of tuples.
    is_samples = isinstance(batch, tuple) or (isinstance(batch, list) and type(inputs).__name__ == "DataLoader")
    return batch[0] if is_samples else batch


def _struct(model: keras.Model) -> Any:
    """Return the structure of symbolic inputs in which a functional or sequential model takes its inputs."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _names(model: keras.Model) -> tuple[str, ...]:
    struct = _struct(model)
    if isinstance(struct, Mapping) and len(struct) == len(model.inputs):
        order = {id(tensor): name for name, tensor in struct.items()}
        return tuple(order[id(tensor)] for tensor in model.inputs)
    names: list[str] = []
    for tensor in model.inputs:
        name = "input" if UNNAMED.fullmatch(str(tensor.name)) else str(tensor.name)
        names.append(name if name not in names else f"{name}@{sum(each.split('@')[0] == name for each in names) + 1}")
    return tuple(names)


def _matched(names: Sequence[str], model: keras.Model, inputs: Any) -> dict[str, Any]:
    """Return what was given for every name."""
    if isinstance(inputs, Mapping):
        own = {str(tensor.name): name for tensor, name in zip(model.inputs, names, strict=True)}
        given = {own.get(str(name), str(name)): array for name, array in inputs.items()}
        if set(given) == set(names):
            return given
    elif isinstance(inputs, list | tuple) and _holds_arrays(inputs):
        if len(inputs) == len(names):
            return dict(zip(names, inputs, strict=True))
    elif len(names) == 1:
        return {names[0]: inputs}
    raise ValueError(
        refusal(
            f"inputs must be a mapping with an array for each of {', '.join(names)}, or a list of them in this order.",
            inputs=list(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__,
        )
    )


def _holds_arrays(inputs: Sequence[Any]) -> bool:
    return any(hasattr(each, "shape") for each in inputs)


def _of_call(model: keras.Model, inputs: Any) -> Feed:
    """Return the inputs of a model whose `call` alone knows what they are."""
    named = dict(_flattened(inputs, ""))
    if not named:
        raise TypeError(refusal("inputs must be an array of real numbers, or several.", inputs=type(inputs).__name__))
    arrays = [numbers(name, array) for name, array in named.items()]
    arrays = [_finite(name, array.astype(_dtype(array))) for name, array in zip(named, arrays, strict=True)]
    _check_batches(tuple(named), arrays)
    by_name, by_place = _ways_in(model, inputs)

    def pack(tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        is_one = len(arrays) == 1 and not isinstance(inputs, Mapping)
        packed = tensors[0] if is_one else keras.tree.pack_sequence_as(inputs, list(tensors))
        if by_name:
            return (), packed
        return (tuple(packed) if by_place else (packed,)), {}

    return Feed(tuple(arrays), tuple(named), pack)


def _ways_in(model: keras.Model, inputs: Any) -> tuple[bool, bool]:
    """Tell whether inputs are arguments of a model's `call` by name, and whether they are by place."""
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(model.call).parameters.items()
        if name not in ("training", "mask")
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    required = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    by_name = isinstance(inputs, Mapping) and set(required) <= set(inputs) <= set(parameters)
    if not isinstance(inputs, list | tuple):
        return by_name, False
    # `call(self, x, context=None)` takes a tuple apart; a list is one argument, as for `model.predict`.
    rest = list(parameters.values())[len(required) : len(inputs)]
    takes_rest = isinstance(inputs, tuple) and all(parameter.default is None for parameter in rest)
    return False, 1 < len(inputs) <= len(parameters) and (len(inputs) == len(required) or takes_rest)


def _flattened(inputs: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield names and arrays in the order in which Keras flattens them."""
    if isinstance(inputs, Mapping):
        for key in sorted(inputs):
            yield from _flattened(inputs[key], f"{prefix}{key}" if not prefix else f"{prefix}/{key}")
    elif isinstance(inputs, list | tuple) and _holds_arrays(inputs):
        for place, each in enumerate(inputs):
            name = prefix or "input"
            yield from _flattened(each, name if place == 0 else f"{name}@{place + 1}")
    else:
        yield prefix or "input", inputs


def numbers(name: str, value: Any) -> np.ndarray:
    """Return an array of real numbers."""
    value = value.detach().cpu() if hasattr(value, "detach") else value  # of PyTorch
    array = np.asarray(keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value)
    if array.dtype.kind not in "biuf" or not array.ndim:
        raise TypeError(
            refusal(f"{name} must be an array of real numbers.", **{name: type(value).__name__}, dtype=str(array.dtype))
        )
    return array


def _dtype(array: np.ndarray) -> str:
    """Return the type in which an array goes into a model that does not say which it takes."""
    if array.dtype.kind == "f":
        return "float64" if keras.config.floatx() == "float64" else "float32"
    return "int32" if array.dtype == np.int64 else str(array.dtype)


def _checked(name: str, value: Any, tensor: Any) -> np.ndarray:
    """Return an array as an input of a functional model takes it."""
    array = numbers(name, value)
    if not keras.backend.is_float_dtype(tensor.dtype):
        if array.dtype.kind == "f":
            raise TypeError(refusal(f"{name} must hold integers.", dtype=str(array.dtype)))
        array = array.astype(tensor.dtype)
    else:
        with np.errstate(over="ignore"):  # what is beyond the type is refused as infinite
            array = array.astype("float64" if tensor.dtype == "float64" else "float32")
    array = _with_axes(array, tuple(tensor.shape))
    if not _fits(array.shape, tuple(tensor.shape)):
        expected = ", ".join("any" if side is None else str(side) for side in tensor.shape[1:])
        raise ValueError(refusal(f"expected an input of shape (batch, {expected}).", **{name: array.shape}))
    return _finite(name, array)


def _with_axes(array: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """Add or take off a last axis of one element, as Keras does."""
    if array.ndim == len(shape) + 1 and array.shape[-1] == 1:
        return array[..., 0]
    return array[..., None] if array.ndim == len(shape) - 1 and shape[-1] == 1 else array


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    # A model that was built by calling it has the batch size of that call, and takes others.
    return len(shape) == len(expected) and all(
        side is None or side == given for given, side in zip(shape[1:], expected[1:], strict=True)
    )


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise ValueError(refusal("inputs must be finite.", **{name: array[~np.isfinite(array)][:3].tolist()}))
    return array


def _check_batches(names: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
    shapes = {name: array.shape for name, array in zip(names, arrays, strict=True)}
    if len({shape[0] for shape in shapes.values()}) > 1 or arrays[0].shape[0] < 2:
        raise ValueError(refusal("expected inputs of one batch size, at least two.", **shapes))
