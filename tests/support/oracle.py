"""An independent answer to everything a network computes: NumPy, float64, loops, and no shortcut.

A state is a pair (signal, noise) of arrays of shape (batch, height, width, channels), at their true scales.
"""

import numpy as np

# Those of the paper, and others of which infinite width is known exactly: the steps of a layer, place by place, and
# whether they are the branch of a residual unit.
ARCHITECTURES = {
    "vanilla": (["convolution", "relu"], False),
    "bn_ff": (["convolution", "batch_norm", "relu"], False),
    "bn_res": (["batch_norm", "relu", "convolution"], True),
}


def pixel(index, size, boundary):
    """Which pixel is seen at an index that may lie beyond the border; None where there is nothing."""
    if 0 <= index < size:
        return index
    if boundary.startswith("periodic"):
        return index % size
    if boundary == "symmetric":
        return -index - 1 if index < 0 else 2 * size - 1 - index
    return None


def pixels_before(side, boundary):
    """How many pixels a kernel reads before its own."""
    return side - 1 if boundary == "periodic_one_sided" else (side - 1) // 2


def convolve(x, kernel, boundary="periodic", strides=1):
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    batch, height, width, _ = x.shape
    side = kernel.shape[0]
    before = pixels_before(side, boundary)
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
            elif step == "relu":
                state = relu(state)
            else:
                raise KeyError(step)
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
    after_relu = ARCHITECTURES[architecture][0].index("relu") + 2
    return {
        f"{name}_loc{place}": value
        for place, state in enumerate(states, start=1)
        for name, value in moments(state).items()
        if not name.startswith("reff") or place == after_relu
    }


# --- any architecture ----------------------------------------------------------------------------------------------


def tangent(function, signal, noise, step=1e-5):
    """The derivative along the noise by central differences: errors of 1e-9 for smooth functions of order 1."""
    size = np.abs(noise).max()
    if not size:
        return np.zeros_like(function(signal))
    h = step * np.abs(signal).max() / size
    return (function(signal + h * noise) - function(signal - h * noise)) / (2 * h)


def with_tangent(function):
    def step(state, *arguments):
        signal, noise = (np.asarray(x, np.float64) for x in state)
        return function(signal, *arguments), tangent(lambda x: function(x, *arguments), signal, noise)

    return step


def normalized(x, epsilon, axes, centred=True):
    if centred:
        x = x - x.mean(axis=axes, keepdims=True)
    variance = (x**2).mean(axis=axes, keepdims=True)
    constant = variance + epsilon == 0
    return np.where(constant, 0, x / np.sqrt(np.where(constant, 1, variance + epsilon)))


def grouped(x, epsilon, groups):
    *shape, channels = x.shape
    return normalized(x.reshape(*shape, groups, channels // groups), epsilon, (1, 2, 4)).reshape(x.shape)


def squares(x, side):
    """The points of every square, on the last axis."""
    rows, columns = x.shape[1] // side, x.shape[2] // side
    return np.stack(
        [x[:, i : rows * side : side, j : columns * side : side] for i in range(side) for j in range(side)], axis=-1
    )


def mixed(x, kernel, bias=0.0):
    tokens = x.reshape(x.shape[0], -1, x.shape[-1])
    mixture = np.einsum("bqc,qp->bpc", tokens, np.asarray(kernel, np.float64)[0, 0])
    return (mixture + np.reshape(bias, (-1, 1))).reshape(x.shape)


NORMALIZATIONS = {
    "layer_norm": with_tangent(lambda x, epsilon: normalized(x, epsilon, (3,))),
    "rms_norm": with_tangent(lambda x, epsilon: normalized(x, epsilon, (3,), centred=False)),
    "instance_norm": with_tangent(lambda x, epsilon: normalized(x, epsilon, (1, 2))),
    "group_norm": with_tangent(grouped),
    "differentiated": with_tangent(lambda x, epsilon: normalized(x, epsilon, (0, 1, 2))),
}
FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "linear": lambda x: x,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softmax": lambda x: (
        np.exp(x - x.max(axis=-1, keepdims=True))
        / np.exp(x - x.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)
    ),
}


def step(step, state, drawn, epsilon, activation, boundary, statistics):
    """The state after one step of any kind; what it draws, (kernel, bias), is taken from an iterator."""
    if step.name in ("conv", "dense"):
        kernel, bias = next(drawn)
        signal, noise = convolution(state, kernel, boundary, step.strides or 1)
        return signal + bias, noise
    if step.name == "token_mixing":
        kernel, bias = next(drawn)
        return mixed(state[0], kernel, bias), mixed(state[1], kernel)
    if step.name == "batch_norm" and statistics == "constant":
        return batch_norm(state, epsilon)
    if step.name.endswith("_norm"):
        name = "differentiated" if step.name == "batch_norm" else step.name
        return NORMALIZATIONS[name](state, epsilon, *([step.groups] if step.groups else []))
    if step.name == "activation":
        return with_tangent(FUNCTIONS[activation])(state)
    if step.name == "average_pool":
        return tuple(squares(x, step.strides).mean(axis=-1) for x in state)
    if step.name != "max_pool":
        raise KeyError(step.name)
    signal, noise = (squares(x, step.strides) for x in state)
    chosen = signal.argmax(axis=-1)[..., None]
    return tuple(np.take_along_axis(x, chosen, axis=-1)[..., 0] for x in (signal, noise))


def unit(row, state, drawn, repeats, **options):
    """The states at all places of one layer of any architecture."""
    drawn, start, places = iter(drawn), state, [state]
    for repeat in range(repeats):
        for each in row.steps:
            state = step(each, state, drawn, **options)
            if not repeat:
                places.append(state)
    if row.residual:
        state = add(tuple(row.residual_scale * x for x in state), start)
        places.append(state)
        for each in row.after:
            state = step(each, state, drawn, **options)
            places.append(state)
    return places
