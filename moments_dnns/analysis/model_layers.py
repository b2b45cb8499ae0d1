"""The moments along the layers of a characterized model: the arrays of its figure, and its most amplifying layers."""

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

from .causes import causes

# The block in the name of a layer: the name of a nested model, or a block as keras.applications name them.
BLOCK = re.compile(r"[^/]+(?=/)|.*?block_?\d+[a-z]?(_block_?\d+)?")


def layer_arrays(moments: Moments) -> dict[str, np.ndarray]:
    """Return the arrays that `plot_layers` draws of a characterized model.

    Two of them describe the distribution of the signal whatever its scale: `mu4 / mu2^2`, which is 3 for a Gaussian and
    larger for few large values, and `nu1 / sqrt(nu2)`, which is 1 where all magnitudes are equal and sqrt(2 / pi) for a
    Gaussian.

    Args:
        moments: The result of `characterize`.

    Returns:
        Arrays of shape (num_realizations, num_layers): `log_chi`; `growth`, chi after a layer over chi of its inputs;
        `kurtosis`, mu4 / mu2^2; `magnitude`, nu1 / sqrt(nu2); `reff_signal` and `reff_noise`, NaN of layers of which
        they were not taken. With gradients `log_gradient`; with tokens `reff_tokens`, and `token_distance`, 1 minus the
        cosine of two tokens, at least the round-off of float32. And `depth`, the numbers of the layers from 1 on.

    Raises:
        TypeError: If `moments` is anything else.

    Example:

    >>> model = Characterization("net", ("image", "dense"), ((), (0,)), 1, (8, 4, 4, 1), "array-0123")
    >>> arrays = layer_arrays(Moments({name: np.ones((1, 2)) for name in model.array_names}, model))
    >>> arrays["growth"].tolist(), arrays["depth"].tolist()
    ([[1.0, 1.0]], [1, 2])

    Reference: section 3 of arXiv 1811.03087.
    """
    if not isinstance(moments, Moments) or not isinstance(moments.experiment, Characterization):
        raise TypeError(
            refusal("moments must be those of a model, which characterize() returns.", moments=type(moments).__name__)
        )
    with np.errstate(divide="ignore", invalid="ignore"):  # figures warn of numbers that are not finite
        arrays = {
            "log_chi": moments["log_chi"],
            "growth": np.exp(moments["log_growth"]),
            "kurtosis": moments["mu4_signal"] / np.square(moments["mu2_signal"]),
            "magnitude": moments["nu1_abs_signal"] / np.sqrt(moments["nu2_signal"]),
            "reff_signal": moments["reff_signal"],
            "reff_noise": moments["reff_noise"],
            "depth": moments["depth"],
        }
    if moments.experiment.gradients:
        arrays["log_gradient"] = moments["log_gradient"]
    if moments.experiment.tokens:
        arrays["reff_tokens"] = moments["reff_tokens"]
        arrays["token_distance"] = np.maximum(1 - moments["cosine_tokens"], np.finfo(np.float32).eps)
    return arrays


def blocks(layers: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yield the blocks of neighbouring layers, from names such as `block1_conv1`, `conv2_block1_add`, `top/dense`.

    Args:
        layers: Names of layers, in the order of the model.

    Yields:
        The name of a block, the position of its first layer, and its number of layers.

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
    match = BLOCK.match(layer)
    return match[0] if match else ""


def layer_summary(moments: Moments, count: int = 10) -> str:
    """Return a table of the layers of a model that amplify the noise most, and what causes trouble.

    The growth of a layer is chi after it over chi of its inputs taken together, in dB (20 log10), as the mean over
    realizations with its standard error. The effective rank is "-" where it was not taken. With gradients, there is
    the growth of their norm, from what is computed of a layer back to the layer; with tokens, their effective rank.

    Args:
        moments: The result of `characterize`.
        count: Largest number of layers in the table.

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
    header = ("layer", "growth in dB", "χ behind it", "effective rank")
    gradients, tokens = moments.experiment.gradients, moments.experiment.tokens
    backwards = moments["log_gradient_growth"] * DECIBELS if gradients else growth
    header += ("gradient's growth in dB",) * gradients + ("rank of tokens",) * tokens
    table = [
        (
            str(names[layer]),
            _with_error(growth[:, layer]),
            f"{math.exp(min(chi[:, layer].mean(), 700)):.3g}",  # exp(710) has no float64
            _rank(arrays["reff_signal"][:, layer]),
            *([_with_error(backwards[:, layer])] if gradients else []),
            *([_rank(arrays["reff_tokens"][:, layer])] if tokens else []),
        )
        for layer in order
    ]
    realizations, total = growth.shape[0], DECIBELS * (chi[:, -1] - chi[:, 0]).mean()
    title = (
        f"{moments.experiment.model}: χ grows by {total:.1f} dB along {_counted(len(names) - 1, 'layer')}, "
        f"{_counted(realizations, 'realization')}"
    )
    if gradients:
        back = DECIBELS * (arrays["log_gradient"][:, 0] - arrays["log_gradient"][:, -1]).mean()
        title += f"; the gradient grows by {back:.1f} dB from the last to the first"
    named = [f"  cause: {cause}" for cause in causes(moments)]
    return "\n".join([title, *(aligned([header, *table]) if table else []), *named])


def aligned(table: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table, with the first column aligned to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *numbers in table:
        yield "  " + "  ".join([name.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])])


def _rank(values: np.ndarray) -> str:
    return "-" if np.isnan(values).all() else f"{values.mean():.1f}"


def _with_error(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():+.2f}"
    return f"{values.mean():+.2f} ± {values.std(ddof=1) / math.sqrt(len(values)):.2f}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def evenly_spaced(items: Sequence[object], count: int) -> list[int]:
    """Return the positions of at most so many items, evenly spaced, the first and the last among them.

    Example:

    >>> evenly_spaced(["a", "b", "c", "d", "e"], 3)
    [0, 2, 4]
    """
    last = len(items) - 1
    return sorted({round(each) for each in np.linspace(0, last, min(count, last + 1))})
