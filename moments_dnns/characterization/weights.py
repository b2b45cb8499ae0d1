"""Fresh weights for any Keras model, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from moments_dnns import _seeds
from moments_dnns._keras_internals import Initializer, copied_lambda, initializer_of, is_functional, seeded
from moments_dnns._validation import first_line, refusal

from .graph import functional


class Fresh:
    """A copy of a model whose weights can be drawn again and again, by the initializers of its layers.

    Args:
        model: A model that Keras can copy: functional, sequential, or with a `get_config`.

    Raises:
        ValueError: If it cannot be copied.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
    >>> fresh = Fresh(model)
    >>> fresh.draw(np.random.SeedSequence(0))
    >>> first = fresh.model.get_weights()[0]
    >>> fresh.draw(np.random.SeedSequence(1))
    >>> bool(np.any(first != fresh.model.get_weights()[0]))
    True
    """

    def __init__(self, model: keras.Model):
        copies = Copies()
        try:
            # Variables that are made in this scope get their values at its end, and know their initializers until then.
            with keras.StatelessScope():
                self.model = copies.of_model(model)
                kept = {id(variable) for _, copied in copies.adapted for variable in copied.variables}
                self.drawn = [
                    (variable, _checked(variable, initializer))
                    for variable in self.model.variables
                    if keras.backend.is_float_dtype(variable.dtype)
                    and (initializer := initializer_of(variable)) is not None
                    and id(variable) not in kept
                ]
        except Exception as error:
            raise ValueError(
                refusal(
                    "expected a model of layers that Keras can copy from their get_config(), with initializers that "
                    f"have a seed; reinitialize=False takes its own weights ({first_line(error)}).",
                    model=model.name,
                )
            ) from error
        for layer, copied in copies.adapted:
            copied.set_weights(layer.get_weights())
            copied.finalize_state()

    def draw(self, seed: np.random.SeedSequence) -> None:
        """Draw all weights, each from a seed of its own."""
        seeds: Sequence[int] = _seeds.integers(seed, max(len(self.drawn), 1)).tolist()
        for (variable, initializer), each in zip(self.drawn, seeds, strict=False):
            variable.assign(seeded(initializer, each)(variable.shape, dtype=variable.dtype))


class Copies:
    """Copies of layers, one for each layer, wherever in nested models it is called."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, Any]] = {}

    def of_model(self, model: keras.Model) -> keras.Model:
        """Return the functional model of a copy."""
        if isinstance(model, keras.Sequential) or is_functional(model):
            return functional(keras.models.clone_model(model, clone_function=self.of_layer, recursive=True))
        shapes = [tuple(tensor.shape[1:]) for tensor in functional(model).inputs]
        return functional(type(model).from_config(model.get_config()), shapes)

    def of_layer(self, layer: Any) -> Any:
        """Return the copy of a layer."""
        if id(layer) not in self.made:
            self.made[id(layer)] = layer, _copied(layer)
        return self.made[id(layer)][1]

    @property
    def adapted(self) -> list[tuple[Any, Any]]:
        """Layers and copies whose variables are no weights: statistics of a data set, to which they were adapted."""
        return [pair for pair in self.made.values() if isinstance(pair[1], keras.layers.Normalization)]


def _copied(layer: Any) -> Any:
    if isinstance(layer, keras.layers.Lambda):
        return copied_lambda(layer)
    return type(layer).from_config(layer.get_config())


def _checked(variable: Any, initializer: Initializer) -> Initializer:
    """Return the initializer of a variable, or refuse one that draws other values each time and has no seed."""
    if not hasattr(initializer, "seed"):
        one, other = (
            np.asarray(keras.ops.convert_to_numpy(initializer(variable.shape, dtype=variable.dtype))) for _ in range(2)
        )
        if not np.array_equal(one, other):
            raise ValueError(f"{variable.path} is drawn without a seed")
    return initializer
