"""The names of arrays, and what is derived from arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns.moments import (
    DERIVATIONS,
    KEPT_AS,
    MODEL_MOMENTS,
    MOMENTS,
    array_name,
    derive,
    from_logarithms,
    place_name,
    place_number,
    split_name,
    stored_name,
)

NAMES = sorted({*MODEL_MOMENTS, *DERIVATIONS})


@given(st.sampled_from(NAMES), st.integers(0, 99))
def test_names_are_made_of_a_moment_and_a_place(moment, number):
    place = place_name(number) if number else ""
    assert split_name(array_name(moment, place)) == (moment, place)
    assert place_number(place) == number


@pytest.mark.parametrize("place", ["loc0", "loc", "loc100", "loc01", "3", "xloc1"])
def test_what_is_no_place_has_no_number(place):
    assert place_number(place) is None


def test_what_grows_exponentially_is_stored_as_a_logarithm():
    assert stored_name("chi_loc3") == "log_chi_loc3"
    assert stored_name("mu2_noise") == "log_mu2_noise"
    assert stored_name("mu4_signal_loc2") == "mu4_signal_loc2"
    for moment in NAMES:
        assert split_name(stored_name(f"{moment}_loc1"))[0] in {
            *MODEL_MOMENTS,
            *KEPT_AS.values(),
            "log_chi",
            "log_gradient",
        }


# The sensitivity of definition 3, sqrt(mu2(dx) / mu2(x)), and all that says the same: exact but for rounding.
NOISE, SIGNAL = np.array([[4.0, 0.5]]), np.array([[0.25, 8.0]])
CHI = np.sqrt(NOISE / SIGNAL)
SAME = [
    {"log_mu2_noise_loc2": np.log(NOISE), "mu2_signal_loc2": SIGNAL},
    {"mu2_noise_loc2": NOISE, "mu2_signal_loc2": SIGNAL},
    {"chi_loc2": CHI},
    {"log_chi_loc2": np.log(CHI)},
]


@pytest.mark.parametrize("arrays", SAME, ids=", ".join)
def test_the_sensitivity_is_derived_from_what_there_is(arrays):
    np.testing.assert_allclose(derive(arrays, "chi_loc2"), CHI, rtol=1e-15)
    np.testing.assert_allclose(derive(arrays, "log_chi_loc2"), np.log(CHI), rtol=0, atol=1e-15)
    for name in ("chi_loc1", "nu2_signal_loc2", "nonsense"):
        with pytest.raises(KeyError, match=f"Received: name='{name}'"):
            derive(arrays, name)


def test_a_noise_or_a_signal_that_died_has_a_true_sensitivity():
    arrays = {"log_mu2_noise": np.array([-np.inf, 0.0]), "mu2_signal": np.array([1.0, 0.0])}
    assert derive(arrays, "chi").tolist() == [0.0, np.inf]
    assert derive(arrays, "mu2_noise").tolist() == [0.0, 1.0]


def test_networks_return_logarithms_of_all_moments():
    names = [f"{moment}_loc1" for moment in MOMENTS]
    logarithms = np.arange(2.0 * len(names)).reshape(2, -1)
    arrays = from_logarithms(names, logarithms.astype("float32"))
    for column, name in enumerate(names):
        expected = logarithms[:, column] if name == "log_mu2_noise_loc1" else np.exp(logarithms[:, column])
        np.testing.assert_array_equal(arrays[name], expected)
        assert arrays[name].dtype == np.float64
