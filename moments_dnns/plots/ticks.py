"""Ticks of axes of log10, on which sensitivities beyond float64, such as 10^868, can be drawn."""

from __future__ import annotations

import math
from typing import Any

from matplotlib import ticker

STEPS = (1, 2, 2.5, 5, 10)  # of ticks


class LogTicks(ticker.Locator):
    """Ticks of an axis of log10: powers of ten, or on a short axis round numbers.

    Args:
        minor: Whether to mark 2 to 9 times the powers of ten instead, on axes that are short enough.

    Example:

    >>> [round(10 ** tick) for tick in LogTicks().tick_values(0, 2)]
    [1, 2, 5, 10, 20, 50, 100]
    """

    def __init__(self, minor: bool = False) -> None:
        self.minor = minor

    def __call__(self) -> Any:
        """Return the ticks within the current limits of the axis."""
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Return the ticks between two ends of the axis, as values of log10."""
        low, high = sorted((vmin, vmax))
        span, decade = high - low, math.floor(low)
        factors = range(2, 10) if self.minor else (1, 2, 5)
        if span > (5 if self.minor else 2.2):
            ticks: Any = [] if self.minor else ticker.MaxNLocator(5, integer=True).tick_values(low, high)
        elif self.minor or span > 0.8:
            ticks = [power + math.log10(factor) for power in range(decade, math.ceil(high) + 1) for factor in factors]
        else:
            ends = 10 ** (low - decade), 10 ** (high - decade)
            ticks = [decade + math.log10(x) for x in ticker.MaxNLocator(5, steps=STEPS).tick_values(*ends) if x > 0]
        return [float(tick) for tick in ticks if low <= tick <= high]


class LogFormat(ticker.Formatter):
    """Labels of ticks of an axis of log10: plain numbers if all are from 1e-4 to 1e4, else powers of ten."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick."""
        ends = self.axis.get_view_interval()  # type: ignore[union-attr]
        return f"${number(x, plain=max(map(abs, ends)) < 4)}$"


def number(log10: float, *, plain: bool, digits: int = 9) -> str:
    r"""Return mathtext of 10^log10.

    Args:
        log10: The logarithm of the number.
        plain: Whether it is written without a power of ten.
        digits: Number of significant digits.

    Example:

    >>> print(number(math.log10(20), plain=True), number(math.log10(2e100), plain=False))
    20 2\times10^{100}
    """
    exponent = 0 if plain else math.floor(log10 + 1e-9)
    mantissa = f"{10 ** (log10 - exponent):.{digits}g}"
    if plain:
        return mantissa
    return rf"10^{{{exponent}}}" if mantissa == "1" else rf"{mantissa}\times10^{{{exponent}}}"
