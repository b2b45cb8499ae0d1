"""The tree of seeds: children are those of NumPy, and a realization's numbers are its own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns._seeds import IMAGES, NOISE, WEIGHTS, child, integers, of_realization


@given(st.integers(0, 2**128), st.lists(st.integers(0, 2**31), max_size=2), st.integers(0, 5))
def test_child_is_what_spawn_gives_and_leaves_the_seed_alone(entropy, key, index):
    seed = np.random.SeedSequence(entropy, spawn_key=key)
    derived = child(seed, index)
    assert seed.n_children_spawned == 0
    np.testing.assert_array_equal(derived.generate_state(4), seed.spawn(index + 1)[index].generate_state(4))


def test_realizations_and_what_they_draw_have_seeds_of_their_own():
    realizations = [of_realization(seed, index) for seed in (0, 1) for index in range(50)]
    seeds = realizations + [child(each, part) for each in realizations for part in (IMAGES, NOISE, WEIGHTS)]
    assert len({tuple(seed.generate_state(4)) for seed in seeds}) == len(seeds) == 400


def test_integers_are_seeds_for_every_backend():
    """Of 10,000 uniform integers, the largest is above 0.99 * 2**31 but for one case in e^100."""
    drawn = integers(of_realization(7, 3), 10_000)
    assert drawn.min() >= 0
    assert 0.99 * 2**31 < drawn.max() < 2**31
