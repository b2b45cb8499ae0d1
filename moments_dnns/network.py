"""From an experiment to a Keras model: (images, noise, seeds) -> logarithms of moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
import keras
import numpy as np
from keras import ops

from .activation import Activation
from .architectures import Step, widths
from .devices import accelerators, uses_xla
from .experiment import Experiment
from .layers import Add, Convolution, InitialState, Rescaling
from .measurement import LogMoments
from .normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
)
from .resizing import AveragePooling, MaxPooling, TokenMixing
from .state import State, Tensor, register


def _weights(experiment: Experiment) -> dict[str, Any]:
    names = ("gain", "kernel_initializer", "bias_variance")
    return {name: getattr(experiment, name) for name in names}


def _convolution(experiment: Experiment, step: Step, channels: int) -> Convolution:
    return Convolution(
        channels,
        1 if step.name == "dense" else step.kernel_size or experiment.kernel_size,
        strides=step.strides or 1,
        boundary=experiment.boundary,
        weights=experiment.weights,
        **_weights(experiment),
    )


# One row per kind of step; each makes the layer of an experiment, a step, and its output channels.
STEPS: dict[str, Callable[[Experiment, Any, int], keras.layers.Layer]] = {
    "conv": _convolution,
    "dense": _convolution,
    "token_mixing": lambda experiment, step, channels: TokenMixing(**_weights(experiment)),
    "batch_norm": lambda experiment, step, channels: BatchNormalization(experiment.epsilon, experiment.statistics),
    "layer_norm": lambda experiment, step, channels: LayerNormalization(experiment.epsilon),
    "group_norm": lambda experiment, step, channels: GroupNormalization(step.groups, experiment.epsilon),
    "instance_norm": lambda experiment, step, channels: InstanceNormalization(experiment.epsilon),
    "rms_norm": lambda experiment, step, channels: RMSNormalization(experiment.epsilon),
    "activation": lambda experiment, step, channels: Activation(experiment.activation),
    "average_pool": lambda experiment, step, channels: AveragePooling(step.strides),
    "max_pool": lambda experiment, step, channels: MaxPooling(step.strides),
}
DRAWN = (Convolution, TokenMixing)


def make(experiment: Experiment, steps: Iterable[Step], base: int) -> list[keras.layers.Layer]:
    """Return the layers of steps, in a layer of `base` channels."""
    steps = tuple(steps)
    channels, layers = widths(steps, base), []
    for step, inputs, outputs in zip(steps, channels, channels[1:], strict=False):
        layer = STEPS[step.name](experiment, step, outputs)
        if isinstance(layer, Convolution) and not layer.gaussian:
            # What an initializer refuses is refused here, not in the depth of a trace.
            layer.draw_kernel(np.zeros(2, "int32"), inputs)
        layers.append(layer)
    return layers


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


def states_after(
    state: State, layers: Iterable[keras.layers.Layer], weights: Iterator[dict[str, Tensor]]
) -> Iterator[State]:
    """Yield the state after every layer, each of which takes the next weights where it draws some."""
    for layer in layers:
        state = layer(state, **next(weights)) if isinstance(layer, DRAWN) else layer(state)
        yield state


@register
class Block(ExperimentLayer):
    """One layer of an architecture, or one residual unit: a state in, the states at all places out.

    Args:
        experiment: The description.
        stage: The stage whose layers it is, from 0.

    Call arguments:
        state: The state before the layer.
        seeds: Integer tensor of shape (kernels_per_layer, 2): a seed for each kernel.
        kernels: A list of kernels instead of seeds.

    Returns:
        List of states, in the order of the architecture's places; the last is rescaled.

    Reference: equations 1 to 7 of arXiv 1811.03087.
    """

    def __init__(self, experiment: Experiment | dict[str, Any], stage: int = 0, **kwargs: Any):
        super().__init__(experiment, **kwargs)
        row, self.stage = self.experiment.row, stage
        base = row.channels(self.experiment.num_channels)[stage]
        self.steps = [make(self.experiment, row.steps, base) for _ in range(row.num_repeats(self.experiment.res_depth))]
        # Only where it is called: Keras on JAX runs a model twice as long as one of its layers is not built.
        self.add = Add() if row.residual else None
        self.after = make(self.experiment, row.after, base)
        # A normalized signal grows with depth no faster than a power.
        self.rescaling = Rescaling(rescale_signal=not row.normalized)

    def call(self, state: State, seeds: Tensor = None, kernels: Sequence[Tensor] | None = None) -> list[State]:
        """Return the states at all places."""
        weights = iter(
            [{"kernel": kernel} for kernel in kernels]
            if kernels is not None
            else [{"seed": seeds[i]} for i in range(self.experiment.kernels_per_layer)]
        )
        start = State(*state)
        # Places lie along the first repeat of the steps.
        states = [start, *states_after(start, self.steps[0], weights)]
        state = states[-1]
        for repeat in self.steps[1:]:
            *_, state = states_after(state, repeat, weights)
        if self.add is not None:
            states.append(self.add([self.scaled(state), start]))
            states += states_after(states[-1], self.after, weights)
        return [*states[:-1], self.rescaling(states[-1])]

    def scaled(self, branch: State) -> State:
        """Return the branch of a residual unit as it is added."""
        scale = self.experiment.row.residual_scale
        return branch if scale == 1.0 else branch._replace(signal=branch.signal * scale, noise=branch.noise * scale)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "stage": self.stage}


@register
class Transition(ExperimentLayer):
    """What lies between two stages, where the shape of the signal may change.

    Args:
        experiment: The description.
        stage: The stage before it, from 0.

    Call arguments:
        state: The state after the last layer of that stage.
        seeds: Integer tensor of shape (kernels_per_transition, 2): a seed for each kernel.

    Returns:
        The state before the first layer of the next stage, rescaled.
    """

    def __init__(self, experiment: Experiment | dict[str, Any], stage: int = 0, **kwargs: Any):
        super().__init__(experiment, **kwargs)
        row, self.stage = self.experiment.row, stage
        self.steps = make(self.experiment, row.transition, row.channels(self.experiment.num_channels)[stage])
        self.rescaling = Rescaling(rescale_signal=not row.normalized)

    def call(self, state: State, seeds: Tensor = None) -> State:
        """Return the state before the next stage."""
        weights = ({"seed": seeds[i]} for i in range(self.experiment.row.kernels_per_transition))
        *_, state = states_after(State(*state), self.steps, weights)
        return self.rescaling(state)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "stage": self.stage}


@register
class Propagation(ExperimentLayer):
    """All layers of an experiment, with moments taken at the measured layers: for each stage, a loop over one block.

    Args:
        experiment: The description.

    Call arguments:
        state: The state after the first convolution.
        seeds: Integer tensor of shape (num_seeds(experiment), 2); the first belongs to the first convolution, then
            come those of the layers, and those of the transitions.

    Returns:
        Tensor of shape (num_computations, number of arrays): natural logarithms of the moments of
        `experiment.array_names`, one row for each of `experiment.depth`.

    Reference: section 6 of arXiv 1811.03087.
    """

    def __init__(self, experiment: Experiment | dict[str, Any], **kwargs: Any):
        super().__init__(experiment, **kwargs)
        stages = self.experiment.row.stages
        self.blocks = [Block(self.experiment, stage) for stage in range(stages)]
        self.transitions = [Transition(self.experiment, stage) for stage in range(stages - 1)]
        self.measures = [LogMoments(self.experiment.moments_at(place)) for place in self.experiment.row.places]

    def call(self, state: State, seeds: Tensor) -> Tensor:
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
        """Return the state and the table after the next layer that is measured, counted from 0."""
        *state, table = carry
        spacing = self.experiment.spacing

        def layer(index: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(block(State(*state), seeds=self.seeds_of(seeds, index))[-1])

        state = ops.fori_loop(row * spacing, (row + 1) * spacing - 1, layer, tuple(state))
        states = block(State(*state), seeds=self.seeds_of(seeds, (row + 1) * spacing - 1))
        moments = ops.concatenate([measure(at) for measure, at in zip(self.measures, states, strict=True)])
        return *states[-1], ops.slice_update(table, (row, 0), moments[None])

    def seeds_of(self, seeds: Tensor, index: Tensor) -> Tensor:
        """Return the seeds of the kernels of a layer, counted from 0."""
        per_layer = self.experiment.kernels_per_layer
        return ops.slice(seeds, (1 + index * per_layer, 0), (per_layer, 2))

    def seeds_of_transition(self, seeds: Tensor, stage: int) -> Tensor:
        """Return the seeds of the kernels after a stage, which come after those of all layers."""
        count = self.experiment.row.kernels_per_transition
        first = 1 + self.experiment.total_depth * self.experiment.kernels_per_layer + stage * count
        return seeds[first : first + count]


def num_seeds(experiment: Experiment) -> int:
    """Return how many kernels, and thus seeds, a realization needs."""
    of_transitions = (experiment.row.stages - 1) * experiment.row.kernels_per_transition
    return 1 + experiment.total_depth * experiment.kernels_per_layer + of_transitions


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
    network = keras.Model([images, noise, seeds], Propagation(experiment)(state, seeds), name=experiment.name)
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
