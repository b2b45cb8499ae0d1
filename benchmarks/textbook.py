"""The experiment as a textbook would write it, for comparison: clear, right, and with none of the library's speed.

One Keras layer is called per step, eagerly; signal and noise meet each kernel in two convolutions; weights are assigned
anew for every realization; effective ranks come from all singular values. Signals are not rescaled, so that vanilla
networks must not be much deeper than they are wide.

Reference: section 2 to 6 of arXiv 1811.03087.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from moments_dnns import Experiment

Tensor = Any
Pair = tuple[Tensor, Tensor]  # signal and noise
POINTS = (0, 1, 2)  # the axes of batch and space


class Textbook:
    """The network of an experiment: all its layers, and the realizations that are made with them.

    Args:
        experiment: The description.
        images: The dataset, of shape (images, height, width, channels).
    """

    def __init__(self, experiment: Experiment, images: np.ndarray):
        self.experiment = experiment
        self.images = images.reshape(len(images), 1, 1, -1) if experiment.fully_connected else images
        width, size = experiment.num_channels, experiment.kernel_size
        first, *others = (
            layers.Conv2D(
                width,
                size,
                strides=experiment.first_strides if i == 0 else 1,
                use_bias=False,
                kernel_initializer="zeros",
            )
            for i in range(1 + experiment.total_depth * experiment.kernels_per_layer)
        )
        first.build((None, None, None, self.images.shape[-1]))
        for convolution in others:
            convolution.build((None, None, None, width))
        self.convolutions = [first, *others]
        # Without momentum, the moving variance is that of the last batch.
        self.batch_norm = layers.BatchNormalization(momentum=0.0, epsilon=experiment.epsilon, center=False, scale=False)
        self.relu, self.add = layers.ReLU(), layers.Add()

    def run(self, realization: int) -> dict[str, np.ndarray]:
        """Return the moments of one realization, by array name, at each measured depth."""
        generator = np.random.default_rng((self.experiment.seed, realization))
        chosen = generator.choice(len(self.images), self.experiment.batch_size, replace=False)
        signal = self.images[chosen].astype(np.float64)
        signal = (signal - signal.mean(POINTS)) / signal.std(POINTS)
        noise = generator.standard_normal(signal.shape)
        self.assign(self.draw_kernels(int(generator.integers(2**31))))
        return self.propagate(signal.astype(np.float32), noise.astype(np.float32))

    def draw_kernels(self, seed: int) -> Iterator[Tensor]:
        """Yield fresh kernels of variance 1 / fan_in for the first convolution, 2 / fan_in for all others."""
        generator = keras.random.SeedGenerator(seed)
        for i, convolution in enumerate(self.convolutions):
            shape = convolution.kernel.shape
            yield keras.random.normal(shape, stddev=math.sqrt(min(i + 1, 2) / math.prod(shape[:3])), seed=generator)

    def assign(self, kernels: Iterator[Tensor] | Sequence[Tensor]) -> None:
        """Give every convolution its kernel."""
        for convolution, kernel in zip(self.convolutions, kernels, strict=True):
            convolution.kernel.assign(kernel)

    def propagate(self, signal: Tensor, noise: Tensor) -> dict[str, np.ndarray]:
        """Return the moments of a signal and a noise in the network as its weights are."""
        convolutions = iter(self.convolutions)
        pair, log = rescaled(self.convolve((signal, noise), next(convolutions)), 0.0)
        rows = []
        for layer in range(1, self.experiment.total_depth + 1):
            pairs = self.layer(pair, convolutions)
            if layer % self.experiment.spacing == 0:
                rows.append(
                    [
                        value
                        for place, at in zip(self.experiment.structure.places, pairs, strict=True)
                        for value in self.moments_at(place, at, log)
                    ]
                )
            pair, log = rescaled(pairs[-1], log)
        return dict(zip(self.experiment.array_names, np.transpose(rows), strict=True))

    def layer(self, pair: Pair, convolutions: Iterator[Any]) -> list[Pair]:
        """Return signal and noise at the places of one layer, or residual unit."""
        row = self.experiment.structure
        steps = {
            "conv": lambda pair: self.convolve(pair, next(convolutions)),
            "batch_norm": self.normalize,
            "activation": self.activate,
        }
        pairs = [pair]
        for step in [step.name for step in row.steps] * row.num_repeats(self.experiment.res_depth):
            pairs.append(steps[step](pairs[-1]))
        places = pairs[: len(row.steps) + 1]
        if row.residual:
            places.append((self.add([pair[0], pairs[-1][0]]), self.add([pair[1], pairs[-1][1]])))
        return places

    def convolve(self, pair: Pair, convolution: Any) -> Pair:
        """Return signal and noise convolved with one kernel."""
        signal, noise = (convolution(padded(x, self.experiment.kernel_size, self.experiment.boundary)) for x in pair)
        return signal, noise

    def normalize(self, pair: Pair) -> Pair:
        """Return the normalized signal, and the noise divided by the same standard deviations."""
        signal = self.batch_norm(pair[0], training=True)
        return signal, pair[1] / ops.sqrt(self.batch_norm.moving_variance + self.experiment.epsilon)

    def activate(self, pair: Pair) -> Pair:
        """Return the rectified signal, and the noise where the signal passes."""
        return self.relu(pair[0]), pair[1] * ops.cast(pair[0] > 0, pair[1].dtype)

    def moments_at(self, place: str, pair: Pair, log: float) -> list[float]:
        """Return the moments that are taken at a place."""
        signal, noise = pair
        squares = ops.square(signal - ops.mean(signal, axis=POINTS))
        moments = {
            "nu1_abs_signal": lambda: ops.mean(ops.abs(signal)),
            "nu2_signal": lambda: ops.mean(ops.square(signal)),
            "mu2_signal": lambda: ops.mean(squares),
            "mu4_signal": lambda: ops.mean(ops.square(squares)),
            "log_mu2_noise": lambda: ops.log(ops.mean(ops.square(noise))) + log,
            "reff_signal": lambda: effective_rank(signal),
            "reff_noise": lambda: effective_rank(noise),
        }
        return [float(moments[name]()) for name in self.experiment.moments_at(place)]


def padded(x: Tensor, size: int, boundary: str) -> Tensor:
    """Return images with the pixels that a kernel of that size sees beyond their borders."""
    before = size - 1 if boundary == "periodic_one_sided" else (size - 1) // 2
    after = size - 1 - before
    if before + after == 0:
        return x
    if boundary == "zero_padding":
        return layers.ZeroPadding2D(((before, after), (before, after)))(x)
    if boundary == "symmetric":
        return ops.pad(x, ((0, 0), (before, after), (before, after), (0, 0)), mode="symmetric")
    x = ops.concatenate([x[:, x.shape[1] - before :], x, x[:, :after]], axis=1)
    return ops.concatenate([x[:, :, x.shape[2] - before :], x, x[:, :, :after]], axis=2)


def rescaled(pair: Pair, log: float) -> tuple[Pair, float]:
    """Divide the noise by its root mean square r, and add 2 ln r to the running logarithm."""
    square = float(ops.mean(ops.square(pair[1])))
    return (pair[0], pair[1] / math.sqrt(square)), log + math.log(square)


def effective_rank(x: Tensor) -> Tensor:
    """Return the sum of the eigenvalues of the channel covariance over the largest one, by all singular values."""
    features = ops.reshape(x, (-1, x.shape[-1]))
    squares = ops.square(ops.svd(features - ops.mean(features, axis=0), compute_uv=False))
    return ops.sum(squares) / ops.max(squares)
