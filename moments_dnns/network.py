"""From an experiment to a Keras model: (images, noise, seeds) -> logarithms of moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import keras
from keras import ops

from .devices import accelerators, uses_xla
from .experiment import Experiment
from .layers import Add, BatchNormalization, Convolution, InitialState, ReLU, Rescaling, register
from .measurement import LogMoments
from .state import State, Tensor

# One row per kind of step; each makes the layer of an experiment.
STEPS: dict[str, Callable[[Experiment], keras.layers.Layer]] = {
    "conv": lambda experiment: Convolution(
        experiment.num_channels, experiment.kernel_size, boundary=experiment.boundary, weights=experiment.weights
    ),
    "batch_norm": lambda experiment: BatchNormalization(experiment.epsilon),
    "activation": lambda experiment: ReLU(),
}


class ExperimentLayer(keras.layers.Layer):
    """A Keras layer that is made of an experiment alone.

    Args:
        experiment: The description, or its fields as a dictionary.
    """

    def __init__(self, experiment: Experiment | dict[str, Any], **kwargs: Any):
        super().__init__(**kwargs)
        self.experiment = experiment if isinstance(experiment, Experiment) else Experiment(**experiment)

    def build(self, *shapes: Any, **named_shapes: Any) -> None:
        """Mark the layer as built: there are no weights, kernels are drawn at every call."""

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "experiment": attrs.asdict(self.experiment)}


@register
class Block(ExperimentLayer):
    """One layer of an architecture, or one residual unit: a state in, the states at all places out.

    Args:
        experiment: The description.

    Call arguments:
        state: The state before the layer.
        seeds: Integer tensor of shape (convolutions_per_layer, 2): a seed for each kernel.
        kernels: A list of kernels instead of seeds.

    Returns:
        List of states, in the order of the architecture's places; the last is rescaled.

    Reference: equations 1 to 7 of arXiv 1811.03087.
    """

    def __init__(self, experiment: Experiment | dict[str, Any], **kwargs: Any):
        super().__init__(experiment, **kwargs)
        repeats = self.experiment.row.num_repeats(self.experiment.res_depth)
        self.steps = [[STEPS[step](self.experiment) for step in self.experiment.row.steps] for _ in range(repeats)]
        # Only where it is called: Keras on JAX runs a model twice as long as one of its layers is not built.
        self.add = Add() if self.experiment.row.residual else None
        # A normalized signal grows with depth no faster than a power.
        self.rescaling = Rescaling(rescale_signal="batch_norm" not in self.experiment.row.steps)

    def call(self, state: State, seeds: Tensor = None, kernels: Sequence[Tensor] | None = None) -> list[State]:
        """Return the states at all places."""
        weights = (
            [{"kernel": kernel} for kernel in kernels]
            if kernels is not None
            else [{"seed": seeds[i]} for i in range(self.experiment.convolutions_per_layer)]
        )
        remaining = iter(weights)
        start = state = State(*state)
        states = [start]
        for repeat in self.steps:
            for step in repeat:
                state = step(state, **next(remaining)) if isinstance(step, Convolution) else step(state)
                states.append(state)
        # Places lie along the first repeat of the steps.
        states = states[: len(self.experiment.row.steps) + 1]
        if self.add is not None:
            return [*states, self.rescaling(self.add([state, start]))]
        return [*states[:-1], self.rescaling(state)]


@register
class Propagation(ExperimentLayer):
    """All layers of an experiment, as a loop over one block, with moments taken at the measured layers.

    Args:
        experiment: The description.

    Call arguments:
        state: The state after the first convolution.
        seeds: Integer tensor of shape (1 + total_depth * convolutions_per_layer, 2); the first belongs to the
            first convolution.

    Returns:
        Tensor of shape (num_computations, number of arrays): natural logarithms of the moments of
        `experiment.array_names`, one row for each of `experiment.depth`.

    Reference: section 6 of arXiv 1811.03087.
    """

    def __init__(self, experiment: Experiment | dict[str, Any], **kwargs: Any):
        super().__init__(experiment, **kwargs)
        self.block = Block(self.experiment)
        self.measures = [LogMoments(self.experiment.moments_at(place)) for place in self.experiment.row.places]

    def call(self, state: State, seeds: Tensor) -> Tensor:
        """Return the table of logarithms."""
        spacing = self.experiment.spacing

        def measured_layer(row: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            *state, table = carry
            state = ops.fori_loop(row * spacing, (row + 1) * spacing - 1, layer, tuple(state))
            states = self.block(State(*state), seeds=self.seeds_of(seeds, (row + 1) * spacing - 1))
            moments = ops.concatenate([measure(at) for measure, at in zip(self.measures, states, strict=True)])
            return *states[-1], ops.slice_update(table, (row, 0), moments[None])

        def layer(index: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(self.block(State(*state), seeds=self.seeds_of(seeds, index))[-1])

        table = ops.zeros((self.experiment.num_computations, len(self.experiment.array_names)))
        return ops.fori_loop(0, self.experiment.num_computations, measured_layer, (*state, table))[-1]

    def seeds_of(self, seeds: Tensor, index: Tensor) -> Tensor:
        """Return the seeds of the kernels of a layer, counted from 0."""
        per_layer = self.experiment.convolutions_per_layer
        return ops.slice(seeds, (1 + index * per_layer, 0), (per_layer, 2))


def num_seeds(experiment: Experiment) -> int:
    """Return how many kernels, and thus seeds, a realization needs."""
    return 1 + experiment.total_depth * experiment.convolutions_per_layer


def build_network(experiment: Experiment, image_shape: tuple[int, ...]) -> keras.Model:
    """Return the network of an experiment, one realization of which is one call.

    The weights are drawn inside the call, so that every call with other seeds is a fresh network.

    Args:
        experiment: The description.
        image_shape: (height, width, channels) of the images: (1, 1, pixels * channels) if fully connected.

    Returns:
        Model that maps images and noise, both of shape (batch_size, *image_shape), and seeds, integers from 0 to
        2**31 - 1 of shape (num_seeds(experiment), 2), to logarithms of moments of shape (num_computations,
        number of arrays).

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
        strides=1 if experiment.fully_connected else 2,
        weights=experiment.weights,
        name="first_convolution",
    )
    state = Rescaling()(first(InitialState()(images, noise), seed=seeds[0]))
    network = keras.Model([images, noise, seeds], Propagation(experiment)(state, seeds), name=experiment.architecture)
    network.compile(jit_compile=uses_xla())
    return network


# On an accelerator, so many numbers in the signals and noises of one layer keep all of it busy.
NUMBERS_PER_CALL = 2**21
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
        images, noise, seeds: What the network takes, with one more axis in front, for the realizations.

    Returns:
        What the network returns, likewise.
    """

    def build(self, *shapes: Any, **named_shapes: Any) -> None:
        """Mark the layer as built: there are no weights."""

    def call(self, images: Tensor, noise: Tensor, seeds: Tensor) -> Tensor:
        """Return the logarithms of the moments of all realizations."""
        if images.shape[0] == 1:
            return self.layer([images[0], noise[0], seeds[0]])[None]
        return ops.vectorized_map(lambda inputs: self.layer(list(inputs)), (images, noise, seeds))


def grouped(network: keras.Model, count: int) -> keras.Model:
    """Return the model that computes so many realizations of a network in one call.

    Example:

    >>> network = build_network(Experiment("vanilla", 2, 1, 8, 4, 1, num_computations=2), (1, 1, 12))
    >>> grouped(network, 3).output_shape
    (3, 2, 17)
    """
    inputs = [keras.Input(batch_shape=(count, *each.shape), dtype=each.dtype) for each in network.inputs]
    model = keras.Model(inputs, Grouped(network)(*inputs), name=f"{count}_{network.name}")
    model.compile(jit_compile=uses_xla())
    return model
