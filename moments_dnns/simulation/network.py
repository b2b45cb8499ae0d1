"""The network of an experiment as one Keras model: images, noise and seeds in, logarithms of moments out."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from jaxtyping import Float, Integer
from keras import ops

from moments_dnns._backend import accelerators, uses_xla
from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.layers.convolution import Convolution
from moments_dnns.layers.core import InitialState, Rescaling
from moments_dnns.layers.measurement import LogMoments
from moments_dnns.layers.state import State, Tensor, register

from .blocks import Block, ExperimentLayer, Transition


@register
class Propagation(ExperimentLayer):
    """All layers of an experiment, with moments taken at the measured layers: for each stage, a loop over one block.

    Args:
        experiment: The description.

    Call arguments:
        state: The state after the first convolution.
        seeds: Integer tensor of shape (num_seeds(experiment), 2): one for the first convolution, then those of all
            layers, then those of the transitions.

    Returns:
        Tensor of shape (num_computations, number of arrays): natural logarithms of the moments of
        `experiment.array_names`, one row for each of `experiment.depth`.

    Reference: section 6 of arXiv 1811.03087.
    """

    def __init__(self, experiment: Experiment | dict[str, Any], **kwargs: Any):
        super().__init__(experiment, **kwargs)
        stages = self.experiment.structure.stages
        self.blocks = [Block(self.experiment, stage) for stage in range(stages)]
        self.transitions = [Transition(self.experiment, stage) for stage in range(stages - 1)]
        self.measures = [LogMoments(self.experiment.moments_at(place)) for place in self.experiment.structure.places]

    def call(self, state: State, seeds: Integer[Tensor, "seeds 2"]) -> Float[Tensor, "computations arrays"]:
        """Return the table of logarithms."""
        rows = self.experiment.num_computations // len(self.blocks)
        table = ops.zeros((self.experiment.num_computations, len(self.experiment.array_names)))
        carry = (*State(*state), table)
        for stage, block in enumerate(self.blocks):
            if stage:
                own = self.seeds_of_transition(seeds, stage - 1)
                carry = (*self.transitions[stage - 1](State(*carry[:-1]), seeds=own), carry[-1])
            carry = ops.fori_loop(stage * rows, (stage + 1) * rows, partial(self.measured_layer, block, seeds), carry)
        return carry[-1]

    def measured_layer(self, block: Block, seeds: Tensor, row: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the state after the measured layer of a row, counted from 0, and the table with that row filled in."""
        *state, table = carry
        spacing = self.experiment.spacing

        def layer(index: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(block(State(*state), seeds=self.seeds_of(seeds, index))[-1])

        state = ops.fori_loop(row * spacing, (row + 1) * spacing - 1, layer, tuple(state))
        states = block(State(*state), seeds=self.seeds_of(seeds, (row + 1) * spacing - 1))
        moments = ops.concatenate([measure(at) for measure, at in zip(self.measures, states, strict=True)])
        # Not ops.slice_update, for which TensorFlow calls XLA anew at every layer.
        return *states[-1], ops.scatter_update(table, ops.reshape(row, (1, 1)), moments[None])

    def seeds_of(self, seeds: Integer[Tensor, "seeds 2"], index: Tensor) -> Integer[Tensor, "kernels 2"]:
        """Return the seeds of the kernels of a layer, counted from 0."""
        per_layer = self.experiment.kernels_per_layer
        return ops.slice(seeds, (1 + index * per_layer, 0), (per_layer, 2))

    def seeds_of_transition(self, seeds: Integer[Tensor, "seeds 2"], stage: int) -> Integer[Tensor, "kernels 2"]:
        """Return the seeds of the kernels after a stage, which come after those of all layers."""
        count = self.experiment.structure.kernels_per_transition
        first = 1 + self.experiment.total_depth * self.experiment.kernels_per_layer + stage * count
        return seeds[first : first + count]


def num_seeds(experiment: Experiment) -> int:
    """Return how many kernels, and thus seeds, a realization needs.

    Args:
        experiment: The description.

    Returns:
        1 for the first convolution, and the kernels of all layers and of the transitions between stages.

    Example:

    >>> num_seeds(Experiment("bn_res", 10, 3, 8, 2, 1, res_depth=2, num_computations=10))
    21
    """
    of_transitions = (experiment.structure.stages - 1) * experiment.structure.kernels_per_transition
    return 1 + experiment.total_depth * experiment.kernels_per_layer + of_transitions


def build_network(experiment: Experiment, image_shape: tuple[int, ...]) -> keras.Model:
    """Return the network of an experiment, one realization of which is one call.

    The weights are drawn inside the call, so that every call with other seeds is a fresh network.

    Args:
        experiment: The description.
        image_shape: (height, width, channels) of the images: (1, 1, pixels * channels) if fully connected.

    Returns:
        Model that maps images and noise, both of shape (batch_size, *image_shape), and seeds, integers from 0 to
        2**31 - 1 of shape (num_seeds(experiment), 2), to natural logarithms of moments, of shape (num_computations,
        number of arrays): a column for each name of `experiment.array_names`.

    Example:

    >>> network = build_network(Experiment("bn_ff", 4, 3, 8, 2, 1, num_computations=2), (8, 8, 3))
    >>> network.output_shape
    (2, 22)

    Reference: section 6 of arXiv 1811.03087.
    """
    batch_shape = (experiment.batch_size, *image_shape)
    images = keras.Input(batch_shape=batch_shape, name="images")
    noise = keras.Input(batch_shape=batch_shape, name="noise")
    seeds = keras.Input(batch_shape=(num_seeds(experiment), 2), dtype="int32", name="seeds")
    first = Convolution(
        experiment.num_channels,
        experiment.kernel_size,
        boundary=experiment.boundary,
        gain=1.0,
        strides=experiment.first_strides,
        weights=experiment.weights,
        name="first_convolution",
    )
    state = Rescaling()(first(InitialState()(images, noise), seed=seeds[0]))
    network = keras.Model([images, noise, seeds], Propagation(experiment)(state, seeds), name=experiment.name)
    network.compile(jit_compile=uses_xla())
    return network


# On an accelerator, so many numbers in the signals and noises of one layer keep all of it busy.
NUMBERS_PER_CALL = 2**21

# Realizations in one call, at most.
MOST_PER_CALL = 64


def realizations_per_call(experiment: Experiment) -> int:
    """Return how many realizations one call of the network computes.

    More than one only where a fully connected layer of one leaves an accelerator idle. PyTorch draws numbers for one
    seed at a time.
    """
    if not experiment.fully_connected or not accelerators() or keras.backend.backend() == "torch":
        return 1
    numbers = 2 * experiment.batch_size * experiment.num_channels
    return min(max(NUMBERS_PER_CALL // numbers, 1), MOST_PER_CALL)


@register
class Grouped(keras.layers.Wrapper):
    """Several realizations of a network in one call, each computed as if it were alone.

    Args:
        layer: The network.

    Call arguments:
        images: Tensor of shape (realizations, batch, height, width, channels).
        noise: Tensor of the same shape.
        seeds: Integer tensor of shape (realizations, num_seeds, 2).

    Returns:
        Tensor of shape (realizations, num_computations, number of arrays): the logarithms of moments.
    """

    def build(self, *shapes: Any, **named_shapes: Any) -> None:
        """Mark the layer as built: there are no weights."""

    def call(
        self,
        images: Float[Tensor, "realizations batch height width channels"],
        noise: Float[Tensor, "realizations batch height width channels"],
        seeds: Integer[Tensor, "realizations seeds 2"],
    ) -> Float[Tensor, "realizations computations arrays"]:
        """Return the logarithms of the moments of all realizations."""
        if images.shape[0] == 1:
            return self.layer([images[0], noise[0], seeds[0]])[None]
        return ops.vectorized_map(lambda inputs: self.layer(list(inputs)), (images, noise, seeds))


def grouped(network: keras.Model, count: int) -> keras.Model:
    """Return the model that computes several realizations of a network in one call.

    Args:
        network: The network, as `build_network` returns it.
        count: How many realizations.

    Example:

    >>> network = build_network(Experiment("vanilla", 2, 1, 8, 4, 1, num_computations=2), (1, 1, 12))
    >>> grouped(network, 3).output_shape
    (3, 2, 17)
    """
    inputs = [keras.Input(batch_shape=(count, *each.shape), dtype=each.dtype) for each in network.inputs]
    model = keras.Model(inputs, Grouped(network)(*inputs), name=f"{count}_{network.name}")
    model.compile(jit_compile=uses_xla())
    return model
