"""Fresh weights for any Keras model, from a seed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from .graphs import functional
from .validation import refusal

Initializer = Callable[..., Any]


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
        # Variables that are made in this scope get their values at its end, and know their initializers until then.
        with keras.StatelessScope():
            self.model = _copied(model)
            self.drawn = [
                (variable, variable._initializer)
                for variable in self.model.variables
                if keras.backend.is_float_dtype(variable.dtype) and variable._initializer is not None
            ]

    def draw(self, seed: np.random.SeedSequence) -> None:
        """Draw all weights, each from a seed of its own."""
        seeds: Sequence[int] = (seed.generate_state(max(len(self.drawn), 1)) >> 1).tolist()
        for (variable, initializer), each in zip(self.drawn, seeds, strict=False):
            variable.assign(_seeded(initializer, each)(variable.shape, dtype=variable.dtype))


def _copied(model: keras.Model) -> keras.Model:
    """Return the functional model of a copy."""
    if isinstance(model, keras.Sequential) or hasattr(model, "_nodes_by_depth"):
        return functional(keras.models.clone_model(model))
    shapes = [tuple(tensor.shape[1:]) for tensor in functional(model).inputs]
    try:
        copied = type(model).from_config(model.get_config())
    except Exception as error:
        raise ValueError(
            refusal(
                "expected a model with get_config(), from which it can be copied with fresh weights; "
                f"reinitialize=False takes its own ({type(error).__name__}).",
                model=model.name,
            )
        ) from error
    return functional(copied, shapes)


def _seeded(initializer: Initializer, seed: int) -> Initializer:
    """Return an initializer that draws from a seed, where it draws at all."""
    if not hasattr(initializer, "seed"):
        return initializer
    seeded = copy.copy(initializer)
    seeded.seed = seed
    return seeded
