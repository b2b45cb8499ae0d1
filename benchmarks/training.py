"""Training of the networks of `trainability`: all learning rates and seeds at once, as one program of JAX.

The units of a network are a loop over their weights, so that compiling takes as long at any depth. A Keras model of the
same network has one operation for each step of each layer, and takes twenty times as long on a processor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import attrs
import jax
import jax.numpy as jnp
import numpy as np

from .networks import EPSILON, SIDE, Network

# Learning rates of Adam, over three decades, close to each other where the best ones are.
RATES = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
SEEDS = 2
# Networks that do not learn in the first number of steps are trained anew for the second.
STEPS, MORE_STEPS = 480, 1920
WARM_UP, AVERAGED = 32, 16

# The images are so many batches: with all batch sizes, a step sees the same share of them.
NUM_BATCHES = 4
NUM_CLASSES = 10

Weights = dict[str, Any]

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "linear": lambda x: x,
}


@attrs.frozen(eq=False)
class Task:
    """A few images and their labels, to be learned by heart.

    Args:
        images: (images, pixels), standardised pixel by pixel.
        labels: (images,).
    """

    images: np.ndarray
    labels: np.ndarray


def weights(network: Network, seed: int) -> Weights:
    """Return weights as the initializers of the Keras model draw them, and a last layer of zeros."""
    rng = np.random.default_rng(seed)

    def normal(variance: float, *shape: int) -> np.ndarray:
        return (rng.normal(size=shape) * variance**0.5).astype(np.float32)

    width, units = network.width, network.num_deep
    return {
        "first": normal(network.gain / SIDE**2, SIDE**2, width),
        "first_bias": normal(network.bias, width),
        "deep": normal(network.gain / width, units, width, width),
        "deep_bias": normal(network.bias, units, width),
        "factor": np.full(units, network.scale, np.float32),
        "last": np.zeros((width, NUM_CLASSES), np.float32),
        "last_bias": np.zeros(NUM_CLASSES, np.float32),
    }


def features(network: Network, weights: Weights, x: Any) -> Any:
    """Return what a network computes of a batch, before its last layer.

    Args:
        network: The network.
        weights: Its weights.
        x: Images of shape (batch, pixels).

    Returns:
        Array of shape (batch, width).
    """
    a = ACTIVATIONS[network.activation]

    def n(x: Any) -> Any:
        if not network.normalization:
            return x
        axis = 0 if network.normalization == "batch" else -1
        return (x - x.mean(axis, keepdims=True)) / jnp.sqrt(x.var(axis, keepdims=True) + EPSILON)

    def unit(x: Any, own: Any) -> tuple[Any, None]:
        kernel, bias, factor = own
        s = factor if network.learned else network.scale
        units = {
            "plain": lambda: a(n(x @ kernel + bias)),
            "pre": lambda: x + s * (a(n(x)) @ kernel + bias),
            "post": lambda: a(x + s * n(x @ kernel + bias)),
            "trunk": lambda: n(x + s * a(x @ kernel + bias)),
        }
        return units[network.kind](), None

    x = x @ weights["first"] + weights["first_bias"]
    x = a(n(x)) if network.kind == "plain" else x
    return jax.lax.scan(unit, x, (weights["deep"], weights["deep_bias"], weights["factor"]))[0]


def losses(network: Network, task: Task, steps: int = STEPS) -> np.ndarray:
    """Train a network at all learning rates from several weights, and return the losses that are reached.

    The features are divided by their root mean square at initialisation, so that their scale does not matter.

    Args:
        network: The network.
        task: What it learns.
        steps: Number of batches.

    Returns:
        Cross-entropies, means over the last batches, of shape (rates, seeds); not finite where training diverges.
    """
    images, labels = (array[: NUM_BATCHES * network.batch] for array in (task.images, task.labels))
    grid = [*product(RATES, range(SEEDS))]
    drawn = [weights(network, seed) for _, seed in grid]
    stacked = {name: np.stack([each[name] for each in drawn]) for name in drawn[0]}
    order = np.stack([_order(len(labels), network.batch, steps, seed) for _, seed in grid])
    rates = np.array([rate for rate, _ in grid], np.float32)
    reached = _train(network, stacked, rates, order, images, labels)
    return np.asarray(reached)[:, -AVERAGED:].mean(axis=1).reshape(len(RATES), SEEDS)


def _order(num_images: int, batch: int, steps: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    epochs = -(-steps * batch // num_images)
    shuffled = np.concatenate([rng.permutation(num_images) for _ in range(epochs)])
    return shuffled[: steps * batch].reshape(steps, batch)


@partial(jax.jit, static_argnums=0)
def _train(network: Network, weights: Weights, rates: Any, order: Any, images: Any, labels: Any) -> Any:
    """Return the losses of all batches, of shape (trainings, steps)."""

    def train(weights: Weights, rate: Any, order: Any) -> Any:
        scale = jnp.sqrt(jnp.square(features(network, weights, images[order[0]])).mean())
        scale = jnp.where(jnp.isfinite(scale) & (scale > 0), scale, 1.0)

        def loss(weights: Weights, batch: Any) -> Any:
            logits = features(network, weights, images[batch]) / scale @ weights["last"] + weights["last_bias"]
            return -jax.nn.log_softmax(logits)[jnp.arange(len(batch)), labels[batch]].mean()

        def step(state: Any, numbered: Any) -> Any:
            number, batch = numbered
            weights, *moments = state
            value, gradient = jax.value_and_grad(loss)(weights, batch)
            weights, *moments = adam(weights, moments, gradient, rate * jnp.minimum(1, number / WARM_UP), number)
            return (weights, *moments), value

        zeros = jax.tree.map(jnp.zeros_like, weights)
        return jax.lax.scan(step, (weights, zeros, zeros), (jnp.arange(1, 1 + len(order)), order))[1]

    return jax.vmap(train)(weights, rates, order)


def adam(weights: Any, moments: Any, gradient: Any, rate: Any, number: Any) -> tuple[Any, Any, Any]:
    """Return weights and both moments after a step of Adam (arXiv 1412.6980), counted from 1."""
    means = jax.tree.map(lambda mean, g: 0.9 * mean + 0.1 * g, moments[0], gradient)
    squares = jax.tree.map(lambda square, g: 0.999 * square + 0.001 * g * g, moments[1], gradient)

    def moved(weight: Any, mean: Any, square: Any) -> Any:
        return weight - rate * (mean / (1 - 0.9**number)) / (jnp.sqrt(square / (1 - 0.999**number)) + 1e-7)

    return jax.tree.map(moved, weights, means, squares), means, squares
