"""Causes of what a characterized model does, one line each with the layer's name.

Some follow from the moments alone; others need facts on layers, their kernels and epsilons, which `characterize`
gathers and keeps in the provenance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import numpy as np

from moments_dnns.moments import DECIBELS

from .layer_facts import Layers, layers_of, off

# A gain that is off by more than a factor 2, or 3 dB, changes signals within a few layers.
GAIN_RATIO = 2.0

# Statistics over fewer points multiply the sensitivity by more than 10 %: (B - 1) / (B - 3) for squares.
FEW_POINTS = 14

# Branches weaker than this share of the sum, 60 dB, hardly change it.
WEAK_BRANCH = 1e-6

# A chain that changes the mean square of the signal by less than 1 dB per layer with a kernel keeps its scale.
LEAST_DRIFT = 1.0

# Fewer layers with a kernel say little of how the signal drifts from one to the next.
FEWEST_KERNELS = 4

# From half of the units on, a layer has lost its width.
DEAD_SHARE = 0.5

# The largest and smallest positive numbers of types that compute faster than float32.
RANGES = {
    "float16": (65504.0, 2.0**-24),
    "bfloat16": (3.4e38, 9.2e-41),
    "float8 (e4m3)": (448.0, 2.0**-9),
}

# Values of a Gaussian signal are below this many root mean squares.
PEAK = 6.0


@attrs.frozen
class Cause:
    """A cause, and where it is.

    Args:
        layer: The layer, the first of those to which the same applies.
        words: What is the matter there, and if there is one, the cure.
        others: How many other layers the same applies to.
        intended: Whether that is often done on purpose, and does no harm.

    Example:

    >>> str(Cause("conv1", "takes statistics over 4 points", others=2))
    'conv1 and 2 more: takes statistics over 4 points'
    """

    layer: str
    words: str
    others: int = 0
    intended: bool = False

    def __str__(self) -> str:
        return f"{self.layer}{f' and {self.others} more' if self.others else ''}: {self.words}"


def causes(moments: Any) -> tuple[Cause, ...]:
    """Return the causes of what a model does to signal and noise, the most serious first.

    Args:
        moments: The result of `characterize`; nothing is known of anything else.

    Returns:
        The causes, none for a model of which nothing is to be said.

    Example:

    >>> from moments_dnns import Moments
    >>> from moments_dnns.descriptions.characterization import Characterization
    >>> model = Characterization("net", ("image", "dense"), ((), (0,)), 1, (8, 4, 4, 1), "array-0123")
    >>> arrays = {name: np.ones((1, 2)) for name in model.array_names} | {"nu2_signal": np.array([[1.0, 1e12]])}
    >>> [str(cause) for cause in causes(Moments(arrays, model))]
    ['dense: float16 would overflow, values reach 6e+06', 'dense: float8 (e4m3) would overflow, values reach 6e+06']
    """
    layers = layers_of(moments)
    if layers is None:
        return ()
    return tuple(cause for search in SEARCHES for cause in search(layers))


def dead_layers(layers: Layers) -> Iterator[Cause]:
    """Yield from where on nothing varies any more."""
    alive = np.flatnonzero((layers.silent == 0) | off(layers))
    last = alive[-1] if len(alive) else -1
    if last + 1 < len(layers.names):
        share = layers.silent[last + 1 :].max()
        yield Cause(layers.names[last + 1], f"from here on nothing varies, in {share:.0%} of the realizations")


def dead_units(layers: Layers) -> Iterator[Cause]:
    """Yield layers of ReLUs of which half are zero for all inputs."""
    shares = {i: facts["dead"] for i, facts in layers.with_fact("dead") if DEAD_SHARE <= facts["dead"] < 1}
    if shares:
        worst = max(shares.values())
        yield _cause(layers, [*shares], f"up to {worst:.0%} of the units are constant: they learn nothing")


def silent_branches(layers: Layers) -> Iterator[Cause]:
    """Yield branches that add nothing at initialisation."""
    for weight in dict.fromkeys(facts["silent"] for _, facts in layers.with_fact("silent")):
        same = [index for index, facts in layers.with_fact("silent") if facts["silent"] == weight]
        yield _cause(layers, same, f"off at initialisation, its {weight} is zero", intended=True)
    weak = [
        parent
        for index, parents in enumerate(layers.parents)
        for parent in parents
        if len(parents) > 1 and 0 < layers.power[parent] < WEAK_BRANCH * layers.power[index]
    ]
    if weak:
        share = DECIBELS / 2 * math.log(layers.power[weak[0]])
        words = f"a branch that adds next to nothing at initialisation, of {share:.0f} dB"
        yield _cause(layers, weak, words, intended=True)


def constant_normalizations(layers: Layers) -> Iterator[Cause]:
    """Yield normalizations over a single number, which return a constant whatever comes in."""
    single = [index for index, facts in layers.with_fact("features") if facts["features"] == 1]
    if single:
        yield _cause(
            layers, single, "normalizes over one feature, which makes a constant of it: its block does nothing"
        )


def few_points(layers: Layers) -> Iterator[Cause]:
    """Yield batch normalizations whose statistics are noisy."""
    points = {i: facts["points"] for i, facts in layers.with_fact("points") if facts["points"] < FEW_POINTS}
    if points:
        fewest = min(points.values())
        growth = DECIBELS / 2 * math.log((fewest - 1) / (fewest - 3)) if fewest > 3 else math.inf
        words = f"statistics over {fewest} points amplify the noise by {growth:.1f} dB: take larger batches"
        yield _cause(layers, [*points], words)


def small_variances(layers: Layers) -> Iterator[Cause]:
    """Yield batch normalizations whose epsilon is larger than the variance of what comes in."""
    small = {
        index: min(layers.variance[parent] for parent in layers.parents[index])
        for index, facts in layers.with_fact("epsilon")
        if layers.parents[index] and any(0 < layers.variance[each] < facts["epsilon"] for each in layers.parents[index])
    }
    if small:
        index = min(small, key=lambda index: small[index])
        words = (
            f"its inputs have a variance of {small[index]:.1e}, below its epsilon of "
            f"{layers.facts[index]['epsilon']:g}: it does not normalize"
        )
        yield attrs.evolve(_cause(layers, [*small], words), layer=layers.names[index])


def drift(layers: Layers) -> Iterator[Cause]:
    """Yield how many decibels the signal gains or loses for each layer with a kernel, if it does so throughout."""
    powers = {index: _power_of_inputs(layers, index) for index, facts in layers.with_fact("gain") if facts["gain"] > 0}
    kernels = [index for index, power in powers.items() if power > 0]
    if len(kernels) < FEWEST_KERNELS:
        return
    gained = math.log(powers[kernels[-1]] / powers[kernels[0]]) / (len(kernels) - 1) * DECIBELS / 2
    if abs(gained) < LEAST_DRIFT:
        return
    initializer = _most_common(str(layers.facts[index].get("initializer", "its weights")) for index in kernels)
    activation = _most_common(str(facts["activation"]) for _, facts in layers.with_fact("activation"))
    if activation == "relu" and not initializer.startswith("he_"):
        cure = "he_normal would hold it"
    elif gained > 0 and any(len(parents) > 1 for parents in layers.parents):
        cure = "branches scaled by 1 / sqrt(their number) would hold it"
    else:
        cure = "rescale(model, inputs) would hold it"
    verb, by = ("grows" if gained > 0 else "shrinks"), f"{initializer}{f' with {activation}' if activation else ''}"
    words = f"the signal {verb} by {abs(gained):.1f} dB per layer, {by}: {cure}"
    yield _cause(layers, kernels, words)


def _power_of_inputs(layers: Layers, index: int) -> float:
    return float(sum(layers.power[parent] for parent in layers.parents[index]))


def _most_common(words: Iterable[str]) -> str:
    counted = Counter(words).most_common(1)
    return counted[0][0] if counted else ""


def kernel_scales(layers: Layers) -> Iterator[Cause]:
    """Yield kernels whose variance is not what their initializer intends, because it counts another fan-in."""
    ratios = {
        index: facts["gain"] / facts["expected_gain"]
        for index, facts in layers.with_fact("expected_gain")
        if facts["gain"] > 0 and not 1 / GAIN_RATIO < facts["gain"] / facts["expected_gain"] < GAIN_RATIO
    }
    if ratios:
        index = max(ratios, key=lambda index: abs(math.log(ratios[index])))
        facts, decibels = layers.facts[index], DECIBELS / 2 * math.log(ratios[index])
        words = (
            f"{facts['initializer']} miscounts the inputs of its {facts['kernel']}: its outputs are "
            f"{abs(decibels):.1f} dB too {'weak' if decibels < 0 else 'strong'}"
        )
        yield attrs.evolve(_cause(layers, [*ratios], words), layer=layers.names[index])


def shared_initializers(layers: Layers) -> Iterator[Cause]:
    """Yield layers that have equal weights."""
    for index, facts in layers.with_fact("shared"):
        yield Cause(
            layers.names[index],
            f"has the weights of {facts['shared']}: both share one initializer without a seed; give each its own",
        )


def ranges(layers: Layers) -> Iterator[Cause]:
    """Yield where types of few bits would overflow, or make zeros of the signal."""
    behind = [bool(parents) for parents in layers.parents]  # what goes into the model is the user's
    size = np.where(behind, np.sqrt(layers.power), 0)
    for name, (largest, smallest) in RANGES.items():
        over = np.flatnonzero(size * PEAK > largest)
        under = np.flatnonzero((size < smallest) & (size > 0))
        if len(over):
            reached = PEAK * size[over[0]]
            yield _cause(layers, list(over), f"{name} would overflow, values reach {reached:.0e}")
        if len(under):
            yield _cause(layers, list(under), f"{name} would vanish, values are about {size[under[0]]:.0e}")


# What is looked for, the most serious first.
SEARCHES = (
    dead_layers,
    constant_normalizations,
    shared_initializers,
    kernel_scales,
    small_variances,
    drift,
    dead_units,
    few_points,
    silent_branches,
    ranges,
)


def _cause(layers: Layers, indices: list[int], words: str, intended: bool = False) -> Cause:
    return Cause(layers.names[indices[0]], words, len(indices) - 1, intended)
