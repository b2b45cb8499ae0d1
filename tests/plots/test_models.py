"""The figure of a characterized model."""

import numpy as np
import pytest
from matplotlib import colors

from moments_dnns.plots.models import MOST_NAMES, plot_layers
from tests.support.characterized import NAMES, PARENTS, characterized


def test_the_figure_shows_every_layer_and_its_name():
    moments = characterized()
    figure = plot_layers(moments)
    assert len(figure.axes) == 4
    curve = figure.axes[0].lines[0]
    np.testing.assert_array_equal(curve.get_xdata(), np.arange(1, 7))
    expected = np.log10(moments["chi"].mean(axis=0))
    np.testing.assert_allclose(curve.get_ydata(), expected, atol=1e-12)
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == list(NAMES)
    # Every other block, block1 and top, in each of the panels.
    for axes in figure.axes:
        shaded = [
            patch.get_extents().transformed(axes.transData.inverted()).intervalx
            for patch in axes.patches
            if colors.to_hex(patch.get_facecolor()) == colors.to_hex("0.93")
        ]
        np.testing.assert_allclose(shaded, [[1.5, 3.5], [5.5, 6.5]], atol=1e-6)


def test_names_are_thinned_where_there_are_many():
    names = tuple(f"layer_{i}" for i in range(200))
    parents = ((), *((i,) for i in range(199)))
    figure = plot_layers(characterized(names=names, parents=parents))
    shown = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert len(shown) <= MOST_NAMES
    assert shown[-1] == "layer_199"


def test_models_of_different_depths_are_compared():
    short = characterized(names=NAMES[:3], parents=PARENTS[:3])
    figure = plot_layers({"short": short, "long": characterized()})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["short", "long"]
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [3, 6]


def test_the_figure_is_saved(tmp_path):
    plot_layers(characterized(), path=tmp_path / "new" / "layers.png")
    assert (tmp_path / "new" / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_a_suffix_that_matplotlib_does_not_know_is_refused():
    with pytest.raises(ValueError, match="Received: path="):
        plot_layers(characterized(), path="layers.doc")
