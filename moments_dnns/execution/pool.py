"""Processes of this machine that compute realizations, and that stay for the next call."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path
from types import FrameType
from typing import Any

from loky.backend import get_context
from pebble import ProcessPool

from moments_dnns._backend import chosen_backend, without_greetings
from moments_dnns._device import THREADS, num_cores, worker_threads
from moments_dnns._resources import available_memory

# What a process with a backend takes, in bytes, before it computes anything.
WORKER_MEMORY = 2**30

# A scheduler sends SIGTERM to all processes of a job. So long a worker lives on after one that is not the
# coordinator's, which must not start others for those that died while it saves what is finished.
SECONDS_TO_LEAVE = 10.0

# So long the processes wait for another call.
SECONDS_TO_STAY = 300.0

WORKERS_VARIABLE = "MOMENTS_DNNS_WORKERS"


class WorkerPool(Executor):
    """Processes on this machine: an executor of which one process that dies costs its own task only.

    They start without the caller's `__main__`, so that a script needs no guard.

    Args:
        num_workers: Number of processes, each with its own compiled network and, unless `_device.THREADS` are set, one
            thread within an operation; where there are several GPUs, worker k uses GPU k modulo their number.
    """

    def __init__(self, num_workers: int):
        self._max_workers = num_workers  # under the name that the standard library's executors use
        self._unfinished = set[Future[Any]]()
        self.settings = settings(num_workers)
        context = get_context("loky")
        self._ending = context.Event()
        numbers = context.SimpleQueue()
        for number in range(num_workers):
            numbers.put(number)
        self.pool = ProcessPool(
            num_workers,
            initializer=_set_up_worker,
            context=context,
            initargs=(numbers, visible_gpus(), _environment(), self._ending),
        )

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call and return its future."""
        future: Future[Any] = self.pool.schedule(function, args=args, kwargs=kwargs)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    @property
    def reusable(self) -> bool:
        """Whether the processes live, and wait for work."""
        return bool(self.pool.active) and not self._unfinished

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: after the scheduled calls, or at once where these are cancelled."""
        if cancel_futures:
            self._ending.set()
            self.pool.stop()
        else:
            self.pool.close()
        if wait:
            self.pool.join()


def _environment() -> dict[str, str]:
    threads = {variable: str(worker_threads(backend)) for backend, variable in THREADS.items()}
    return {**threads, "KERAS_BACKEND": chosen_backend()}


def _set_up_worker(numbers: Any, gpus: list[str], environment: dict[str, str], ending: Any) -> None:
    worker = numbers.get()
    numbers.put(worker)  # for the process that takes the place of one that died
    signal.signal(signal.SIGTERM, partial(_leave, ending))
    # The backend is not imported yet and reads these once.
    os.environ.update(environment)
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Networks of several experiments are what TensorFlow takes for one that is traced again and again.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[worker % len(gpus)]
    with suppress(Exception), without_greetings():  # what fails here fails in the first task, which says so
        import keras  # while the coordinator reads images

        keras.ops.zeros(())  # looks for devices


def _leave(ending: Any, number: int, frame: FrameType | None) -> None:
    if ending.is_set():
        os._exit(128 + number)
    threading.Timer(SECONDS_TO_LEAVE, os._exit, (128 + number,)).start()


def settings(num_workers: int) -> tuple[Any, ...]:
    """Return all on which it depends what a pool computes, and how."""
    return num_workers, _environment(), visible_gpus()


def visible_gpus() -> list[str]:
    """Return the NVIDIA GPUs that this process may use, without starting a backend."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in visible.split(",") if gpu]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


def default_workers(memory: int) -> int:
    """Return how many workers there are by default: one for each GPU, or each core as far as memory allows.

    `MOMENTS_DNNS_WORKERS` says otherwise.

    Args:
        memory: The bytes that a realization takes.

    Example:

    >>> default_workers(2**60)
    1
    """
    chosen = os.environ.get(WORKERS_VARIABLE, "")
    if chosen.isdecimal() and int(chosen):
        return int(chosen)
    if gpus := visible_gpus():
        return len(gpus)
    available = available_memory()
    fitting = available // (WORKER_MEMORY + memory) if available else num_cores()
    return int(max(1, min(num_cores() // worker_threads(chosen_backend()), fitting)))


class _Waiting:
    """The pool of this process that waits for the next call, if any."""

    def __init__(self) -> None:
        self._pools: list[WorkerPool] = []
        self._timer: threading.Timer | None = None
        # Before pebble's own handler, which waits for seconds; and in processes that multiprocessing started, which
        # have no such handlers.
        atexit.register(self.end)
        Finalize(None, self.end, exitpriority=100)
        if hasattr(os, "register_at_fork"):  # a child has no part in its parent's processes
            os.register_at_fork(after_in_child=self._pools.clear)

    def take(self, num_workers: int) -> WorkerPool:
        """Return the pool that waits, or a new one where there is none like that."""
        with suppress(IndexError):
            pool = self._pools.pop()  # atomic: two threads never get the same pool
            if pool.settings == settings(num_workers) and pool.reusable:
                return pool
            pool.shutdown(cancel_futures=True)
        return WorkerPool(num_workers)

    def give(self, pool: WorkerPool) -> None:
        """Let a pool wait, in the place of one that waits."""
        self.end()
        self._pools.append(pool)
        self._timer = threading.Timer(SECONDS_TO_STAY, self.end)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """End the processes that wait."""
        if self._timer is not None:
            self._timer.cancel()
        while self._pools:
            self._pools.pop().shutdown(cancel_futures=True)


_waiting = _Waiting()


@contextmanager
def worker_pool(num_workers: int) -> Iterator[WorkerPool]:
    """Lend a pool of processes, which waits for the next call afterwards, for some minutes.

    After an error or Ctrl-C, or where work is left, it ends at once: finished chunks have been taken, the others do not
    count.

    Example:

    >>> with worker_pool(1) as pool:
    ...     pool.submit(abs, -2).result()
    2
    """
    pool = _waiting.take(num_workers)
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    if pool.reusable:
        _waiting.give(pool)
    else:
        pool.shutdown(cancel_futures=True)
