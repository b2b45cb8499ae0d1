"""Moments of infinitely wide networks, exactly, layer by layer. NumPy and SciPy only.

A place of a layer has one of three laws over the M points of the batch. Convolutions make every channel Gaussian; batch
normalization divides a Gaussian by its own standard deviation; a ReLU cuts either of them. What a step makes of a law
is a row of `TRANSITIONS`; architectures whose steps are all there need no code here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

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
    """Arrays by name, and what follows from them: `"chi_loc4"` is made when it is asked for, as `Moments` makes it."""

    def __missing__(self, name: str) -> np.ndarray:
        """Return an array that is derived from those there; raise KeyError if it cannot be."""
        return derive(self, name)


class Place(NamedTuple):
    """The law of a channel and its noise at a place.

    Args:
        law: `"gaussian"`, `"normalized"` or `"rectified"`.
        moments: The moments that are known exactly, in the units of the Gram matrices.
        grams: Second moments over the points; after batch normalization, those that a ReLU would leave.
    """

    law: str
    moments: dict[str, float]
    grams: Grams


class Network(NamedTuple):
    """What the steps of a network need to know."""

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
    row = _row(architecture)
    depth, repeats = whole(1)("total_depth", total_depth), row.num_repeats(whole(1)("res_depth", res_depth))
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
    network = Network(read_pixels(side, side, kernel_size, boundary), non_negative("epsilon", epsilon))
    layers = _layers(row, repeats, checked_grams(gram, noise_gram, cross_gram, side**2), network)
    # Threads only get into each other's way at small matrices: ten times slower on a machine that is not idle.
    with threadpool_limits(1 if len(gram) < POINTS_FOR_THREADS else None):
        tables = [next(layers) for _ in range(depth)]
    # Every layer but the first begins after a ReLU: what is exact in the first one only is left out.
    names = [name for name in tables[0] if all(name in table for table in tables)]
    return Prediction({name: np.array([table[name] for table in tables]) for name in names})


def _row(architecture: str | Architecture) -> Architecture:
    checked = checked_architecture("architecture", architecture)
    row = ARCHITECTURES[checked] if isinstance(checked, str) else checked
    if row.stages > 1:
        raise ValueError(refusal("the exact theory has no transitions between stages.", architecture=row))
    return row


def _layers(row: Architecture, repeats: int, start: Grams, network: Network) -> Iterator[dict[str, float]]:
    """Yield the moments at all places by array name, layer by layer, without end."""
    state = _gaussian(start)
    log_signal = log_noise = 0.0
    while True:
        before, places = state, [state]
        for step in row.steps * repeats:
            state = _after(str(step), state, network)
            places.append(state)
        places = places[: len(row.steps) + 1]
        if row.residual:
            state = _added(state, before, row.residual_scale)
            places.append(state)
        for step in row.after:
            state = _after(str(step), state, network)
            places.append(state)
        activated = set(row.activated_places)
        yield {
            f"{moment}_{name}": value
            for name, place in zip(row.places, places, strict=True)
            for moment, value in _in_true_units(place, log_signal, log_noise, ranks=name in activated).items()
        }
        # As in the network: the noise is rescaled always, the signal where no batch normalization does it.
        noise = mean_diagonal(state.grams.noise)
        signal = 1.0 if row.normalized else mean_diagonal(state.grams.signal)
        log_signal, log_noise = log_signal + np.log(signal), log_noise + np.log(noise)
        state = _rescaled(state, 1 / signal, 1 / noise)


def _gaussian(grams: Grams) -> Place:
    variances = np.diag(grams.signal)
    variances_centred = np.diag(centred(grams.signal))
    moments = {
        "nu1_abs_signal": float(np.sqrt(2 * np.maximum(variances, 0) / np.pi).mean()),
        "nu2_signal": float(variances.mean()),
        "mu2_signal": float(variances_centred.mean()),
        "mu4_signal": float(3 * np.square(variances_centred).mean()),
        "mu2_noise": mean_diagonal(grams.noise),
    }
    return Place("gaussian", moments, grams)


def _convolved(place: Place, network: Network) -> Place:
    return _gaussian(Grams(*(convolved(gram, network.reads) for gram in place.grams)))


def _normalized(place: Place, network: Network) -> Place:
    return Place("normalized", *normalized(place.grams, network.epsilon))


def _rectified(place: Place, network: Network) -> Place:
    grams = rectified(place.grams) if place.law == "gaussian" else place.grams
    moments = {
        # Both laws are even: what does not change with the sign is halved.
        "nu1_abs_signal": place.moments["nu1_abs_signal"] / 2,
        "nu2_signal": place.moments["nu2_signal"] / 2,
        "mu2_signal": mean_diagonal(centred(grams.signal)),
        "mu2_noise": mean_diagonal(grams.noise),
    }
    return Place("rectified", moments, grams)


# (law before, step) -> the place after it.
TRANSITIONS: Mapping[tuple[str, str], Callable[[Place, Network], Place]] = {
    ("gaussian", "conv"): _convolved,
    ("rectified", "conv"): _convolved,
    ("gaussian", "batch_norm"): _normalized,
    ("gaussian", "activation"): _rectified,
    ("normalized", "activation"): _rectified,
}


def _after(step: str, place: Place, network: Network) -> Place:
    if (place.law, step) not in TRANSITIONS:
        known = ", ".join(f"{step} after {law}" for law, step in TRANSITIONS)
        raise ValueError(refusal(f"the exact theory knows {known} channels.", law=place.law, step=step))
    return TRANSITIONS[place.law, step](place, network)


def _added(place: Place, skipped: Place, scale: float) -> Place:
    """Return the sum of a scaled branch and what skips it: Gaussian if both are, for their weights are independent."""
    if (place.law, skipped.law) != ("gaussian", "gaussian"):
        raise ValueError(
            refusal("the exact theory adds branches that end in convolutions.", branch=place.law, skip=skipped.law)
        )
    return _gaussian(place.grams.scaled(scale**2, scale**2).plus(skipped.grams))


def _rescaled(place: Place, signal: float, noise: float) -> Place:
    if place.law == "gaussian":
        return _gaussian(place.grams.scaled(signal, noise))
    factors = {name: noise if name == "mu2_noise" else signal ** (MOMENTS[name].power / 2) for name in place.moments}
    moments = {name: value * factors[name] for name, value in place.moments.items()}
    return place._replace(moments=moments, grams=place.grams.scaled(signal, noise))


def _in_true_units(place: Place, log_signal: float, log_noise: float, *, ranks: bool) -> dict[str, float]:
    """Return the moments as an experiment names them, the noise's as a logarithm."""
    found = dict(place.moments)
    log_mu2_noise = float(np.log(found.pop("mu2_noise")))
    log_chi = (log_mu2_noise - np.log(found["mu2_signal"]) + log_noise - log_signal) / 2
    table = {name: float(value * np.exp(log_signal * MOMENTS[name].power / 2)) for name, value in found.items()}
    table |= {"log_mu2_noise": log_mu2_noise + log_noise, "log_chi": float(log_chi)}
    if ranks:
        table["reff_signal"] = effective_rank(place.grams.signal)
        table["reff_noise"] = effective_rank(place.grams.noise)
    return table
