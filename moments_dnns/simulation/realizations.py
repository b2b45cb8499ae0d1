"""Realizations of an experiment by their index, and chunks of them, wherever they are computed."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, zip_longest
from typing import Any, NamedTuple

import attrs
import numpy as np

from moments_dnns import _seeds
from moments_dnns._backend import use_backend
from moments_dnns._validation import refusal
from moments_dnns.data import Images, draw_batch, load_images
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.moments import from_logarithms


class Chunk(NamedTuple):
    """Finished realizations.

    Args:
        realizations: Their indices.
        arrays: float64 arrays of shape (len(realizations), num_computations) by array name.
        problems: What is worth a warning, in words.
        num_constant_channels: The most channels of a batch that had no standard deviation.
    """

    realizations: tuple[int, ...]
    arrays: dict[str, np.ndarray]
    problems: tuple[str, ...]
    num_constant_channels: int


class Simulator:
    """The compiled network of an experiment and its images: realizations by index.

    Args:
        experiment: The description.
        images: The dataset.

    Example:

    >>> from moments_dnns.data import load_images
    >>> experiment = Experiment("vanilla", 2, 3, 4, 2, 1, dataset="photo", num_computations=2)
    >>> chunk = Simulator(experiment, load_images("photo")).run([7, 8, 9])
    >>> chunk.realizations, chunk.arrays["nu2_signal_loc3"].shape
    ((7, 8, 9), (3, 2))

    Reference: section 6 of arXiv 1811.03087.
    """

    def __init__(self, experiment: Experiment, images: Images):
        # Imported here, not above: bad arguments and --help are answered before a backend starts.
        from moments_dnns._backend import product_precision

        from .network import build_network, grouped, num_seeds, realizations_per_call

        _, *image_shape = images.images.shape
        if experiment.fully_connected:
            image_shape = [1, 1, int(np.prod(image_shape))]
        self.experiment, self.images = experiment, images
        self.num_seeds, self.per_call = num_seeds(experiment), realizations_per_call(experiment)
        self.network = grouped(build_network(experiment, tuple(image_shape)), self.per_call)
        self.product_precision = partial(product_precision, experiment.precision)
        self.ahead: dict[tuple[int, ...], Future[tuple[list[np.ndarray], int]]] = {}

    def run(self, realizations: Sequence[int]) -> Chunk:
        """Return some realizations, each of which depends on its index alone."""
        return joined(list(self.stream(realizations)))

    def stream(self, realizations: Sequence[int]) -> Iterator[Chunk]:
        """Yield some realizations, one call at a time, while the images and noise of the next call are drawn."""
        groups = [tuple(realizations[i : i + self.per_call]) for i in range(0, len(realizations), self.per_call)]
        with ThreadPoolExecutor(1) as pool:
            try:
                for group, following in zip_longest(groups, groups[1:]):
                    if following:
                        self.ahead[following] = pool.submit(self.draw, following)
                    num_constant, logarithms = self.realize(*group)
                    arrays = from_logarithms(self.experiment.array_names, logarithms)
                    out_of_range = tuple(self.experiment.out_of_range(group, arrays, logarithms))
                    yield Chunk(group, arrays, out_of_range, num_constant)
            finally:
                self.ahead.clear()

    def draw(self, realizations: tuple[int, ...]) -> tuple[list[np.ndarray], int]:
        """Return what the network is called with for some realizations, and the most constant channels of a batch."""
        # One program serves every call: where realizations are few, the first of them fills the other places too.
        indices = realizations + realizations[:1] * (self.per_call - len(realizations))
        seeds = [_seeds.of_realization(self.experiment.seed, index) for index in indices]
        batches = [
            draw_batch(self.images, self.experiment.batch_size, flatten=self.experiment.fully_connected, seed=seed)
            for seed in seeds
        ]
        of_weights = [_seeds.integers(_seeds.child(seed, _seeds.WEIGHTS), 2 * self.num_seeds) for seed in seeds]
        inputs = [
            _stacked([batch.signal for batch in batches]),
            _stacked([batch.noise for batch in batches]),
            _stacked([words.astype("int32").reshape(-1, 2) for words in of_weights]),
        ]
        return inputs, max(batch.num_constant_channels for batch in batches)

    def realize(self, *realizations: int) -> tuple[int, np.ndarray]:
        """Return the most constant channels of a batch, and the logarithms, of at most `per_call` realizations."""
        ahead = self.ahead.pop(realizations, None)
        inputs, num_constant_channels = ahead.result() if ahead else self.draw(realizations)
        with self.product_precision():
            logarithms = self.network.predict_on_batch(inputs)
        return num_constant_channels, np.asarray(logarithms)[: len(realizations)]


def _stacked(arrays: list[np.ndarray]) -> np.ndarray:
    # A large batch is not copied where it is alone.
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Return chunks of one experiment, at least one, as one.

    Example:

    >>> chunks = [Chunk((k,), {"nu2_signal_loc1": np.full((1, 2), k)}, (), k) for k in (3, 1)]
    >>> joined(chunks)
    Chunk(realizations=(3, 1), arrays={'nu2_signal_loc1': array([[3, 3],
           [1, 1]])}, problems=(), num_constant_channels=3)
    """
    realizations, arrays, problems, num_constant_channels = zip(*chunks, strict=True)
    return Chunk(
        tuple(chain(*realizations)),
        {name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]},
        tuple(chain(*problems)),
        max(num_constant_channels),
    )


# One network for each thread of a worker: Keras models are not meant to be called by two threads at once.
_local = threading.local()


def simulator(experiment: Experiment, dataset: Any, sha256: str) -> Simulator:
    """Return the simulator of this thread, made anew when the description or the images change.

    Raises:
        ValueError: If the dataset does not hold the images of that hash here.
    """
    key = attrs.evolve(experiment, num_realizations=1), sha256
    if getattr(_local, "key", None) != key:
        images = load_images(dataset)
        if images.sha256 != sha256:
            raise ValueError(refusal("expected the coordinator's images on every worker.", dataset=images.label))
        _local.key, _local.simulator = None, Simulator(experiment, images)
        _local.key = key
    found: Simulator = _local.simulator
    return found


def stream_chunks(
    experiment: Experiment, dataset: Any, sha256: str, backend: str, realizations: Sequence[int]
) -> Generator[Chunk]:
    """Yield some realizations, one call of the network at a time.

    Args:
        experiment: The description.
        dataset: The dataset, as `run_experiment` takes it; a path must lead to it on every machine.
        sha256: The hash of its images.
        backend: The Keras backend that the coordinator uses.
        realizations: Their indices.

    Raises:
        RuntimeError: If Keras runs on another backend here.
        ValueError: If the dataset holds other images here.
    """
    use_backend(backend)
    yield from simulator(experiment, dataset, sha256).stream(realizations)


def run_chunk(experiment: Experiment, dataset: Any, sha256: str, backend: str, realizations: Sequence[int]) -> Chunk:
    """Return some realizations: what an executor is handed, on whatever process or machine it runs.

    It takes the arguments of `stream_chunks`, and raises its errors.
    """
    return joined(list(stream_chunks(experiment, dataset, sha256, backend, realizations)))
