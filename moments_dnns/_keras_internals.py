"""All uses of Keras beyond its public interface, the only ones that a new version of Keras may break.

`tests/test_keras_internals.py` has a test for each function; `requirements.txt` allows the versions of Keras that pass.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        Keras' own nodes, with `operation` (what is called), `arguments` (its `args` and `kwargs`), and the symbolic
        `input_tensors` and `outputs`.

    Example:

    >>> inputs = keras.Input((4,))
    >>> [type(node.operation).__name__ for node in nodes(keras.Model(inputs, ops.tanh(ops.relu(inputs))))]
    ['Relu', 'Tanh']
    """
    for _, of_depth in sorted(model._nodes_by_depth.items(), reverse=True):
        yield from (node for node in of_depth if not node.is_input)


def layers_within(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return all layers inside a layer, those of its layers included.

    Example:

    >>> inner = keras.Sequential([keras.layers.Dense(2, name="dense")], name="inner")
    >>> [layer.name for layer in layers_within(keras.Sequential([inner]))]
    ['inner', 'dense']
    """
    return list(layer._flatten_layers(include_self=False))


def operations(model: Any) -> list[Any]:
    """Return the layers and functions of a model's graph, each once, in the order in which Keras runs them.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
    >>> [operation.name for operation in operations(model)], operations(keras.layers.Dense(2))
    (['dense'], [])
    """
    graph = getattr(model, "_functional", None) or model  # of a sequential model
    return list({id(node.operation): node.operation for node in nodes(graph)}.values()) if is_functional(graph) else []


def constants(model: keras.Model) -> Iterator[Any]:
    """Yield what the operations of a functional model are given beside symbolic tensors, functions as attributes too.

    Example:

    >>> inputs = keras.Input((4,))
    >>> list(constants(keras.Model(inputs, inputs * 3.0)))
    [3.0]
    """
    for node in nodes(model):
        given = [list(node.arguments.args), dict(node.arguments.kwargs)]
        if not isinstance(node.operation, keras.layers.Layer):
            given.append({name: value for name, value in vars(node.operation).items() if not name.startswith("_")})
        for value in keras.tree.flatten(given):
            if not isinstance(value, keras.KerasTensor | str):
                yield value


def sublayers(layer: Any) -> list[Any]:
    """Return the layers that a layer holds, one level deep.

    Example:

    >>> [inner.name for inner in sublayers(keras.layers.TimeDistributed(keras.layers.Dense(2, name="dense")))]
    ['dense']
    """
    return list(getattr(layer, "_layers", []))


def own_variables(layer: Any) -> list[Any]:
    """Return the variables of a layer itself, without those of layers that it holds and of its seed generators.

    Example:

    >>> dense = keras.layers.Dense(2)
    >>> dense.build((None, 4))
    >>> [variable.name for variable in own_variables(dense)]
    ['kernel', 'bias']
    """
    return [*getattr(layer, "_trainable_variables", []), *getattr(layer, "_non_trainable_variables", [])]


def takes_training(layer: Any) -> bool:
    """Tell whether the call of a layer has an argument `training`.

    Example:

    >>> takes_training(keras.layers.Dropout(0.5)), takes_training(keras.layers.ReLU())
    (True, False)
    """
    return bool(getattr(layer, "_call_has_training_arg", False))


def without_training(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any], Any]:
    """Return the arguments of a layer's call without `training`, and its value.

    Example:

    >>> without_training(keras.layers.Dropout(0.5), ("x",), {"training": True})
    (('x',), {}, True)
    """
    bound = layer._call_signature.bind(*args, **kwargs)
    training = bound.arguments.pop("training", None)
    return bound.args, bound.kwargs, training


def batch_statistics(layer: keras.layers.BatchNormalization) -> Callable[..., Any]:
    """Return the method by which batch normalization takes mean and variance of a batch.

    Example:

    >>> layer = keras.layers.BatchNormalization()
    >>> layer.build((None, 2))
    >>> [np.asarray(each).tolist() for each in batch_statistics(layer)(np.array([[1.0, 2.0], [3.0, 2.0]]), None)]
    [[2.0, 2.0], [1.0, 0.0]]
    """
    statistics: Callable[..., Any] = layer._moments
    return statistics


# What is set on a layer or function: the name of `batch_statistics`, whether its call is repeated in a backward pass to
# save memory, and whether recurrent layers and attention use fused kernels, which have no forward derivative.
BATCH_STATISTICS, REMATERIALIZED, FUSED = "_moments", "_remat_mode", ("use_cudnn", "_flash_attention")


def with_attention_scores(layer: Any) -> dict[str, Any]:
    """Return what an attention layer of several heads has instead of its own method, so that its `Softmax` is called.

    Otherwise the backend computes attention as a whole, and nobody sees the probabilities.

    Example:

    >>> [len(with_attention_scores(each)) for each in (keras.layers.MultiHeadAttention(2, 4), keras.layers.ReLU())]
    [2, 0]
    """
    if not isinstance(layer, keras.layers.MultiHeadAttention | keras.layers.GroupQueryAttention):
        return {}
    method, asked = layer._compute_attention, "return_attention_scores"
    signature = inspect.signature(method)

    @functools.wraps(method)
    def with_scores(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.arguments |= {asked: True} if asked in signature.parameters else {}
        setattr(layer, f"_{asked}", True)  # of grouped queries
        return method(*bound.args, **bound.kwargs)

    return {"_compute_attention": with_scores, f"_{asked}": False}


def rebuilt(layer: Any, attributes: dict[str, Any], add_weight: Callable[..., Any]) -> None:
    """Call the `build` of a layer's class on a stand-in for the layer, as the layer itself was built.

    Args:
        layer: The layer, which was built and is not changed.
        attributes: The attributes of the stand-in.
        add_weight: Is called instead of the layer's method.

    Example:

    >>> dense = keras.layers.Dense(2)
    >>> dense.build((None, 4))
    >>> rebuilt(dense, dict(vars(dense)), lambda name, shape, **_: print(name, shape))
    kernel (4, 2)
    bias (2,)
    """
    stand_in: Any = object.__new__(type(layer))
    vars(stand_in).update({name: each for name, each in attributes.items() if name not in ("_tracker", "build")})
    stand_in._initialize_tracker()
    vars(stand_in)["add_weight"] = add_weight
    with keras.StatelessScope():
        type(layer).build(stand_in, **(getattr(layer, "_build_shapes_dict", None) or {}))


def is_seed_state(variable: Any) -> bool:
    """Tell whether a variable is the state of a seed generator.

    Example:

    >>> is_seed_state(keras.random.SeedGenerator(3).state), is_seed_state(keras.Variable(np.ones(2)))
    (True, False)
    """
    return variable.name == "seed_generator_state" and not keras.backend.is_float_dtype(variable.dtype)


@contextmanager
def own_globals(generator: keras.random.SeedGenerator) -> Iterator[None]:
    """Let functions without a seed draw from a generator, and give back Keras' own, and its counts of names.

    Example:

    >>> draws = []
    >>> for _ in range(2):
    ...     with own_globals(keras.random.SeedGenerator(3)):
    ...         draws.append(np.asarray(keras.random.normal((2,))).tolist())
    >>> draws[0] == draws[1]
    True
    """
    state = importlib.import_module("keras.src.backend.common.global_state")
    before = state.get_global_attribute("global_seed_generator")
    names = state.get_global_attribute("object_name_uids")
    counts = None if names is None else names.copy()
    state.set_global_attribute("global_seed_generator", generator)
    try:
        yield
    finally:
        state.set_global_attribute("global_seed_generator", before)
        if names is not None:
            names.clear()
            names.update(counts)


def copy_mask(source: Any, target: Any) -> None:
    """Give a tensor the mask that rides on another one.

    Example:

    >>> source = keras.layers.Embedding(3, 2, mask_zero=True)(np.array([[0, 1]]))
    >>> target = source + 1
    >>> copy_mask(source, target)
    >>> np.asarray(target._keras_mask).tolist()
    [[False, True]]
    """
    mask = getattr(source, "_keras_mask", None)
    if mask is not None:
        target._keras_mask = mask
