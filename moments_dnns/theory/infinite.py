"""Moments of infinitely wide networks, exactly, layer by layer. NumPy and SciPy only.

At infinite width the channels at a place are independent draws from one law over the M points of the batch. There are
three laws: convolutions make every channel Gaussian; batch normalization divides a Gaussian by its own standard
deviation; a ReLU cuts either of them. What a step makes of a law is an entry of `TRANSITIONS`: architectures whose
steps are all there need no code here. `gram` and `batch_norm` have the formulas.

Reference: equations 1 to 7 of arXiv 1811.03087; docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs
import numpy as np
from threadpoolctl import threadpool_limits

from moments_dnns._validation import non_negative, one_of, refusal, whole
from moments_dnns.descriptions.architecture import ARCHITECTURES, Architecture, checked_architecture
from moments_dnns.descriptions.boundaries import BOUNDARIES, read_pixels
from moments_dnns.moments import MOMENTS, derive

from .batch_norm import normalized
from .gram import Grams, centred, checked_grams, convolved, effective_rank, mean_diagonal, rectified

POINTS_FOR_THREADS = 512


class Prediction(dict[str, np.ndarray]):
    """Predicted arrays by name, and what follows from them: `"chi_loc4"` is derived when it is asked for.

    Args:
        arrays: Mapping from names `<moment>_<loc>` to arrays.

    Raises:
        KeyError: When an array is asked for that is not there and does not follow from those there.

    Example:

    >>> prediction = Prediction({"log_chi_loc4": np.array([0.0])})
    >>> list(prediction), prediction["chi_loc4"].tolist()
    (['log_chi_loc4'], [1.0])
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__(arrays)

    def __missing__(self, name: str) -> np.ndarray:
        """Return an array that is derived from those there; raise KeyError if it cannot be."""
        return derive(self, name)


@attrs.frozen(eq=False)
class Channels:
    """The channels of signal and noise at a place, of which there are infinitely many.

    Args:
        law: `"gaussian"`, `"normalized"` or `"rectified"`.
        moments: The moments that are known exactly, in the units of the Gram matrices.
        grams: Second moments over the points; after batch normalization, those that a ReLU would leave.
    """

    law: str
    moments: dict[str, float]
    grams: Grams


@attrs.frozen(eq=False)
class LayerSettings:
    """What the steps of a layer need to know.

    Args:
        reads: The pixels that a convolution reads, from `descriptions.boundaries.read_pixels`.
        epsilon: The constant added to the variances in batch normalization.
    """

    reads: np.ndarray
    epsilon: float


def infinite_width(
    architecture: str | Architecture,
    gram: np.ndarray,
    total_depth: int,
    *,
    kernel_size: int = 1,
    boundary: str = "periodic",
    spatial_size: int = 1,
    res_depth: int = 2,
    epsilon: float = 0.0,
    noise_gram: np.ndarray | None = None,
    cross_gram: np.ndarray | None = None,
) -> Prediction:
    """Return the moments of an infinitely wide network, exactly, for any batch.

    Formula: `convolved`, `rectified` and `normalized`, one after the other.

    Args:
        architecture: A name of `ARCHITECTURES`, or an `Architecture`.
        gram: `K_ab`, the mean over channels of x_a x_b, of shape (M, M): the signal after the first convolution, over
            the M = batch * spatial_size**2 points in the order batch, row, column.
        total_depth: Number of layers, or of residual units.
        kernel_size: Side of the kernels in pixels.
        boundary: `"periodic"`, `"symmetric"` or `"zero_padding"`.
        spatial_size: Side of the layers' images in pixels.
        res_depth: Convolutions per residual unit.
        epsilon: Constant added to the variances in batch normalization.
        noise_gram: The mean over channels of dx_a dx_b, likewise; independent unit noise if it is not given.
        cross_gram: The mean over channels of x_a dx_b; zero, which is its mean over the noise, if it is not given.

    Returns:
        Float64 arrays of shape (total_depth,), by the names of an experiment's arrays, `log_chi` among them; `chi` and
        `mu2_noise` are made of these when they are asked for. `mu4_signal` is not there where a ReLU comes before.

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
    settings = LayerSettings(read_pixels(side, side, kernel_size, boundary), non_negative("epsilon", epsilon))
    layers = _layers(checked, repeats, checked_grams(gram, noise_gram, cross_gram, side**2), settings)
    # Threads only get into each other's way at small matrices: ten times slower on a machine that is not idle.
    with threadpool_limits(1 if len(gram) < POINTS_FOR_THREADS else None):
        tables = [next(layers) for _ in range(depth)]
    # Every layer but the first begins after a ReLU: what is exact in the first one only is left out.
    names = [name for name in tables[0] if all(name in table for table in tables)]
    return Prediction({name: np.array([table[name] for table in tables]) for name in names})


def _single_stage(architecture: str | Architecture) -> Architecture:
    checked = checked_architecture("architecture", architecture)
    checked = ARCHITECTURES[checked] if isinstance(checked, str) else checked
    if checked.stages > 1:
        raise ValueError(refusal("the exact theory has no transitions between stages.", architecture=checked))
    return checked


def _layers(
    architecture: Architecture, repeats: int, start: Grams, settings: LayerSettings
) -> Iterator[dict[str, float]]:
    """Yield the moments at all places by array name, layer by layer, without end."""
    channels = _gaussian(start)
    log_signal = log_noise = 0.0
    while True:
        before, places = channels, [channels]
        for step in architecture.steps * repeats:
            channels = _after(str(step), channels, settings)
            places.append(channels)
        places = places[: len(architecture.steps) + 1]
        if architecture.residual:
            channels = _added(channels, before, architecture.residual_scale)
            places.append(channels)
        for step in architecture.after:
            channels = _after(str(step), channels, settings)
            places.append(channels)
        activated = set(architecture.activated_places)
        yield {
            f"{moment}_{name}": value
            for name, place in zip(architecture.places, places, strict=True)
            for moment, value in _in_true_units(place, log_signal, log_noise, ranks=name in activated).items()
        }
        # As in the network: the noise is rescaled always, the signal where no batch normalization does it.
        noise = mean_diagonal(channels.grams.noise)
        signal = 1.0 if architecture.normalized else mean_diagonal(channels.grams.signal)
        log_signal, log_noise = log_signal + np.log(signal), log_noise + np.log(noise)
        channels = _rescaled(channels, 1 / signal, 1 / noise)


def _gaussian(grams: Grams) -> Channels:
    variances = np.diag(grams.signal)
    variances_centred = np.diag(centred(grams.signal))
    moments = {
        "nu1_abs_signal": float(np.sqrt(2 * np.maximum(variances, 0) / np.pi).mean()),
        "nu2_signal": float(variances.mean()),
        "mu2_signal": float(variances_centred.mean()),
        "mu4_signal": float(3 * np.square(variances_centred).mean()),
        "mu2_noise": mean_diagonal(grams.noise),
    }
    return Channels("gaussian", moments, grams)


def _convolved(channels: Channels, settings: LayerSettings) -> Channels:
    return _gaussian(Grams(*(convolved(gram, settings.reads) for gram in channels.grams)))


def _normalized(channels: Channels, settings: LayerSettings) -> Channels:
    return Channels("normalized", *normalized(channels.grams, settings.epsilon))


def _rectified(channels: Channels, settings: LayerSettings) -> Channels:
    grams = rectified(channels.grams) if channels.law == "gaussian" else channels.grams
    moments = {
        # Both laws are even: what does not change with the sign is halved.
        "nu1_abs_signal": channels.moments["nu1_abs_signal"] / 2,
        "nu2_signal": channels.moments["nu2_signal"] / 2,
        "mu2_signal": mean_diagonal(centred(grams.signal)),
        "mu2_noise": mean_diagonal(grams.noise),
    }
    return Channels("rectified", moments, grams)


# (law before, step) -> the channels after it.
TRANSITIONS: Mapping[tuple[str, str], Callable[[Channels, LayerSettings], Channels]] = {
    ("gaussian", "conv"): _convolved,
    ("rectified", "conv"): _convolved,
    ("gaussian", "batch_norm"): _normalized,
    ("gaussian", "activation"): _rectified,
    ("normalized", "activation"): _rectified,
}


def _after(step: str, channels: Channels, settings: LayerSettings) -> Channels:
    if (channels.law, step) not in TRANSITIONS:
        known = ", ".join(f"{step} after {law}" for law, step in TRANSITIONS)
        raise ValueError(refusal(f"the exact theory knows {known} channels.", law=channels.law, step=step))
    return TRANSITIONS[channels.law, step](channels, settings)


def _added(channels: Channels, skipped: Channels, scale: float) -> Channels:
    """Return the sum of a scaled branch and what skips it: Gaussian if both are, for their weights are independent."""
    if (channels.law, skipped.law) != ("gaussian", "gaussian"):
        raise ValueError(
            refusal("the exact theory adds branches that end in convolutions.", branch=channels.law, skip=skipped.law)
        )
    return _gaussian(channels.grams.scaled(scale**2, scale**2).plus(skipped.grams))


def _rescaled(channels: Channels, signal: float, noise: float) -> Channels:
    if channels.law == "gaussian":
        return _gaussian(channels.grams.scaled(signal, noise))
    factors = {name: noise if name == "mu2_noise" else signal ** (MOMENTS[name].power / 2) for name in channels.moments}
    moments = {name: value * factors[name] for name, value in channels.moments.items()}
    return attrs.evolve(channels, moments=moments, grams=channels.grams.scaled(signal, noise))


def _in_true_units(channels: Channels, log_signal: float, log_noise: float, *, ranks: bool) -> dict[str, float]:
    """Return the moments as an experiment names them, the noise's as a logarithm."""
    of_signal = {name: value for name, value in channels.moments.items() if name != "mu2_noise"}
    log_mu2_noise = float(np.log(channels.moments["mu2_noise"]))
    log_chi = (log_mu2_noise - np.log(of_signal["mu2_signal"]) + log_noise - log_signal) / 2
    table = {name: float(value * np.exp(log_signal * MOMENTS[name].power / 2)) for name, value in of_signal.items()}
    table |= {"log_mu2_noise": log_mu2_noise + log_noise, "log_chi": float(log_chi)}
    if ranks:
        table["reff_signal"] = effective_rank(channels.grams.signal)
        table["reff_noise"] = effective_rank(channels.grams.noise)
    return table
