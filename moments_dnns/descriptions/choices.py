"""What parameters may be, where a name stands for it, and which of them exclude each other."""

from __future__ import annotations

from typing import Final

from moments_dnns._validation import refusal

WEIGHTS = ("auto", "explicit", "gram")


PRECISIONS = ("float32", "tf32")


STATISTICS = ("constant", "differentiated")


GAIN: Final = 2.0  # He's


def check_gain(kernel_initializer: str, gain: float, weights: str) -> None:
    """Refuse what belongs to Gaussian kernels alone.

    Raises:
        ValueError: If another initializer is asked for together with a gain, or with outputs instead of weights.
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
