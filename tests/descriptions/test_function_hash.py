"""Hashes of functions: the same for the same computation, whatever compiled it."""

import importlib.util
import itertools
import linecache

import pytest

from moments_dnns.descriptions.function_hash import function_hash

COUNT = itertools.count()


def defined(source, tmp_path):
    """Return the `f` of a module with that source, as a user's file that is imported."""
    path = tmp_path / f"source_{next(COUNT)}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.f


def hash_of(source, tmp_path):
    return function_hash(defined(source, tmp_path))


# Source and hash, which holds under every Python from 3.11 to 3.14: computed once, under 3.11, 3.12 and 3.13.
KNOWN = {
    "f = lambda x: x * x": "28e4b92ea8c1",
    "f = lambda x, k=0.5: max(x, -k)": "5faa52760933",
    "import math\nfactor = 3\nf = lambda x: (lambda y: [math.sin(z) for z in y])(x * factor)": "2927b0814773",
    "def f(x, *, power=(1, 2)):\n    if x is None:\n        return 'none'\n    return x[power[0], ..., 1:]": (
        "439865fdd11c"
    ),
}


@pytest.mark.parametrize(("source", "expected"), KNOWN.items())
def test_known_hashes(source, expected, tmp_path):
    assert hash_of(source, tmp_path) == expected


SAME = [
    ["f = lambda x: x * 2", "# why\n\nf = (lambda x :\n    x*2)  # comment", "g, f = lambda x: x / 2, lambda x: x * 2"],
    [
        "def f(x):\n    return abs(x)",
        "def f(x: float) -> float:\n    '''Docstring.'''\n    # comment\n    return abs(x)",
        "def f(x):\n\n    return (\n        abs( x ))",
    ],
    ["f = lambda x, k=0.5: x * k", "HALF = 0.5\nf = lambda x, k=HALF: x * k", "f = lambda x, k=1 / 2: x * k"],
    ["s = 2\nf = lambda x: x * s", "def make(s):\n    return lambda x: x * s\nf = make(2)"],
    # A name of an attribute, and one that is bound within, are no names of the module.
    ["import math\nf = lambda x: math.sin(x)", "import math\nsin = 3\nf = lambda x: math.sin(x)"],
    ["f = lambda x: [y for y in x]", "y = 3\nf = lambda x: [y for y in x]"],
]

DIFFERENT = [
    [
        "f = lambda x: x * 2",
        "f = lambda x: x * 3",
        "f = lambda x: x + 2",
        "f = lambda x: 2 * x",
        "f = lambda *x: x * 2",
    ],
    [
        "f = lambda x, k=1: x * k",
        "f = lambda x, k=2: x * k",
        "f = lambda x, *, k=1: x * k",
        "k = 1\nf = lambda x: x * k",
    ],
    ["s = 2\nf = lambda x: x * s", "s = 3\nf = lambda x: x * s", "s = 'a'\nf = lambda x: x * s"],
    ["s = 2\nf = lambda x: (lambda y: y * s)(x)", "s = 3\nf = lambda x: (lambda y: y * s)(x)"],
    # Several on one line, beside and within each other.
    [
        f"a, b, c = lambda x: x, lambda x: -x, lambda x: lambda x: x + 1\nf = {which}"
        for which in ("a", "b", "c", "c(0)")
    ],
    [
        "a, b = (lambda x: 'é' + x), (lambda x: 'ü' + x)\nf = a",
        "a, b = (lambda x: 'é' + x), (lambda x: 'ü' + x)\nf = b",
    ],
    ["f = lambda x, k=lambda y: 1: x", "f = (lambda g: g)(lambda x: x * 2)", "f = lambda x: None"],
]


@pytest.mark.parametrize("sources", SAME)
def test_what_does_not_matter(sources, tmp_path):
    assert len({hash_of(source, tmp_path) for source in sources}) == 1


@pytest.mark.parametrize("sources", DIFFERENT)
def test_what_matters(sources, tmp_path):
    assert len({hash_of(source, tmp_path) for source in sources}) == len(sources)


def test_without_source_the_bytecode_counts():
    def run(source):
        names = {}
        exec(compile(source, "<nowhere>", "exec"), names)
        return function_hash(names["f"])

    assert run("f = lambda x: x * 2") == run("# comment\nf = lambda x: x * 2")
    assert len({run(f"s = {s}\nf = lambda x: x * s + {c}") for s in (1, 2) for c in (3, 4)}) == 4
    assert len({run(f"f = lambda x, k={k}: [y + {c} for y in x]") for k in (1, 2) for c in (3, 4)}) == 4


def test_a_source_that_was_changed_since_is_not_taken(tmp_path):
    function = defined("f = lambda x: x * 2", tmp_path)
    path = next(tmp_path.iterdir())
    before = function_hash(function)
    path.write_text("f = lambda x: x * 3")
    linecache.checkcache(str(path))
    after = function_hash(function)
    assert after not in (before, hash_of("f = lambda x: x * 3", tmp_path))


def test_a_variable_that_is_not_set_yet(tmp_path):
    source = "def make():\n    f = lambda x: x * s\n    global h\n    h = hash_it(f)\n    s = 2\n    return f\n"
    names = {"hash_it": function_hash}
    exec(compile(source, "<nowhere>", "exec"), names)
    names["make"]()
    assert len(names["h"]) == 12
