"""RunOptions: how an experiment is run, which does not change its numbers."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import attrs

from moments_dnns._validation import boolean, non_negative, optional, refusal, whole
from moments_dnns.descriptions.parameters import documented, parameter
from moments_dnns.results.folders import check_name

CHUNK_SIZE = 8


def _name(name: str, value: Any) -> str | None:
    return None if value is None else check_name(value)


def _executor(name: str, value: Any) -> Executor | None:
    if value is not None and not isinstance(value, Executor):
        raise ValueError(refusal(f"{name} must be a concurrent.futures.Executor.", **{name: value}))
    return value


@documented()
@attrs.frozen
class RunOptions:
    """How an experiment is run: where it is saved, who computes it, and when it ends.

    {parameters}

    Raises:
        TypeError, ValueError: If a value is refused; the message says what was expected.

    Example:

    >>> RunOptions(workers=4).chunk_size
    8
    """

    name_experiment: str | None = parameter(
        _name,
        None,
        group="run",
        meaning="Folder below `npy/` in which the moments are saved while the experiment runs; nothing is saved "
        "without a name. The same call continues an experiment that was interrupted, and a larger `num_realizations` "
        "extends it.",
    )
    verbose: bool = parameter(boolean, True, group="run", meaning="Whether to show a progress bar.")
    overwrite: bool = parameter(
        boolean,
        False,
        group="run",
        meaning="Whether another experiment of that name is replaced, once the first realizations are saved.",
    )
    workers: int | None = parameter(
        optional(whole(1)),
        None,
        group="run",
        meaning="How many realizations are computed at a time, each by a process of its own with one thread; by "
        "default as many as there are cores, or GPUs. The numbers do not depend on it.",
    )
    executor: Executor | None = parameter(  # noqa: RUF009
        _executor,
        None,
        group="run",
        meaning="Any `concurrent.futures.Executor` to compute on, such as a Dask cluster, instead of `workers`.",
    )
    chunk_size: int = parameter(
        whole(1),
        CHUNK_SIZE,
        group="run",
        meaning="Realizations that a worker is handed at a time; on cores of this machine at most so many.",
    )
    tolerance: float = parameter(
        non_negative,
        0.0,
        group="run",
        meaning="Ends the run before `num_realizations` once all standard errors are below it; 0 never does. They are "
        "those of ln chi (absolute) and of the mean of every moment (relative; absolute for logarithms), at every "
        "depth, looked at after every `chunk_size` realizations, in their order.",
    )

    def __attrs_post_init__(self) -> None:
        if self.executor is not None and self.workers is not None:
            raise ValueError(
                refusal(
                    "expected an executor, or a number of workers, not both.",
                    executor=self.executor,
                    workers=self.workers,
                )
            )
