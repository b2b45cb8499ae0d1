"""A hash for functions that cannot be imported, the same in every process and under every version of Python."""

from __future__ import annotations

import ast
import hashlib
import linecache
import symtable
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

Definition = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef

# Fields of syntax trees on which no value of a function depends.
UNIMPORTANT = ("annotation", "returns", "type_comment")


def function_hash(function: FunctionType) -> str:
    """Return 12 hexadecimal digits that differ for functions that compute different values.

    They are a hash of the syntax of the function's source (comments, annotations and formatting do not matter), of its
    default values, and of the plain values (numbers, text, tuples) of variables outside of it that it refers to.
    Where there is no source, as in `python -c`, or the file has changed since, the bytecode stands for the syntax; it
    differs between versions of Python.

    Args:
        function: A `lambda` or a `def`.

    Example:

    >>> function_hash(lambda x: x + 1) == function_hash(lambda x: x+1)  # the same
    True
    >>> function_hash(lambda x: x + 1) == function_hash(lambda x: x + 2)
    False
    """
    return hashlib.sha256(repr(list(_content(function))).encode()).hexdigest()[:12]


def _content(function: FunctionType) -> Iterator[Any]:
    code, definition = function.__code__, _definition(function)
    if definition is None:
        yield from bytecode(code)
        names = {name for each in _nested(code) for name in each.co_names}
    else:
        yield code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], _syntax(_body(definition))
        names = _global_names(definition)
    yield [_plain(value) for value in function.__defaults__ or ()]
    yield [(name, _plain(value)) for name, value in sorted((function.__kwdefaults__ or {}).items())]
    known = {**function.__globals__, **_closure(function)}
    yield [(name, _plain(known[name])) for name in sorted({*names, *code.co_freevars}) if name in known]


def bytecode(code: CodeType) -> Iterator[Any]:
    """Yield what a function and those within it do: instructions, names and constants."""
    for each in _nested(code):
        yield each.co_code, each.co_names, [part for part in each.co_consts if not isinstance(part, CodeType)]


def _closure(function: FunctionType) -> dict[str, Any]:
    """Return the variables of enclosing functions that a function refers to, by name, if they have values by now."""
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            continue
    return values


def _plain(value: Any) -> Any:
    """Return a plain value as it is, of any other the name of its type: its text may differ between processes."""
    return value if isinstance(value, bool | int | float | str | tuple) else type(value).__name__


def _nested(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all code objects within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _definition(function: FunctionType) -> Definition | None:
    """Return the syntax tree of a function, or None where there is no source or it has changed since."""
    code = function.__code__
    source = "".join(linecache.getlines(code.co_filename, function.__globals__))
    try:
        tree = ast.parse(source)
        compiled = compile(source, code.co_filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    if code not in _nested(compiled):
        return None
    candidates = [
        node
        for node in ast.walk(tree)
        if isinstance(node, Definition)
        and getattr(node, "name", "<lambda>") == code.co_name
        and _first_line(node) == code.co_firstlineno
    ]
    return candidates[0] if len(candidates) == 1 else _innermost(candidates, code)


def _first_line(node: Definition) -> int:
    return min(part.lineno for part in (node, *getattr(node, "decorator_list", ())))


def _innermost(candidates: list[Definition], code: CodeType) -> Definition | None:
    """Return the one of several lambdas on a line to which a code object belongs, or None if that cannot be decided."""
    spans = [
        ((line, column), (last_line, last_column))
        for line, last_line, column, last_column in code.co_positions()
        # Some instructions have no position, or an empty one at the beginning of the line.
        if line and last_line and column is not None and last_column
    ]
    around = [
        node
        for node in candidates
        if isinstance(node, ast.Lambda)
        and all(_start(node.body) <= start and end <= _end(node.body) for start, end in spans)
    ]
    return max(around, key=lambda node: _start(node.body), default=None) if spans else None


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _body(definition: Definition) -> ast.expr | list[ast.stmt]:
    """Return the body of a function: an expression, or statements without the docstring."""
    if isinstance(definition, ast.Lambda):
        return definition.body
    return definition.body[ast.get_docstring(definition) is not None :]


def _syntax(node: Any) -> Any:
    """Return a syntax tree as lists, without positions, and without empty fields, which newer Pythons add."""
    if isinstance(node, list):
        return [_syntax(each) for each in node]
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return [type(node).__name__, *((name, _syntax(value)) for name, value in fields if name not in UNIMPORTANT)]


def _global_names(definition: Definition) -> set[str]:
    """Return the global names that a function, or a function within it, refers to."""
    tables = [symtable.symtable(ast.unparse(definition), "<function>", "exec")]
    names = set()
    for table in tables:
        tables += table.get_children()
        if isinstance(table, symtable.Function):
            names |= set(table.get_globals())
    return names
