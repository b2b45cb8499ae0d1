"""The documentation site: formulas of docstrings, pages that exist for every public name, pictures that are drawn."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import matplotlib
import pytest
from matplotlib.mathtext import MathTextParser

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.append(str(DOCS / "_extensions"))

from docstrings import to_rst  # noqa: E402
from formulas import latex  # noqa: E402

ROOMS = ["moments_dnns", *(f"moments_dnns.{path.stem}" for path in (DOCS / "api").glob("*.md") if path.stem != "index")]


def public(room):
    module = importlib.import_module(room)
    names = getattr(module, "__all__", ())
    return {f"{room}.{name}": getattr(module, name) for name in names if not inspect.ismodule(getattr(module, name))}


PUBLIC = {name: value for room in ROOMS for name, value in public(room).items()}


def formulas():
    for name, value in PUBLIC.items():
        for paragraph in (inspect.getdoc(value) or "").split("\n\n") if callable(value) else ():
            if paragraph.startswith("Formula"):
                for formula in re.findall('`([^`"]+)`', " ".join(paragraph.split())):
                    yield pytest.param(formula, id=f"{name}: {formula}"[:60])


WRITTEN = {
    "z = (y - m) / sqrt(v + epsilon)": r"z = (y - m) / \sqrt{v + \epsilon }",
    "dy = f'(x) dx": r"\mathrm{d}y = f'(x) \mathrm{d}x",
    "r_eff = Tr C / ||C||": r"r_{\mathrm{eff}} = \mathrm{Tr}\, C / \|C\|",
    "sqrt(mean(x**2))": r"\sqrt{\mathrm{mean}\,(x^{2})}",
    "D = delta^(2 H)": r"D = \delta ^{2 H}",
    "log_scale + 2 ln r": r"\mathrm{log\_scale}\  + 2 \ln  r",
    "Kd_ab P": r"K^\mathrm{d}_{ab} P",
}


@pytest.mark.parametrize("formula", WRITTEN)
def test_formulas_become_latex(formula):
    assert latex(formula) == WRITTEN[formula]


@pytest.mark.parametrize("formula", list(formulas()))
def test_every_formula_of_a_public_docstring_can_be_set(formula):
    with matplotlib.rc_context({"text.usetex": False}):
        MathTextParser("agg").parse(f"${latex(formula)}$")


DOCSTRING = """Return `x`.

Formula: `y = x**2`, of `Step`s *once*, as x_ and |x|.

>>> f(`1`) * 2
2
"""


def test_docstrings_become_restructured_text():
    assert to_rst(DOCSTRING.splitlines()) == [
        "Return ``x``.",
        "",
        r"Formula: :math:`y = x^{2}`, of :math:`\mathrm{Step}`\ s \*once\*, as x\_ and \|x\|.",
        "",
        ">>> f(`1`) * 2",
        "2",
    ]


def test_every_room_with_public_names_has_a_page():
    faces = {path.parent.name for path in (ROOT / "moments_dnns").glob("*/__init__.pyi")}
    assert faces | {"moments_dnns"} <= {room.rpartition(".")[2] for room in ROOMS}


def test_every_page_is_in_the_menu():
    menu = "".join(path.read_text() for path in DOCS.glob("**/index.md"))
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in [*DOCS.glob("*.md"), *DOCS.glob("api/*.md")]}
    missing = [
        page for page in pages - {"index"} if not re.search(rf"^{page.removeprefix('api/')}$|^{page}$", menu, re.M)
    ]
    assert not missing


def test_the_site_is_built_without_a_warning(tmp_path):
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--builder",
        "html",
        "--fail-on-warning",
        "--quiet",
        "docs",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    reference = (tmp_path / "api" / "layers.html").read_text()
    assert r"\sqrt{v + \epsilon }" in reference
    assert 'id="moments_dnns.layers.BatchNormalization"' in reference
    for name in PUBLIC:
        assert any(f'id="{name}"' in page.read_text() for page in (tmp_path / "api").glob("*.html")), name
    assert len(list((tmp_path / "notebooks").glob("*.html"))) == 4
    assert (tmp_path / "searchindex.js").stat().st_size > 10_000
    check_links(tmp_path)


def check_links(site):
    """Every link within the site leads to a page, and to a place in it."""
    places = {page: set(re.findall(r'\bid="([^"]+)"', page.read_text())) for page in site.glob("**/*.html")}
    for page in places:
        for target in re.findall(r'href="([^"]+)"', page.read_text()):
            if re.match(r"https?:|mailto:|data:", target):
                continue
            file, _, place = target.partition("#")
            goal = (page.parent / unquote(file.partition("?")[0])).resolve() if file else page
            assert goal.exists(), (page.name, target)
            if place and goal in places:
                assert unquote(place) in places[goal], (page.name, target)
