"""The calls of a model's own layers, recorded while the model runs, and the model as it was before."""

from __future__ import annotations

import functools
import importlib
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import keras
from keras import ops

from moments_dnns import _keras_internals as internals
from moments_dnns.layers.state import Tensor

from .network import Network, names_of

# Layers that call the layer they hold once for every step of a sequence: their output is measured, not the steps.
CLOSED = (keras.layers.RNN, keras.layers.TimeDistributed)


class Call(NamedTuple):
    """One call of a layer of a model, or of a function of its graph.

    Args:
        name: The layer's name, after those of the layers it lies in; a later call of the same layer has a number.
        part: What was called.
        outputs: The tensors that it returned.
        arguments: Its arguments as words, tensors by the calls that they come from.
        is_block: Whether layers within it were called.
    """

    name: str
    part: Any
    outputs: tuple[Tensor, ...]
    arguments: Any
    is_block: bool


class Recorder:
    """Records the calls of the parts of a model, while the context that `recording` makes is open.

    Args:
        parts: The layers and functions.
        added: Tensors that are added to the outputs of calls, by the name of the call, with `:` and the number of the
            output where there are several.
        differentiated: Whether derivatives go through the statistics of batch normalization.

    Attributes:
        calls: The calls, in the order in which they end.
        hidden: Names of layers that were called within loops and branches that the backend runs as one operation.
        points: Over how many points batch normalization takes statistics, by the name of the layer.
    """

    def __init__(self, parts: Sequence[Any], added: Mapping[str, Tensor], differentiated: bool):
        self.added = added
        self.differentiated = differentiated
        self.calls: list[Call] = []
        self.hidden: dict[str, None] = {}
        self.points: dict[str, int] = {}
        self.names = names_of(parts)
        self.level = level()
        self.within: list[str] = []
        self.closed = False
        self.taken: set[str] = set()
        self.known: dict[int, str] = {}

    def wrapped(self, part: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the call of a part with its record."""

        @functools.wraps(call)
        def recorded(*args: Any, **kwargs: Any) -> Any:
            if not self.closed and level() != self.level and isinstance(part, keras.layers.Layer):
                self.hidden[self._path(part)] = None
            if self.closed or level() != self.level:
                return call(*args, **kwargs)
            name = self._unique(self._path(part))
            arguments = self._described(args, kwargs)
            before, closed_before = len(self.calls), self.closed
            self.within.append(self.names[id(part)])
            self.closed = isinstance(part, CLOSED)
            try:
                outputs = call(*args, **kwargs)
            finally:
                self.within.pop()
                self.closed = closed_before
            outputs = self._with_added(name, outputs)
            flat = tuple(keras.tree.flatten(outputs))
            self.calls.append(Call(name, part, flat, arguments, len(self.calls) > before))
            self.known |= {id(tensor): f"{name}:{place}" for place, tensor in enumerate(flat)}
            return outputs

        return recorded

    def statistics(self, part: Any, statistics: Callable[..., Any]) -> Callable[..., Any]:
        """Return the statistics of batch normalization, perhaps as constants, with a record of the number of points."""

        @functools.wraps(statistics)
        def recorded(inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
            name = "/".join(self.within) if self.within[-1:] == [self.names[id(part)]] else self._path(part)
            self.points[name] = math.prod(inputs.shape) // inputs.shape[part.axis]
            taken = statistics(inputs, *args, **kwargs)
            return taken if self.differentiated else keras.tree.map_structure(ops.stop_gradient, taken)

        return recorded

    def _path(self, part: Any) -> str:
        return "/".join([*self.within, self.names[id(part)]])

    def _unique(self, name: str) -> str:
        numbered, number = name, 1
        while numbered in self.taken:
            number += 1
            numbered = f"{name}@{number}"
        self.taken.add(numbered)
        return numbered

    def _with_added(self, name: str, outputs: Any) -> Any:
        flat = keras.tree.flatten(outputs)
        names = [name] if len(flat) == 1 else [f"{name}:{number}" for number in range(len(flat))]
        if self.added.keys().isdisjoint(names):
            return outputs
        totals = [self._total(each, output) for each, output in zip(names, flat, strict=True)]
        return keras.tree.pack_sequence_as(outputs, totals)

    def _total(self, name: str, output: Any) -> Any:
        if name not in self.added:
            return output
        total = output + ops.cast(self.added[name], output.dtype)
        internals.copy_mask(output, total)
        return total

    def _described(self, args: Any, kwargs: Any) -> Any:
        def word(value: Any) -> Any:
            if id(value) in self.known:
                return self.known[id(value)]
            return "tensor" if hasattr(value, "shape") else value

        return keras.tree.map_structure(word, [list(args), {k: v for k, v in kwargs.items() if k != "training"}])


@contextmanager
def recording(
    net: Network,
    batch_statistics: bool,
    added: Mapping[str, Tensor] | None = None,
    *,
    differentiated: bool = False,
) -> Iterator[Recorder]:
    """Record the calls of the parts of a model within a context.

    Args:
        net: The model.
        batch_statistics: Whether batch normalization takes the statistics of the batch.
        added: Tensors to add to outputs, by the names of calls.
        differentiated: Whether derivatives go through these statistics, which are constants for them otherwise.

    Example:

    >>> from moments_dnns.characterization.inputs import feed
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
    >>> net = Network(model, feed(model, np.eye(4)), tuple(model.layers))
    >>> with recording(net, False) as recorder:
    ...     _ = net([np.eye(4)])
    >>> [call.name for call in recorder.calls]
    ['dense']
    """
    recorder = Recorder(net.parts, added or {}, differentiated)
    with ExitStack() as stack:
        for part in (net.model, *net.parts):
            if id(part) in net.calls:
                stack.enter_context(replaced(part, call=net.calls[id(part)]))
            stack.enter_context(replaced(part, **_adapted(part, batch_statistics, recorder)))
            if net.attention:
                stack.enter_context(replaced(part, **internals.with_attention_scores(part)))
        for part in net.parts:
            calls = {name: getattr(part, name) for name in ("call", "quantized_call") if hasattr(part, name)}
            wrapped = {name: recorder.wrapped(part, call) for name, call in calls.items()}
            stack.enter_context(replaced(part, **wrapped))
        yield recorder


def _adapted(part: Any, batch_statistics: bool, recorder: Recorder) -> dict[str, Any]:
    """Return what a part has instead of its own attributes while it is measured."""
    fused = (name for name in internals.FUSED if hasattr(part, name))
    attributes: dict[str, Any] = {internals.REMATERIALIZED: None, **dict.fromkeys(fused, False)}
    if batch_statistics and isinstance(part, keras.layers.BatchNormalization):
        call = part.call

        @functools.wraps(call)
        def as_in_training(*args: Any, **kwargs: Any) -> Any:
            args, kwargs, training = internals.without_training(part, args, kwargs)
            return call(*args, **kwargs, training=training is not False)

        statistics = recorder.statistics(part, internals.batch_statistics(part))
        attributes |= {"call": as_in_training, internals.BATCH_STATISTICS: statistics}
    return attributes


@contextmanager
def replaced(part: Any, **attributes: Any) -> Iterator[None]:
    """Give a layer or function other attributes within a context."""
    own = vars(part)
    before = {name: own[name] for name in attributes if name in own}
    try:
        own.update(attributes)
        yield
    finally:
        for name in attributes:
            own.pop(name, None)
        own.update(before)


def level() -> Any:
    """Return what tells apart the function that is traced now from the bodies of loops within it."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return id(importlib.import_module("tensorflow").compat.v1.get_default_graph())
    if backend == "jax":
        return importlib.import_module("jax.extend").core.get_opaque_trace_state(convention="nnx")
    return None


@contextmanager
def unchanged(parts: Sequence[Any]) -> Iterator[None]:
    """Give back to layers and functions, at the end of a context, the attributes that they had at its beginning."""
    lists = ("_inbound_nodes", "_outbound_nodes", "_losses")
    before = [
        (vars(part), dict(vars(part)), {name: list(vars(part)[name]) for name in lists if name in vars(part)})
        for part in parts
    ]
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
        for own, attributes, contents in before:
            own.clear()
            own.update(attributes)
            for name, content in contents.items():
                own[name][:] = content
