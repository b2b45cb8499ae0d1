"""An independent answer to everything a network computes: NumPy, float64, loops, and no shortcut.

A state is a pair (signal, noise) of arrays of shape (batch, height, width, channels), at their true scales.
"""

import numpy as np

# (steps of a layer, whether they are the branch of a residual unit), place by place.
ARCHITECTURES = {
    "vanilla": (["convolution", "relu"], False),
    "bn_ff": (["convolution", "batch_norm", "relu"], False),
    "bn_res": (["batch_norm", "relu", "convolution"], True),
}
AFTER_RELU = {"vanilla": 3, "bn_ff": 4, "bn_res": 3}


def pixel(index, size, boundary):
    """Which pixel is seen at an index that may lie beyond the border; None where there is nothing."""
    if 0 <= index < size:
        return index
    if boundary == "periodic":
        return index % size
    if boundary == "symmetric":
        return -index - 1 if index < 0 else 2 * size - 1 - index
    return None


def convolve(x, kernel, boundary="periodic", strides=1):
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    batch, height, width, _ = x.shape
    side = kernel.shape[0]
    before = (side - 1) // 2
    rows, columns = range(0, height, strides), range(0, width, strides)
    y = np.zeros((batch, len(rows), len(columns), kernel.shape[-1]))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            for u in range(side):
                for v in range(side):
                    seen = pixel(row + u - before, height, boundary), pixel(column + v - before, width, boundary)
                    if None not in seen:
                        y[:, i, j] += x[:, seen[0], seen[1]] @ kernel[u, v]
    return y


def convolution(state, kernel, boundary="periodic", strides=1):
    return tuple(convolve(x, kernel, boundary, strides) for x in state)


def centre(x):
    # The first point goes first, so that a constant channel is exactly zero in floating point, too.
    x = x - x[:1, :1, :1]
    return x - x.mean(axis=(0, 1, 2))


def batch_norm(state, epsilon):
    signal, noise = (np.asarray(x, np.float64) for x in state)
    centred = centre(signal)
    variance = (centred**2).mean(axis=(0, 1, 2))
    constant = variance + epsilon == 0
    factor = np.where(constant, 0, 1 / np.sqrt(np.where(constant, 1, variance + epsilon)))
    return centred * factor, noise * factor


def relu(state):
    signal, noise = state
    return np.where(signal > 0, signal, 0), np.where(signal > 0, noise, 0)


def add(one, other):
    return one[0] + other[0], one[1] + other[1]


def layer(architecture, state, kernels, boundary="periodic", epsilon=1e-3):
    """The states at all places of one layer; a residual unit has as many convolutions as there are kernels."""
    steps, residual = ARCHITECTURES[architecture]
    start, places = state, [state]
    for kernel in kernels:
        for step in steps:
            if step == "convolution":
                state = convolution(state, kernel, boundary)
            elif step == "batch_norm":
                state = batch_norm(state, epsilon)
            else:
                state = relu(state)
            places.append(state)
    places = places[: len(steps) + 1]
    return [*places, add(state, start)] if residual else places


def effective_rank(features):
    x = np.asarray(features, np.float64)
    x = centre(x.reshape(-1, 1, 1, x.shape[-1]))[:, 0, 0]
    if not x.any():
        return 0.0
    x = x / np.abs(x).max()
    squares = np.linalg.svd(x, compute_uv=False) ** 2
    return squares.sum() / squares.max()


def moments(state):
    """All moments of a state by name, effective ranks too."""
    signal, noise = (np.asarray(x, np.float64) for x in state)
    over_points = (0, 1, 2)
    centred = centre(signal)
    with np.errstate(divide="ignore"):
        log_mu2_noise = np.log((noise**2).mean(axis=over_points).mean())
    return {
        "nu1_abs_signal": np.abs(signal).mean(axis=over_points).mean(),
        "nu2_signal": (signal**2).mean(axis=over_points).mean(),
        "mu2_signal": (centred**2).mean(axis=over_points).mean(),
        "mu4_signal": (centred**4).mean(axis=over_points).mean(),
        "log_mu2_noise": log_mu2_noise,
        "reff_signal": effective_rank(signal),
        "reff_noise": effective_rank(noise),
    }


def layer_moments(architecture, states):
    """The moments at all places of a layer by array name, with effective ranks after the ReLU only."""
    return {
        f"{name}_loc{place}": value
        for place, state in enumerate(states, start=1)
        for name, value in moments(state).items()
        if not name.startswith("reff") or place == AFTER_RELU[architecture]
    }
