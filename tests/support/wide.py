"""Wide networks in NumPy, float64, whose layers are drawn from their law given their inputs: nothing of `theory` in it.

A convolution's channels are Gaussian over the points with the covariance of what it reads; where a batch has few points
that is cheap at any width. A state is (signal, noise) of shape (M, channels).
"""

import numpy as np

from tests.support.oracle import ARCHITECTURES, pixel, pixels_before

GAIN = 2.0


def reads(side, kernel_size, boundary):
    """For every entry of the kernel, which pixel each pixel reads; None in the padding."""
    before = pixels_before(kernel_size, boundary)
    for u in range(kernel_size):
        for v in range(kernel_size):
            seen = []
            for row in range(side):
                for column in range(side):
                    where = pixel(row + u - before, side, boundary), pixel(column + v - before, side, boundary)
                    seen.append(None if None in where else where[0] * side + where[1])
            yield seen


def convolution(rng, state, channels, kernel_size, boundary, side):
    points, input_channels = state[0].shape
    pixels = side**2
    stacked = np.concatenate(state)
    covariance = np.zeros((2 * points, 2 * points))
    for seen in reads(side, kernel_size, boundary):
        patch = np.zeros_like(stacked)
        for a in range(2 * points):
            read = seen[a % pixels]
            if read is not None:
                patch[a] = stacked[a - a % pixels + read]
        covariance += patch @ patch.T
    values, vectors = np.linalg.eigh(covariance * GAIN / (kernel_size**2 * input_channels))
    root = vectors * np.sqrt(np.maximum(values, 0))
    return tuple(np.split(root @ rng.normal(size=(2 * points, channels)), 2))


def batch_norm(state, epsilon):
    signal, noise = state
    centred = signal - signal.mean(axis=0)
    deviation = np.sqrt((centred**2).mean(axis=0) + epsilon)
    return centred / deviation, noise / deviation


def relu(state):
    return state[0] * (state[0] > 0), state[1] * (state[0] > 0)


def layer(rng, architecture, state, epsilon=0.0, kernel_size=1, boundary="periodic", side=1, res_depth=2):
    """The states at all places of one layer."""
    steps, residual = ARCHITECTURES[architecture]
    start, places = state, [state]
    for _ in range(res_depth if residual else 1):
        for step in steps:
            if step == "convolution":
                state = convolution(rng, state, state[0].shape[1], kernel_size, boundary, side)
            else:
                state = {"batch_norm": lambda x: batch_norm(x, epsilon), "relu": relu}[step](state)
            places.append(state)
    places = places[: len(steps) + 1]
    return [*places, (state[0] + start[0], state[1] + start[1])] if residual else places


def moments(state):
    """All moments but the ranks, each with a value for every channel."""
    signal, noise = state
    centred = signal - signal.mean(axis=0)
    return {
        "nu1_abs_signal": np.abs(signal).mean(axis=0),
        "nu2_signal": (signal**2).mean(axis=0),
        "mu2_signal": (centred**2).mean(axis=0),
        "mu4_signal": (centred**4).mean(axis=0),
        "mu2_noise": (noise**2).mean(axis=0),
    }


def effective_rank(features):
    centred = features - features.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    return values.sum() / values.max()


def draw_grams(points, seed=0, correlated=True):
    """A Gram matrix of signals with a mean, one of noise, and one between them that is small."""
    rng = np.random.default_rng(seed)
    x, dx = rng.normal(size=(2, points, 3 * points)) * np.linspace(0.5, 1.5, 3 * points)
    x = x + 0.5 * rng.normal(size=3 * points)
    cross = (x @ dx.T if correlated else np.zeros((points, points))) / (3 * points)
    return x @ x.T / (3 * points), dx @ dx.T / (3 * points), cross


def draw_start(rng, gram, noise_gram, cross_gram, channels):
    """A signal and a noise of these Gram matrices in expectation."""
    joint = np.block([[gram, cross_gram], [cross_gram.T, noise_gram]])
    values, vectors = np.linalg.eigh(joint)
    draws = (vectors * np.sqrt(np.maximum(values, 0))) @ rng.normal(size=(len(joint), channels))
    return tuple(np.split(draws, 2))


def second_moments(step, grams, repeats=16, channels=50_000):
    """Means over channels of x x', dx dx' and x dx' after a step, averaged over repeats, and their standard errors."""
    found = []
    for repeat in range(repeats):
        x, dx = step(draw_start(np.random.default_rng((3, repeat)), *grams, channels))
        found.append(np.array([x @ x.T, dx @ dx.T, x @ dx.T]) / channels)
    return np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(repeats)


def assert_second_moments(expected, step, grams):
    """Compare second moments with those of a step that is drawn; a transposed matrix would be noticed."""
    mean, error = second_moments(step, grams)
    scores = (mean - np.array(expected)) / error
    # 65 different entries, with errors from 16 repeats.
    assert np.abs(scores).max() < 5.5
    assert 0.6 < scores.std() < 1.5
    assert (np.abs(expected.cross - expected.cross.T) / error[2]).max() > 20
