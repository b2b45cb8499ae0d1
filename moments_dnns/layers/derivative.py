"""Derivatives of functions of tensors on every backend: forward, and forward and backward at once."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import keras
from keras import ops

from .state import Tensor

Function = Callable[..., Sequence[Tensor]]


def jvp(function: Function, primals: Sequence[Tensor], tangents: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the values of a function and their derivatives along tangents.

    Formula: `y = f(x)`, `dy = f'(x) dx`, summed over all arguments; 0 where an output does not depend on them.

    Args:
        function: Maps floating-point tensors to a sequence of floating-point tensors.
        primals: Its arguments.
        tangents: A tensor for each of them, of the same shape.

    Returns:
        The outputs, and their tangents in the same order.

    Example:

    >>> x, dx = (ops.convert_to_tensor(np.float32(value)) for value in (3.0, 0.5))
    >>> [float(tensor) for (tensor,) in jvp(lambda x: [ops.square(x)], [x], [dx])]
    [9.0, 3.0]
    """
    if keras.backend.backend() == "tensorflow":
        return _twice_reverse(function, primals, tangents)
    with _differentiable_attention():
        outputs, derivatives = ops.jvp(lambda *x: tuple(function(*x)), tuple(primals), tuple(tangents))
    return list(outputs), list(derivatives)


class Derivatives(NamedTuple):
    """What `jvp_and_vjp` returns.

    Args:
        outputs: The values of the function.
        tangents: Their derivatives along the tangents of the arguments, in the same order.
        gradients: What cotangents of the last outputs are pulled back to, for each argument.
    """

    outputs: list[Tensor]
    tangents: list[Tensor]
    gradients: list[Tensor]


def jvp_and_vjp(
    function: Function, primals: Sequence[Tensor], tangents: Sequence[Tensor], cotangents: Sequence[Tensor]
) -> Derivatives:
    """Return the values of a function, their derivatives along tangents, and gradients, of one pass through it.

    Formula: `y = f(x)`, `dy = f'(x) dx`, `g = f'(x)^T u`, so that `<u, dy> = <g, dx>`.

    Args:
        function: Maps floating-point tensors to a sequence of floating-point tensors.
        primals: Its arguments.
        tangents: Tensors of the shapes of the first arguments; the others are constants for the derivatives along them.
        cotangents: Tensors of the shapes of the last outputs.

    Returns:
        `Derivatives`, with a gradient for every argument; 0 where no output depends on it.

    Example:

    >>> x, dx, u = (ops.convert_to_tensor(np.float32(value)) for value in (3.0, 0.5, 2.0))
    >>> [float(tensor) for (tensor,) in jvp_and_vjp(lambda x: [ops.square(x)], [x], [dx], [u])]
    [9.0, 3.0, 12.0]
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        tensorflow = importlib.import_module("tensorflow")
        with _gradients_of_gradients(tensorflow):
            return _differentiated(tensorflow, function, primals, tangents, cotangents)
    vjp = importlib.import_module("jax" if backend == "jax" else "torch.func").vjp
    count = len(tangents)

    def forward(*arguments: Tensor) -> tuple[tuple[Tensor, ...], tuple[list[Tensor], list[Tensor]]]:
        passed = jvp(lambda *x: function(*x, *arguments[count:]), arguments[:count], tangents)
        return tuple(passed[0][len(passed[0]) - len(cotangents) :]), passed

    # What comes beside the last outputs is not differentiated once more.
    _, pull_back, (outputs, derivatives) = vjp(forward, *primals, has_aux=True)
    return Derivatives(outputs, derivatives, list(pull_back(tuple(cotangents))))


def _differentiable_attention() -> AbstractContextManager[Any]:
    """Let PyTorch compute attention by products of matrices, as its fused kernels have no forward derivative."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    attention = importlib.import_module("torch.nn.attention")
    kernels: AbstractContextManager[Any] = attention.sdpa_kernel(attention.SDPBackend.MATH)
    return kernels


def _twice_reverse(
    function: Function, primals: Sequence[Tensor], tangents: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Differentiate the linear map u -> J'u, which the reverse mode gives, in the direction of the tangents.

    TensorFlow's own forward mode knows no loops, keeps what it traced for the life of the process, and loses shapes
    once it traced an operation often. In a graph, the reverse pass itself is pruned: only its derivative is run.
    """
    tensorflow = importlib.import_module("tensorflow")
    with _gradients_of_gradients(tensorflow):
        return _differentiated(tensorflow, function, primals, tangents)[:2]


def _differentiated(
    tensorflow: Any,
    function: Function,
    primals: Sequence[Tensor],
    tangents: Sequence[Tensor],
    cotangents: Sequence[Tensor] = (),
) -> Derivatives:
    primals = [tensorflow.identity(primal) for primal in primals]
    with tensorflow.GradientTape(watch_accessed_variables=False) as outer:
        with tensorflow.GradientTape(watch_accessed_variables=False, persistent=bool(cotangents)) as inner:
            inner.watch(primals)
            outputs = list(function(*primals))
        symbols = [tensorflow.raw_ops.ZerosLike(x=output) for output in outputs]  # tf.zeros_like makes three operations
        outer.watch(symbols)
        pulled = inner.gradient(outputs, primals[: len(tangents)], output_gradients=symbols)
        products = [
            tensorflow.reduce_sum(tensorflow.convert_to_tensor(gradient) * tangent)
            for gradient, tangent in zip(pulled, tangents, strict=True)
            if gradient is not None
        ]
        product = tensorflow.add_n(products) if products else tensorflow.zeros(())
    derivatives = outer.gradient(product, symbols, unconnected_gradients="zero")
    gradients = []
    if cotangents:
        last = outputs[-len(cotangents) :]
        gradients = inner.gradient(last, primals, output_gradients=cotangents, unconnected_gradients="zero")
    dense = tensorflow.convert_to_tensor
    return Derivatives(outputs, [dense(each) for each in derivatives], [dense(each) for each in gradients])


@contextmanager
def _gradients_of_gradients(tensorflow: Any) -> Iterator[None]:
    """Let TensorFlow differentiate some gradients with respect to what they are linear in.

    It lacks these, and takes the one of bilinear interpolation for zero without a word.
    """
    registry = importlib.import_module("tensorflow.python.framework.ops").gradient_registry._registry
    raw = tensorflow.raw_ops
    ours = {
        "ResizeBilinear": _bilinear_gradient(tensorflow),
        "ResizeBicubicGrad": _resized(raw.ResizeBicubic, "align_corners", "half_pixel_centers"),
        "ResizeNearestNeighborGrad": _resized(raw.ResizeNearestNeighbor, "align_corners", "half_pixel_centers"),
        "ScaleAndTranslateGrad": _resized(raw.ScaleAndTranslate, "kernel_type", "antialias"),
        "SoftsignGrad": lambda op, upstream: (raw.SoftsignGrad(gradients=upstream, features=op.inputs[1]), None),
    }
    theirs = {name: registry[name] for name in ours if name in registry}
    registry.update({name: {"type": gradient, "location": None} for name, gradient in ours.items()})
    try:
        yield
    finally:
        for name in ours:
            del registry[name]
        registry.update(theirs)


def _resized(resize: Any, *attributes: str) -> Any:
    """Return the derivative of the gradient of an interpolation: the interpolation itself."""

    def gradient(op: Any, upstream: Tensor) -> tuple[Tensor, ...]:
        places = dict(zip(("scale", "translation"), op.inputs[2:], strict=False))
        settings = {name: op.get_attr(name) for name in attributes}
        size = ops.shape(op.inputs[0])[1:3]
        resized = resize(images=upstream, size=size, **places, **settings)
        return ops.cast(resized, op.inputs[0].dtype), *(None for _ in op.inputs[1:])

    return gradient


def _bilinear_gradient(tensorflow: Any) -> Any:
    """Return the gradient of bilinear interpolation with a derivative, for which TensorFlow keeps nothing."""
    raw = tensorflow.raw_ops

    def gradient(op: Any, upstream: Tensor) -> tuple[Tensor, None]:
        settings = {name: op.get_attr(name) for name in ("align_corners", "half_pixel_centers")}

        def pulled(upstream: Tensor) -> Any:
            def derivative(tensor: Tensor) -> Tensor:
                return raw.ResizeBilinear(images=tensor, size=ops.shape(upstream)[1:3], **settings)

            return raw.ResizeBilinearGrad(grads=upstream, original_image=op.inputs[0], **settings), derivative

        return tensorflow.custom_gradient(pulled)(upstream), None

    return gradient
