"""Figures that follow from what there is: that of any architecture, and the summary of an experiment."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs
import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.descriptions.architecture import Architecture
from moments_dnns.moments import MOMENTS, derive, place_name, stored_name

from .figures import _DELTA, _GROWTH, _MOMENTS, _RANK
from .specs import Curve, Drawing, Panel

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
            curves.append(
                Curve(rf"\delta_{{{symbol}{number}}}\chi^l", f"chi_{place_name(i + 1)}", f"chi_{place_name(i)}")
            )
    return curves


# What is drawn, in order, with its symbol: the moments, and what follows from them.
SYMBOLS = {
    **{
        name: moment.symbol.format(r"\mathbf{x}^l" if moment.of == "signal" else r"\mathrm{d}\mathbf{x}^l")
        for name, moment in MOMENTS.items()
        if not moment.logarithm
    },
    "mu2_noise": r"\mu_2(\mathrm{d}\mathbf{x}^l)",
    "chi": r"\chi^l",
}


PLACES = tuple(map(place_name, range(1, 100)))


LINE = 90  # characters


NOTHING = np.empty(0)  # stands for arrays of which only the names matter


def summary_drawing(moments: Mapping[str, Any]) -> Drawing:
    """Return a panel for each moment, with a curve for each place where it was taken.

    Args:
        moments: Mapping from names `<moment>_<loc>` to arrays.

    Raises:
        TypeError: If it is not a mapping.
        ValueError: If it holds no moment at all.

    Example:

    >>> moments = {"mu2_signal_loc1": np.ones((1, 1)), "log_mu2_noise_loc1": np.ones((1, 1)), "depth": [1]}
    >>> [panel.curves[0].over for panel in summary_drawing(moments).panels]
    ['mu2_signal_loc1', 'mu2_noise_loc1', 'chi_loc1']
    """
    if not isinstance(moments, Mapping):
        raise TypeError(refusal("moments must be a mapping from names to arrays.", moments=type(moments).__name__))
    panels = []
    for name, symbol in SYMBOLS.items():
        places = [place for place in PLACES if _is_there(moments.keys(), f"{name}_{place}")]
        curves = tuple(Curve(rf"\mathrm{{{place}}}", f"{name}_{place}") for place in places)
        if curves:
            panels.append(Panel(f"${symbol}$", curves, log=True))
    if not panels:
        raise ValueError(
            refusal("expected moments named <moment>_<loc>; plot_layers draws those of models.", moments=list(moments))
        )
    return Drawing(tuple(panels))


def _is_there(names: Iterable[str], name: str) -> bool:
    try:
        derive(dict.fromkeys(names, NOTHING), stored_name(name))
    except KeyError:
        return False
    return True


def parameters(moments: Mapping[str, Any]) -> str:
    """Return the parameters of an experiment in a few lines; of a plain mapping, the shape of its arrays.

    Example:

    >>> parameters({"nu2_signal_loc1": np.ones((5, 3)), "depth": [1, 2, 3]})
    '5 realizations at 3 depths'
    """
    experiment = getattr(moments, "experiment", None)
    if experiment is None:
        rows, columns = next(np.shape(array) for array in moments.values() if np.ndim(array) == 2)
        return f"{rows} realizations at {columns} depths"
    fields = attrs.asdict(experiment, recurse=False) | {"num_realizations": moments.num_realizations}  # type: ignore[attr-defined]
    return textwrap.fill(", ".join(f"{name}={value}" for name, value in fields.items()), LINE)
