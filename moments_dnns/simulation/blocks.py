"""From the steps of an architecture to Keras layers: one layer or residual unit, and the transition of two stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs
import keras
import numpy as np
from jaxtyping import Float, Integer

from moments_dnns.descriptions.experiment import Experiment
from moments_dnns.descriptions.steps import Step, widths
from moments_dnns.layers.activation import Activation
from moments_dnns.layers.convolution import Convolution
from moments_dnns.layers.core import Add, Rescaling
from moments_dnns.layers.linear import OPTIONS, Linear, check_weights
from moments_dnns.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
)
from moments_dnns.layers.pooling import AveragePooling, MaxPooling
from moments_dnns.layers.state import State, Tensor, register
from moments_dnns.layers.token_mixing import TokenMixing


def _weights(experiment: Experiment) -> dict[str, Any]:
    return {name: getattr(experiment, name) for name in OPTIONS}


def _convolution(experiment: Experiment, step: Step, channels: int) -> Convolution:
    return Convolution(
        channels,
        1 if step.name == "dense" else step.kernel_size or experiment.kernel_size,
        strides=step.strides or 1,
        boundary=experiment.boundary,
        weights=experiment.weights,
        **_weights(experiment),
    )


# For each kind of step: what makes its layer from the experiment, the step, and the output channels.
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


def make(experiment: Experiment, steps: Iterable[Step], base: int) -> list[keras.layers.Layer]:
    """Return a Keras layer for each step.

    Args:
        experiment: The description.
        steps: The steps.
        base: The channels that the signal comes with, of which the widths of steps are multiples.

    Raises:
        ValueError: If a kernel of these shapes cannot be drawn by the experiment's initializer.
    """
    steps = tuple(steps)
    channels, layers = widths(steps, base), []
    for step, inputs, outputs in zip(steps, channels, channels[1:], strict=False):
        layer = STEPS[step.name](experiment, step, outputs)
        if isinstance(layer, Convolution) and not layer.gaussian:
            # A shape that an initializer refuses is refused here, where the message still reaches the user.
            layer.draw_kernel(np.zeros(2, "int32"), inputs)
        layers.append(layer)
    return layers


class ExperimentLayer(keras.layers.Layer):
    """Base of the layers that are made from the description of an experiment.

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
    """Yield the state after every layer; each layer with a kernel takes the next seed or kernel of `weights`."""
    for layer in layers:
        state = layer(state, **next(weights)) if isinstance(layer, Linear) else layer(state)
        yield state


@register
class Block(ExperimentLayer):
    """One layer of an architecture, or one residual unit: a state in, the states at all places out.

    Args:
        experiment: The description.
        stage: The stage that the layer is in, counted from 0.

    Call arguments:
        state: The state before the layer.
        seeds: Integer tensor of shape (kernels_per_layer, 2): a seed for each kernel.
        kernels: List of tensors of shape (height, width, inputs, outputs) instead of seeds: the kernels themselves.

    Returns:
        List of states, in the order of the architecture's places; the last one is rescaled.

    Reference: equations 1 to 7 of arXiv 1811.03087.
    """

    def __init__(self, experiment: Experiment | dict[str, Any], stage: int = 0, **kwargs: Any):
        super().__init__(experiment, **kwargs)
        row, self.stage = self.experiment.structure, stage
        base = row.channels(self.experiment.num_channels)[stage]
        self.steps = [make(self.experiment, row.steps, base) for _ in range(row.num_repeats(self.experiment.res_depth))]
        # Made only where it is called: with a layer that is never built, Keras on JAX runs every model twice.
        self.add = Add() if row.residual else None
        self.after = make(self.experiment, row.after, base)
        # A normalized signal grows with depth no faster than a power.
        self.rescaling = Rescaling(rescale_signal=not row.normalized)

    def call(
        self,
        state: State,
        seeds: Integer[Tensor, "kernels 2"] | None = None,
        kernels: Sequence[Float[Tensor, "_ _ _ _"]] = (),
    ) -> list[State]:
        """Return the states at all places."""
        check_weights(seeds, kernels or None)
        weights: Iterator[dict[str, Tensor]] = iter(
            [{"kernel": kernel} for kernel in kernels]
            if seeds is None
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
        scale = self.experiment.structure.residual_scale
        return branch if scale == 1.0 else branch._replace(signal=branch.signal * scale, noise=branch.noise * scale)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "stage": self.stage}


@register
class Transition(ExperimentLayer):
    """The transition from one stage to the next, where the shape of the signal may change.

    Args:
        experiment: The description.
        stage: The stage before it, counted from 0.

    Call arguments:
        state: The state after the last layer of that stage.
        seeds: Integer tensor of shape (kernels_per_transition, 2): a seed for each kernel.

    Returns:
        The state before the first layer of the next stage, rescaled.
    """

    def __init__(self, experiment: Experiment | dict[str, Any], stage: int = 0, **kwargs: Any):
        super().__init__(experiment, **kwargs)
        row, self.stage = self.experiment.structure, stage
        self.steps = make(self.experiment, row.transition, row.channels(self.experiment.num_channels)[stage])
        self.rescaling = Rescaling(rescale_signal=not row.normalized)

    def call(self, state: State, seeds: Integer[Tensor, "kernels 2"]) -> State:
        """Return the state before the next stage."""
        weights = ({"seed": seeds[i]} for i in range(self.experiment.structure.kernels_per_transition))
        *_, state = states_after(State(*state), self.steps, weights)
        return self.rescaling(state)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "stage": self.stage}
