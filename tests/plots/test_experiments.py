"""Figures, by the data and the text in them; no pixels, but where pixels are the question."""

import io
import re
import shutil
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from moments_dnns.plots import experiments as plotting
from moments_dnns.plots import style
from moments_dnns.plots.experiments import plot_figure
from moments_dnns.plots.figures import FIGURES
from moments_dnns.plots.panels import LOOKS, looks
from moments_dnns.plots.ticks import LogTicks
from tests.support.published import arrays, plain
from tests.support.synthetic import complete, describe

# (letter, axis is logarithmic, {label: names}): a ratio of arrays, or an array. Written from the page of the science.
CURVES = {
    "vanilla": [
        ("(a)", False, {r"$\delta\chi^l$": ("chi_loc3", "chi_loc1")}),
        ("(b)", False, {r"$r_\mathrm{eff}(\mathbf{x}^l)$": ("reff_signal_loc3",)}),
    ],
    "bn_ff": [
        (
            "(a)",
            False,
            {
                r"$\delta_\mathrm{BN}\,\chi^l$": ("chi_loc3", "chi_loc1"),
                r"$\delta_\phi\,\chi^l$": ("chi_loc4", "chi_loc3"),
                r"$\delta\chi^l$": ("chi_loc4", "chi_loc1"),
            },
        ),
        ("(b)", True, {r"$\chi^l$": ("chi_loc4",)}),
        (
            "(c)",
            True,
            {
                r"$r_\mathrm{eff}(\mathrm{d}\mathbf{x}^l)$": ("reff_noise_loc4",),
                r"$r_\mathrm{eff}(\mathbf{x}^l)$": ("reff_signal_loc4",),
            },
        ),
        (
            "(d)",
            True,
            {r"$\mu_4(\mathbf{z}^l)$": ("mu4_signal_loc3",), r"$\nu_1(|\mathbf{z}^l|)$": ("nu1_abs_signal_loc3",)},
        ),
    ],
    "bn_res": [
        (
            "(a)",
            False,
            {
                r"$\delta_\mathrm{BN}\,\chi^{l,1}$": ("chi_loc2", "chi_loc1"),
                r"$\delta_\phi\,\chi^{l,1}$": ("chi_loc4", "chi_loc2"),
                r"$\delta\chi^{l,1}$": ("chi_loc4", "chi_loc1"),
            },
        ),
        ("(b)", False, {r"$\chi^l$": ("chi_loc5",)}),
        (
            "(c)",
            True,
            {
                r"$r_\mathrm{eff}(\mathrm{d}\mathbf{x}^{l,1})$": ("reff_noise_loc3",),
                r"$r_\mathrm{eff}(\mathbf{x}^{l,1})$": ("reff_signal_loc3",),
            },
        ),
        (
            "(d)",
            False,
            {
                r"$\mu_4(\mathbf{z}^{l,1})$": ("mu4_signal_loc2",),
                r"$\nu_1(|\mathbf{z}^{l,1}|)$": ("nu1_abs_signal_loc2",),
            },
        ),
    ],
}
each_figure = pytest.mark.parametrize("type_plot", FIGURES)


def lines(axes):
    return {line.get_label(): line for line in axes.lines if line.get_label().startswith("$")}


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def at(moments, *columns):
    """Return the moments at some of the depths."""
    return {name: array[..., list(columns)] if np.ndim(array) else array for name, array in moments.items()}


def draw(figure):
    """Render, which is when layout, ticks and mathtext can fail, and return the bytes."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=40)
    return picture.getvalue()


@pytest.mark.parametrize("type_plot", CURVES)
def test_curves_and_bands_are_those_of_the_page(type_plot):
    moments = arrays(type_plot)
    figure = getattr(plotting, f"plot_{type_plot}")(moments)
    assert len(figure.axes) == len(CURVES[type_plot])
    for axes, (letter, log, curves) in zip(figure.axes, CURVES[type_plot], strict=True):
        assert letter in [text.get_text() for text in axes.texts]
        assert "$l$" in axes.get_xlabel()
        assert "$" in axes.get_ylabel()
        assert [label for label in lines(axes) if "tau" not in label] == list(curves)
        for (label, names), band in zip(curves.items(), axes.collections, strict=True):
            values = plain(moments, names[0]) / (plain(moments, names[1]) if len(names) == 2 else 1)
            expected = np.array([values.mean(axis=0), *np.percentile(values, (16, 84), axis=0)])
            drawn = np.log10(expected) if log else expected
            np.testing.assert_array_equal(lines(axes)[label].get_xdata(), moments["depth"])
            np.testing.assert_allclose(lines(axes)[label].get_ydata(), drawn[0], rtol=1e-9, atol=1e-12)
            corners = {tuple(corner) for corner in band.get_paths()[0].vertices.round(9)}
            assert {(x, y) for end in drawn[1:] for x, y in zip(moments["depth"], end.round(9), strict=True)} <= corners


@pytest.mark.parametrize("type_plot", CURVES)
def test_reference_at_one_in_growth_and_rank(type_plot):
    for axes in plot_figure(type_plot, arrays(type_plot)).axes:
        is_reference = "chi$ in" in axes.get_ylabel() or "delta" in axes.get_ylabel() or "eff" in axes.get_ylabel()
        dashed = [line for line in axes.lines if line.is_dashed() and "tau" not in line.get_label()]
        assert len(dashed) == is_reference
        for line in dashed:
            one = 0 if "eff" in axes.get_ylabel() and type_plot != "vanilla" else 1
            assert list(line.get_ydata()) == [one, one]
            assert line.get_linewidth() < 1


def test_histograms_are_densities_at_every_depth():
    moments = arrays("vanilla_histo", num_realizations=500)
    figure = plotting.plot_vanilla_histo(moments)
    logs = [np.log(moments["nu2_signal_loc3"]), moments["log_mu2_noise_loc3"]]
    for axes, samples, letter in zip(figure.axes, logs, ("(a)", "(b)"), strict=True):
        assert letter in [text.get_text() for text in axes.texts]
        assert r"\ln" in axes.get_xlabel()
        assert legend(axes) == ["$l=50$", "$l=100$", "$l=150$", "$l=200$"]
        outlines = [patch for patch in axes.patches if not patch.get_fill()]
        for sample, patch in zip(samples.T, outlines, strict=True):
            heights, edges, _ = patch.get_data()
            np.testing.assert_allclose(heights, np.histogram(sample, edges, density=True)[0])
            assert edges[0] == samples.min()
            assert edges[-1] == samples.max()


def test_legend_of_many_depths_names_a_few_of_them():
    figure = plot_figure("vanilla_histo", arrays("vanilla_histo", num_computations=100))
    assert len([patch for patch in figure.axes[0].patches if not patch.get_fill()]) == 100
    assert legend(figure.axes[0]) == [f"$l={depth}$" for depth in (2, 42, 82, 120, 160, 200)]
    draw(figure)


def test_power_law_and_its_exponent():
    moments = arrays("bn_res", num_realizations=200)
    axes = plot_figure("bn_res", moments).axes[1]
    (label,) = (text for text in legend(axes) if "tau" in text)
    assert re.fullmatch(r"\$c\\,l\^\\tau\$: \$\\tau=0\.5\d\d\$, \$c=1\.\d+\$", label)
    tau = float(re.search(r"tau=([\d.]+)", label).group(1))
    (line,) = (line for line in axes.lines if "tau" in line.get_label())
    depth, fit = line.get_data()
    assert (depth[0], depth[-1]) == (5, 500)
    np.testing.assert_allclose(fit / fit[0], (depth / 5) ** tau, rtol=5e-3)
    mean = plain(moments, "chi_loc5").mean(axis=0)
    np.testing.assert_allclose(np.interp(moments["depth"][20:], depth, fit), mean[20:], rtol=0.05)


def test_a_failing_power_law_leaves_the_axis_to_the_data():
    moments = arrays("bn_res")
    moments |= {name: 40 * array for name, array in moments.items() if name.startswith("log_chi")}
    figure = plot_figure("bn_res", moments)
    draw(figure)
    low, high = figure.axes[1].get_ylim()
    assert 10 < low < high < 100
    assert "tau" in legend(figure.axes[1])[1]


@pytest.mark.parametrize("growth", [np.nan, 1e9])
def test_no_power_law_without_an_exponent(growth):
    moments = arrays("bn_res") | {"log_chi_loc4": np.full((20, 100), growth)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = plot_figure("bn_res", moments)
    draw(figure)
    assert not any("tau" in line.get_label() for line in figure.axes[1].lines)


def test_chi_beyond_float64():
    moments = arrays("bn_ff", num_realizations=30)
    rng = np.random.default_rng(1)
    log_chi = np.linspace(0, 2000, 100) + rng.normal(0, 1, (30, 100))
    shift = log_chi - moments["log_chi_loc4"]
    moments |= {name: array + shift for name, array in moments.items() if name.startswith("log_chi")}
    figure = plot_figure("bn_ff", moments)
    mean = lines(figure.axes[1])[r"$\chi^l$"].get_ydata()
    top = log_chi.max(axis=0)
    np.testing.assert_allclose(mean, (top + np.log(np.exp(log_chi - top).mean(axis=0))) / np.log(10), rtol=1e-12)
    assert mean[-1] > 860
    draw(figure)
    assert "$10^{800}$" in [text.get_text() for text in figure.axes[1].get_yticklabels()]


def test_a_linear_axis_becomes_logarithmic_before_it_overflows():
    moments = arrays("vanilla") | {"log_chi_loc3": np.full((20, 100), 800.0), "log_chi_loc1": np.zeros((20, 100))}
    figure = plot_figure("vanilla", moments)
    np.testing.assert_allclose(lines(figure.axes[0])[r"$\delta\chi^l$"].get_ydata(), 800 / np.log(10))
    draw(figure)


@each_figure
def test_axes_show_all_of_the_data_and_legends_hide_none(type_plot):
    figure = plot_figure(type_plot, arrays(type_plot))
    draw(figure)
    for axes in figure.axes:
        low, high = axes.get_ylim()
        first, last = axes.get_xlim()
        points = [line.get_xydata() for line in lines(axes).values()]
        points += [path.vertices for band in axes.collections for path in band.get_paths()]
        points += [np.column_stack([patch.get_data().edges[1:], patch.get_data().values]) for patch in axes.patches]
        for x, y in np.concatenate(points):
            assert first <= x <= last
            assert low <= y <= high
        if axes.get_legend():
            assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1
            assert axes.get_legend().get_window_extent().x0 > axes.texts[0].get_window_extent().x1


@each_figure
@pytest.mark.parametrize("change", ["one realization", "one depth", "identical", "float32", "few depths"])
def test_small_and_plain_data_draw(type_plot, change):
    moments = arrays(type_plot, num_realizations=1 if change == "one realization" else 5)
    if change == "one depth":
        moments = at(moments, 0)
    elif change == "few depths":
        moments = at(moments, 0, 1, 2)
    elif change == "identical":
        moments |= {name: np.ones_like(array) for name, array in moments.items() if np.ndim(array) == 2}
    elif change == "float32":
        moments |= {name: array.astype(np.float32) for name, array in moments.items() if np.ndim(array) == 2}
    figure = plot_figure(type_plot, moments)
    draw(figure)
    for axes in figure.axes:
        assert all(np.isfinite(line.get_ydata()).all() for line in lines(axes).values())
        assert lines(axes) or sum(patch.get_data().values.max() for patch in axes.patches) > 0


@each_figure
def test_dead_realizations_leave_the_rest_drawn(type_plot):
    moments = arrays(type_plot)
    for name, array in moments.items():
        if np.ndim(array) == 2:
            array[3, array.shape[1] // 2 :] = -np.inf if name.startswith("log") else 0
            array[:, -1] = -np.inf if name.startswith("log") else 0
    with pytest.warns(UserWarning, match=f"{type_plot} leaves out.*20 of 20 realizations, between depths") as caught:
        figure = plot_figure(type_plot, moments)
    assert len(caught) == 1
    draw(figure)
    for axes in figure.axes:
        for line in lines(axes).values():
            assert np.isfinite(line.get_ydata()[:-1]).all()
        assert "nothing finite to draw" not in [text.get_text() for text in axes.texts]


@each_figure
def test_a_figure_of_the_dead_says_so(type_plot):
    moments = arrays(type_plot)
    dead = {
        name: array * 0 - (np.inf if name.startswith("log") else 0)
        for name, array in moments.items()
        if np.ndim(array) == 2
    }
    with pytest.warns(UserWarning, match=f"{type_plot} leaves out"):
        figure = plot_figure(type_plot, moments | dead)
    draw(figure)
    assert all("nothing finite to draw" in [text.get_text() for text in axes.texts] for axes in figure.axes)


def test_the_warning_points_at_the_caller():
    with pytest.warns(UserWarning, match="leaves out") as caught:
        plotting.plot_vanilla(arrays("vanilla") | {"reff_signal_loc3": np.zeros((20, 100))})
    assert caught[0].filename == __file__


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


def luminance(color):
    return np.array(to_rgb(color)) @ [0.2126, 0.7152, 0.0722]


def test_looks_differ_without_colour():
    greys = sorted(luminance(look["color"]) for look in LOOKS)
    assert np.diff(greys).min() > 0.2
    assert len({look["marker"] for look in LOOKS}) == len(LOOKS)
    figure = plot_figure("vanilla_histo", arrays("vanilla_histo"))
    depths = [luminance(patch.get_edgecolor()[:3]) for patch in figure.axes[0].patches if not patch.get_fill()]
    assert np.diff(depths).min() > 0.1


@given(st.floats(-1000, 1000), st.floats(1e-3, 2000))
def test_logarithmic_axes_have_a_few_ticks_on_round_numbers(low, span):
    ticks = LogTicks().tick_values(low, low + span)
    assert 1 <= len(ticks) <= 9
    assert all(low <= tick <= low + span for tick in ticks)
    for tick in ticks:
        digits = f"{10 ** (tick - np.floor(tick + 1e-12)):.4f}".rstrip("0")
        assert len(digits) <= (2 if span > 2.2 else 6)


def test_minor_ticks_tell_a_logarithmic_axis():
    ticks = LogTicks(minor=True).tick_values(0, 2)
    np.testing.assert_allclose(10 ** np.array(ticks), [*range(2, 10), *range(20, 100, 10)])
    assert LogTicks(minor=True).tick_values(0, 300) == []


def test_labels_of_ticks():
    moments = arrays("bn_ff")
    figure = plot_figure("bn_ff", moments)
    draw(figure)
    texts = [[text.get_text() for text in axes.get_yticklabels()] for axes in figure.axes]
    assert {"$10^{4}$", "$10^{8}$"} <= set(texts[1])
    assert {"$1$", "$10$", "$100$"} <= set(texts[2])


# --- several experiments -------------------------------------------------------------------------------------------


def widened(type_plot, factor):
    """Other moments of a figure, half as deep: all curves are `factor` times as high."""
    moments = at(arrays(type_plot), *range(0, len(arrays(type_plot)["depth"]), 2))
    for name, array in moments.items():
        if np.ndim(array) == 2:
            moments[name] = array + np.log(factor) if name.startswith("log") else array * factor
    return moments


@pytest.mark.parametrize("type_plot", CURVES)
@pytest.mark.parametrize("number", [1, 2, 5])
def test_experiments_are_drawn_over_one_another(type_plot, number):
    experiments = {f"factor {k}": widened(type_plot, k) for k in range(1, number + 1)}
    figure = plot_figure(type_plot, experiments)
    draw(figure)
    (named,) = figure.legends
    assert [text.get_text() for text in named.get_texts()] == list(experiments)
    assert len({(line.get_color(), line.get_marker()) for line in named.get_lines()}) == number
    for axes, (_, log, curves) in zip(figure.axes, CURVES[type_plot], strict=True):
        drawn = [line for line in axes.lines if line.get_marker() in {look["marker"] for look in looks(number)}]
        pairs = [(moments, names) for moments in experiments.values() for names in curves.values()]
        for line, (moments, names) in zip(drawn, pairs, strict=True):
            values = plain(moments, names[0]) / (plain(moments, names[1]) if len(names) == 2 else 1)
            expected = values.mean(axis=0)
            np.testing.assert_array_equal(line.get_xdata(), moments["depth"])
            np.testing.assert_allclose(line.get_ydata(), np.log10(expected) if log else expected, rtol=1e-9, atol=1e-12)
        assert len(axes.collections) == len(pairs)
        # Colours tell experiments, dashes tell curves.
        assert len({line.get_color() for line in drawn}) == number
        if len(curves) > 1:
            assert legend(axes)[: len(curves)] == list(curves)
        if axes.get_legend():
            assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1
            assert axes.get_legend().get_window_extent().x0 > axes.texts[0].get_window_extent().x1
    assert named.get_window_extent().y0 > max(axes.get_tightbbox().y1 for axes in figure.axes)


def test_every_experiment_has_its_power_law():
    figure = plot_figure("bn_res", {"one": arrays("bn_res"), "other": widened("bn_res", 2)})
    exponents = legend(figure.axes[1])
    assert len(exponents) == 2
    assert all(re.fullmatch(r"\$\\tau=0\.\d+\$", text) for text in exponents)
    fits = [line for line in figure.axes[1].lines if "tau" in line.get_label()]
    assert [line.get_color() for line in fits] == [look["color"] for look in looks(2)]


def test_histograms_of_several_experiments():
    few = at(arrays("vanilla_histo"), 1, 3)
    figure = plot_figure("vanilla_histo", {"all": arrays("vanilla_histo"), "few": few})
    draw(figure)
    (named,) = figure.legends
    assert [text.get_text() for text in named.get_texts()] == ["all", "few"]
    outlines = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    assert len(outlines) == 6
    # The same depth has the same colour, the same experiment the same dashes.
    assert outlines[4].get_edgecolor() == outlines[1].get_edgecolor() != outlines[0].get_edgecolor()
    assert outlines[4].get_linestyle() == outlines[5].get_linestyle() != outlines[0].get_linestyle()
    assert legend(figure.axes[0]) == ["$l=50$", "$l=100$", "$l=150$", "$l=200$"]


@pytest.mark.parametrize(
    ("several", "message"),
    [
        ({"good": arrays("vanilla_histo"), "bad": {}}, r"vanilla_histo of 'bad' draws .*missing"),
        ({3: arrays("vanilla_histo")}, r"label must be a string"),
        ({f"{k}": arrays("vanilla_histo") for k in range(7)}, r"at most 6 experiments"),
        ({"a": arrays("vanilla_histo"), "nu2_signal_loc3": np.ones((2, 2))}, r"missing"),
    ],
)
def test_bad_comparisons_are_refused(several, message):
    with pytest.raises((TypeError, ValueError), match=message):
        plot_figure("vanilla_histo", several)


def test_many_looks_are_in_order_and_apart_in_grey():
    greys = [luminance(look["color"][:3]) for look in looks(6)]
    assert np.diff(greys).min() > 0.08
    assert len({look["marker"] for look in looks(6)}) == 6


# --- LaTeX ---------------------------------------------------------------------------------------------------------


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


# --- the summary ---------------------------------------------------------------------------------------------------


def test_summary_shows_every_moment_at_every_place(tmp_path):
    moments = complete(describe(num_realizations=6))
    figure = plotting.plot_summary(moments, path=tmp_path / "summary.png")
    assert (tmp_path / "summary.png").stat().st_size > 10_000
    symbols = [axes.get_ylabel() for axes in figure.axes if axes.axison]
    assert len(symbols) == len(set(symbols)) == 8
    count = {"eff": 1}
    for axes in figure.axes:
        places = next((number for word, number in count.items() if word in axes.get_ylabel()), 4)
        assert len(axes.collections) == places
    mean = figure.axes[1].lines[2].get_ydata()
    np.testing.assert_allclose(mean, np.log10(moments["nu2_signal_loc3"].mean(axis=0)))
    title = figure.get_suptitle()
    assert "architecture=bn_ff, " in title
    assert "num_realizations=6" in title
    assert max(map(len, title.splitlines())) <= 90
    assert figure.get_supxlabel()


@each_figure
def test_summary_of_pruned_and_plain_arrays(type_plot):
    figure = plotting.plot_summary(arrays(type_plot))
    draw(figure)
    assert figure.get_suptitle() == f"20 realizations at {4 if type_plot == 'vanilla_histo' else 100} depths"
    said = {
        "vanilla_histo": "not enough depth or realizations to tell",
        "vanilla": "one-dimensional signal (effective rank 1.03)",
        "bn_ff": "exploding sensitivity (1.28 [1.27, 1.28] dB per layer), collapse onto few outliers",
        "bn_res": "well-behaved (χ as depth to the power 0.5",
    }
    assert said[type_plot] in figure.get_supxlabel()


@pytest.mark.parametrize("moments", [{}, {"depth": [1, 2]}, [1, 2]])
def test_summary_of_nothing_is_refused(moments):
    with pytest.raises((TypeError, ValueError), match="Received: moments="):
        plotting.plot_summary(moments)
