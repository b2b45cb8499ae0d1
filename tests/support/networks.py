"""Networks whose law is known, for diagnoses."""

import numpy as np

from moments_dnns.analysis.verdicts import EXPLODING, ONE_DIMENSIONAL, OUTLIERS, WELL_BEHAVED
from tests.support.published import arrays

DEPTH = np.arange(2.0, 202, 2)


SHORT = np.arange(1.0, 51)


def network(log_chi, depth=DEPTH, num_realizations=20, spread=0.02, seed=0, **others):
    """Arrays of a network of which ln chi is a function of depth, with independent normal deviations around it."""
    rng = np.random.default_rng(seed)
    noise = spread * rng.normal(size=(num_realizations, len(depth)))
    others = {name: np.broadcast_to(array, noise.shape) for name, array in others.items()}
    return {"log_chi_loc4": log_chi(depth) + noise, "depth": depth, **others}


def wandering(log_chi, depth, num_realizations, step, seed=0):
    """The same, but deviations add up from layer to layer, as they do in a network, with a step per depth."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(step * rng.normal(size=(num_realizations, len(depth))), axis=1)
    return {"log_chi_loc4": log_chi(depth) + walk, "depth": depth}


def power(exponent):
    return lambda depth: exponent * np.log(depth)


def exponential(rate):
    return lambda depth: rate * depth


KNOWN = {
    "vanilla": (ONE_DIMENSIONAL,),
    "bn_ff": (EXPLODING, OUTLIERS),
    "bn_res": (WELL_BEHAVED,),
}


BORDERLINE = [
    (network(exponential(0.04), spread=2), "depth or realizations: exploding sensitivity is neither"),
    (network(exponential(0.041), spread=1), "depth or realizations: exploding sensitivity is neither"),
    (network(power(1.74), spread=0.5), "depth or realizations: exploding sensitivity is neither"),
    (network(power(2), SHORT, 5, spread=3), "depth or realizations: exploding sensitivity is neither"),
    (network(exponential(-0.04), DEPTH, 5, spread=5), "depth or realizations: vanishing sensitivity is neither"),
    (wandering(exponential(0.04), DEPTH, 5, 0.5), "depth or realizations: exploding sensitivity is neither"),
    (network(exponential(0.2), num_realizations=1), "4 realizations whose numbers are finite, received 1"),
    (network(power(0.5), num_realizations=3), "4 realizations whose numbers are finite, received 3"),
    (network(power(0.5), reff_signal_loc4=[[1.2], [1.8]] * 10, spread=0.001), "one-dimensional signal is neither"),
    ({"reff_signal_loc4": network(power(0.5))["log_chi_loc4"] + 9, "depth": DEPTH}, "the sensitivity, which was not"),
]


CASES = [arrays(kind, 8) for kind in KNOWN] + [moments for moments, _ in BORDERLINE[:6]]


def model(log_chi, num_layers=60, num_realizations=8, **others):
    depth = np.arange(1.0, num_layers + 1)
    made = network(log_chi, depth, num_realizations, **others)
    log_chi, _ = made.pop("log_chi_loc4"), made.pop("depth")
    signal = np.full_like(log_chi, 2.0)
    layers = np.array([f"layer_{i}" for i in range(num_layers)])
    return {"log_mu2_noise": 2 * log_chi + np.log(signal), "mu2_signal": signal, **made, "layer": layers}
