"""Docstrings of plot functions: complete, whatever is written once and shared."""

import inspect

import pytest

import moments_dnns
from moments_dnns.plots import plot_figure
from moments_dnns.plots.docstrings import with_shared_docstring

FUNCTIONS = [getattr(moments_dnns, name) for name in moments_dnns.__all__ if name.startswith("plot_")] + [plot_figure]
SECTIONS = ["Args:", "Returns:", "Raises:", "Example:", "Reference:"]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_help_tells_all(function):
    lines = inspect.getdoc(function).splitlines()
    headings = [line for line in lines if line.partition(" ")[0] in SECTIONS]
    assert [line.partition(" ")[0] for line in headings] == SECTIONS
    arguments = lines[lines.index("Args:") : lines.index("Returns:")]
    described = [line.partition(":")[0].strip() for line in arguments if line.startswith("    ") and line[4] != " "]
    assert described == list(inspect.signature(function).parameters)
    assert not any("as `plot" in line or len(line) > 120 for line in lines)


def test_what_a_function_describes_itself_is_kept():
    @with_shared_docstring
    def plot(moments, path, *, own):
        """Draw.

        Args:
            own: Of its own,
                in two lines.
            moments: Other moments.

        Raises:
            KeyError: Always.
        """

    assert plot.__doc__.startswith("Draw.\n\nArgs:\n    moments: Other moments.\n    path: Where")
    assert "\n    own: Of its own,\n        in two lines.\n\nReturns:\n" in plot.__doc__
    assert plot.__doc__.endswith("\n\nRaises:\n    KeyError: Always.")


def test_functions_without_docstrings_stay_so():
    def plot(moments):
        pass

    assert with_shared_docstring(plot).__doc__ is None
