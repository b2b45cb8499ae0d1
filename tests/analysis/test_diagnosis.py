"""Diagnoses of the published numbers, of results that ship, and of models; what is left out, refused, and given."""

import json

import numpy as np
import pytest

from moments_dnns import diagnose, load_experiment
from moments_dnns.analysis.diagnosis import Diagnosis
from moments_dnns.analysis.published import PUBLISHED
from moments_dnns.analysis.verdicts import DEAD, EXPLODING, ONE_DIMENSIONAL, OUTLIERS, UNDECIDED, WELL_BEHAVED
from scripts.experiments import RESULTS, saved_results
from scripts.results_page import DOCUMENT
from tests.support.networks import CASES, KNOWN, exponential, model, network, power
from tests.support.published import arrays
from tests.support.synthetic import complete, describe


@pytest.mark.parametrize("architecture", KNOWN)
def test_published_tables(architecture):
    """As they are printed: six depths, and as many equal realizations as an interval takes."""
    table = {number.over: number.means for number in PUBLISHED[architecture] if number.under is None}
    depth = sorted(table.pop("depth", next(iter(table.values()))))
    found = diagnose({name: [[means[at] for at in depth]] * 4 for name, means in table.items()} | {"depth": depth})
    assert found.verdicts == KNOWN[architecture]
    assert (found.law == "exponential") == (architecture == "bn_ff")


@pytest.mark.parametrize("architecture", KNOWN)
@pytest.mark.parametrize("num_realizations", [10, 100])
def test_experiments_around_the_published_means(architecture, num_realizations):
    found = diagnose(arrays(architecture, num_realizations))
    assert found.verdicts == KNOWN[architecture]
    if architecture == "bn_res":
        assert found.growth.exponent.value == pytest.approx(0.54, abs=0.06)


def test_published_fully_connected_nets_explode_without_outliers():
    log_chi = PUBLISHED["fully connected bn_ff"][0]
    at, means, deviations = (
        list(values) for values in (log_chi.means, log_chi.means.values(), log_chi.deviations.values())
    )
    depth = np.arange(10.0, 201, 10)
    normal = np.random.default_rng(0).normal(size=(20, 1))
    found = diagnose(
        {
            "log_chi_loc4": np.interp(depth, at, means) + np.interp(depth, at, deviations) * normal,
            "mu4_signal_loc3": np.full((20, 20), 2.95),
            "reff_signal_loc4": np.full((20, 20), 10.0),
            "depth": depth,
        }
    )
    assert found.verdicts == (EXPLODING,)
    assert found.growth.rate.value == pytest.approx((41.418 - 20.777) / 100, rel=0.01)


SHIPPED = {
    "fully_connected_2": (UNDECIDED,),  # has neither sensitivity nor rank
    "fully_connected_3": (ONE_DIMENSIONAL,),
    "fully_connected_4": (EXPLODING,),
    "fully_connected_4_batch_128": (EXPLODING,),
    "fully_connected_4_batch_256": (EXPLODING, OUTLIERS),
    "fully_connected_4_batch_512": (EXPLODING, OUTLIERS),
    "fully_connected_5": (WELL_BEHAVED,),
}


@pytest.mark.parametrize("name", [*SHIPPED, *(name for name in RESULTS if name not in SHIPPED)])
def test_results_that_ship(name, monkeypatch):
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(DOCUMENT.parents[1] / "npy"))
    saved = dict(saved_results())
    if name not in saved:
        pytest.skip(f"{name} does not ship")
    found = diagnose(load_experiment(saved[name]))
    if name in SHIPPED:
        assert found.verdicts == SHIPPED[name]
    else:  # Convolutional: at whatever size, no architecture is taken for another.
        kind = RESULTS[name].type_plot
        allowed = {
            # Of zero padding, the border tells inputs apart.
            "vanilla": {ONE_DIMENSIONAL, UNDECIDED, *([WELL_BEHAVED] if "zero_padding" in name else [])},
            "bn_ff": {EXPLODING, OUTLIERS},
            "bn_res": {WELL_BEHAVED},
            "vanilla_histo": {UNDECIDED},
        }
        assert set(found.verdicts) <= allowed[kind]
    assert found.left_out == 0
    if found.unit == "residual unit":
        assert "per residual unit" in str(found)


@pytest.mark.parametrize(
    ("name", "scales"), [("model_resnet50", 10.9), ("model_mobilenet", 10.7), ("model_vgg16", 0.13)]
)
def test_models_that_are_known_to_train_are_trainable(name, scales, monkeypatch):
    """Those of keras.applications: an exponential law with a small exponent is no explosion."""
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(DOCUMENT.parents[1] / "npy"))
    found = diagnose(load_experiment(name))
    assert (found.verdicts, found.trainable) == ((WELL_BEHAVED,), True)
    assert found.depth_scales.value == pytest.approx(scales, abs=0.05)


def test_models_are_diagnosed_by_layer():
    found = diagnose(model(exponential(0.3)))
    assert found.verdicts == (EXPLODING,)
    assert found.growth.rate.value == pytest.approx(0.3, abs=0.005)
    assert found.line.startswith("exploding sensitivity (2.6")
    assert found.line.endswith("dB per measured layer)")
    assert "per measured layer" in str(found)
    assert found.rank_exponent is None
    alone = diagnose(model(exponential(0.3), num_realizations=1))
    assert alone.verdicts == (UNDECIDED,)
    assert alone.growth.rate.value == pytest.approx(0.3, abs=0.01)
    given_chi = {"log_chi": model(power(0.5))["log_mu2_noise"] / 2, "layer": ["x"] * 60}
    assert diagnose(given_chi).verdicts == (WELL_BEHAVED,)


def test_the_rank_of_a_model_is_that_of_its_wide_last_layers():
    ranks = np.full(60, 20.0)
    ranks[-1], ranks[-2] = 1.0, np.nan  # a single output, and a layer where no rank is defined
    found = diagnose(model(power(0.5), reff_signal=ranks))
    assert (found.verdicts, found.rank.value, found.left_out) == ((WELL_BEHAVED,), 20, 0)
    collapsed = diagnose(model(power(0.5), reff_signal=1 + 10 / np.arange(1, 61) ** 1.5))
    assert collapsed.verdicts == (ONE_DIMENSIONAL,)


def test_outliers_of_a_model_are_looked_for_after_its_normalizations():
    moments = model(exponential(0.2), reff_signal=2.2, mu4_signal=3.0)
    moments["mu2_signal"][:, ::3] = 1.0  # every third layer normalizes
    moments["mu4_signal"] = np.where(np.arange(60) % 3 == 0, np.geomspace(3, 60, 60), 1e6) * np.ones((8, 1))
    found = diagnose(moments)
    assert EXPLODING in found.verdicts
    assert OUTLIERS in found.verdicts
    assert found.kurtosis.value == pytest.approx(np.geomspace(3, 60, 60)[57])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_realizations_that_are_not_finite_are_left_out_and_counted(bad):
    moments = network(exponential(0.2), reff_signal_loc4=10.0)
    expected = diagnose({name: array[3:] if np.ndim(array) == 2 else array for name, array in moments.items()})
    moments["log_chi_loc4"][:2, 70:] = bad
    moments["reff_signal_loc4"] = np.array(moments["reff_signal_loc4"])
    moments["reff_signal_loc4"][2, -1] = bad
    found = diagnose(moments)
    assert found.left_out == 3
    assert "20 realizations at 100 depths, left out 3 realizations" in str(found)
    assert found.verdicts == expected.verdicts
    assert found.growth.rate.value == pytest.approx(expected.growth.rate.value, abs=1e-3)


def test_dead_networks_are_left_out():
    moments = network(power(0.5))
    noise = 2 * moments.pop("log_chi_loc4")
    signal = np.ones_like(noise)
    noise[:, 80:], signal[:, 80:] = -np.inf, 0.0
    found = diagnose({**moments, "log_mu2_noise_loc4": noise, "mu2_signal_loc4": signal})
    assert (found.verdicts, found.trainable, found.left_out, found.growth) == ((DEAD,), False, 20, None)
    assert not found.missing
    signal[:11], noise[:11] = 1.0, 0.0  # most of them live
    alive = diagnose({**moments, "log_mu2_noise_loc4": noise, "mu2_signal_loc4": signal})
    assert (alive.verdicts, alive.left_out) == ((WELL_BEHAVED,), 9)


ONES = np.ones((4, 8))


REFUSED = [
    ([1, 2], TypeError, "mapping"),
    ({}, ValueError, "<moment>_<loc>"),
    ({"depth": [1]}, ValueError, "<moment>_<loc>"),
    ({"log_chi_loc4": ONES}, ValueError, "expected depth, or layer"),
    ({"log_chi_loc4": ONES, "depth": [1, 2]}, ValueError, "depth must hold 8"),
    ({"log_chi_loc4": ONES, "depth": np.arange(8)}, ValueError, "depth must hold 8"),
    ({"log_chi_loc4": ONES, "reff_signal_loc4": ONES[:2], "depth": np.arange(1, 9)}, ValueError, "must have shape"),
    ({"log_chi_loc4": ONES.astype(str), "depth": np.arange(1, 9)}, TypeError, "real numbers"),
]


@pytest.mark.parametrize(("moments", "error", "message"), REFUSED)
def test_bad_input_is_refused(moments, error, message):
    with pytest.raises(error, match=f"{message}.*Received: "):
        diagnose(moments)


@pytest.mark.parametrize("moments", [*CASES, network(power(0.5), num_realizations=1), complete(describe())])
def test_text_line_and_dictionary_agree(moments):
    found = diagnose(moments)
    assert isinstance(found, Diagnosis)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["verdicts"] == list(found.verdicts)
    assert plain["missing"] == list(found.missing)
    assert plain["num_realizations"] == found.num_realizations
    assert str(found).splitlines()[0] == ", ".join(found.verdicts)
    assert "\n" not in found.line
    assert len(found.line) < 110
    for verdict in found.verdicts:
        assert verdict in found.line
    assert plain["trainable"] == found.trainable
    if found.depth_scales:
        assert plain["depth_scales"]["value"] == found.depth_scales.value
        assert str(found.depth_scales) in str(found)
    if found.growth:
        assert plain["growth"]["exponent"]["value"] == found.growth.exponent.value
        assert str(found.growth.exponent) in str(found)
