"""A Keras model as a function of its inputs, and the layers and functions that it is made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
import keras

from moments_dnns import _keras_internals as internals
from moments_dnns._validation import refusal

from .inputs import Feed

# What a model is told of training: it is no training, yet not the False that somebody wrote in a call.
INFERENCE: Any = 0


@attrs.frozen(eq=False)
class Network:
    """A model as a function of its inputs.

    Args:
        model: What is called: the model, or the graph that Keras makes of its `call`.
        fed: Its inputs.
        parts: Its layers and functions.
    """

    model: Any
    fed: Feed
    parts: tuple[Any, ...]

    def __call__(self, tensors: Sequence[Any]) -> list[Any]:
        """Return the outputs of the model for a tensor for each of its inputs."""
        args, kwargs = self.fed.pack(tensors)
        outputs: list[Any] = keras.tree.flatten(self.model(*args, **kwargs, training=INFERENCE))
        return outputs


def network(model: keras.Model, fed: Feed) -> Network:
    """Return the function that a model is.

    Of a model with a `call` of its own, the graph that this makes of symbolic inputs is called, where it holds all that
    `call` does: functions between layers are measured then, as in functional models.

    Raises:
        ValueError: If the model is not built.
    """
    if not (model.built or internals.is_functional(model)):
        raise ValueError(
            refusal("expected a built model: give it a keras.Input, or call it once on a batch.", model=model.name)
        )
    parts = parts_of(model)
    graph = None if getattr(model, "inputs", None) else _graph(model, fed)
    if graph is not None:
        parts = list({id(part): part for part in [*parts_of(graph), *parts]}.values())
    return Network(model if graph is None else graph, _flat(fed) if graph is not None else fed, tuple(parts))


def _graph(model: keras.Model, fed: Feed) -> Any:
    inputs = [keras.Input(batch_shape=array.shape, dtype=str(array.dtype)) for array in fed.arrays]
    args, kwargs = fed.pack(inputs)
    try:
        graph = keras.Model(inputs, model.call(*args, **kwargs), name=model.name)
    except Exception:  # a call may need numbers, or functions of the backend: the model itself is run then
        return None
    # What was computed of variables while the graph was made, or what a function remembers, would stay what it was.
    fixed = (keras.ops.is_tensor(value) or callable(value) for value in internals.constants(graph))
    return None if any(fixed) else graph


def _flat(fed: Feed) -> Feed:
    return attrs.evolve(fed, pack=lambda tensors: ((list(tensors),), {}))


def parts_of(model: Any) -> list[Any]:
    """Return the layers and functions that a model is made of, however deep, each once, the model not among them.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
    >>> [part.name for part in parts_of(model) if part.name == "dense"]
    ['dense']
    """
    found: dict[int, Any] = {}

    def visit(part: Any) -> None:
        if id(part) in found:
            return
        found[id(part)] = part
        for each in [*internals.operations(part), *internals.sublayers(part), *_enclosed(part)]:
            if not isinstance(each, keras.layers.InputLayer):
                visit(each)

    visit(model)
    return [part for part in found.values() if part is not model]


def _enclosed(part: Any) -> list[Any]:
    """Return the layers that the function of a Lambda layer uses."""
    function: Any = getattr(part, "function", None)
    if not isinstance(part, keras.layers.Lambda) or not hasattr(function, "__code__"):
        return []
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    names = [function.__globals__.get(name) for name in function.__code__.co_names]
    return [value for value in [*cells, *names] if isinstance(value, keras.layers.Layer)]


def names_of(parts: Sequence[Any]) -> dict[int, str]:
    """Return the name of every part by its identity: of a function that of its class, numbered in order of making.

    Keras counts functions over a session, so that their own names differ from run to run.
    """
    names = {id(part): str(part.name) for part in parts}
    taken: dict[str, int] = {}
    functions = [part for part in parts if not isinstance(part, keras.layers.Layer)]
    for part in sorted(functions, key=lambda part: _count(part.name)):
        name = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", type(part).__name__).lower()
        taken[name] = taken.get(name, 0) + 1
        names[id(part)] = name if taken[name] == 1 else f"{name}@{taken[name]}"
    return names


def _count(name: str) -> int:
    number = name.rpartition("_")[2]
    return int(number) if number.isdigit() else 0
