"""The tree of seeds: an experiment's seed has a child for each realization, which has a child for each use."""

from __future__ import annotations

import numpy as np

# The children of a realization's seed, each named after what it draws.
IMAGES, NOISE, WEIGHTS, GENERATORS, COTANGENTS = range(5)


def child(seed: np.random.SeedSequence, index: int) -> np.random.SeedSequence:
    """Return the child of a seed that `seed.spawn` makes as number `index`, without changing the seed.

    Example:

    >>> seed = np.random.SeedSequence(7)
    >>> child(seed, 2).generate_state(1) == seed.spawn(3)[2].generate_state(1)
    array([ True])
    """
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, index), pool_size=seed.pool_size)


def of_realization(seed: int, index: int) -> np.random.SeedSequence:
    """Return the seed of a realization of an experiment; it does not depend on how many realizations there are.

    Args:
        seed: The seed of the experiment.
        index: The index of the realization, from 0 on.

    Example:

    >>> of_realization(7, 2).spawn_key
    (2,)
    """
    return child(np.random.SeedSequence(seed), index)


def integers(seed: np.random.SeedSequence, count: int) -> np.ndarray:
    """Return integers from a seed, from 0 to 2**31 - 1: every backend takes these as seeds.

    Args:
        seed: The seed.
        count: How many integers.

    Returns:
        Array of shape (count,), uint32.

    Example:

    >>> integers(np.random.SeedSequence(7), 3).shape
    (3,)
    """
    return seed.generate_state(count) >> 1
