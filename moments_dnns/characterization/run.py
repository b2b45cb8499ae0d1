"""Any Keras model: signal and noise along its layers, from its weights or from fresh ones."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from tqdm.auto import tqdm

from moments_dnns import _keras_internals as internals
from moments_dnns import _seeds
from moments_dnns._backend import describe_device
from moments_dnns._validation import boolean, refusal, text, warn, whole
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.moments import by_kept_name, from_logarithms
from moments_dnns.results.interruption import interruptible
from moments_dnns.results.moments import Moments
from moments_dnns.results.writers import SECONDS_BETWEEN_COMMITS, SHARE_OF_COMMITS, Writer, check_writable, open_writer

from .behaviour import tell_of_behaviour
from .facts import layer_facts
from .forward import Forward, passes
from .inputs import Feed, feed
from .network import network, parts_of
from .noise import chosen_noise, drawn_noise, given_noise, noise_label
from .recording import unchanged
from .route import Route, channels_first, integers_among, route, without_idle
from .tracing import Trace, trace
from .weights import Weights, weights


def characterize(
    model: keras.Model,
    inputs: Any,
    *,
    noise: Any = "normal",
    num_realizations: int = 1,
    reinitialize: bool = True,
    layers: str | Sequence[str] = "*",
    depth: int = 0,
    seed: int = 0,
    name_experiment: str | None = None,
    compute_reff_signal: bool = True,
    compute_reff_noise: bool = True,
    verbose: bool = True,
    overwrite: bool = False,
) -> Moments[Characterization]:
    """Propagate inputs and a noise through a Keras model and return the moments behind its layers.

    The noise is an infinitesimal perturbation of the inputs, which every layer maps with its exact derivative. Batch
    normalization takes the statistics of the batch, as constants for the noise, where weights are drawn afresh, and
    the stored ones where they are kept. Dropout is off. The model runs as it is, and is not changed.

    Args:
        model: A built model of any kind: functional, sequential, nested, subclassed, compiled or not, with layers of
            one's own.
        inputs: What goes into the model, as it is: bring it to the scale that the model expects. An array of shape
            (batch, ..., channels), of any number of axes; of a model with several inputs, a list or a mapping from
            their names to arrays; or a `tf.data.Dataset`, a generator and the like, of which the first batch is taken.
        noise: `"normal"`, i.i.d. N(0, 1) and drawn for every realization, on every floating-point input. Or an array of
            the shape of an input, the names of the inputs that have noise, or a mapping from names to `"normal"` or
            arrays. The noise of integers begins behind the first layer that makes numbers of them: an embedding.
        num_realizations: How often weights and noise are drawn.
        reinitialize: Whether all weights are drawn afresh, by the initializers of the layers, for every realization.
            Otherwise they are the model's own.
        layers: Pattern of the names of layers to measure, or several; `*` matches anything. Layers within a layer or a
            model are named `block/layer`. The input is always measured.
        depth: How many levels of layers within layers are opened; 0 for all.
        seed: The only source of randomness. Realization k has the same numbers whatever `num_realizations`.
        name_experiment: Folder below `npy/` in which the moments are saved; the same call continues or extends them.
        compute_reff_signal: Whether to take effective ranks of the signal.
        compute_reff_noise: Whether to take effective ranks of the noise.
        verbose: Whether to show a progress bar.
        overwrite: Whether another experiment of that name is replaced, once the first realizations are saved.

    Returns:
        Moments, a mapping from names to arrays of shape (num_realizations, number of layers): `nu1_abs_signal`,
        `nu2_signal`, `mu2_signal`, `mu4_signal`, `log_mu2_noise`, `reff_signal`, `reff_noise`, and what follows from
        them, `chi`, `log_chi` and `log_growth`, the logarithm of chi over that of a layer's inputs taken together;
        `layer` holds the names.

    Raises:
        TypeError, ValueError: If an argument is refused, or the backend cannot trace or differentiate the model.
        FileExistsError: If there is another experiment of that name.
        BlockingIOError: If another process writes to the experiment of that name now.
        KeyboardInterrupt: On Ctrl-C; with a name, what was finished is saved.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(16, 3, activation="relu", name="conv")])
    >>> images = np.random.default_rng(0).normal(size=(4, 8, 8, 3))
    >>> moments = characterize(model, images, num_realizations=2, verbose=False)
    >>> moments["layer"].tolist(), moments["chi"].shape
    (['input', 'conv'], (2, 2))

    Reference: section 3 of arXiv 1811.03087, for the moments and the convention of batch normalization.
    """
    for flag, value in {"reinitialize": reinitialize, "verbose": verbose, "overwrite": overwrite}.items():
        boolean(flag, value)
    if not isinstance(model, keras.Model):
        raise TypeError(refusal("model must be a keras.Model.", model=type(model).__name__))
    patterns = _patterns(layers)
    whole(0)("depth", depth)
    fed = feed(model, inputs)
    chosen = chosen_noise(noise, fed)
    generator = keras.random.SeedGenerator(0)
    with unchanged([model, *parts_of(model)]), internals.own_globals(generator):
        net = network(model, fed)
        traced = trace(net, reinitialize)
        noisy = without_idle(traced, list(chosen))
        path = route(traced, noisy, integers_among(traced, noisy, fed), patterns, depth)
        given = given_noise(chosen, path)
        tell_of_behaviour(net.parts, traced, path, reinitialize)
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
            sha256=_hash(traced, model, with_weights=not reinitialize),
        )
        check_writable(name_experiment, description, overwrite)
        first = values.values(_seeds.of_realization(seed, 0))
        provenance = {
            **describe_device(keras.backend.backend(), any_policy=True),
            **layer_facts(net, path, values, first, reinitialize),
        }
        forward = Forward(net, path, traced.variables, description.array_names, reinitialize, channels_first(net.parts))
        opened = open_writer(name_experiment, description, provenance, overwrite)
        with interruptible(name_experiment), opened as writer:
            _run(writer, description, _realizer(description, forward, values, given), verbose)
            return writer.moments()


def _patterns(layers: Any) -> list[str]:
    patterns = [layers] if isinstance(layers, str) else layers
    if not isinstance(patterns, Sequence) or not patterns:
        raise TypeError(refusal("layers must be a pattern of names, or several.", layers=layers))
    return [text("layers", pattern) for pattern in patterns]


def _batch_shape(path: Route, fed: Feed) -> tuple[int, ...]:
    name = path.inputs[0] if path.inputs else fed.names[0]
    shape: tuple[int, ...] = fed.arrays[fed.names.index(name)].shape
    return shape


def _realizer(
    description: Characterization, forward: Forward, values: Weights, noise: Sequence[np.ndarray | None]
) -> Callable[[int], dict[str, np.ndarray]]:
    """Return the function that computes the realization with an index."""
    run = passes(forward)

    def realize(index: int) -> dict[str, np.ndarray]:
        seed = _seeds.of_realization(description.seed, index)
        noises = drawn_noise(noise, forward.path, forward.net.fed, seed)
        logarithms = run(values.values(seed), noises)[None]
        arrays = from_logarithms(description.array_names, logarithms)
        for warning in description.out_of_range([index], arrays, logarithms):
            warn(warning, RuntimeWarning)
        constant = np.flatnonzero((arrays["mu2_signal"][0] == 0) & np.isfinite(arrays["log_mu2_noise"][0]))
        if constant.size:
            first = description.layers[constant[0]]
            warn(
                f"realization {index}: the signal does not vary at layer {first}, where chi is infinite", RuntimeWarning
            )
        return by_kept_name(description.array_names, logarithms)

    return realize


def _run(
    writer: Writer[Characterization],
    description: Characterization,
    realize: Callable[[int], dict[str, np.ndarray]],
    verbose: bool,
) -> None:
    missing, total = writer.missing, description.num_realizations
    pending: dict[int, dict[str, np.ndarray]] = {}
    due = time.monotonic()
    with tqdm(total=total, initial=total - len(missing), unit="realization", disable=not verbose) as bar:
        try:
            for index in missing:
                pending[index] = realize(index)
                bar.update(1)
                if (begun := time.monotonic()) >= due:
                    _commit(writer, pending)
                    ended = time.monotonic()
                    due = ended + max(SECONDS_BETWEEN_COMMITS, (ended - begun) / SHARE_OF_COMMITS)
        finally:
            # Also on Ctrl-C and on errors: what is finished is never lost.
            _commit(writer, pending)


def _commit(writer: Writer[Characterization], pending: dict[int, dict[str, np.ndarray]]) -> None:
    # Ctrl-C may have come between a commit and the clearing of what it committed.
    missing = set(writer.missing)
    left = {index: arrays for index, arrays in pending.items() if index in missing}
    if left:
        rows = list(left.values())
        writer.commit(list(left), {name: np.concatenate([row[name] for row in rows]) for name in rows[0]})
    pending.clear()


def _hash(traced: Trace, model: keras.Model, with_weights: bool) -> str:
    """Return the hash of what is called with what settings, and perhaps of the weights."""
    digest = hashlib.sha256(traced.sha256.encode())
    for variable in model.weights if with_weights else ():
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(keras.ops.copy(variable))).data)
    return digest.hexdigest()
