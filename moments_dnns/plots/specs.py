"""Figures as data: a `Drawing` has panels, a `Panel` has curves, a `Curve` draws an array or the ratio of two.

The figures of the paper are in `figures`; others are made in `architectures` and `summary`. No Matplotlib here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs
import numpy as np

from moments_dnns.theory.finite import Density


@attrs.frozen
class Curve:
    r"""An array, or the ratio of two, over depth.

    Args:
        label: Mathtext, without dollars.
        over: Name of the array.
        under: Name of the array by which it is divided, realization by realization.
        relation: Name of the array of nu1 from which the growth in the activation follows, `(1 - nu1^2 / 2)^(-1/2)`; it
            is drawn beside the curve with theory.

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
        """Names of the arrays that it draws."""
        return (self.over,) if self.under is None else (self.under, self.over)

    def logs(self, data: Mapping[str, Any]) -> np.ndarray:
        """Return its natural logarithm, of shape (num_realizations, num_computations).

        Args:
            data: Natural logarithms of the arrays by name, from `arrays.read_logarithms`.
        """
        return data[self.over] if self.under is None else data[self.over] - data[self.under]


@attrs.frozen
class Panel:
    r"""One panel of a figure.

    Args:
        label: Label of the axis of values, with mathtext.
        curves: The curves; a single one in a histogram.
        kind: `"curves"` over depth, or a `"histogram"`: densities of ln x over realizations at each depth.
        log: Whether the axis of values is logarithmic.
        reference: Whether a thin line marks the value 1.
        power_law: Names of the arrays of chi before and after a layer of the residual branch, from which the power law
            beside the first curve is fitted.

    Example:

    >>> Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc5"),), power_law=("chi_loc1", "chi_loc4")).needs
    ('chi_loc5', 'chi_loc1', 'chi_loc4', 'res_depth')
    """

    label: str
    curves: tuple[Curve, ...]
    kind: Literal["curves", "histogram"] = "curves"
    log: bool = False
    reference: bool = False
    power_law: tuple[str, str] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays that it draws."""
        law = (*self.power_law, "res_depth") if self.power_law else ()
        return (*(name for curve in self.curves for name in curve.needs), *law)


@attrs.frozen
class Drawing:
    r"""A figure: its panels, and the label of depth.

    Args:
        panels: The panels (a), (b), ... in order.
        depth: Label of the axis of depth, with mathtext.

    Example:

    >>> Drawing((Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc3"),)),)).needs
    ('chi_loc3', 'depth')
    """

    panels: tuple[Panel, ...]
    depth: str = "layer $l$"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays that it draws, each once; pruning keeps these."""
        return tuple(dict.fromkeys((*(name for panel in self.panels for name in panel.needs), "depth")))


@attrs.frozen(eq=False)
class Overlay:
    """Theory beside the measured curves of one experiment.

    Args:
        infinite_width: Logarithms of the arrays of infinitely wide networks, from `arrays.read_logarithms`, with a
            realization for each of several of the experiment's own batches; None if there is no such theory.
        densities: Exact densities of the logarithm of an array for one image, one at each depth, by the array's name.
        averaged: Whether the infinitely wide networks are approximate: averaged over translations of the images.
    """

    infinite_width: Mapping[str, Any] | None
    densities: Mapping[str, list[Density]]
    averaged: bool = False


@attrs.frozen(eq=False)
class ShownExperiment:
    """One of the experiments in a figure.

    Args:
        label: Its name in the legend; None if it is the only one.
        data: Logarithms of arrays, `depth` and perhaps `res_depth`, from `arrays.read_logarithms`.
        overlay: Its theory, if that is drawn too.
    """

    label: str | None
    data: Mapping[str, Any]
    overlay: Overlay | None = None
