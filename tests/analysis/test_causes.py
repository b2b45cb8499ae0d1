"""Causes: each kind on a model whose moments and facts are made for it, and on none else."""

import json

import numpy as np
import pytest

from moments_dnns import Moments, diagnose, layer_summary
from moments_dnns.analysis.causes import SEARCHES, Cause, causes
from moments_dnns.analysis.layer_facts import FACTS, layers_of, off
from moments_dnns.analysis.verdicts import DEAD, WELL_BEHAVED
from moments_dnns.descriptions.characterization import Characterization
from tests.support.characterized import characterized
from tests.support.synthetic import complete, describe

NAMES = ("image", "conv1", "norm1", "conv2", "add", "conv3", "conv4", "conv5")
PARENTS = ((), (0,), (1,), (2,), (2, 3), (4,), (5,), (6,))


def model(facts=None, realizations=4, **columns):
    """A model of which some layers have other moments than 1: {moment: {layer: value}}."""
    described = Characterization("net", NAMES, PARENTS, realizations, (8, 4, 4, 1), "array-0123")
    arrays = {name: np.ones((realizations, len(NAMES))) for name in described.array_names}
    arrays |= {"log_mu2_noise": np.zeros((realizations, len(NAMES))), "reff_signal": np.full((realizations, 8), 9.0)}
    for name, values in columns.items():
        for layer, value in values.items():
            arrays[name][:, NAMES.index(layer)] = value
    return Moments(arrays, described, provenance={"layer_facts": facts or {}})


def silent(*layers, share=1.0):
    marks = np.arange(4) < 4 * share
    return {
        "mu2_signal": {layer: np.where(marks, 0.0, 1.0) for layer in layers},
        "log_mu2_noise": {layer: np.where(marks, -np.inf, 0.0) for layer in layers},
    }


def falling(per_layer):
    return {"nu2_signal": {name: 10 ** (per_layer * number / 10) for number, name in enumerate(NAMES)}}


GAINS = {name: {"gain": 1.0, "initializer": "glorot_uniform", "activation": "relu"} for name in NAMES if "conv" in name}

CASES = [
    # facts, moments, what is said and nothing else
    ({}, {}, []),
    ({}, silent("conv4", "conv5"), ["conv4: from here on nothing varies, in 100% of the realizations"]),
    ({}, silent("conv5", share=0.25), ["conv5: from here on nothing varies, in 25% of the realizations"]),
    ({}, silent("conv2"), []),
    (
        {"conv2": {"silent": "kernel"}},
        silent("conv2"),
        ["conv2: off at initialisation, its kernel is zero"],
    ),
    ({"norm1": {"features": 1}}, {}, ["norm1: normalizes over one feature"]),
    ({"norm1": {"features": 2}}, {}, []),
    ({"conv4": {"shared": "conv3"}}, {}, ["conv4: has the weights of conv3"]),
    (
        {name: {"gain": 0.0625, "expected_gain": 1.0, "initializer": "glorot_uniform", "kernel": "depthwise_kernel"}
         for name in ("conv3", "conv4")},
        {},
        ["conv3 and 1 more: glorot_uniform miscounts the inputs of its depthwise_kernel: its outputs are 12.0 dB too"],
    ),
    ({"conv3": {"gain": 0.6, "expected_gain": 1.0, "initializer": "he_normal", "kernel": "kernel"}}, {}, []),
    (
        {"norm1": {"epsilon": 1e-3}},
        {"mu2_signal": {"conv1": 1e-5}},
        ["norm1: its inputs have a variance of 1.0e-05, below its epsilon of 0.001"],
    ),
    ({"norm1": {"epsilon": 1e-3}}, {"mu2_signal": {"conv1": 1e-2}}, []),
    (
        GAINS,
        falling(-3.01),
        ["conv1 and 4 more: the signal shrinks by 4.5 dB per layer, glorot_uniform with relu: he_normal would hold it"],
    ),
    (GAINS, falling(0.2), []),
    ({"conv1": {"dead": 0.75}, "conv2": {"dead": 0.5}}, {}, ["conv1 and 1 more: up to 75% of the units are constant"]),
    ({"conv1": {"dead": 0.4}}, {}, []),
    ({"norm1": {"points": 4}}, {}, ["norm1: statistics over 4 points amplify the noise by 4.8 dB"]),
    ({"norm1": {"points": 3}}, {}, ["norm1: statistics over 3 points amplify the noise by inf dB"]),
    ({"norm1": {"points": 64}}, {}, []),
    (
        {},
        {"nu2_signal": {"conv2": 1e-7}},
        ["conv2: a branch that adds next to nothing at initialisation, of -70 dB",
         "conv2: float8 (e4m3) would vanish"],
    ),
    (
        {},
        {"nu2_signal": {"conv4": 1e9}},
        ["conv4: float16 would overflow, values reach 2e+05", "conv4: float8 (e4m3) would overflow"],
    ),
    ({}, {"nu2_signal": {"image": 1e9}}, []),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "columns", "expected"), CASES)
def test_each_cause_is_told_where_it_is_and_nowhere_else(facts, columns, expected):
    found = [str(cause) for cause in causes(model(facts, **columns))]
    assert len(found) == len(expected), found
    for each, words in zip(found, expected, strict=True):
        assert each.startswith(words), each


def test_every_search_and_every_fact_has_a_case():
    assert {name for facts, _, _ in CASES for each in facts.values() for name in each} == set(FACTS)
    for search in SEARCHES:
        assert any(causes_of(search, facts, columns) for facts, columns, _ in CASES), search.__name__


def causes_of(search, facts, columns):
    return list(search(layers_of(model(facts, **columns))))


def test_causes_are_printed_and_in_the_dictionary():
    moments = model({"norm1": {"features": 1}}, **silent("conv5"))
    diagnosis = diagnose(moments)
    assert diagnosis.causes == causes(moments)
    for cause in diagnosis.causes:
        assert f"cause: {cause}" in str(diagnosis)
        assert f"cause: {cause}" in layer_summary(moments)
    plain = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))["causes"]
    assert plain[0] == {
        "layer": "conv5", "words": diagnosis.causes[0].words, "others": 0, "intended": False,
    }  # fmt: skip


def test_what_is_off_on_purpose_is_not_dead():
    """A zero last layer, and all that is computed from nothing else."""
    last = silent("conv4", "conv5")
    assert diagnose(model({"conv4": {"silent": "kernel"}}, **last)).verdicts == (WELL_BEHAVED,)
    assert diagnose(model({}, **silent("conv3", "conv4", "conv5"))).verdicts == (DEAD,)
    marks = off(layers_of(model({"conv4": {"silent": "kernel"}}, **last)))
    assert [name for name, mark in zip(NAMES, marks, strict=True) if mark] == ["conv4", "conv5"]


@pytest.mark.parametrize("moments", [complete(describe()), {"log_chi_loc4": np.ones((4, 2)), "depth": [1, 2]}])
def test_nothing_is_known_of_anything_else(moments):
    assert causes(moments) == ()


def test_models_without_facts_and_without_moments_have_no_causes():
    assert causes(characterized()) == ()
    described = Characterization("net", NAMES, PARENTS, 1, (8, 4, 4, 1), "array-0123")
    assert causes(Moments({"reff_signal": np.ones((1, len(NAMES)))}, described)) == ()


def test_causes_compare_by_value():
    assert Cause("a", "b") == Cause("a", "b", 0, False) != Cause("a", "b", 1)
