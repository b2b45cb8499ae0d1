"""Checks of single values, and the wording of errors and warnings."""

from __future__ import annotations

import inspect
import math
import numbers
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

# A check takes the name of a parameter and its value, and returns the value, converted if need be, or raises TypeError
# or ValueError.
Check = Callable[[str, Any], Any]


def refusal(expected: str, **received: Any) -> str:
    """Return the message of an error.

    Args:
        expected: What was expected, or what to do instead, as a sentence.
        received: The values that are refused, by name.

    Example:

    >>> refusal("expected an even number.", kernel_size=3)
    'expected an even number. Received: kernel_size=3'
    """
    return f"{expected} Received: " + ", ".join(f"{name}={value!r}" for name, value in received.items())


def whole(minimum: int) -> Check:
    """Return a check that accepts integers of at least `minimum`, NumPy's too; booleans and 10.0 are no integers."""

    def check(name: str, value: Any) -> int:
        expected = f"{name} must be an integer of at least {minimum}."
        # NumPy's arrays have __index__ too, whatever their shape.
        if is_boolean(value) or not isinstance(value, numbers.Integral):
            raise TypeError(refusal(expected, **{name: value}))
        if operator.index(value) < minimum:
            raise ValueError(refusal(expected, **{name: value}))
        return operator.index(value)

    return check


def non_negative(name: str, value: Any) -> float:
    """Check that a value is a finite real number of at least 0, NumPy's too, and return it as a float."""
    expected = f"{name} must be a finite number of at least 0."
    if is_boolean(value) or not isinstance(value, numbers.Real):
        raise TypeError(refusal(expected, **{name: value}))
    try:
        number = float(value)
    except OverflowError:  # an integer may be too large for a float
        number = math.inf
    if not 0 <= number < math.inf:
        raise ValueError(refusal(expected, **{name: value}))
    return number


def positive(name: str, value: Any) -> float:
    """Check that a value is a finite real number above 0, NumPy's too, and return it as a float."""
    number = non_negative(name, value)
    if not number:
        raise ValueError(refusal(f"{name} must be above 0.", **{name: value}))
    return number


def one_of(known: Iterable[str]) -> Check:
    """Return a check that accepts the known names only; they are its `choices`."""
    names = tuple(known)

    def check(name: str, value: Any) -> str:
        expected = f"{name} must be one of {', '.join(map(repr, names))}."
        if not isinstance(value, str):
            raise TypeError(refusal(expected, **{name: value}))
        if value not in names:
            raise ValueError(refusal(expected, **{name: value}))
        return value

    check.choices = names  # type: ignore[attr-defined]
    return check


def optional(check: Check) -> Check:
    """Return a check that accepts None and the values of another check.

    Example:

    >>> optional(whole(1))("width", None), optional(whole(1))("width", 3)
    (None, 3)
    """

    def check_or_none(name: str, value: Any) -> Any:
        return None if value is None else check(name, value)

    return check_or_none


def require(*conditions: tuple[object, str, Mapping[str, Any]]) -> None:
    """Refuse values that do not fit each other.

    Args:
        conditions: Triples of whether a condition holds, the sentence that states it, and the values received.

    Raises:
        ValueError: At the first condition that does not hold.

    Example:

    >>> require((True, "expected more.", {}), (3 > 4, "width must be above height.", {"width": 3, "height": 4}))
    Traceback (most recent call last):
    ...
    ValueError: width must be above height. Received: width=3, height=4
    """
    for holds, expected, received in conditions:
        if not holds:
            raise ValueError(refusal(expected, **received))


def text(name: str, value: Any) -> str:
    """Check that a value is a string that is not empty, and return it."""
    expected = f"{name} must be a string that is not empty."
    if not isinstance(value, str):
        raise TypeError(refusal(expected, **{name: value}))
    if not value:
        raise ValueError(refusal(expected, **{name: value}))
    return value


def boolean(name: str, value: Any) -> bool:
    """Check that a value is True or False, NumPy's too, and return it as a bool."""
    if not is_boolean(value):
        raise TypeError(refusal(f"{name} must be True or False.", **{name: value}))
    return bool(value)


def is_boolean(value: Any) -> bool:
    """Return whether a value is True or False, Python's or NumPy's."""
    return isinstance(value, bool | np.bool_)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning that points at the line of the user's code that called this library."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def cause(error: BaseException) -> str:
    r"""Return what is at the root of an error in one line, without what Keras puts around it.

    Example:

    >>> cause(TypeError("Exception encountered when calling LSTM.call().\n\n\x1b[1mno derivative\x1b[0m"))
    'TypeError: no derivative'
    """
    lines = [line.strip() for line in re.sub("\x1b\\[[0-9;]*m", "", str(error)).splitlines()]
    own = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return f"{type(error).__name__}: {own[0] if own else ''}".strip()
