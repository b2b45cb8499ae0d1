"""Any Keras model: signal and noise along its layers, from its weights or from fresh ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from moments_dnns import _seeds
from moments_dnns._backend import describe_device
from moments_dnns._validation import boolean, refusal, text, warn
from moments_dnns.data import dataset_label
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.moments import MOMENTS, by_kept_name, from_logarithms
from moments_dnns.results.moments import Moments
from moments_dnns.results.writers import check_writable, open_writer

from .forward import walker
from .graph import Route, functional, route
from .inputs import Feed, feed
from .weights import Fresh


def characterize(
    model: keras.Model,
    images: Any,
    *,
    noise: Any = "normal",
    num_realizations: int = 1,
    reinitialize: bool = True,
    layers: str | Sequence[str] = "*",
    seed: int = 0,
    name_experiment: str | None = None,
) -> Moments[Characterization]:
    """Propagate images and a noise through a Keras model and return the moments behind its layers.

    The noise is an infinitesimal perturbation of the images, which every layer maps with its exact derivative. Batch
    normalization takes the statistics of the batch, as constants for the noise, where weights are drawn afresh, and
    the stored ones where they are kept. Dropout is off. The model itself is not changed.

    Args:
        model: A built model: functional, sequential, nested, with branches and shared layers, or subclassed with a
            `call` made of layers and `keras.ops`. Its channels are last.
        images: Array of shape (batch, height, width, channels), which goes in as it is: bring it to the scale that the
            model expects. Of a model with several inputs, a mapping from their names to arrays; the one with four axes
            is the image, the others have no noise.
        noise: `"normal"`, i.i.d. N(0, 1) and drawn for every realization, or an array of the shape of the images.
        num_realizations: How often weights and noise are drawn.
        reinitialize: Whether all weights are drawn afresh, by the initializers of the layers, for every realization.
            Otherwise they are the model's own.
        layers: Pattern of the names of layers to measure, or several; `*` matches anything, the layers of a nested
            model are named `model/layer`. The input is always measured.
        seed: The only source of randomness. Realization k has the same numbers whatever `num_realizations`.
        name_experiment: Folder below `npy/` in which the moments are saved; the same call continues or extends them.

    Returns:
        Moments, a mapping from names to arrays of shape (num_realizations, number of layers): `nu1_abs_signal`,
        `nu2_signal`, `mu2_signal`, `mu4_signal`, `log_mu2_noise`, `reff_signal`, `reff_noise`, and what follows from
        them, `chi`, `log_chi` and `log_growth`, the logarithm of chi over that of a layer's inputs taken together;
        `layer` holds the names.

    Raises:
        TypeError, ValueError: If an argument is refused, Keras cannot look into the model, or a layer has no
            derivative; the message names it.
        FileExistsError: If there is another experiment of that name.
        BlockingIOError: If another process writes to the experiment of that name now.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(16, 3, activation="relu", name="conv")])
    >>> moments = characterize(model, np.random.default_rng(0).normal(size=(4, 8, 8, 3)), num_realizations=2)
    >>> moments["layer"].tolist()[1:], moments["chi"].shape
    (['conv'], (2, 2))

    Reference: section 3 of arXiv 1811.03087, for the moments and the convention of batch normalization.
    """
    boolean("reinitialize", reinitialize)
    patterns = [layers] if isinstance(layers, str) else layers
    if not isinstance(patterns, Sequence) or not patterns:
        raise TypeError(refusal("layers must be a pattern of names, or several.", layers=layers))
    patterns = [text("layers", pattern) for pattern in patterns]
    fed = feed(functional(model), images, noise)
    fresh = Fresh(model) if reinitialize else None
    network = fresh.model if fresh else functional(model)
    along = route(network, fed.image, patterns)
    description = Characterization(
        model.name,
        along.names,
        along.parents,
        num_realizations,
        fed.images.shape,
        fed.label,
        noise="normal" if fed.noise is None else dataset_label(fed.noise),
        reinitialize=reinitialize,
        seed=seed,
        sha256=_hash(along, network, with_weights=not reinitialize),
    )
    check_writable(name_experiment, description, overwrite=False)
    provenance = describe_device(keras.backend.backend())
    walk = walker(network, along, fed, "batch" if reinitialize else "stored")
    with open_writer(name_experiment, description, provenance) as writer:
        for index in writer.missing:
            writer.commit([index], _realize(index, description, fed, fresh, walk))
        return writer.moments()


def _realize(
    index: int, description: Characterization, fed: Feed, fresh: Fresh | None, walk: Any
) -> dict[str, np.ndarray]:
    seed = _seeds.of_realization(description.seed, index)
    if fresh:
        fresh.draw(_seeds.child(seed, _seeds.WEIGHTS))
    logarithms = np.asarray(walk(fed.noise_of(seed), *fed.arrays))[None]
    arrays = from_logarithms(MOMENTS, logarithms)
    for warning in description.out_of_range([index], arrays, logarithms):
        warn(warning, RuntimeWarning)
    constant = np.flatnonzero((arrays["mu2_signal"][0] == 0) & np.isfinite(arrays["log_mu2_noise"][0]))
    if constant.size:
        first = description.layers[constant[0]]
        warn(f"realization {index}: the signal does not vary at layer {first}, where chi is infinite", RuntimeWarning)
    return by_kept_name(MOMENTS, logarithms)


def _hash(along: Route, network: keras.Model, with_weights: bool) -> str:
    """Return the hash of what is called with what settings, and perhaps of the weights."""
    calls = [
        (call.name, type(call.layer).__name__, _config(call.layer), call.outputs, call.numbered())
        for call in along.calls
    ]
    digest = hashlib.sha256(json.dumps(calls, default=_plain, sort_keys=True).encode())
    for variable in network.weights if with_weights else ():
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable.value)).data)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Return what says of a value all that JSON can hold: numbers of arrays, and the name of its type otherwise."""
    return value.tolist() if hasattr(value, "tolist") else type(value).__name__


def _config(layer: Any) -> Any:
    """Return the settings of a layer, or of a function, of which only these count: Keras numbers its name."""
    try:
        config = dict(layer.get_config())
    except NotImplementedError:
        return None
    if not isinstance(layer, keras.layers.Layer):
        config.pop("name", None)
    return config
