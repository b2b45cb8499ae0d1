"""The layers of a characterized model in words."""

import numpy as np
import pytest

from moments_dnns.analysis.model_layers import blocks, layer_arrays, layer_summary
from moments_dnns.plots.models import plot_layers
from tests.support.characterized import characterized


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


@pytest.mark.parametrize("function", [plot_layers, layer_summary])
@pytest.mark.parametrize(
    ("moments", "error"),
    [([1.0], TypeError), ({"chi_loc1": np.ones((1, 1)), "depth": [1]}, TypeError)],
)
def test_what_is_no_model_is_refused(function, moments, error):
    with pytest.raises(error, match="Received: moments="):
        function(moments)
