"""The theory that figures draw beside the measured curves of an experiment, computed for its own batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from moments_dnns._validation import refusal, warn
from moments_dnns.data import Images, load_images
from moments_dnns.descriptions.boundaries import BOUNDARIES
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.results.moments import Moments
from moments_dnns.results.sources import indices
from moments_dnns.theory.finite import Density, log_norm_density
from moments_dnns.theory.gram import MOST_POINTS
from moments_dnns.theory.predictions import ASSUMPTIONS, predict_experiment

from .arrays import read_logarithms
from .specs import Drawing, Overlay

# Batches over which the theory is averaged: each costs a pass over Gram matrices, a second for a batch of 64.
MOST_BATCHES = 4

# Entries of a Gram matrix times layers that are computed for a figure: over several batches, about ten seconds on one
# core, and at most, of a single batch that takes longer; some minutes where only averages over translations are known.
WORK_OF_SEVERAL = 1.4e7
MOST_WORK = 4e7
MOST_WORK_AVERAGED = 3e8


def overlay_of(type_plot: str, drawing: Drawing, moments: Mapping[str, Any]) -> Overlay:
    """Return the theory that a figure of an experiment shows, and warn if there is none.

    Args:
        type_plot: The name of the figure in messages.
        drawing: The figure.
        moments: `Moments` of an experiment whose images can be loaded.

    Returns:
        `Overlay`: for histograms, the exact law of the squared norm of one image; for curves, infinitely wide networks.

    Raises:
        ValueError: If the moments do not know their experiment.

    Example:

    >>> import numpy as np
    >>> from moments_dnns.plots.figures import FIGURES
    >>> experiment = Experiment("vanilla", 2, 1, 8, 4, 3, dataset="photo", num_computations=2)
    >>> moments = Moments({"nu2_signal_loc3": np.ones((3, 2))}, experiment)
    >>> overlay_of("vanilla", FIGURES["vanilla"], moments).infinite_width["reff_signal_loc3"].shape
    (3, 2)

    Reference: docs/theory.md.
    """
    experiment = getattr(moments, "experiment", None)
    if not isinstance(moments, Moments) or not isinstance(experiment, Experiment):
        raise ValueError(
            refusal("theory=True needs Moments, which know their experiment.", moments=type(moments).__name__)
        )
    if drawing.panels[0].kind == "histogram":
        return Overlay(None, _densities(drawing, experiment))
    source = moments.sources[0]
    try:
        images = load_images(experiment.dataset)
        symmetry, number = affordable(experiment, images)
        prediction = predict_experiment(
            attrs.evolve(experiment, seed=source.seed),
            images,
            indices([source])[:number],
            symmetry=symmetry,
            accuracy="figure",
            verbose=True,
        )
    except (OSError, ValueError) as error:
        # The figure still shows the measured curves, and the growth that follows from the measured nu1.
        warn(f"{type_plot} is drawn without curves of infinite width: {error}")
        return Overlay(None, {})
    counts = {"depth": experiment.depth, "res_depth": experiment.res_depth}
    curves = read_logarithms(f"theory of {type_plot}", {**prediction, **counts}, drawing)
    return Overlay(curves, {}, averaged=symmetry == "translations")


def affordable(experiment: Experiment, images: Images) -> tuple[str, int]:
    """Return what a figure can wait for: a `symmetry` of `predict`, exact if possible, and a number of batches.

    Args:
        experiment: The experiment.
        images: Its images.

    Raises:
        ValueError: If it can wait for none.
    """
    side, layers = experiment.layer_side(images.images.shape[1]), experiment.total_depth
    layers *= experiment.structure.num_repeats(experiment.res_depth)
    # The square of the length times the number of images is the number of entries.
    ways = [("none", side**2, MOST_WORK)]
    if side > 1 and BOUNDARIES[experiment.boundary].periodic:
        ways.append(("translations", side, MOST_WORK_AVERAGED))
    for symmetry, length, most in ways:
        feasible = min(MOST_POINTS, int((most / layers) ** 0.5)) // length
        if experiment.batch_size <= feasible:
            work = (experiment.batch_size * length) ** 2 * layers
            return symmetry, min(MOST_BATCHES, max(1, int(WORK_OF_SEVERAL // work)))
    raise ValueError(
        refusal(
            f"{experiment.batch_size * side**2} points in {layers} layers take longer than a figure can wait for; a "
            f"batch of {feasible} would do. predict_experiment waits.",
            batch_size=experiment.batch_size,
        )
    )


def _densities(drawing: Drawing, experiment: Experiment) -> dict[str, list[Density]]:
    """Return the law of the squared norm of one image, by the name of its array.

    The noise has none here: its mean over a batch follows this law only after the images have collapsed onto one.
    """
    plain = all(getattr(experiment, name) == value for name, value in ASSUMPTIONS.items())
    if not (plain and experiment.fully_connected and experiment.architecture == "vanilla"):
        warn("the law of squared norms is known for fully connected vanilla networks only: it is not drawn.")
        return {}
    laws = [log_norm_density(experiment.num_channels, int(depth), first_convolution=True) for depth in experiment.depth]
    return {drawing.panels[0].curves[0].over: laws}
