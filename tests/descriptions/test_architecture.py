"""Architectures as data: what follows from them, and what is refused."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moments_dnns.descriptions.architecture import ARCHITECTURES, Architecture, checked_architecture
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.steps import KINDS, REQUIRED, Step, widths
from moments_dnns.moments import split_name
from moments_dnns.results.record import Record
from tests.support.units import UNITS, make_unit


def test_places_and_names():
    row = UNITS["post-activation"][0]
    assert row.places == tuple(f"loc{i}" for i in range(1, 6))
    assert row.activated_places == ("loc5",)
    experiment = make_unit("bottleneck")
    assert experiment.structure.places[-1] == "loc11"
    assert experiment.array_names[-1] == "log_mu2_noise_loc11"
    assert experiment.structure.kernels_per_layer(2) == 6
    assert widths(experiment.structure.steps, 8)[3] == 2


@pytest.mark.parametrize(("name", "architecture"), ARCHITECTURES.items())
def test_an_architecture_of_the_table_goes_by_its_name(name, architecture):
    settings = {"total_depth": 4, "kernel_size": 3, "num_channels": 8, "batch_size": 4, "num_realizations": 1}
    one, other = (Experiment(each, num_computations=2, **settings) for each in (name, attrs.evolve(architecture)))
    assert one == other
    assert other.architecture == name


options = {
    "kernel_size": st.sampled_from([1, 3]),
    "width": st.sampled_from([0.25, 0.5, 1, 2.0]),
    "groups": st.sampled_from([1, 2, 4]),
}
kinds = st.sampled_from([name for name in KINDS if not name.endswith("_pool")])


@st.composite
def steps(draw):
    name = draw(kinds)
    known = [option for option in KINDS[name].options if option in options]
    chosen = {option: draw(options[option]) for option in known if option == REQUIRED.get(name) or draw(st.booleans())}
    return Step(name, **chosen)


@st.composite
def architectures(draw):
    residual = draw(st.booleans())
    parts = {"steps": draw(st.lists(steps(), min_size=1, max_size=6)), "residual": residual}
    if residual:
        parts |= {
            "residual_scale": draw(st.sampled_from([0.0, 0.5, 1.0])),
            "after": draw(st.lists(steps(), max_size=2)),
        }
    if draw(st.booleans()):
        parts |= {"stages": 2, "transition": [Step("max_pool", strides=2), *draw(st.lists(steps(), max_size=2))]}
    for name in ("steps", "after", "transition"):
        if any("width" in step.kind.options for step in parts.get(name, [])):
            parts[name] = [*parts[name], Step("dense")]
    return Architecture(**parts)


@given(architectures())
def test_a_description_survives_json(architecture):
    experiment = Experiment(architecture, 4, 3, 16, 8, 2, num_computations=2, activation="tanh", bias_variance=0.5)
    assert Experiment.from_json(experiment.to_json()) == experiment
    assert hash(Experiment.from_json(experiment.to_json())) == hash(experiment)
    record = Record(experiment, ("nu2_signal_loc1", "depth"), (), True, {})
    assert Record.from_json(record.to_json()).experiment == experiment
    assert eval(repr(architecture), {"Architecture": Architecture, "Step": Step}) == architecture
    # Names of arrays are unique and belong to a place.
    assert len(set(experiment.array_names)) == len(experiment.array_names)
    assert {split_name(array)[1] for array in experiment.array_names} == set(architecture.places)
    assert len(architecture.layer_steps(2)) == len(architecture.steps) * architecture.num_repeats(2) + len(
        architecture.after
    )


CONV = ("conv", "activation")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Architecture("conv"), TypeError, "sequences of steps: names or Steps. Received: steps='conv'"),
        (lambda: Architecture([3]), TypeError, "sequences of steps: names or Steps. Received: steps=3"),
        (lambda: Architecture([]), ValueError, "steps must be 1 to 90 in all. Received: steps=0"),
        (lambda: Architecture(["activation"] * 91), ValueError, "steps must be 1 to 90 in all. Received: steps=91"),
        (
            lambda: Architecture(["convolution"]),
            ValueError,
            "name must be one of 'conv'.* name='convolution'",
        ),
        (lambda: Architecture(CONV, residual=1), TypeError, "residual must be True or False"),
        (lambda: Architecture(CONV, residual_scale=0.5), ValueError, "need residual=True.* residual_scale=0.5"),
        (lambda: Architecture(CONV, True, -1.0), ValueError, "residual_scale must be a finite number of at least 0"),
        (lambda: Architecture(CONV, after=CONV), ValueError, "residual_scale and after need residual=True"),
        (lambda: Architecture(CONV, stages=2), ValueError, "stages and transition need each other. Received: stages=2"),
        (lambda: Architecture(CONV, transition=CONV), ValueError, "stages and transition need each other"),
        (lambda: Architecture([Step("conv", strides=2)]), ValueError, "must return the shape it took: strides belong"),
        (lambda: Architecture([Step("max_pool", strides=2)]), ValueError, "must return the shape it took"),
        (lambda: Architecture([Step("conv", width=2)]), ValueError, "the last width of steps must be 1.* width=2.0"),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message) as refused:
        make()
    assert "Received: " in str(refused.value)


@pytest.mark.parametrize("fields", [{}, {"residual": True}, {"steps": ["conv"], "stage": 2}])
def test_fields_that_are_no_architecture_are_refused(fields):
    with pytest.raises(ValueError, match="expected steps, and no fields but .*Received: architecture="):
        checked_architecture("architecture", fields)
