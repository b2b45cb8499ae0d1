"""Figures that follow from an architecture."""

import numpy as np
import pytest

from moments_dnns import plot_architecture
from moments_dnns.descriptions.architecture import ARCHITECTURES
from moments_dnns.plots.architectures import drawing_of
from tests.support.units import UNITS, make_unit


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_a_drawing_has_a_curve_for_every_step_and_one_for_the_layer(architecture):
    growth = drawing_of(architecture).panels[0].curves
    assert len(growth) == len(architecture.steps) + 1
    assert (growth[-1].under, growth[-1].over) == ("chi_loc1", f"chi_{architecture.places[-1]}")


@pytest.mark.parametrize("name", UNITS)
def test_a_drawing_asks_for_what_an_experiment_has(name):
    experiment = make_unit(name, num_realizations=2)
    needs = drawing_of(experiment.structure).needs
    moments = {array: np.ones((2, 3)) for array in experiment.array_names}
    known = {*moments, *(f"chi_{place}" for place in experiment.structure.places), "depth"}
    assert set(needs) <= known
    assert len({curve.label for curve in drawing_of(experiment.structure).panels[0].curves}) == len(
        drawing_of(experiment.structure).panels[0].curves
    )


def test_arrays_without_a_description_are_refused():
    with pytest.raises(TypeError, match="must be Moments of experiments, or a mapping from labels.*Received: "):
        plot_architecture({"chi_loc1": np.ones((1, 1))})
