"""Models of several widths: what their moments become as they are made wider, at initialisation or after training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
import keras

from moments_dnns import _seeds
from moments_dnns._validation import refusal, whole
from moments_dnns.analysis.statistics import FEWEST_REALIZATIONS
from moments_dnns.analysis.widths import WidthSweep
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.execution.chunks import Chunk, joined
from moments_dnns.results.moments import Moments

from .inputs import feed, first_batch
from .measurement import Measurement, untouched
from .run import characterize
from .training import arguments_of


def sweep(
    make_model: Callable[[int], keras.Model],
    widths: Sequence[int],
    inputs: Any,
    *,
    train: Callable[[keras.Model], Any] | None = None,
    num_realizations: int = FEWEST_REALIZATIONS,
    **options: Any,
) -> WidthSweep:
    """Measure models of several widths, and how the moments behind every layer scale with the width.

    A parametrization is right for wide networks where nothing that a layer returns grows or falls with the width, at
    initialisation and after some steps of training: slopes are 0 then.

    Args:
        make_model: Returns a new model of a width, with the same layers for all widths.
        widths: At least two different widths.
        inputs: What goes into all of the models, as for `characterize`.
        train: Trains a model, whose weights were drawn afresh, for some steps before it is measured. By default models
            are measured as they are drawn.
        num_realizations: How often weights, and noise, are drawn; four or more for intervals.
        **options: Other arguments of `characterize` that choose what is measured: `gradients=True`, `layers=`, `seed=`.

    Returns:
        `WidthSweep`: printed a table of slopes, drawn by `plot_sweep`.

    Raises:
        TypeError, ValueError: If an argument is refused.

    Example:

    >>> def make_model(width):
    ...     hidden = keras.layers.Dense(width, "relu", kernel_initializer="he_normal", name="hidden")
    ...     return keras.Sequential([keras.Input((8,)), hidden, keras.layers.Dense(4, name="last")])
    >>> found = sweep(make_model, [32, 128], np.random.default_rng(0).normal(size=(16, 8)))
    >>> found.layers, abs(found.slopes()["hidden"].value) < 0.3
    (['input', 'hidden', 'last'], True)

    Reference: arXiv 2203.03466, appendix D.1.
    """
    arguments = arguments_of({**options, "num_realizations": num_realizations})
    chosen = sorted({whole(1)("widths", width) for width in widths})
    if len(chosen) < 2:
        raise ValueError(refusal("expected at least two different widths.", widths=widths))
    batch = first_batch(inputs)
    if train is None:
        fresh = {**arguments, "reinitialize": True, "verbose": False}
        results = [characterize(make_model(width), batch, **fresh) for width in chosen]
    else:
        results = [_trained(partial(make_model, width), train, batch, arguments) for width in chosen]
    return WidthSweep(tuple(chosen), tuple(results))


def _trained(
    make_model: Callable[[], keras.Model], train: Callable[[keras.Model], Any], inputs: Any, arguments: dict[str, Any]
) -> Moments[Characterization]:
    """Return the moments of a model that was trained, each realization from fresh weights by a new optimizer."""
    chunks = list[Chunk]()
    for realization in range(arguments["num_realizations"]):
        model = make_model()
        fed = feed(model, inputs)
        with untouched(model):
            fresh = Measurement.prepare(model, fed, **{**arguments, "reinitialize": True}).values
            values = fresh.values(_seeds.of_realization(arguments["seed"], realization))
        for variable, value in zip(fresh.variables, values, strict=True):
            variable.assign(value)
        train(model)
        with untouched(model):
            measurement = Measurement.prepare(model, fed, **arguments)
            chunks += measurement.stream([realization])
    # The weights are those of several models, which no hash says.
    return Moments(joined(chunks).arrays, attrs.evolve(measurement.description, sha256=measurement.settings))
