"""Named values that descriptions and layers both check; those of `boundary` are in `boundaries`."""

from __future__ import annotations

from typing import Final

from moments_dnns._validation import refusal

# How fully connected layers are drawn: see `Experiment.weights`.
WEIGHTS = ("auto", "explicit", "gram")

# Of products of matrices and convolutions on GPUs.
PRECISIONS = ("float32", "tf32")

# What the statistics of batch normalization are for the noise.
STATISTICS = ("constant", "differentiated")

GAIN: Final = 2.0  # variance of the weights times fan_in, of He's initialization


def check_gain(kernel_initializer: str, gain: float, weights: str) -> None:
    """Refuse a gain, or outputs drawn instead of weights, together with kernels that are not Gaussian.

    Raises:
        ValueError: If they are asked for together.
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
