"""The residual branches of a model, found in the graph of what is computed from what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from .kernels import kernels_of
from .tracing import Trace

# The classes of layers and functions that add branches: `keras.layers.Add`, `x + y`, `keras.ops.add`.
ADDITIONS = ("Add",)


def branch_ends(traced: Trace) -> list[Any]:
    """Return for every addition of a residual branch the layer whose kernel or scale decides how strong it is.

    Of the summands the one with the fewest kernels since the last addition is the way of the skip connection; the
    others are branches. The last layer with a kernel or a learned scale on a branch decides on its strength.

    Args:
        traced: What a run of the model has shown.

    Example:

    >>> from moments_dnns.characterization.inputs import feed
    >>> from moments_dnns.characterization.network import network
    >>> from moments_dnns.characterization.tracing import trace
    >>> inputs = keras.Input((4,))
    >>> branch = keras.layers.Dense(4, name="down")(keras.layers.Dense(8, "relu", name="up")(inputs))
    >>> model = keras.Model(inputs, keras.layers.Add()([inputs, branch]))
    >>> [layer.name for layer in branch_ends(trace(network(model, feed(model, [[1.0, 2, 3, 4]] * 2)), True))]
    ['down']
    """
    count = len(traced.inputs)
    parts = [None] * count + [place.part for place in traced.places]
    ends = []
    for index in range(count, len(parts)):
        summands = sorted(traced.above[index])
        if type(parts[index]).__name__ in ADDITIONS and len(summands) > 1:
            chains = sorted((_chain(traced.above, parts, summand) for summand in summands), key=_num_kernels)
            ends += [chain[0] for chain in chains[1:] if chain]
    return list({id(part): part for part in ends}.values())


def _chain(above: Sequence[frozenset[int]], parts: Sequence[Any], start: int) -> list[Any]:
    """Return the layers with a kernel or a scale on the way up to the addition before a place, the last first."""
    chain, left, seen = [], [start], set[int]()
    while left:
        index = max(left)
        left.remove(index)
        if index in seen or type(parts[index]).__name__ in ADDITIONS:
            continue
        seen.add(index)
        if next(kernels_of(parts[index]), None) or _has_scale(parts[index]):
            chain.append(parts[index])
        left += above[index]
    return chain


def _has_scale(part: Any) -> bool:
    return isinstance(part, keras.layers.Layer) and getattr(part, "gamma", None) is not None


def _num_kernels(chain: Sequence[Any]) -> int:
    return sum(next(kernels_of(part), None) is not None for part in chain)
