"""Runs experiments: which realizations are missing, who computes them, and what is worth a warning."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from moments_dnns._backend import check_installed, describe_device
from moments_dnns._validation import refusal, warn
from moments_dnns.data import dataset_label, load_images
from moments_dnns.descriptions.architecture import Architecture
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.keras_objects import is_local, specification
from moments_dnns.descriptions.parameters import documented, pick
from moments_dnns.moments import kept_name
from moments_dnns.results.interruption import interruptible
from moments_dnns.results.moments import Moments
from moments_dnns.results.sources import indices
from moments_dnns.results.writers import SECONDS_BETWEEN_COMMITS, SHARE_OF_COMMITS, Writer, check_writable, open_writer

from .convergence import Convergence, Row
from .estimates import check_network
from .executors import submit_all, visible_gpus, worker_pool
from .options import CHUNK_SIZE, RunOptions
from .realizations import Chunk, run_chunk, stream_chunks

Chunks = Generator[Chunk | None]


@documented(Experiment, RunOptions)
def run_experiment(
    architecture: str | Architecture,
    total_depth: int,
    kernel_size: int,
    num_channels: int,
    batch_size: int,
    num_realizations: int,
    name_experiment: str | None = None,
    *,
    boundary: str = "periodic",
    dataset: Any = "cifar10",
    epsilon: float = 1e-3,
    res_depth: int = 2,
    num_computations: int | None = None,
    seed: int = 0,
    compute_reff_signal: bool = True,
    compute_reff_noise: bool = True,
    weights: str = "auto",
    precision: str = "float32",
    activation: str | Callable[..., Any] = "relu",
    gain: float = 2.0,
    kernel_initializer: Any = "gaussian",
    bias_variance: float = 0.0,
    statistics: str = "constant",
    verbose: bool = True,
    overwrite: bool = False,
    workers: int = 1,
    executor: Executor | None = None,
    chunk_size: int = CHUNK_SIZE,
    tolerance: float = 0.0,
) -> Moments[Experiment]:
    """Propagate signal and noise through random networks and return their moments.

    {parameters}

    Returns:
        Moments, a mapping from array names to arrays of shape (realizations, num_computations).

    Raises:
        TypeError, ValueError: If an argument is refused.
        FileExistsError: If there is another experiment of that name.
        BlockingIOError: If another process writes to the experiment of that name now.
        OSError: If the dataset cannot be downloaded or read, or the disk is full.
        RuntimeError: If a worker fails again and again.
        KeyboardInterrupt: On Ctrl-C and SIGTERM; with a name, what was finished is saved, and the message says so.
        MemoryError: If the network or the arrays do not fit in memory.

    Example:

    >>> moments = run_experiment("bn_ff", 4, 1, 16, 8, 2, dataset="photo", num_computations=2, verbose=False)
    >>> moments["chi_loc4"].shape, moments["depth"].tolist()
    ((2, 2), [2, 4])

    Reference: section 6 of arXiv 1811.03087.
    """
    arguments = locals()
    options = RunOptions(**pick(RunOptions, arguments))
    as_text = {
        "dataset": dataset_label(dataset),
        "activation": specification("activation", activation),
        "kernel_initializer": specification("kernel_initializer", kernel_initializer),
    }
    experiment = Experiment(**pick(Experiment, arguments | as_text))
    convergence = Convergence(options.tolerance, options.chunk_size)
    if options.workers > 1 and is_local(experiment.activation):
        raise ValueError(
            refusal("workers need an activation that they can import from a module.", activation=activation)
        )
    check_writable(name_experiment, experiment, overwrite)
    images = load_images(dataset)
    experiment.check_images(images.images.shape)
    check_network(experiment, images.images.shape[1:], elsewhere=executor is not None or bool(visible_gpus()))
    with interruptible(name_experiment), _executor(options.workers, executor) as chosen:
        check_installed()
        import keras  # only now: bad arguments were refused before a backend starts

        backend = keras.backend.backend()
        provenance = {
            **_device(chosen, backend),
            "dataset_sha256": images.sha256,
            "dataset_shape": list(images.images.shape),
            "chunk_size": convergence.chunk_size,
            "tolerance": convergence.tolerance,
        }
        with open_writer(name_experiment, experiment, provenance, overwrite) as writer:
            work = experiment, dataset, images.sha256, backend, provenance["threads"]
            compute = partial(_computed, work, chosen)
            _run(writer, experiment, compute, convergence, verbose)
            return writer.moments()


def _device(executor: Executor | None, backend: str) -> dict[str, Any]:
    if executor is None:
        return describe_device(backend)
    try:
        description: dict[str, Any] = executor.submit(describe_device, backend).result()
    except (TypeError, ValueError):
        raise
    except Exception as error:
        raise RuntimeError(
            refusal(
                "expected workers that can start: in a script, call run_experiment below "
                f"if __name__ == '__main__'. The first worker failed with: {error!r}.",
                executor=executor,
            )
        ) from error
    return description


def _executor(workers: int, executor: Executor | None) -> AbstractContextManager[Executor | None]:
    return worker_pool(workers) if workers > 1 else nullcontext(executor)


def _run(
    writer: Writer[Experiment],
    experiment: Experiment,
    compute: Callable[..., Chunks],
    convergence: Convergence,
    verbose: bool,
) -> None:
    missing, total = writer.missing, experiment.num_realizations
    left = set(missing)
    if convergence.tolerance and len(missing) < total:
        convergence.take(_committed(writer.moments()))
    pending: dict[int, Row] = {}
    due, most_constant = time.monotonic(), 0
    bar = tqdm(total=total, initial=total - len(missing), unit="realization", disable=not verbose)
    with bar, closing(compute(missing, convergence)) as computed:
        try:
            for chunk in computed:
                if chunk:
                    for problem in chunk.problems:
                        warn(problem, RuntimeWarning)
                    most_constant = max(most_constant, chunk.num_constant_channels)
                    writer.note(num_constant_channels=most_constant)
                    counted = convergence.take(_rows(chunk.realizations, chunk.arrays))
                    pending |= counted
                    bar.update(len(left & counted.keys()))
                if pending and (begun := time.monotonic()) >= due:
                    _commit(writer, pending)
                    ended = time.monotonic()
                    due = ended + max(SECONDS_BETWEEN_COMMITS, (ended - begun) / SHARE_OF_COMMITS)
        finally:
            # Also on Ctrl-C and on errors: what is finished is never lost.
            _commit(writer, pending)


def _computed(
    work: tuple[Experiment, Any, str, str, int | None],
    executor: Executor | None,
    missing: Sequence[int],
    convergence: Convergence,
) -> Chunks:
    """Yield chunks until the tolerance is reached, and None now and then while there is none."""
    if executor is None:
        # Here, call by call of the network: Ctrl-C then costs one call at most.
        computed: Chunks = stream_chunks(*work, missing)
    else:
        chunks = [tuple(chunk) for _, chunk in groupby(missing, lambda index: index // convergence.chunk_size)]
        computed = submit_all(executor, partial(run_chunk, *work), chunks)
    with closing(computed):
        while not convergence.reached:
            try:
                yield next(computed)
            except StopIteration:
                return


def _committed(moments: Moments[Experiment]) -> dict[int, Row]:
    return _rows(
        indices(moments.sources), {name: moments[name] for name in map(kept_name, moments.experiment.array_names)}
    )


def _rows(realizations: Sequence[int], arrays: Mapping[str, np.ndarray]) -> dict[int, Row]:
    return {
        realization: {name: array[row] for name, array in arrays.items()}
        for row, realization in enumerate(realizations)
    }


def _commit(writer: Writer[Experiment], pending: dict[int, Row]) -> None:
    # Ctrl-C may have come between a commit and the clearing of what it committed.
    missing = set(writer.missing)
    uncommitted = {realization: row for realization, row in pending.items() if realization in missing}
    if uncommitted:
        rows = list(uncommitted.values())
        writer.commit(list(uncommitted), {name: np.stack([row[name] for row in rows]) for name in rows[0]})
    pending.clear()
