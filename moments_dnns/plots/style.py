"""Style: colours, markers and dashes; `PaperFigure`, which all figures are; saving; and the check for LaTeX."""

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

# The file of a figure; None if it is not saved.
Path: TypeAlias = str | os.PathLike[str] | None

STYLE = str(pathlib.Path(__file__).with_name("figures.mplstyle"))

SUFFIXES = (".pdf", ".png", ".svg")

TEX_PROGRAMS = ("latex", "dvipng")

# Colours of Okabe and Ito whose luminances differ as well, so that they can be distinguished in grey.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "marker": "o"},
    {"color": "#E69F00", "marker": "s"},
    {"color": "#000000", "marker": "^"},
)

SEQUENCE = "viridis"  # its luminance increases evenly, so that an order is visible in grey

MARKERS = "os^Dv<P>X"

DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)))


def looks(count: int) -> list[dict[str, Any]]:
    """Return colours and markers for a number of curves, as options of Matplotlib; from four on, colours are in order.

    Example:

    >>> [look["marker"] for look in looks(5)]
    ['o', 's', '^', 'D', 'v']
    """
    if count <= len(LOOKS):
        return list(LOOKS[:count])
    colors = matplotlib.colormaps[SEQUENCE](np.linspace(0, 0.9, count))
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
