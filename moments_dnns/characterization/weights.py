"""The values of a model's variables in each realization: fresh ones from the initializers, or the model's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import attrs
import keras
import numpy as np

from moments_dnns import _keras_internals as internals
from moments_dnns import _seeds
from moments_dnns._validation import refusal, warn

from .network import parts_of

Initializer = Callable[..., Any]

# Initializers that are known to draw nothing; of all others, this is tried.
CONSTANT = (keras.initializers.Zeros, keras.initializers.Ones)


@attrs.frozen(eq=False)
class Weights:
    """The variables of a model, and how their values are made.

    Args:
        variables: All that the model reads.
        initializers: For those that are drawn afresh, their initializers, by identity and in the order of drawing.
        constants: The values of those whose initializers draw nothing, by identity.
    """

    variables: tuple[Any, ...]
    initializers: dict[int, tuple[Any, Initializer]]
    constants: dict[int, Any]

    def values(self, seed: np.random.SeedSequence) -> list[Any]:
        """Return the values of all variables in the realization with a seed.

        Equal seeds of initializers stay equal, and so do equal states of seed generators; all others are independent.
        """
        fresh = {
            **self.constants,
            **dict(self._drawn(_seeds.child(seed, _seeds.WEIGHTS))),
            **self._states(_seeds.child(seed, _seeds.GENERATORS)),
        }
        return [fresh.get(id(variable), variable.value) for variable in self.variables]

    def _drawn(self, seed: np.random.SeedSequence) -> Iterator[tuple[int, Any]]:
        seeds: Sequence[int] = _seeds.integers(seed, max(len(self.initializers), 1)).tolist()
        first: dict[int, int] = {}
        for (key, (variable, initializer)), each in zip(self.initializers.items(), seeds, strict=False):
            if key in self.constants:
                continue
            theirs = getattr(initializer, "seed", None)
            own = first.setdefault(theirs, each) if isinstance(theirs, int) else each
            yield key, drawn(initializer, variable, own)

    def _states(self, seed: np.random.SeedSequence) -> dict[int, Any]:
        states = [variable for variable in self.variables if internals.is_seed_state(variable)]
        seeds = _seeds.integers(seed, max(len(states), 1))
        first: dict[bytes, int] = {}
        found = {}
        for variable, each in zip(states, seeds, strict=False):
            now = np.asarray(keras.ops.convert_to_numpy(keras.ops.copy(variable)))
            found[id(variable)] = np.array([first.setdefault(now.tobytes(), int(each)), 0], now.dtype)
        return found


def drawn(initializer: Initializer, variable: Any, seed: int) -> Any:
    """Return a value that an initializer draws for a variable from a seed, whether it has one itself or not."""
    if hasattr(initializer, "seed"):
        return internals.seeded(initializer, seed)(tuple(variable.shape), dtype=variable.dtype)
    with internals.own_globals(keras.random.SeedGenerator(seed)):
        return initializer(tuple(variable.shape), dtype=variable.dtype)


def weights(model: keras.Model, variables: Sequence[Any], reinitialize: bool) -> Weights:
    """Return the weights of a model.

    Args:
        model: The model.
        variables: The variables that it reads.
        reinitialize: Whether they are drawn afresh.

    Raises:
        ValueError: If an initializer draws other values each time, whatever the seed.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
    >>> fresh = weights(model, model.variables, True)
    >>> one, other = (fresh.values(np.random.SeedSequence(seed))[0] for seed in (0, 1))
    >>> bool(np.any(np.asarray(one) != np.asarray(other)))
    True
    """
    if not reinitialize:
        return Weights(tuple(variables), {}, {})
    read = {id(variable) for variable in variables}
    parts = [model, *parts_of(model)]
    owners = {id(variable): part for part in parts for variable in internals.own_variables(part)}
    known: dict[int, Initializer] = {}
    for part in {id(part): part for part in owners.values()}.values():
        if not isinstance(part, keras.layers.Normalization):  # which was adapted to data
            known |= _initializers(part)
    for part in parts:
        known |= _of_states(part)
    order = {id(variable): variable for variable in [*model.variables, *variables] if id(variable) in read}
    floats = {key: variable for key, variable in order.items() if keras.backend.is_float_dtype(variable.dtype)}
    _warn_of_kept([variable for key, variable in floats.items() if key not in known], owners)
    initializers = {key: (variable, known[key]) for key, variable in floats.items() if key in known}
    _warn_of_shared(initializers, owners)
    constants = {
        key: _constant(initializer, variable)
        for key, (variable, initializer) in initializers.items()
        if not hasattr(initializer, "seed")
    }
    return Weights(
        tuple(variables), initializers, {key: value for key, value in constants.items() if value is not None}
    )


def _initializers(layer: Any) -> dict[int, Initializer]:
    """Return the initializers of a layer's own variables, by their identity."""
    found: dict[int, Initializer] = {}
    for ways in (_of_building, _of_copying):
        if len(found) < len(internals.own_variables(layer)):
            with suppress(Exception):  # the code of a layer may do anything; what stays unknown is told
                found = {**ways(layer), **found}
    for variable in internals.own_variables(layer):
        named = getattr(layer, f"{variable.name}_initializer", None)
        if id(variable) not in found and callable(named):
            found[id(variable)] = named
    return found


def _of_states(layer: Any) -> dict[int, Initializer]:
    """Return zeros for the states that a recurrent layer keeps between batches; Keras does not list them."""
    states = keras.tree.flatten(getattr(layer, "states", None)) if isinstance(layer, keras.layers.RNN) else []
    return {id(state): keras.initializers.Zeros() for state in states if state is not None}


def _of_building(layer: Any) -> dict[int, Initializer]:
    """Return the initializers that a layer passes to `add_weight` when it is built.

    A stand-in with the attributes of the layer is built, whose layers have been replaced, so that none is changed.
    """
    found: dict[int, Initializer] = {}
    left = internals.own_variables(layer)

    def add_weight(shape: Any = None, initializer: Any = None, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        same = [variable for variable in left if tuple(variable.shape) == shape]
        named = [variable for variable in same if variable.name == kwargs.get("name")]
        variable = (named or same)[0]
        left[:] = [each for each in left if each is not variable]
        found[id(variable)] = _standardized(initializer, variable)
        return variable

    internals.rebuilt(layer, {name: _without_layers(value) for name, value in vars(layer).items()}, add_weight)
    return found


def _without_layers(value: Any) -> Any:
    """Return an attribute of a layer with others in the places of layers, which do nothing."""
    if isinstance(value, keras.layers.Layer):
        return _Idle(value)
    if isinstance(value, list | tuple) and any(isinstance(each, keras.layers.Layer) for each in value):
        return [_without_layers(each) for each in value]
    return value


class _Idle:
    """Stands in the place of a layer: it has its attributes, and is built already."""

    def __init__(self, layer: Any):
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    def build(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""


def _of_copying(layer: Any) -> dict[int, Initializer]:
    """Return the initializers of the variables of a copy of a layer, made of its configuration."""
    with keras.StatelessScope():
        copied = _copied(layer)
        if not copied.built and len(internals.own_variables(copied)) < len(internals.own_variables(layer)):
            copied.build_from_config(layer.get_build_config())
        pairs = zip(internals.own_variables(layer), internals.own_variables(copied), strict=True)
        return {
            id(variable): initializer
            for variable, twin in pairs
            if (initializer := internals.initializer_of(twin)) and tuple(variable.shape) == tuple(twin.shape)
        }


def _copied(layer: Any) -> Any:
    """Return a layer made as another one was: by its configuration, or by what is known of its constructor's arguments.

    Keras puts a name and a type into every configuration, which a constructor without `**kwargs` refuses, and has none
    where an argument is a function.
    """
    config: dict[str, Any] = {}
    with suppress(Exception):
        config = layer.get_config()
        return type(layer).from_config(config)
    known = {**vars(layer), **config}
    names = inspect.signature(type(layer).__init__).parameters
    return type(layer)(**{name: known[name] for name in names if name in known})


def _standardized(initializer: Any, variable: Any) -> Initializer:
    """Return what Keras makes of the initializer of a weight."""
    if initializer is None:
        initializer = "glorot_uniform" if keras.backend.is_float_dtype(variable.dtype) else "zeros"
    standard: Initializer = keras.initializers.get(initializer)
    return standard


def _constant(initializer: Initializer, variable: Any) -> Any:
    """Return the value of an initializer that draws nothing, or None; refuse one whose values no seed decides."""
    if type(initializer) in CONSTANT:
        return drawn(initializer, variable, 0)
    value, again, other = (drawn(initializer, variable, seed) for seed in (0, 0, 1))
    first, same, different = (np.asarray(keras.ops.convert_to_numpy(each)) for each in (value, again, other))
    if not np.array_equal(first, same):
        raise ValueError(
            refusal(
                "expected initializers of Keras, or functions that draw from keras.random: this one is drawn "
                "without a seed. reinitialize=False takes the model's own weights.",
                variable=variable.path,
            )
        )
    return value if np.array_equal(first, different) else None


def _warn_of_kept(variables: Sequence[Any], owners: dict[int, Any]) -> None:
    kept = [variable for variable in variables if not isinstance(owners.get(id(variable)), keras.layers.Normalization)]
    if kept:
        warn(
            f"no initializer is known of {_paths(kept)}, which keep their values in all realizations: pass "
            "initializers to add_weight in build()"
        )


def is_unseeded(initializer: Any) -> bool:
    """Tell whether an initializer made up its seed when it was made: all weights that share it are equal."""
    return isinstance(getattr(initializer, "seed", None), int) and getattr(initializer, "_init_seed", 0) is None


def _warn_of_shared(initializers: dict[int, tuple[Any, Initializer]], owners: dict[int, Any]) -> None:
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for variable, initializer in initializers.values():
        if is_unseeded(initializer):
            groups.setdefault((id(initializer), tuple(variable.shape)), []).append(variable)
    for variables in groups.values():
        if len(variables) > 1:
            warn(
                f"{_paths(variables)} are equal, here as in the model, because they share one initializer without a "
                "seed: pass the name of the initializer, or an instance to each"
            )


def _paths(variables: Sequence[Any]) -> str:
    paths = [str(variable.path) for variable in variables]
    return ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
