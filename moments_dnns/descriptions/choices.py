"""The values of text parameters that descriptions and layers share; those of `boundary` are in `boundaries`."""

from __future__ import annotations

from typing import Final

from moments_dnns._validation import refusal

# Of `Experiment.weights`, `.precision` and `.statistics`, which explain them.
WEIGHTS = ("auto", "explicit", "gram")
PRECISIONS = ("float32", "tf32")
STATISTICS = ("constant", "differentiated")

GAIN: Final = 2.0  # variance of the weights times fan_in in He's initialization


def check_gain(kernel_initializer: str, gain: float, weights: str) -> None:
    """Refuse kernels of an initializer together with a gain or with `weights="gram"`, which need Gaussian kernels.

    Raises:
        ValueError: If they are given together.
    """
    if kernel_initializer != "gaussian" and (gain != GAIN or weights == "gram"):
        raise ValueError(
            refusal(
                "gain and weights='gram' belong to kernel_initializer='gaussian'; others have a gain of their own.",
                gain=gain,
                weights=weights,
                kernel_initializer=kernel_initializer,
            )
        )
