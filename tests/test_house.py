"""The house: imports run downward, importing changes nothing, and everything public is documented."""

import ast
import graphlib
import importlib
import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "moments_dnns"

# The floors, from the ground up. A room (a folder, or a module beside them) imports from lower floors only, so that
# rooms of one floor are strangers to each other; those of the ground floor stand side by side in the order given.
FLOORS = (
    (
        "_validation",
        "_resources",
        "_cli",
        "_seeds",
        "_backend",
        "_device",
        "_keras_internals",
        "moments",
        "_datasets",
        "data",
    ),
    ("descriptions",),
    ("layers", "results"),
    ("theory", "execution"),
    ("analysis",),
    ("simulation", "characterization"),
    ("plots",),
    ("commands",),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
GROUND = FLOORS[0]

# The libraries that take long to import, and where that may happen: at the top of a module, or within a function.
# Rooms by name, modules of a room as `room.module`.
AT_THE_TOP = {
    "keras": {
        "_keras_internals",
        "layers",
        "simulation.blocks",
        "simulation.network",
        "characterization",
        "scripts.models",
    },
    "matplotlib": {
        f"plots.{module}"
        for module in (
            "curves",
            "experiments",
            "histograms",
            "legends",
            "models",
            "panels",
            "style",
            "theory_lines",
            "ticks",
            "widths",
        )
    },
}
IN_A_FUNCTION = {
    "keras": {
        "_backend",
        "_device",
        "_datasets",
        "descriptions.keras_objects",
        "descriptions.pickling",
        "execution.pool",
    },
    "pandas": {"results.moments", "results.history"},
    "xarray": {"results.moments", "results.history"},
}
BACKENDS = {"tensorflow", "jax", "jaxlib", "torch"}


def parsed(path):
    """Return the syntax tree of a module, without what only type checkers see."""
    tree = ast.parse(path.read_text())
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return tree


def dotted(path):
    """Return the name of a module below the package: `"layers.core"`, or of a face the name of its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# Faces are stubs, which a lazy loader reads as well: a module named `layers` is `layers/__init__.pyi`.
MODULES = {dotted(path): parsed(path) for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py"}
FACES = {dotted(path): parsed(path) for path in sorted(PACKAGE.rglob("__init__.py*"))}
DOORS = {path.stem: parsed(path) for path in ROOT.glob("*.py") if path.stem != "conftest"}
SCRIPTS = {f"scripts.{path.stem}": parsed(path) for path in (ROOT / "scripts").glob("*.py")}
ALL = {**MODULES, **DOORS, **SCRIPTS}


def room(module):
    """Return the room that a module of the package is in: its folder, or itself."""
    return module.partition(".")[0]


def within(tree, module):
    """Yield the modules of the package that a module imports, as names below the package."""
    folder = module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1, "an import from a parent folder is written in full"
            base = ".".join(part for part in ("moments_dnns", folder, node.module) if part)
            targets = [base] if node.module else [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            deeper = [f"{node.module}.{alias.name}" for alias in node.names]
            known = [name for name in deeper if name.removeprefix("moments_dnns.") in {*MODULES, *FLOOR}]
            targets = known or [node.module]
        else:
            continue
        yield from (name.removeprefix("moments_dnns.") for name in targets if name.startswith("moments_dnns."))
        assert "moments_dnns" not in targets, "the face of the package is for its users"


def imports(tree):
    """Return the libraries that a module imports anywhere, or with its body alone at its top."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {name.partition(".")[0] for node in nodes for name in _names(node)}


def top_imports(tree):
    """Return the libraries that are imported when a module is."""
    return {name.partition(".")[0] for node in tree.body for name in _names(node)}


def _names(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []


def is_among(module, places):
    return module in places or room(module) in places


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def picture():
    """Return the floors as docs/design.md shows them, the top one first: each room with its first line."""
    lines = []
    for floor, rooms in reversed(list(enumerate(FLOORS))):
        ordered = reversed(rooms) if floor == 0 else rooms
        for number, name in enumerate(ordered):
            tree = FACES.get(name) or MODULES[name]
            if name in FACES:
                tree = parsed(PACKAGE / name / "__init__.py")
            summary = ast.get_docstring(tree).partition("\n")[0]
            lines.append(f"{floor if number == 0 else ' '}  {name:<17} {summary}")
    return "\n".join(lines)


def test_the_picture_of_the_floors_is_true():
    page = (ROOT / "docs" / "design.md").read_text()
    assert f"```text\n{picture()}\n```" in page, f"expected\n{picture()}"


def test_every_room_has_a_floor():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    beside = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert rooms | beside == set(FLOOR)
    # No folder in a folder: the floors would not see what it imports.
    assert all(len(path.relative_to(PACKAGE).parts) <= 2 for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_downward(module):
    own = room(module)
    for name in within(MODULES[module], module):
        other = room(name)
        if other == own:
            continue
        below = GROUND.index(other) < GROUND.index(own) if {own, other} <= set(GROUND) else FLOOR[other] < FLOOR[own]
        assert below, f"{module} must not import {name}"


def test_rooms_have_no_circles():
    graph = {
        module: {name for name in within(tree, module) if name in MODULES and name != module}
        for module, tree in MODULES.items()
    }
    tuple(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("face", sorted(FACES))
def test_faces_show_their_own_rooms_only(face):
    for node in FACES[face].body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1
            # The whole package shows its rooms, a room its modules.
            assert face == "" or node.module is None or f"{face}.{node.module}" in MODULES


def test_no_module_is_named_like_a_function_that_it_shows():
    for face, tree in FACES.items():
        shown = {
            alias.name for node in tree.body if isinstance(node, ast.ImportFrom) and node.module for alias in node.names
        }
        inside = {module.rpartition(".")[2] for module in MODULES if module.rpartition(".")[0] == face} | (
            {*FLOOR} if not face else set()
        )
        assert not shown & inside


def test_every_name_stands_in_one_face():
    stubs = [parsed(path) for path in sorted(PACKAGE.rglob("__init__.pyi"))]
    shown = [alias.name for tree in stubs for node in tree.body if isinstance(node, ast.ImportFrom) and node.module
             for alias in node.names]  # fmt: skip
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize("module", sorted(ALL))
def test_heavy_libraries_are_imported_where_they_belong(module):
    top, anywhere = top_imports(ALL[module]), imports(ALL[module])
    assert not anywhere & BACKENDS
    assert not anywhere & set(DOORS)
    for library in {*AT_THE_TOP, *IN_A_FUNCTION}:
        assert library not in top or is_among(module, AT_THE_TOP.get(library, set()))
        assert library not in anywhere - top or is_among(module, IN_A_FUNCTION.get(library, set()))


@pytest.mark.parametrize("module", sorted(ALL))
def test_modules_are_plain(module):
    for node in ast.walk(ALL[module]):
        assert not isinstance(node, ast.Assert), "asserts vanish under python -O: raise an error"
        assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*")
    assert len(ast.unparse(ALL[module]).splitlines()) <= 300
    for function in functions(ALL[module]):
        documented = ast.get_docstring(function) is not None
        assert sum(len(ast.unparse(node).splitlines()) for node in function.body[documented:]) <= 50, function.name


PUBLIC = [
    (face, alias.name)
    for face in FACES
    for node in FACES[face].body
    if isinstance(node, ast.ImportFrom) and node.module
    for alias in node.names
]


@pytest.mark.parametrize(("face", "name"), PUBLIC)
def test_every_public_name_is_documented(face, name):
    documented = getattr(importlib.import_module(f"moments_dnns.{face}".rstrip(".")), name)
    assert documented.__module__.startswith("moments_dnns.") if callable(documented) else documented
    if callable(documented):
        doc = inspect.getdoc(documented)
        assert doc.partition("\n")[0].endswith((".", ":"))
        is_error = isinstance(documented, type) and issubclass(documented, Exception)
        parameters = set() if is_error else set(inspect.signature(documented).parameters) - {"args", "kwargs"}
        assert not parameters or "Args:" in doc or "Call arguments:" in doc


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
