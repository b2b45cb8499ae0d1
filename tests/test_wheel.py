"""What is published: a wheel that works outside the checkout, and a source distribution that runs its own tests."""

import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# What a user of the wheel does: faces, a run, a figure in our style, a saved experiment.
SCRIPT = """
from pathlib import Path
import moments_dnns
from moments_dnns import analysis, layers, load_experiment, plot_bn_ff, plots, run_experiment, simulation, theory
folder = Path(moments_dnns.__file__).parent
assert folder.parent == Path("site").absolute(), folder
for face in (moments_dnns, analysis, layers, plots, simulation, theory):
    for name in face.__all__:
        getattr(face, name)
run_experiment("bn_ff", 4, 1, 8, 4, 2, name_experiment="demo", dataset="photo", num_computations=2, verbose=False)
plot_bn_ff(load_experiment("demo"), path="figure.png")
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build both from a copy of the tracked files, since a build writes beside them, and return their folder."""
    folder = tmp_path_factory.mktemp("dist")
    copy = folder / "checkout"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: the files of a release are not known")
    for file in filter(None, listed.stdout.split("\0")):
        if not (ROOT / file).exists():
            continue
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        (copy / file).write_bytes((ROOT / file).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (file,) = built.glob("*.whl")
    return file


def test_the_wheel_has_all_of_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    folder = ROOT / "moments_dnns"
    suffixes = {".py", ".pyi", ".typed", ".mplstyle"}
    of_package = (path for path in folder.rglob("*") if path.suffix in suffixes)
    assert inside == {path.relative_to(ROOT).as_posix() for path in of_package}


def test_the_wheel_works_outside_the_checkout(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "MOMENTS_DNNS_NPY": str(tmp_path / "npy")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_an_index_takes_both(built):
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.glob("*.[wt]*"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


def test_the_readme_of_an_index_has_no_link_that_leads_nowhere(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        readme = archive.read(name).decode()
    assert "# moments_dnns" in readme
    assert not [target for target in re.findall(r"\]\(([^)]+)", readme) if not target.startswith(("https://", "#"))]


README = "![A picture](docs/a.png) and [a page](docs/a.md), [elsewhere](https://example.org), [here](#top)."
ON_AN_INDEX = {
    None: " and a page, [elsewhere](https://example.org), [here](#top).",
    "https://example.com/x/": "![A picture](https://example.com/x/raw/HEAD/docs/a.png) and "
    "[a page](https://example.com/x/blob/HEAD/docs/a.md), [elsewhere](https://example.org), [here](#top).",
}


@pytest.mark.parametrize("source", ON_AN_INDEX)
def test_links_of_the_readme_are_absolute_where_the_address_is_known(source):
    assert runpy.run_path(str(ROOT / "setup.py"))["readme"](README, source) == ON_AN_INDEX[source]


def test_a_source_distribution_runs_its_own_tests(built, tmp_path):
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    tests = [path for path in tracked if path.startswith("tests/") and (ROOT / path).exists()]
    assert not [path for path in tests if not (root / path).exists()]
    # One that reads the checkout, and one of each kind of support.
    chosen = ["tests/test_documents.py", "tests/test_moments.py", "tests/results/test_record.py", "-k", "not run"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        cwd=root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout


def names_of(requirements):
    return {canonicalize_name(Requirement(each).name): Requirement(each) for each in requirements}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lines_of(file):
    return [line for line in (ROOT / file).read_text().splitlines() if line and not line.startswith("#")]


def test_a_checkout_needs_the_package_its_backend_and_jupyter():
    extras = PROJECT["optional-dependencies"]
    expected = PROJECT["dependencies"] + extras["tensorflow"] + extras["notebooks"]
    assert sorted(lines_of("requirements.txt")) == sorted(expected)


def test_the_package_brings_no_backend():
    assert not {"tensorflow", "jax", "torch", "jupyter"} & names_of(PROJECT["dependencies"]).keys()


def test_the_constraints_fit_the_requirements():
    pinned = {name: each.specifier for name, each in names_of(lines_of("constraints.txt")).items()}
    for extra, requirements in {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}.items():
        for name, each in names_of(requirements).items():
            if name != "moments-dnns" and extra != "torch":
                (pin,) = pinned[name]
                assert each.specifier.contains(pin.version), name
