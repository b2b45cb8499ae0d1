"""What attention does to tokens: their rank and cosine within a sequence, and the entropy of attention."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from moments_dnns import characterize as characterize_verbosely
from moments_dnns import layer_summary, plot_layers
from moments_dnns.layers.measurement import attention_entropy, token_cosine, token_rank

backend = pytest.mark.backend

characterize = functools.partial(characterize_verbosely, verbose=False)

TOKENS, WIDTH = 6, 16


def sequences(seed=0, shape=(4, TOKENS, WIDTH)):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def encoder(depth, skips=True, norm=False, kind="heads"):
    """Layers of attention, with skips around them or without, without any layers between."""
    x = inputs = keras.Input((TOKENS, WIDTH), name="sequence")
    for layer in range(depth):
        y = layers.LayerNormalization(name=f"norm{layer}")(x) if norm else x
        if kind == "heads":
            y = layers.MultiHeadAttention(2, WIDTH // 2, name=f"attention{layer}")(y, y)
        else:
            y = layers.GroupQueryAttention(WIDTH // 4, 4, 2, name=f"attention{layer}")(y, y)
        x = layers.Add(name=f"sum{layer}")([x, y]) if skips else y
    return keras.Model(inputs, x)


def oracle(x):
    """The mean effective rank of sequences and the mean cosine of their tokens, in float64."""
    x = np.asarray(x, float)
    eigenvalues = [np.linalg.svd(each, compute_uv=False) ** 2 for each in x]
    lengths = np.linalg.norm(x, axis=-1, keepdims=True)
    cosines = np.einsum("bic,bjc->bij", x / lengths, x / lengths)
    pairs = ~np.eye(x.shape[1], dtype=bool)
    return np.mean([each.sum() / each.max() for each in eigenvalues]), cosines[:, pairs].mean()


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
@pytest.mark.parametrize("shape", [(3, 5, 9), (2, 9, 5), (1, 2, 1)])
@backend
def test_ranks_and_cosines_are_those_of_their_definitions(shape, scale):
    x = sequences(1, shape) + np.float32(0.3)
    rank, cosine = oracle(x)
    scaled = ops.convert_to_tensor(x * np.float32(scale))
    assert float(token_rank(scaled)) == pytest.approx(rank, rel=1e-5)
    assert float(token_cosine(scaled)) == pytest.approx(cosine, abs=1e-6)


def test_tokens_of_one_direction_have_rank_one():
    x = np.array([1.0, -2.0, 3.0])[:, None] * np.arange(1, 5)
    assert float(token_rank(x[None].astype("float32"))) == pytest.approx(1, abs=1e-6)
    assert float(token_cosine(np.abs(x)[None].astype("float32"))) == pytest.approx(1, abs=1e-6)
    assert float(token_rank(np.zeros((2, 3, 4), "float32"))) == 0
    assert float(token_cosine(np.zeros((2, 3, 4), "float32"))) == 0
    assert np.isnan(float(token_rank(np.full((2, 3, 4), np.nan, "float32"))))


def test_entropies_are_those_of_the_definition():
    logits = sequences(2, (2, 3, 5))
    p = np.exp(logits.astype(float))
    p /= p.sum(-1, keepdims=True)
    assert float(attention_entropy(p.astype("float32"))) == pytest.approx(-(p * np.log(p)).sum(-1).mean(), rel=1e-5)
    assert float(attention_entropy(np.eye(4, dtype="float32"))) == 0
    assert float(attention_entropy(np.full((2, 7), 1 / 7, "float32"))) == pytest.approx(np.log(7), rel=1e-6)


@pytest.mark.parametrize("kind", ["heads", "groups"])
@backend
def test_a_model_has_the_tokens_of_its_own_outputs(kind):
    model = encoder(1, kind=kind)
    moments = characterize(model, sequences(), reinitialize=False, tokens=True)
    attention = model.get_layer("attention0")
    x = ops.convert_to_tensor(sequences())
    scores = ops.stop_gradient(attention(x, x, return_attention_scores=True)[1])
    rank, cosine = oracle(ops.convert_to_numpy(ops.stop_gradient(model(x))))
    assert moments["reff_tokens"][0, -1] == pytest.approx(rank, rel=1e-4)
    assert moments["cosine_tokens"][0, -1] == pytest.approx(cosine, abs=1e-5)
    (layer,) = moments.experiment.attention
    assert "softmax" in moments["layer"][layer]
    assert moments["entropy_attention"][0, layer] == pytest.approx(float(attention_entropy(scores)), rel=1e-4)
    # Elsewhere there is none, and no tokens where there are no sequences.
    assert np.isnan(np.delete(moments["entropy_attention"][0], layer)).all()
    assert np.isnan(moments["reff_tokens"][0, layer])
    # The numbers of all other layers are what they are without.
    without = characterize(model, sequences(), reinitialize=False)
    assert [name for name in moments["layer"] if "softmax" not in name] == without["layer"].tolist()
    assert moments["log_chi"][0, -1] == pytest.approx(without["log_chi"][0, -1], abs=1e-5)


def test_tokens_collapse_without_skips_and_do_not_with_them():
    # Without skips, tokens lose all but one direction doubly exponentially in depth: arXiv 2103.03404.
    options = {"tokens": True, "num_realizations": 3}
    collapsed = characterize(encoder(2, skips=False), sequences(), layers="attention?", **options)
    kept = characterize(encoder(6), sequences(), layers="sum?", **options)
    distance = np.log(1 - collapsed["cosine_tokens"]).mean(axis=0)
    # The logarithm of the distance of two tokens falls by more in every layer than in the one before.
    steps = np.diff(distance)
    assert steps[0] < -0.5
    assert steps[1] < 2 * steps[0]
    assert collapsed["reff_tokens"][:, -1].max() < 1.05
    assert kept["reff_tokens"][:, 2].min() > 1.6
    assert kept["cosine_tokens"][:, -1].max() < 0.9


def test_attention_of_equal_logits_has_the_largest_entropy():
    model = encoder(1)
    attention = model.get_layer("attention0")
    for weight in attention.weights:
        if "query" in weight.path:
            weight.assign(1e-4 * weight)
    moments = characterize(model, sequences(), reinitialize=False, tokens=True)
    assert np.nanmax(moments["entropy_attention"]) == pytest.approx(np.log(TOKENS), rel=1e-6)


def test_pictures_and_tables_show_tokens_and_gradients():
    moments = characterize(encoder(2), sequences(), tokens=True, gradients=True)
    table = layer_summary(moments)
    assert "rank of tokens" in table
    assert "the gradient grows by" in table
    figure = plot_layers(moments)
    assert [axes.get_ylabel() for axes in figure.axes[4:]] == [r"norm of $\nabla_{\mathbf{x}}$", "tokens"]
    norm = figure.axes[4].lines[0].get_ydata()
    np.testing.assert_allclose(norm, moments["log_gradient"][0] / np.log(10), atol=1e-10)
    assert len(plot_layers({"with": moments, "without": characterize(encoder(1), sequences())}).axes) == 4
