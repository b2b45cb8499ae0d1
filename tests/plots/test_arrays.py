"""The table of figures, and how their arrays are read."""

import warnings
from types import MappingProxyType

import numpy as np
import pytest

from moments_dnns.descriptions.architecture import Architecture
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.moments import stored_name
from moments_dnns.plots.arrays import read_logarithms
from moments_dnns.plots.figures import FIGURES
from moments_dnns.results.moments import Moments
from tests.support.published import MAKERS, arrays
from tests.support.synthetic import describe

# What pruning keeps, as the page of the science says it.
KEPT = {
    "vanilla_histo": {"nu2_signal_loc3", "mu2_noise_loc3", "depth"},
    "vanilla": {"chi_loc1", "chi_loc3", "reff_signal_loc3", "depth"},
    "bn_ff": {
        "chi_loc1",
        "chi_loc3",
        "chi_loc4",
        "reff_signal_loc4",
        "reff_noise_loc4",
        "mu4_signal_loc3",
        "nu1_abs_signal_loc3",
        "depth",
    },
    "bn_res": {
        "chi_loc1",
        "chi_loc2",
        "chi_loc4",
        "chi_loc5",
        "reff_signal_loc3",
        "reff_noise_loc3",
        "mu4_signal_loc2",
        "nu1_abs_signal_loc2",
        "res_depth",
        "depth",
    },
}
each_figure = pytest.mark.parametrize("type_plot", KEPT)


def without(type_plot, *names):
    return {name: array for name, array in arrays(type_plot).items() if name not in names}


def test_every_figure_of_the_paper_is_there():
    assert set(FIGURES) >= set(KEPT) == set(MAKERS) == {"vanilla_histo", "vanilla", "bn_ff", "bn_res"}


@each_figure
def test_needs_are_what_pruning_keeps(type_plot):
    needs = FIGURES[type_plot].needs
    assert set(needs) == KEPT[type_plot]
    assert len(set(needs)) == len(needs)


@each_figure
def test_an_experiment_has_what_its_figure_needs(type_plot):
    architecture = type_plot.removesuffix("_histo")
    names = Experiment(architecture, 4, 1, 4, 4, 3, num_computations=2).array_names
    moments = {name: np.ones((3, 2)) for name in names} | {"depth": [2, 4], "res_depth": 2}
    assert set(read_logarithms(type_plot, moments)) == KEPT[type_plot]


@each_figure
def test_pruned_plain_and_raw_arrays_read_the_same(type_plot):
    pruned = arrays(type_plot)
    assert set(pruned) == {stored_name(name) for name in KEPT[type_plot]}
    data = read_logarithms(type_plot, pruned)
    plain, raw = {}, {}
    for name, array in pruned.items():
        plain[name.removeprefix("log_")] = np.exp(array) if name.startswith("log_") else array
        if name.startswith("log_chi"):
            place = name.removeprefix("log_chi_")
            raw |= {f"mu2_signal_{place}": np.full_like(array, 0.3), f"log_mu2_noise_{place}": 2 * array + np.log(0.3)}
        else:
            raw[name] = array
    for moments in (plain, raw, MappingProxyType(pruned)):
        for name, values in read_logarithms(type_plot, moments).items():
            np.testing.assert_allclose(values, data[name], atol=1e-12)
    for name in KEPT[type_plot] - {"depth", "res_depth"}:
        np.testing.assert_allclose(np.exp(data[name]), plain[name], rtol=1e-12)


def test_reading_changes_nothing_and_warns_of_nothing():
    moments = arrays("bn_res")
    before = {name: array.copy() for name, array in moments.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_logarithms("bn_res", moments)
    for name, array in moments.items():
        np.testing.assert_array_equal(array, before[name])


def test_dead_realizations_are_left_out_and_named_once():
    moments = arrays("bn_ff", num_realizations=10)
    moments["log_chi_loc4"][2:5, 80:] = -np.inf
    moments["log_chi_loc4"][5, 90] = np.inf
    moments["reff_signal_loc4"][7, 40] = 0
    with pytest.warns(UserWarning, match="leaves out") as caught:
        data = read_logarithms("bn_ff", moments)
    message = str(caught.pop().message)
    assert not caught
    assert "chi_loc4 (4 of 10 realizations, between depths 162 and 200)" in message
    assert "reff_signal_loc4 (1 of 10 realizations, between depths 82 and 82)" in message
    assert "chi_loc3" not in message
    assert np.isnan(data["chi_loc4"]).sum() == 61
    np.testing.assert_array_equal(np.isfinite(data["chi_loc4"]), np.isfinite(moments["log_chi_loc4"]))
    assert np.isfinite(data["chi_loc1"]).all()


@pytest.mark.parametrize(("noise", "signal"), [(-np.inf, 1.0), (0.0, 0.0), (np.nan, 1.0), (0.0, -1.0)])
def test_a_sensitivity_without_logarithm_is_left_out(noise, signal):
    moments = without("vanilla", "log_chi_loc3")
    shape = moments["log_chi_loc1"].shape
    moments |= {"log_mu2_noise_loc3": np.zeros(shape), "mu2_signal_loc3": np.ones(shape)}
    moments["log_mu2_noise_loc3"][0, 0], moments["mu2_signal_loc3"][0, 0] = noise, signal
    with pytest.warns(UserWarning, match=r"chi_loc3 \(1 of 20 realizations, between depths 2 and 2\)"):
        data = read_logarithms("vanilla", moments)
    assert np.isnan(data["chi_loc3"]).sum() == 1


@pytest.mark.parametrize("moments", [None, [1, 2], np.ones((2, 3)), "bn_ff"])
def test_only_mappings(moments):
    with pytest.raises(TypeError, match=r"moments must be a mapping .* Received: moments="):
        read_logarithms("bn_ff", moments)


def test_only_known_figures():
    with pytest.raises(ValueError, match=r"'bn_res'.* Received: type_plot='bn_fff'"):
        read_logarithms("bn_fff", arrays("bn_ff"))


def test_missing_arrays_are_named():
    with pytest.raises(ValueError, match=r"bn_res draws .*; missing: chi_loc2, res_depth, depth\. Received: moments="):
        read_logarithms("bn_res", without("bn_res", "log_chi_loc2", "res_depth", "depth"))
    with pytest.raises(ValueError, match=r"vanilla draws .*; missing: chi_loc1, chi_loc3, reff_signal_loc3, depth"):
        read_logarithms("vanilla", {})


@pytest.mark.parametrize(
    ("architecture", "advice"),
    [
        ("bn_ff", r"of the architecture conv, batch_norm, activation, which plot_bn_ff draws"),
        (Architecture(["conv", "layer_norm", "activation"]), r"layer_norm, activation, which plot_architecture draws"),
    ],
)
def test_a_figure_of_another_architecture_says_which_it_is(architecture, advice):
    experiment = Experiment(architecture, 2, 1, 4, 2, 1, num_computations=1)
    moments = Moments({name: np.ones((1, 1)) for name in experiment.array_names}, experiment)
    with pytest.raises(ValueError, match=rf"vanilla draws .*missing: reff_signal_loc3\. .*{advice}"):
        read_logarithms("vanilla", moments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"log_chi_loc3": np.ones((20, 99))}, ValueError, r"log_chi_loc3 must have shape \(20, 100\)"),
        ({"reff_signal_loc3": np.ones((19, 100))}, ValueError, r"reff_signal_loc3 must have shape \(20, 100\)"),
        ({"reff_signal_loc3": np.ones(100)}, ValueError, r"reff_signal_loc3 must have shape \(20, 100\)"),
        ({"log_chi_loc1": np.ones(100)}, ValueError, r"log_chi_loc1 must have shape \(num_realizations, num_c"),
        ({"log_chi_loc1": np.ones((0, 100))}, ValueError, "log_chi_loc1 must have shape"),
        ({"log_chi_loc1": np.ones((20, 100), complex)}, TypeError, "log_chi_loc1 must be an array of real numbers"),
        ({"log_chi_loc1": np.full((20, 100), "1")}, TypeError, "log_chi_loc1 must be an array of real numbers"),
        ({"depth": np.arange(1, 100)}, ValueError, "depth must hold 100 increasing positive numbers"),
        ({"depth": np.arange(100)}, ValueError, "depth must hold 100 increasing positive numbers"),
        ({"depth": np.arange(100, 0, -1)}, ValueError, "depth must hold 100 increasing positive numbers"),
        ({"depth": np.full(100, np.nan)}, ValueError, "depth must hold 100 increasing positive numbers"),
        ({"depth": 3}, ValueError, "depth must hold 100 increasing positive numbers"),
        ({"depth": ["1"] * 100}, TypeError, "depth must be an array of real numbers"),
    ],
)
def test_arrays_that_do_not_fit(change, error, message):
    with pytest.raises(error, match=message + ".* Received: "):
        read_logarithms("vanilla", arrays("vanilla") | change)


def test_sources_of_a_derived_array_are_checked_too():
    # NumPy would broadcast these two without a word.
    moments = without("vanilla", "log_chi_loc1")
    moments |= {"log_mu2_noise_loc1": np.zeros((20, 100)), "mu2_signal_loc1": np.ones((1, 100))}
    with pytest.raises(ValueError, match=r"mu2_signal_loc1 must have shape \(20, 100\)"):
        read_logarithms("vanilla", moments)


@pytest.mark.parametrize("res_depth", [2, np.int64(2), np.array(2), np.array([2])])
def test_res_depth_in_any_integer_form(res_depth):
    assert read_logarithms("bn_res", arrays("bn_res") | {"res_depth": res_depth})["res_depth"] == 2


@pytest.mark.parametrize(("res_depth", "error"), [(0, ValueError), (2.0, TypeError), (np.array([1, 2]), TypeError)])
def test_other_res_depths_are_refused(res_depth, error):
    with pytest.raises(error, match="res_depth must be an integer of at least 1"):
        read_logarithms("bn_res", arrays("bn_res") | {"res_depth": res_depth})


def test_an_array_that_pruning_removed_is_said_to_be_pruned():
    pruned = Moments({"nu2_signal_loc3": np.ones((6, 2))}, describe(), provenance={"pruned_for": "vanilla_histo"})
    with pytest.raises(ValueError, match=r"missing: .*\. It was pruned for vanilla_histo\. Received"):
        read_logarithms("bn_ff", pruned)


def test_moments_beyond_float64_are_drawn():
    deep = {
        "log_nu2_signal_loc3": np.full((3, 1), -2000.0),
        "log_mu2_noise_loc3": np.full((3, 1), -2001.0),
        "depth": [9],
    }
    drawn = read_logarithms("vanilla_histo", deep)
    assert (drawn["nu2_signal_loc3"] == -2000.0).all()
    assert (drawn["mu2_noise_loc3"] == -2001.0).all()
