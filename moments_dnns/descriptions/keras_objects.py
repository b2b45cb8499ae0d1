"""Activations and initializers as text, which descriptions can hold, and the objects that the text stands for."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable
from types import FunctionType
from typing import Any

from moments_dnns._validation import Check, refusal

from .function_hash import function_hash

# The names that Keras knows, and our own; a test compares them with Keras. `glu` is missing, because it halves the
# number of channels.
ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
)  # fmt: skip

INITIALIZERS = (
    "gaussian", "delta_orthogonal", "constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
    "identity", "lecun_normal", "lecun_uniform", "normal", "one", "ones", "orthogonal", "random_normal",
    "random_uniform", "truncated_normal", "uniform", "variance_scaling", "zero", "zeros",
)  # fmt: skip

NAMES = {"activation": ACTIVATIONS, "kernel_initializer": INITIALIZERS}

# What else is accepted, in messages.
EXPECTED = {
    "activation": "a name, a keras.layers activation layer, or a function of one tensor",
    "kernel_initializer": "a name, or a keras.initializers.Initializer",
}

# Our own initializers, by the names under which `layers.weights` registers them with Keras.
OWN = {"delta_orthogonal": "moments_dnns>DeltaOrthogonal"}

# The text of a function that can be imported, `module:qualname`, and of one that cannot, its name and hash.
IMPORTABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
LOCAL = re.compile(r"\S+-[0-9a-f]{12}")

# Settings that are left out: Keras numbers its names, and seeds come from the realizations.
LEFT_OUT = {"activation": ("name", "trainable", "dtype"), "kernel_initializer": ("seed",)}

_functions: dict[str, Callable[..., Any]] = {}  # the functions of this process that cannot be imported, by their text


def specified(kind: str) -> Check:
    """Return a check that accepts the text of an activation or an initializer, and brings JSON into one form.

    Args:
        kind: `"activation"` or `"kernel_initializer"`.

    Example:

    >>> specified("activation")("activation", "relu")
    'relu'
    >>> specified("activation")("activation", "rel")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: activation must be one of 'celu', ... Received: activation='rel'
    """

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(refusal(f"{name} must be {EXPECTED[kind]}.", **{name: value}))
        if value in NAMES[kind]:
            return value
        if value.startswith("{"):
            return _canonical(kind, name, value)
        if kind == "activation" and (IMPORTABLE.fullmatch(value) or LOCAL.fullmatch(value)):
            return value
        known = ", ".join(map(repr, NAMES[kind]))
        form = ", 'module:function'" * (kind == "activation")
        raise ValueError(
            refusal(f"{name} must be one of {known}{form}, or the JSON of a Keras object's config.", **{name: value})
        )

    return check


def _canonical(kind: str, name: str, value: str) -> str:
    """Return the JSON of a Keras object with sorted keys and without the settings in `LEFT_OUT`."""
    expected = f"{name} must be the JSON of a Keras object, as keras.saving.serialize_keras_object gives it."
    try:
        fields = json.loads(value)
    except ValueError as error:
        raise ValueError(refusal(expected, **{name: value})) from error
    if not (isinstance(fields.get("class_name"), str) and isinstance(config := fields.get("config"), dict)):
        raise ValueError(refusal(expected, **{name: value}))
    fields["config"] = {option: setting for option, setting in config.items() if option not in LEFT_OUT[kind]}
    kept = {key: fields[key] for key in ("module", "class_name", "config", "registered_name") if key in fields}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"))


def specification(kind: str, value: Any) -> str:
    """Return the text of an activation or an initializer, for `resolve`.

    Args:
        kind: `"activation"` or `"kernel_initializer"`.
        value: A name; a Keras activation layer or initializer; for an activation, also a function of one tensor on
            `keras.ops`.

    Returns:
        The name; the JSON of a Keras object; `"module:qualname"` of a function that can be imported. The text of any
        other function, such as a lambda, is its name and a hash of its source (see `function_hash`); only processes
        in which this function was called on it can resolve that.

    Raises:
        TypeError, ValueError: If it is anything else.

    Example:

    >>> specification("activation", lambda x: x * x)  # doctest: +ELLIPSIS
    '<lambda>-...'
    """
    if isinstance(value, str):
        return str(specified(kind)(kind, value))
    if hasattr(value, "get_config") and not inspect.isclass(value):
        return _of_keras_object(kind, value)
    if kind == "activation" and inspect.isfunction(value):
        return _of_function(value)
    raise TypeError(refusal(f"{kind} must be {EXPECTED[kind]}.", **{kind: value}))


def _of_keras_object(kind: str, value: Any) -> str:
    import keras

    expected = keras.layers.Layer if kind == "activation" else keras.initializers.Initializer
    if not isinstance(value, expected):
        raise TypeError(refusal(f"{kind} must be {EXPECTED[kind]}.", **{kind: value}))
    fields = keras.saving.serialize_keras_object(value)
    try:
        return str(specified(kind)(kind, json.dumps(fields)))
    except TypeError as error:
        raise TypeError(refusal(f"{kind} must have a config that is JSON: {error}.", **{kind: value})) from error


def _of_function(function: FunctionType) -> str:
    name = function.__name__
    if name in ACTIVATIONS and _is_keras(function):
        return name
    text = f"{function.__module__}:{function.__qualname__}"
    # In another process, `__main__` is another module.
    if function.__module__ != "__main__" and IMPORTABLE.fullmatch(text):
        try:
            if _imported(text) is function:
                return text
        except (ImportError, AttributeError):
            pass
    text = f"{function.__qualname__.rpartition('.')[-1]}-{function_hash(function)}"
    remember(text, function)
    return text


def _is_keras(function: FunctionType) -> bool:
    import keras

    return keras.activations.get(function.__name__) is function


def local_function(text: str) -> Callable[..., Any]:
    """Return the function of this process that cannot be imported and has a text.

    Raises:
        ValueError: If it is not known in this process.
    """
    try:
        return _functions[text]
    except KeyError as error:
        raise ValueError(
            refusal(
                "the function is not known in this process: pass it again, or give one that can be imported.",
                activation=text,
            )
        ) from error


def remember(text: str, function: Callable[..., Any]) -> None:
    """Let `resolve` know a function that cannot be imported, in another process than that which wrote its text.

    Args:
        text: What `specification` returned.
        function: The function.
    """
    _functions[text] = function


def is_local(text: str) -> bool:
    """Return whether a text stands for a function that cannot be imported, so that it must travel to other processes.

    Example:

    >>> is_local(specification("activation", lambda x: x)), is_local("relu")
    (True, False)
    """
    return LOCAL.fullmatch(text) is not None


def resolve(kind: str, text: str) -> Any:
    """Return the object that a text stands for: the function or layer of an activation, or an initializer.

    Args:
        kind: `"activation"` or `"kernel_initializer"`.
        text: What `specification` returned.

    Raises:
        ValueError: If this process cannot make it; the message says what to do.

    Example:

    >>> resolve("activation", specification("activation", abs_of := lambda x: np.abs(x))) is abs_of
    True
    """
    import keras

    if is_local(text):
        return local_function(text)
    try:
        if IMPORTABLE.fullmatch(text):
            return _imported(text)
        if text.startswith("{"):
            return keras.saving.deserialize_keras_object(json.loads(text))
        if text in OWN:
            return keras.saving.get_registered_object(OWN[text])()
    except Exception as error:  # of any kind: the user's own module or class is executed
        raise ValueError(refusal(f"{kind} cannot be made here: {error}.", **{kind: text})) from error
    return {"activation": keras.activations.get, "kernel_initializer": keras.initializers.get}[kind](text)


def _imported(text: str) -> Any:
    module, _, name = text.partition(":")
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value
