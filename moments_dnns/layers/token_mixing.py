"""Token mixing: a dense layer over the pixels of each channel."""

from __future__ import annotations

from jaxtyping import Float
from keras import ops

from moments_dnns._validation import refusal

from .linear import Linear, check_weights
from .state import Seed, State, Tensor, register


@register
class TokenMixing(Linear):
    """Mix the points of space by one matrix, shared by all channels and drawn afresh at every call.

    Formula: `y[p] = sum over points q of x[q] omega[q, p]`, with `omega` i.i.d. N(0, gain / points), and a bias for
    each point.

    Args:
        gain: Variance of the weights times the number of points; 2 is He's.
        kernel_initializer: `"gaussian"`, with variance gain / points; or a name or an instance of
            `keras.initializers.Initializer`, which has its own gain, but draws from the seed of the call.
        bias_variance: Variance of the biases, one for each point.

    Call arguments:
        state: The state.
        seed: Integer tensor of shape (2,), with entries from 0 to 2**31 - 1.
        kernel: Tensor of shape (1, 1, points, points), instead of a seed; there is no bias then.

    Returns:
        The state, of the same shape.

    Raises:
        TypeError, ValueError: If an argument is refused, a side of the images is not known, or there is not exactly one
            of seed and kernel.

    Example:

    >>> from moments_dnns.layers.core import InitialState
    >>> images = np.ones((2, 4, 4, 3), "float32")
    >>> tuple(TokenMixing()(InitialState()(images, images), seed=np.array([1, 2])).signal.shape)
    (2, 4, 4, 3)

    Reference: equation 1 of arXiv 2105.01601.
    """

    def call(
        self,
        state: State,
        seed: Seed | None = None,
        kernel: Float[Tensor, "1 1 points points"] | None = None,
    ) -> State:
        """Return the mixed state."""
        check_weights(seed, kernel)
        state = State(*state)
        height, width, channels = shape = tuple(state.signal.shape[1:])
        if None in shape:
            raise ValueError(refusal("height, width and channels must be known.", shape=shape))
        points = height * width
        if kernel is None:
            kernel = self.kernel_of(seed, (1, 1, points, points))
        # Points become the last axis, as channels are in other layers: the kernel and the bias belong to them.
        signal, noise = (
            ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, channels, 1, points)) for x in (state.signal, state.noise)
        )
        signal, noise = (ops.matmul(x, kernel[0, 0]) for x in (signal, noise))
        state = self.biased(state._replace(signal=signal, noise=noise), seed)
        signal, noise = (
            ops.transpose(ops.reshape(x, (-1, channels, height, width)), (0, 2, 3, 1))
            for x in (state.signal, state.noise)
        )
        return state._replace(signal=signal, noise=noise)
