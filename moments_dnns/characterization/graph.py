"""The graph of a Keras model as a list of calls, nested models unrolled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import keras

from moments_dnns._keras_internals import filled, is_functional, nodes
from moments_dnns._validation import first_line, refusal


class Call(NamedTuple):
    """One call of a layer, or of a function of `keras.ops`.

    Tensors are numbered: the model's inputs first, then the outputs of its calls, in the order of these.

    Args:
        name: The layer's name, after those of the models it lies in; a later call of the same layer has a number.
        layer: What is called.
        arguments: Keras' arguments, with symbolic tensors.
        inputs: The numbers of these tensors, by the identity of the symbolic one.
        outputs: The numbers of the outputs.
    """

    name: str
    layer: Any
    arguments: Any
    inputs: dict[int, int]
    outputs: tuple[int, ...]

    def filled(self, tensors: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and named arguments, with tensors by their numbers in the places of symbolic ones."""
        args, kwargs = filled(self.arguments, {id_: tensors[number] for id_, number in self.inputs.items()})
        # Dropout is off, whatever the model says of it.
        return args, {**kwargs, "training": False} if "training" in kwargs else kwargs

    def numbered(self) -> Any:
        """Return positional and named arguments with tensors as words, by their numbers."""
        return keras.tree.map_structure(
            lambda value: f"tensor {self.inputs[id(value)]}" if id(value) in self.inputs else value,
            [list(self.arguments.args), dict(self.arguments.kwargs)],
        )


def calls_of(model: keras.Model) -> list[Call]:
    """Return the calls of a model, each after those it depends on.

    Args:
        model: A functional model, as `functional` returns it.

    Example:

    >>> inputs = keras.Input((4,))
    >>> dense = keras.layers.Dense(4, name="dense")
    >>> [call.name for call in calls_of(keras.Model(inputs, dense(dense(inputs))))]
    ['dense', 'dense@2']
    """
    calls: list[Call] = []
    taken: dict[str, int] = {}
    count = len(model.inputs)

    def unroll(inner: keras.Model, numbers: Sequence[int], prefix: str) -> list[int]:
        nonlocal count
        slots = {id(tensor): number for tensor, number in zip(inner.inputs, numbers, strict=True)}
        for node in nodes(inner):
            inputs = {id(tensor): slots[id(tensor)] for tensor in node.input_tensors}
            name = prefix + _name(node.operation)
            if isinstance(node.operation, keras.Model):
                nested = functional(node.operation, [tensor.shape[1:] for tensor in node.input_tensors])
                outputs = unroll(nested, [slots[id(tensor)] for tensor in node.input_tensors], f"{name}/")
            else:
                taken[name] = taken.get(name, 0) + 1
                outputs = list(range(count, count + len(node.outputs)))
                count += len(outputs)
                numbered = name if taken[name] == 1 else f"{name}@{taken[name]}"
                calls.append(Call(numbered, node.operation, node.arguments, inputs, tuple(outputs)))
            slots |= {id(tensor): number for tensor, number in zip(node.outputs, outputs, strict=True)}
        return [slots[id(tensor)] for tensor in inner.outputs]

    unroll(model, range(count), "")
    return calls


class Route(NamedTuple):
    """The way of an image through a model.

    Args:
        calls: All calls, in order.
        numbers: The numbers of the tensors that are measured, the image first.
        names: Their names.
        parents: For each of them, the positions of those that it comes from, measured ones next before it.
    """

    calls: tuple[Call, ...]
    numbers: tuple[int, ...]
    names: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]


def route(model: keras.Model, image: int, patterns: Sequence[str]) -> Route:
    """Return the route of an image through a functional model.

    Args:
        model: The model.
        image: The position of the image among the model's inputs.
        patterns: Patterns of the names of what is measured, with `*` for anything.

    Raises:
        ValueError: If a pattern matches no name, or a layer cannot be measured.

    Example:

    >>> inputs = keras.Input((4, 4, 3), name="image")
    >>> x = keras.layers.Conv2D(3, 3, padding="same", name="conv")(inputs)
    >>> route(keras.Model(inputs, keras.layers.Add(name="add")([inputs, x])), 0, ["*"])[2:]
    (('image', 'conv', 'add'), ((), (0,), (0, 1)))
    """
    calls = calls_of(model)
    sources: dict[int, set[int]] = {image: {image}}  # the measured tensors that a tensor comes from
    names, parents = {image: input_name(model.inputs[image])}, {image: set[int]()}
    seen = [names[image]]
    unmatched = {pattern for pattern in patterns if not fnmatchcase(seen[0], pattern)}
    for call in calls:
        above = set[int]().union(*(sources.get(number, set()) for number in call.inputs.values()))
        if not above:
            continue
        _check(call)
        for place, number in enumerate(call.outputs):
            name = call.name if len(call.outputs) == 1 else f"{call.name}:{place}"
            seen.append(name)
            matching = {pattern for pattern in patterns if fnmatchcase(name, pattern)}
            unmatched -= matching
            sources[number] = {number} if matching else above
            if matching:
                names[number], parents[number] = name, above
    if unmatched:
        raise ValueError(refusal(f"expected patterns of the names {', '.join(seen)}.", layers=sorted(unmatched)))
    position = {number: index for index, number in enumerate(names)}
    return Route(
        tuple(calls),
        tuple(names),
        tuple(names.values()),
        tuple(tuple(sorted(position[number] for number in above)) for above in parents.values()),
    )


def _check(call: Call) -> None:
    """Refuse what cannot be measured, by name."""
    if isinstance(call.layer, keras.layers.Embedding):
        raise ValueError(
            refusal(f"expected layers with a derivative, but {call.name!r} looks up integers.", layer=call.name)
        )
    if getattr(call.layer, "data_format", None) == "channels_first":
        raise ValueError(refusal("expected layers with the channels last.", layer=call.name))


def _name(operation: Any) -> str:
    """Return the name of a layer; of a function the name of its class, as Keras counts functions over a session."""
    if isinstance(operation, keras.layers.Layer):
        return str(operation.name)
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", type(operation).__name__).lower()


def input_name(tensor: Any) -> str:
    """Return the name of an input; of one that nobody named, which Keras numbers over a session, `"input"`."""
    name = str(tensor.name)
    return "input" if name.startswith("keras_tensor") else name


def functional(model: keras.Model, shapes: Sequence[Sequence[int | None]] | None = None) -> keras.Model:
    """Return the functional model that a model is: itself, or what its `call` makes of symbolic inputs.

    Args:
        model: A functional, sequential or subclassed model; its layers and weights are shared.
        shapes: Shapes of its inputs without the batch, for a subclassed model whose inputs Keras does not know.

    Raises:
        TypeError: If it is no Keras model.
        ValueError: If it is not built, or its `call` is more than layers and `keras.ops`.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> [tuple(tensor.shape) for tensor in functional(model).outputs]
    [(None, 2)]
    """
    if not isinstance(model, keras.Model):
        raise TypeError(refusal("model must be a keras.Model.", model=type(model).__name__))
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError(refusal("expected a built model: give it a keras.Input, or call it once.", model=model.name))
    if is_functional(model):
        return model
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, model.outputs, name=model.name)
    shapes = shapes or _input_shapes(model)
    inputs = [keras.Input(tuple(shape)) for shape in shapes]
    try:
        outputs = model.call(inputs[0] if len(inputs) == 1 else inputs)
        return keras.Model(inputs, outputs, name=model.name)
    except Exception as error:
        raise ValueError(
            refusal(
                "expected a model that Keras can look into: functional, or with a call() made of layers and keras.ops "
                f"({first_line(error)}).",
                model=model.name,
            )
        ) from error


def _input_shapes(model: keras.Model) -> list[tuple[int | None, ...]]:
    """Return the shapes with which a subclassed model was built, without the batch."""
    config = model.get_build_config() if model.built else None
    shape = (config or {}).get("input_shape")
    if isinstance(shape, tuple | list) and not all(side is None or isinstance(side, int) for side in shape):
        raise ValueError(
            refusal("expected one input of a subclassed model; functional models may have several.", model=model.name)
        )
    if not isinstance(shape, tuple | list):
        raise ValueError(refusal("expected a built model: call it once on a batch of images.", model=model.name))
    return [tuple(shape[1:])]
