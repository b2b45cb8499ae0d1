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

from moments_dnns._backend import describe_device
from moments_dnns._validation import boolean, non_negative, refusal, warn, whole
from moments_dnns.data import dataset_label, load_images
from moments_dnns.descriptions.architecture import Architecture
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.keras_objects import is_local, specification
from moments_dnns.results.moments import Moments
from moments_dnns.results.record import indices
from moments_dnns.results.writers import Writer, check_writable, open_writer

from .convergence import Convergence, Row
from .executors import submit_all, worker_pool
from .realizations import Chunk, run_chunk, stream_chunks

Chunks = Generator[Chunk | None]


# Finished realizations are made durable this often; the disk then costs next to nothing.
SECONDS_BETWEEN_COMMITS = 5.0


# Realizations that a worker is handed at a time, and between two looks at a tolerance.
CHUNK_SIZE = 8


# The parameters of `run_experiment` that say how an experiment is run, beside those of `Experiment`, in a line each.
RUN_OPTIONS = {
    "name_experiment": "folder below npy/ in which the moments are saved; nothing is saved without a name",
    "verbose": "show a progress bar",
    "overwrite": "replace another experiment of that name",
    "workers": "number of processes on this machine",
    "executor": "any concurrent.futures.Executor, instead of workers",
    "chunk_size": "realizations that a worker is handed at a time",
    "tolerance": "end the run once all standard errors are below it; 0 never does",
}


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
    num_computations: int = 100,
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

    Args:
        architecture: `"vanilla"`, `"bn_ff"` or `"bn_res"`, or an `Architecture` of your own.
        total_depth: Number of layers; of residual units for a residual architecture.
        kernel_size: Side of the square kernels, in pixels; 1 makes the network fully connected.
        num_channels: Width of every layer, in channels.
        batch_size: Images per realization, at most as many as the dataset has.
        num_realizations: Number of random networks, each with its own images and noise.
        name_experiment: Folder below `npy/` in which the moments are saved while the experiment runs; nothing is
            saved without a name. The same call continues an experiment that was interrupted, and a larger
            `num_realizations` extends it.
        boundary: What convolutions read beyond the border: `"periodic"` (the opposite border), `"symmetric"` (the
            mirror image, odd kernels only) or `"zero_padding"`.
        dataset: `"cifar10"`, `"mnist"`, `"photo"` (needs no download), an array of images of shape (number, height,
            width, channels) or (number, height, width), or a path to such an array in `.npy` or `.npz`.
        epsilon: Constant added to the variances in normalizations.
        res_depth: How often a residual unit goes through its steps: for `"bn_res"`, its convolutions.
        num_computations: Number of depths at which moments are taken; divides `total_depth`.
        seed: The only source of randomness. Realization k has the same numbers whatever `num_realizations`.
        compute_reff_signal: Whether to take effective ranks of the signal.
        compute_reff_noise: Whether to take effective ranks of the noise.
        weights: `"explicit"` draws the weights of fully connected layers, `"gram"` their outputs given their inputs,
            which is the same law and faster for wide layers; `"auto"` takes the faster one.
        precision: `"float32"` keeps all digits in products of matrices and convolutions; `"tf32"` lets NVIDIA's tensor
            cores round their factors to 10 bits, which is several times faster and changes nothing elsewhere.
        activation: Name of a Keras activation, a `keras.layers` activation layer, or a function of one tensor on
            `keras.ops`; workers can only import functions that are written in a module.
        gain: Variance of the weights times fan_in, sigma_w**2; 2 is He's. The first convolution, which brings the
            images to `num_channels`, keeps 1.
        kernel_initializer: `"gaussian"`; or a name or an instance of a `keras.initializers.Initializer`, which has a
            gain of its own and is drawn afresh from the seed of the realization. The first convolution stays Gaussian.
        bias_variance: Variance of the biases, sigma_b**2, of all but the first convolution.
        statistics: What those of batch normalization are for the noise: `"constant"`, as in the paper, or
            `"differentiated"`, the exact derivative.
        verbose: Whether to show a progress bar.
        overwrite: Whether another experiment of that name is replaced, once the first realizations are saved.
        workers: Number of processes on this machine; 1 computes in this one.
        executor: Any `concurrent.futures.Executor` to compute on, instead of `workers`.
        chunk_size: Realizations that a worker is handed, and commits, at a time.
        tolerance: Ends the run before `num_realizations` once the standard errors of ln chi (absolute) and of the
            mean of every moment (relative; absolute for logarithms) are below it at every depth. It is looked at
            after every `chunk_size` realizations, in their order; 0 never ends a run.

    Returns:
        Moments, a mapping from array names to arrays of shape (realizations, num_computations).

    Raises:
        TypeError, ValueError: If an argument is refused.
        FileExistsError: If there is another experiment of that name.
        BlockingIOError: If another process writes to the experiment of that name now.
        OSError: If the dataset cannot be downloaded or read, or the disk is full.
        RuntimeError: If a worker fails again and again.
        KeyboardInterrupt: On Ctrl-C; with a name, what was finished is saved.

    Example:

    >>> moments = run_experiment("bn_ff", 4, 1, 16, 8, 2, dataset="photo", num_computations=2, verbose=False)
    >>> moments["chi_loc4"].shape, moments["depth"].tolist()
    ((2, 2), [2, 4])

    Reference: section 6 of arXiv 1811.03087.
    """
    for flag, value in {"verbose": verbose, "overwrite": overwrite}.items():
        boolean(flag, value)
    experiment = Experiment(
        architecture,
        total_depth,
        kernel_size,
        num_channels,
        batch_size,
        num_realizations,
        boundary=boundary,
        dataset=dataset_label(dataset),
        epsilon=epsilon,
        res_depth=res_depth,
        num_computations=num_computations,
        seed=seed,
        compute_reff_signal=compute_reff_signal,
        compute_reff_noise=compute_reff_noise,
        weights=weights,
        precision=precision,
        activation=specification("activation", activation),
        gain=gain,
        kernel_initializer=specification("kernel_initializer", kernel_initializer),
        bias_variance=bias_variance,
        statistics=statistics,
    )
    convergence = Convergence(non_negative("tolerance", tolerance), whole(1)("chunk_size", chunk_size))
    workers = whole(1)("workers", workers)
    if workers > 1 and is_local(experiment.activation):
        raise ValueError(
            refusal("workers need an activation that they can import from a module.", activation=activation)
        )
    if executor is not None and (workers > 1 or not isinstance(executor, Executor)):
        raise ValueError(
            refusal(
                "expected a concurrent.futures.Executor, or a number of workers, not both.",
                executor=executor,
                workers=workers,
            )
        )
    check_writable(name_experiment, experiment, overwrite)
    images = load_images(dataset)
    experiment.check_images(images.images.shape)
    with _executor(workers, executor) as chosen:
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
            compute = partial(_computed, (experiment, dataset, images.sha256, backend), chosen)
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
    last_commit, most_constant = time.monotonic(), 0
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
                if time.monotonic() - last_commit > SECONDS_BETWEEN_COMMITS:
                    _commit(writer, pending)
                    last_commit = time.monotonic()
        finally:
            # Also on Ctrl-C and on errors: what is finished is never lost.
            _commit(writer, pending)


def _computed(
    work: tuple[Experiment, Any, str, str], executor: Executor | None, missing: Sequence[int], convergence: Convergence
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
    return _rows(indices(moments.sources), {name: moments[name] for name in moments.experiment.array_names})


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
