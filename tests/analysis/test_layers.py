"""The layers of a characterized model in words and as a figure."""

import numpy as np
import pytest
from matplotlib import colors

from moments_dnns import Moments
from moments_dnns.analysis.layers import blocks, layer_arrays, layer_summary
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.plots.models import MOST_NAMES, plot_layers

NAMES = ("image", "block1_conv", "block1_relu", "block2_conv", "block2_add", "top/dense")
PARENTS = ((), (0,), (1,), (2,), (2, 3), (4,))
# ln chi behind every layer, before noise of the realizations.
LOG_CHI = np.array([0.0, 0.0, 0.2, 0.3, 0.25, 0.9])


def characterized(realizations=3, names=NAMES, parents=PARENTS, seed=0, **changes):
    """A model whose signal has variance 1 and whose noise has the sensitivities above, apart from a common factor."""
    model = Characterization("net", names, parents, realizations, (8, 4, 4, 1), "array-0123")
    shape = (realizations, len(names))
    offset = np.random.default_rng(seed).normal(size=(realizations, 1))
    arrays = {name: np.ones(shape) for name in model.array_names}
    log_chi = np.resize(LOG_CHI, len(names))
    arrays |= {"mu4_signal": np.full(shape, 3.0), "log_mu2_noise": 2 * (log_chi + offset)}
    return Moments({**arrays, **changes}, model)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["input_1", "conv1_pad", "conv2_block1_1_conv", "conv2_block2_add"], ["conv2_block1", "conv2_block2"]),
        (["block1_conv1", "block1_pool", "fc1"], ["block1"]),
        (["block2a_expand_conv", "block2b_dwconv"], ["block2a", "block2b"]),
        (["net_stage_0_block_0_conv", "net_stage_0_block_1_conv"], ["net_stage_0_block_0", "net_stage_0_block_1"]),
        (["inner/conv", "inner/relu", "conv"], ["inner"]),
        (["conv", "dense"], []),
    ],
)
def test_blocks_are_read_from_names(names, expected):
    found = list(blocks(names))
    assert [block for block, _, _ in found] == expected
    assert all(names[i].startswith(block) for block, start, length in found for i in range(start, start + length))


def test_what_is_drawn_has_no_scale():
    moments = characterized()
    scaled = characterized(
        nu1_abs_signal=np.full((3, 6), 5.0),
        nu2_signal=np.full((3, 6), 25.0),
        mu2_signal=np.full((3, 6), 25.0),
        mu4_signal=np.full((3, 6), 3 * 5.0**4),
    )
    for name in ("kurtosis", "magnitude", "growth"):
        np.testing.assert_allclose(layer_arrays(moments)[name], layer_arrays(scaled)[name], rtol=1e-12)
    np.testing.assert_allclose(layer_arrays(moments)["kurtosis"], 3)
    # The sum of two layers has the inputs 0.2 and 0.3, of equal variance.
    expected = 0.25 - np.log((np.exp(0.4) + np.exp(0.6)) / 2) / 2
    np.testing.assert_allclose(np.log(layer_arrays(moments)["growth"][:, 4]), expected, atol=1e-12)


def test_the_summary_lists_the_layers_that_amplify_most():
    lines = layer_summary(characterized(), count=2).splitlines()
    total = 0.9 * 20 / np.log(10)
    assert lines[0] == f"net: χ grows by {total:.1f} dB along 5 layers, 3 realizations"
    assert [line.split()[0] for line in lines[1:]] == ["layer", "top/dense", "block1_relu"]
    assert f"{0.65 * 20 / np.log(10):+.2f} ± 0.00" in lines[2]


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


@pytest.mark.parametrize("function", [plot_layers, layer_summary])
@pytest.mark.parametrize(
    ("moments", "error"),
    [([1.0], TypeError), ({"chi_loc1": np.ones((1, 1)), "depth": [1]}, TypeError)],
)
def test_what_is_no_model_is_refused(function, moments, error):
    with pytest.raises(error, match="Received: moments="):
        function(moments)


def test_a_suffix_that_matplotlib_does_not_know_is_refused():
    with pytest.raises(ValueError, match="Received: path="):
        plot_layers(characterized(), path="layers.doc")
