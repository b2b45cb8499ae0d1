"""Realizations of an experiment by their index, and chunks of them, in whatever process they are computed."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import zip_longest
from typing import Any, NamedTuple

import attrs
import numpy as np

from moments_dnns import _seeds
from moments_dnns._backend import use_backend
from moments_dnns._device import check_threads
from moments_dnns._validation import refusal
from moments_dnns.data import Images, draw_batch, load_images
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.pickling import unpack
from moments_dnns.execution.chunks import Chunk, joined, timed
from moments_dnns.moments import array_name, by_kept_name, from_logarithms


class Inputs(NamedTuple):
    """What the network is called with, for one call.

    Args:
        arrays: Images, noise and seeds, as `Grouped` takes them.
        num_constant_channels: In a batch, how many channels have the same value at every pixel of every image, so that
            they have no standard deviation and stay zero; the largest such number among the batches.
    """

    arrays: list[np.ndarray]
    num_constant_channels: int


Group = tuple[int, ...]


def drawn_ahead(draw: Callable[[Group], Inputs], groups: Sequence[Group]) -> Generator[tuple[Group, Inputs]]:
    """Yield groups of realizations with their inputs, while a thread draws the inputs of the next group.

    Args:
        draw: Draws the inputs of a group.
        groups: Groups of indices, in the order in which they are yielded.

    Example:

    >>> draw = lambda group: Inputs([np.array(group)], 0)
    >>> [(group, inputs.arrays[0].tolist()) for group, inputs in drawn_ahead(draw, [(0, 1), (2,)])]
    [((0, 1), [0, 1]), ((2,), [2])]
    """
    with ThreadPoolExecutor(1) as pool:
        ahead: Future[Inputs] | None = None
        for group, following in zip_longest(groups, groups[1:]):
            inputs = ahead.result() if ahead else draw(group)
            ahead = pool.submit(draw, following) if following else None
            yield group, inputs


class Simulator:
    """The compiled network of an experiment and its images: realizations by index.

    Args:
        experiment: The description.
        images: The dataset.

    Example:

    >>> from moments_dnns.data import load_images
    >>> experiment = Experiment("vanilla", 2, 3, 4, 2, 1, dataset="photo", num_computations=2)
    >>> chunk = Simulator(experiment, load_images("photo")).run([7, 8, 9])
    >>> chunk.realizations, chunk.arrays["log_nu2_signal_loc3"].shape
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

    def of(self, experiment: Experiment) -> Simulator:
        """Return the simulator of an experiment that differs in its seed or number of realizations only."""
        other = copy.copy(self)
        other.experiment = experiment
        return other

    def run(self, realizations: Sequence[int]) -> Chunk:
        """Return some realizations, each of which depends on its index alone."""
        return joined(list(self.stream(realizations)))

    def stream(self, realizations: Sequence[int]) -> Generator[Chunk]:
        """Yield some realizations, one call of the network at a time."""
        groups = [tuple(realizations[i : i + self.per_call]) for i in range(0, len(realizations), self.per_call)]
        with closing(drawn_ahead(self.draw, groups)) as drawn:
            for group, inputs in drawn:
                logarithms = self.realize(group, inputs.arrays)
                names = self.experiment.array_names
                values = from_logarithms(names, logarithms)
                messages = *self.experiment.out_of_range(group, values, logarithms), *self._constant(group, logarithms)
                notes = {"num_constant_channels": inputs.num_constant_channels}
                yield Chunk(group, by_kept_name(names, logarithms), messages, notes)

    def _constant(self, group: Group, logarithms: np.ndarray) -> Generator[str]:
        """Yield a warning for every realization whose signal is constant where its noise is not."""
        column = {name: logarithms[..., k] for k, name in enumerate(self.experiment.array_names)}
        for place in self.experiment.places:
            signal, noise = (column[array_name(moment, place)] for moment in ("mu2_signal", "log_mu2_noise"))
            for index, constant in zip(group, np.isneginf(signal) & np.isfinite(noise), strict=True):
                if constant.any():
                    layer = self.experiment.depth[constant.argmax()]
                    yield (
                        f"realization {index}: the signal does not vary at {place} of layer {layer} in float32, where "
                        "chi is infinite: biases may exceed it by more than seven digits"
                    )

    def draw(self, realizations: Group) -> Inputs:
        """Return what the network is called with for some realizations, at most `per_call`."""
        # One program serves every call: where realizations are few, the first of them fills the other places too.
        indices = realizations + realizations[:1] * (self.per_call - len(realizations))
        seeds = [_seeds.of_realization(self.experiment.seed, index) for index in indices]
        batches = [
            draw_batch(self.images, self.experiment.batch_size, flatten=self.experiment.fully_connected, seed=seed)
            for seed in seeds
        ]
        of_weights = [_seeds.integers(_seeds.child(seed, _seeds.WEIGHTS), 2 * self.num_seeds) for seed in seeds]
        arrays = [
            _stacked([batch.signal for batch in batches]),
            _stacked([batch.noise for batch in batches]),
            _stacked([words.astype("int32").reshape(-1, 2) for words in of_weights]),
        ]
        return Inputs(arrays, max(batch.num_constant_channels for batch in batches))

    def realize(self, realizations: Group, arrays: list[np.ndarray]) -> np.ndarray:
        """Return the logarithms of the moments of some realizations, from the arrays that were drawn for them."""
        with self.product_precision():
            logarithms = self.network.predict_on_batch(arrays)
        # The network computes `per_call` realizations, the last of which may only fill it up.
        return np.asarray(logarithms)[: len(realizations)]


def _stacked(arrays: list[np.ndarray]) -> np.ndarray:
    # A large batch is not copied where it is alone.
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]


# One network for each thread of a worker: Keras models are not meant to be called by two threads at once.
_local = threading.local()


@attrs.frozen(eq=False)
class Work:
    """What a worker needs to know to compute realizations of an experiment, in whatever process or machine it is.

    Args:
        experiment: The description.
        dataset: The dataset, as `run_experiment` takes it; a path must lead to it on every machine.
        sha256: The hash of its images.
        backend: The Keras backend of all workers.
        threads: The threads within an operation of all workers, see `_device.num_threads`.
        functions: Pickled functions and classes that workers cannot import, see `descriptions.pickling`.
    """

    experiment: Experiment
    dataset: Any
    sha256: str
    backend: str
    threads: int | None
    functions: bytes | None

    def stream(self, realizations: Sequence[int]) -> Generator[Chunk]:
        """Yield some realizations, one call of the network at a time.

        Args:
            realizations: Their indices.

        Raises:
            RuntimeError: If Keras runs on another backend here, or with another number of threads.
            ValueError: If the dataset holds other images here.
        """
        use_backend(self.backend)
        check_threads(self.threads)
        if self.functions is not None:
            unpack(self.functions)
        yield from self._simulator().stream(realizations)

    def _simulator(self) -> Simulator:
        """Return the simulator of this thread, made anew when the network or the images change."""
        # The network takes seeds as inputs: one serves all seeds, and a new one each time would fill the memory.
        key = attrs.evolve(self.experiment, num_realizations=1, seed=0), self.sha256
        if getattr(_local, "key", None) != key:
            images = load_images(self.dataset)
            if images.sha256 != self.sha256:
                raise ValueError(refusal("expected the coordinator's images on every worker.", dataset=images.label))
            _local.key, _local.simulator = None, Simulator(self.experiment, images)
            _local.key = key
        current: Simulator = _local.simulator
        return current.of(self.experiment)


def compute(work: Work, realizations: Sequence[int]) -> Chunk:
    """Return some realizations: the task that an executor is given. It raises the errors of `Work.stream`."""
    return timed(work.stream(realizations))
