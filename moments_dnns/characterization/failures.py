"""What an error of a backend says of a model, and the way out."""

from __future__ import annotations

import re

import keras

from moments_dnns._validation import cause

# What the errors of backends say, and what a user can do.
UNTRACEABLE = {
    r"Python `bool`|TracerBool|used as a boolean": (
        "expected a call that does not decide by values of tensors: keras.ops.cond, where and while_loop do"
    ),
    r"numpy array|NumPy|[.]numpy|TracerArray": (
        "expected a call that Keras can look into: keras.ops and functions of the backend have derivatives, NumPy has "
        "none, and lookups and hashing run on TensorFlow alone"
    ),
    r"add new elements of state": "expected a built model: call it once on a batch",
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

    >>> untraceable(TypeError("Using a symbolic `tf.Tensor` as a Python `bool`"))  # doctest: +ELLIPSIS
    '...: keras.ops.cond, where and while_loop do (TypeError: Using a symbolic `tf.Tensor` as a Python `bool`).'
    """
    return _with_way_out(
        error,
        UNTRACEABLE,
        "expected a built model whose call Keras can look into: made of layers, keras.ops and functions of the "
        f"backend, {keras.backend.backend()}",
    )


def undifferentiable(error: Exception) -> str:
    """Return what was expected of a model whose derivative a backend cannot compute.

    Example:

    >>> undifferentiable(ValueError("shapes"))
    'expected a model that runs together with its derivative (ValueError: shapes).'
    """
    return _with_way_out(error, UNDIFFERENTIABLE, "expected a model that runs together with its derivative")


def _with_way_out(error: BaseException, ways: dict[str, str], otherwise: str) -> str:
    """Return the way out of an error, or of one that it came from, and the error as its cause."""
    each: BaseException | None = error
    while each is not None:
        message = f"{type(each).__name__}: {each}"
        for phrase, way in ways.items():
            if re.search(phrase, message):
                return f"{way} ({cause(each)})."
        each = each.__cause__ or each.__context__
    return f"{otherwise} ({cause(error)})."
