"""Arrays that are handed over: by moment and place, in their units, and refused where they do not fit."""

import numpy as np
import pytest

from moments_dnns import Architecture, Experiment, Moments
from moments_dnns.analysis.arrays import CheckedArrays, MeasuredMoments
from tests.support.characterized import characterized

OWN = Architecture(["activation", "conv"], residual=True)


def experiment(architecture):
    described = Experiment(architecture, 4, 1, 4, 2, 3, num_computations=2)
    return Moments({name: np.ones((3, 2)) for name in described.array_names}, described)


@pytest.mark.parametrize(
    ("moments", "unit", "places", "depth"),
    [
        (experiment("bn_ff"), "layer", ["loc1", "loc2", "loc3", "loc4"], [2, 4]),
        (experiment("bn_res"), "residual unit", ["loc1", "loc2", "loc3", "loc4", "loc5"], [2, 4]),
        (experiment(OWN), "residual unit", ["loc1", "loc2", "loc3", "loc4"], [2, 4]),
        ({"chi_loc3": np.ones((2, 1)), "chi_loc12": np.ones((2, 1)), "depth": [7]}, "layer", ["loc3", "loc12"], [7]),
        (characterized(), "measured layer", [""], [1, 2, 3, 4, 5, 6]),
    ],
    ids=["feedforward", "residual", "own residual", "mapping", "model"],
)
def test_units_places_and_depths(moments, unit, places, depth):
    measured = MeasuredMoments(moments)
    assert (measured.unit, measured.places, measured.depth.tolist()) == (unit, places, depth)
    assert measured.num_realizations == len(next(iter(moments.values())))


def test_moments_are_those_of_their_place():
    arrays = {f"mu2_signal_loc{place}": np.full((2, 3), float(place)) for place in (1, 2, 10)}
    measured = MeasuredMoments({**arrays, "log_mu2_noise_loc2": np.zeros((2, 3)), "depth": [1, 2, 3]})
    assert measured.at("mu2_signal", "loc2")[0, 0] == 2
    assert measured.last("mu2_signal")[0, 0] == 10
    np.testing.assert_allclose(measured.last("log_chi"), -np.log(2) / 2)
    assert measured.at("log_chi", "loc1") is None
    assert measured.last("mu4_signal") is None


def test_arrays_of_one_shape_are_given_as_they_are():
    arrays = CheckedArrays({"a": [[1, 2]], "b": np.ones((1, 2)), "c": np.ones((2, 2)), "d": [["x", "y"]]})
    assert (arrays["a"].tolist(), arrays["b"].tolist(), list(arrays), len(arrays)) == ([[1, 2]], [[1, 1]], [*"abcd"], 4)
    with pytest.raises(ValueError, match=r"c must have shape \(1, 2\)\. Received: shape=\(2, 2\)"):
        arrays["c"]
    with pytest.raises(TypeError, match="d must be an array of real numbers"):
        arrays["d"]
