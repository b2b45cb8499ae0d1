"""Theory for an experiment's own data: infinitely wide networks for the batches that its realizations draw.

The predictions are exact for the given images and noise, as averages over the weights alone; beyond `gram.MOST_POINTS`
points they are averages over translations of the images too, which is approximate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs
import numpy as np
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from moments_dnns import _seeds
from moments_dnns._device import num_cores
from moments_dnns._validation import refusal, warn, whole
from moments_dnns.data import Batch, Images, draw_batch
from moments_dnns.descriptions.experiment import Experiment

from .first_convolution import AVERAGED, averages_translations, first_features
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


def predict(
    experiment: Experiment,
    signal: np.ndarray,
    noise: np.ndarray,
    *,
    symmetry: str = "auto",
    accuracy: str = "exact",
    advance: Callable[[], object] = int,
) -> Prediction:
    """Return the moments of an infinitely wide network at the measured layers of an experiment, for one batch.

    They are exact for the given images and noise, as averages over the weights alone. Where there are too many points
    for that and the boundary is periodic, second moments are averaged over translations of the images, with a warning.

    Args:
        experiment: The description of the experiment; its width and its number of realizations do not matter.
        signal: The signal of the batch, as for `first_features`.
        noise: Its noise, of the same shape.
        symmetry: `"translations"` averages over them from the first ReLU on, `"none"` does not, and `"auto"` does where
            there are more than `gram.MOST_POINTS` points. The errors are in docs/theory.md.
        accuracy: `"exact"` or `"figure"`, as for `infinite_width`.
        advance: Called after every layer.

    Returns:
        Arrays of shape (num_computations,), by the names of `infinite_width`.

    Raises:
        ValueError: If the images are not square, and as for `averages_translations` and `infinite_width`.

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
    averaged = averages_translations(experiment, signal.shape, symmetry)
    if averaged and symmetry == "auto":
        warn(AVERAGED)
    features = first_features(experiment, signal, noise)
    grams = None if averaged else features.grams()
    return infinite_width(
        experiment.architecture,
        features if grams is None else grams.signal,
        experiment.total_depth,
        kernel_size=experiment.kernel_size,
        boundary=experiment.boundary,
        spatial_size=math.isqrt(features.signal.shape[1]),
        res_depth=experiment.res_depth,
        epsilon=experiment.epsilon,
        noise_gram=None if grams is None else grams.noise,
        cross_gram=None if grams is None else grams.cross,
        layers=experiment.depth.tolist(),
        accuracy=accuracy,
        advance=advance,
    )


def predict_experiment(
    experiment: Experiment,
    images: Images,
    realizations: Sequence[int] | None = None,
    *,
    symmetry: str = "auto",
    accuracy: str = "exact",
    verbose: bool = False,
) -> Prediction:
    """Return the moments of infinitely wide networks for the batches that some realizations of an experiment draw.

    Args:
        experiment: The description of the experiment.
        images: Its images, from `load_images`.
        realizations: The indices of the realizations; by default the first 8 of the experiment.
        symmetry: As for `predict`.
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
    if symmetry == "auto" and averages_translations(experiment, batches[0].signal.shape, symmetry):
        warn(AVERAGED)  # once
        symmetry = "translations"
    with tqdm(
        total=len(batches) * experiment.total_depth, unit="layer", disable=not verbose, delay=SECONDS_BEFORE_BAR
    ) as bar:

        def predicted(batch: Batch) -> Prediction:
            return predict(
                experiment, batch.signal, batch.noise, symmetry=symmetry, accuracy=accuracy, advance=bar.update
            )

        # One thread for each batch, and one for its products: NumPy lets them run at the same time.
        if len(batches) == 1:
            predictions = [predicted(batches[0])]
        else:
            with threadpool_limits(1), ThreadPoolExecutor(num_cores()) as pool:
                predictions = list(pool.map(predicted, batches))
    return Prediction({name: np.stack([each[name] for each in predictions]) for name in predictions[0]})
