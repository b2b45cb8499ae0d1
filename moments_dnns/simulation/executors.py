"""Where chunks of realizations are computed: here, or by any executor; whatever fails is tried again."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

from pebble import ProcessPool

from moments_dnns._backend import num_cores, tensorflow_threads
from moments_dnns._validation import refusal

from .realizations import Chunk

# How often a chunk is tried again when its worker dies, raises or is lost.
NUM_RETRIES = 2

# So many chunks are on their way for each worker: enough to keep it busy, few enough that nothing piles up.
CHUNKS_PER_WORKER = 2

WORKERS_WHERE_UNKNOWN = 128  # an executor need not tell how many it has

SECONDS_BETWEEN_SIGNS = 0.5

# So long a worker lives on after a SIGTERM that is not the coordinator's. A scheduler sends it to all processes of a
# job, and the coordinator must not start others for those that died while it saves what is finished.
SECONDS_TO_LEAVE = 10.0

Task = Callable[[Sequence[int]], Chunk]


class WorkerPool(Executor):
    """Processes on this machine: an executor of which one process that dies costs its own task only.

    Args:
        num_workers: Number of processes, each with its own compiled network. Each uses as many threads within an
            operation as this process; where there are several GPUs, worker k uses GPU k modulo their number.
    """

    def __init__(self, num_workers: int):
        self._max_workers = num_workers  # under the name that the standard library's executors use
        spawn = get_context("spawn")
        self._ending = spawn.RawValue("b", False)
        self.pool = ProcessPool(
            num_workers,
            initializer=_set_up_worker,
            context=spawn,
            initargs=(spawn.Value("i", 0), num_workers, tensorflow_threads(), self._ending),
        )

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call and return its future."""
        future: Future[Any] = self.pool.schedule(function, args=args, kwargs=kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: after the scheduled calls, or at once where these are cancelled."""
        if cancel_futures:
            self._ending.value = True
            self.pool.stop()
        else:
            self.pool.close()
        if wait:
            self.pool.join()


def _set_up_worker(counter: Any, num_workers: int, threads: int, ending: Any) -> None:
    with counter.get_lock():
        worker = counter.value
        counter.value += 1
    signal.signal(signal.SIGTERM, partial(_leave, ending))
    # The backend is not imported yet and reads these once. The last digits depend on the threads within an operation,
    # which are those of a serial run; how many operations run at once does not matter.
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = str(max(1, num_cores() // num_workers))
    if gpus := visible_gpus():
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[worker % len(gpus)]


def _leave(ending: Any, number: int, frame: FrameType | None) -> None:
    if ending.value:
        os._exit(128 + number)
    threading.Timer(SECONDS_TO_LEAVE, os._exit, (128 + number,)).start()


def visible_gpus() -> list[str]:
    """Return the NVIDIA GPUs that this process may use, without starting a backend."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in visible.split(",") if gpu]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


@contextmanager
def worker_pool(num_workers: int) -> Iterator[WorkerPool]:
    """Make a pool that ends at once when it is left: finished chunks have been taken, the others do not count."""
    pool = WorkerPool(num_workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def submit_all(executor: Executor, task: Task, chunks: Sequence[Sequence[int]]) -> Generator[Chunk | None]:
    """Compute chunks by an executor and yield them as they come, in any order; None when none came for a while.

    A chunk whose worker died, raised or was lost is tried again before any other, `NUM_RETRIES` times. A bounded
    number of chunks is on its way at any time. What is still waiting when the iterator is closed is cancelled.

    Args:
        executor: Any executor whose workers can import this package.
        task: Makes a chunk from the indices of its realizations.
        chunks: The indices of the realizations of each chunk.

    Raises:
        RuntimeError: If a chunk failed too often, or the executor broke; from the error of its last try.
    """
    waiting: deque[Sequence[int]] = deque(map(tuple, chunks))
    futures: dict[Future[Chunk], Sequence[int]] = {}
    failures: dict[Sequence[int], int] = {}
    most = CHUNKS_PER_WORKER * getattr(executor, "_max_workers", WORKERS_WHERE_UNKNOWN)
    try:
        while waiting or futures:
            while waiting and len(futures) < most:
                chunk = waiting.popleft()
                futures[executor.submit(task, chunk)] = chunk
            done = wait(futures, timeout=SECONDS_BETWEEN_SIGNS, return_when=FIRST_COMPLETED).done
            if not done:
                yield None
            # What succeeded comes first: a failure may end the run.
            for future in sorted(done, key=lambda future: _error(future) is not None):
                chunk, error = futures.pop(future), _error(future)
                if error is None:
                    yield future.result()
                else:
                    failures[chunk] = failures.get(chunk, 0) + 1
                    _report(error, chunk, failures[chunk])
                    waiting.appendleft(chunk)
    finally:
        # A pool of ours ends with the run. Cancelling would make it end workers one by one, and start others.
        for future in futures if not isinstance(executor, WorkerPool) else ():
            future.cancel()


def _report(error: BaseException, chunk: Sequence[int], num_failures: int) -> None:
    if num_failures > NUM_RETRIES or isinstance(error, BrokenExecutor):
        raise RuntimeError(
            refusal(
                f"a chunk of realizations failed {num_failures} times, the last time with: {error!r}. "
                "What was finished of a named experiment is kept, and the same call continues it.",
                realizations=list(chunk),
            )
        ) from error
    warnings.warn(
        f"realizations {chunk[0]} to {chunk[-1]} are tried again after: {error!r}", RuntimeWarning, stacklevel=3
    )


def _error(future: Future[Chunk]) -> BaseException | None:
    if future.cancelled():
        return RuntimeError("the executor cancelled it")
    return future.exception()
