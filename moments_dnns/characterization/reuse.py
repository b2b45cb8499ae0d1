"""Compiled passes that serve again where the same computation was compiled before."""

from __future__ import annotations

import hashlib
import importlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

from moments_dnns._backend import compiled

# Graphs of large models take some ten megabytes each.
MOST_KEPT = 4

_kept: dict[str, Any] = {}
_lock = threading.Lock()


def compiled_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of tensors as `_backend.compiled` does, by what was compiled before of the same computation.

    On TensorFlow the function is traced when it is called first, and the graph itself, with all of its operations,
    constants and inner functions, is what an earlier one must equal: so whatever decides what a model computes, code
    and settings of one's own layers too, is compared. Graphs that hold a state, or tensors from outside, are compiled
    anew.

    Args:
        function: The function, whose arguments have the same shapes in all calls.

    Example:

    >>> double = compiled_once(lambda x: 2 * x)
    >>> float(double(keras.ops.ones(())))
    2.0
    """
    run: Any = compiled(function)
    return _CompiledOnce(run) if keras.backend.backend() == "tensorflow" else run


class _CompiledOnce:
    """A function of TensorFlow, traced when it is called first."""

    def __init__(self, function: Any):
        self.function = function
        self.concrete: Any = None

    def __call__(self, *args: Any) -> Any:
        # Variables are read before, so that the function has no state of its own.
        args = keras.tree.map_structure(importlib.import_module("tensorflow").convert_to_tensor, args)
        if self.concrete is None:
            self.concrete = _same(self.function.get_concrete_function(*args))
        return self.concrete(*args)


def _same(concrete: Any) -> Any:
    """Return an earlier function of TensorFlow that computes the same, or this one, which is kept then."""
    if not _is_pure(concrete):
        return concrete
    ends = [tensor.name for tensor in (*concrete.graph.inputs, *concrete.graph.outputs)]
    options = importlib.import_module("tensorflow").config.optimizer.get_experimental_options()
    key = f"{ends} {sorted(options.items())} {graph_hash(concrete.graph.as_graph_def())}"
    with _lock:
        same = _kept.pop(key, concrete)
        _kept[key] = same  # the latest is the last
        for oldest in list(_kept)[:-MOST_KEPT]:
            del _kept[oldest]
    return same


def _is_pure(concrete: Any) -> bool:
    """Tell whether a function of TensorFlow has nothing but its arguments."""
    stateful = (op.op_def.is_stateful for op in concrete.graph.get_operations())
    return not concrete.captured_inputs and not any(stateful)


def graph_hash(graph: Any) -> str:
    """Return the hash of a graph of TensorFlow, whatever the numbers that TensorFlow gives to names of functions.

    Args:
        graph: A `GraphDef`.
    """
    functions = {function.signature.name: function for function in graph.library.function}
    return _nodes_hash(graph.node, functions, {})


def _nodes_hash(nodes: Iterable[Any], functions: Mapping[str, Any], known: dict[str, str]) -> str:
    """Return the hash of operations, with hashes in the places of names of functions.

    Args:
        nodes: The operations, whose attributes are changed.
        functions: The functions, by name.
        known: Hashes of functions, by name, to which those that are called are added.
    """
    digest = hashlib.sha256()
    for node in nodes:
        called = [each for value in node.attr.values() for each in (value.func, *value.list.func) if each.name]
        for each in called:
            if each.name in functions and each.name not in known:
                known[each.name] = _function_hash(functions[each.name], functions, known)
            each.name = known.get(each.name, each.name)
        content = node.SerializeToString(deterministic=True)
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _function_hash(function: Any, functions: Mapping[str, Any], known: dict[str, str]) -> str:
    inner = _nodes_hash(function.node_def, functions, known)
    del function.node_def[:]
    function.signature.name = inner
    return hashlib.sha256(function.SerializeToString(deterministic=True)).hexdigest()
