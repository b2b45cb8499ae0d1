"""Whole folders under attack: what loads is right, whatever was done to the files, or a documented error says why."""

import json
import shutil
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns.results.experiments import delete_experiment, load_experiment, save_experiment
from moments_dnns.results.files import CorruptExperimentError
from moments_dnns.results.record import _checksum
from moments_dnns.results.transactions import RECORD_FILE
from moments_dnns.results.verification import VERIFIED, verify_experiment
from tests.results.test_record import JSON
from tests.support.harm import fuzz
from tests.support.synthetic import complete, describe, finish

SECONDS = 20.0  # for what takes milliseconds


@pytest.fixture
def folder(npy_folder):
    """The folder of an experiment, beside one with the same files and other numbers."""
    save_experiment(complete(describe()), "demo")
    save_experiment(complete(describe(seed=1)), "other")
    shutil.copytree(npy_folder / "demo", npy_folder.parent / "template")
    return npy_folder / "demo"


def mutate(folder, data):
    """Change, insert or remove bytes anywhere in a file."""
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    patch = data.draw(st.binary(max_size=64))
    path.write_bytes(content[:start] + patch + content[start + data.draw(st.integers(0, 64)) :])


def swap(folder, data):
    """Swap two files, of this experiment or with one of another."""
    first = data.draw(st.sampled_from(sorted(folder.iterdir())))
    others = sorted([*folder.iterdir(), *(folder.parent / "other").iterdir()])
    second = data.draw(st.sampled_from(others))
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def remove(folder, data):
    """Remove a file."""
    data.draw(st.sampled_from(sorted(folder.iterdir()))).unlink()


def edit(folder, data):
    """Put anything anywhere in the record."""
    record = _edited(folder, data)
    (folder / RECORD_FILE).write_text(json.dumps(record))


def forge(folder, data):
    """Put anything anywhere in the record, and give it the right checksum."""
    record = _edited(folder, data)
    record.pop("checksum", None)
    (folder / RECORD_FILE).write_text(json.dumps({**record, "checksum": _checksum(record)}))


def _edited(folder, data):
    place = record = json.loads((folder / RECORD_FILE).read_text())
    while place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    return record


ATTACKS = {each.__name__: each for each in (mutate, swap, remove, edit, forge)}


@fuzz
@given(data=st.data(), attack=st.sampled_from(sorted(ATTACKS)))
def test_what_loads_is_right(folder, data, attack):
    shutil.rmtree(folder)
    shutil.copytree(folder.parent.parent / "template", folder)
    ATTACKS[attack](folder, data)
    begun = time.monotonic()
    try:
        loaded = load_experiment("demo")
    except (CorruptExperimentError, FileNotFoundError, MemoryError) as error:
        named = str(folder) in str(error) or "Received: name='demo'" in str(error)
        if not named:
            raise
    else:
        right = complete(describe())
        if attack == "forge":
            # Whoever makes new checksums may give numbers another description; they stay those of the files.
            assert all((loaded.arrays[name] == right.arrays[name]).all() for name in loaded.arrays if "loc" in name)
        else:
            assert loaded == right
            assert set(verify_experiment("demo").values()) == {VERIFIED}
    assert time.monotonic() - begun < SECONDS


@pytest.mark.parametrize("attack", ["mutate", "swap", "edit"])
def test_a_folder_under_attack_can_be_overwritten_and_deleted(folder, attack):
    path = {"mutate": folder / "log_nu2_signal_loc1.npy", "swap": folder / "depth.npy", "edit": folder / RECORD_FILE}
    path[attack].write_bytes(b"{}")
    assert finish("demo", describe(), overwrite=True) == complete(describe())
    path[attack].write_bytes(b"{}")
    delete_experiment("demo")
    assert not folder.exists()
