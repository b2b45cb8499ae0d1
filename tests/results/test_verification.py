"""Checksums: whatever happens to a file after it was written, it is refused by name, and nothing else is."""

import json
import shutil
import time

import attrs
import numpy as np
import pytest

from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results.checksums import EMPTY, checksum
from moments_dnns.results.experiments import load_experiment, merge_experiments, save_experiment
from moments_dnns.results.files import CorruptExperimentError
from moments_dnns.results.verification import UNVERIFIED, VERIFIED, verify_experiment
from moments_dnns.results.writers import open_writer
from tests.support.harm import READING
from tests.support.synthetic import complete, describe, finish, rows, run

FILE = "log_nu2_signal_loc1.npy"
OTHER = "log_nu2_signal_loc2.npy"


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1 - len(content) // 9] ^= 1
    path.write_bytes(content)


def zero_a_page(path):
    content = path.read_bytes()
    path.write_bytes(content[:128] + bytes(64) + content[192:])


def swap_with_another(path):
    content = path.read_bytes()
    path.write_bytes(path.with_name(OTHER).read_bytes())
    path.with_name(OTHER).write_bytes(content)


def swap_rows(path):
    array = np.load(path)
    np.save(path, array[[1, 0, *range(2, len(array))]])


def take_from_another_experiment(path):
    save_experiment(complete(describe(seed=1)), "another")
    shutil.copy(path.parents[1] / "another" / path.name, path)


DAMAGES = {
    "a flipped bit": flip_a_bit,
    "a zeroed page": zero_a_page,
    "swapped arrays": swap_with_another,
    "swapped rows": swap_rows,
    "an array of another experiment": take_from_another_experiment,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_numbers_that_changed_are_refused_by_the_name_of_their_file(damage, npy_folder):
    finish("demo", describe())
    damage(npy_folder / "demo" / FILE)
    for act in (*READING.values(), lambda name: finish(name, describe(9))):
        with pytest.raises(CorruptExperimentError, match=rf"{FILE} was damaged or exchanged"):
            act("demo")
    damaged = {file for file, state in verify_experiment("demo").items() if state != VERIFIED}
    assert damaged == ({FILE, OTHER} if damage is swap_with_another else {FILE})


def test_a_record_that_was_edited_is_refused(npy_folder):
    save_experiment(complete(describe()), "demo")
    path = npy_folder / "demo" / "experiment.json"
    record = json.loads(path.read_text())
    record["experiment"]["epsilon"] = 0.002
    path.write_text(json.dumps(record))
    with pytest.raises(CorruptExperimentError, match=r"experiment\.json.*changed after it was written"):
        load_experiment("demo")
    assert "changed after it was written" in verify_experiment("demo")["experiment.json"]


def test_whatever_writes_leaves_checksums_that_hold():
    finish("run", describe(7), chunk=3, backwards=True)
    finish("run", describe(9))
    next(run("stopped", describe(7)))
    save_experiment(complete(describe(seed=1)), "saved")
    merge_experiments(["run", "saved"], "merged")
    save_experiment(complete(describe(seed=1)), "pruned")
    prune_experiment("bn_ff", "pruned")
    for name in ("run", "stopped", "saved", "merged", "pruned"):
        states = verify_experiment(name)
        assert set(states) == {"experiment.json", *(f"{array}.npy" for array in load_experiment(name).arrays)}
        assert set(states.values()) == {VERIFIED}


def without_checksums(folder):
    """Make an experiment one of schema 4."""
    path = folder / "experiment.json"
    record = json.loads(path.read_text()) | {"schema": 4}
    for key in ("kind", "checksum", "checksums"):
        del record[key]
    path.write_text(json.dumps(record))


def test_what_earlier_versions_wrote_is_loaded_and_given_checksums_when_it_is_continued(npy_folder):
    save_experiment(complete(describe()), "demo")
    without_checksums(npy_folder / "demo")
    assert load_experiment("demo") == complete(describe())
    states = verify_experiment("demo")
    assert {states.pop("depth.npy"), states.pop("res_depth.npy")} == {VERIFIED}
    assert set(states.values()) == {UNVERIFIED}
    finish("demo", describe(8))
    assert set(verify_experiment("demo").values()) == {VERIFIED}


def test_verification_names_all_that_is_damaged(npy_folder):
    save_experiment(complete(describe()), "demo")
    flip_a_bit(npy_folder / "demo" / FILE)
    (npy_folder / "demo" / OTHER).unlink()
    np.save(npy_folder / "demo" / "depth.npy", np.array([1, 2]))
    states = {file: state for file, state in verify_experiment("demo").items() if state != VERIFIED}
    assert set(states) == {FILE, OTHER, "depth.npy"}
    assert "is missing" in states[OTHER]
    assert "does not agree with experiment.json" in states["depth.npy"]
    with pytest.raises(FileNotFoundError, match="Received: name='demmo'"):
        verify_experiment("demmo")


def test_a_checksum_is_that_of_all_rows_however_they_came():
    rows = np.random.default_rng(0).normal(size=(50, 3))
    whole = checksum(rows, range(50))
    order, total = np.random.default_rng(1).permutation(50), EMPTY
    for part in np.split(order, [1, 7, 20]):
        total = checksum(rows[part], part.tolist(), before=total)
    assert total == whole
    assert checksum(rows, [*range(1, 50), 0]) != whole
    assert len(whole) == len(EMPTY) == 16


def test_the_cost_of_checksums_is_small():
    """Of 168 kB of rows at a commit, beside tens of fsyncs; a bound ten times the 0.8 ms measured on two cores."""
    experiment = attrs.evolve(describe(1000), total_depth=100, num_computations=100)
    zeros = np.zeros((10, 100))
    begun = time.perf_counter()
    for _ in experiment.array_names:
        checksum(zeros, range(10))
    assert time.perf_counter() - begun < 0.1


def test_rows_that_no_record_counts_do_not_matter(npy_folder):
    with open_writer("demo", describe(6), {}) as writer:
        writer.commit([1], rows(describe(), [1]))
    path = npy_folder / "demo" / FILE
    array = np.load(path)
    array[3] = 7.0
    np.save(path, array)
    assert load_experiment("demo").sources == ((0, 1, 2),)
    assert finish("demo", describe(6)) == complete(describe())
