"""Steps: every kind is described and tried, and what is refused of their options."""

import pytest

from moments_dnns.descriptions.steps import KINDS, Step
from tests.support.units import UNITS


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_described_and_compared_with_the_oracle(name):
    assert f'`"{name}"`' in Step.__doc__
    # Pools are compared in transitions; all else in one of the units.
    steps = {step.name for architecture, _ in UNITS.values() for step in (*architecture.steps, *architecture.after)}
    assert name in steps or name.endswith("_pool")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Step("activation", width=2), ValueError, "'activation' takes no options. Received: width=2.0"),
        (lambda: Step("dense", kernel_size=3), ValueError, "'dense' takes width. Received: kernel_size=3"),
        (lambda: Step("group_norm"), ValueError, "'group_norm' needs groups"),
        (lambda: Step("conv", width=0), ValueError, "width must be above 0. Received: width=0"),
        (lambda: Step("conv", kernel_size=1.5), TypeError, "kernel_size must be an integer"),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message) as refused:
        make()
    assert "Received: " in str(refused.value)
