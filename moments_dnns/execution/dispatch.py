"""Chunks of realizations by any executor: what fails is tried again, and what takes longer comes in smaller chunks."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from typing import TypeAlias

from moments_dnns._validation import refusal

from .chunks import Chunk
from .pool import WorkerPool, visible_gpus

# How often a chunk is tried again when its worker dies, raises or is lost.
NUM_RETRIES = 2

# So many chunks are on their way for each worker: enough to keep it busy, few enough that nothing piles up.
CHUNKS_PER_WORKER = 2

WORKERS_WHERE_UNKNOWN = 128  # an executor need not tell how many it has

SECONDS_BETWEEN_SIGNS = 0.5

# What a chunk takes where its size is ours to choose: far more than it costs to send, little to lose by Ctrl-C.
SECONDS_PER_CHUNK = 0.5

Task = Callable[[Sequence[int]], Chunk]

# Chunks as they come, and None where none came for a while, so that whoever waits can save and be interrupted.
Chunks: TypeAlias = Generator[Chunk | None]


def submit_all(executor: Executor, task: Task, realizations: Sequence[int], chunk_size: int) -> Chunks:
    """Compute realizations by an executor and yield them as they come, in any order; None when none came for a while.

    A chunk whose worker died, raised or was lost is tried again before any other, `NUM_RETRIES` times. A bounded
    number of chunks is on its way at any time. What is still waiting when the iterator is closed is cancelled.

    Args:
        executor: Any executor whose workers can import this package. On cores of this machine, a `WorkerPool`, chunks
            begin with one realization and grow to what takes `SECONDS_PER_CHUNK`.
        task: Makes a chunk from the indices of its realizations.
        realizations: The indices, in order.
        chunk_size: Realizations in a chunk, at most.

    Raises:
        TypeError, ValueError: If a chunk is refused, which no other try would mend.
        RuntimeError: If a chunk failed too often, or the executor broke; from the error of its last try.
    """
    left, again = deque(realizations), deque[tuple[int, ...]]()
    futures: dict[Future[Chunk], tuple[int, ...]] = {}
    failures: dict[tuple[int, ...], int] = {}
    workers = getattr(executor, "_max_workers", WORKERS_WHERE_UNKNOWN)
    grows = isinstance(executor, WorkerPool) and not visible_gpus()
    size = 1 if grows else chunk_size
    try:
        while left or again or futures:
            while (left or again) and len(futures) < CHUNKS_PER_WORKER * workers:
                chunk = again.popleft() if again else _next(left, size)
                futures[executor.submit(task, chunk)] = chunk
            done = wait(futures, timeout=SECONDS_BETWEEN_SIGNS, return_when=FIRST_COMPLETED).done
            if not done:
                yield None
            # What succeeded comes first: a failure may end the run.
            for future in sorted(done, key=lambda future: _error(future) is not None):
                chunk, error = futures.pop(future), _error(future)
                if error is None:
                    computed = future.result()
                    if grows:
                        size = _fitting(computed, min(chunk_size, len(left) // (CHUNKS_PER_WORKER * workers)))
                    yield computed
                else:
                    failures[chunk] = failures.get(chunk, 0) + 1
                    _report(error, chunk, failures[chunk])
                    again.appendleft(chunk)
    finally:
        # A pool of ours ends where work is left. Cancelling would make it end workers one by one, and start others.
        for future in futures if not isinstance(executor, WorkerPool) else ():
            future.cancel()


def _next(left: deque[int], size: int) -> tuple[int, ...]:
    """Take the next realizations, of one multiple of a size to the next: the chunks of an extended run are the same."""
    first = left.popleft()
    chunk = [first]
    while left and left[0] // size == first // size:
        chunk.append(left.popleft())
    return tuple(chunk)


def _fitting(chunk: Chunk, most: int) -> int:
    """Return how many realizations take as long as a chunk should, after what one chunk took."""
    each = chunk.seconds / len(chunk.realizations)
    return max(1, min(most, int(SECONDS_PER_CHUNK / max(each, 1e-9))))


def _report(error: BaseException, chunk: Sequence[int], num_failures: int) -> None:
    if isinstance(error, TypeError | ValueError):
        raise error
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
