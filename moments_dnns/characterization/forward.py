"""One pass of a state along the layers of a Keras model, with moments taken behind each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from moments_dnns._backend import product_precision, uses_xla
from moments_dnns._validation import refusal
from moments_dnns.layers.core import InitialState
from moments_dnns.layers.measurement import LogMoments
from moments_dnns.layers.propagate import propagate
from moments_dnns.layers.state import State, Tensor

from .graph import Call, Route
from .inputs import Feed


class Walk(keras.layers.Layer):
    """A pass along a route, as one Keras layer.

    What is not needed any more is let go at once: as many states are kept as the network has branches.

    Args:
        network: The functional model.
        along: Its route.
        image: The position of the images among its inputs.
        statistics: Those of batch normalization: `"batch"` or `"stored"`.

    Call arguments:
        inputs: The noise, then the inputs of the network.

    Returns:
        Tensor of shape (number of measured tensors, number of moments): natural logarithms.
    """

    def __init__(self, network: keras.Model, along: Route, image: int, statistics: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.network, self.image, self.statistics = network, image, statistics
        self.calls, self.rows = tuple(along.calls), tuple(along.numbers)
        self.last_use = {number: i for i, call in enumerate(self.calls) for number in call.inputs.values()}
        self.measure = LogMoments()
        self.start = InitialState()
        self.problem: Exception | None = None

    def build(self, inputs_shape: Any) -> None:
        """Mark the layer as built: the network has its weights."""

    def compute_output_shape(self, inputs_shape: Any) -> tuple[int, int]:
        """Return the shape of the table."""
        return len(self.rows), len(self.measure.moments)

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Return the table of logarithms."""
        noise, *tensors = inputs
        values: dict[int, Any] = dict(enumerate(tensors))
        values[self.image] = self.start(values[self.image], noise)
        rows = {self.image: self.measured(values[self.image], "input")}
        for i, call in enumerate(self.calls):
            try:
                outputs = self.outputs_of(call, values)
                values |= zip(call.outputs, outputs, strict=True)
                rows |= {
                    number: self.measured(values[number], call.name) for number in call.outputs if number in self.rows
                }
            except Exception as error:
                self.problem = error
                raise
            for number in {*call.inputs.values(), *call.outputs}:
                if self.last_use.get(number, i) <= i:
                    del values[number]
        return ops.stack([rows[number] for number in self.rows])

    def measured(self, state: State, name: str) -> Tensor:
        """Return the logarithms of the moments of a state, whose signal may have any scale of float32's range."""
        if len(state.signal.shape) == 0:
            raise ValueError(refusal("expected tensors with a batch axis.", layer=name))
        # A number for each image is one channel.
        signal, noise = (x if len(x.shape) > 1 else x[:, None] for x in (state.signal, state.noise))
        scaled = self.start(signal, noise)
        logs = scaled.log_signal + state.log_signal, scaled.log_noise + state.log_noise
        return self.measure(State(scaled.signal, scaled.noise, *logs))

    def outputs_of(self, call: Call, values: dict[int, Any]) -> list[Any]:
        """Return the states behind a call; plain tensors where no state goes in."""
        states = {number: values[number] for number in call.inputs.values() if isinstance(values[number], State)}

        def function(*signals: Tensor) -> Any:
            args, kwargs = call.filled({**values, **dict(zip(states, signals, strict=True))})
            return call.layer(*args, **kwargs)

        if not states:
            return keras.tree.flatten(function())
        return propagate(call.layer, function, list(states.values()), self.statistics == "stored", call.name)


def walker(network: keras.Model, along: Route, fed: Feed, statistics: str) -> Callable[..., np.ndarray]:
    """Return the function that maps the noise and the inputs of a model to logarithms of moments, compiled."""
    types = ["float32", *(tensor.dtype for tensor in network.inputs)]
    arrays = [fed.images, *fed.arrays]
    inputs = [keras.Input(batch_shape=array.shape, dtype=each) for array, each in zip(arrays, types, strict=True)]
    layer = Walk(network, along, fed.image, statistics)
    model = keras.Model(inputs, layer(inputs))
    model.compile(jit_compile=uses_xla())

    def walk(*arrays: np.ndarray) -> np.ndarray:
        try:
            with product_precision("float32"):
                return np.asarray(model.predict_on_batch(list(arrays)))
        except Exception:
            # Keras adds the arguments of all calls around to a message; that of the layer says what matters.
            if layer.problem is not None:
                raise layer.problem from None
            raise

    return walk
