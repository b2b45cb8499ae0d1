"""The figure of any architecture: its panels and curves follow from the steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from moments_dnns.descriptions.architecture import Architecture
from moments_dnns.moments import place_name

from .figures import GROWTH_AXIS, LAYER_GROWTH, MOMENTS_AXIS, RANK_AXIS, SYMBOLS, UNIT_AXIS
from .specs import Curve, Drawing, Panel

# The name of the figure, beside those in `FIGURES`.
OF_ARCHITECTURE = "architecture"


def drawing_of(architecture: Architecture, ranks: Collection[str] = ("noise", "signal")) -> Drawing:
    r"""Return the figure that `plot_architecture` draws of an architecture.

    Panels: (a) growth of the sensitivity in each step, the ratio of chi at consecutive places, and in the whole layer;
    (b) chi after the layer; (c) effective ranks after the last activation, if there is one; (d) mu4 and nu1 after the
    last normalization, or after the layer if there is none. Where a residual unit repeats its steps, those of the first
    repeat are shown.

    Args:
        architecture: The architecture.
        ranks: The tensors whose effective ranks were taken: `"noise"`, `"signal"`, or both.

    Returns:
        `Drawing`; its `needs` are the names of the arrays that it draws.

    Example:

    >>> drawing = drawing_of(Architecture(["layer_norm", "conv", "activation"]))
    >>> [curve.label for curve in drawing.panels[0].curves][:2], drawing.panels[1].needs
    (['\\delta_{\\mathrm{LN}}\\chi^l', '\\delta_{\\mathrm{conv}}\\chi^l'], ('chi_loc4',))

    Reference: section 3 of arXiv 1811.03087.
    """
    last = architecture.places[-1]
    normalized = (last, *architecture.places_after(lambda step: step.kind.normalizes))[-1]
    of_ranks = tuple(
        Curve(rf"r_\mathrm{{eff}}({SYMBOLS[of]})", f"reff_{of}_{place}")
        for place in architecture.activated_places[-1:]
        for of in ("noise", "signal")
        if of in ranks
    )
    of_signal = (
        Curve(r"\mu_4(\mathbf{z}^l)", f"mu4_signal_{normalized}"),
        Curve(r"\nu_1(|\mathbf{z}^l|)", f"nu1_abs_signal_{normalized}"),
    )
    growths = (*_step_growths(architecture), Curve(rf"{LAYER_GROWTH}^l", f"chi_{last}", "chi_loc1"))
    panels = (
        Panel(GROWTH_AXIS, growths, reference=True),
        Panel(r"$\chi^l$", (Curve(r"\chi^l", f"chi_{last}"),), log=True),
        Panel(RANK_AXIS, of_ranks, log=True, reference=True),
        Panel(MOMENTS_AXIS, of_signal, log=True),
    )
    drawn = tuple(panel for panel in panels if panel.curves)
    return Drawing(drawn, depth=UNIT_AXIS) if architecture.residual else Drawing(drawn)


def _step_growths(architecture: Architecture) -> Iterator[Curve]:
    """Yield the curve of the growth of chi in each step; the addition is none: other repeats may come before it."""
    steps = architecture.measured_steps
    totals, numbers = Counter(step.kind.symbol for step in steps if step), Counter[str]()
    for i, step in enumerate(steps, start=1):
        if step:
            symbol = step.kind.symbol
            numbers[symbol] += 1
            number = f"_{{{numbers[symbol]}}}" if totals[symbol] > 1 else ""
            label = rf"\delta_{{{symbol}{number}}}\chi^l"
            yield Curve(label, f"chi_{place_name(i + 1)}", f"chi_{place_name(i)}")
