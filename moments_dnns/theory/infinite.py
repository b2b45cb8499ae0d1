"""Moments of infinitely wide networks, exactly, layer by layer. NumPy and SciPy only.

At infinite width the channels at a place are independent draws from one law over the M points of the batch. `channels`
has the laws and what each step does to them; this module applies the steps of an architecture, layer by layer. It works
for all architectures whose steps are entries of `channels.TRANSITIONS`.

Reference: equations 1 to 7 of arXiv 1811.03087; docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from moments_dnns._validation import non_negative, one_of, refusal, whole
from moments_dnns.descriptions.architecture import ARCHITECTURES, Architecture, checked_architecture
from moments_dnns.descriptions.boundaries import BOUNDARIES, read_pixels
from moments_dnns.moments import derive

from .batch_norm import ACCURACIES
from .channels import Channels, LayerSettings, after_addition, after_step, gaussian, rescaled, true_moments
from .features import Features
from .gram import checked_grams, mean_diagonal
from .translations import num_translations

POINTS_FOR_THREADS = 512  # from this number of points on, products of matrices gain from several threads


class Prediction(dict[str, np.ndarray]):
    """Predicted arrays by name. Quantities that follow from them, such as `"chi_loc4"`, are derived on access.

    Args:
        arrays: Mapping from names `<moment>_<loc>` to arrays.

    Raises:
        KeyError: On access to an array that is not there and does not follow from those there.

    Example:

    >>> prediction = Prediction({"log_chi_loc4": np.array([0.0])})
    >>> list(prediction), prediction["chi_loc4"].tolist()
    (['log_chi_loc4'], [1.0])
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__(arrays)

    def __missing__(self, name: str) -> np.ndarray:
        """Return an array that follows from those there, or raise KeyError."""
        return derive(self, name)


def infinite_width(
    architecture: str | Architecture,
    gram: np.ndarray | Features,
    total_depth: int,
    *,
    kernel_size: int = 1,
    boundary: str = "periodic",
    spatial_size: int = 1,
    res_depth: int = 2,
    epsilon: float = 0.0,
    noise_gram: np.ndarray | None = None,
    cross_gram: np.ndarray | None = None,
    layers: Sequence[int] | None = None,
    accuracy: str = "exact",
    advance: Callable[[], object] = int,
) -> Prediction:
    """Return the moments of an infinitely wide network, exactly, for any batch.

    Formula: those of `gram` for convolutions and ReLUs and of `batch_norm`, in the order of the steps.

    Args:
        architecture: A name of `ARCHITECTURES`, or an `Architecture`.
        gram: `K_ab`, the mean over channels of x_a x_b for the signal x after the first convolution, of shape (M, M).
            The M = batch * spatial_size**2 points are in the order image, row, column. With periodic boundaries, a
            matrix that does not change when all images are translated together may be given by its rows of the first
            pixel of each image, of shape (batch, M). `Features` are averaged over all translations: what is returned
            is then approximate, but for the steps before the first ReLU.
        total_depth: Number of layers, or of residual units.
        kernel_size: Side of the kernels in pixels.
        boundary: `"periodic"`, `"periodic_one_sided"`, `"symmetric"` or `"zero_padding"`.
        spatial_size: Side of the layers' images in pixels.
        res_depth: Convolutions per residual unit.
        epsilon: Constant added to the variances in batch normalization.
        noise_gram: The mean over channels of dx_a dx_b, of the same shape; by default the identity, for independent
            noise of variance 1.
        cross_gram: The mean over channels of x_a dx_b, of the same shape; by default zero, its mean over the noise.
        layers: The layers whose moments are wanted, counted from 1 and increasing; by default all.
        accuracy: Of the integrals in batch normalization: `"exact"` leaves relative errors of 1e-13 in each layer,
            `"figure"` of 1e-6, in a third of the time.
        advance: Called after every layer.

    Returns:
        Float64 arrays of shape (len(layers),), by the names of an experiment's arrays, and `log_chi` at all places.
        `mu4_signal` is missing after ReLUs.

    Raises:
        TypeError, ValueError: If an argument is refused, or there is no exact theory of the architecture.

    Example:

    >>> theory = infinite_width("bn_ff", np.eye(64), 200)
    >>> round(float(theory["nu1_abs_signal_loc3"][-1]), 4), round(float(theory["chi_loc4"][0]), 4)
    (0.8011, 1.2432)

    Reference: definitions 1 to 3 and equations 1 to 7 of arXiv 1811.03087; docs/theory.md.
    """
    checked = _single_stage(architecture)
    depth, repeats = whole(1)("total_depth", total_depth), checked.num_repeats(whole(1)("res_depth", res_depth))
    one_of(BOUNDARIES)("boundary", boundary)
    side = whole(1)("spatial_size", spatial_size)
    if whole(1)("kernel_size", kernel_size) > side or (boundary == "symmetric" and kernel_size % 2 == 0):
        raise ValueError(
            refusal(
                "kernel_size must be at most spatial_size, and odd where the boundary is symmetric.",
                kernel_size=kernel_size,
                spatial_size=side,
                boundary=boundary,
            )
        )
    start = _start(gram, noise_gram, cross_gram, side**2)
    if num_translations(start.grams.signal) > 1 and not BOUNDARIES[boundary].periodic:
        raise ValueError(
            refusal("translations change what a convolution does unless its boundary is periodic.", boundary=boundary)
        )
    settings = LayerSettings(
        read_pixels(side, side, kernel_size, boundary),
        non_negative("epsilon", epsilon),
        one_of(ACCURACIES)("accuracy", accuracy),
    )
    wanted = _checked_layers(layers, depth)
    propagated = _layers(checked, repeats, start, settings)
    tables = []
    # With small matrices, threads wait for each other: ten times slower on a machine that is not idle.
    with threadpool_limits(1 if len(start.grams.signal) < POINTS_FOR_THREADS else None):
        for layer, units in enumerate(islice(propagated, wanted[-1]), start=1):
            if layer in wanted:
                tables.append(_table(checked, *units))
            advance()
    # All layers but the first begin after a ReLU: moments that are known in the first layer only are left out.
    names = [name for name in tables[0] if all(name in table for table in tables)]
    return Prediction({name: np.array([table[name] for table in tables]) for name in names})


def _start(gram: Any, noise_gram: Any, cross_gram: Any, pixels: int) -> Channels:
    """Return the channels of given second moments, or of features, or refuse them."""
    if not isinstance(gram, Features):
        return gaussian(checked_grams(gram, noise_gram, cross_gram, pixels))
    if noise_gram is not None or cross_gram is not None:
        raise ValueError(refusal("Features have their own noise.", noise_gram=noise_gram, cross_gram=cross_gram))
    averaged = gram.averaged_grams()
    return gaussian(checked_grams(*averaged, pixels), gram)


def _checked_layers(layers: Sequence[int] | None, depth: int) -> list[int]:
    """Return the layers that are wanted, all if none are named, or refuse them."""
    wanted = list(range(1, depth + 1)) if layers is None else [whole(1)("layers", layer) for layer in layers]
    if not wanted or wanted != sorted(set(wanted)) or wanted[-1] > depth:
        raise ValueError(refusal(f"layers must increase, up to total_depth={depth}.", layers=layers))
    return wanted


def _single_stage(architecture: str | Architecture) -> Architecture:
    checked = checked_architecture("architecture", architecture)
    checked = ARCHITECTURES[checked] if isinstance(checked, str) else checked
    if checked.stages > 1:
        raise ValueError(refusal("the exact theory has no transitions between stages.", architecture=checked))
    return checked


def _table(
    architecture: Architecture, places: Sequence[Channels], log_signal: float, log_noise: float
) -> dict[str, float]:
    """Return the moments at all places of a layer by array name, from what `_layers` yields."""
    activated = set(architecture.activated_places)
    return {
        f"{moment}_{name}": value
        for name, place in zip(architecture.places, places, strict=True)
        for moment, value in true_moments(place, log_signal, log_noise, ranks=name in activated).items()
    }


def _layers(
    architecture: Architecture, repeats: int, start: Channels, settings: LayerSettings
) -> Iterator[tuple[list[Channels], float, float]]:
    """Yield the channels at all places of each layer, and the logarithms of the squares of their units, without end."""
    channels = start
    log_signal = log_noise = 0.0
    while True:
        before, places = channels, [channels]
        for step in architecture.steps * repeats:
            channels = after_step(str(step), channels, settings)
            places.append(channels)
        places = places[: len(architecture.steps) + 1]
        if architecture.residual:
            channels = after_addition(channels, before, architecture.residual_scale)
            places.append(channels)
        for step in architecture.after:
            channels = after_step(str(step), channels, settings)
            places.append(channels)
        yield places, log_signal, log_noise
        # As in the network, the noise is rescaled after each layer, and the signal if no step normalizes it.
        noise = mean_diagonal(channels.grams.noise)
        signal = 1.0 if architecture.normalized else mean_diagonal(channels.grams.signal)
        log_signal, log_noise = log_signal + np.log(signal), log_noise + np.log(noise)
        channels = rescaled(channels, 1 / signal, 1 / noise)
