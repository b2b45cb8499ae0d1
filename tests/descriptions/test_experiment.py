"""Experiments: what is refused of parameters, and of parameters that do not go together."""

import pytest

from moments_dnns.descriptions.architecture import ARCHITECTURES, Architecture
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.steps import Step

CONV = ("conv", "activation")


def described(architecture, **changes):
    return Experiment(architecture, **{
        "total_depth": 4, "kernel_size": 3, "num_channels": 8, "batch_size": 4, "num_realizations": 1,
        "num_computations": 2, **changes,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: described("bn"), ValueError, f"architecture must be one of {', '.join(map(repr, ARCHITECTURES))}"),
        (lambda: described(3), TypeError, "architecture must be one of"),
        (
            lambda: described(Architecture([Step("conv", width=0.3), "conv"])),
            ValueError,
            "a whole number of channels in a layer of 8. Received: width=0.3",
        ),
        (
            lambda: described(Architecture(["conv", Step("group_norm", groups=3)])),
            ValueError,
            "groups must divide the 8 channels of the signal. Received: groups=3",
        ),
        (
            lambda: described(Architecture(["conv", "instance_norm"]), kernel_size=1),
            ValueError,
            "one point in space: expected kernel_size above 1. Received: kernel_size=1, step='instance_norm'",
        ),
        (
            lambda: described(Architecture(CONV, stages=3, transition=["dense"])),
            ValueError,
            "stages must divide num_computations. Received: stages=3, num_computations=2",
        ),
        (
            lambda: described(Architecture([Step("conv", kernel_size=2)]), boundary="symmetric"),
            ValueError,
            "needs odd kernels",
        ),
        (
            lambda: described(Architecture(CONV, stages=2, transition=[Step("max_pool", strides=4)])).check_images(
                (10, 16, 16, 3)
            ),
            ValueError,
            "kernel_size must be at most 2, the smallest side of the layers for images of 16 x 16",
        ),
        (
            lambda: described(Architecture(["dense"]), kernel_size=17).check_images((10, 16, 16, 3)),
            ValueError,
            "kernel_size must be at most 16",
        ),
        (lambda: described("vanilla", kernel_initializer="he_normal", gain=1.0), ValueError, "a gain of their own"),
        (lambda: described("vanilla", gain=-1), ValueError, "gain must be a finite number of at least 0"),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message) as refused:
        make()
    assert "Received: " in str(refused.value)


# Depth, stages, and how many depths are measured by default: the largest divisor up to 100 that the stages divide.
MEASURED = [
    (200, 1, 100),
    (500, 1, 100),
    (50, 1, 50),
    (7, 1, 7),
    (101, 1, 1),
    (150, 3, 75),
    (200, 3, 1),
    (10**13, 1, 100),
]


@pytest.mark.parametrize(("depth", "stages", "number"), MEASURED)
def test_depths_are_measured_as_often_as_they_can_be(depth, stages, number):
    transition = ["dense"] if stages > 1 else []
    architecture = Architecture(CONV, stages=stages, transition=transition)
    if number % stages:
        with pytest.raises(ValueError, match="stages must divide num_computations"):
            described(architecture, total_depth=depth, num_computations=None)
        return
    experiment = described(architecture, total_depth=depth, num_computations=None)
    assert experiment.num_computations == number
    assert experiment == described(architecture, total_depth=depth, num_computations=number)
