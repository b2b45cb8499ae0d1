"""The layer that measures the moments of a state, and the effective rank."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float
from keras import layers, ops

from moments_dnns._backend import compiled
from moments_dnns._validation import one_of
from moments_dnns.moments import MOMENTS, Moment

from .eigenvalues import largest_eigenvalue
from .state import State, Tensor, centred, register, unless_zero

# |x|^p by products, which cost a fraction of a general power.
POWERS = {1: ops.abs, 2: ops.square, 4: lambda x: ops.square(ops.square(x))}


def effective_rank(features: Float[Tensor, "*points channels"]) -> Float[Tensor, ""]:
    """Return the effective rank of feature vectors: the number of directions that have most of their variance.

    Formula: `r_eff = Tr C / ||C||`, the sum of the eigenvalues of the channel covariance C over the largest one.
    Features without any variance have the effective rank 0, like the zero matrix.

    Args:
        features: Tensor of shape (..., channels); every other axis counts points. They are centred here.

    Returns:
        Scalar, from 1 to min(channels, points - 1), or 0; relative error below 1e-4 for any spectrum and scale.

    Example:

    >>> round(float(effective_rank(np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]], "float32"))), 4)
    1.25

    Reference: definition 4 of arXiv 1811.03087.
    """
    # They are centred before they are scaled: a division would round a small variation around a large mean.
    return rank_of_centred(centred(ops.reshape(features, (-1, features.shape[-1]))))


def rank_of_centred(features: Float[Tensor, "*points channels"]) -> Float[Tensor, ""]:
    """Return the effective rank of feature vectors whose channels have mean 0."""
    x = ops.reshape(features, (-1, features.shape[-1]))
    # Without this, squares may leave float32's range.
    x = x / unless_zero(ops.max(ops.abs(x)))
    points, channels = x.shape
    transposed = ops.transpose(x)
    # The smaller of two matrices with the same eigenvalues. The number of points is None for an open batch size.
    by_points = isinstance(points, int) and points < channels
    gram = ops.matmul(x, transposed) if by_points else ops.matmul(transposed, x)
    trace = ops.sum(ops.diagonal(gram))
    gram = gram / unless_zero(trace)
    largest = _shared_eigenvalue()(gram)
    return ops.where(trace == 0, 0.0, ops.maximum(1 / unless_zero(largest), 1.0))


@cache
def _shared_eigenvalue() -> Callable[[Tensor], Tensor]:
    """Return `largest_eigenvalue`, compiled by itself: matrices of one size share what is traced of it."""
    return compiled(largest_eigenvalue, within=True)


def token_rank(tokens: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, ""]:
    """Return the effective rank of the tokens within a sequence, as a mean over sequences.

    Formula: `Tr(X X^T) / ||X X^T||`, where the tokens of a sequence are the lines of X. They are not centred: the rank
    is 1 where all tokens have one direction. A sequence of zeros has the rank 0.

    Args:
        tokens: Tensor of shape (batch, tokens, channels).

    Returns:
        Scalar, from 1 to min(tokens, channels).

    Example:

    >>> round(float(token_rank(np.array([[[2.0, 0], [0, 1]], [[3, 0], [3, 0]]], "float32"))), 4)
    1.125

    Reference: arXiv 2103.03404, for the collapse to rank 1.
    """
    x = tokens / unless_zero(ops.max(ops.abs(tokens), axis=(1, 2), keepdims=True))
    if x.shape[1] > x.shape[2]:
        x = ops.transpose(x, (0, 2, 1))
    gram = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
    trace = ops.sum(ops.square(x), axis=(1, 2))
    # Decompositions may refuse what is not a number.
    finite = ops.all(ops.isfinite(gram))
    largest = ops.eigh(ops.where(finite, gram, 0.0))[0][:, -1]
    ranks = ops.where(trace == 0, 0.0, ops.maximum(trace / unless_zero(largest), 1.0))
    return ops.where(finite, ops.mean(ranks), np.nan)


def token_cosine(tokens: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, ""]:
    """Return the cosine of two different tokens of a sequence, as a mean over pairs and sequences.

    Args:
        tokens: Tensor of shape (batch, tokens, channels), with at least two tokens.

    Returns:
        Scalar, at most 1, where all tokens have one direction; tokens of zeros count as orthogonal.

    Example:

    >>> round(float(token_cosine(np.array([[[2.0, 0], [0, 1]], [[3, 0], [3, 0]]], "float32"))), 4)
    0.5

    Reference: arXiv 2206.03126.
    """
    x = tokens / unless_zero(ops.max(ops.abs(tokens), axis=-1, keepdims=True))
    x = x / unless_zero(ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)))
    pairs = ops.sum(ops.square(ops.sum(x, axis=1)), axis=-1) - ops.sum(ops.square(x), axis=(1, 2))
    count = tokens.shape[1]
    return ops.mean(pairs) / (count * (count - 1))


def attention_entropy(probabilities: Float[Tensor, "*queries keys"]) -> Float[Tensor, ""]:
    """Return the entropy of attention, in nats, as a mean over queries, heads and sequences.

    Formula: `-sum_j p_j ln p_j`.

    Args:
        probabilities: Tensor of shape (..., keys), which sums to 1 over the keys.

    Returns:
        Scalar, from 0, where every token attends to one, to ln(keys), where all attend to all.

    Example:

    >>> round(float(attention_entropy(np.array([[0.5, 0.5], [1.0, 0.0]], "float32")) / np.log(2)), 4)
    0.5
    """
    logarithms = ops.log(ops.where(probabilities > 0, probabilities, 1.0))
    return -ops.mean(ops.sum(probabilities * logarithms, axis=-1))


@register
class LogMoments(layers.Layer):
    """Measure moments of a state, as natural logarithms.

    Formula: `ln mean(|x|**p) + p / 2 * log_scale`, the mean over (batch, space) and then channels, where x is centred
    per channel or not and `log_scale` is `log_signal` or `log_noise` of the state; `ln r_eff` for the effective ranks.
    The logarithm of a moment that is 0 is -inf.

    Args:
        moments: Names of the moments, keys of `MOMENTS`; all of them by default.

    Call arguments:
        state: The state.

    Returns:
        Tensor of shape (number of moments,), in the order of `moments`.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.full((2, 1, 1, 1), 3.0, "float32")
    >>> layer = LogMoments(["nu1_abs_signal", "nu2_signal", "log_mu2_noise"])
    >>> np.round(np.exp(layer(InitialState()(images, images))), 4).tolist()
    [3.0, 9.0, 9.0]

    Reference: section 3 of arXiv 1811.03087.
    """

    def __init__(self, moments: Iterable[str] = tuple(MOMENTS), **kwargs: Any):
        super().__init__(**kwargs)
        self.moments = tuple(one_of(MOMENTS)("moments", name) for name in moments)

    def call(self, state: State) -> Float[Tensor, " moments"]:
        """Return the logarithms of the moments."""
        state = State(*state)
        scales = {"signal": state.log_signal, "noise": state.log_noise}
        used = {(MOMENTS[name].of, MOMENTS[name].centred) for name in self.moments}
        tensors = {
            (of, is_centred): centred(getattr(state, of)) if is_centred else getattr(state, of)
            for of, is_centred in used
        }
        entries = [MOMENTS[name] for name in self.moments]
        return ops.stack([self.log_moment(each, tensors[each.of, each.centred], scales[each.of]) for each in entries])

    @staticmethod
    def log_moment(
        moment: Moment, x: Float[Tensor, "*points channels"], log_scale: Float[Tensor, ""]
    ) -> Float[Tensor, ""]:
        """Return the logarithm of one moment of a tensor, which is centred before if the moment is."""
        if moment.power == 0:
            return ops.log(rank_of_centred(x))
        return ops.log(ops.mean(POWERS[moment.power](x))) + moment.power / 2 * log_scale

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which `from_config` makes the same layer."""
        return {**super().get_config(), "moments": list(self.moments)}
