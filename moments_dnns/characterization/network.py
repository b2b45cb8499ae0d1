"""A Keras model as a function of its inputs, and the layers and functions that it is made of."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
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
        calls: What stands for the `call` of some of them, or of the model, by identity.
        attention: Whether attention calls the layer that makes its probabilities, where a function of the backend would
            compute it as a whole.
    """

    model: Any
    fed: Feed
    parts: tuple[Any, ...]
    calls: Mapping[int, Callable[..., Any]] = attrs.field(factory=dict)
    attention: bool = False

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
        ValueError: If the model is not built, or layers that it calls are not.
    """
    if not (model.built or internals.is_functional(model)):
        raise ValueError(
            refusal("expected a built model: give it a keras.Input, or call it once on a batch.", model=model.name)
        )
    parts = parts_of(model)
    before = {id(part): len(internals.own_variables(part)) for part in parts}
    graph = None if getattr(model, "inputs", None) else _graph(model, fed)
    late = [part.name for part in parts if len(internals.own_variables(part)) > before[id(part)]]
    if late:  # the graph has made these variables, which are not the model's own
        raise ValueError(refusal("expected a built model: call it once on a batch.", unbuilt=late))
    if graph is not None:
        parts = list({id(part): part for part in [*parts_of(graph), *parts]}.values())
    model = model if graph is None else graph
    functions = {id(part): getattr(part.call, "python_function", None) for part in (model, *parts)}
    compiled = {key: _with_autograph(function) for key, function in functions.items() if function}
    return Network(model, _flat(fed) if graph is not None else fed, tuple(parts), compiled)


def with_autograph(net: Network) -> Network:
    """Return a model for TensorFlow in which `if` and `while` may ask for values of tensors."""
    layers = [part for part in (net.model, *net.parts) if isinstance(part, keras.layers.Layer)]
    return attrs.evolve(net, calls={**{id(layer): _with_autograph(layer.call) for layer in layers}, **net.calls})


def _with_autograph(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what TensorFlow makes of a function before it compiles it; within compiled ones, no calls are seen."""
    autograph = importlib.import_module("tensorflow").__internal__.autograph
    converted: Callable[..., Any] = autograph.tf_convert(function, autograph.control_status_ctx())
    return converted


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


def name_of_class(part: Any) -> str:
    """Return the name of the class of a layer, a function or an initializer as Keras writes it: `"he_normal"`.

    Example:

    >>> name_of_class(keras.initializers.HeNormal())
    'he_normal'
    """
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", type(part).__name__).lower()


def names_of(parts: Sequence[Any]) -> dict[int, str]:
    """Return the name of every part by its identity: of a function that of its class, numbered in order of making.

    Keras counts functions over a session, so that their own names differ from run to run.
    """
    names = {id(part): str(part.name) for part in parts}
    taken: dict[str, int] = {}
    functions = [part for part in parts if not isinstance(part, keras.layers.Layer)]
    for part in sorted(functions, key=lambda part: _count(part.name)):
        name = name_of_class(part)
        taken[name] = taken.get(name, 0) + 1
        names[id(part)] = name if taken[name] == 1 else f"{name}@{taken[name]}"
    return names


def _count(name: str) -> int:
    number = name.rpartition("_")[2]
    return int(number) if number.isdigit() else 0
