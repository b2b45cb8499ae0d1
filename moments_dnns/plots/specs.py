"""What a figure shows, as data: curves, panels, drawings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Curve:
    r"""An array, or the ratio of two, over depth.

    Args:
        label: Mathtext, without dollars.
        over: Name of the array.
        under: Name of the array by which it is divided, realization by realization.
        relation: Name of the nu1 from which theory tells a growth in the activation, `(1 - nu1^2 / 2)^(-1/2)`.

    Example:

    >>> curve = Curve(r"\delta\chi^l", "chi_loc3", "chi_loc1")
    >>> curve.logs({"chi_loc3": np.array([[5.0]]), "chi_loc1": np.array([[3.0]])})
    array([[2.]])
    """

    label: str
    over: str
    under: str | None = None
    relation: str | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays it is made of."""
        return (self.over,) if self.under is None else (self.under, self.over)

    def logs(self, data: Mapping[str, Any]) -> np.ndarray:
        """Return its natural logarithm from those of the arrays, as `read` gives them."""
        return data[self.over] if self.under is None else data[self.over] - data[self.under]


@dataclass(frozen=True)
class Panel:
    """What one pair of axes shows.

    Args:
        label: What is drawn, with mathtext: label of the axis of values.
        curves: What is drawn over depth; of a histogram, one.
        kind: Curves over depth, or densities of ln x over realizations at each depth.
        log: Whether the axis of values is logarithmic.
        reference: Whether a thin line marks the value 1.
        power_law: Names of chi before and after a layer of the residual branch, which give the power law that is
            drawn beside the first curve.
    """

    label: str
    curves: tuple[Curve, ...]
    kind: Literal["curves", "histogram"] = "curves"
    log: bool = False
    reference: bool = False
    power_law: tuple[str, str] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays it is made of."""
        law = (*self.power_law, "res_depth") if self.power_law else ()
        return (*(name for curve in self.curves for name in curve.needs), *law)


@dataclass(frozen=True)
class Drawing:
    """One figure: its panels, and what depth counts.

    Args:
        panels: The panels (a), (b), ... in order.
        depth: Label of the axis of depth, with mathtext.

    Example:

    >>> FIGURES["vanilla"].needs
    ('chi_loc1', 'chi_loc3', 'reff_signal_loc3', 'depth')
    """

    panels: tuple[Panel, ...]
    depth: str = "layer $l$"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays that are drawn, each once: what pruning keeps."""
        return tuple(dict.fromkeys((*(name for panel in self.panels for name in panel.needs), "depth")))
