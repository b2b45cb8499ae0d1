"""The largest eigenvalue of a covariance, with a proof of its error."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import keras
import numpy as np
from jaxtyping import Float
from keras import ops

from moments_dnns._backend import accelerators

from .state import Tensor, unless_zero

# Repeated squaring raises the eigenvalues to the power 2**18, which separates those that differ by 1e-5. The trace is
# brought to 1 once a round: the largest of n eigenvalues is then at least 1 / n, and its 8th power within float32's
# range.
NUM_ROUNDS, SQUARINGS_PER_ROUND = 6, 3

# Up to this size, squarings take no longer than what they would be replaced by.
LARGEST_SQUARED = 100

# Lanczos steps between two looks at the error, and how often it looks at most.
STEPS, NUM_LOOKS = 16, 4

# Relative: an estimate is tried once it seems this good, and taken if no eigenvalue is larger by more than this.
GOOD, PROVEN = 2e-5, 8e-5

# Side of the blocks of a Cholesky decomposition: products of matrices do most of the work, three times as fast as
# TensorFlow's own decomposition.
BLOCK = 128

# Relative length of a vector that is rounding alone.
NOTHING = 1e-6

# Of squared norms, relative: what float32 may round in sums over matrices.
ROUNDING = 1e-5


def largest_eigenvalue(matrix: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    """Return the largest eigenvalue of a symmetric matrix without negative eigenvalues, whose trace is 1 or 0.

    Small matrices are squared repeatedly. Larger ones have the Ritz value of a Krylov space, which is never above the
    largest eigenvalue, where it is proven that no eigenvalue is above it by more than `PROVEN`; otherwise they are
    squared too. A residual alone would prove nothing of the kind: an eigenvector that the Krylov space is orthogonal
    to has none. On accelerators products of matrices are the fastest there is, so that all matrices are squared.

    Args:
        matrix: Tensor of shape (n, n).

    Returns:
        Scalar; relative error below 1e-4 for any spectrum.

    Example:

    >>> round(float(largest_eigenvalue(np.diag([0.75, 0.25]).astype("float32"))), 4)
    0.75

    Reference: section 10.1 of Golub and Van Loan, Matrix Computations (2013).
    """
    if matrix.shape[-1] <= LARGEST_SQUARED or accelerators():
        return by_squaring(matrix)
    ritz = top_ritz_pair(matrix)
    is_proven = ops.cond(bounds_by_norms(matrix, ritz), lambda: True, lambda: bounds_by_pivots(matrix, ritz))
    return ops.cond(is_proven, lambda: ritz.value, lambda: by_squaring(matrix))


def by_squaring(matrix: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    """Return the mean of the eigenvalues of a matrix, weighted by their power 2**18."""
    power = squared(matrix)
    return ops.sum(power * matrix)


def squared(matrix: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Return the power 2**18 of a matrix, with a trace of 1 if it is not zero."""
    for _ in range(NUM_ROUNDS):
        for _ in range(SQUARINGS_PER_ROUND):
            matrix = ops.matmul(matrix, matrix)
        matrix = matrix / unless_zero(ops.sum(ops.diagonal(matrix)))
    return matrix


class Ritz(NamedTuple):
    """The largest Ritz value of a Krylov space, and what bounds the eigenvalues of the rest.

    Args:
        value: The Ritz value.
        vector: Its vector, of length 1, of shape (1, n).
        residual: The norm of what the matrix maps the vector to beside itself.
        second: The next Ritz value.
        inside: The sum of the squares of the matrix's entries within the space.
        images: The same within the images of an orthonormal basis of the space.
        look: How often the error was looked at.
    """

    value: Tensor
    vector: Tensor
    residual: Tensor
    second: Tensor
    inside: Tensor
    images: Tensor
    look: Tensor

    @property
    def is_good(self) -> Tensor:
        """Whether the Ritz value is close to an eigenvalue, as it seems: by its residual, or by that and the gap."""
        gap = ops.maximum(self.value - self.second, self.residual)
        return self.residual * self.residual <= GOOD * self.value * unless_zero(gap)


def top_ritz_pair(matrix: Float[Tensor, "n n"]) -> Ritz:
    """Return the largest Ritz pair after so many Lanczos steps as it needs to be good, or as there are at most.

    The start vector is the same whatever the matrix. A Krylov space that is full begins anew from its Ritz vector.
    """
    start = np.random.default_rng(0).normal(size=(1, matrix.shape[-1])).astype("float32")
    first = krylov(matrix, ops.convert_to_tensor(start / np.linalg.norm(start)), 1)
    found = ops.while_loop(
        lambda *ritz: ops.logical_and(ritz[-1] < NUM_LOOKS, ops.logical_not(Ritz(*ritz).is_good)),
        lambda *ritz: tuple(krylov(matrix, ritz[1], ritz[-1] + 1)),
        tuple(first),
    )
    return Ritz(*found)


def krylov(matrix: Float[Tensor, "n n"], start: Float[Tensor, "1 n"], look: Any) -> Ritz:
    """Return the largest Ritz pair of the Krylov space of a vector of length 1."""
    vectors, images, last = [start], list[Tensor](), start
    while True:
        images.append(ops.matmul(last, matrix))
        if len(images) == STEPS:
            break
        basis = ops.concatenate(vectors)
        following = images[-1]
        for _ in range(2):  # once leaves what rounding brings back of a vector that is nearly within the space
            following = following - ops.matmul(ops.matmul(following, ops.transpose(basis)), basis)
        # Nothing but rounding is left where the space is invariant.
        length = _norm(following)
        last = ops.where(length > NOTHING * _norm(images[-1]), following / unless_zero(length), 0.0)
        vectors.append(last)
    basis, image = ops.concatenate(vectors), ops.concatenate(images)
    within = ops.matmul(image, ops.transpose(basis))
    within = (within + ops.transpose(within)) / 2
    # Decompositions may refuse what is not a number; what follows from the images stays none.
    values, coordinates = ops.eigh(ops.where(ops.isfinite(within), within, 0.0))
    top = ops.transpose(coordinates[:, -1:])
    vector, image_of_top = ops.matmul(top, basis), ops.matmul(top, image)
    length = unless_zero(_norm(vector))
    vector, image_of_top = vector / length, image_of_top / length
    value = ops.sum(vector * image_of_top)  # a mean of eigenvalues, whatever was rounded before
    return Ritz(
        value,
        vector,
        _norm(image_of_top - value * vector),
        values[-2],
        ops.sum(ops.square(within)),
        ops.sum(ops.square(image)),
        ops.cast(look, "int32"),
    )


def bounds_by_norms(matrix: Float[Tensor, "n n"], ritz: Ritz) -> Tensor:
    """Tell whether norms of the parts of a matrix prove that no eigenvalue is above a Ritz value by more than `PROVEN`.

    The Ritz vector, the rest of the Krylov space and all beyond it are three blocks; what lies beyond has no eigenvalue
    above its Frobenius norm. This suffices where few directions have most of the variance.
    """
    total = ops.sum(ops.square(matrix))
    beyond = ops.sqrt(ops.maximum(total - 2 * ritz.images + ritz.inside, 0.0) + ROUNDING * total)
    coupling = ops.sqrt(ops.maximum(ritz.images - ritz.inside, 0.0) + ROUNDING * total)
    rest = ritz.second + _excess(ritz.second, beyond, coupling)
    return _excess(ritz.value, rest, ritz.residual) <= PROVEN * ritz.value


def _excess(first: Tensor, second: Tensor, coupling: Tensor) -> Tensor:
    """Return by how much the largest eigenvalue of two coupled numbers is above the first of them."""
    half = (second - first) / 2
    return half + ops.sqrt(half * half + coupling * coupling)


def bounds_by_pivots(matrix: Float[Tensor, "n n"], ritz: Ritz) -> Tensor:
    """Tell whether a Cholesky decomposition proves that no eigenvalue is above a Ritz value by more than `PROVEN`.

    It exists where all eigenvalues of the bound minus the matrix are positive; what float32 rounds moves these by some
    1e-6 of the bound. XLA's takes longer on a CPU than squarings, so that with JAX nothing is proven here.
    """
    gap = (1 + PROVEN) * ritz.value * ops.eye(matrix.shape[-1], dtype=matrix.dtype) - matrix
    return PIVOTS[keras.backend.backend()](gap)


def _tensorflow(matrix: Tensor) -> Tensor:
    linalg = importlib.import_module("tensorflow").linalg
    pivots, left = list[Tensor](), matrix
    while left.shape[0]:
        block, beside, rest = left[:BLOCK, :BLOCK], left[:BLOCK, BLOCK:], left[BLOCK:, BLOCK:]
        factor = linalg.cholesky(block)  # of what is not a number where there is none, like all that follows
        pivots.append(ops.diagonal(factor))
        solved = linalg.triangular_solve(factor, beside)
        left = rest - ops.matmul(ops.transpose(solved), solved)
    return ops.all(ops.concatenate(pivots) > 0)


def _torch(matrix: Tensor) -> Tensor:
    return importlib.import_module("torch").linalg.cholesky_ex(matrix).info == 0


# For each backend, a function that tells whether a matrix has positive eigenvalues only, if it can.
PIVOTS = {"tensorflow": _tensorflow, "torch": _torch, "jax": lambda matrix: ops.array(False)}


def _norm(x: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    return ops.sqrt(ops.sum(ops.square(x)))
