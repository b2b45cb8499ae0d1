"""The table of docs/models.md: what `characterize` makes of all of `keras.applications` and of models of keras_hub.

python -m scripts.models                  # every model: an hour on two cores
python -m scripts.models VGG16 Bert       # some of them

Models are made in float64, which leaves finite differences the digits to compare with.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from moments_dnns._validation import cause
from moments_dnns.characterization.inputs import feed
from moments_dnns.characterization.network import Network, network
from moments_dnns.characterization.noise import chosen_noise
from moments_dnns.characterization.recording import recording
from moments_dnns.characterization.route import Route, integers_among, route
from moments_dnns.characterization.run import characterize
from moments_dnns.characterization.tracing import trace

DOCUMENT = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- the table of scripts/models.py begins -->", "<!-- the table of scripts/models.py ends -->"
HEADER = ("| model | rows | seconds | signal | noise |", "|---|---|---|---|---|")
# Steps of differences: small for networks with corners, larger for those that round to float32 inside, and tiny for
# those that amplify a step by many orders of magnitude.
STEPS = (1e-3, 1e-4, 1e-6, 1e-9, 1e-11)
# Differences of two steps agree so far where they have digits left.
AGREEMENT = 1e-3
RNG = np.random.default_rng(0)

TEXT = {"vocabulary_size": 20, "num_layers": 2, "hidden_dim": 8, "intermediate_dim": 16}
HEADS = {**TEXT, "num_heads": 2, "max_sequence_length": 8}
GROUPED = {**TEXT, "num_query_heads": 2, "num_key_value_heads": 1}
IMAGE = {"image_shape": (32, 32, 3)}

# Models of keras_hub at tiny sizes, by the beginning of the name of their class.
HUB: dict[str, dict[str, Any]] = {
    "Albert": {**HEADS, "embedding_dim": 8},
    "Bart": HEADS,
    "Bert": HEADS,
    "Bloom": {**TEXT, "num_heads": 2},
    "DebertaV3": {**HEADS, "bucket_size": 4},
    "DenseNet": {"stackwise_num_repeats": [1, 1], "compression_ratio": 0.5, "growth_rate": 4, **IMAGE},
    "DistilBert": HEADS,
    "FNet": {**TEXT, "max_sequence_length": 8},
    "GPT2": HEADS,
    "GPTNeoX": {**HEADS, "hidden_dim": 16},
    "Gemma": {**GROUPED, "head_dim": 4},
    "Llama": GROUPED,
    "MiT": {
        "layerwise_depths": [1, 1],
        "num_layers": 2,
        "hidden_dims": [8, 16],
        "layerwise_num_heads": [1, 2],
        "layerwise_sr_ratios": [2, 1],
        "layerwise_patch_sizes": [7, 3],
        "layerwise_strides": [4, 2],
        "max_drop_path_rate": 0.1,
        **IMAGE,
    },
    "Mistral": {**GROUPED, "sliding_window": 4},
    "OPT": HEADS,
    "Phi3": GROUPED,
    "Qwen": GROUPED,
    "ResNet": {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 64],
        "stackwise_num_blocks": [1, 1],
        "stackwise_num_strides": [1, 2],
        "block_type": "basic_block",
        **IMAGE,
    },
    "Roberta": HEADS,
    "T5": {**TEXT, "num_heads": 2},
    "VGG": {"stackwise_num_repeats": [1, 1], "stackwise_num_filters": [4, 8], **IMAGE},
    "ViT": {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 16, **IMAGE},
    "XLMRoberta": HEADS,
}


class Tried(NamedTuple):
    """What became of a model.

    Args:
        name: Its name.
        rows: How many inputs and layers were measured.
        seconds: How long one realization took, tracing and compiling included.
        signal: Relative difference of the mean square of the last layer and of the model's own output.
        noise: Relative difference of the mean square of the noise there and of finite differences.
        place: At which layer that is, if not the last: the last one where differences of two steps agree.
    """

    name: str
    rows: int
    seconds: float
    signal: float
    noise: float
    place: str


def applications() -> Iterator[tuple[str, Callable[[], keras.Model]]]:
    """Yield the names of the models of `keras.applications`, and how to make them without weights."""
    for name, make in sorted(vars(keras.applications).items()):
        if callable(make) and name[0].isupper():
            yield name, partial(_application, make)


def _application(make: Callable[..., keras.Model]) -> keras.Model:
    # The smallest images that they take; what comes before probabilities, which hardly depend on the weights.
    options = {"weights": None, "classifier_activation": None, "classes": 10}
    for side in (64, 96, 224, 331):
        try:
            return make(**options, input_shape=(side, side, 3))
        except ValueError:
            continue
    return make(**options)


def backbones() -> Iterator[tuple[str, Callable[[], keras.Model]]]:
    """Yield the names of models of keras_hub, where that is installed, and how to make them."""
    try:
        import keras_hub
    except ImportError:
        return
    for name, settings in HUB.items():
        make = getattr(keras_hub.models, f"{name}Backbone")
        yield f"keras_hub {name}", partial(make, **settings)


def inputs_of(model: keras.Model, batch_size: int = 2, length: int = 6) -> dict[str, np.ndarray]:
    """Return normal images, random tokens, and a mask of ones for the inputs of a model."""
    arrays = {}
    for tensor in model.inputs:
        shape = (batch_size, *(side or length for side in tensor.shape[1:]))
        if keras.backend.is_float_dtype(tensor.dtype):
            arrays[tensor.name] = RNG.normal(size=shape)
        elif "mask" in tensor.name:
            arrays[tensor.name] = np.ones(shape, "int32")
        else:
            high = 2 if "segment" in tensor.name else 20
            arrays[tensor.name] = RNG.integers(0, high, shape).astype("int32")
    return arrays


def outputs(net: Network, path: Route, noises: dict[str, np.ndarray], step: float) -> tuple[list[Any], list[Any]]:
    """Return what measured layers and the model return for inputs, or embeddings, a step away along noises."""
    tensors = [
        array + step * noises[name] if name in noises else array
        for name, array in zip(net.fed.names, net.fed.arrays, strict=True)
    ]
    added = {name: step * noise for name, noise in noises.items() if name not in net.fed.names}
    with recording(net, False, added) as recorder:
        of_model = net(tensors)
    returned = [*(call.outputs for call in recorder.calls), of_model]
    measured = [returned[place.call][place.output] for place in (*path.begins, *path.places)]
    as_arrays = [[np.asarray(keras.ops.convert_to_numpy(each)) for each in tensors] for tensors in (measured, of_model)]
    return as_arrays[0], as_arrays[1]


def difference(net: Network, path: Route, noises: dict[str, np.ndarray], step: float) -> np.ndarray:
    """Return the mean squares of the noise behind all measured layers, by finite differences."""
    low, high = (outputs(net, path, noises, sign * step)[0] for sign in (-1, 1))
    return np.array([np.mean(((one - other) / (2 * step)) ** 2) for one, other in zip(high, low, strict=True)])


def compared(noise: np.ndarray, differences: np.ndarray) -> tuple[int, float]:
    """Return the last layer where differences of two steps agree, and the relative difference of its noise from them.

    Example:

    >>> compared(np.array([1.0, 2.0]), np.array([[1.0, 9.0], [1.0001, 5.0]]))
    (0, 0.0)
    """
    errors = noise / differences - 1
    close = np.abs(differences[1:] / differences[:-1] - 1) < AGREEMENT
    last = int(np.flatnonzero(close.any(axis=0))[-1])
    step = int(np.flatnonzero(close[:, last])[0])
    return last, float(min(errors[step : step + 2, last], key=abs))


def tried(name: str, make: Callable[[], keras.Model]) -> Tried:
    """Characterize a model, and compare its last layer with its own output and with finite differences."""
    keras.utils.set_random_seed(0)
    model = make()
    fed = feed(model, inputs_of(model))
    given = dict(zip(fed.names, fed.arrays, strict=True))
    options: dict[str, Any] = {
        "reinitialize": False,
        "verbose": False,
        "compute_reff_noise": False,
        "compute_reff_signal": False,
    }
    shapes = dict(zip(fed.names, (array.shape for array in fed.arrays), strict=True))
    traced = trace(network(model, fed), False)
    net = traced.net
    path = route(traced, chosen := list(chosen_noise("normal", fed)), integers_among(traced, chosen, fed), ["*"], 0)
    noises = {name: RNG.normal(size=shapes[name]) for name in path.inputs}
    noises |= {place.name: RNG.normal(size=place.shape) for place in path.begins}
    # The noise of integers is given by their name, and begins behind an embedding.
    names = {place.name: sources[0] for place, sources in zip(path.begins, path.sources, strict=True)}
    start = time.monotonic()
    moments = characterize(
        model, given, noise={names.get(name, name): noise for name, noise in noises.items()}, **options
    )
    seconds = time.monotonic() - start
    signal, noise = moments["nu2_signal"][0, -1], np.exp(moments["log_mu2_noise"][0, len(path.inputs) :])
    squares = np.array([float(np.mean(each**2)) for each in outputs(net, path, noises, 0.0)[1]])
    last = int(np.argmin(np.abs(squares - signal)))  # of several outputs, the last layer is one
    place, error = compared(noise, np.array([difference(net, path, noises, step) for step in STEPS]))
    return Tried(
        name,
        len(moments["layer"]),
        seconds,
        float(signal / squares[last] - 1),
        error,
        "" if place == len(noise) - 1 else f" at {moments['layer'][len(path.inputs) + place]}",
    )


def main(chosen: Sequence[str]) -> None:
    """Try the chosen models, or all of them, and put their rows into the table of the document."""
    keras.config.set_floatx("float64")
    for name, make in [*applications(), *backbones()]:
        if chosen and name.removeprefix("keras_hub ") not in chosen:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                row = tried(name, make)
            except Exception as error:  # the others are tried all the same
                print(f"{name}: {cause(error)}", file=sys.stderr, flush=True)
                continue
        print(row, flush=True)
        write(row)
        keras.backend.clear_session()
        gc.collect()


def write(row: Tried) -> None:
    """Put a row into the table of the document, in the place of an earlier one of that model."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    present, _, after = rest.partition(END)
    lines = {line.split(" | ")[0]: line for line in present.splitlines() if line.startswith("| ")}
    lines.pop("| model", None)
    lines[f"| {row.name}"] = (
        f"| {row.name} | {row.rows} | {row.seconds:.1f} | {row.signal:.0e} | {row.noise:.0e}{row.place} |"
    )
    table = "\n".join([*HEADER, *(lines[name] for name in sorted(lines))])
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
