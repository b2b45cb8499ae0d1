"""Signal and noise of all places of a model in one pass, and the moments of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import attrs
import keras
import numpy as np
from keras import ops

from moments_dnns._backend import compiled, few_optimizations, product_precision
from moments_dnns._validation import refusal
from moments_dnns.layers.core import InitialState
from moments_dnns.layers.derivative import jvp
from moments_dnns.layers.measurement import LogMoments
from moments_dnns.layers.state import State, Tensor
from moments_dnns.moments import MOMENTS

from .failures import undifferentiable
from .network import Network
from .recording import recording
from .route import Route

# The noise is brought through at powers of two, one such step apart, where a magnitude leaves float32's range.
STEP = 100

# Below this, noise loses digits to numbers that float32 cannot hold.
SMALLEST = 2.0**-90

# How many steps are tried in each direction: over 4000 dB.
NUM_STEPS = 8


@attrs.frozen(eq=False)
class Forward:
    """What a pass through a model needs to know, all but the values of variables, inputs and noise.

    Args:
        net: The model.
        path: The route of the noise.
        variables: The variables that the model reads.
        moments: Names of the moments that are taken.
        ranked: The positions, among all that is measured, of what effective ranks are taken of; they are not a number
            elsewhere.
        batch_statistics: Whether batch normalization takes the statistics of the batch.
        channels_first: Whether the channels are behind the batch, instead of last.
    """

    net: Network
    path: Route
    variables: Sequence[Any]
    moments: Sequence[str]
    ranked: Sequence[int]
    batch_statistics: bool
    channels_first: bool

    def __call__(self, values: Sequence[Tensor], inputs: Sequence[Tensor], noises: Sequence[Tensor]) -> Tensor:
        """Return a row for each place: the logarithms of its moments, and the largest magnitude of its noise."""
        inputs = list(inputs)
        noisy = [self.net.fed.names.index(name) for name in self.path.inputs]
        begins = [ops.zeros(place.shape, "float32") for place in self.path.begins]

        def function(*tensors: Tensor) -> list[Tensor]:
            for index, tensor in zip(noisy, tensors, strict=False):
                inputs[index] = tensor
            added = dict(zip((place.name for place in self.path.begins), tensors[len(noisy) :], strict=True))
            with (
                keras.StatelessScope(list(zip(self.variables, values, strict=True)), initialize_variables=False),
                recording(self.net, self.batch_statistics, added) as recorder,
            ):
                outputs = self.net(inputs)
            returned = [*(call.outputs for call in recorder.calls), outputs]
            measured = [returned[place.call][place.output] for place in (*self.path.begins, *self.path.places)]
            return [ops.cast(tensor, "float32") for tensor in (*tensors[: len(noisy)], *measured)]

        signals, tangents = jvp(function, [*(inputs[index] for index in noisy), *begins], noises)
        # Compiled by themselves: places of one shape share what is traced of it, which is most of all there is.
        measures = {ranks: compiled(partial(self.measure, ranks), within=True) for ranks in (False, True)}
        pairs = enumerate(zip(signals, tangents, strict=True))
        return ops.stack([measures[place in self.ranked](signal, noise) for place, (signal, noise) in pairs])

    def measure(self, ranks: bool, signal: Tensor, noise: Tensor) -> Tensor:
        """Return the row of one place, with its effective ranks or without."""
        largest = ops.max(ops.abs(noise))
        # A number for each element of the batch is one channel.
        signal, noise = (x if len(x.shape) > 1 else x[:, None] for x in (signal, noise))
        if self.channels_first and len(signal.shape) > 2:
            signal, noise = (ops.moveaxis(x, 1, -1) for x in (signal, noise))
        state = InitialState(dtype="float32").call(signal, noise)
        taken = [name for name in self.moments if ranks or not MOMENTS[name].only_activated]
        logarithms = LogMoments(taken, dtype="float32").call(State(*state))
        columns = dict(zip(taken, ops.unstack(logarithms, len(taken)), strict=True))
        nothing = ops.full((), np.nan, "float32")
        return ops.stack([*(columns.get(name, nothing) for name in self.moments), largest])


class Passed(NamedTuple):
    """What one pass has given: logarithms of moments, and of each place whether its noise kept its digits."""

    logarithms: np.ndarray
    largest: np.ndarray


def passes(forward: Forward) -> Callable[[Sequence[Any], Sequence[np.ndarray]], np.ndarray]:
    """Return the function that maps values of variables and noises to logarithms of moments, place by place.

    Noise is propagated at another scale where it leaves float32's range, as everything is linear in it.
    """
    run = compiled(forward)
    inputs = [ops.convert_to_tensor(array) for array in forward.net.fed.arrays]
    noise_columns = [name for name, each in enumerate(forward.moments) if each == "log_mu2_noise"]

    def at_scale(values: Sequence[Any], noises: Sequence[np.ndarray], step: int) -> Passed:
        scaled = [ops.convert_to_tensor(noise * noise.dtype.type(2.0 ** (STEP * step))) for noise in noises]
        try:
            with product_precision("float32"), few_optimizations():
                table = np.asarray(ops.convert_to_numpy(run(values, inputs, scaled)), np.float64)
        except Exception as error:
            raise ValueError(refusal(undifferentiable(error), backend=keras.backend.backend())) from error
        table[:, noise_columns] -= 2 * np.log(2.0) * STEP * step
        return Passed(table[:, :-1], table[:, -1])

    def run_all(values: Sequence[Any], noises: Sequence[np.ndarray]) -> np.ndarray:
        values = [ops.convert_to_tensor(value) for value in values]
        tried = {0: at_scale(values, noises, 0)}
        for direction, is_out in ((-1, _too_large), (1, _too_small)):
            step, num_out = 0, len(forward.path.parents) + 1
            while (
                abs(step) < NUM_STEPS
                and 0 < (left := is_out(tried[step].largest, forward.path.parents).sum()) < num_out
            ):
                step, num_out = step + direction, left
                tried[step] = at_scale(values, noises, step)
        return best(tried, forward.path.parents)

    return run_all


def _too_large(largest: np.ndarray, parents: Sequence[Sequence[int]]) -> np.ndarray:
    return ~np.isfinite(largest)


def _too_small(largest: np.ndarray, parents: Sequence[Sequence[int]]) -> np.ndarray:
    """Tell of every place whether its noise lost digits; one that is zero behind large noise is zero."""
    lost = np.zeros(len(largest), bool)
    for place, above in enumerate(parents):
        lost[place] = 0 < largest[place] < SMALLEST or (largest[place] == 0 and any(lost[each] for each in above))
    return lost


def best(tried: dict[int, Passed], parents: Sequence[Sequence[int]]) -> np.ndarray:
    """Return each place's logarithms from the pass in which the fewest places above it were out of range."""
    steps = sorted(tried, key=abs)
    if len(steps) == 1:
        return tried[0].logarithms
    out = []
    for step in steps:
        bad = _too_large(tried[step].largest, parents) | _too_small(tried[step].largest, parents)
        worst: list[set[int]] = []
        for place, above in enumerate(parents):
            worst.append(set().union(*(worst[each] for each in above), {place} if bad[place] else set()))
        out.append([len(each) for each in worst])
    chosen = np.argmin(np.array(out), axis=0)
    return np.stack([tried[steps[step]].logarithms[place] for place, step in enumerate(chosen)])
