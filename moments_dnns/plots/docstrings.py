"""The arguments and sections that the docstrings of all plot functions share, written once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

SECTIONS = ("Args", "Returns", "Raises", "Example", "Reference")

SHARED_ARGS = {
    "moments": """\
    moments: `Moments`, or any mapping from names to arrays of shape (num_realizations, num_computations), pruned or
        not, with `depth` of shape (num_computations,). Or several of these over one another: a mapping from their
        labels in the legend; colours then distinguish experiments, and dashes curves.""",
    "theory": """\
    theory: Whether theory is drawn too, as dotted lines, of `Moments` of an experiment: infinitely wide networks for
        the experiment's own batches, and the growth in the activation that follows from the measured nu1. The legend
        distinguishes exact, approximate and asymptotic theory; a warning names curves that have none.""",
    "path": """\
    path: Where to save the figure too: a file name in .pdf, .png or .svg. Missing folders are made.""",
    "use_tex": """\
    use_tex: Whether LaTeX sets the text, where it is installed.""",
}

SHARED_SECTIONS = {
    "Returns": """\
Returns:
    The Matplotlib figure, which pyplot does not know: there is nothing to close, and notebooks show it.""",
    "Raises": """\
Raises:
    TypeError: If `moments` is not a mapping, an array does not hold real numbers, or a label is not a string.
    ValueError: If arrays are missing, shapes do not match, a label is empty, theory is asked for where `moments` do
        not know their experiment, the suffix of `path` is another, or LaTeX is asked for and not installed.""",
}


def with_shared_docstring(function: Function) -> Function:
    """Return a plot function whose docstring is completed by the shared arguments and sections that it lacks.

    Example:

    >>> @with_shared_docstring
    ... def plot(path):
    ...     '''Draw.'''
    >>> plot.__doc__.splitlines()[2:4]
    ['Args:', '    path: Where to save the figure too: a file name in .pdf, .png or .svg. Missing folders are made.']
    """
    docstring = inspect.getdoc(function)
    if docstring is None:  # python -OO removes docstrings
        return function
    description, *own = re.split(rf"\n\n(?=(?:{'|'.join(SECTIONS)}):)", docstring)
    sections = {**SHARED_SECTIONS, **{section.partition(":")[0]: section for section in own}}
    entries = re.split(r"\n(?=    \w+: )", sections.get("Args", "Args:"))[1:]
    described = {**SHARED_ARGS, **{entry.partition(":")[0].strip(): entry for entry in entries}}
    sections["Args"] = "\n".join(["Args:", *(described[name] for name in inspect.signature(function).parameters)])
    function.__doc__ = "\n\n".join([description, *(sections[name] for name in SECTIONS if name in sections)])
    return function
