"""Verdicts on networks whose law is known, on the published numbers, on results that ship, and on borderline cases."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns import diagnose, load_experiment
from moments_dnns.analysis.diagnosis import Diagnosis
from moments_dnns.analysis.published import PUBLISHED
from moments_dnns.analysis.statistics import Estimate, estimate
from moments_dnns.analysis.verdicts import EXPLODING, ONE_DIMENSIONAL, OUTLIERS, UNDECIDED, WELL_BEHAVED
from scripts import results
from tests.support.published import arrays
from tests.support.synthetic import complete, describe

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


# --- estimates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_realizations", [4, 10, 50])
def test_intervals_hold_the_mean_as_often_as_they_say(num_realizations):
    samples = np.random.default_rng(0).normal(3, 2, (4000, num_realizations))
    found = [estimate(row) for row in samples]
    held = np.mean([each.lower < 3 < each.upper for each in found])
    assert abs(held - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)  # four standard errors


def test_intervals_have_sides():
    assert [Estimate(2, 1, 3).side(threshold) for threshold in (0.5, 2.5, 3.5)] == [1, 0, -1]
    assert str(Estimate(2, 1, 3).times(10)) == "20 [10, 30]"
    alone = estimate(np.array([2.0]))
    assert (alone.side(0), alone.is_bounded, alone.to_dict()) == (0, False, {"value": 2, "lower": None, "upper": None})


# --- known laws ----------------------------------------------------------------------------------------------------


def test_numbers_of_an_exponential():
    found = diagnose(network(exponential(0.2), spread=0))
    assert found.verdicts == (EXPLODING,)
    assert found.law == "exponential"
    assert found.growth.rate.value == pytest.approx(0.2)
    assert found.to_dict()["growth"]["decibels"]["value"] == pytest.approx(20 * np.log10(np.exp(0.2)))
    # ln chi = rate l has the exponent rate l, over a third of the depths about that at its middle.
    assert found.growth.exponent_middle.value == pytest.approx(0.2 * 100, rel=0.04)
    assert found.growth.exponent_end.value == pytest.approx(0.2 * 168, rel=0.04)
    assert found.growth.excess.value > 0


@pytest.mark.parametrize("exponent", [0.55, 1.65, 3.0])
def test_numbers_of_a_power_law(exponent):
    found = diagnose(network(power(exponent), spread=0))
    assert found.verdicts == (WELL_BEHAVED,)
    assert found.law == "power law"
    for name in ("exponent", "exponent_middle", "exponent_end"):
        assert getattr(found.growth, name).value == pytest.approx(exponent)
    assert found.growth.excess.value < 0
    assert f"depth to the power {exponent:g}" in found.line


@pytest.mark.parametrize(
    "log_chi", [lambda depth: 0 * depth, lambda depth: -np.log(depth), lambda depth: 2 - 2 / depth]
)
def test_bounded_sensitivity_is_well_behaved(log_chi):
    found = diagnose(network(log_chi))
    assert (found.verdicts, found.law) == ((WELL_BEHAVED,), "bounded")


def test_nothing_overflows():
    found = diagnose(network(exponential(50.0)))  # chi = exp(10,000)
    assert found.verdicts == (EXPLODING,)
    assert found.growth.rate.value == pytest.approx(50, rel=1e-3)


FALLEN = {"mu4_signal_loc3": np.geomspace(3, 100, 100), "reff_signal_loc4": np.linspace(30, 2, 100)}
RANKS = [
    # effective rank over depth, kurtosis over depth, verdicts beside a power law
    (np.full(100, 15.0), np.full(100, 3.5), (WELL_BEHAVED,)),
    (1 + 20 / DEPTH**1.5, np.full(100, 3.5), (ONE_DIMENSIONAL,)),
    (2.1 - 0.1 * DEPTH / 200, np.geomspace(3, 100, 100), (OUTLIERS,)),
    (1 + 20 / DEPTH**1.5, np.geomspace(3, 100, 100), (ONE_DIMENSIONAL, OUTLIERS)),
    (np.full(100, 15.0), np.geomspace(3, 100, 100), (WELL_BEHAVED,)),  # heavy tails in many directions
    (np.full(100, 2.1), np.full(100, 50.0), (WELL_BEHAVED,)),  # outliers that the images brought
    (60 / DEPTH**0.6, np.full(100, 3.5), (UNDECIDED,)),  # 2.5 at the end, and falling
]


@pytest.mark.parametrize(("ranks", "kurtosis", "verdicts"), RANKS)
def test_signals(ranks, kurtosis, verdicts):
    signal = {"reff_signal_loc4": ranks, "mu4_signal_loc3": kurtosis}
    assert diagnose(network(power(0.5), **signal)).verdicts == verdicts
    exploding = tuple(verdict for verdict in verdicts if verdict not in (WELL_BEHAVED, UNDECIDED))
    assert diagnose(network(exponential(0.2), **signal)).verdicts == (EXPLODING, *exploding)


def test_outliers_are_looked_for_where_the_signal_is_normalized():
    signal = {"reff_signal_loc4": 2.1, "mu4_signal_loc2": np.geomspace(3, 100, 100), "mu2_signal_loc2": 4.0}
    assert diagnose(network(power(0.5), **signal)).kurtosis is None
    signal |= {"mu4_signal_loc3": np.geomspace(3, 90, 100) * 0.95**2, "mu2_signal_loc3": 0.95}
    found = diagnose(network(power(0.5), **signal))
    assert found.kurtosis.value == pytest.approx(90)
    assert found.kurtosis_growth.value == pytest.approx(np.log(30))
    assert found.verdicts == (OUTLIERS,)


# --- the paper, and what ships -------------------------------------------------------------------------------------

KNOWN = {
    "vanilla": (ONE_DIMENSIONAL,),
    "bn_ff": (EXPLODING, OUTLIERS),
    "bn_res": (WELL_BEHAVED,),
}


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


@pytest.mark.parametrize("name", [*SHIPPED, *(name for name in results.RESULTS if name not in SHIPPED)])
def test_results_that_ship(name, monkeypatch):
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(results.DOCUMENT.parents[1] / "npy"))
    saved = dict(results.saved_results())
    if name not in saved:
        pytest.skip(f"{name} does not ship")
    found = diagnose(load_experiment(saved[name]))
    if name in SHIPPED:
        assert found.verdicts == SHIPPED[name]
    else:  # Convolutional: at whatever size, no architecture is taken for another.
        kind = results.RESULTS[name].type_plot
        allowed = {
            "vanilla": {ONE_DIMENSIONAL, UNDECIDED},
            "bn_ff": {EXPLODING, OUTLIERS},
            "bn_res": {WELL_BEHAVED},
            "vanilla_histo": {UNDECIDED},
        }
        assert set(found.verdicts) <= allowed[kind]
    assert found.left_out == 0
    if found.unit == "residual unit":
        assert "per residual unit" in str(found)


# --- too little to tell --------------------------------------------------------------------------------------------

BORDERLINE = [
    (network(exponential(0.01), SHORT, spread=0), "depth: χ grows exponentially, but not by enough"),
    (network(exponential(0.01), SHORT, spread=0.02), "χ grows|χ may follow"),
    (network(lambda depth: 0.55 * np.log(depth + 50), SHORT, spread=0.01), "χ grows|χ may follow"),
    (network(power(3), SHORT, 5, spread=3), "depth or realizations: χ may follow a power of depth or an exponential"),
    (network(exponential(0.1), DEPTH, 5, spread=20), "depth or realizations: χ may follow"),
    (wandering(exponential(0.02), DEPTH, 5, 0.5), "depth or realizations: χ may follow"),
    (network(exponential(0.2), num_realizations=1), "4 realizations whose numbers are finite, received 1"),
    (network(power(0.5), num_realizations=3), "4 realizations whose numbers are finite, received 3"),
    (network(exponential(0.2), np.arange(1.0, 6)), "6 depths"),
    (network(exponential(0.2), np.arange(150.0, 201)), "6 depths, the last of them 2 times"),
    (network(power(0.5), reff_signal_loc4=[[1.2], [1.8]] * 10, spread=0.001), "one-dimensional signal is neither"),
]


@pytest.mark.parametrize(("moments", "missing"), BORDERLINE)
def test_borderline_networks_are_not_decided(moments, missing):
    found = diagnose(moments)
    assert found.verdicts == (UNDECIDED,)
    assert any(any(words in said for words in missing.split("|")) for said in found.missing), found.missing
    assert UNDECIDED in str(found)


def test_more_realizations_decide():
    few, many = (diagnose(wandering(exponential(0.1), DEPTH, number, 0.3)) for number in (4, 200))
    assert few.verdicts == (UNDECIDED,)
    assert many.verdicts == (EXPLODING,)


@pytest.mark.parametrize("num_realizations", [4, 10, 40])
def test_power_laws_are_rarely_called_exponential(num_realizations):
    """Of 400 networks that follow a power, with noise as strong as the growth, 2.5 % may go wrong by the interval."""
    wrong = sum(
        diagnose(wandering(power(2.5), SHORT, num_realizations, 0.3, seed)).verdicts == (EXPLODING,)
        for seed in range(400)
    )
    assert wrong <= 0.025 * 400 + 3 * np.sqrt(0.025 * 0.975 * 400)


# --- what must not matter ------------------------------------------------------------------------------------------

CASES = [arrays(kind, 8) for kind in KNOWN] + [moments for moments, _ in BORDERLINE[:6]]


@given(st.sampled_from(range(len(CASES))), st.floats(-300, 300))
def test_the_scale_of_chi_does_not_matter(case, log_scale):
    moments = CASES[case]
    scaled = {name: array + log_scale if "log_chi" in name else array for name, array in moments.items()}
    before, after = diagnose(moments), diagnose(scaled)
    assert before.verdicts == after.verdicts
    assert before.law == after.law
    assert before.growth.rate.value == pytest.approx(after.growth.rate.value, abs=1e-10)


@given(st.sampled_from(range(len(CASES))), st.randoms(use_true_random=False))
def test_the_order_of_realizations_does_not_matter(case, random):
    moments = CASES[case]
    order = list(range(len(moments["log_chi_loc4" if "log_chi_loc4" in moments else "log_chi_loc3"])))
    random.shuffle(order)
    shuffled = {name: array[order] if np.ndim(array) == 2 else array for name, array in moments.items()}
    assert diagnose(moments) == diagnose(shuffled)


def test_names_of_the_same_numbers_do_not_matter():
    log_chi = network(power(0.5))["log_chi_loc4"]
    signal = np.random.default_rng(1).uniform(0.5, 2, log_chi.shape)
    noise = 2 * log_chi + np.log(signal)
    found = [
        diagnose({**each, "depth": DEPTH})
        for each in (
            {"chi_loc4": np.exp(log_chi)},
            {"log_mu2_noise_loc4": noise, "mu2_signal_loc4": signal},
            {"mu2_noise_loc4": np.exp(noise), "mu2_signal_loc4": signal},
        )
    ]
    expected = diagnose({"log_chi_loc4": log_chi, "depth": DEPTH}).growth.exponent
    assert [each.growth.exponent.value for each in found] == pytest.approx([expected.value] * 3)
    assert [each.growth.exponent.upper for each in found] == pytest.approx([expected.upper] * 3)


# --- the layers of a model -----------------------------------------------------------------------------------------


def model(log_chi, num_layers=60, num_realizations=8, **others):
    depth = np.arange(1.0, num_layers + 1)
    made = network(log_chi, depth, num_realizations, **others)
    log_chi, _ = made.pop("log_chi_loc4"), made.pop("depth")
    signal = np.full_like(log_chi, 2.0)
    layers = np.array([f"layer_{i}" for i in range(num_layers)])
    return {"log_mu2_noise": 2 * log_chi + np.log(signal), "mu2_signal": signal, **made, "layer": layers}


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


# --- what is left out, and what is refused -------------------------------------------------------------------------


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
    assert (found.verdicts, found.left_out, found.growth) == ((UNDECIDED,), 20, None)
    assert any("received 0" in words for words in found.missing)


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


# --- what it gives -------------------------------------------------------------------------------------------------


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
    if found.growth:
        assert plain["growth"]["exponent"]["value"] == found.growth.exponent.value
        assert str(found.growth.exponent) in str(found)
