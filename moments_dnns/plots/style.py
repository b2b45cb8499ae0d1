"""The figure that others are drawn on: its style, its files, and LaTeX."""

from __future__ import annotations

import io
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from moments_dnns._validation import boolean, refusal

STYLE = str(Path(__file__).with_name("figures.mplstyle"))


SUFFIXES = (".pdf", ".png", ".svg")


TEX_PROGRAMS = ("latex", "dvipng")


class PaperFigure(Figure):
    """A Matplotlib figure that is always saved in our style, and that notebooks show without pyplot."""

    use_tex = False

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """Save as `matplotlib.figure.Figure.savefig` does, at 300 dpi and with TrueType fonts."""
        with style.context([STYLE, {"text.usetex": self.use_tex}]):
            super().savefig(*args, **kwargs)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=self.dpi)
        return picture.getvalue()


def styled(use_tex: bool) -> AbstractContextManager[None]:
    """Return the context in which figures are drawn; what was set before holds again afterwards."""
    return style.context(["default", STYLE, {"text.usetex": use_tex}])


def check(path: str | os.PathLike[str] | None, use_tex: bool) -> None:
    """Refuse what a figure cannot be saved as.

    Raises:
        TypeError: If `use_tex` is neither True nor False.
        ValueError: If the suffix of `path` is another, or LaTeX is asked for and not installed.

    Example:

    >>> check("figures/vanilla.doc", use_tex=False)
    Traceback (most recent call last):
    ValueError: path must end in .pdf, .png, .svg. Received: path='figures/vanilla.doc'
    """
    if path is not None and Path(path).suffix.lower() not in SUFFIXES:
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


def save(figure: Figure, path: str | os.PathLike[str] | None) -> None:
    """Save a figure where a path is given, in folders that are made if need be."""
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
