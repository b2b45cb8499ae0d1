"""Who computes: this process, processes of this machine, or any executor, and on what device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from typing import Any

from moments_dnns._backend import check_installed, chosen_backend
from moments_dnns._device import computes_as_workers, describe_device
from moments_dnns._validation import refusal

from .pool import visible_gpus, worker_pool


@contextmanager
def engine(executor: Executor | None, workers: int, missing: int) -> Iterator[Executor | None]:
    """Lend who computes: an executor, or None for this process.

    One worker is this process where it computes with the same digits: on a GPU, or with as many threads as a worker.

    Args:
        executor: The executor of the user, if any.
        workers: Number of processes otherwise.
        missing: How many realizations there are to compute; there are no more processes than that.

    Example:

    >>> with engine(None, 1, 0) as chosen:
    ...     chosen is None
    True
    """
    workers = min(workers, missing)
    if executor is None:
        check_installed()
    if executor is not None or not workers or (workers == 1 and (visible_gpus() or computes_as_workers())):
        yield executor
    else:
        with worker_pool(workers) as pool:
            yield pool


def device_of(executor: Executor | None, any_policy: bool = False) -> Callable[[], dict[str, Any]]:
    """Return the function that describes the device of workers, which start now, or that of this process.

    Args:
        executor: Who computes, as `engine` lends it.
        any_policy: As that of `describe_device`, whose errors the function raises.

    Raises:
        RuntimeError: The function, where the first worker could not start.
    """
    if executor is None:
        return partial(describe_device, chosen_backend(), any_policy)
    described = executor.submit(describe_device, chosen_backend(), any_policy)

    def of_worker() -> dict[str, Any]:
        try:
            return described.result()
        except (TypeError, ValueError):
            raise
        except Exception as error:
            raise RuntimeError(
                refusal(f"expected workers that can start. The first one failed with: {error!r}.", executor=executor)
            ) from error

    return of_worker
