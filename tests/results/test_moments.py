"""Moments as a mapping, and as a form of xarray or pandas."""

import sys

import numpy as np
import pytest

from moments_dnns.moments import derive
from moments_dnns.results.moments import Moments
from moments_dnns.results.sources import Source
from tests.support.synthetic import complete, describe, rows


def test_moments_are_a_mapping_of_what_is_stored():
    experiment = describe()
    moments = complete(experiment)
    assert list(moments) == [*experiment.array_names, "depth", "res_depth"]
    assert len(moments) == len(experiment.array_names) + 2
    assert moments["depth"].tolist() == [2, 4]
    assert moments["res_depth"] == 2
    assert moments.num_realizations == 6
    assert moments.sources == (Source(0, 0, 6),)


@pytest.mark.parametrize("name", ["chi_loc3", "log_chi_loc3", "mu2_noise_loc1"])
def test_moments_derive_what_follows(name):
    moments = complete(describe())
    assert name in moments
    assert name not in list(moments)
    np.testing.assert_array_equal(moments[name], derive(rows(describe(), range(6)), name))


@pytest.mark.parametrize("name", ["chi_loc9", "chi", "reff_signal_loc1", "nonsense", "", 3, None])
def test_moments_lack_the_rest(name):
    moments = complete(describe())
    assert name not in moments
    with pytest.raises(KeyError, match="Received"):
        moments[name]


@pytest.mark.parametrize("name", ["nu2_signal_loc1", "chi_loc1", "depth", "res_depth"])
def test_moments_are_read_only(name):
    moments = complete(describe())
    with pytest.raises(ValueError, match="read-only"):
        moments[name][...] = 0
    with pytest.raises(TypeError):
        moments[name] = 0


def test_moments_are_equal_where_all_of_them_is():
    moments = complete(describe())
    assert moments == complete(describe())
    assert moments != complete(describe(seed=1))
    arrays = {name: array.copy() for name, array in moments.arrays.items()}
    arrays["log_nu2_signal_loc1"][0, 0] += 1e-9
    assert moments != Moments(arrays, describe())
    with pytest.raises(ValueError, match="values or logarithms of a moment, not both"):
        Moments({"nu2_signal_loc1": np.ones((6, 2)), "log_nu2_signal_loc1": np.zeros((6, 2))}, describe())
    assert moments != dict(moments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nu2_signal_loc1": np.ones((6, 3))}, "shape"),
        ({"nu2_signal_loc1": np.ones((5, 2))}, "shape"),
        ({"nu2_signal_loc1": np.float64(1)}, "shape"),
        ({"depth": np.array([1, 2])}, "depth must agree"),
        ({"depth": np.array([2, 4]), "res_depth": np.array(3)}, "res_depth must agree"),
    ],
)
def test_moments_refuse_arrays_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=rf"{message}.*Received"):
        Moments({**rows(describe(), range(6)), **change}, describe())


@pytest.mark.parametrize("sources", [[(0, 0, 5)], [(0, 0, 4), (0, 3, 5)], [(0, 0, 7)]])
def test_moments_refuse_sources_that_do_not_fit(sources):
    with pytest.raises(ValueError, match="Received"):
        Moments(rows(describe(), range(6)), describe(), sources)


def test_moments_say_what_they_are():
    moments = complete(describe(10, architecture="vanilla", boundary="zero_padding"), {"pruned_for": "<vanilla>"})
    for text in (repr(moments), moments._repr_html_()):
        assert all(word in text for word in ("vanilla", "zero_padding", "photo", "16", "10"))
    assert "&lt;vanilla&gt;" in moments._repr_html_()


def test_moments_become_a_labelled_dataset():
    pytest.importorskip("xarray")
    experiment = describe(5)
    moments = Moments(rows(experiment, range(5)), experiment, [(0, 0, 3), (7, 1, 3)])
    dataset = moments.to_xarray()
    assert dataset["nu2_signal"].dims == ("place", "realization", "depth")
    np.testing.assert_array_equal(dataset["nu2_signal"].sel(place="loc3"), moments["nu2_signal_loc3"])
    np.testing.assert_array_equal(dataset["reff_noise_loc4"].sel(depth=4), moments["reff_noise_loc4"][:, 1])
    assert dataset["seed"].values.tolist() == [0, 0, 0, 7, 7]
    assert dataset["realization"].values.tolist() == [0, 1, 2, 1, 2]
    assert dataset.attrs["experiment"] == experiment.to_json()
    stored = sum(array.size for name, array in moments.items() if name in experiment.array_names)
    assert sum(variable.size for variable in dataset.data_vars.values()) == stored


def test_moments_become_a_tidy_table():
    pytest.importorskip("pandas")
    experiment = describe(5)
    moments = Moments(rows(experiment, range(5)), experiment, [(0, 0, 3), (7, 1, 3)])
    table = moments.to_dataframe()
    assert list(table.columns) == ["seed", "realization", "depth", "place", "moment", "value"]
    assert len(table) == 10 * len(experiment.array_names)
    row = table.query("seed == 7 and realization == 2 and depth == 4 and place == 'loc2' and moment == 'mu4_signal'")
    assert row["value"].tolist() == [moments["mu4_signal_loc2"][4, 1]]


@pytest.mark.parametrize(("method", "library"), [("to_xarray", "xarray"), ("to_dataframe", "pandas")])
def test_labelled_forms_say_what_they_need(method, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"pip install {library}"):
        getattr(complete(describe()), method)()


def test_what_pruning_removed_is_said_to_be_pruned():
    pruned = Moments({"nu2_signal_loc1": np.ones((6, 2))}, describe(), provenance={"pruned_for": "bn_ff"})
    with pytest.raises(KeyError, match=r"name='chi_loc3' It was pruned for bn_ff\."):
        pruned["chi_loc3"]


def test_a_description_is_needed():
    with pytest.raises(TypeError, match="experiment must be an Experiment.*experiment=None"):
        Moments({"nu2_signal_loc1": np.ones((6, 2))}, None)
