"""The moments of the signal, the noise and the gradient of one place of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from keras import ops

from moments_dnns._backend import compiled
from moments_dnns.layers.core import InitialState
from moments_dnns.layers.measurement import LogMoments, attention_entropy, token_cosine, token_rank
from moments_dnns.layers.state import State, Tensor
from moments_dnns.moments import MOMENTS

# Of how many shapes the compiled function is kept; a model has some ten.
MOST_SHAPES = 128

# The moments of noise that those of gradients are.
AS_NOISE = {"log_mu2_gradient": "log_mu2_noise", "reff_gradient": "reff_noise"}

# Of the signal of one place, whose channels are last.
OF_SEQUENCES: dict[str, Callable[[Tensor], Tensor]] = {
    "reff_tokens": lambda signal: ops.log(token_rank(signal)),
    "cosine_tokens": token_cosine,
    "entropy_attention": attention_entropy,
}


@lru_cache(MOST_SHAPES)
def shared(moments: Sequence[str], taken: Sequence[str], channels_first: bool, shape: Sequence[int]) -> Any:
    """Return `measured` for places of one shape, compiled by itself.

    They share what is traced of it, which is most of all there is, and so do later passes through any model.

    Args:
        moments: As those of `measured`, as are all that follow.
        taken: See there.
        channels_first: See there.
        shape: The shape of the signal.
    """
    return compiled(partial(measured, moments, taken, channels_first), within=True)


def measured(
    moments: Sequence[str],
    taken: Sequence[str],
    channels_first: bool,
    signal: Tensor,
    noise: Tensor,
    gradient: Tensor | None = None,
) -> Tensor:
    """Return the row of one place.

    Args:
        moments: Names of the moments, the first columns.
        taken: Those that are taken there; others are not a number.
        channels_first: Whether the channels are behind the batch, instead of last.
        signal: The signal.
        noise: The noise, whose largest magnitude is the next column.
        gradient: The gradient, whose largest magnitude is the last column, if it is taken.
    """
    tensors = [signal, noise] if gradient is None else [signal, noise, gradient]
    largest = [ops.max(ops.abs(tensor)) for tensor in tensors[1:]]
    # A number for each element of the batch is one channel.
    tensors = [x if len(x.shape) > 1 else x[:, None] for x in tensors]
    if channels_first and len(signal.shape) > 2:
        tensors = [ops.moveaxis(x, 1, -1) for x in tensors]
    columns = _columns([name for name in taken if name in MOMENTS], *tensors[:2])
    if gradient is not None:
        of_gradient = {name: AS_NOISE[name] for name in taken if name in AS_NOISE}
        found = _columns(list(of_gradient.values()), tensors[0], tensors[2])
        columns |= {name: found[same] for name, same in of_gradient.items()}
    columns |= {name: OF_SEQUENCES[name](tensors[0]) for name in taken if name in OF_SEQUENCES}
    nothing = ops.full((), np.nan, "float32")
    return ops.stack([*(columns.get(name, nothing) for name in moments), *largest])


def _columns(names: Sequence[str], signal: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """Return the logarithms of the moments of a signal and a noise, by name."""
    state = InitialState(dtype="float32").call(signal, noise)
    logarithms = LogMoments(names, dtype="float32").call(State(*state))
    return dict(zip(names, ops.unstack(logarithms, len(names)), strict=True))
