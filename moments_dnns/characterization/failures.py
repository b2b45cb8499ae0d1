"""What an error of a backend says of a model, and the way out."""

from __future__ import annotations

import re

import keras

# What the errors of backends say, and what a user can do.
UNTRACEABLE = {
    r"Python `bool`|TracerBool|used as a boolean": (
        "expected a call that does not decide by values of tensors: keras.ops.cond, where and while_loop do"
    ),
    r"numpy\b|NumPy|TracerArray": (
        "expected a call that Keras can look into: NumPy has no derivative, keras.ops and functions of the backend have"
    ),
    r"add new elements of state": "expected a built model: call it once on a batch",
    # Of tensors of one library in functions of the other.
    r"_error_repr|a valid JAX type|be converted to a Tensor|Unsupported type": (
        "expected layers that run on the backend; lookups and hashing run on TensorFlow alone: give what they return "
        "to a model of the layers behind them"
    ),
}
UNDIFFERENTIABLE = {
    r"registry has no entry|no gradient defined|custom_vjp|forward AD|not (yet )?implemented|while_loop.*reverse": (
        "expected layers that the backend can differentiate; another one may (KERAS_BACKEND=jax, tensorflow or torch)"
    ),
    r"RESOURCE_EXHAUSTED|ResourceExhausted|OOM|[Oo]ut of memory|allocate memory": (
        "the model and its derivative do not fit into memory: take fewer or smaller inputs"
    ),
}


def untraceable(error: Exception) -> str:
    """Return what was expected of a model that a backend cannot trace.

    Example:

    >>> untraceable(TypeError("Using a symbolic `tf.Tensor` as a Python `bool` is not allowed."))
    'expected a call that does not decide by values of tensors: keras.ops.cond, where and while_loop do'
    """
    return _way_out(error, UNTRACEABLE) or (
        "expected a built model whose call Keras can look into: made of layers, keras.ops and functions of the "
        f"backend, {keras.backend.backend()}"
    )


def undifferentiable(error: Exception) -> str:
    """Return what was expected of a model whose derivative a backend cannot compute.

    Example:

    >>> undifferentiable(LookupError("gradient registry has no entry for: Unique"))
    'expected layers that the backend can differentiate; another one may (KERAS_BACKEND=jax, tensorflow or torch)'
    """
    return _way_out(error, UNDIFFERENTIABLE) or "expected a model that runs together with its derivative"


def _way_out(error: Exception, ways: dict[str, str]) -> str | None:
    message = f"{type(error).__name__}: {error}"
    return next((way for phrase, way in ways.items() if re.search(phrase, message)), None)
