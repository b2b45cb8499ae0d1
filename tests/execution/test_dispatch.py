"""Executors: the same numbers as a serial run, whatever order, death or error comes in between."""

import errno
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

from moments_dnns import load_experiment, run_experiment
from moments_dnns.execution.chunks import Chunk
from moments_dnns.execution.dispatch import CHUNKS_PER_WORKER, NUM_RETRIES, submit_all
from moments_dnns.execution.pool import WorkerPool
from moments_dnns.results.writers import Writer
from moments_dnns.simulation.realizations import Simulator
from tests.support.synthetic import TINY

SETTINGS = {**TINY, "num_realizations": 12, "verbose": False, "chunk_size": 3}
CHUNKS = [(0, 1), (2, 3), (4,)]  # of five realizations, two in each


def run(**changes):
    return run_experiment(**{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def serial():
    return run()


def chunk_of(realizations):
    return Chunk(tuple(realizations), {"nu2_signal_loc1": np.array([[float(k)] for k in realizations])})


def die_once(folder, function, *args):
    """Call a function of chunk indices, but kill the process that has to compute realization 3 for the first time."""
    result = function(*args)
    if 3 in args[-1]:
        try:
            (folder / "died").touch(exist_ok=False)
        except FileExistsError:
            return result
        os.kill(os.getpid(), signal.SIGKILL)
    return result


class Deadly(WorkerPool):
    """Two workers, one of which dies once, when it has nearly finished a chunk."""

    def __init__(self, folder):
        super().__init__(2)
        self.folder = folder

    def submit(self, function, /, *args, **kwargs):
        if isinstance(args[0], tuple):
            return super().submit(die_once, self.folder, function, *args, **kwargs)
        return super().submit(function, *args, **kwargs)


class LastFirst(ThreadPoolExecutor):
    """An executor that starts with what was submitted last, as soon as nothing more comes."""

    def __init__(self):
        super().__init__(2)  # so that all four chunks are on their way at once
        self.tasks = []

    def submit(self, function, /, *args, **kwargs):
        if not isinstance(args[0], tuple):
            return super().submit(function, *args, **kwargs)
        self.tasks.append((Future(), function, args))
        future = self.tasks[-1][0]
        if len(self.tasks) == 4:
            threading.Thread(target=self.work).start()
        return future

    def work(self):
        while self.tasks:
            future, function, args = self.tasks.pop()
            future.set_result(function(*args))


@pytest.mark.backend
def test_threads_give_the_numbers_of_a_serial_run(serial):
    with ThreadPoolExecutor(2) as executor:
        assert run(executor=executor) == serial


def test_the_order_of_chunks_does_not_matter(serial):
    with LastFirst() as executor:
        assert run(executor=executor, name_experiment="backwards") == serial == load_experiment("backwards")


def test_a_tolerance_does_not_depend_on_the_executor():
    settings = {"num_realizations": 48, "tolerance": 0.5}
    ended = run(**settings)
    assert 3 <= ended.num_realizations < 48
    with ThreadPoolExecutor(2) as executor:
        assert run(**settings, executor=executor, name_experiment="ended") == ended == load_experiment("ended")


def test_worker_processes_give_the_numbers_of_a_serial_run(serial):
    assert run(workers=2, name_experiment="workers") == serial == load_experiment("workers")


def test_a_process_pool_of_the_standard_library_does_too(serial):
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        assert run(executor=executor) == serial


def test_killing_a_worker_in_the_middle_of_a_run_changes_nothing(serial, tmp_path):
    with Deadly(tmp_path) as executor, pytest.warns(RuntimeWarning, match=r"realizations \d to \d are tried again"):
        assert run(executor=executor, name_experiment="killed") == serial == load_experiment("killed")
    assert (tmp_path / "died").exists()


def test_a_chunk_that_fails_again_and_again_ends_the_run():
    tries = []

    def fail(realizations):
        tries.append(realizations)
        if realizations == (2, 3):
            raise OSError("no such machine")
        return chunk_of(realizations)

    with (
        ThreadPoolExecutor(1) as executor,
        pytest.warns(RuntimeWarning, match="no such machine"),
        pytest.raises(RuntimeError, match=r"failed 3 times.*Received: realizations=\[2, 3\]"),
    ):
        list(submit_all(executor, fail, range(5), 2))
    assert tries.count((2, 3)) == NUM_RETRIES + 1


def test_a_chunk_that_fails_once_is_tried_again():
    failed = []

    def fail_once(realizations):
        if realizations not in failed:
            failed.append(realizations)
            raise OSError("flaky")
        return chunk_of(realizations)

    with ThreadPoolExecutor(1) as executor, pytest.warns(RuntimeWarning, match="flaky"):
        chunks = list(submit_all(executor, fail_once, range(5), 2))
    assert sorted(chunk.realizations for chunk in chunks) == CHUNKS


def test_an_executor_that_breaks_ends_the_run_and_keeps_what_was_finished(tmp_path):
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as executor,
        pytest.raises(RuntimeError, match="same call continues it"),
    ):
        list(submit_all(executor, partial(die_once, tmp_path, chunk_of), [2, 3], 1))


def test_what_waits_is_cancelled_when_the_run_ends():
    begun = []

    def task(realizations):
        begun.append(realizations)
        return chunk_of(realizations)

    blocked = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        chunks = submit_all(executor, task, range(100), 1)
        next(chunks)
        executor.submit(blocked.wait, 30)
        chunks.close()
        blocked.set()
    assert len(begun) < 10


def test_dask_gives_the_numbers_of_a_serial_run_though_a_worker_is_killed(serial):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        killed = []

        def kill_one():
            while not killed:
                busy = [address for address, calls in client.processing().items() if calls]
                for pid in client.run(os.getpid, workers=busy[:1]).values() if busy else ():
                    killed.append(pid)
                    os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        moments = run(executor=client.get_executor(), name_experiment="dask", chunk_size=1)
        killer.join()
    assert len(killed) == 1
    assert moments == serial == load_experiment("dask")


def test_a_chunk_that_fails_once_holds_up_little():
    failed = []

    def task(realizations):
        if realizations == (2, 3) and not failed:
            failed.append(realizations)
            raise OSError("flaky")
        return chunk_of(realizations)

    with ThreadPoolExecutor(1) as executor, pytest.warns(RuntimeWarning, match="flaky"):
        order = [chunk.realizations for chunk in submit_all(executor, task, range(100), 2)]
    assert sorted(order) == [(2 * k, 2 * k + 1) for k in range(50)]
    assert order.index((2, 3)) <= 2 * CHUNKS_PER_WORKER


def test_a_full_disk_cancels_what_waits(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Writer, "commit", full)
    computed = []
    realize = Simulator.realize
    monkeypatch.setattr(Simulator, "realize", lambda self, k, arrays: (computed.append(k), realize(self, k, arrays))[1])
    monkeypatch.setattr("moments_dnns.execution.collection.SECONDS_BETWEEN_COMMITS", 0.0)
    with ThreadPoolExecutor(1) as executor, pytest.raises(OSError, match="No space"):
        run(executor=executor, num_realizations=600)
    assert len(computed) < 60


def test_workers_that_cannot_start_are_told():
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=os._exit, initargs=(1,)) as executor, \
            pytest.raises(RuntimeError, match=r"workers that can start.*Received: executor="):  # fmt: skip
        run(executor=executor)
