"""Theory for an experiment's own data: infinitely wide networks for the batches that its realizations draw.

The predictions are exact for the given images and noise, as averages over the weights alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs
import numpy as np
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from moments_dnns import _seeds
from moments_dnns._validation import refusal, whole
from moments_dnns.data import Batch, Images, draw_batch
from moments_dnns.descriptions.boundaries import PADDED, read_pixels
from moments_dnns.descriptions.experiment import Experiment

from .gram import MOST_POINTS, Grams
from .infinite import Prediction, infinite_width

# The parameters of experiments for which the theory holds.
ASSUMPTIONS = {
    "activation": "relu",
    "gain": 2.0,
    "kernel_initializer": "gaussian",
    "bias_variance": 0.0,
    "statistics": "constant",
}


SECONDS_BEFORE_BAR = 2.0  # of a prediction


def first_grams(experiment: Experiment, signal: np.ndarray, noise: np.ndarray) -> Grams:
    """Return the Gram matrices after the first convolution, averaged over its weights.

    Formula: `K_ab` is the mean, over the entries of the kernel and the input channels, of the product of the pixels
    that the convolution reads for the points a and b; zero padding is 0.

    Args:
        experiment: The description of the experiment.
        signal: The signal of a batch, of shape (batch, height, width, channels), or (batch, 1, 1, channels) if the
            network is fully connected.
        noise: Its noise, of the same shape.

    Returns:
        `Grams` over the batch * height * width points after the convolution.

    Raises:
        ValueError: If there are more points than `infinite_width` takes.

    Example:

    >>> experiment = Experiment("vanilla", 2, 1, 4, 2, 1, num_computations=1)
    >>> first_grams(experiment, np.ones((2, 1, 1, 3)), np.eye(2, 3).reshape(2, 1, 1, 3)).cross.round(3).tolist()
    [[0.333, 0.333], [0.333, 0.333]]

    Reference: equation 1 of arXiv 1811.03087.
    """
    batch, height, width, _ = signal.shape
    reads = read_pixels(height, width, experiment.kernel_size, experiment.boundary, experiment.first_strides)
    pixels = reads.shape[1]
    points = batch * pixels
    if points > MOST_POINTS:
        raise ValueError(
            refusal(
                f"the exact theory takes at most {MOST_POINTS} points, which are images times pixels of a layer. "
                f"Layers of {pixels} pixels need a batch_size of at most {MOST_POINTS // pixels}.",
                batch_size=batch,
                points=points,
            )
        )
    x, dx = (_patches(each, reads).reshape(points, -1) for each in (signal, noise))
    entries = x.shape[1]
    return Grams(x @ x.T / entries, dx @ dx.T / entries, x @ dx.T / entries)


def _patches(images: np.ndarray, reads: np.ndarray) -> np.ndarray:
    """Return the pixels that a kernel reads, of shape (batch, pixels of the output, kernel entries, channels)."""
    batch, height, width, channels = images.shape
    pixels = np.asarray(images, np.float64).reshape(batch, height * width, channels)
    # One more pixel, which is zero, for the padding: its number -1 is that of the last one.
    padded = np.concatenate([pixels, np.zeros((batch, -PADDED, channels))], axis=1)
    return padded[:, reads.T]


def predict(
    experiment: Experiment,
    signal: np.ndarray,
    noise: np.ndarray,
    *,
    accuracy: str = "exact",
    advance: Callable[[], object] = int,
) -> Prediction:
    """Return the moments of an infinitely wide network at the measured layers of an experiment, for one batch.

    They are exact for the given images and noise, as averages over the weights alone.

    Args:
        experiment: The description of the experiment; its width and its number of realizations do not matter.
        signal: The signal of the batch, of the shape in `first_grams`.
        noise: Its noise, of the same shape.
        accuracy: `"exact"` or `"figure"`, as for `infinite_width`.
        advance: Called after every layer.

    Returns:
        Arrays of shape (num_computations,), by the names of `infinite_width`.

    Raises:
        ValueError: If the images are not square, and as for `first_grams` and `infinite_width`.

    Example:

    >>> from moments_dnns.data import load_images
    >>> experiment = Experiment("bn_ff", 4, 1, 512, 8, 1, dataset="photo", num_computations=2)
    >>> batch = draw_batch(load_images("photo"), 8, flatten=True, seed=np.random.SeedSequence(0))
    >>> predict(experiment, batch.signal, batch.noise)["chi_loc4"].shape
    (2,)

    Reference: section 6 of arXiv 1811.03087.
    """
    foreign = {name: value for name, value in attrs.asdict(experiment).items() if value != ASSUMPTIONS.get(name, value)}
    if foreign:
        raise ValueError(refusal(f"the exact theory knows networks with {ASSUMPTIONS} only.", **foreign))
    if signal.shape[1] != signal.shape[2] or signal.shape != noise.shape:
        raise ValueError(
            refusal("images must be square, and have noise of their shape.", signal=signal.shape, noise=noise.shape)
        )
    grams = first_grams(experiment, signal, noise)
    pixels = len(grams.signal) // len(signal)
    return infinite_width(
        experiment.architecture,
        grams.signal,
        experiment.total_depth,
        kernel_size=experiment.kernel_size,
        boundary=experiment.boundary,
        spatial_size=round(pixels**0.5),
        res_depth=experiment.res_depth,
        epsilon=experiment.epsilon,
        noise_gram=grams.noise,
        cross_gram=grams.cross,
        layers=experiment.depth.tolist(),
        accuracy=accuracy,
        advance=advance,
    )


def predict_experiment(
    experiment: Experiment,
    images: Images,
    realizations: Sequence[int] | None = None,
    *,
    accuracy: str = "exact",
    verbose: bool = False,
) -> Prediction:
    """Return the moments of infinitely wide networks for the batches that some realizations of an experiment draw.

    Args:
        experiment: The description of the experiment.
        images: Its images, from `load_images`.
        realizations: The indices of the realizations; by default the first 8 of the experiment.
        accuracy: `"exact"` or `"figure"`, as for `infinite_width`.
        verbose: Whether to show a progress bar, once it has taken `SECONDS_BEFORE_BAR`.

    Returns:
        Arrays of shape (len(realizations), num_computations), by the names of `infinite_width`.

    Raises:
        TypeError, ValueError: If an index is refused, and as for `predict`.

    Example:

    >>> from moments_dnns.data import load_images
    >>> experiment = Experiment("vanilla", 4, 1, 512, 8, 100, dataset="photo", num_computations=2)
    >>> predict_experiment(experiment, load_images("photo"), [0, 99])["reff_signal_loc3"].shape
    (2, 2)

    Reference: section 6 of arXiv 1811.03087.
    """
    if not isinstance(experiment, Experiment):
        raise TypeError(refusal("experiment must be an Experiment.", experiment=experiment))
    if realizations is None:
        realizations = range(min(8, experiment.num_realizations))
    indices = [whole(0)("realizations", index) for index in realizations]
    if not indices:
        raise ValueError(refusal("expected at least one realization.", realizations=realizations))
    experiment.check_images(images.images.shape)
    seeds = [_seeds.of_realization(experiment.seed, index) for index in indices]
    batches = [
        draw_batch(images, experiment.batch_size, flatten=experiment.fully_connected, seed=seed) for seed in seeds
    ]
    with tqdm(
        total=len(batches) * experiment.total_depth, unit="layer", disable=not verbose, delay=SECONDS_BEFORE_BAR
    ) as bar:

        def predicted(batch: Batch) -> Prediction:
            return predict(experiment, batch.signal, batch.noise, accuracy=accuracy, advance=bar.update)

        # One thread for each batch, and one for its products: NumPy lets them run at the same time.
        if len(batches) == 1:
            predictions = [predicted(batches[0])]
        else:
            with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
                predictions = list(pool.map(predicted, batches))
    return Prediction({name: np.stack([each[name] for each in predictions]) for name in predictions[0]})
