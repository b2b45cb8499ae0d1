"""How long `characterize` takes for models that people use, beside forward passes that keep the outputs of all layers.

Run it as `python -m benchmarks.models` from the root of the checkout. README.md says what is measured, and holds the
results that `--write` puts there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from moments_dnns import _cli
from moments_dnns._validation import refusal

from .common import WriteSwitch, isolated, line, machine, number, peak_memory, table, write

BATCH_SIZE, SIDE, TOKENS, WIDTH, DEPTH = 16, 64, 64, 128, 12
HEADER = (
    "model | rows | first answer (s) | CPU of it (s) | again (s) | forward passes / realization | peak memory (GiB)"
    " | forward pass (s) | with all outputs (s) | training step | logger | with gradients"
)


class Seen(NamedTuple):
    """What was seen of a model in a process of its own, in seconds unless it says otherwise.

    Args:
        rows: How many inputs and layers were measured.
        first: Until the first call, for one realization, had returned.
        first_cpu: The time of all cores in it.
        again: The second such call.
        realization: The time of all cores in one more realization of a call.
        forward: The same of a forward pass.
        outputs: The same of one that returns the outputs of all layers, with the mean squares of these.
        memory: Bytes that the process held at most.
        step: The same of a step of training, forward and backward.
        logged: The same of a measurement of `MomentsLogger` with its defaults, after the first.
        gradients: The same with gradients.
    """

    rows: int
    first: float
    first_cpu: float
    again: float
    realization: float
    forward: float
    outputs: float
    memory: int
    step: float
    logged: float
    gradients: float


def application(name: str) -> Callable[[], tuple[Any, np.ndarray]]:
    """Return the function that makes a model of `keras.applications` for small images, with images for it."""

    def make() -> tuple[Any, np.ndarray]:
        import keras

        model = getattr(keras.applications, name)(weights=None, input_shape=(SIDE, SIDE, 3))
        return model, np.random.default_rng(0).normal(size=(BATCH_SIZE, SIDE, SIDE, 3)).astype("float32")

    return make


def encoder() -> tuple[Any, np.ndarray]:
    """Return a transformer's encoder of 12 layers, and sequences for it."""
    from keras import Input, Model, layers

    x = inputs = Input((TOKENS, WIDTH))
    for _ in range(DEPTH):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, WIDTH // 4)(y, y)])
        y = layers.Dense(4 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(WIDTH)(y)])
    return Model(inputs, x), np.random.default_rng(0).normal(size=(BATCH_SIZE, TOKENS, WIDTH)).astype("float32")


def small() -> tuple[Any, np.ndarray]:
    """Return a small convolutional network, and images for it."""
    from keras import Input, Sequential, layers

    model = Sequential([Input((32, 32, 3))])
    for width in (32, 64):
        model.add(layers.Conv2D(width, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    for layer in (layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)):
        model.add(layer)
    return model, np.random.default_rng(0).normal(size=(BATCH_SIZE, 32, 32, 3)).astype("float32")


MODELS: dict[str, Callable[[], tuple[Any, np.ndarray]]] = {
    "small CNN": small,
    **{name: application(name) for name in ("ResNet50", "MobileNetV2", "EfficientNetV2B0", "DenseNet121")},
    "encoder": encoder,
}


def measure(name: str, repeats: int) -> Seen:
    """Measure a model in this process."""
    import keras

    from moments_dnns import characterize

    model, inputs = MODELS[name]()

    def run(num_realizations: int) -> tuple[float, float, int]:
        wall, cpu = time.perf_counter(), time.process_time()
        moments = characterize(model, inputs, num_realizations=num_realizations, verbose=False)
        return time.perf_counter() - wall, time.process_time() - cpu, len(moments["layer"])

    first, first_cpu, rows = run(1)
    again = run(1)[0]
    realization = _realization(model, inputs, repeats)
    memory = peak_memory()
    step, logged, gradients = _training(model, inputs, repeats)
    every = keras.Model(model.inputs, [layer.output for layer in model.layers])
    return Seen(
        rows,
        first,
        first_cpu,
        again,
        realization,
        _cpu(lambda: model.predict_on_batch(inputs), repeats),
        _cpu(lambda: [np.mean(np.square(output)) for output in every.predict_on_batch(inputs)], repeats),
        memory,
        step,
        logged,
        gradients,
    )


def _realization(model: Any, inputs: np.ndarray, repeats: int) -> float:
    """Return the time of all cores in a realization of `characterize` with its defaults, after a first one."""
    from moments_dnns.characterization.inputs import feed
    from moments_dnns.characterization.measurement import Measurement, untouched
    from moments_dnns.characterization.training import arguments_of

    with untouched(model):
        fresh = {**arguments_of({}), "reinitialize": True}
        realizations = Measurement.prepare(model, feed(model, inputs), **fresh).stream(range(1 + repeats))
        return _cpu(lambda: next(realizations), repeats)


def _training(model: Any, inputs: np.ndarray, repeats: int) -> tuple[float, float, float]:
    """Return the time of all cores in a step of training, and in measurements along it, without and with gradients."""
    from moments_dnns import MomentsLogger

    targets = np.zeros((BATCH_SIZE, *model.output_shape[1:]), "float32")
    model.compile("sgd", "mse")
    step = _cpu(lambda: model.train_on_batch(inputs, targets), repeats)
    logged = []
    for gradients in (False, True):
        logger = MomentsLogger(inputs, every=1, gradients=gradients)
        logger.set_model(model)
        logger.on_train_begin()
        batches = iter(range(1 + repeats))
        logged.append(_cpu(partial(_end_batch, logger, batches), repeats))
    return step, logged[0], logged[1]


def _end_batch(logger: Any, batches: Iterator[int]) -> None:
    logger.on_train_batch_end(next(batches))


def _cpu(call: Callable[[], Any], repeats: int) -> float:
    """Return the least time of all cores in a call, after a first one."""
    seconds = []
    for _ in range(1 + repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds[1:])


def row(name: str, seen: Seen) -> list[str]:
    """Return a row of the table."""
    return [
        name,
        str(seen.rows),
        number(seen.first),
        number(seen.first_cpu),
        number(seen.again),
        number(seen.realization / seen.forward),
        number(seen.memory / 2**30),
        number(seen.forward),
        number(seen.outputs),
        number(seen.step / seen.forward),
        number(seen.logged / seen.forward),
        number(seen.gradients / seen.forward),
    ]


def measure_models(
    *,
    models: str = ",".join(MODELS),
    backend: str = "tensorflow",
    repeats: _cli.Integer = 3,
    write_results: WriteSwitch = False,
) -> None:
    """Measure how long the moments of models take, each in a process of its own.

    Args:
        models: Which, such as ResNet50,encoder.
        backend: The backend.
        repeats: Timed realizations and forward passes each.
        write_results: Put the results into README.md.
    """
    names = models.split(",")
    if not set(names) <= set(MODELS) or repeats < 1:
        raise ValueError(
            refusal(
                f"expected models of {', '.join(MODELS)}, and repeats of at least 1.", models=models, repeats=repeats
            )
        )
    print(f"{machine()}\n\n{table(HEADER, [])}", flush=True)
    rows = []
    for name in names:
        rows.append(row(name, isolated(measure, name, repeats, backend=backend)))
        print(line(rows[-1]), flush=True)
    if write_results:
        write("models", f"{machine()}, {backend}.\n\n{table(HEADER, rows)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and return the exit code."""
    return _cli.call(_cli.application("models", measure_models), argv)


if __name__ == "__main__":
    sys.exit(main())
