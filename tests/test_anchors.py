"""Numbers that any instrument of this field must reproduce, each with its source."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import erf

from moments_dnns import characterize, rescale, run_experiment
from moments_dnns.characterization.kernels import kernels_of
from moments_dnns.layers.derivative import jvp
from moments_dnns.theory import feedforward_growth, log_norm_density

layers = keras.layers
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


# Growth of chi^2 per layer of batch normalization and ReLU, by batch size: arXiv 1902.08129, equation 25, and the
# convention of arXiv 1811.03087.
GROWTH = {
    4: (3.084061, 4.816356),
    5: (2.273707, 3.137983),
    8: (1.788190, 2.133717),
    16: (1.589950, 1.723004),
    32: (1.521953, 1.581657),
    64: (1.493063, 1.521463),
    128: (1.479681, 1.493545),
    256: (1.473234, 1.480085),
    512: (1.470069, 1.473475),
    10**9: (math.pi / (math.pi - 1), math.pi / (math.pi - 1)),
}


@pytest.mark.parametrize("batch", GROWTH)
def test_growth_in_batch_normalized_layers(batch):
    for expected, statistics in zip(GROWTH[batch], ("differentiated", "constant"), strict=True):
        assert feedforward_growth(batch, statistics) ** 2 == pytest.approx(expected, rel=1e-6)


def test_the_trainable_depth_is_about_forty_layers():
    """16 depth scales at a batch of 64: arXiv 1902.08129, section 5."""
    assert 16 / math.log(feedforward_growth(64, "differentiated") ** 2) == pytest.approx(40, abs=1)


@pytest.mark.backend
@pytest.mark.parametrize(("statistics", "expected"), [("differentiated", 1.788190), ("constant", 2.133717)])
def test_wide_networks_have_that_growth(statistics, expected):
    moments = run_experiment(
        "bn_ff", 24, 1, 384, 8, 6, dataset="photo", num_computations=24, epsilon=0.0, statistics=statistics,
        compute_reff_signal=False, compute_reff_noise=False, verbose=False,
    )  # fmt: skip
    rate = 2 * (moments["log_chi_loc4"][:, -1] - moments["log_chi_loc4"][:, 11]) / 12
    # Finite width lowers the growth by O(1 / N); the spread over realizations is about 1 %.
    assert np.exp(rate.mean()) == pytest.approx(expected, rel=0.03)


# Gain of unit variance, and growth of chi^2, of an activation at q = 1.
ACTIVATIONS = {
    "relu": (1.7128586, 1.4669422),
    "gelu": (1.7009262, 1.3188450),
    "silu": (1.7871872, 1.2120811),
    "tanh": (1.5925374, 1.1778072),
    "selu": (1.0, 1.0715750),
    "elu": (1.2708434, 1.0790135),
}


@pytest.mark.backend
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gain_and_growth_of_activations(activation):
    gain, growth = ACTIVATIONS[activation]
    model = keras.Sequential([keras.Input((64,)), layers.Activation(activation, name="act")])
    moments = characterize(model, normal(8192, 64), verbose=False)
    # Half a million independent numbers: 0.3 % in variances.
    assert moments["mu2_signal"][0, 1] ** -0.5 == pytest.approx(gain, rel=5e-3)
    assert np.exp(2 * moments["log_growth"][0, 1]) == pytest.approx(growth, rel=1e-2)


@pytest.mark.backend
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rescaling_finds_the_gain_of_unit_variance(activation):
    dense = [layers.Dense(width, kernel_initializer="lecun_normal", use_bias=False) for width in (256, 512)]
    model = keras.Sequential([keras.Input((256,)), dense[0], layers.Activation(activation), dense[1]])
    rescale(model, normal(1024, 256), moment="mu2", tolerance=1e-4)
    found = np.asarray(ops.convert_to_numpy(dense[1].kernel)).std() * math.sqrt(256)
    # The rows of a random kernel are not quite orthogonal: 1 / sqrt(256 * 512) and 1 / sqrt(1024).
    assert found == pytest.approx(ACTIVATIONS[activation][0], rel=0.03)


@pytest.mark.backend
def test_rescaling_finds_the_square_root_of_two_behind_a_relu():
    """He et al., arXiv 1502.01852: the mean square, not the variance."""
    dense = [layers.Dense(512, kernel_initializer="lecun_normal", use_bias=False) for _ in range(2)]
    model = keras.Sequential([keras.Input((256,)), dense[0], layers.ReLU(), dense[1]])
    rescale(model, normal(1024, 256), tolerance=1e-4)
    kernel = np.asarray(ops.convert_to_numpy(dense[1].kernel))
    assert kernel.std() * math.sqrt(512) == pytest.approx(math.sqrt(2), rel=0.02)


NUM_BLOCKS = 8
SUMS = {
    # What l blocks make of a variance of 1: arXiv 2002.10444, 2101.08692.
    "he": ({}, 2.0**NUM_BLOCKS),
    "batch norm": ({"normalized": True}, 1.0 + NUM_BLOCKS),
    "scaled": ({"normalized": True, "scale": 0.5}, 1 + 0.25 * NUM_BLOCKS),
    "1 / sqrt(L)": ({"scale": NUM_BLOCKS**-0.5}, (1 + 1 / NUM_BLOCKS) ** NUM_BLOCKS),
}


@pytest.mark.parametrize("name", SUMS)
def test_residual_sums(name):
    options, expected = SUMS[name]
    inputs = x = keras.Input((128,))
    for _ in range(NUM_BLOCKS):
        # A ReLU halves the mean square that the first kernel doubles.
        branch = layers.Dense(128, "relu", kernel_initializer="he_normal")(x)
        branch = layers.Dense(128, kernel_initializer="lecun_normal")(branch)
        if options.get("normalized"):
            branch = layers.BatchNormalization(epsilon=1e-7)(branch)
        x = layers.Add()([x, layers.Rescaling(options.get("scale", 1.0))(branch)])
    model = keras.Model(inputs, x)
    moments = characterize(model, normal(128, 128), num_realizations=24, layers="add*", verbose=False)
    grown = moments["nu2_signal"][:, -1] / moments["nu2_signal"][:, 0]
    error = grown.std(ddof=1) / np.sqrt(len(grown))
    assert error < 0.08 * expected
    # Four standard errors; sums of normalized branches are exact to a few percent at finite width.
    assert grown.mean() == pytest.approx(expected, abs=4 * error + 0.02 * expected)


@pytest.mark.parametrize(("width", "depth"), [(64, 10), (128, 50)])
def test_squared_norms_spread_at_finite_width(width, depth):
    """Var(|x|^2) / E^2 = (1 + 5 / N)^L - 1 for ReLU, one sample and He's weights: the exact law of the theory."""
    density = log_norm_density(width, depth)
    # Round-off in the tails would outweigh them.
    weights = np.where(density.density > 1e-9 * density.density.max(), density.density, 0)
    first, second = (np.sum(weights * np.exp(power * density.grid)) / weights.sum() for power in (1, 2))
    assert second / first**2 - 1 == pytest.approx((1 + 5 / width) ** depth - 1, rel=0.01)


@pytest.mark.backend
def test_forward_and_backward_tell_one_story():
    """<g, J dx> = <J'g, dx>, and the mean squares of both, white dx and g, are the same trace."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, "tanh"),
            layers.LayerNormalization(),
            layers.Dense(4, "gelu"),
        ]
    )
    x, dx, g = normal(3, 6), normal(3, 6), normal(3, 4)
    tensors = [ops.convert_to_tensor(array) for array in (x, dx)]
    _, (forward,) = jvp(lambda t: [model(t)], tensors[:1], tensors[1:])
    jacobian = np.stack(
        [
            np.asarray(
                ops.convert_to_numpy(
                    jvp(lambda t: [model(t)], tensors[:1], [ops.convert_to_tensor(basis.reshape(3, 6))])[1][0]
                )
            ).ravel()
            for basis in np.eye(18, dtype="float32")
        ],
        axis=1,
    )
    backward = gradient(lambda t: ops.sum(model(t) * g), tensors[0])
    np.testing.assert_allclose(backward.ravel(), jacobian.T @ g.ravel(), rtol=1e-4, atol=1e-5)
    assert np.vdot(g, ops.convert_to_numpy(forward)) == pytest.approx(np.vdot(backward, dx), rel=1e-4)


def gradient(function, tensor):
    """Return the gradient of a scalar by the backend's own reverse mode."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            tape.watch(tensor)
            value = function(tensor)
        return tape.gradient(value, tensor).numpy()
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(tensor))
    tensor = tensor.clone().requires_grad_()
    function(tensor).backward()
    return tensor.grad.numpy()


@pytest.mark.parametrize(
    ("initializer", "expected"), [("lecun_normal", 1 / 64), ("glorot_normal", 2 / 65)]
)  # 1 / C and 2 / (C + 1)
def test_depthwise_kernels_of_keras_are_too_small(initializer, expected):
    layer = layers.DepthwiseConv2D(3, depthwise_initializer=initializer, use_bias=False, name="depthwise")
    model = keras.Sequential([keras.Input((12, 12, 64)), layer])
    moments = characterize(model, normal(8, 12, 12, 64), num_realizations=6, verbose=False)
    assert moments["nu2_signal"][:, 1].mean() == pytest.approx(expected, rel=0.1)


def test_glorot_with_relu_loses_three_decibels_per_layer():
    made = [layers.Dense(256, "relu", name=f"dense{i}") for i in range(10)]
    model = keras.Sequential([keras.Input((256,)), *made])
    moments = characterize(model, normal(64, 256), num_realizations=8, verbose=False)
    powers = np.log10(moments["nu2_signal"].mean(axis=0)) * 10
    assert (powers[-1] - powers[0]) / 10 == pytest.approx(-10 * math.log10(2), abs=0.15)


def test_einsum_kernels_of_earlier_keras_were_too_small():
    """d = 512, 8 heads of 64: Keras up to 3.14 counted all axes but the last as inputs, 22.1 dB for the branch."""

    def glorot(fan_in, fan_out):
        return 2 / (fan_in + fan_out)

    ratios = []
    for equation, shape, taken, output in (
        ("abc,cde->abde", (512, 8, 64), (10, 512), (None, 8, 64)),
        ("abcd,cde->abe", (8, 64, 512), (10, 8, 64), (None, 512)),
    ):
        layer = layers.EinsumDense(equation, output)
        layer.build((None, *taken))
        (kernel,) = kernels_of(layer)
        assert tuple(kernel.variable.shape) == shape
        assert (kernel.fan_in, kernel.fan_out) == (512, 512)
        counted = glorot(shape[0] * shape[1], shape[0] * shape[2])
        ratios.append(glorot(kernel.fan_in, kernel.fan_out) / counted)
    assert 10 * math.log10(ratios[0] * ratios[1]) == pytest.approx(22.1, abs=0.05)
    assert ratios[0] ** 2 == pytest.approx(1296)  # the variance of the logits, of queries and keys


def test_attention_alone_makes_all_tokens_one_and_scaled_branches_do_not():
    """Rank collapse, arXiv 2103.03404; branches scaled by 1 / sqrt(L) keep the cosine below 1, arXiv 2206.03126."""
    depth, tokens, width = 8, 12, 32

    def cosine(skips):
        inputs = x = keras.Input((tokens, width))
        for _ in range(depth):
            value = layers.MultiHeadAttention(2, width // 2)(x, x)
            x = layers.Add()([x, layers.Rescaling(depth**-0.5)(value)]) if skips else value
        y = np.asarray(ops.convert_to_numpy(keras.Model(inputs, x)(normal(4, tokens, width))), np.float64)
        y /= np.linalg.norm(y, axis=-1, keepdims=True)
        return np.mean([(each @ each.T)[np.triu_indices(tokens, 1)].mean() for each in y])

    assert cosine(skips=False) > 0.999
    assert cosine(skips=True) < 0.7


def test_pre_layer_norm_grows_within_its_bounds():
    """E|x_l|^2 is between (1 + l / 2) d and (1 + 3 l / 2) d: arXiv 2002.04745, lemma 2."""
    depth, width = 12, 64
    inputs = x = keras.Input((8, width))
    for i in range(depth):
        x = layers.Add()([x, layers.MultiHeadAttention(1, width)(y := layers.LayerNormalization()(x), y)])
        hidden = layers.Dense(width, "relu")(layers.LayerNormalization()(x))
        x = layers.Add(name=f"block{i}")([x, layers.Dense(width)(hidden)])
    moments = characterize(
        keras.Model(inputs, x), normal(16, 8, width), num_realizations=6, layers="block*", verbose=False
    )
    grown = moments["nu2_signal"].mean(axis=0)[1:]
    number = np.arange(1, 1 + depth)
    assert (grown >= 1 + number / 2).all()
    assert (grown <= 1 + 3 * number / 2).all()


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_table_of_gains_is_that_of_integrals(activation):
    """The rows above against a quadrature of their definitions, gamma = Var^(-1/2) and E phi'^2 / Var."""
    z = np.linspace(-12, 12, 200_001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    phi = {"relu": np.maximum(z, 0), "gelu": z * (1 + erf(z / math.sqrt(2))) / 2}[activation]
    mean, square = (np.trapezoid(value * density, z) for value in (phi, phi**2))
    slope = np.trapezoid(np.gradient(phi, z) ** 2 * density, z)
    gain, growth = ACTIVATIONS[activation]
    assert (square - mean**2) ** -0.5 == pytest.approx(gain, rel=1e-6)
    assert slope / (square - mean**2) == pytest.approx(growth, rel=1e-4)
