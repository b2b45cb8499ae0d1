"""The house: imports run downward, importing changes nothing, and everything public is documented."""

import ast
import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import moments_dnns

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "moments_dnns"

# From the ground up: a module may import from the floors below its own only.
FLOORS = [
    set(names.split())
    for names in (
        "analysis cli devices estimates files moments pixels provenance ticks validation",
        (
            "architectures canvas closed_forms convergence data descriptions exponents folders graphs kernels "
            "narrow published specifications state"
        ),
        (
            "activation boundaries characterization experiment feeding figures measurement normalized randomness "
            "reinitialization"
        ),
        "initializers normalization reading record summaries theory",
        "findings generations labelled layers predictions",
        "diagnosis lifting overlays profiles resizing results store",
        "memory network panels walking",
        "plotting realizations",
        "execution layer_plots models",
        "simulation",
    )
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}

# The libraries that take long to import, and where that may happen: at the top of a module, or within a function.
AT_THE_TOP = {
    "keras": {
        *("devices", "state", "boundaries", "randomness", "initializers", "layers", "activation", "normalization"),
        *("resizing", "measurement", "network", "lifting", "graphs", "feeding", "reinitialization", "walking"),
        *("models",),
    },
    "matplotlib": {"plotting", "layer_plots", "canvas", "panels", "ticks"},
}
IN_A_FUNCTION = {
    "keras": {"data", "realizations", "simulation", "specifications"},
    "pandas": {"labelled"},
    "xarray": {"labelled"},
}
BACKENDS = {"tensorflow", "jax", "jaxlib", "torch"}


def parsed(path):
    """Return the syntax tree of a module, without what only type checkers see."""
    tree = ast.parse(path.read_text())
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return tree


MODULES = {path.stem: parsed(path) for path in PACKAGE.glob("*.py")}
DOORS = {path.stem: parsed(path) for path in ROOT.glob("*.py") if path.stem != "conftest"}
ALL = {**MODULES, **DOORS}


def imported(node):
    """Return the full names of what an import statement imports; those of the package begin with a dot."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{'.' * node.level}{node.module or node.names[0].name}"]


def imports(tree):
    return [name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for name in imported(node)]


def top_imports(tree):
    return [name for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for name in imported(node)]


def libraries(names):
    return {name.partition(".")[0] for name in names if not name.startswith(".")}


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_every_module_has_a_floor():
    assert set(MODULES) - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("module", sorted(FLOOR))
def test_imports_run_downward(module):
    assert all(name.startswith(".") for name in imports(MODULES[module]) if "moments_dnns" in name)
    below = {name.lstrip(".") for name in imports(MODULES[module]) if name.startswith(".")}
    upward = {name for name in below if FLOOR.get(name, len(FLOORS)) >= FLOOR[module]}
    assert not upward, f"{module} must not import {upward}"


@pytest.mark.parametrize("module", sorted(ALL))
def test_heavy_libraries_are_imported_where_they_belong(module):
    top, anywhere = libraries(top_imports(ALL[module])), libraries(imports(ALL[module]))
    assert not anywhere & BACKENDS
    assert not anywhere & set(DOORS)
    for library in {*AT_THE_TOP, *IN_A_FUNCTION}:
        assert library not in top or module in AT_THE_TOP.get(library, set())
        assert library not in anywhere - top or module in IN_A_FUNCTION.get(library, set())


@pytest.mark.parametrize("module", sorted(ALL))
def test_modules_are_plain(module):
    for node in ast.walk(ALL[module]):
        assert not isinstance(node, ast.Assert), "asserts vanish under python -O: raise an error"
        assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*")
    assert len(ast.unparse(ALL[module]).splitlines()) <= 300
    for function in functions(ALL[module]):
        documented = ast.get_docstring(function) is not None
        assert sum(len(ast.unparse(node).splitlines()) for node in function.body[documented:]) <= 50, function.name


@pytest.mark.parametrize("name", moments_dnns.__all__)
def test_every_public_name_is_documented(name):
    documented = getattr(moments_dnns, name)
    assert documented.__module__.startswith("moments_dnns.") if callable(documented) else documented
    if callable(documented):
        doc = inspect.getdoc(documented)
        assert doc.partition("\n")[0].endswith((".", ":"))
        parameters = set(inspect.signature(documented).parameters) - {"args", "kwargs"}
        assert not parameters or "Args:" in doc or "Args, " in doc or "Call arguments:" in doc


@pytest.mark.parametrize("module", sorted(ALL))
def test_everything_without_an_underscore_has_a_docstring(module):
    assert ast.get_docstring(ALL[module])
    classes = [node for node in ast.walk(ALL[module]) if isinstance(node, ast.ClassDef)]
    nested = {inner for function in functions(ALL[module]) for inner in functions(function) if inner is not function}
    bare = [
        node.name
        for node in classes + functions(ALL[module])
        if not node.name.startswith("_") and node not in nested and not ast.get_docstring(node)
    ]
    assert not bare


def run_python(code, folder):
    """Run code in a fresh interpreter, away from the checkout, with no warning allowed."""
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", path + code], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_changes_nothing(tmp_path):
    run_python(
        """
import logging, os, random, warnings
import numpy as np

def world():
    root = logging.getLogger()
    return (list(warnings.filters), root.level, list(root.handlers), logging.root.manager.disable, dict(os.environ),
            random.getstate(), repr(np.random.get_state()), np.geterr(), np.get_printoptions())

before = world()
import moments_dnns
dir(moments_dnns)
heavy = {name.partition(".")[0] for name in sys.modules} & {"keras", "tensorflow", "jax", "torch", "matplotlib"}
assert not heavy, heavy
assert world() == before
""",
        tmp_path,
    )
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        (
            "Experiment, Moments, load_experiment, prune_experiment, merge_experiments, list_experiments, "
            "delete_experiment",
            {"keras", "tensorflow", "jax", "torch", "matplotlib"},
        ),
        (
            "plot_vanilla_histo, plot_vanilla, plot_bn_ff, plot_bn_res",
            {"keras", "tensorflow", "jax", "torch", "pyplot"},
        ),
        ("run_experiment", {"keras", "tensorflow", "jax", "torch", "matplotlib"}),
    ],
)
def test_what_is_imported_brings_only_what_it_needs(names, absent, tmp_path):
    code = f"from moments_dnns import {names}\nprint(*(part for name in sys.modules for part in name.split('.')[:2]))"
    assert not absent & set(run_python(code, tmp_path).split())


def test_only_the_package_is_installed(tmp_path):
    code = (
        "import importlib.util as util\nsys.path.pop(0)\n"
        "print(*(name for name in ('plots', 'tests', 'run_experiment', 'manage_experiments', 'demo', 'conftest') "
        "if util.find_spec(name)))"
    )
    assert not run_python(code, tmp_path).split()
    try:
        distribution = importlib.metadata.distribution("moments_dnns")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("moments_dnns is not installed here")
    assert distribution.read_text("top_level.txt").split() == ["moments_dnns"]
