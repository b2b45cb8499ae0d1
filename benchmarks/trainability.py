"""Whether verdicts at initialisation agree with training: networks of many kinds, diagnosed and then trained.

Run it as `python -m benchmarks.trainability runs.jsonl` from the root of the checkout. What is in the file is not run
again; `--write` puts the results into docs/diagnosis.md.

A network trains if it can learn a few images by heart. So that this measures the network and not its output scale or
one learning rate: the features are divided by their root mean square at initialisation, the last layer begins at zero,
and the best of several learning rates counts, each with a warm-up.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
import keras
import numpy as np
from cyclopts import Parameter

from moments_dnns import _cli
from moments_dnns._validation import refusal
from moments_dnns.characterization.run import characterize
from moments_dnns.data import load_images

# Learning rates of Adam over three decades, those that most often succeed first.
RATES = (1e-3, 3e-4, 1e-4, 1e-2, 1e-5)
NUM_IMAGES, NUM_CLASSES, SIDE = 256, 10, 16
EPOCHS, WARM_UP, AVERAGED = 60, 8, 4
SEEDS = 2
SOLVED = 0.3  # A loss below which training ends: the network trains.
STUCK, PATIENCE = 2.25, 30  # A loss above which training ends after so many epochs: it has hardly left ln 10 = 2.30.
REALIZATIONS = 4

# Variances of weights times fan_in. For glorot and lecun in layers of one width they are 1.
HE = 2.0


@attrs.frozen
class Network:
    """A fully connected network: units of a dense layer, a normalization and an activation.

    Args:
        depth: Number of units.
        activation: Name of a Keras activation.
        normalization: `"batch"`, `"layer"` or none.
        gain: Variance of the weights times fan_in.
        bias: Variance of the biases.
        kind: `"plain"`; `"pre"`, the branch normalizes and activates before its dense layer; `"post"`, it is activated
            after the addition; `"trunk"`, the sum itself is normalized.
        scale: Factor of every branch.
        learned: Whether the factor is a weight.
        width: Channels of every layer.
        batch: Images in a batch.
    """

    depth: int
    activation: str = "relu"
    normalization: str = ""
    gain: float = HE
    bias: float = 0.0
    kind: str = "plain"
    scale: float = 1.0
    learned: bool = False
    width: int = 64
    batch: int = 64

    @property
    def name(self) -> str:
        """What differs from the defaults, in words."""
        default = Network(self.depth)
        words = [
            f"{field.name} {getattr(self, field.name):.3g}"
            if isinstance(getattr(self, field.name), float)
            else f"{field.name} {getattr(self, field.name)}"
            for field in attrs.fields(Network)
            if field.name != "depth" and getattr(self, field.name) != getattr(default, field.name)
        ]
        return ", ".join([f"depth {self.depth}", *words])


def families() -> dict[str, list[Network]]:
    """Return the networks by family, in the order of depth."""

    def deep(*depths: int, **options: Any) -> list[Network]:
        return [Network(depth, **options) for depth in depths]

    pre = {"kind": "pre", "normalization": "batch"}
    return {
        "batch norm": deep(4, 10, 15, 20, 30, 40, 50, 100, normalization="batch"),
        "batch norm, small batches": [
            *deep(4, 8, 12, 20, normalization="batch", batch=8),
            *deep(10, 20, 40, normalization="batch", batch=16),
        ],
        "batch norm, other activations": [
            *deep(20, 50, normalization="batch", activation="tanh"),
            *deep(20, 50, normalization="batch", activation="gelu"),
            *deep(50, 100, normalization="batch", activation="linear"),
        ],
        "batch norm, other widths": [
            *deep(15, 40, normalization="batch", width=32),
            *deep(15, 40, normalization="batch", width=128),
        ],
        "layer norm": deep(10, 30, 60, 100, normalization="layer"),
        "vanilla": [*deep(4, 10, 20, 50, 100, 200), *deep(10, 50, gain=1.0)],
        "ordered": [
            *deep(5, 10, 15, 20, 40, gain=1.0, bias=1.0),
            *deep(2, 4, 8, 20, gain=1.0, activation="sigmoid"),
            *deep(5, 10, 20, 40, gain=0.8, bias=0.2, activation="tanh"),
        ],
        "tanh": [
            *deep(20, 50, 100, gain=1.0, activation="tanh"),
            *deep(4, 8, 15, 25, 40, gain=4.0, activation="tanh"),
            *deep(5, 10, 20, gain=16.0, activation="tanh"),
        ],
        "residual": [
            *deep(20, 50, 100, **pre),
            *deep(20, 50, kind="pre"),
            *deep(50, 100, kind="pre", scale=0.1),
            *deep(50, kind="pre", scale=0.0, learned=True),
            *deep(50, kind="pre", normalization="layer"),
            *deep(20, 50, kind="post", normalization="batch"),
            *deep(10, 30, 60, 100, kind="trunk", normalization="batch"),
        ],
    }


NETWORKS = [network for family in families().values() for network in family]


class Scale(keras.layers.Layer):
    """Multiplies by a number that is learned."""

    def build(self, shape: Any) -> None:
        """Make the number, zero at initialisation."""
        self.factor = self.add_weight(shape=(), initializer="zeros", name="factor")

    def call(self, x: Any) -> Any:
        """Return the product."""
        return x * self.factor


def body(network: Network) -> keras.Model:
    """Return a network without its head; the output of unit k is that of the layer `unit<k>`."""
    layers = keras.layers

    def dense(x: Any, activation: str | None = None) -> Any:
        kernel = keras.initializers.VarianceScaling(network.gain or 1, "fan_in", "untruncated_normal")
        bias = keras.initializers.RandomNormal(0, network.bias**0.5)
        return layers.Dense(network.width, use_bias=network.bias > 0, kernel_initializer=kernel, bias_initializer=bias)(x)

    def normalize(x: Any) -> Any:
        made = {
            "batch": lambda: layers.BatchNormalization(scale=False, center=False),
            "layer": lambda: layers.LayerNormalization(scale=False, center=False),
        }
        return made[network.normalization]()(x) if network.normalization else x

    def branch(x: Any) -> Any:
        if network.kind == "pre":
            x = dense(layers.Activation(network.activation)(normalize(x)))
        else:
            x = layers.Activation(network.activation)(dense(x)) if network.kind == "trunk" else normalize(dense(x))
        return Scale()(x) if network.learned else x if network.scale == 1 else layers.Rescaling(network.scale)(x)

    inputs = x = keras.Input((SIDE**2,), name="input")
    if network.kind != "plain":
        x = dense(x)
    for number in range(network.depth):
        name = f"unit{number}"
        if network.kind == "plain":
            x = layers.Activation(network.activation, name=name)(normalize(dense(x)))
        elif network.kind == "pre":
            x = layers.Add(name=name)([x, branch(x)])
        elif network.kind == "post":
            x = layers.Activation(network.activation, name=name)(layers.Add()([x, branch(x)]))
        else:
            x = layers.Activation("linear", name=name)(normalize(layers.Add()([x, branch(x)])))
    return keras.Model(inputs, x)


@attrs.frozen(eq=False)
class Data:
    """A few images and their labels.

    Args:
        images: (images, pixels), standardised pixel by pixel.
        labels: (images,).
    """

    images: np.ndarray
    labels: np.ndarray


def data(path: Path | None) -> Data:
    """Return images of a `.npz` file of `images` and `labels`; without one, noisy copies of crops of a photograph."""
    if path is None:
        crops = load_images("photo").images[: NUM_CLASSES * 2]
        rng = np.random.default_rng(0)
        labels = np.arange(NUM_IMAGES) % NUM_CLASSES
        which = labels + NUM_CLASSES * (rng.random(NUM_IMAGES) < 0.5)
        images = crops[which] + rng.normal(0, 40, (NUM_IMAGES, *crops.shape[1:]))
    else:
        with np.load(path, allow_pickle=False) as loaded:
            if not {"images", "labels"} <= set(loaded.files):
                raise ValueError(refusal("expected a file with the arrays images and labels.", path=str(path)))
            images, labels = loaded["images"][:NUM_IMAGES], loaded["labels"][:NUM_IMAGES]
    grey = images.astype(np.float64).reshape(*images.shape[:3], -1).mean(-1)
    step = grey.shape[1] // SIDE
    small = grey[:, : step * SIDE, : step * SIDE].reshape(len(grey), SIDE, step, SIDE, step).mean((2, 4))
    pixels = small.reshape(len(small), -1)
    pixels = (pixels - pixels.mean(0)) / np.maximum(pixels.std(0), 1e-6)
    return Data(pixels.astype(np.float32), labels.astype(np.int32))


class Ends(keras.callbacks.Callback):
    """Ends a training that has succeeded or diverged."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at the loss of the epoch."""
        loss = logs["loss"]
        if loss < SOLVED or not np.isfinite(loss) or (epoch >= PATIENCE and loss > STUCK):
            self.model.stop_training = True


class Trainer:
    """Trains a network from fresh weights, with the head at zero.

    Args:
        network: The network.
        given: What it learns.
    """

    def __init__(self, network: Network, given: Data):
        self.network, self.given = network, given
        features = body(network)
        self.features = features
        self.norm = Norm()
        outputs = keras.layers.Dense(NUM_CLASSES, kernel_initializer="zeros")(self.norm(features.output))
        self.model = keras.Model(features.inputs, outputs)
        self.optimizer = keras.optimizers.Adam()
        self.model.compile(
            self.optimizer,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=NUM_IMAGES // network.batch,
            jit_compile=False,
        )

    def start(self, seed: int) -> list[np.ndarray]:
        """Return weights of a seed, with the scale of the features that they make."""
        rng = np.random.default_rng(seed)
        network = self.network
        weights = []
        for weight in self.model.weights:
            value = np.zeros(weight.shape, np.float32)
            if weight.name == "kernel" and weight.shape[-1] == network.width:
                value = rng.normal(0, (network.gain / weight.shape[0]) ** 0.5, weight.shape)
            elif weight.name == "bias" and weight.shape[-1] == network.width:
                value = rng.normal(0, network.bias**0.5, weight.shape)
            elif weight.name in ("moving_variance", "rms"):
                value = np.ones(weight.shape)
            weights.append(value.astype(np.float32))
        self.model.set_weights(weights)
        features = keras.ops.convert_to_numpy(self.features(self.given.images[: network.batch], training=True))
        rms = float(np.sqrt(np.mean(np.square(features, dtype=np.float64))))
        self.norm.rms.assign(rms if np.isfinite(rms) and rms > 0 else 1.0)
        return self.model.get_weights()

    def train(self, seed: int, rate: float) -> float:
        """Return the loss that is reached; infinite if the training diverges."""
        self.start(seed)
        for variable in self.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        keras.utils.set_random_seed(seed)  # of the order of the images
        schedule = keras.callbacks.LearningRateScheduler(lambda epoch: rate * min(1, (epoch + 1) / WARM_UP))
        history = self.model.fit(
            self.given.images,
            self.given.labels,
            batch_size=self.network.batch,
            epochs=EPOCHS,
            callbacks=[schedule, Ends()],
            verbose=0,
        ).history["loss"]
        loss = float(np.mean(history[-1:] if history[-1] < SOLVED else history[-AVERAGED:]))
        return loss if np.isfinite(loss) else float("inf")


class Norm(keras.layers.Layer):
    """Divides by a number that is set once."""

    def build(self, shape: Any) -> None:
        """Make the number."""
        self.rms = self.add_weight(shape=(), initializer="ones", name="rms", trainable=False)

    def call(self, x: Any) -> Any:
        """Return the quotient."""
        return x / self.rms


def losses(network: Network, given: Data) -> dict[str, list[float]]:
    """Return the losses of all seeds at the best learning rate, and of the first seed at all that were tried."""
    trainer, tried = Trainer(network, given), dict[float, float]()
    for rate in RATES:
        tried[rate] = trainer.train(0, rate)
        if tried[rate] < SOLVED:
            break
    best = min(tried, key=lambda rate: tried[rate])
    return {
        "rates": [*tried],
        "tried": [*tried.values()],
        "losses": [tried[best], *(trainer.train(seed, best) for seed in range(1, SEEDS))],
    }


def moments_of(network: Network, given: Data) -> dict[str, Any]:
    """Return the moments behind every unit at initialisation, by name."""
    moments = characterize(
        body(network),
        given.images[: network.batch],
        num_realizations=REALIZATIONS,
        layers="unit*",
        compute_reff_noise=False,
        verbose=False,
    )
    names = ("log_mu2_noise", "log_mu2_signal", "log_nu2_signal", "log_mu4_signal", "reff_signal")
    return {
        "layer": moments["layer"].tolist(),
        **{name: np.where(np.isfinite(moments[name]), moments[name].round(4), None).tolist() for name in names},
    }


def run(networks: Sequence[Network], given: Data, path: Path) -> None:
    """Diagnose and train what is not in a file yet, and add it there."""
    done = {row["name"] for row in rows(path)}
    for network in networks:
        if network.name in done:
            continue
        keras.utils.clear_session()
        row = {"name": network.name, **losses(network, given), "moments": moments_of(network, given)}
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(network.name, [round(loss, 3) for loss in row["losses"]], flush=True)


def rows(path: Path) -> list[dict[str, Any]]:
    """Return what a file holds."""
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def trainability(
    path: Path, /, *, images: Path | None = None, write_results: Annotated[_cli.Switch, Parameter(name="--write")] = False
) -> None:
    """Diagnose networks at initialisation, train them, and compare.

    Args:
        path: File of the results in JSON lines; what it holds is not run again.
        images: A .npz file of images and labels; crops of a photograph by default.
        write_results: Put the results into docs/diagnosis.md and draw the figure.
    """
    run(NETWORKS, data(images), path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and return the exit code."""
    return _cli.call(_cli.application("trainability", trainability), argv)


if __name__ == "__main__":
    sys.exit(main())
