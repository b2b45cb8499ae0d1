"""How the moments behind every layer of a model scale with its width: slopes with intervals, and their table."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.moments import kept_name, stored_name
from moments_dnns.results.moments import Moments

from .model_layers import aligned
from .statistics import Estimate, estimate, slopes

# What a table shows, with the heads of its columns: the mean magnitude of the signal is what muP keeps of order 1.
COLUMNS = {"nu1_abs_signal": "|x|", "chi": "χ", "gradient": "|gradient|"}


@attrs.frozen(eq=False)
class WidthSweep:
    """The moments of models of several widths that are otherwise the same.

    Args:
        widths: The widths, increasing, at least two.
        moments: The result of `characterize` for each, with the same number of layers and realizations.

    Raises:
        ValueError: If they do not fit to each other.

    Example:

    >>> from moments_dnns.descriptions.characterization import Characterization
    >>> model = Characterization("net", ("x", "dense"), ((), (0,)), 4, (8, 2), "array-0123")
    >>> narrow, wide = (
    ...     Moments({name: np.full((4, 2), (1, width ** 0.5)) for name in model.array_names}, model)
    ...     for width in (64, 256)
    ... )
    >>> {layer: str(slope) for layer, slope in WidthSweep((64, 256), (narrow, wide)).slopes().items()}
    {'x': '0 [0, 0]', 'dense': '0.5 [0.5, 0.5]'}

    Reference: arXiv 2203.03466, appendix D.1, for the check of coordinates.
    """

    widths: tuple[int, ...]
    moments: tuple[Moments[Any], ...]

    def __attrs_post_init__(self) -> None:
        shapes = {(len(each["layer"]), each.num_realizations) for each in self.moments}
        if len(self.widths) < 2 or list(self.widths) != sorted(set(self.widths)) or len(shapes) != 1:
            raise ValueError(
                refusal(
                    "expected at least two increasing widths, and models with the same layers.",
                    widths=self.widths,
                    layers=[len(each["layer"]) for each in self.moments],
                )
            )

    @property
    def layers(self) -> list[str]:
        """The names of the layers, those of the narrowest model."""
        return [str(name) for name in self.moments[0]["layer"]]

    def logarithms(self, moment: str = "nu1_abs_signal") -> np.ndarray:
        """Return natural logarithms of a moment, of shape (realizations, layers, widths).

        Args:
            moment: The name of an array of `characterize`.

        Raises:
            KeyError: If there is none of that name.
        """
        name = kept_name(stored_name(moment))
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = [each[name] if name != moment else np.log(each[name]) for each in self.moments]
        return np.stack(logs, axis=-1)

    def slopes(self, moment: str = "nu1_abs_signal") -> dict[str, Estimate]:
        """Return the exponent of the width in a moment, for each layer by name: d ln(moment) / d ln(width).

        They are those of least squares lines, one for each realization; intervals need four realizations. Where the
        moment is not taken, or is 0, they are NaN.

        Args:
            moment: The name of an array of `characterize`.
        """
        logs, position = self.logarithms(moment), np.log(np.asarray(self.widths, float))
        return {
            layer: estimate(slopes(logs[:, column], position))
            if np.isfinite(logs[:, column]).all()
            else Estimate(np.nan, -np.inf, np.inf)
            for column, layer in enumerate(self.layers)
        }

    def __str__(self) -> str:
        taken = [name for name in COLUMNS if name in self.moments[0]]
        columns = [self.slopes(name) for name in taken]
        header = ("layer", *(f"slope of {COLUMNS[name]}" for name in taken))
        rows = [(layer, *(_slope(column[layer]) for column in columns)) for layer in self.layers]
        realizations = self.moments[0].num_realizations
        widths = ", ".join(map(str, self.widths))
        return "\n".join([f"widths {widths}, {realizations} realizations", *aligned([header, *rows])])


def _slope(slope: Estimate) -> str:
    if np.isnan(slope.value):
        return "-"
    interval = f" [{slope.lower:+.2f}, {slope.upper:+.2f}]" if slope.is_bounded else ""
    return f"{slope.value:+.2f}{interval}"
