"""Steps: what is refused of their options."""

import pytest

from moments_dnns.descriptions.steps import Step


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
