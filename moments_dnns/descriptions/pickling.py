"""Functions and classes that other processes cannot import, such as those of a notebook, on their way there."""

from __future__ import annotations

import json
import sys
from typing import Any

import cloudpickle

from .keras_objects import is_local, local_function, remember


def packed(*texts: str) -> bytes | None:
    """Return what another process must have to resolve texts of activations and initializers, as bytes.

    Args:
        texts: What `specification` returned.

    Returns:
        Pickled functions and classes; None where names are enough.

    Raises:
        ValueError: If a function is not known in this process.

    Example:

    >>> from moments_dnns.descriptions.keras_objects import specification
    >>> packed("relu"), type(packed(specification("activation", lambda x: x * x)))
    (None, <class 'bytes'>)
    """
    functions = {text: local_function(text) for text in texts if is_local(text)}
    classes = {name: found for text in texts if text.startswith("{") for name, found in _classes(text).items()}
    pickled: bytes = cloudpickle.dumps((functions, classes))
    return pickled if functions or classes else None


def unpack(pickled: bytes) -> None:
    """Let `resolve` know what `packed` returned in another process."""
    functions, classes = cloudpickle.loads(pickled)
    for text, function in functions.items():
        remember(text, function)
    if classes:
        import keras

        keras.saving.get_custom_objects().update(classes)


def _classes(text: str) -> dict[str, type[Any]]:
    """Return the class of a Keras object, by the name under which Keras looks for it, unless it is one of Keras'."""
    import keras

    fields = json.loads(text)
    name = fields.get("registered_name") or fields["class_name"]
    known = keras.saving.get_registered_object(name)
    if known is None and fields.get("module") == "__main__":
        known = getattr(sys.modules["__main__"], fields["class_name"], None)
    return {} if known is None else {name: known}
