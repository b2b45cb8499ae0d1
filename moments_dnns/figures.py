"""The figures of the paper, one row each, and the figure of any architecture: drawing and pruning follow from these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .architectures import Architecture


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


_BN = r"\delta_\mathrm{BN}\,\chi"
_PHI = r"\delta_\phi\,\chi"
_DELTA = r"\delta\chi"
_GROWTH = r"growth of $\chi$ in a layer"
_RANK = r"effective rank $r_\mathrm{eff}$"
_MOMENTS = r"moments of $\mathbf{z}^l$"

FIGURES: dict[str, Drawing] = {
    "vanilla_histo": Drawing(
        (
            Panel(r"$\ln\,\nu_2(\mathbf{x}^l)$", (Curve(r"\nu_2(\mathbf{x}^l)", "nu2_signal_loc3"),), kind="histogram"),
            Panel(
                r"$\ln\,\mu_2(\mathrm{d}\mathbf{x}^l)$",
                (Curve(r"\mu_2(\mathrm{d}\mathbf{x}^l)", "mu2_noise_loc3"),),
                kind="histogram",
            ),
        )
    ),
    "vanilla": Drawing(
        (
            Panel(r"$\delta\chi^l$", (Curve(r"\delta\chi^l", "chi_loc3", "chi_loc1"),), reference=True),
            Panel(
                r"$r_\mathrm{eff}(\mathbf{x}^l)$",
                (Curve(r"r_\mathrm{eff}(\mathbf{x}^l)", "reff_signal_loc3"),),
                reference=True,
            ),
        )
    ),
    "bn_ff": Drawing(
        (
            Panel(
                _GROWTH,
                (
                    Curve(rf"{_BN}^l", "chi_loc3", "chi_loc1"),
                    Curve(rf"{_PHI}^l", "chi_loc4", "chi_loc3", relation="nu1_abs_signal_loc3"),
                    Curve(rf"{_DELTA}^l", "chi_loc4", "chi_loc1"),
                ),
                reference=True,
            ),
            Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc4"),), log=True),
            Panel(
                _RANK,
                (
                    Curve(r"r_\mathrm{eff}(\mathrm{d}\mathbf{x}^l)", "reff_noise_loc4"),
                    Curve(r"r_\mathrm{eff}(\mathbf{x}^l)", "reff_signal_loc4"),
                ),
                log=True,
                reference=True,
            ),
            Panel(
                _MOMENTS,
                (
                    Curve(r"\mu_4(\mathbf{z}^l)", "mu4_signal_loc3"),
                    Curve(r"\nu_1(|\mathbf{z}^l|)", "nu1_abs_signal_loc3"),
                ),
                log=True,
            ),
        )
    ),
    "bn_res": Drawing(
        (
            Panel(
                _GROWTH,
                (
                    Curve(rf"{_BN}^{{l,1}}", "chi_loc2", "chi_loc1"),
                    Curve(rf"{_PHI}^{{l,1}}", "chi_loc4", "chi_loc2", relation="nu1_abs_signal_loc2"),
                    Curve(rf"{_DELTA}^{{l,1}}", "chi_loc4", "chi_loc1"),
                ),
                reference=True,
            ),
            Panel(r"$\chi^l$", (Curve(r"\chi^l", "chi_loc5"),), power_law=("chi_loc1", "chi_loc4")),
            Panel(
                _RANK,
                (
                    Curve(r"r_\mathrm{eff}(\mathrm{d}\mathbf{x}^{l,1})", "reff_noise_loc3"),
                    Curve(r"r_\mathrm{eff}(\mathbf{x}^{l,1})", "reff_signal_loc3"),
                ),
                log=True,
                reference=True,
            ),
            Panel(
                r"moments of $\mathbf{z}^{l,1}$",
                (
                    Curve(r"\mu_4(\mathbf{z}^{l,1})", "mu4_signal_loc2"),
                    Curve(r"\nu_1(|\mathbf{z}^{l,1}|)", "nu1_abs_signal_loc2"),
                ),
            ),
        ),
        depth="residual unit $l$",
    ),
}


# What the figure of any architecture is called, beside the names in `FIGURES`.
OF_ARCHITECTURE = "architecture"


def drawing_of(architecture: Architecture, ranks: Collection[str] = ("noise", "signal")) -> Drawing:
    r"""Return the figure of any architecture.

    Panels: (a) growth of the sensitivity in each step, the ratio of chi at consecutive places, and in the whole layer;
    (b) chi after the layer; (c) effective ranks after the last activation, if there is one; (d) mu4 and nu1 after the
    last normalization, or after the layer if there is none. Where a residual unit repeats its steps, those of the first
    repeat are shown.

    Args:
        architecture: The architecture.
        ranks: Of what effective ranks were taken.

    Example:

    >>> drawing = drawing_of(Architecture(["layer_norm", "conv", "activation"]))
    >>> [curve.label for curve in drawing.panels[0].curves][:2], drawing.panels[1].needs
    (['\\delta_{\\mathrm{LN}}\\chi^l', '\\delta_{\\mathrm{conv}}\\chi^l'], ('chi_loc4',))
    """
    last = architecture.places[-1]
    panels = [
        Panel(_GROWTH, (*_growths(architecture), Curve(rf"{_DELTA}^l", f"chi_{last}", "chi_loc1")), reference=True),
        Panel(r"$\chi^l$", (Curve(r"\chi^l", f"chi_{last}"),), log=True),
    ]
    activated, symbols = (
        architecture.activated_places[-1:],
        {"noise": r"\mathrm{d}\mathbf{x}^l", "signal": r"\mathbf{x}^l"},
    )
    of_ranks = tuple(
        Curve(rf"r_\mathrm{{eff}}({symbol})", f"reff_{of}_{place}")
        for place in activated
        for of, symbol in symbols.items()
        if of in ranks
    )
    if of_ranks:
        panels.append(Panel(_RANK, of_ranks, log=True, reference=True))
    normalized = (last, *architecture.places_after(lambda step: step.kind.normalizes))[-1]
    panels.append(
        Panel(
            _MOMENTS,
            (
                Curve(r"\mu_4(\mathbf{z}^l)", f"mu4_signal_{normalized}"),
                Curve(r"\nu_1(|\mathbf{z}^l|)", f"nu1_abs_signal_{normalized}"),
            ),
            log=True,
        )
    )
    return Drawing(tuple(panels), depth="residual unit $l$" if architecture.residual else "layer $l$")


def _growths(architecture: Architecture) -> list[Curve]:
    """Return a curve for each step but the addition, before which other repeats may have passed."""
    steps = architecture.measured_steps
    totals, seen = Counter(step.kind.symbol for step in steps if step), Counter[str]()
    curves = []
    for i, step in enumerate(steps, start=1):
        if step:
            symbol = step.kind.symbol
            seen[symbol] += 1
            number = f"_{{{seen[symbol]}}}" if totals[symbol] > 1 else ""
            curves.append(Curve(rf"\delta_{{{symbol}{number}}}\chi^l", f"chi_loc{i + 1}", f"chi_loc{i}"))
    return curves
