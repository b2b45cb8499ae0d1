"""One run of a model without numbers: what can be measured, and which tensor is computed from which."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType
from typing import Any, NamedTuple

import attrs
import keras
import numpy as np
from keras import ops

from moments_dnns._validation import cause, refusal
from moments_dnns.layers.state import Tensor

from .network import Network
from .recording import Call, recording

Above = tuple[frozenset[int], ...]


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
        inputs: The names of the inputs.
        places: All places.
        above: For each input and place, the ones next before it from which it is computed, along floating-point
            numbers.
        above_any: The same along numbers of any type.
        variables: The variables that were read, in order.
        scalars: Names of outputs without any axis, which have no channels.
        sha256: Hash of the settings of all layers, and of what they were called with.
    """

    inputs: tuple[str, ...]
    places: tuple[Place, ...]
    above: Above
    above_any: Above
    variables: tuple[Any, ...]
    scalars: tuple[str, ...]
    sha256: str


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

    Args:
        net: The model.
        batch_statistics: Whether batch normalization takes the statistics of the batch.

    Raises:
        ValueError: If the backend cannot trace it.
    """
    found: list[Any] = []
    scope = Reading()

    def run(*tensors: Tensor) -> list[Tensor]:
        with scope, recording(net, batch_statistics) as calls:
            outputs = net(tensors)
        calls.append(Call("output", None, tuple(outputs), None, True))
        places, measured = _places(calls)
        found[:] = [calls_hash(calls), places, _scalars(calls)]
        return measured

    try:
        above, above_any = DEPENDENCIES[keras.backend.backend()](run, net.fed.arrays)
    except Exception as error:
        raise ValueError(
            refusal(
                "expected a built model whose call Keras can look into: made of layers, keras.ops and functions of the "
                f"backend, {keras.backend.backend()} ({cause(error)}).",
                model=net.model.name,
            )
        ) from error
    digest, places, scalars = found
    return Trace(net.fed.names, places, above, above_any, tuple(scope.variables.values()), scalars, digest)


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


# --- what is computed from what ------------------------------------------------------------------------------------


class Marks:
    """Finds for each marked tensor the marked ones next before it, in one pass along the operations of a graph.

    Args:
        keys: The keys of the marked tensors, in their order. A layer may return what it was given: then keys are equal.
    """

    def __init__(self, keys: Sequence[Any]):
        self.keys = keys
        self.marks: dict[Any, list[int]] = {}
        for mark, key in enumerate(keys):
            self.marks.setdefault(key, []).append(mark)
        self.sources: dict[Any, frozenset[int]] = {}
        self.before: dict[Any, frozenset[int]] = {}

    def operation(self, inputs: Iterable[Any], outputs: Iterable[Any]) -> None:
        """Take one operation, by the keys of its inputs and outputs."""
        above = frozenset[int]().union(*(self.sources.get(key, frozenset()) for key in inputs))
        for key in outputs:
            self.before[key] = above
            self.sources[key] = frozenset(self.marks[key][:1]) if key in self.marks else above

    def above(self) -> Above:
        """Return the marks next before each mark; of equal tensors, each comes from the one before it."""
        found = []
        for mark, key in enumerate(self.keys):
            if mark > self.marks[key][0]:
                found.append(frozenset({self._latest(self.marks[key][0], mark)}))
            else:
                above = self.before.get(key, frozenset())
                found.append(frozenset(self._latest(first, mark) for first in above))
        return tuple(found)

    def _latest(self, first: int, mark: int) -> int:
        """Return the last mark of a tensor that is before another mark."""
        return max((each for each in self.marks[self.keys[first]] if each < mark), default=first)


# Operations of TensorFlow whose outputs are constants for a derivative.
WITHOUT_DERIVATIVE = ("StopGradient", "ZerosLike", "OnesLike")


def _tensorflow(run: Callable[..., list[Tensor]], arrays: Sequence[np.ndarray]) -> tuple[Above, Above]:
    tensorflow = importlib.import_module("tensorflow")
    marked: list[Tensor] = []

    def traced(*tensors: Tensor) -> None:
        marked[:] = [*tensors, *run(*tensors)]

    specs = [tensorflow.TensorSpec(array.shape, array.dtype) for array in arrays]
    graph = tensorflow.function(traced, autograph=False).get_concrete_function(*specs).graph

    def key(tensor: Tensor) -> Any:
        return tensor.op.name, tensor.value_index

    def is_number(tensor: Tensor) -> bool:
        return not (tensor.dtype.is_integer or tensor.dtype.is_bool)

    # A layer may return a constant that was made outside of the graph.
    keys = [
        key(tensor) if hasattr(tensor, "graph") and tensor.graph is graph else index
        for index, tensor in enumerate(marked)
    ]
    found = []
    for accepts in (is_number, lambda tensor: True):
        marks = Marks(keys)
        for op in graph.get_operations():
            inputs = [] if op.type in WITHOUT_DERIVATIVE else op.inputs
            marks.operation([key(tensor) for tensor in inputs if accepts(tensor)], map(key, op.outputs))
        found.append(marks.above())
    return found[0], found[1]


def _jax(run: Callable[..., list[Tensor]], arrays: Sequence[np.ndarray]) -> tuple[Above, Above]:
    jax = importlib.import_module("jax")
    jaxpr = jax.make_jaxpr(run)(*(jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays)).jaxpr
    found = []
    for kinds in ("fcV", "fcViub"):
        marks = Marks([id(variable) for variable in [*jaxpr.invars, *jaxpr.outvars]])
        marks.operation([], map(id, jaxpr.invars))
        for equation in jaxpr.eqns:
            inputs = [id(each) for each in equation.invars if getattr(each.aval.dtype, "kind", "") in kinds]
            marks.operation(inputs, map(id, equation.outvars))
        found.append(marks.above())
    return found[0], found[1]


def _torch(run: Callable[..., list[Tensor]], arrays: Sequence[np.ndarray]) -> tuple[Above, Above]:
    inputs = [ops.convert_to_tensor(array) for array in arrays]
    for tensor in inputs:
        tensor.requires_grad_(tensor.is_floating_point())
    marked = [*inputs, *run(*inputs)]
    keys = [(id(tensor.grad_fn), tensor.output_nr) if tensor.grad_fn else id(tensor) for tensor in marked]
    marks, done = Marks(keys), set[int]()
    marks.operation([], map(id, inputs))

    def visit(node: Any) -> None:
        if node is None or id(node) in done:
            return
        done.add(id(node))
        for following, _ in node.next_functions:
            visit(following)
        above = [
            id(following.variable) if hasattr(following, "variable") else (id(following), number)
            for following, number in node.next_functions
            if following is not None
        ]
        marks.operation(above, [(id(node), number) for number in range(8)])

    for tensor in marked:
        visit(tensor.grad_fn)
    return marks.above(), marks.above()


DEPENDENCIES: Mapping[str, Callable[..., tuple[Above, Above]]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}


# --- what decides the numbers --------------------------------------------------------------------------------------


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
        config["function"] = _code(part.function.__code__), part.function.__defaults__
    return config


def _code(code: CodeType) -> list[Any]:
    """Return what a function does, as JSON can hold it."""
    constants = [_code(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return [code.co_code.hex(), code.co_names, constants]
