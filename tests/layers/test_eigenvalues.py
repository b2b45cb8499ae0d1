"""The largest eigenvalue of large matrices against float64, on spectra and directions that mislead Krylov spaces."""

import keras
import numpy as np
import pytest
from keras import ops

from moments_dnns._backend import compiled
from moments_dnns.layers import eigenvalues
from moments_dnns.layers.measurement import rank_of_centred

backend = pytest.mark.backend

# Matrices of more blocks take other backends the same steps for longer.
SIZES = [*(pytest.param(size, marks=backend) for size in (64, 256, 512)), 1024]
GAPS = [1e-1, 1e-3, 1e-4, 1e-5]

# Name -> eigenvalues but for the first, of which there are so many. The first is that of the vector from which Lanczos
# steps begin, so that the others are orthogonal to it.
SPECTRA = {
    "flat": lambda count, rng: np.ones(count),
    "random": lambda count, rng: rng.random(count),
    "one direction": lambda count, rng: np.r_[1, np.zeros(count - 1)],
    "slow": lambda count, rng: 1 / np.arange(1, 1 + count),
    **{f"ladder {gap}": lambda count, rng, gap=gap: 1 - gap * np.linspace(0, 1, count) for gap in GAPS},
    **{f"one above by {gap}": lambda count, rng, gap=gap: np.r_[1, np.full(count - 1, 1 - gap)] for gap in GAPS},
    **{f"all but one at {rest}": lambda count, rng, rest=rest: np.r_[1, np.full(count - 1, rest)] for rest in GAPS},
    **{
        f"cluster {gap}": lambda count, rng, gap=gap: np.r_[1 - gap * rng.random(9), 0.3 * rng.random(count - 9)]
        for gap in GAPS
    },
}  # fmt: skip


def start_vector(size):
    start = np.random.default_rng(0).normal(size=size).astype("float32").astype("float64")
    return start / np.linalg.norm(start)


def reflected(values, to):
    """The symmetric matrix with these eigenvalues whose first eigenvector is a given one, and the others by chance."""
    axis = np.eye(len(values))[0] - to
    axis /= np.linalg.norm(axis) or 1
    matrix = np.diag(values) - 2 * np.outer(axis, axis * values)
    return matrix - 2 * np.outer(matrix @ axis, axis)


# Compiled once for all tests, as it is within a network; one compilation takes JAX longer than all of these ranks.
rank_of = compiled(rank_of_centred)


def rank_in_float64(features):
    values = np.linalg.eigvalsh(features.T.astype("float64") @ features)
    return values.sum() / values[-1]


@pytest.mark.parametrize("size", SIZES)
def test_ranks_of_hard_spectra(size):
    """Against the eigenvalues that were put in, which rounding of the features to float32 moves by 1e-6 at most."""
    seed = np.random.SeedSequence().entropy
    rng = np.random.default_rng(seed)
    oracle = rng.choice(list(SPECTRA))
    for name, spectrum in SPECTRA.items():
        values = np.r_[rng.choice([1e-9, 0.7]), spectrum(size - 1, rng)]
        unit = rng.normal(size=size)
        for to in (start_vector(size), unit / np.linalg.norm(unit)):
            features = reflected(np.sqrt(values), to).astype("float32")
            found, expected = float(rank_of(ops.convert_to_tensor(features))), values.sum() / values.max()
            assert found == pytest.approx(expected, rel=1e-4), f"{name}, {seed=}"
        if name == oracle:
            assert rank_in_float64(features) == pytest.approx(expected, rel=2e-6)


@backend
@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15, 1e30])
def test_ranks_at_any_scale(scale):
    features = np.random.default_rng(1).normal(size=(200, 300)).astype("float32")
    scaled = (features * np.float64(scale)).astype("float32")
    assert float(rank_of(ops.convert_to_tensor(scaled))) == pytest.approx(rank_in_float64(features.T), rel=1e-4)


@backend
def test_ranks_of_zeros_and_of_what_is_not_a_number():
    zeros = np.zeros((200, 200), "float32")
    assert float(rank_of(ops.convert_to_tensor(zeros))) == 0
    for bad in (np.nan, np.inf):
        features = zeros + np.where(np.arange(200) == 7, bad, 1).astype("float32")
        assert np.isnan(float(rank_of(ops.convert_to_tensor(features))))


@backend
def test_a_missed_eigenvector_is_no_proof():
    # The start vector has the eigenvalue 0.5, and the Krylov space no other direction.
    values = np.full(150, 0.5)
    values[7] = 1.0
    matrix = ops.convert_to_tensor(reflected(values / values.sum(), start_vector(150)).astype("float32"))

    def tried(matrix):
        ritz = eigenvalues.top_ritz_pair(matrix)
        bounds = eigenvalues.bounds_by_norms(matrix, ritz), eigenvalues.bounds_by_pivots(matrix, ritz)
        return ritz.value, ritz.residual, *bounds, eigenvalues.largest_eigenvalue(matrix)

    value, residual, by_norms, by_pivots, largest = compiled(tried)(matrix)
    assert float(value) == pytest.approx(0.5 / values.sum(), rel=1e-3)
    assert float(residual) < 1e-5 * float(value)
    assert not bool(by_norms)
    assert not bool(by_pivots)
    assert float(largest) == pytest.approx(1 / values.sum(), rel=1e-4)


@backend
def test_proofs_are_found_where_there_is_one(monkeypatch):
    """Few large eigenvalues are bounded by norms, many of one size by pivots: neither is squared."""
    monkeypatch.setattr(eigenvalues, "by_squaring", lambda matrix: ops.array(np.nan, "float32"))
    largest_of = compiled(lambda matrix: eigenvalues.largest_eigenvalue(matrix))  # compiled with what is set above
    few, many = 0.5 ** np.arange(200), 0.2 + np.random.default_rng(0).random(200)
    for values in (few, many)[: 1 if keras.backend.backend() == "jax" else 2]:
        matrix = reflected(values / values.sum(), np.eye(200)[3]).astype("float32")
        largest = float(largest_of(ops.convert_to_tensor(matrix)))
        assert largest == pytest.approx(values.max() / values.sum(), rel=1e-4)


@backend
def test_small_matrices_are_squared():
    features = np.random.default_rng(0).normal(size=(100, 100)).astype("float32")
    matrix = ops.convert_to_tensor(features @ features.T / np.square(features).sum())
    assert float(eigenvalues.largest_eigenvalue(matrix)) == float(eigenvalues.by_squaring(matrix))
