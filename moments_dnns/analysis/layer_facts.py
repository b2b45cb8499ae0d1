"""What is known of each layer of a characterized model, from its moments and from facts on kernels and epsilons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from moments_dnns.descriptions.characterization import Characterization

# The facts on a layer, in `provenance["layer_facts"]`, each only where it says something.
FACTS = {
    "kernel": "the name of its last kernel",
    "gain": "the kernel's mean square times its true fan-in",
    "expected_gain": "what the gain would be if the initializer counted the fan-in that is there",
    "initializer": "the name of the initializer of the kernel",
    "shared": "the layer that has equal weights, because both share an initializer without a seed",
    "activation": "the name of its activation",
    "epsilon": "what a batch normalization adds to the variance",
    "points": "over how many points a batch normalization takes its statistics",
    "features": "over how many numbers another normalization takes its statistics",
    "silent": "the name of a weight of zeros, by which it multiplies",
    "dead": "the share of channels that are constant behind a ReLU",
}


@attrs.frozen(eq=False)
class Layers:
    """The measured layers of a model, as the search for causes sees them; means over realizations.

    Args:
        names: Their names.
        parents: The positions of the layers that each comes from.
        facts: The facts on each layer.
        power: Mean square of the signal, of shape (layers,).
        variance: Variance of the signal over the batch.
        silent: In which share of the realizations neither signal nor noise varies there.
    """

    names: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]
    facts: tuple[Mapping[str, Any], ...]
    power: np.ndarray
    variance: np.ndarray
    silent: np.ndarray

    def with_fact(self, fact: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the positions of the layers of which a fact is known, and all facts on them."""
        yield from ((index, facts) for index, facts in enumerate(self.facts) if fact in facts)


def layers_of(moments: Any) -> Layers | None:
    """Return the layers of a characterized model, or None of anything else."""
    model = getattr(moments, "experiment", None)
    needed = ("nu2_signal", "mu2_signal", "log_mu2_noise")
    if not isinstance(model, Characterization) or not all(name in moments for name in needed):
        return None
    facts = moments.provenance.get("layer_facts", {})
    power, variance, noise = (np.asarray(moments[name], np.float64) for name in needed)
    return Layers(
        model.layers,
        model.parents,
        tuple(facts.get(name, {}) for name in model.layers),
        power.mean(axis=0),
        variance.mean(axis=0),
        ((variance == 0) & ~(noise > -np.inf)).mean(axis=0),
    )


def off(layers: Layers) -> np.ndarray:
    """Return which layers are silent because weights are zero: those layers, and what comes from nothing else."""
    marks = np.array(["silent" in facts for facts in layers.facts])
    for index, parents in enumerate(layers.parents):
        marks[index] |= bool(parents) and all(marks[parent] for parent in parents)
    return marks & (layers.silent == 1)
