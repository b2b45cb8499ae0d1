"""What the moments along the layers of a characterized model say: blocks, what is drawn, and which layers amplify."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from moments_dnns._validation import refusal, whole
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.moments import DECIBELS
from moments_dnns.results.moments import Moments

# The part of a layer's name that says in which block it lies: of nested models, or as in keras.applications.
BLOCK = re.compile(r"[^/]+(?=/)|.*?block_?\d+[a-z]?(_block_?\d+)?")


def layer_arrays(moments: Moments) -> dict[str, np.ndarray]:
    """Return what is drawn of a characterized model: chi as its logarithm, its growth, shape and ranks of the signal.

    The shape of the signal is said by numbers without a scale: `mu4 / mu2**2`, which is 3 for a Gaussian and larger for
    few large values, and `nu1 / sqrt(nu2)`, which is 1 where all magnitudes are equal and sqrt(2 / pi) for a Gaussian.

    Args:
        moments: What `characterize` returned.

    Raises:
        TypeError: If it is anything else.
    """
    if not isinstance(moments, Moments) or not isinstance(moments.experiment, Characterization):
        raise TypeError(
            refusal("moments must be those of a model, which characterize() returns.", moments=type(moments).__name__)
        )
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not finite is reported when it is drawn
        return {
            "log_chi": moments["log_chi"],
            "growth": np.exp(moments["log_growth"]),
            "kurtosis": moments["mu4_signal"] / np.square(moments["mu2_signal"]),
            "magnitude": moments["nu1_abs_signal"] / np.sqrt(moments["nu2_signal"]),
            "reff_signal": moments["reff_signal"],
            "reff_noise": moments["reff_noise"],
            "depth": moments["depth"],
        }


def blocks(layers: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yield the name of every block of neighbouring layers, the position of its first, and how many there are.

    Example:

    >>> list(blocks(["input", "block1_conv1", "block1_pool", "block2_conv1", "top/dense"]))
    [('block1', 1, 2), ('block2', 3, 1), ('top', 4, 1)]
    """
    start = 0
    for block, members in groupby(layers, _block):
        length = len(list(members))
        if block:
            yield block, start, length
        start += length


def _block(layer: str) -> str:
    found = BLOCK.match(layer)
    return found[0] if found else ""


def layer_summary(moments: Moments, count: int = 10) -> str:
    """Return in words how the sensitivity grows along a model, and the layers that amplify the noise most.

    The growth of a layer is chi behind it over chi of its inputs taken together, in dB (20 log10), as the mean over
    realizations with its standard error.

    Args:
        moments: What `characterize` returned.
        count: How many layers are listed at most.

    Returns:
        A few lines of text.

    Raises:
        TypeError, ValueError: If `moments` are not those of a model, or `count` is no positive integer.

    Example:

    >>> model = Characterization("net", ("image", "dense"), ((), (0,)), 1, (8, 4, 4, 1), "array-0123")
    >>> arrays = {name: np.ones((1, 2)) for name in model.array_names} | {"log_mu2_noise": np.log([[1.0, 100.0]])}
    >>> print(layer_summary(Moments(arrays, model)))
    net: χ grows by 20.0 dB along 1 layer, 1 realization
      layer  growth in dB  χ behind it  effective rank
      dense        +20.00           10             1.0
    """
    whole(1)("count", count)
    arrays, names = layer_arrays(moments), np.asarray(moments["layer"])
    growth, chi = np.log(arrays["growth"]) * DECIBELS, arrays["log_chi"]
    mean = growth.mean(axis=0)
    order = [layer for layer in np.argsort(-mean, kind="stable") if layer and mean[layer] > 0][:count]
    rows = [("layer", "growth in dB", "χ behind it", "effective rank")]
    rows += [
        (
            str(names[layer]),
            _with_error(growth[:, layer]),
            f"{math.exp(min(chi[:, layer].mean(), 700)):.3g}",
            f"{arrays['reff_signal'][:, layer].mean():.1f}",
        )
        for layer in order
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    realizations, total = growth.shape[0], DECIBELS * (chi[:, -1] - chi[:, 0]).mean()
    title = (
        f"{moments.experiment.model}: χ grows by {total:.1f} dB along {_counted(len(names) - 1, 'layer')}, "
        f"{_counted(realizations, 'realization')}"
    )
    return "\n".join([title, *(f"  {line}" for line in lines if order)])


def _with_error(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():+.2f}"
    return f"{values.mean():+.2f} ± {values.std(ddof=1) / math.sqrt(len(values)):.2f}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)
