"""Looks, files, LaTeX, and that nothing global is touched; no pixels, but where pixels are the question."""

import shutil

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from moments_dnns.plots import experiments as plotting
from moments_dnns.plots import style
from moments_dnns.plots.experiments import plot_figure
from moments_dnns.plots.style import LOOKS, looks
from tests.support.figures import draw, each_figure, luminance
from tests.support.published import arrays


@each_figure
def test_nothing_global_is_touched(type_plot):
    with matplotlib.rc_context({"lines.linewidth": 9.5, "font.size": 30, "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        figure = plot_figure(type_plot, arrays(type_plot))
        assert dict(matplotlib.rcParams) == before
        assert not any(axes.xaxis.get_gridlines()[0].get_visible() for axes in figure.axes)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")])
def test_path_saves_into_a_new_folder(tmp_path, suffix, start):
    path = tmp_path / "new" / "folder" / f"figure{suffix}"
    assert plotting.plot_vanilla(arrays("vanilla"), path=str(path)).axes
    assert path.read_bytes().startswith(start)


def test_pdf_embeds_truetype_fonts_even_when_saved_later(tmp_path):
    plotting.plot_vanilla(arrays("vanilla")).savefig(tmp_path / "figure.pdf")
    pdf = (tmp_path / "figure.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


@pytest.mark.parametrize("name", ["figure.doc", "figure", "png"])
def test_other_suffixes_are_refused_before_anything_is_drawn(tmp_path, name):
    path = tmp_path / "new" / name
    with pytest.raises(ValueError, match=r"path must end in \.pdf, \.png, \.svg\. Received: path="):
        plotting.plot_vanilla({}, path=path)
    assert not path.parent.exists()


def test_bad_data_leave_no_folder(tmp_path):
    with pytest.raises(ValueError, match="missing"):
        plotting.plot_bn_ff({}, path=tmp_path / "new" / "figure.png")
    assert not (tmp_path / "new").exists()


def test_notebooks_can_show_it():
    assert plotting.plot_vanilla(arrays("vanilla"))._repr_png_().startswith(b"\x89PNG")


def test_looks_differ_without_colour():
    greys = sorted(luminance(look["color"]) for look in LOOKS)
    assert np.diff(greys).min() > 0.2
    assert len({look["marker"] for look in LOOKS}) == len(LOOKS)
    figure = plot_figure("vanilla_histo", arrays("vanilla_histo"))
    depths = [luminance(patch.get_edgecolor()[:3]) for patch in figure.axes[0].patches if not patch.get_fill()]
    assert np.diff(depths).min() > 0.1


def test_many_looks_are_in_order_and_apart_in_grey():
    greys = [luminance(look["color"][:3]) for look in looks(6)]
    assert np.diff(greys).min() > 0.08
    assert len({look["marker"] for look in looks(6)}) == 6


@pytest.mark.parametrize("missing", [("latex",), ("dvipng",), ("latex", "dvipng")])
def test_latex_that_is_not_installed_is_told(missing, monkeypatch, tmp_path):
    monkeypatch.setattr(style.shutil, "which", lambda program: None if program in missing else f"/usr/bin/{program}")
    path = tmp_path / "figure.pdf"
    with pytest.raises(ValueError, match=f"{' and '.join(missing)} cannot be found.*Received: use_tex=True"):
        plotting.plot_vanilla(arrays("vanilla"), path=path, use_tex=True)
    assert not path.exists()
    plotting.plot_vanilla(arrays("vanilla"), path=path)


def test_latex_sets_the_text_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(style.shutil, "which", lambda program: f"/usr/bin/{program}")
    figure = plotting.plot_vanilla(arrays("vanilla"), use_tex=True)
    assert all(axes.xaxis.label.get_usetex() for axes in figure.axes)
    assert not plotting.plot_vanilla(arrays("vanilla")).axes[0].xaxis.label.get_usetex()
    assert not matplotlib.rcParams["text.usetex"]


@pytest.mark.skipif(
    not all(map(shutil.which, style.TEX_PROGRAMS)), reason="LaTeX and dvipng are not installed on this machine"
)
@each_figure
def test_latex_understands_every_label(type_plot):
    assert draw(plot_figure(type_plot, arrays(type_plot), use_tex=True)).startswith(b"\x89PNG")
