"""Parameters with a check and a meaning, from which docstrings, tables and the command line are made."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from moments_dnns._validation import Check

Documented = TypeVar("Documented", bound=Callable[..., Any])

LINE_LENGTH = 120


def parameter(check: Check, default: Any = attrs.NOTHING, *, group: str = "", meaning: str = "") -> Any:
    """Return a field of an `attrs` class with a check of its values.

    Args:
        check: A check as in `_validation`; it may convert the value. Its `choices`, if it has any, are the names that
            it accepts.
        default: The default value, if there is one.
        group: The section of the command line's help that lists it.
        meaning: What it means, in sentences; tables and the command line show the first one.

    Returns:
        The field, for the body of a class.

    Example:

    >>> @attrs.frozen
    ... class Network:
    ...     gain: float = parameter(lambda name, value: float(value), 2.0, meaning="Variance of the weights.")
    >>> Network("3").gain
    3.0
    """

    def convert(value: Any, field: attrs.Attribute[Any]) -> Any:
        return check(field.name, value)

    return attrs.field(
        default=default,
        converter=attrs.Converter(convert, takes_field=True),
        metadata={"group": group, "meaning": meaning, "choices": getattr(check, "choices", None)},
    )


def parameters_of(*classes: type) -> dict[str, attrs.Attribute[Any]]:
    """Return the fields of `attrs` classes by name, one class after the other."""
    return {field.name: field for each in classes for field in attrs.fields(each)}


def pick(described: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are fields of an `attrs` class, by name.

    Example:

    >>> pick(attrs.make_class("Network", ["gain"]), {"gain": 2.0, "verbose": True})
    {'gain': 2.0}
    """
    return {name: arguments[name] for name in parameters_of(described)}


def first_sentence(text: str) -> str:
    """Return the first sentence of a text.

    Example:

    >>> first_sentence("Variance of the weights, e.g. 2.0. It is He's.")
    'Variance of the weights, e.g. 2.0.'
    """
    return re.split(r"(?<=\.) (?=[A-Z`])", text, maxsplit=1)[0]


def documented(*classes: type) -> Callable[[Documented], Documented]:
    """Return a decorator that replaces `{parameters}` in a docstring by the section `Args:`.

    Args:
        classes: The `attrs` classes whose fields the arguments are; by default the decorated class.

    Example:

    >>> Network = attrs.make_class("Network", {"gain": parameter(float, meaning="Variance of the weights.")})
    >>> @documented(Network)
    ... def build(gain):
    ...     '''Return a network.
    ...
    ...     {parameters}
    ...     '''
    >>> print(inspect.getdoc(build))
    Return a network.
    <BLANKLINE>
    Args:
        gain: Variance of the weights.
    """

    def write(target: Documented) -> Documented:
        fields = parameters_of(*classes) if classes else parameters_of(target)  # type: ignore[arg-type]
        entries = [f"{name}: {fields[name].metadata['meaning']}" for name in inspect.signature(target).parameters]

        def section(placeholder: re.Match[str]) -> str:
            indent = placeholder[1] + "    "
            wrapped = [
                textwrap.fill(entry, LINE_LENGTH, initial_indent=indent, subsequent_indent=indent + "    ")
                for entry in entries
            ]
            return "\n".join([f"{placeholder[1]}Args:", *wrapped])

        if target.__doc__:  # python -OO removes docstrings
            target.__doc__ = re.sub(r"^( *)\{parameters\}$", section, target.__doc__, flags=re.MULTILINE)
        return target

    return write
