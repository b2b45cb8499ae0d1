"""The API reference: every public name of a room, from its docstring, whose Markdown becomes reStructuredText.

The lists of names are the stubs of the package, so that no page repeats them.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from formulas import latex
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

CODE = re.compile(r"`([^`]+)`")
PROMPT = re.compile(r"\s*(>>>|\.\.\. |\.\.\.$)")


class Api(SphinxDirective):
    """All public names of a room: ```{api} moments_dnns.layers```."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the documentation of each name."""
        room = self.arguments[0]
        lines = ["```{eval-rst}", *_entries(room), "```"]
        node = nodes.section()
        node.document = self.state.document
        self.state.nested_parse(StringList(lines, source=f"api of {room}"), self.content_offset, node)
        return node.children


def _entries(room: str) -> Iterator[str]:
    module = importlib.import_module(room)
    for name in sorted(getattr(module, "__all__", None) or _defined(module), key=str.lower):
        value = getattr(module, name)
        if inspect.ismodule(value):
            continue
        kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
        yield f".. auto{kind}:: {room}.{name}"
        if kind == "class":
            yield "   :members:"
        if kind == "data":
            yield "   :no-value:"
        yield ""


def _defined(module: Any) -> list[str]:
    """Return the functions and classes that a plain module defines itself."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and value.__doc__
    ]


def to_rst(lines: list[str]) -> list[str]:
    r"""Return a docstring with code in double backticks, formulas set, and nothing else that means markup.

    Example:

    >>> to_rst(["Formula: `y = f(x)`.", "", "A square x**2 of `x`."])
    ['Formula: :math:`y = f(x)`.', '', 'A square x\\*\\*2 of ``x``.']
    """
    formula, result, example = False, [], False
    for line in _whole_code(lines):
        if PROMPT.match(line):
            example = True
        elif not line.strip():
            example = formula = False
        if example:
            result.append(line)
            continue
        formula = formula or line.lstrip().startswith("Formula")
        result.append(_line(line, formula))
        formula = formula and bool(line.strip())
    return result


def _whole_code(lines: list[str]) -> Iterator[str]:
    """Yield the lines, joined where code goes on in the next one."""
    waiting = ""
    for line in lines:
        waiting = f"{waiting} {line.strip()}" if waiting else line
        if waiting.count("`") % 2 == 0:
            yield waiting
            waiting = ""
    if waiting:
        yield waiting


def _line(line: str, formula: bool) -> str:
    text = ""
    for i, part in enumerate(CODE.split(line)):
        if i % 2 == 0:
            escaped = re.sub(r"([*|])", r"\\\1", re.sub(r"(\w)_(?!\w)", r"\1\\_", part))
            # Markup must not touch a letter, as in `Step`s.
            text += f"\\ {escaped}" if i and part[:1].isalnum() else escaped
        else:
            text += f":math:`{latex(part)}`" if formula and '"' not in part else f"``{part}``"
    return text


def _process(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    # A constant has the docstring of its class.
    lines[:] = [] if what == "data" else to_rst(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the conversion, before napoleon's."""
    app.add_directive("api", Api)
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True}
