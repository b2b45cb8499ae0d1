"""`rescale`: weights of a Keras model set so that the signal keeps its scale, from data, layer by layer."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import attrs
import keras
import numpy as np
from keras import ops

from moments_dnns._validation import boolean, one_of, positive, refusal, warn

from .branches import branch_ends
from .inputs import feed
from .kernels import kernels_of
from .measurement import untouched
from .network import network
from .recording import level, recording, replaced
from .tracing import trace

# How often a kernel is multiplied at most: once is enough but for layers with biases, or with more than a product.
MOST_STEPS = 30

MOMENTS = ("nu2", "mu2")
BRANCHES = ("keep", "depth")


@attrs.frozen
class Rescaled:
    """A weight that `rescale` changes.

    Args:
        layer: The name of the layer.
        weight: The name of the weight.
        factor: By what it is multiplied.
        before: The moment of the layer's output before.
        target: The moment afterwards.

    Example:

    >>> str(Rescaled("conv1", "kernel", 1.4142, 0.5, 1.0))
    'conv1: kernel times 1.41, 0.5 becomes 1'
    """

    layer: str
    weight: str
    factor: float
    before: float
    target: float

    def __str__(self) -> str:
        return f"{self.layer}: {self.weight} times {self.factor:.3g}, {self.before:.3g} becomes {self.target:.3g}"


def rescale(
    model: keras.Model,
    inputs: Any,
    *,
    moment: str = "nu2",
    branches: str = "keep",
    tolerance: float = 0.01,
    dry_run: bool = False,
) -> tuple[Rescaled, ...]:
    """Multiply the kernels of a Keras model by numbers with which the signal keeps its scale, and return these.

    In the order in which the model runs them, every layer with a kernel gets the mean square 1 of what it computes
    before its activation: `nu2(y) = E y^2 = 1` over the batch, space and channels. The next layer is measured with the
    ones before it rescaled. For independent inputs the kernels' standard deviations become `gain / sqrt(fan_in)`, with
    the gain `1 / sqrt(E phi(z)^2)` of the activation phi before the layer, z ~ N(0, 1): sqrt(2) behind a ReLU.

    This is the only function of the library that changes a model. Nothing is changed where it is in the tolerance
    already, so that a second call does nothing; nor are kernels of zeros, which are meant to be.

    Args:
        model: A built model; batch normalizations take the statistics of the batch.
        inputs: What goes into the model, as for `characterize`: as many as a training batch, or more.
        moment: `"nu2"`, the mean square; or `"mu2"`, the variance over the batch, as batch normalization would make it.
        branches: `"keep"`, or `"depth"`: the last kernel or scale of each of L residual branches is set to the moment
            1 / L, so that all of them together change the signal as much as it is large.
        tolerance: How far a moment may be from its target, relative to it.
        dry_run: Whether the weights stay as they are, and are only reported.

    Returns:
        The weights that were changed, in the order in which the model runs, or would be.

    Raises:
        TypeError, ValueError: If an argument is refused, or the model cannot be traced.

    Example:

    >>> make = lambda i: keras.layers.Dense(64, "relu", kernel_initializer="lecun_normal", name=f"dense{i}")
    >>> model = keras.Sequential([keras.Input((64,)), make(0), make(1), make(2)])
    >>> images = np.random.default_rng(0).normal(0, 2, (256, 64))
    >>> [change.layer for change in rescale(model, images)], rescale(model, images)
    (['dense0', 'dense1', 'dense2'], ())

    Reference: arXiv 1511.06422 (LSUV) and 2109.08958 (AutoInit); arXiv 2206.03126 for branches.
    """
    one_of(MOMENTS)("moment", moment)
    one_of(BRANCHES)("branches", branches)
    positive("tolerance", tolerance)
    boolean("dry_run", dry_run)
    if not isinstance(model, keras.Model):
        raise TypeError(refusal("model must be a keras.Model.", model=type(model).__name__))
    fed = feed(model, inputs)
    with untouched(model):
        net = network(model, fed)
        ends = branch_ends(trace(net, batch_statistics=True)) if branches == "depth" else []
        targets = {id(part): 1 / len(ends) for part in ends}
        rescaler = Rescaler(moment, targets, tolerance)
        # Weights change in this scope alone, so that an error, or a dry run, leaves the model as it was.
        with keras.StatelessScope() as scope, ExitStack() as stack:
            rescaler.level = level()
            for part in net.parts:
                if id(part) in targets or _has_kernel(part):
                    stack.enter_context(replaced(part, call=rescaler.wrapped(part)))
            with recording(net, batch_statistics=True):
                net([ops.convert_to_tensor(array) for array in fed.arrays])
            values = [(variable, scope.get_current_value(variable)) for variable in rescaler.variables]
    if left := rescaler.left:
        warn(f"layers that no factor brings to their target are left as they are: {', '.join(left)}")
    if not dry_run:
        for variable, value in values:
            variable.assign(value)
    return tuple(rescaler.changes)


class Rescaler:
    """Rescales the layers of a model while it runs, each when it is called for the first time.

    Args:
        moment: `"nu2"` or `"mu2"`.
        targets: The moments of the outputs of some layers, by identity; 1 for all others.
        tolerance: How far a moment may be from its target, relative to it.

    Attributes:
        level: What `recording.level` returns where the model is called.
        changes: What was changed.
        variables: The variables of which that is true.
        left: The names of layers that cannot be brought to their target.
    """

    def __init__(self, moment: str, targets: dict[int, float], tolerance: float):
        self.moment, self.targets, self.tolerance = moment, targets, tolerance
        self.level: Any = None
        self.changes: list[Rescaled] = []
        self.variables: list[Any] = []
        self.left: list[str] = []
        self._done: set[int] = set()

    def wrapped(self, part: Any) -> Callable[..., Any]:
        """Return the call of a layer, before which its kernel is rescaled."""
        call = part.call

        @functools.wraps(call)
        def rescaled(*args: Any, **kwargs: Any) -> Any:
            # Within a loop there are no numbers.
            if id(part) not in self._done and level() == self.level:
                self._done.add(id(part))
                self._rescale(part, functools.partial(_linear_output, part, call, args, kwargs))
            return call(*args, **kwargs)

        return rescaled

    def _rescale(self, part: Any, output: Callable[[], Any]) -> None:
        variable, target = _factor(part), self.targets.get(id(part), 1.0)
        start = ops.convert_to_numpy(variable)
        before = now = self._moment(output())
        if not start.any() or not 0 < before < math.inf:
            return
        factor, steps = 1.0, 0
        while abs(now / target - 1) > self.tolerance and steps < MOST_STEPS:
            factor, steps = factor * math.sqrt(target / now), steps + 1
            variable.assign(start * start.dtype.type(factor))
            now = self._moment(output())
        if not abs(now / target - 1) <= self.tolerance:
            variable.assign(start)
            self.left.append(str(part.name))
        elif steps:
            self.changes.append(Rescaled(str(part.name), str(variable.name), factor, before, target))
            self.variables.append(variable)

    def _moment(self, output: Any) -> float:
        numbers = np.asarray(ops.convert_to_numpy(ops.cast(output, "float32")), np.float64)
        if self.moment == "nu2":
            return float(np.square(numbers).mean())
        return float(numbers.reshape(-1, numbers.shape[-1]).var(axis=0).mean())


def _has_kernel(part: Any) -> bool:
    if isinstance(part, keras.layers.RNN):
        return _cell_kernel(part) is not None
    is_cell = hasattr(part, "state_size")  # which is run by the recurrent layer that holds it
    return not is_cell and next(kernels_of(part), None) is not None


def _factor(part: Any) -> Any:
    """Return the weight by which the output of a layer is multiplied: its last kernel, or its scale."""
    if (of_cell := _cell_kernel(part)) is not None:
        return of_cell
    kernels = [kernel.variable for kernel in kernels_of(part)]
    return kernels[-1] if kernels else part.gamma


def _cell_kernel(part: Any) -> Any:
    """Return the kernel by which a recurrent layer multiplies its inputs, or None."""
    cell = getattr(part, "cell", None)
    kernel = getattr(cell, "kernel", None)
    return kernel if isinstance(part, keras.layers.RNN) and len(getattr(kernel, "shape", ())) == 2 else None


def _linear_output(part: Any, call: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Return what a layer computes before its activation."""
    if (kernel := _cell_kernel(part)) is not None:
        return ops.matmul(args[0], ops.cast(kernel, args[0].dtype))
    linear = {"activation": keras.activations.linear} if hasattr(part, "activation") else {}
    with replaced(part, **linear):
        return call(*args, **kwargs)
