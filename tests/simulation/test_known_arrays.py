"""Experiments give the numbers that they gave before: no rearrangement of the code may change them unnoticed."""

import keras
import numpy as np
import pytest

from tests.support import known_arrays

pytestmark = pytest.mark.backend

# On one machine the arrays are the same to the bit. Other processors add up in another order: float32 then differs by
# some 1e-6 after six layers, and twenty times as much in a fourth moment or an effective rank.
RELATIVE, ABSOLUTE = 2e-4, 2e-5


@pytest.mark.parametrize("setting", known_arrays.SETTINGS)
def test_arrays_are_those_of_before(setting):
    path = known_arrays.path(keras.backend.backend())
    if not path.exists():
        pytest.skip(f"no arrays were kept of {keras.backend.backend()}")
    computed = known_arrays.compute(setting)
    with np.load(path) as known:
        before = {name.removeprefix(f"{setting}-"): known[name] for name in known if name.startswith(f"{setting}-")}
    assert len(before) >= 9
    assert before.keys() == computed.keys()
    for name, array in before.items():
        np.testing.assert_allclose(computed[name], array, RELATIVE, ABSOLUTE, err_msg=name)
