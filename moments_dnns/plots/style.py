"""Style: colours, markers and dashes, the figure that the others are drawn on, its files, and LaTeX."""

from __future__ import annotations

import io
import os
import pathlib
import shutil
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from moments_dnns._validation import boolean, refusal

# Where a figure is saved, if it is.
Path: TypeAlias = str | os.PathLike[str] | None

STYLE = str(pathlib.Path(__file__).with_name("figures.mplstyle"))

SUFFIXES = (".pdf", ".png", ".svg")

TEX_PROGRAMS = ("latex", "dvipng")

# Colours of Okabe and Ito whose luminances differ as well, so that they stay apart in print without colour.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "marker": "o"},
    {"color": "#E69F00", "marker": "s"},
    {"color": "#000000", "marker": "^"},
)

SEQUENCE = "viridis"  # its luminance grows evenly: an order can be read without colour

MARKERS = "os^Dv<P>X"

DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)))


def looks(count: int) -> list[dict[str, Any]]:
    """Return colours and markers for a number of curves: they differ in grey too, and from four on show an order.

    Example:

    >>> [look["marker"] for look in looks(5)]
    ['o', 's', '^', 'D', 'v']
    """
    if count <= len(LOOKS):
        return list(LOOKS[:count])
    colors = matplotlib.colormaps[SEQUENCE](np.linspace(0, 0.9, count))
    return [{"color": tuple(color), "marker": MARKERS[i % len(MARKERS)]} for i, color in enumerate(colors)]


class PaperFigure(Figure):
    """A Matplotlib figure that is always saved in our style, and that notebooks show without pyplot.

    Args:
        use_tex: Whether LaTeX sets the text.
        **options: What `matplotlib.figure.Figure` takes.
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
    """Return the context in which figures are drawn; what was set before holds again afterwards."""
    return style.context(["default", STYLE, {"text.usetex": use_tex}])


def check(path: Path, use_tex: bool) -> None:
    """Refuse a path that no figure can be saved under, and LaTeX where it is not installed.

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
    """Save a figure where a path is given, in folders that are made if need be."""
    if path is not None:
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
