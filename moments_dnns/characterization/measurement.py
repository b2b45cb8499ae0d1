"""A model made ready to be measured: realizations of the moments behind its layers, by their index."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import keras
import numpy as np

from moments_dnns import _keras_internals as internals
from moments_dnns import _seeds
from moments_dnns._validation import one_of, refusal, text, whole
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.descriptions.choices import STATISTICS
from moments_dnns.execution.chunks import Chunk
from moments_dnns.moments import by_kept_name, from_logarithms

from .behaviour import tell_of_behaviour
from .facts import layer_facts
from .forward import Forward, passes
from .inputs import Feed
from .network import network, parts_of
from .noise import chosen_noise, drawn_cotangents, drawn_noise, given_noise, noise_label
from .ranks import attentions, ranked
from .recording import unchanged
from .route import Route, channels_first, integers_among, route, without_idle
from .tracing import trace
from .weights import Weights, weights


@contextmanager
def untouched(model: keras.Model) -> Iterator[None]:
    """Give back a model, and what Keras keeps for the process, as they were: all work on a model happens within."""
    with unchanged([model, *parts_of(model)]), internals.own_globals(keras.random.SeedGenerator(0)):
        yield


@attrs.frozen(eq=False)
class Measurement:
    """What realizations of a model are made from. Prepare and use it within `untouched`.

    Args:
        description: The description.
        forward: The pass through the model.
        values: The values of its variables.
        noise: The noise that was given, or None where it is drawn.
        run: The compiled pass.
        settings: The hash of the settings of all layers.
    """

    description: Characterization
    forward: Forward
    values: Weights
    noise: Sequence[np.ndarray | None]
    run: Callable[[Sequence[Any], Sequence[np.ndarray], Sequence[np.ndarray]], np.ndarray]
    settings: str

    @classmethod
    def prepare(
        cls,
        model: keras.Model,
        fed: Feed,
        *,
        noise: Any,
        num_realizations: int,
        reinitialize: bool,
        layers: str | Sequence[str],
        depth: int,
        seed: int,
        compute_reff_signal: bool,
        compute_reff_noise: bool,
        ranks: str | Sequence[str],
        statistics: str,
        gradients: bool,
        tokens: bool,
    ) -> Measurement:
        """Trace a model and find out what can be measured of it.

        Args:
            model: The model.
            fed: Its inputs.
            noise: As that of `characterize`, as are all that follow.
            num_realizations: See there.
            reinitialize: See there.
            layers: See there.
            depth: See there.
            seed: See there.
            compute_reff_signal: See there.
            compute_reff_noise: See there.
            ranks: See there.
            statistics: See there.
            gradients: See there.
            tokens: See there.

        Raises:
            TypeError, ValueError: If an argument is refused, or the backend cannot trace the model.
        """
        patterns, patterns_of_ranks = _patterns("layers", layers), _patterns("ranks", ranks)
        whole(0)("depth", depth)
        one_of(STATISTICS)("statistics", statistics)
        chosen = chosen_noise(noise, fed)
        traced = trace(attrs.evolve(network(model, fed), attention=tokens), reinitialize)
        net = traced.net
        noisy = without_idle(traced, list(chosen))
        path = route(traced, noisy, integers_among(traced, noisy, fed), patterns, depth)
        given = given_noise(chosen, path)
        tell_of_behaviour(traced)
        values = weights(model, traced.variables, reinitialize)
        description = Characterization(
            model.name,
            path.names,
            path.parents,
            num_realizations,
            _batch_shape(path, fed),
            fed.label,
            noise=noise_label(given, path),
            reinitialize=reinitialize,
            seed=seed,
            compute_reff_signal=compute_reff_signal,
            compute_reff_noise=compute_reff_noise,
            ranked=ranked(path, patterns_of_ranks),
            sha256=_hash(traced.sha256, model, with_weights=not reinitialize),
            statistics=statistics,
            gradients=gradients,
            tokens=tokens,
            shapes=_shapes(path, fed, channels_first(net.parts)) if gradients or tokens else (),
            attention=attentions(path) if tokens else (),
        )
        names = description.array_names
        at_places = zip(*(description.is_taken(name) for name in names), strict=True)
        forward = Forward(
            net,
            path,
            traced.variables,
            names,
            [tuple(name for name, here in zip(names, each, strict=True) if here) for each in at_places],
            reinitialize,
            channels_first(net.parts),
            statistics == "differentiated",
            traced.outputs if gradients else (),
        )
        return cls(description, forward, values, given, passes(forward), traced.sha256)

    def described(self, model: keras.Model) -> Characterization:
        """Return the description with the hash of the weights that the model has now, where these are kept."""
        return attrs.evolve(
            self.description, sha256=_hash(self.settings, model, with_weights=not self.description.reinitialize)
        )

    def facts(self) -> dict[str, Any]:
        """Return what causes are found from, for the provenance: see `facts.layer_facts`."""
        first = self.values.values(_seeds.of_realization(self.description.seed, 0))
        return layer_facts(self.forward, self.values, first)

    def stream(self, realizations: Iterable[int]) -> Iterator[Chunk]:
        """Yield some realizations, one by one."""
        for index in realizations:
            seed = _seeds.of_realization(self.description.seed, index)
            noises = drawn_noise(self.noise, self.forward.path, self.forward.net.fed, seed)
            cotangents = drawn_cotangents(self.forward.outputs, seed)
            logarithms = self.run(self.values.values(seed), noises, cotangents)[None]
            arrays = from_logarithms(self.description.array_names, logarithms)
            problems = *self.description.out_of_range([index], arrays, logarithms), *self._constant(index, arrays)
            yield Chunk((index,), by_kept_name(self.description.array_names, logarithms), problems)

    def _constant(self, index: int, arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
        constant = np.flatnonzero((arrays["mu2_signal"][0] == 0) & np.isfinite(arrays["log_mu2_noise"][0]))
        if constant.size:
            first = self.description.layers[constant[0]]
            yield f"realization {index}: the signal does not vary at layer {first}, where chi is infinite"


def _patterns(name: str, value: Any) -> list[str]:
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, Sequence) or not patterns:
        raise TypeError(refusal(f"{name} must be a pattern of names, or several.", **{name: value}))
    return [text(name, pattern) for pattern in patterns]


def _batch_shape(path: Route, fed: Feed) -> tuple[int, ...]:
    name = path.inputs[0] if path.inputs else fed.names[0]
    shape: tuple[int, ...] = fed.arrays[fed.names.index(name)].shape
    return shape


def _shapes(path: Route, fed: Feed, channels_first: bool) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of all that is measured without the batch, channels last."""
    arrays = dict(zip(fed.names, fed.arrays, strict=True))
    shapes = [*(arrays[name].shape[1:] for name in path.inputs)]
    shapes += [place.shape[1:] for place in (*path.begins, *path.places)]
    return tuple((*shape[1:], shape[0]) if channels_first and len(shape) > 1 else tuple(shape) for shape in shapes)


def _hash(settings: str, model: keras.Model, with_weights: bool) -> str:
    """Return the hash of what is called with what settings, and perhaps of the weights."""
    digest = hashlib.sha256(settings.encode())
    for variable in model.weights if with_weights else ():
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(keras.ops.copy(variable))).data)
    return digest.hexdigest()
