"""All uses of Keras beyond its public interface, the only ones that a new version of Keras may break.

`tests/test_keras_internals.py` has a test for each function; `requirements.txt` allows the versions of Keras that pass.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
from keras import ops

Initializer = Callable[..., Any]


class TensorSeed(keras.random.SeedGenerator):
    """A seed that is a tensor; Keras' own generators take integers only.

    Keras calls nothing but `next()` of a generator. This one has no state: a layer that draws with it is a pure
    function of its seed.

    Args:
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.

    Example:

    >>> draws = [keras.random.uniform((4,), seed=TensorSeed(np.array([1, 2]))) for _ in range(2)]
    >>> bool(np.all(np.asarray(draws[0]) == np.asarray(draws[1])))
    True
    """

    def __init__(self, seed: Any):
        # The parent's __init__ is not called: it would make a variable for its state.
        self.seed = ops.cast(seed, "uint32" if keras.backend.backend() == "jax" else "int32")

    def next(self, ordered: bool = True) -> Any:
        """Return the seed."""
        return self.seed


def seeded(initializer: Initializer, seed: Any) -> Initializer:
    """Return a copy of an initializer that draws from another seed; one that does not draw is returned as it is.

    Args:
        initializer: A `keras.initializers.Initializer`.
        seed: An integer, or a `keras.random.SeedGenerator`.

    Example:

    >>> ones, normal = keras.initializers.Ones(), keras.initializers.HeNormal(seed=1)
    >>> seeded(ones, 2) is ones, seeded(normal, 2).seed, normal.seed
    (True, 2, 1)
    """
    if not hasattr(initializer, "seed"):
        return initializer
    copied = copy.copy(initializer)
    copied.seed = seed
    return copied


def initializer_of(variable: keras.Variable) -> Initializer | None:
    """Return the initializer of a variable that was made in a `keras.StatelessScope` which has not ended yet.

    It is None for a variable that was made with a value, or has one by now: Keras then drops the initializer.

    Example:

    >>> with keras.StatelessScope():
    ...     initializer_of(keras.Variable(keras.initializers.Ones(), shape=(2,))).__class__.__name__
    'Ones'
    """
    initializer: Initializer | None = variable._initializer
    return initializer


def is_functional(model: keras.Model) -> bool:
    """Return whether a model has a graph of calls, as models made of inputs and outputs have.

    Example:

    >>> inputs = keras.Input((4,))
    >>> is_functional(keras.Model(inputs, ops.relu(inputs))), is_functional(keras.Sequential([inputs]))
    (True, False)
    """
    return hasattr(model, "_nodes_by_depth")


def nodes(model: keras.Model) -> Iterator[Any]:
    """Yield the nodes of a functional model, but for its inputs, in the order in which Keras runs them.

    Args:
        model: A model for which `is_functional` holds.

    Yields:
        Keras' own nodes, with `operation` (what is called), `arguments` (for `filled`), and the symbolic
        `input_tensors` and `outputs`.

    Example:

    >>> inputs = keras.Input((4,))
    >>> [type(node.operation).__name__ for node in nodes(keras.Model(inputs, ops.tanh(ops.relu(inputs))))]
    ['Relu', 'Tanh']
    """
    for _, of_depth in sorted(model._nodes_by_depth.items(), reverse=True):
        yield from (node for node in of_depth if not node.is_input)


def filled(arguments: Any, tensors: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the named arguments of a node, with its symbolic tensors replaced by others.

    Args:
        arguments: The `arguments` of a node.
        tensors: The other tensors, by the `id` of the symbolic ones.

    Example:

    >>> inputs = keras.Input((4,))
    >>> node = next(nodes(keras.Model(inputs, ops.add(inputs, 2.0))))
    >>> filled(node.arguments, {id(inputs): "here"})
    (('here', 2.0), {})
    """
    args, kwargs = arguments.fill_in(tensors)
    return args, kwargs


def layers_within(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return all layers inside a layer, those of its layers included.

    Example:

    >>> inner = keras.Sequential([keras.layers.Dense(2, name="dense")], name="inner")
    >>> [layer.name for layer in layers_within(keras.Sequential([inner]))]
    ['inner', 'dense']
    """
    return list(layer._flatten_layers(include_self=False))


def copied_lambda(layer: keras.layers.Lambda) -> keras.layers.Lambda:
    """Return a copy of a `Lambda` layer, with the same function.

    A copy by `get_config` would hold the function as code, which Keras refuses to load by default.

    Example:

    >>> copied_lambda(keras.layers.Lambda(ops.relu, (4,), name="relu")).compute_output_shape((3, 4))
    (3, 4)
    """
    return keras.layers.Lambda(layer.function, layer._output_shape, arguments=layer.arguments, name=layer.name)
