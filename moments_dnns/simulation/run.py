"""Runs experiments: which realizations are missing, who computes them, and what is worth a warning."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from moments_dnns.data import Images, check_dataset, dataset_label, is_file, load_images
from moments_dnns.descriptions.architecture import Architecture
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.keras_objects import specification
from moments_dnns.descriptions.parameters import documented, pick
from moments_dnns.descriptions.pickling import packed
from moments_dnns.execution.collection import Row, collect, rows
from moments_dnns.execution.dispatch import Chunks, submit_all
from moments_dnns.execution.engine import device_of, engine
from moments_dnns.execution.options import CHUNK_SIZE, RunOptions
from moments_dnns.execution.pool import WorkerPool, default_workers, visible_gpus
from moments_dnns.moments import kept_name
from moments_dnns.results.interruption import interruptible
from moments_dnns.results.moments import Moments
from moments_dnns.results.sources import indices
from moments_dnns.results.writers import check_writable, open_writer

from .convergence import Convergence
from .estimates import check_network, least_memory
from .realizations import Work, compute

# A realization takes about so many times what `least_memory` counts, with images as they usually are.
MEMORY_OF_LEAST = 8
USUAL_IMAGE = (32, 32, 3)


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
    workers: int | None = None,
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
    functions = packed(experiment.activation, experiment.kernel_initializer)
    convergence = Convergence(options.tolerance, options.chunk_size)
    missing = check_writable(name_experiment, experiment, overwrite)
    check_dataset(dataset)
    workers = options.workers or default_workers(MEMORY_OF_LEAST * least_memory(experiment, USUAL_IMAGE))
    with interruptible(name_experiment), engine(executor, workers, missing) as chosen:
        # Workers start while images are read.
        device = device_of(chosen)
        images = load_images(dataset)
        experiment.check_images(images.images.shape)
        check_network(experiment, images.images.shape[1:], elsewhere=executor is not None or bool(visible_gpus()))
        provenance = {
            **(known := device()),
            "dataset_sha256": images.sha256,
            "dataset_shape": list(images.images.shape),
            "chunk_size": convergence.chunk_size,
            "tolerance": convergence.tolerance,
        }
        opened = open_writer(name_experiment, experiment, provenance, overwrite)
        with opened as writer, _reachable(dataset, images, chosen) as source:
            work = Work(experiment, source, images.sha256, known["backend"], known["threads"], functions)
            if convergence.tolerance and len(writer.missing) < experiment.num_realizations:
                convergence.take(_committed(writer.moments()))
            chunks = _until(convergence, _computed(work, chosen, writer.missing, convergence.chunk_size))
            collect(writer, experiment.num_realizations, chunks, verbose, convergence.take)
            return writer.moments()


@contextmanager
def _reachable(dataset: Any, images: Images, executor: Executor | None) -> Iterator[Any]:
    """Give workers of this machine the path to a copy of the images, which takes less time than making them again."""
    if not isinstance(executor, WorkerPool) or is_file(dataset):
        yield dataset
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, dataset if isinstance(dataset, np.ndarray) else images.images)
        yield path


def _computed(work: Work, executor: Executor | None, missing: list[int], chunk_size: int) -> Chunks:
    if executor is None:
        # Here, call by call of the network: Ctrl-C then costs one call at most.
        yield from work.stream(missing)
    else:
        yield from submit_all(executor, partial(compute, work), missing, chunk_size)


def _until(convergence: Convergence, chunks: Chunks) -> Chunks:
    with closing(chunks):
        while not convergence.reached:
            try:
                yield next(chunks)
            except StopIteration:
                return


def _committed(moments: Moments[Experiment]) -> dict[int, Row]:
    return rows(
        indices(moments.sources), {name: moments[name] for name in map(kept_name, moments.experiment.array_names)}
    )
