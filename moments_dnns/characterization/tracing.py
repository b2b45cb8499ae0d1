"""One run of a model without numbers: what can be measured, and which tensor is computed from which."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import attrs
import keras

from moments_dnns._validation import refusal
from moments_dnns.descriptions.function_hash import bytecode
from moments_dnns.layers.state import Tensor

from .dependencies import DEPENDENCIES, Above
from .failures import untraceable
from .network import Network, with_autograph
from .recording import Call, recording


class Place(NamedTuple):
    """An output of a call that can be measured.

    Args:
        name: Its name: that of the call, with a number where there are several outputs.
        call: The position of the call among all calls.
        output: The position of the tensor among the outputs of the call.
        shape: The shape of the tensor.
        part: What was called.
        is_block: Whether layers within it were called.
        same: A number that places of the very same tensor have in common.
    """

    name: str
    call: int
    output: int
    shape: tuple[int, ...]
    part: Any
    is_block: bool
    same: int


@attrs.frozen(eq=False)
class Trace:
    """What one run of a model has shown. Inputs and places are counted together, the inputs first.

    Args:
        net: The model, as it could be traced.
        inputs: The names of the inputs.
        places: All places.
        above: For each input and place, the ones next before it from which it is computed, along floating-point
            numbers.
        above_any: The same along numbers of any type.
        variables: The variables that were read, in order.
        scalars: Names of outputs without any axis, which have no channels.
        hidden: Names of layers within loops and branches, which are not measured.
        points: Over how many points batch normalization takes statistics, by the name of the layer.
        sha256: Hash of the settings of all layers, and of what they were called with.
    """

    net: Network
    inputs: tuple[str, ...]
    places: tuple[Place, ...]
    above: Above
    above_any: Above
    variables: tuple[Any, ...]
    scalars: tuple[str, ...]
    hidden: tuple[str, ...]
    points: Mapping[str, int]
    sha256: str

    @property
    def outputs(self) -> tuple[Place, ...]:
        """What the model returns."""
        last = max((place.call for place in self.places), default=0)
        return tuple(place for place in self.places if place.part is None and place.call == last)


class Reading(keras.StatelessScope):
    """A scope in which no variable changes, and which remembers the variables that are read."""

    def __init__(self) -> None:
        super().__init__(initialize_variables=False)
        self.variables: dict[int, Any] = {}

    def get_current_value(self, variable: Any) -> Any:
        """Return the value that a variable was given within the scope, if any."""
        self.variables.setdefault(id(variable), variable)
        return super().get_current_value(variable)


def trace(net: Network, batch_statistics: bool) -> Trace:
    """Run a model once on tensors without numbers.

    On TensorFlow, what cannot be traced is tried with AutoGraph, which makes operations of `if` and `while`.

    Args:
        net: The model.
        batch_statistics: Whether batch normalization takes the statistics of the batch.

    Raises:
        ValueError: If the backend cannot trace it.
    """
    try:
        return _traced(net, batch_statistics)
    except Exception as error:
        if keras.backend.backend() == "tensorflow":
            with suppress(Exception):  # the first error is the one to tell
                return _traced(with_autograph(net), batch_statistics)
        raise ValueError(refusal(untraceable(error), model=net.model.name)) from error


def _traced(net: Network, batch_statistics: bool) -> Trace:
    seen: list[Any] = []
    scope = Reading()

    def run(*tensors: Tensor) -> list[Tensor]:
        with scope, recording(net, batch_statistics) as recorder:
            outputs = net(tensors)
        calls = [*recorder.calls, Call("output", None, tuple(outputs), None, True)]
        places, measured = _places(calls)
        seen[:] = [recorder, calls, places]
        return measured

    above, above_any = DEPENDENCIES[keras.backend.backend()](run, net.fed.arrays)
    recorder, calls, places = seen
    return Trace(
        net=net,
        inputs=net.fed.names,
        places=places,
        above=above,
        above_any=above_any,
        variables=tuple(scope.variables.values()),
        scalars=_scalars(calls),
        hidden=tuple(recorder.hidden),
        points=dict(recorder.points),
        sha256=calls_hash(calls),
    )


def _places(calls: Sequence[Call]) -> tuple[tuple[Place, ...], list[Tensor]]:
    places, tensors, seen = list[Place](), list[Tensor](), dict[int, int]()
    for index, call in enumerate(calls):
        for output, tensor in enumerate(call.outputs):
            if not (_is_float(tensor) and len(tensor.shape)):
                continue
            name = call.name if len(call.outputs) == 1 else f"{call.name}:{output}"
            same = seen.setdefault(id(tensor), len(places))
            shape = tuple(int(side) for side in tensor.shape)
            places.append(Place(name, index, output, shape, call.part, call.is_block, same))
            tensors.append(tensor)
    return tuple(places), tensors


def _is_float(tensor: Any) -> bool:
    return hasattr(tensor, "dtype") and keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))


def _scalars(calls: Sequence[Call]) -> tuple[str, ...]:
    return tuple(call.name for call in calls for tensor in call.outputs if _is_float(tensor) and not len(tensor.shape))


def calls_hash(calls: Sequence[Call]) -> str:
    """Return the hash of the settings of what is called, and of the arguments."""
    described = [(call.name, type(call.part).__name__, _config(call.part), call.arguments) for call in calls]
    return hashlib.sha256(json.dumps(described, default=_plain, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return what says of a value all that JSON can hold: numbers of arrays, and the name of its type otherwise."""
    return value.tolist() if hasattr(value, "tolist") else type(value).__name__


def _config(part: Any) -> Any:
    """Return the settings of a layer, or of a function, of which only these count: Keras numbers its name."""
    if part is None or isinstance(part, keras.Model):  # whose layers count themselves
        return None
    try:
        config = dict(part.get_config())
        json.dumps(config, default=_plain, sort_keys=True)
    except Exception:  # a layer need not have settings that can be told
        return None
    if not isinstance(part, keras.layers.Layer):
        config.pop("name", None)
    if isinstance(part, keras.layers.Lambda) and hasattr(part.function, "__code__"):
        # As Keras pickles it, the code of one function differs from time to time.
        config["function"] = repr(list(bytecode(part.function.__code__))), part.function.__defaults__
    return config
