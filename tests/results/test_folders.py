"""Names that mean harm, and where experiments lie."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns.results.experiments import save_experiment
from moments_dnns.results.folders import experiment_folder, npy_folder
from tests.support.harm import BY_NAME
from tests.support.synthetic import complete, describe

HOSTILE_NAMES = [
    "",
    ".",
    "..",
    "...",
    "../x",
    "x/../y",
    "/tmp/x",
    "a/b",
    "a\\b",
    "a.b",
    ".hidden",
    "-x",
    "x\n",
    "x\0",
    "a b",
    "é",
    "con",
    "NUL",
    "Com1",
    "lpt9",
    "x" * 101,
    "~",
    "$HOME",
    "*",
    "x:y",
    "experiment.json",
]


def test_the_nearest_npy_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.delenv("MOMENTS_DNNS_NPY")
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    if not any((parent / "npy").is_dir() for parent in tmp_path.parents):
        save_experiment(complete(describe()), "here")
        assert (tmp_path / "notebooks" / "deep" / "npy" / "here").is_dir()
    (tmp_path / "notebooks" / "npy").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    save_experiment(complete(describe()), "near")
    assert (tmp_path / "notebooks" / "npy" / "near").is_dir()


@pytest.mark.parametrize("act", BY_NAME.values(), ids=BY_NAME)
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_refused(act, name, tmp_path):
    with pytest.raises(ValueError, match=r"the name of an experiment must be.*Received: name="):
        act(name)
    assert not any(path for path in tmp_path.rglob("*") if path.name not in ("npy", ".locks"))


@pytest.mark.parametrize("act", BY_NAME.values(), ids=BY_NAME)
@pytest.mark.parametrize("name", [3, b"demo", Path("demo"), ["demo"]])
def test_names_are_strings(act, name):
    with pytest.raises(TypeError, match="Received: name="):
        act(name)


@pytest.mark.parametrize("act", [act for name, act in BY_NAME.items() if name != "run"])
def test_only_a_run_may_have_no_name(act):
    with pytest.raises(TypeError, match="Received: name="):
        act(None)


@given(st.text(max_size=120))
def test_no_name_leads_out_of_the_folder(name):
    try:
        folder = experiment_folder(name)
    except ValueError:
        return
    assert os.path.dirname(os.path.normpath(folder)) == str(npy_folder())
    assert os.path.basename(folder) == name


@pytest.mark.parametrize("act", BY_NAME.values(), ids=BY_NAME)
def test_links_are_refused(act, npy_folder, tmp_path):
    save_experiment(complete(describe()), "demo")
    (npy_folder / "demo").rename(tmp_path / "outside")
    (npy_folder / "demo").symlink_to(tmp_path / "outside", target_is_directory=True)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "outside").iterdir())
    with pytest.raises(ValueError, match="is a link"):
        act("demo")
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "outside").iterdir()) == before
