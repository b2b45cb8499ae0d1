"""An installed wheel works outside the checkout: every room, every stub, the style sheet."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
def wheel(tmp_path_factory):
    """Build the wheel from a copy of the tracked files, since a build writes beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: the files of a release are not known")
    for file in filter(None, listed.stdout.split("\0")):
        if file.startswith(("npy/", "notebooks/", "docs/images/")) or not (ROOT / file).exists():
            continue
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        (copy / file).write_bytes((ROOT / file).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(copy)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


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
