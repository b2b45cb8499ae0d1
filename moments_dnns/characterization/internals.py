"""What is read of Keras beside its public interface, in one place."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


def is_functional(model: Any) -> bool:
    """Tell whether a model is a graph of operations: functional, or a sequential one that was built."""
    return hasattr(model, "_nodes_by_depth")


def operations(model: Any) -> list[Any]:
    """Return the layers and functions of a model's graph, each once, in the order in which Keras runs them."""
    model = getattr(model, "_functional", None) or model  # of a sequential model
    if not is_functional(model):
        return []
    nodes = [node for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True) for node in nodes]
    return list({id(node.operation): node.operation for node in nodes if not node.is_input}.values())


def constants(model: Any) -> Iterator[Any]:
    """Yield what a functional model passes to its operations beside symbolic tensors."""
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            if not node.is_input:
                yield from keras.tree.flatten([list(node.arguments.args), dict(node.arguments.kwargs)])


def sublayers(layer: Any) -> list[Any]:
    """Return the layers that a layer holds, one level deep."""
    return list(getattr(layer, "_layers", []))


def own_variables(layer: Any) -> list[Any]:
    """Return the variables of a layer itself, without those of layers that it holds and of its seed generators."""
    return [*getattr(layer, "_trainable_variables", []), *getattr(layer, "_non_trainable_variables", [])]


def takes_training(layer: Any) -> bool:
    """Tell whether the call of a layer has an argument `training`."""
    return bool(getattr(layer, "_call_has_training_arg", False))


def with_training(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any], Any]:
    """Return arguments of a layer's call without `training`, and its value."""
    bound = layer._call_signature.bind(*args, **kwargs)
    training = bound.arguments.pop("training", None)
    return bound.args, bound.kwargs, training


def build_shapes(layer: Any) -> dict[str, Any]:
    """Return the arguments with which a layer was built."""
    return dict(getattr(layer, "_build_shapes_dict", None) or {})


def initializer_of(variable: Any) -> Any:
    """Return the initializer of a variable that was made in a stateless scope which is still open."""
    return variable._initializer


def is_seed_state(variable: Any) -> bool:
    """Tell whether a variable is the state of a seed generator."""
    return variable.name == "seed_generator_state" and not keras.backend.is_float_dtype(variable.dtype)


_STATE = "keras.src.backend.common.global_state"
_GENERATOR, _NAMES = "global_seed_generator", "object_name_uids"


@contextmanager
def own_globals(generator: Any) -> Iterator[None]:
    """Let functions without a seed draw from a generator, and give back Keras' own and its counts of names."""
    state = importlib.import_module(_STATE)
    before = state.get_global_attribute(_GENERATOR)
    names = state.get_global_attribute(_NAMES)
    counts = None if names is None else names.copy()
    state.set_global_attribute(_GENERATOR, generator)
    try:
        yield
    finally:
        state.set_global_attribute(_GENERATOR, before)
        if names is not None:
            names.clear()
            names.update(counts)


def copy_mask(source: Any, target: Any) -> None:
    """Give a tensor the mask of another one."""
    mask = getattr(source, "_keras_mask", None)
    if mask is not None:
        target._keras_mask = mask
