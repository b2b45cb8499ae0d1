"""Where effective ranks are taken: behind activations, as in the paper, or behind the layers that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import keras

from moments_dnns._validation import refusal

from .network import name_of_class
from .route import Route
from .tracing import Place

# What stands for all layers that end in an activation, instead of a pattern of names.
ACTIVATIONS = "activations"

LAYERS = (
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
)


def ranked(path: Route, patterns: Sequence[str]) -> tuple[int, ...]:
    """Return the positions, among all that is measured, of what effective ranks are taken of.

    Args:
        path: The route of the noise.
        patterns: `["activations"]`, or patterns of the names of what is measured, with `*` for anything.

    Raises:
        ValueError: If a pattern matches nothing that is measured.

    Example:

    >>> from .tracing import Place
    >>> places = [Place(part.name, k, 0, (4, 2), part, False, k) for k, part in enumerate([
    ...     keras.layers.Dense(2, name="linear"), keras.layers.Dense(2, "relu", name="bent")])]
    >>> path = Route(("input",), (), (), tuple(places), ((), (0,), (1,)))
    >>> ranked(path, ["activations"]), ranked(path, ["in*", "linear"])
    ((2,), (0, 1))
    """
    if list(patterns) == [ACTIVATIONS]:
        without_part = len(path.names) - len(path.places)
        return tuple(without_part + index for index, place in enumerate(path.places) if is_activation(place.part))
    unmatched = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in path.names)]
    if unmatched:
        raise ValueError(
            refusal(
                f"expected {ACTIVATIONS!r}, or patterns of what is measured: {', '.join(path.names)}.", ranks=unmatched
            )
        )
    return tuple(
        index for index, name in enumerate(path.names) if any(fnmatchcase(name, pattern) for pattern in patterns)
    )


def attentions(path: Route) -> tuple[int, ...]:
    """Return the positions, among all that is measured, of what a `Softmax` over the last axis returns."""
    without_part = len(path.names) - len(path.places)
    return tuple(
        without_part + index
        for index, place in enumerate(path.places)
        if isinstance(place.part, keras.layers.Softmax) and place.part.axis in _last_axis(place)
    )


def _last_axis(place: Place) -> tuple[Any, ...]:
    """Return the ways of Keras to write the last axis of a tensor."""
    last = len(place.shape) - 1
    return (-1, last, (-1,), (last,), [-1], [last])


def is_activation(part: Any) -> bool:
    """Tell whether a layer or a function ends in an activation that is not linear.

    Example:

    >>> is_activation(keras.layers.ReLU()), is_activation(keras.layers.Dense(2)), is_activation(keras.layers.LSTM(2))
    (True, False, True)
    """
    if isinstance(part, keras.layers.Layer):
        function = getattr(part, "activation", None)
        return isinstance(part, LAYERS) if function is None else function is not keras.activations.linear
    return part is not None and callable(getattr(keras.activations, name_of_class(part), None))
