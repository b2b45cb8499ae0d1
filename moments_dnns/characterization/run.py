"""Any Keras model: signal and noise along its layers, from its weights or from fresh ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras

from moments_dnns._validation import boolean, refusal
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.execution.collection import collect
from moments_dnns.execution.dispatch import Chunks, submit_all
from moments_dnns.execution.engine import device_of, engine
from moments_dnns.execution.options import CHUNK_SIZE, RunOptions
from moments_dnns.results.interruption import interruptible
from moments_dnns.results.moments import Moments
from moments_dnns.results.writers import check_writable, open_writer

from .inputs import feed, first_batch
from .measurement import Measurement, untouched
from .ranks import ACTIVATIONS
from .remote import compute, parcel


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
    ranks: str | Sequence[str] = ACTIVATIONS,
    statistics: str = "constant",
    gradients: bool = False,
    tokens: bool = False,
    verbose: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
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
        ranks: Where effective ranks are taken: `"activations"`, behind layers that are or end in an activation, as in
            the paper; or patterns of the names of layers, `"*"` for all, which takes several times as long. They are
            NaN elsewhere.
        statistics: Whether the mean and variance that batch normalization takes of the batch are constants for noise
            and gradients, `"constant"`, as in the paper, or `"differentiated"`, as in training.
        gradients: Whether to take moments of the gradient with respect to everything that is measured, from i.i.d.
            N(0, 1) cotangents at the outputs: `log_mu2_gradient`, and `reff_gradient` where ranks are taken.
        tokens: Whether to take what attention does to tokens: of tensors of shape (batch, tokens, channels) the
            effective rank within a sequence, `reff_tokens`, and the cosine of two tokens, `cosine_tokens`; of the
            probabilities of attention, `entropy_attention` in nats. They are NaN elsewhere.
        verbose: Whether to show a progress bar.
        overwrite: Whether another experiment of that name is replaced, once the first realizations are saved.
        workers: How many realizations are computed at a time, each by a process of its own with one thread, of a model
            that can be saved. None for one at a time, in this process with all of its threads.
        executor: Any `concurrent.futures.Executor` to compute on instead.

    Returns:
        Moments, a mapping from names to arrays of shape (num_realizations, number of layers): `nu1_abs_signal`,
        `nu2_signal`, `mu2_signal`, `mu4_signal`, `log_mu2_noise`, `reff_signal`, `reff_noise`, and what follows from
        them, `chi`, `log_chi` and `log_growth`, the logarithm of chi over that of a layer's inputs taken together. With
        gradients, also `log_gradient`, the logarithm of the root mean square over the batch of the gradient's norm, and
        `log_gradient_growth`, that over the norm for what is computed next, taken together. `layer` holds the names.

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
    flags = {
        "reinitialize": reinitialize,
        "compute_reff_signal": compute_reff_signal,
        "compute_reff_noise": compute_reff_noise,
        "gradients": gradients,
        "tokens": tokens,
    }
    for flag, value in flags.items():
        boolean(flag, value)
    if not isinstance(model, keras.Model):
        raise TypeError(refusal("model must be a keras.Model.", model=type(model).__name__))
    options = RunOptions(
        name_experiment=name_experiment, verbose=verbose, overwrite=overwrite, workers=workers, executor=executor
    )
    arguments = {
        **flags,
        "noise": noise,
        "num_realizations": num_realizations,
        "layers": layers,
        "depth": depth,
        "ranks": ranks,
        "statistics": statistics,
        "seed": seed,
    }
    batch = first_batch(inputs)
    with untouched(model):
        measurement = Measurement.prepare(model, feed(model, batch), **arguments)
        description = measurement.description
        missing = check_writable(name_experiment, description, overwrite)
        with interruptible(name_experiment), engine(executor, options.workers or 0, missing) as chosen:
            device = device_of(chosen, any_policy=True)()
            provenance = {**device, **measurement.facts()}
            with open_writer(name_experiment, description, provenance, overwrite) as writer:
                with _computed(model, batch, arguments, measurement, chosen, device, writer.missing) as chunks:
                    collect(writer, num_realizations, chunks, verbose)
                return writer.moments()


@contextmanager
def _computed(
    model: keras.Model,
    inputs: Any,
    arguments: Mapping[str, Any],
    measurement: Measurement,
    executor: Executor | None,
    device: Mapping[str, Any],
    missing: Sequence[int],
) -> Iterator[Chunks]:
    if executor is None:
        yield (chunk for chunk in measurement.stream(missing))
        return
    with parcel(model, inputs, arguments, measurement.description, executor, device) as sent:
        yield submit_all(executor, partial(compute, sent), missing, CHUNK_SIZE)
