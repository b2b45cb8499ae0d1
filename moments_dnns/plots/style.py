"""Style: colours, markers and dashes; `PaperFigure`, which all figures are; saving; and the check for LaTeX."""

from __future__ import annotations

import io
import os
import pathlib
import shutil
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import numpy as np
from matplotlib import style
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from moments_dnns._validation import boolean, refusal

# The file of a figure; None if it is not saved.
Path: TypeAlias = str | os.PathLike[str] | None

STYLE = str(pathlib.Path(__file__).with_name("figures.mplstyle"))

SUFFIXES = (".pdf", ".png", ".svg")

TEX_PROGRAMS = ("latex", "dvipng")

# All colours have a contrast of at least 3 with white, and can be distinguished in grey and by colour-blind people:
# tests/plots/test_palette.py simulates it.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0057A8", "marker": "o"},
    {"color": "#D07A00", "marker": "s"},
    {"color": "#000000", "marker": "^"},
)

# For what has an order: the luminance increases evenly.
SEQUENCE = LinearSegmentedColormap.from_list(
    "moments_dnns", ["#090030", "#3F1945", "#722956", "#A8395A", "#B95F47", "#CD8023"]
)

MARKERS = "os^Dv<P>X"

# Of measured curves; dots are left to theory.
DASHES: tuple[Any, ...] = (
    "-",
    (0, (4, 2)),
    (0, (7, 1.5, 1.5, 1.5)),
    (0, (10, 3)),
    (0, (4, 1.2, 1.2, 1.2, 1.2, 1.2)),
    (0, (2, 1)),
)


def looks(count: int) -> list[dict[str, Any]]:
    """Return colours and markers for a number of curves, as options of Matplotlib; from four on, colours are in order.

    Example:

    >>> [look["marker"] for look in looks(5)]
    ['o', 's', '^', 'D', 'v']
    """
    if count <= len(LOOKS):
        return list(LOOKS[:count])
    colors = SEQUENCE(np.linspace(0, 1, count))
    return [{"color": tuple(color), "marker": MARKERS[i % len(MARKERS)]} for i, color in enumerate(colors)]


class PaperFigure(Figure):
    """A Matplotlib figure that is saved in our style, whatever the current one, and that notebooks show by itself.

    Args:
        use_tex: Whether LaTeX sets the text.
        **options: The options of `matplotlib.figure.Figure`.
    """

    def __init__(self, *, use_tex: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._use_tex = use_tex

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """Save as `matplotlib.figure.Figure.savefig` does, at 300 dpi and with TrueType fonts."""
        with style.context([STYLE, {"text.usetex": self._use_tex}]):
            super().savefig(*args, **kwargs)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=self.dpi)
        return picture.getvalue()


def styled(use_tex: bool) -> AbstractContextManager[None]:
    """Return the context in which figures are drawn, which restores the user's style at its end."""
    return style.context(["default", STYLE, {"text.usetex": use_tex}])


def check(path: Path, use_tex: bool) -> None:
    """Refuse a path of another format, and LaTeX if it is not installed.

    Raises:
        TypeError: If `use_tex` is neither True nor False.
        ValueError: If the suffix of `path` is another, or LaTeX is asked for and not installed.

    Example:

    >>> check("figures/vanilla.doc", use_tex=False)
    Traceback (most recent call last):
    ValueError: path must end in .pdf, .png, .svg. Received: path='figures/vanilla.doc'
    """
    if path is not None and pathlib.Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(refusal(f"path must end in {', '.join(SUFFIXES)}.", path=path))
    missing = [program for program in TEX_PROGRAMS if shutil.which(program) is None]
    if boolean("use_tex", use_tex) and missing:
        raise ValueError(
            refusal(
                f"use_tex=True needs {' and '.join(TEX_PROGRAMS)}, of which {' and '.join(missing)} cannot be found; "
                "use_tex=False needs neither.",
                use_tex=use_tex,
            )
        )


def save(figure: Figure, path: Path) -> None:
    """Save a figure if a path is given, and make its folders if need be."""
    if path is not None:
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
