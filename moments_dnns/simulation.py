"""Runs realizations of an experiment: seeds, progress, and what is worth a warning."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from .data import Images, child, dataset_label, draw_batch, load_images
from .experiment import Experiment
from .moments import from_logarithms
from .results import Moments
from .store import open_store
from .validation import boolean, refusal

# Finished realizations are made durable at least this often; the disk then costs next to nothing.
SECONDS_BETWEEN_COMMITS = 5.0

# The children of a realization's seed: 0 and 1 draw its images and noise.
WEIGHTS_CHILD = 2


class Simulator:
    """The compiled network of an experiment and its images: realizations by index.

    Args:
        experiment: The description.
        images: The dataset.

    Example:

    >>> from moments_dnns.data import load_images
    >>> experiment = Experiment("vanilla", 2, 3, 4, 2, 1, dataset="photo", num_computations=2)
    >>> simulator = Simulator(experiment, load_images("photo"))
    >>> simulator.realize(7)["nu2_signal_loc3"].shape
    (2,)

    Reference: section 6 of arXiv 1811.03087.
    """

    def __init__(self, experiment: Experiment, images: Images):
        # Imported here, not above: bad arguments and --help are answered before a backend starts.
        from .network import build_network, num_seeds

        self.num_seeds = num_seeds(experiment)
        _, *image_shape = images.images.shape
        self.experiment, self.images = experiment, images
        if experiment.fully_connected:
            image_shape = [1, 1, int(np.prod(image_shape))]
        self.network = build_network(experiment, tuple(image_shape))
        self.num_constant_channels = 0

    def realize(self, realization: int) -> dict[str, np.ndarray]:
        """Return the moments of a realization, by its index alone.

        Returns:
            float64 arrays of shape (num_computations,) by array name.
        """
        seed = np.random.SeedSequence(self.experiment.seed, spawn_key=(realization,))
        batch = draw_batch(self.images, self.experiment.batch_size, flatten=self.experiment.fully_connected, seed=seed)
        self.num_constant_channels = max(self.num_constant_channels, batch.num_constant_channels)
        # 31 bits: the seeds that every backend takes.
        seeds = child(seed, WEIGHTS_CHILD).generate_state(2 * self.num_seeds) >> 1
        logarithms = self.network.predict_on_batch(
            [batch.signal, batch.noise, seeds.astype("int32").reshape(-1, 2)])
        moments = from_logarithms(self.experiment.array_names, logarithms)
        for problem in self.problems(moments, np.asarray(logarithms)):
            warnings.warn(f"realization {realization}: {problem}", RuntimeWarning, stacklevel=2)
        return moments

    def problems(self, moments: dict[str, np.ndarray], logarithms: np.ndarray) -> Iterator[str]:
        """Tell of every moment that is not finite or left float64's range, at the first depth where it did."""
        for name, logarithm in zip(moments, logarithms.T, strict=True):
            out_of_range = (moments[name] == 0) & np.isfinite(logarithm)
            bad = np.flatnonzero(~np.isfinite(moments[name]) | out_of_range)
            if bad.size:
                value = moments[name][bad[0]]
                yield f"{name} is {value} at layer {self.experiment.depth[bad[0]]}, its logarithm {logarithm[bad[0]]}"


class Memory:
    """Where the realizations of an experiment without a name are kept; the counterpart of a store on disk."""

    def __init__(self, experiment: Experiment, provenance: dict[str, Any]):
        self.experiment, self.provenance = experiment, provenance
        self.missing = list(range(experiment.num_realizations))
        shape = (experiment.num_realizations, experiment.num_computations)
        self.arrays = {name: np.full(shape, np.nan) for name in experiment.array_names}

    def commit(self, realizations: list[int], arrays: dict[str, np.ndarray]) -> None:
        """Keep the rows of some realizations."""
        for name, rows in arrays.items():
            self.arrays[name][realizations] = rows

    def moments(self) -> Moments:
        """Return what was kept."""
        return Moments(self.arrays, self.experiment, provenance=self.provenance)


def run_experiment(
    architecture: str, total_depth: int, kernel_size: int, num_channels: int, batch_size: int, num_realizations: int,
    name_experiment: str | None = None, *, boundary: str = "periodic", dataset: Any = "cifar10",
    epsilon: float = 1e-3, res_depth: int = 2, num_computations: int = 100, seed: int = 0,
    compute_reff_signal: bool = True, compute_reff_noise: bool = True, verbose: bool = True,
) -> Moments:
    """Propagate signal and noise through random networks and return their moments.

    Args:
        architecture: `"vanilla"`, `"bn_ff"` or `"bn_res"`.
        total_depth: Number of layers; of residual units for `"bn_res"`.
        kernel_size: Side of the square kernels, in pixels; 1 makes the network fully connected.
        num_channels: Width of every layer, in channels.
        batch_size: Images per realization, at most as many as the dataset has.
        num_realizations: Number of random networks, each with its own images and noise.
        name_experiment: Folder below `npy/` in which the moments are saved while the experiment runs; nothing is
            saved without a name. An experiment of that name that is not finished is continued.
        boundary: What convolutions read beyond the border: `"periodic"` (the opposite border), `"symmetric"` (the
            mirror image, odd kernels only) or `"zero_padding"`.
        dataset: `"cifar10"`, `"mnist"`, `"photo"` (needs no download), an array of images of shape (number, height,
            width, channels) or (number, height, width), or a path to such an array in `.npy` or `.npz`.
        epsilon: Constant added to the variances in batch normalization.
        res_depth: Convolutions per residual unit.
        num_computations: Number of depths at which moments are taken; divides `total_depth`.
        seed: The only source of randomness. Realization k has the same numbers whatever `num_realizations`.
        compute_reff_signal: Whether to take effective ranks of the signal.
        compute_reff_noise: Whether to take effective ranks of the noise.
        verbose: Whether to show a progress bar.

    Returns:
        Moments, a mapping from array names to arrays of shape (num_realizations, num_computations).

    Raises:
        TypeError, ValueError: If an argument is refused.
        FileExistsError: If there is another experiment of that name.
        OSError: If the dataset cannot be downloaded or read.
        KeyboardInterrupt: On Ctrl-C; with a name, what was finished is saved.

    Example:

    >>> moments = run_experiment("bn_ff", 4, 1, 16, 8, 2, dataset="photo", num_computations=2, verbose=False)
    >>> moments["chi_loc4"].shape, moments["depth"].tolist()
    ((2, 2), [2, 4])

    Reference: section 6 of arXiv 1811.03087.
    """
    boolean("verbose", verbose)
    experiment = Experiment(
        architecture, total_depth, kernel_size, num_channels, batch_size, num_realizations, boundary=boundary,
        dataset=dataset_label(dataset), epsilon=epsilon, res_depth=res_depth, num_computations=num_computations,
        seed=seed, compute_reff_signal=compute_reff_signal, compute_reff_noise=compute_reff_noise)
    images = load_images(dataset)
    experiment.check_images(images.images.shape)
    with _open(name_experiment, experiment, _provenance(images)) as store:
        if store.missing:
            _run(Simulator(experiment, images), store, verbose)
        return store.moments()


def _open(name: str | None, experiment: Experiment, provenance: dict[str, Any]) -> AbstractContextManager[Any]:
    if name is None:
        return nullcontext(Memory(experiment, provenance))
    return open_store(name, experiment, provenance)


def _run(simulator: Simulator, store: Any, verbose: bool) -> None:
    total, missing = simulator.experiment.num_realizations, store.missing
    pending: dict[int, dict[str, np.ndarray]] = {}
    last_commit = time.monotonic()
    with tqdm(total=total, initial=total - len(missing), unit="realization", disable=not verbose) as bar:
        try:
            for realization in missing:
                pending[realization] = simulator.realize(realization)
                bar.update()
                if time.monotonic() - last_commit > SECONDS_BETWEEN_COMMITS:
                    _commit(store, pending)
                    last_commit = time.monotonic()
        finally:
            # Also on Ctrl-C and on errors: what is finished is never lost.
            _commit(store, pending)


def _commit(store: Any, pending: dict[int, dict[str, np.ndarray]]) -> None:
    if pending:
        rows = list(pending.values())
        store.commit(list(pending), {name: np.stack([row[name] for row in rows]) for name in rows[0]})
        pending.clear()


def _provenance(images: Images) -> dict[str, Any]:
    import keras

    if keras.config.dtype_policy().name != "float32":
        raise ValueError(refusal("networks run in float32: expected Keras' default policy.",
                                 dtype_policy=keras.config.dtype_policy().name))
    return {"backend": keras.backend.backend(), "devices": keras.distribution.list_devices(),
            "dtype": keras.config.floatx(), "dataset_sha256": images.sha256,
            "dataset_shape": list(images.images.shape)}
