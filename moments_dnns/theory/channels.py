"""The laws of channels at infinite width, and how each step of a layer changes them.

A law is `"gaussian"` (after a convolution), `"normalized"` (a Gaussian divided by its own standard deviation) or
`"rectified"` (one of both after a ReLU). `TRANSITIONS` has the steps whose effect is known exactly; the formulas are in
`gram` and `batch_norm`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.moments import MOMENTS

from .batch_norm import normalized
from .features import Features
from .gram import Grams, centred, convolved, effective_rank, mean_diagonal, rectified
from .translations import diagonal


@attrs.frozen(eq=False)
class Channels:
    """The infinitely many channels of signal and noise at a place.

    Args:
        law: `"gaussian"`, `"normalized"` or `"rectified"`.
        moments: The moments that are known exactly, by name, in the units of the Gram matrices.
        grams: Second moments over the points, or their rows of one pixel of each image. After batch normalization,
            those after the ReLU that follows it.
        features: What the Gram matrices are averages of, as long as no step was nonlinear; None if that is not known.
    """

    law: str
    moments: dict[str, float]
    grams: Grams
    features: Features | None = None


@attrs.frozen(eq=False)
class LayerSettings:
    """The settings that steps depend on.

    Args:
        reads: The pixels that a convolution reads, from `descriptions.boundaries.read_pixels`.
        epsilon: Constant added to the variances in batch normalization.
        accuracy: Of integrals in batch normalization, a name of `batch_norm.ACCURACIES`.
    """

    reads: np.ndarray
    epsilon: float
    accuracy: str


def gaussian(grams: Grams, features: Features | None = None) -> Channels:
    """Return Gaussian channels of these second moments, which may be averages of those of features."""
    if features is None:
        variances, variances_centred = diagonal(grams.signal), diagonal(centred(grams.signal))
    else:
        variances, variances_centred = features.variances(), features.centred().variances()
    moments = {
        "nu1_abs_signal": float(np.sqrt(2 * np.maximum(variances, 0) / np.pi).mean()),
        "nu2_signal": float(variances.mean()),
        "mu2_signal": float(variances_centred.mean()),
        "mu4_signal": float(3 * np.square(variances_centred).mean()),
        "mu2_noise": mean_diagonal(grams.noise),
    }
    return Channels("gaussian", moments, grams, features)


def _convolved(channels: Channels, settings: LayerSettings) -> Channels:
    features = channels.features and channels.features.convolved(settings.reads)
    return gaussian(Grams(*(convolved(gram, settings.reads) for gram in channels.grams)), features)


def _normalized(channels: Channels, settings: LayerSettings) -> Channels:
    after = normalized(channels.grams, settings.epsilon, accuracy=settings.accuracy, features=channels.features)
    return Channels("normalized", *after)


def _rectified(channels: Channels, settings: LayerSettings) -> Channels:
    grams = rectified(channels.grams) if channels.law == "gaussian" else channels.grams
    moments = {
        # Both laws are symmetric, so that means of even functions are halved.
        "nu1_abs_signal": channels.moments["nu1_abs_signal"] / 2,
        "nu2_signal": channels.moments["nu2_signal"] / 2,
        "mu2_signal": mean_diagonal(centred(grams.signal)),
        "mu2_noise": mean_diagonal(grams.noise),
    }
    return Channels("rectified", moments, grams)


# (law before a step, step) -> function that returns the channels after it.
TRANSITIONS: Mapping[tuple[str, str], Callable[[Channels, LayerSettings], Channels]] = {
    ("gaussian", "conv"): _convolved,
    ("rectified", "conv"): _convolved,
    ("gaussian", "batch_norm"): _normalized,
    ("gaussian", "activation"): _rectified,
    ("normalized", "activation"): _rectified,
}


def after_step(step: str, channels: Channels, settings: LayerSettings) -> Channels:
    """Return the channels after a step.

    Raises:
        ValueError: If the effect of the step is not known exactly.
    """
    if (channels.law, step) not in TRANSITIONS:
        known = ", ".join(f"{step} after {law}" for law, step in TRANSITIONS)
        raise ValueError(refusal(f"the exact theory knows {known} channels.", law=channels.law, step=step))
    return TRANSITIONS[channels.law, step](channels, settings)


def after_addition(branch: Channels, skip: Channels, scale: float) -> Channels:
    """Return the sum of a branch times a scale and of a skip connection: both are Gaussian, with independent weights.

    Raises:
        ValueError: If one of them is not Gaussian.
    """
    if (branch.law, skip.law) != ("gaussian", "gaussian"):
        raise ValueError(
            refusal("the exact theory adds branches that end in convolutions.", branch=branch.law, skip=skip.law)
        )
    return gaussian(branch.grams.scaled(scale**2, scale**2).plus(skip.grams))


def rescaled(channels: Channels, signal: float, noise: float) -> Channels:
    """Return the channels with the squares of signal and noise multiplied by two factors."""
    if channels.law == "gaussian":
        return gaussian(channels.grams.scaled(signal, noise))
    factors = {name: noise if name == "mu2_noise" else signal ** (MOMENTS[name].power / 2) for name in channels.moments}
    moments = {name: value * factors[name] for name, value in channels.moments.items()}
    return attrs.evolve(channels, moments=moments, grams=channels.grams.scaled(signal, noise))


def true_moments(channels: Channels, log_signal: float, log_noise: float, *, ranks: bool) -> dict[str, float]:
    """Return the moments of the true signal and noise, by the names in results.

    Args:
        channels: The channels, in units that change from layer to layer.
        log_signal: ln of the square of the signal's unit.
        log_noise: ln of the square of the noise's unit.
        ranks: Whether effective ranks are among them.
    """
    of_signal = {name: value for name, value in channels.moments.items() if name != "mu2_noise"}
    log_mu2_noise = float(np.log(channels.moments["mu2_noise"]))
    log_chi = (log_mu2_noise - np.log(of_signal["mu2_signal"]) + log_noise - log_signal) / 2
    table = {name: float(value * np.exp(log_signal * MOMENTS[name].power / 2)) for name, value in of_signal.items()}
    table |= {"log_mu2_noise": log_mu2_noise + log_noise, "log_chi": float(log_chi)}
    if ranks:
        table["reff_signal"] = effective_rank(channels.grams.signal)
        table["reff_noise"] = effective_rank(channels.grams.noise)
    return table
