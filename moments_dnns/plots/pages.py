"""`report`: what was measured of a network as one page of HTML, with its figure, verdicts, causes and numbers."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from moments_dnns._validation import refusal
from moments_dnns.analysis.arrays import checked_mapping
from moments_dnns.analysis.diagnosis import Diagnosis, diagnose
from moments_dnns.analysis.model_layers import layer_arrays
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.moments import DECIBELS

from .experiments import plot_summary
from .models import plot_layers
from .summary import parameters

SUFFIX = ".html"

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.15rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
pre { white-space: pre-wrap; font: 0.9rem/1.4 ui-monospace, monospace; }
"""

HEADER = ("layer", "χ behind it", "growth in dB", "mean square of the signal", "effective rank")


def report(moments: Mapping[str, Any], path: str | FilePath = "report.html") -> FilePath:
    """Write a page of HTML on a network: verdicts, causes, figure, and for a model a table of its layers.

    The page needs no other file and no network, so that it can be sent to a colleague, or kept by a CI.

    Args:
        moments: `Moments` of a model or an experiment, or arrays as `diagnose` takes them.
        path: The file, in .html.

    Returns:
        The path.

    Raises:
        TypeError: If `moments` is not a mapping, or an array does not hold real numbers.
        ValueError: If there are no moments, shapes do not match, or the suffix of `path` is another.

    Example:

    >>> import tempfile
    >>> depth = np.arange(1, 9)
    >>> moments = {"log_chi_loc4": 0.1 * depth + np.zeros((4, 1)), "depth": depth}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = report(moments, f"{folder}/report.html").read_text()
    >>> "<h1>well-behaved" in page, page.count("<img")
    (True, 1)
    """
    path = FilePath(path)
    if path.suffix.lower() != SUFFIX:
        raise ValueError(refusal(f"path must end in {SUFFIX}.", path=str(path)))
    diagnosis = diagnose(checked_mapping(moments))
    model = getattr(moments, "experiment", None)
    is_model = isinstance(model, Characterization)
    title = model.model if isinstance(model, Characterization) else parameters(moments)
    figure = plot_layers(moments) if is_model else plot_summary(moments)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    body = [
        _element("h1", f"{diagnosis.line}: {title}"),
        *_list_of_causes(diagnosis),
        _element("h2", "Numbers"),
        _element("pre", str(diagnosis)),
        _element("h2", "Figure"),
        f'<img alt="moments" src="data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}">',
        *(_table_of_layers(moments) if is_model else ()),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n{_element("title", title)}\n'
        f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</html>\n",
        encoding="utf-8",
    )
    return path


def _element(name: str, text: str) -> str:
    return f"<{name}>{html.escape(text)}</{name}>"


def _list_of_causes(diagnosis: Diagnosis) -> Iterable[str]:
    if diagnosis.causes:
        items = "".join(_element("li", str(cause)) for cause in diagnosis.causes)
        yield _element("h2", "Causes") + f"<ul>{items}</ul>"


def _table_of_layers(moments: Any) -> Iterable[str]:
    """Yield a table with a row for every layer, of means over realizations."""
    arrays = layer_arrays(moments)
    with np.errstate(all="ignore"):  # a layer that is off has no chi
        log_chi, growth = arrays["log_chi"].mean(axis=0), np.log(arrays["growth"]).mean(axis=0) * DECIBELS
    power, ranks = moments["nu2_signal"].mean(axis=0), arrays["reff_signal"].mean(axis=0)
    rows = [
        (str(name), _number(np.exp(min(chi, 700.0))), f"{gained:+.2f}", _number(square), f"{rank:.1f}")
        for name, chi, gained, square, rank in zip(moments["layer"], log_chi, growth, power, ranks, strict=True)
    ]
    yield _element("h2", "Layers")
    yield f"<table>{_row('th', HEADER)}{''.join(_row('td', row) for row in rows)}</table>"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(_element(name, cell) for cell in cells)}</tr>\n"


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "-"
