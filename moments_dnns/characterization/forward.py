"""Signal, noise and gradients of all places of a model in one pass, and the moments of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import attrs
import keras
import numpy as np
from keras import ops

from moments_dnns._backend import few_optimizations, product_precision
from moments_dnns._validation import refusal
from moments_dnns.layers.derivative import Derivatives, jvp, jvp_and_vjp
from moments_dnns.layers.state import Tensor
from moments_dnns.moments import MODEL_MOMENTS

from .failures import undifferentiable
from .network import Network
from .place_moments import shared
from .recording import recording
from .reuse import compiled_once
from .route import Route
from .tracing import Place

# Noise and cotangents go through at powers of two, one such step apart, where a magnitude leaves float32's range.
STEP = 100

# Below this, noise loses digits to numbers that float32 cannot hold.
SMALLEST = 2.0**-90

# How many steps are tried in each direction: over 4000 dB.
NUM_STEPS = 8


@attrs.frozen(eq=False)
class Forward:
    """What a pass through a model needs to know, all but the values of variables, inputs, noise and cotangents.

    Args:
        net: The model.
        path: The route of the noise.
        variables: The variables that the model reads.
        moments: Names of the moments that are taken.
        taken: For each of what is measured, names of the moments that are taken there; others are not a number.
        batch_statistics: Whether batch normalization takes the statistics of the batch.
        channels_first: Whether the channels are behind the batch, instead of last.
        differentiated: Whether derivatives go through the statistics of the batch.
        outputs: The outputs of the model at which gradients begin; none where these are not taken.
    """

    net: Network
    path: Route
    variables: Sequence[Any]
    moments: Sequence[str]
    taken: Sequence[tuple[str, ...]]
    batch_statistics: bool
    channels_first: bool
    differentiated: bool = False
    outputs: Sequence[Place] = ()

    def __call__(
        self,
        values: Sequence[Tensor],
        inputs: Sequence[Tensor],
        noises: Sequence[Tensor],
        cotangents: Sequence[Tensor] = (),
    ) -> Tensor:
        """Return a row for each place: its moments, then the largest magnitudes of its noise and of its gradient."""
        passed = self.derivatives(values, inputs, noises, cotangents)
        rows = []
        for taken, *tensors in zip(self.taken, *(each for each in passed if each), strict=True):
            measure = shared(tuple(self.moments), taken, self.channels_first, tuple(tensors[0].shape))
            rows.append(measure(*tensors))
        return ops.stack(rows)

    def derivatives(
        self,
        values: Sequence[Tensor],
        inputs: Sequence[Tensor],
        noises: Sequence[Tensor],
        cotangents: Sequence[Tensor] = (),
    ) -> Derivatives:
        """Return the signal, the noise and, with cotangents of the outputs, the gradient of every place."""
        noisy = [self.net.fed.names.index(name) for name in self.path.inputs]
        # Gradients with respect to a place are those with respect to zeros that are added there.
        places = [*self.path.begins, *(self.path.places if cotangents else ())]
        zeros = [ops.zeros(place.shape, "float32") for place in places]
        primals = [*(inputs[index] for index in noisy), *zeros]

        def function(*tensors: Tensor) -> list[Tensor]:
            fed = list(inputs)
            for index, tensor in zip(noisy, tensors, strict=False):
                fed[index] = tensor
            returned = self.returned(values, fed, dict(zip(_names(places), tensors[len(noisy) :], strict=True)))
            measured = (*self.path.begins, *self.path.places, *self.outputs)
            tensors = (*tensors[: len(noisy)], *(returned[place.call][place.output] for place in measured))
            return [ops.cast(tensor, "float32") for tensor in tensors]

        if not cotangents:
            return Derivatives(*jvp(function, primals, noises), [])
        passed = jvp_and_vjp(function, primals, noises, cotangents)
        count = len(self.path.parents)
        gradients = [ops.cast(gradient, "float32") for gradient in passed.gradients]
        return Derivatives(passed.outputs[:count], passed.tangents[:count], gradients)

    def returned(
        self, values: Sequence[Tensor], inputs: Sequence[Tensor], added: Mapping[str, Tensor] | None = None
    ) -> list[Any]:
        """Return what every call of a part of the model returns, and what the model does.

        Args:
            values: The values of the variables.
            inputs: The inputs.
            added: Tensors to add to outputs, by the names of calls.
        """
        with (
            keras.StatelessScope(list(zip(self.variables, values, strict=True)), initialize_variables=False),
            recording(self.net, self.batch_statistics, added, differentiated=self.differentiated) as recorder,
        ):
            outputs = self.net(inputs)
        return [*(call.outputs for call in recorder.calls), outputs]


def _names(places: Sequence[Place]) -> list[str]:
    return [place.name for place in places]


class Passed(NamedTuple):
    """What one pass has given: logarithms of moments, and of each place whether its noise kept its digits."""

    logarithms: np.ndarray
    largest: np.ndarray


@attrs.frozen(eq=False)
class Way:
    """A way through the places of a model: that of the noise forwards, or that of gradients backwards.

    Args:
        columns: Of a table of moments, those that are taken along this way.
        linear: Those of them that are logarithms of squares of what goes this way.
        largest: The column of the largest magnitude.
        parents: For each place in the order of the way, the positions of those before it.
        backwards: Whether the order is that of the table turned round.
    """

    columns: Sequence[int]
    linear: Sequence[int]
    largest: int
    parents: Sequence[Sequence[int]]
    backwards: bool = False

    def turned(self, table: np.ndarray) -> np.ndarray:
        """Return a table with its places in the order of the way, or back in their own."""
        return table[::-1] if self.backwards else table

    def passed(self, table: np.ndarray) -> Passed:
        """Return what a pass has given along the way."""
        table = self.turned(table)
        return Passed(table[:, self.columns], table[:, self.largest])


def ways(forward: Forward) -> list[Way]:
    """Return the ways of noise and gradients."""
    parents, names = forward.path.parents, forward.moments
    of_gradient = [column for column, name in enumerate(names) if MODEL_MOMENTS[name].of == "gradient"]
    others = [column for column in range(len(names)) if column not in of_gradient]
    found = [Way(others, [column for column in others if names[column] == "log_mu2_noise"], len(names), parents)]
    if forward.outputs:
        last = len(parents) - 1
        children = [
            [last - child for child, above in enumerate(parents) if place in above] for place in range(last + 1)
        ]
        linear = [column for column in of_gradient if names[column] == "log_mu2_gradient"]
        found.append(Way(of_gradient, linear, len(names) + 1, children[::-1], backwards=True))
    return found


def passes(forward: Forward) -> Callable[[Sequence[Any], Sequence[np.ndarray], Sequence[np.ndarray]], np.ndarray]:
    """Return the function that maps values of variables, noises and cotangents to moments, place by place.

    Noise and cotangents are propagated at another scale where they leave float32's range, as everything is linear in
    them.
    """
    run = compiled_once(forward)
    inputs = [ops.convert_to_tensor(array) for array in forward.net.fed.arrays]
    along = ways(forward)

    def at_scale(values: Sequence[Any], drawn: Sequence[Sequence[np.ndarray]], step: int) -> np.ndarray:
        scaled = [[ops.convert_to_tensor(_scaled(array, step)) for array in arrays] for arrays in drawn]
        try:
            with product_precision("float32"), few_optimizations():
                table = np.asarray(ops.convert_to_numpy(run(values, inputs, *scaled)), np.float64)
        except Exception as error:
            raise ValueError(refusal(undifferentiable(error), backend=keras.backend.backend())) from error
        for way in along:
            table[:, way.linear] -= 2 * np.log(2.0) * STEP * step
        return table

    def run_all(
        values: Sequence[Any], noises: Sequence[np.ndarray], cotangents: Sequence[np.ndarray] = ()
    ) -> np.ndarray:
        values = [ops.convert_to_tensor(value) for value in values]
        drawn = [noises, cotangents]
        tried = {0: at_scale(values, drawn, 0)}
        for direction, is_out in ((-1, _too_large), (1, _too_small)):
            step, num_out = 0, len(along) * len(forward.path.parents) + 1
            while abs(step) < NUM_STEPS and 0 < (left := _count(is_out, along, tried[step])) < num_out:
                step, num_out = step + direction, left
                tried[step] = at_scale(values, drawn, step)
        table = np.empty((len(forward.path.parents), len(forward.moments)))
        for way in along:
            passed = {step: way.passed(each) for step, each in tried.items()}
            table[:, way.columns] = way.turned(best(passed, way.parents))
        return table

    return run_all


def _scaled(array: np.ndarray, step: int) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):  # what leaves the range counts as out of it
        scaled: np.ndarray = array * array.dtype.type(2.0 ** (STEP * step))
    return scaled


def _count(is_out: Callable[..., np.ndarray], along: Sequence[Way], table: np.ndarray) -> int:
    return sum(int(is_out(way.passed(table).largest, way.parents).sum()) for way in along)


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
        infinite = _too_large(tried[step].largest, parents)
        bad = infinite | _too_small(tried[step].largest, parents)
        worst: list[set[int]] = []
        for place, above in enumerate(parents):
            worst.append(set().union(*(worst[each] for each in above), {place} if bad[place] else set()))
        # What lost digits is better than what is no number.
        out.append([len(each) + len(parents) * int(lost) for each, lost in zip(worst, infinite, strict=True)])
    chosen = np.argmin(np.array(out), axis=0)
    return np.stack([tried[steps[step]].logarithms[place] for place, step in enumerate(chosen)])
