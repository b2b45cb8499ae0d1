"""Which places of a model are measured, where the noise begins, and which of them come from which."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import attrs
import keras
import numpy as np

from moments_dnns._validation import refusal, warn

from .dependencies import Above
from .inputs import Feed
from .tracing import Place, Trace


@attrs.frozen(eq=False)
class Route:
    """The way of the noise through a model.

    Args:
        inputs: The names of the inputs that have noise.
        begins: The places where noise is added, because an input holds integers.
        sources: For each of these, the names of the inputs of integers that it is computed from.
        places: The places that are measured behind these.
        parents: For each input, beginning and place, in this order, the positions of those that it comes from.
    """

    inputs: tuple[str, ...]
    begins: tuple[Place, ...]
    sources: tuple[tuple[str, ...], ...]
    places: tuple[Place, ...]
    parents: tuple[tuple[int, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all that is measured."""
        return (*self.inputs, *(place.name for place in (*self.begins, *self.places)))


def route(traced: Trace, noisy: Sequence[str], integers: Sequence[str], patterns: Sequence[str], depth: int) -> Route:
    """Return the route of the noise.

    Args:
        traced: What a run of the model has shown.
        noisy: The inputs with noise.
        integers: Those among them that hold integers, whose noise begins at the first floating-point tensor.
        patterns: Patterns of the names of what is measured, with `*` for anything.
        depth: How many levels of layers within layers are opened; 0 for all.

    Raises:
        ValueError: If a pattern matches no name, or no layer depends on the noise.
    """
    count = len(traced.inputs)
    roots = [index for index, name in enumerate(traced.inputs) if name in noisy and name not in integers]
    begins = _begins(traced, integers, roots)
    reached = _reached(traced.above, {*roots, *begins})
    for root in roots:
        if not any(root in above for above in traced.above):
            raise ValueError(
                refusal(
                    "expected inputs from which layers compute tensors with a batch axis, in a way that has a "
                    "derivative; noise=['a name', ...] chooses among several.",
                    noise=traced.inputs[root],
                )
            )
    candidates = [index for index in sorted(reached) if index >= count and index not in begins]
    chosen = _chosen(traced, candidates, patterns, depth, [*roots, *begins])
    kept = [*roots, *begins, *chosen]
    parents = _contracted(traced.above, kept, set(begins))
    position = {index: place for place, index in enumerate(kept)}
    return Route(
        tuple(traced.inputs[root] for root in roots),
        tuple(traced.places[index - count] for index in begins),
        tuple(_sources(traced, integers, index) for index in begins),
        tuple(traced.places[index - count] for index in chosen),
        tuple(tuple(sorted(position[index] for index in above)) for above in parents),
    )


def without_idle(traced: Trace, noisy: Sequence[str]) -> list[str]:
    """Return the names of the inputs with noise from which something is computed, all of them if there is none."""
    used = set[int]().union(*traced.above_any)
    idle = [name for index, name in enumerate(traced.inputs) if name in noisy and index not in used]
    if 0 < len(idle) < len(noisy):
        warn(f"nothing is computed from the inputs {', '.join(idle)}")
        return [name for name in noisy if name not in idle]
    return list(noisy)


def integers_among(traced: Trace, noisy: Sequence[str], fed: Feed) -> list[str]:
    """Return the names of those inputs with noise that hold integers, as they are or as floating-point numbers.

    Raises:
        ValueError: If numbers that are no integers are looked up.
    """
    found = []
    for index, (name, array) in enumerate(zip(fed.names, fed.arrays, strict=True)):
        if name not in noisy:
            continue
        reached = _reached(traced.above_any, {index}) - {index}
        looked_up = len(_reached(traced.above, {index})) == 1 and bool(reached)
        if looked_up and array.dtype.kind == "f" and (array != np.round(array)).any():
            first = traced.places[min(reached) - len(traced.inputs)].name
            raise ValueError(
                refusal(f"expected inputs with a derivative, but {first!r} looks up integers.", layer=first)
            )
        if array.dtype.kind != "f" or looked_up:
            found.append(name)
    return found


def _begins(traced: Trace, integers: Sequence[str], roots: Sequence[int]) -> list[int]:
    """Return the places where the noise of integer inputs begins: layers, or functions where there are no such layers.

    A layer that computes with other noise already is none: a mask of integers only chooses what attention looks at.
    """
    count = len(traced.inputs)
    of_integers = _reached(traced.above_any, {traced.inputs.index(name) for name in integers})
    candidates = [
        index for index in sorted(of_integers) if index >= count and not traced.places[index - count].is_block
    ]
    for kind in (keras.layers.Layer, keras.Operation):
        begins = list[int]()
        for index in candidates:
            reached = index in _reached(traced.above, {*roots, *begins})
            if isinstance(traced.places[index - count].part, kind) and not reached:
                begins.append(index)
        if begins or not integers:
            return begins
    raise ValueError(refusal("expected integers that a layer makes numbers of.", noise=list(integers)))


def _sources(traced: Trace, integers: Sequence[str], place: int) -> tuple[str, ...]:
    return tuple(name for name in integers if place in _reached(traced.above_any, {traced.inputs.index(name)}))


def _reached(above: Above, roots: set[int]) -> set[int]:
    """Return the positions that depend on any of some, these included."""
    reached, count = set(roots), -1
    while count < len(reached):  # a layer may be called behind the output of the block that it lies in
        count = len(reached)
        reached |= {index for index, before in enumerate(above) if before & reached}
    return reached


def _chosen(
    traced: Trace, candidates: Sequence[int], patterns: Sequence[str], depth: int, roots: Sequence[int]
) -> list[int]:
    count = len(traced.inputs)

    def name(index: int) -> str:
        return traced.inputs[index] if index < count else traced.places[index - count].name

    names = [name(index) for index in (*roots, *candidates)]
    unmatched = [pattern for pattern in patterns if not any(fnmatchcase(each, pattern) for each in names)]
    if unmatched:
        raise ValueError(refusal(f"expected patterns of the names {', '.join(names)}.", layers=unmatched))
    chosen = [
        index
        for index in candidates
        if any(fnmatchcase(name(index), pattern) for pattern in patterns)
        and (not depth or name(index).count("/") < depth)
    ]
    # A model within a model returns what its last layer does, which is measured there.
    kept, measured = [], set[int]()
    for index in chosen:
        place = traced.places[index - count]
        if not (_is_model(place) and place.same in measured):
            kept.append(index)
            measured.add(place.same)
    return kept


def _is_model(place: Place) -> bool:
    return place.part is None or isinstance(place.part, keras.Model)


def _contracted(above: Above, kept: Sequence[int], ends: set[int]) -> list[set[int]]:
    """Return the parents of what is kept, across what is not."""
    chosen = set(kept)

    def parents(index: int) -> set[int]:
        found, seen, left = set[int](), set[int](), list(above[index])
        while left:
            each = left.pop()
            if each in chosen and each < index:
                found.add(each)
            elif each not in seen:
                seen.add(each)
                left += above[each]
        return found

    return [set() if index in ends else parents(index) for index in kept]


def channels_first(parts: Sequence[Any]) -> bool:
    """Tell whether the layers of a model have their channels first.

    Raises:
        ValueError: If some have, and some have them last.
    """
    formats = {getattr(part, "data_format", None): part.name for part in parts}
    formats.pop(None, None)
    if len(formats) > 1:
        raise ValueError(refusal("expected layers with the channels last, or first in all of them.", layers=formats))
    return "channels_first" in formats
