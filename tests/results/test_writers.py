"""Writers: running, resuming, extending, overwriting; one at a time; the same laws on a disk and in memory."""

import contextlib
import errno
import fcntl
import itertools
import os
import shutil
import stat
import subprocess
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results import provenance
from moments_dnns.results.experiments import (
    delete_experiment,
    list_experiments,
    load_experiment,
    merge_experiments,
    save_experiment,
)
from moments_dnns.results.files import CorruptExperimentError
from moments_dnns.results.sources import Source
from moments_dnns.results.writers import open_writer
from tests.support.synthetic import complete, describe, finish, is_genuine, rows, run, writing_process

# Running, resuming, extending, overwriting


@pytest.mark.parametrize("architecture", ["vanilla", "bn_ff", "bn_res"])
def test_a_run_from_beginning_to_end(architecture, npy_folder):
    experiment = describe(7, architecture=architecture)
    assert finish("demo", experiment) == complete(experiment)
    for name, expected in complete(experiment).arrays.items():
        np.testing.assert_array_equal(np.load(npy_folder / "demo" / f"{name}.npy", allow_pickle=False), expected)
    assert {path.stem for path in (npy_folder / "demo").iterdir()} == {*complete(experiment).arrays, "experiment"}


def test_what_is_committed_is_there_at_once_in_the_order_of_the_indices(npy_folder):
    with open_writer("demo", describe(6), {}) as writer:
        assert writer.missing == [0, 1, 2, 3, 4, 5]
        assert writer.moments().num_realizations == 0
        assert list_experiments() == []
        writer.commit([4, 1], rows(describe(6), [4, 1]))
        assert writer.missing == [0, 2, 3, 5]
        assert load_experiment("demo") == writer.moments()
        assert load_experiment("demo").sources == (Source(0, 1, 2), Source(0, 4, 5))
        assert is_genuine(writer.moments())
        plain = np.load(npy_folder / "demo" / "log_nu2_signal_loc1.npy", allow_pickle=False)
        assert np.isnan(plain[:, 0]).tolist() == [True, False, True, True, False, True]
        writer.commit(np.array([2, 3]), rows(describe(6), [2, 3]))
        assert load_experiment("demo").sources == (Source(0, 1, 5),)
        assert is_genuine(load_experiment("demo"))


@pytest.mark.parametrize("num_commits", range(4))
def test_a_run_that_stopped_continues(num_commits):
    for _ in itertools.islice(run("demo", describe(7), backwards=True), num_commits):
        pass
    with open_writer("demo", describe(7), {}) as writer:
        assert writer.missing == list(range(7 - 2 * num_commits))
    assert finish("demo", describe(7)) == complete(describe(7))


@pytest.mark.parametrize("first", [1, 3, 6])
def test_a_larger_number_extends(first):
    for _ in itertools.islice(run("demo", describe(6)), first):
        pass
    assert finish("demo", describe(9)) == complete(describe(9))
    assert load_experiment("demo").experiment.num_realizations == 9


def test_a_smaller_number_gives_the_first_ones_and_loses_nothing():
    whole = finish("demo", describe(9))
    with open_writer("demo", describe(4), {}) as writer:
        assert writer.missing == []
        assert writer.moments() == complete(describe(4))
    assert load_experiment("demo") == whole


def test_a_smaller_number_of_an_unfinished_run():
    next(run("demo", describe(9), backwards=True))
    with open_writer("demo", describe(8), {}) as writer:
        assert writer.moments().sources == (Source(0, 7, 8),)
        assert writer.missing == list(range(7))
        writer.commit(range(7), rows(describe(8), range(7)))
        assert writer.moments() == complete(describe(8))
    assert load_experiment("demo") == complete(describe(9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, r"seed \(0 and 1\)"),
        (
            {"epsilon": 0.5, "boundary": "symmetric"},
            r"boundary \('periodic' and 'symmetric'\), epsilon \(0.001 and 0.5\)",
        ),
        ({"compute_reff_noise": False}, r"compute_reff_noise \(True and False\)"),
        ({"architecture": "vanilla"}, r"architecture \('bn_ff' and 'vanilla'\)"),
    ],
)
def test_another_description_is_refused_with_the_differences(change, message):
    before = finish("demo", describe())
    with pytest.raises(FileExistsError, match=f"differ in {message}.*Received: name='demo'"):
        finish("demo", describe(**change))
    assert load_experiment("demo") == before


def test_other_images_are_refused():
    next(run("demo", describe(), provenance={"dataset_sha256": "1"}))
    with pytest.raises(FileExistsError, match=r"dataset_sha256 \('1' and '2'\)"):
        finish("demo", describe(), provenance={"dataset_sha256": "2"})
    finish("demo", describe(), provenance={"dataset_sha256": "1"})


def test_pruned_and_merged_experiments_are_not_continued():
    for seed in range(2):
        finish(f"seed{seed}", describe(seed=seed))
    merge_experiments(["seed0", "seed1"], "merged")
    with pytest.raises(FileExistsError, match="differ in sources"):
        finish("merged", describe(12))
    prune_experiment("bn_ff", "seed0")
    with pytest.raises(FileExistsError, match="differ in arrays"):
        finish("seed0", describe())


def test_what_was_saved_is_continued():
    save_experiment(complete(describe(4)), "demo")
    assert finish("demo", describe(6)) == complete(describe(6))


def test_overwriting_waits_for_the_first_commit(npy_folder):
    before = finish("demo", describe())
    with open_writer("demo", describe(8, seed=1, architecture="vanilla"), {}, overwrite=True) as writer:
        assert writer.missing == list(range(8))
        assert load_experiment("demo") == before
    assert load_experiment("demo") == before
    assert {path.suffix for path in (npy_folder / "demo").iterdir()} == {".npy", ".json"}
    next(run("demo", describe(8, seed=1, architecture="vanilla"), overwrite=True))
    assert load_experiment("demo").experiment == describe(8, seed=1, architecture="vanilla")
    assert load_experiment("demo").num_realizations == 2
    assert is_genuine(load_experiment("demo"))


def test_overwriting_with_the_same_description_begins_anew():
    finish("demo", describe())
    next(run("demo", describe(), overwrite=True))
    assert load_experiment("demo").sources == (Source(0, 0, 2),)


def test_nothing_remains_of_a_run_without_a_commit(npy_folder):
    with contextlib.suppress(ZeroDivisionError), open_writer("demo", describe(), {}):
        raise ZeroDivisionError
    assert [path.name for path in npy_folder.iterdir()] == [".locks"]


def test_provenance_tells_of_every_run():
    next(run("demo", describe(), provenance={"device": "CPU"}))
    provenance = finish("demo", describe(), provenance={"device": "GPU"}).provenance
    assert provenance["device"] == "GPU"
    assert [earlier["device"] for earlier in provenance["earlier"]] == ["CPU"]
    for part in (provenance, *provenance["earlier"]):
        assert part["versions"]["numpy"] == np.__version__
        assert datetime.fromisoformat(part["started"]) <= datetime.fromisoformat(part["ended"])
        assert part["wall_seconds"] >= 0


def test_notes_go_with_the_next_commit():
    with open_writer("demo", describe(), {"device": "CPU"}) as writer:
        writer.commit([0], rows(describe(), [0]))
        writer.note(num_constant_channels=3)
        assert "num_constant_channels" not in load_experiment("demo").provenance
        writer.commit([1], rows(describe(), [1]))
    assert load_experiment("demo").provenance["num_constant_channels"] == 3
    assert load_experiment("demo").provenance["device"] == "CPU"


@pytest.mark.parametrize("name", [None, "demo"])
@pytest.mark.parametrize(
    ("realizations", "change", "error"),
    [
        ([], {}, TypeError),
        ([0.0], {}, TypeError),
        ([[0]], {}, TypeError),
        ([True], {}, TypeError),
        ([0, 0], {}, ValueError),
        ([-1], {}, ValueError),
        ([6], {}, ValueError),
        ([5], {}, ValueError),
        ([0], {"extra_loc1": np.ones((1, 2))}, ValueError),
        ([0], {"nu2_signal_loc1": np.ones((2, 2))}, ValueError),
        ([0], {"nu2_signal_loc1": np.ones((1, 3))}, ValueError),
        ([0], {"nu2_signal_loc1": np.ones((1, 2), complex)}, ValueError),
        ([0], {"nu2_signal_loc1": [["a", "b"]]}, ValueError),
    ],
)
def test_commits_that_do_not_fit_are_refused(realizations, change, error, name):
    with open_writer(name, describe(), {}) as writer:
        writer.commit([5], rows(describe(), [5]))
        before = writer.moments()
        with pytest.raises(error, match="Received"):
            writer.commit(realizations, {**rows(describe(), [0] * np.size(realizations)), **change})
        assert writer.moments() == before
        assert name is None or load_experiment(name) == before


def test_a_commit_without_an_array_is_refused():
    arrays = rows(describe(), [0])
    arrays.popitem()
    with open_writer("demo", describe(), {}) as writer, pytest.raises(ValueError, match="Received: arrays="):
        writer.commit([0], arrays)


@pytest.mark.parametrize("name", [None, "demo"])
def test_provenance_is_json(name):
    with (
        pytest.raises(TypeError, match="provenance must be JSON.*Received"),
        open_writer(name, describe(), {"device": np.ones(1)}),
    ):
        pass


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-8])])
def test_a_damaged_experiment_is_not_continued_but_can_be_overwritten(damage, npy_folder):
    next(run("demo", describe()))
    damage(npy_folder / "demo" / "log_nu2_signal_loc3.npy")
    with pytest.raises(CorruptExperimentError, match=r"log_nu2_signal_loc3\.npy"):
        finish("demo", describe())
    assert finish("demo", describe(), overwrite=True) == complete(describe())


# Disk and memory


@pytest.mark.parametrize("name", [None, "demo"])
def test_a_writer_keeps_what_is_committed(name, npy_folder):
    with open_writer(name, describe(6), {"device": "CPU"}) as writer:
        assert writer.moments().num_realizations == 0
        writer.commit([4, 1], rows(describe(6), [4, 1]))
        assert writer.missing == [0, 2, 3, 5]
        assert writer.moments().sources == (Source(0, 1, 2), Source(0, 4, 5))
        assert is_genuine(writer.moments())
        writer.note(num_constant_channels=3)
        writer.commit(writer.missing, rows(describe(6), writer.missing))
        assert writer.moments() == complete(describe(6))
        assert writer.moments().provenance.items() >= {"device": "CPU", "num_constant_channels": 3}.items()
        assert writer.moments().provenance["started"] <= writer.moments().provenance["ended"]
    assert npy_folder.exists() == (name is not None)


# Two writers


@pytest.mark.parametrize(
    "act",
    [
        lambda: finish("demo", describe(30)),
        lambda: finish("demo", describe(30, seed=1), overwrite=True),
        lambda: delete_experiment("demo"),
        lambda: prune_experiment("bn_ff", "demo"),
        lambda: save_experiment(complete(describe()), "demo", overwrite=True),
    ],
)
def test_a_second_writer_is_refused_while_the_first_lives(act):
    with open_writer("demo", describe(30), {}) as writer:
        writer.commit([0], rows(describe(30), [0]))
        with pytest.raises(BlockingIOError, match="Received: name='demo'"):
            act()
        assert load_experiment("demo").num_realizations == 1
        finish("another", describe())
    act()


def test_deleting_the_locks_lets_no_second_writer_in(npy_folder):
    with writing_process("hold") as process:
        shutil.rmtree(npy_folder / ".locks")
        for act in (lambda: finish("demo", describe(30)), lambda: delete_experiment("demo")):
            with pytest.raises(BlockingIOError, match="Received: name='demo'"):
                act()
        assert load_experiment("demo").num_realizations == 2
        process.kill()
        process.wait()
    assert finish("demo", describe(30)) == complete(describe(30))


def test_a_file_system_without_locks_is_told(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match=r"expected a file system with locks.*MOMENTS_DNNS_NPY.*Received: folder="):
        finish("demo", describe())


def test_folders_that_cannot_be_held_are_guarded_by_the_lock_file(monkeypatch):
    flock = fcntl.flock

    def refuse_folders(descriptor, operation):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "a network file system")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse_folders)
    assert finish("demo", describe()) == complete(describe())


def test_an_experiment_that_was_pruned_says_so_when_it_is_continued():
    finish("demo", describe())
    prune_experiment("bn_ff", "demo")
    with pytest.raises(FileExistsError, match=r"differ in arrays.*It was pruned for bn_ff\. Received: name='demo'"):
        finish("demo", describe(8))


def test_the_provenance_has_the_commit_of_the_checkout(tmp_path, monkeypatch):
    checkout = provenance.checkout.__wrapped__
    assert set(finish("demo", describe()).provenance) >= set(provenance.checkout())
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "package" / "results" / "provenance.py"))
    assert checkout() == {}
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("")
    for words in (["init", "-q"], ["add", "package"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert checkout() == {"commit": head, "changed": False}
    (tmp_path / "package" / "module.py").write_text("x = 1")
    assert checkout() == {"commit": head, "changed": True}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout() == {}


def test_the_lock_of_a_dead_process_is_not_in_the_way():
    with writing_process("hold") as process:
        with pytest.raises(BlockingIOError, match="Received: name='demo'"):
            finish("demo", describe(30))
        assert load_experiment("demo").num_realizations == 2
        process.kill()
        process.wait()
        assert finish("demo", describe(30)) == complete(describe(30))
