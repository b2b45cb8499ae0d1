"""Which tensors of a run of a model are computed from which, read from the graph of the backend."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from moments_dnns.layers.state import Tensor

# For each of some tensors, the ones next before it from which it is computed, by their positions.
Above = tuple[frozenset[int], ...]


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
