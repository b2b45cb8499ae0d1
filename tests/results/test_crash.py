"""Whatever stops a writer, at any instant: the experiment is whole, and all that was committed is there."""

import contextlib
import errno
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.plots.figures import FIGURES
from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results import files
from moments_dnns.results.experiments import (
    delete_experiment,
    list_experiments,
    load_experiment,
    merge_experiments,
    save_experiment,
)
from moments_dnns.results.writers import open_writer
from tests.support.synthetic import complete, describe, finish, is_genuine, rows, run, writing_process

# Kill -9 and Ctrl-C at random instants


@pytest.mark.parametrize("last_word", [signal.SIGKILL, signal.SIGINT])
def test_killed_again_and_again_a_run_loses_nothing(last_word):
    chance, missing = random.Random(0), 3000
    for _ in range(10):
        with writing_process("run", 3000) as process:
            time.sleep(chance.uniform(0, 0.1))
            assert process.poll() is None
            process.send_signal(last_word)
            missing_then = [int(line) for line in (process.first_line, *process.stdout)]
        moments = load_experiment("demo")
        assert 3000 - moments.num_realizations <= min(missing_then) <= missing - 3
        assert is_genuine(moments)
        missing = 3000 - moments.num_realizations
    assert finish("demo", describe(3000), chunk=3000) == complete(describe(3000))


@pytest.mark.parametrize("trial", range(12))
def test_killed_at_any_instant_an_experiment_is_whole(trial):
    """Overwriting, extending, pruning, deleting: readers and survivors see one state or another, never a mixture."""
    chance = random.Random(trial)
    with writing_process("churn") as process:
        end = time.monotonic() + chance.uniform(0, 0.5)
        while time.monotonic() < end:
            with contextlib.suppress(FileNotFoundError):
                assert is_genuine(load_experiment("demo"))
        process.kill()
    with contextlib.suppress(FileNotFoundError):
        assert is_genuine(load_experiment("demo"))
    assert finish("demo", describe(4), overwrite=True) == complete(describe(4))
    delete_experiment("demo")
    assert list_experiments() == []


# A crash, an error, or Ctrl-C at every single step


class Crash(BaseException):
    """The process is gone: this step, and all after it, do not happen."""


STEPS = ["fsync", "replace", "unlink", "mkdir", "rmdir"]


@contextlib.contextmanager
def failing(monkeypatch, step, error, forever=False):
    """Let the step of that number fail, of all that change the disk; and those after it too."""
    count = itertools.count()

    def guarded(function, is_step=lambda *args: True):
        def call(*args, **kwargs):
            if is_step(*args):
                number = next(count)
                if number == step or (forever and number > step):
                    raise error
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, guarded(getattr(os, name)))
        patch.setattr(files, "open", guarded(open, lambda path, mode: mode != "rb"), raising=False)
        yield count


@pytest.fixture
def few_arrays(monkeypatch):
    """Take few moments, so that all steps can be tried."""
    monkeypatch.setattr(Experiment, "array_names", ("log_mu2_noise_loc1", "mu2_signal_loc1", "nu2_signal_loc1"))
    monkeypatch.setitem(FIGURES, "tiny", SimpleNamespace(needs=("chi_loc1", "nu2_signal_loc1", "depth")))


def follow(commits, seen):
    """Run and remember what is committed."""
    for writer in commits:
        seen.append(writer.moments())


# The experiment that is changed, and how.
SCENARIOS = {
    "new": ("new", lambda seen: follow(run("new", describe(4)), seen)),
    "resume": ("old", lambda seen: follow(run("old", describe(6), backwards=True), seen)),
    "overwrite": ("old", lambda seen: follow(run("old", describe(4, seed=2), overwrite=True), seen)),
    "save": ("new", lambda seen: save_experiment(complete(describe(4)), "new")),
    "save over": ("old", lambda seen: save_experiment(complete(describe(4, seed=3)), "old", overwrite=True)),
    "prune": ("old", lambda seen: prune_experiment("tiny", "old")),
    "merge": ("new", lambda seen: merge_experiments(["old", "other"], "new")),
    "delete": ("old", lambda seen: delete_experiment("old")),
}


def state():
    """Return everything that can be loaded, all of it genuine."""
    loaded = {name: load_experiment(name) for name in list_experiments()}
    assert all(is_genuine(moments) for moments in loaded.values())
    return loaded


def files_in(folder):
    """Return the names of the files of experiments."""
    return sorted(str(path.relative_to(folder)) for path in folder.glob("[!.]*/*"))


def realizations(moments):
    return {(source.seed, k) for source in moments.sources for k in range(source.start, source.stop)}


def is_between(now, before, after, seen):
    """Tell whether an experiment is what it was, what it will be, or on the way there with all that was committed."""
    committed = realizations(seen[-1]) if seen else set()
    if now is None or now in (before, after):
        return now in (before, after) and (not seen or committed <= realizations(now))
    if before is not None and before.experiment.seed == now.experiment.seed:
        committed |= realizations(before)
    return bool(after) and committed <= realizations(now) <= realizations(after)


@pytest.mark.usefixtures("few_arrays")
@pytest.mark.parametrize(
    "error",
    [Crash(), OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()],
    ids=["crash", "full disk", "ctrl-c"],
)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_step_may_be_the_last(scenario, error, npy_folder, tmp_path, monkeypatch):
    save_experiment(complete(describe(4, seed=1)), "other")
    next(run("old", describe(4)))
    template, before, (target, act) = shutil.copytree(npy_folder, tmp_path / "template"), state(), SCENARIOS[scenario]
    act([])
    after, files_after = state(), files_in(npy_folder)
    for step in itertools.count():
        shutil.rmtree(npy_folder)
        shutil.copytree(template, npy_folder)
        seen = []
        with (
            failing(monkeypatch, step, error, forever=isinstance(error, Crash)) as count,
            contextlib.suppress(type(error)),
        ):
            act(seen)
        now, done = state(), next(count) <= step
        assert is_between(now.pop(target, None), before.get(target), after.get(target), seen)
        assert all(now[name] == before[name] for name in before.keys() - {target})
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            act([])
        assert state() == after
        assert files_in(npy_folder) == files_after
        if done:
            break
    assert step > 5


# Power loss: what the disk must know before the next step


@pytest.mark.usefixtures("few_arrays")
@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "delete"])
def test_nothing_is_committed_before_it_is_on_the_disk(scenario, npy_folder, monkeypatch):
    save_experiment(complete(describe(4, seed=1)), "other")
    next(run("old", describe(4)))
    unsynced, commits = set(), []
    real_open, fsync, replace, mkdir = open, os.fsync, os.replace, os.mkdir

    def watched_open(path, mode):
        if mode != "rb":
            unsynced.add(path)
        # The name of the temporary record need not be on the disk: its replacement is.
        if mode == "xb":
            unsynced.add(path.parent)
        return real_open(path, mode)

    def watched_fsync(descriptor):
        fsync(descriptor)
        unsynced.discard(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    def watched_replace(source, target):
        assert source not in unsynced
        if target.name == "experiment.json":
            assert not unsynced
            commits.append(target)
        replace(source, target)
        unsynced.add(target.parent)

    def watched_mkdir(path, *args):
        mkdir(path, *args)
        unsynced.add(path.parent)

    class Seen(list):
        def append(self, moments):
            assert not unsynced, "a commit has returned"

    monkeypatch.setattr(files, "open", watched_open, raising=False)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    monkeypatch.setattr(os, "mkdir", watched_mkdir)
    SCENARIOS[scenario][1](Seen())
    assert commits
    assert not unsynced


# A disk that is full in earnest


@contextlib.contextmanager
def files_no_larger_than(num_bytes):
    """Let the kernel refuse to write beyond a size, as a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "act",
    [
        lambda: finish("demo", describe(4000)),
        lambda: finish("new", describe(4000)),
        lambda: finish("demo", describe(4000, seed=1), overwrite=True),
        lambda: save_experiment(complete(describe(4000)), "new"),
        lambda: save_experiment(complete(describe(4000)), "demo", overwrite=True),
    ],
)
def test_a_disk_too_small_is_noticed_before_the_run(act, npy_folder):
    before, files_before = finish("demo", describe(4)), files_in(npy_folder)
    with files_no_larger_than(40_000), pytest.raises(OSError, match="too large"):
        act()
    assert state() == {"demo": before}
    assert files_in(npy_folder) == files_before


def test_a_commit_that_finds_the_disk_full_does_not_count():
    with open_writer("demo", describe(6), {}) as writer:
        writer.commit([0], rows(describe(6), [0]))
        with files_no_larger_than(1000), pytest.raises(OSError, match="too large"):
            writer.commit([1, 2], rows(describe(6), [1, 2]))
        assert load_experiment("demo").num_realizations == 1
        assert writer.missing == [1, 2, 3, 4, 5]
        writer.commit([1, 2], rows(describe(6), [1, 2]))
    assert finish("demo", describe(6)) == complete(describe(6))


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A file system of 512 kB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_file_system_that_runs_full_loses_nothing(small_disk):
    experiment = describe(200)
    runs = run("demo", experiment, chunk=1)
    next(runs)
    with open(small_disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(512)):
            pass
    with pytest.raises(OSError, match="No space left"):
        finish("other", describe(4))
    with pytest.raises(OSError, match="No space left"):
        list(runs)
    left = load_experiment("demo")
    assert left.num_realizations >= 1
    assert is_genuine(left)
    (small_disk / "filler").unlink()
    with pytest.raises(OSError, match="No space left"):
        finish("demo", describe(4000))
    assert load_experiment("demo") == left
    assert finish("demo", experiment, chunk=50) == complete(experiment)
