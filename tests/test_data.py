"""Images: what is accepted, what is refused, and the batches that are drawn."""

import socket
import subprocess
import sys
import urllib.error

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from moments_dnns import data
from moments_dnns._seeds import child
from moments_dnns.data import dataset_label, draw_batch, load_images


def random_images(shape=(10, 6, 6, 3), dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def batch_of(array, batch_size=None, *, flatten=False, seed=0):
    images = load_images(array)
    return draw_batch(images, batch_size or len(array), flatten=flatten, seed=np.random.SeedSequence(seed))


def standardised(pixels):
    """The oracle: channel by channel, one float64 vector at a time."""
    channels = []
    for channel in range(pixels.shape[-1]):
        values = [float(value) for value in pixels[..., channel].ravel()]
        mean = sum(values) / len(values)
        std = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
        channels.append([(value - mean) / std if std else 0.0 for value in values])
    return np.stack(channels, axis=-1).reshape(pixels.shape)


@pytest.fixture
def nothing_known():
    data._known.cache_clear()
    yield
    data._known.cache_clear()


# Labels


@pytest.mark.parametrize("name", ["cifar10", "mnist", "photo", "somewhere/images.npy", "images.npz"])
def test_label_of_names_and_paths_is_the_text_and_needs_no_file(name, tmp_path):
    assert dataset_label(name) == name
    assert dataset_label(tmp_path / "x.npy") == str(tmp_path / "x.npy")


def test_label_of_an_array_tells_type_shape_and_content_apart():
    array = random_images()
    others = [array.astype(np.float32), array.reshape(10, 6, 18), array[::-1], array[1:]]
    labels = {dataset_label(array), *map(dataset_label, others)}
    assert len(labels) == 5
    assert all(label.startswith("array-") and len(label) == 18 for label in labels)
    assert dataset_label(np.asfortranarray(array)) == dataset_label(array)
    assert dataset_label(array) == load_images(array).label == f"array-{load_images(array).sha256[:12]}"


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        ("cifar", ValueError, r"'cifar10', 'mnist', 'photo'.*\.npy or \.npz.*Received: dataset='cifar'"),
        ("images.png", ValueError, r"ending in \.npy or \.npz"),
        ("", ValueError, "Received: dataset=''"),
        (None, TypeError, "Received: dataset=<class 'NoneType'>"),
        (b"x.npy", TypeError, "bytes"),
        ([[1, 2], [3, 4]], TypeError, "list"),
        (np.array([[[object()]]]), TypeError, "dtype"),
        (np.ones((2, 2, 2), complex), TypeError, "complex"),
        (np.array([[["a"]]]), TypeError, "dtype"),
    ],
)
@pytest.mark.parametrize("function", [dataset_label, load_images])
def test_refuses_what_is_no_data_set(function, dataset, error, message):
    with pytest.raises(error, match=message):
        function(dataset)


# Loading


@given(
    npst.arrays(
        st.sampled_from(
            [np.uint8, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64, ">f4", ">f8", bool]
        ),
        npst.array_shapes(min_dims=3, max_dims=4, max_side=4),
    )
)
def test_keeps_every_pixel_of_any_numeric_array_or_says_why_not(array):
    values = array.astype(np.float64).reshape(*array.shape[:3], -1)
    # The only two reasons, given that sizes and types are right.
    finite = np.isfinite(values).all() and values.max() / 2 - values.min() / 2 <= np.finfo(np.float64).max / 2
    varies = any(len(np.unique(values[..., channel])) > 1 for channel in range(values.shape[-1]))
    if not (finite and varies):
        with pytest.raises(ValueError, match=r"Received: dataset='array-"):
            load_images(array)
        return
    images = load_images(array).images
    np.testing.assert_array_equal(images, values)
    assert images.dtype in (np.uint8, np.float32, np.float64)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_are_a_read_only_copy_of_the_same_type(dtype):
    array = random_images(dtype=dtype)
    images = load_images(array).images
    array[:] = 0
    assert images.dtype == dtype
    np.testing.assert_array_equal(images, random_images())
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4), np.uint8), "shape=.3, 4."),
        (np.zeros((3, 4, 4, 3, 1)), "shape"),
        (np.zeros((0, 4, 4, 3)), "shape"),
        (np.zeros((2, 4, 4, 0)), "shape"),
        (np.full((2, 4, 4), 7, np.uint8), "vary"),
        (np.broadcast_to([1.0, 2.0], (2, 4, 4, 2)), "vary"),
        (np.where(random_images() == 7, np.nan, 1.0), "finite"),
        (np.where(random_images() == 7, -np.inf, 1.0), "finite"),
        (np.resize([-1.7e308, 1.7e308], (2, 4, 4)), "finite"),
        (np.resize(np.array([0, 1], np.longdouble) * np.longdouble(10) ** 400, (2, 4, 4)), "finite"),
    ],
)
def test_refuses_arrays_that_are_no_images(array, message):
    with pytest.raises(ValueError, match=message):
        load_images(array)


def test_files_hold_what_the_array_holds(tmp_path):
    array = random_images((5, 4, 4))
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", images=array)
    for path in (tmp_path / "a.npy", str(tmp_path / "a.npz")):
        images = load_images(path)
        np.testing.assert_array_equal(images.images, array[..., None])
        assert images.label == str(path)
        assert images.sha256 == load_images(array).sha256


def test_refuses_files_that_hold_anything_else(tmp_path):
    array = random_images((5, 4, 4))
    np.save(tmp_path / "whole.npy", array)
    np.savez(tmp_path / "whole.npz", array)
    np.savez(tmp_path / "two.npz", array, array)
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "pickle.npy", np.array([object()]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").touch()
    for suffix in ("npy", "npz"):
        content = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(content[:-60])
    (tmp_path / "broken.npz").write_bytes(content.replace(array.tobytes(), bytes(array.nbytes)))
    for name in ("two.npz", "none.npz", "pickle.npy", "text.npy", "empty.npy", "cut.npy", "cut.npz", "broken.npz"):
        with pytest.raises(ValueError, match=f"exactly one array.*Received: dataset='.*{name}'"):
            load_images(tmp_path / name)
    (tmp_path / "folder.npy").mkdir()
    for name in ("absent.npy", "folder.npy"):
        with pytest.raises(FileNotFoundError, match=f"existing .npy or .npz file.*{name}"):
            load_images(tmp_path / name)


@pytest.mark.usefixtures("nothing_known")
@pytest.mark.parametrize(("name", "shape"), [("cifar10", (5, 32, 32, 3)), ("mnist", (5, 28, 28))])
def test_keras_data_sets_are_the_training_images(name, shape, monkeypatch):
    datasets = pytest.importorskip("keras.datasets")
    train, test = random_images(shape), random_images(shape, seed=1)
    monkeypatch.setattr(getattr(datasets, name), "load_data", lambda: ((train, np.zeros(5)), (test, np.zeros(5))))
    images = load_images(name)
    np.testing.assert_array_equal(images.images, train.reshape(*shape[:3], -1))
    assert images.label == name


@pytest.mark.usefixtures("nothing_known")
def test_the_last_data_set_of_a_name_stays_in_memory_and_cannot_be_changed(monkeypatch):
    times = []

    def load():
        times.append(1)
        return random_images()

    monkeypatch.setitem(data.DATASETS, "mnist", load)
    first = load_images("mnist")
    assert load_images("mnist") is first
    assert times == [1]
    with pytest.raises(ValueError, match="WRITEABLE"):
        first.images.flags.writeable = True
    monkeypatch.setitem(data.DATASETS, "mnist", lambda: random_images(seed=1))
    assert not np.array_equal(load_images("mnist").images, first.images)


@pytest.mark.usefixtures("nothing_known")
@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_a_failed_download_names_the_alternatives(name, monkeypatch):
    datasets = pytest.importorskip("keras.datasets")

    def fail():
        raise Exception("URL fetch failure") from urllib.error.URLError("no network")

    monkeypatch.setattr(getattr(datasets, name), "load_data", fail)
    with pytest.raises(ConnectionError, match=f"URL fetch failure.*dataset='photo'.*array.*npz.*dataset='{name}'"):
        load_images(name)


def test_photo_has_the_statistics_of_images():
    images = load_images("photo").images
    assert (images.shape, images.dtype) == ((10_000, 32, 32, 3), np.uint8)
    assert len(np.unique(images.reshape(10_000, -1), axis=0)) == 10_000
    contrast = images.std(axis=(1, 2)).mean(axis=1)
    assert np.quantile(contrast, 0.1) > 30  # Few of the windows are flat.
    neighbours = [np.corrcoef(images[:, :, :-1, c].ravel(), images[:, :, 1:, c].ravel())[0, 1] for c in range(3)]
    assert min(neighbours) > 0.8  # Natural images are smooth, noise is not.
    assert abs(images[:, :, :16].mean() - images[:, :, 16:].mean()) < 2  # Half of them are flipped.


def test_photo_is_the_same_every_time_and_imports_no_matplotlib():
    code = (
        "import sys; from moments_dnns.data import load_images; print(load_images('photo').sha256); "
        "sys.exit(any(name.partition('.')[0] in ('matplotlib', 'keras') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == load_images("photo").sha256


# Batches


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_signal_is_standardised_per_channel(dtype, flatten):
    array = random_images(dtype=dtype)
    batch = batch_of(array, flatten=flatten)
    pixels = array.reshape(10, 1, 1, -1) if flatten else array
    order = [int(np.abs(standardised(pixels) - row).sum(axis=(1, 2, 3)).argmin()) for row in batch.signal]
    assert sorted(order) == list(range(10))
    np.testing.assert_allclose(batch.signal, standardised(pixels)[order], rtol=1e-6, atol=1e-6)
    assert batch.signal.dtype == batch.noise.dtype == np.float32
    assert batch.signal.shape == batch.noise.shape == pixels.shape
    assert batch.num_constant_channels == 0


@given(
    npst.arrays(np.uint8, npst.array_shapes(min_dims=4, max_dims=4, max_side=4), elements=st.integers(0, 3)),
    st.booleans(),
)
def test_constant_channels_are_zero_and_counted(array, flatten):
    rows = array.reshape(len(array), -1) if flatten else array.reshape(-1, array.shape[-1])
    constant = (rows == rows[0]).all(axis=0)
    if constant.all():
        with pytest.raises(ValueError, match=r"vary|without variation"):
            batch_of(array, flatten=flatten)
        return
    batch = batch_of(array, flatten=flatten)
    signal = batch.signal.reshape(rows.shape)
    assert batch.num_constant_channels == constant.sum()
    assert not signal[:, constant].any()
    np.testing.assert_allclose(signal[:, ~constant].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.square(signal[:, ~constant]).mean(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("level", "scale"), [(1e8, 1), (0, 1e-300), (0, 5e-324), (0, 1e305), (-3e9, 1), (2**60, 2**10)]
)
def test_level_and_scale_of_float64_images_cost_no_digits(level, scale):
    array = random_images().astype(np.float64)
    same, moved = batch_of(array, flatten=True), batch_of(array * scale + level, flatten=True)
    np.testing.assert_allclose(moved.signal, same.signal, atol=1e-6)


def test_a_constant_that_is_no_binary_fraction_is_exactly_zero():
    array = random_images().astype(np.float32)
    array[..., 1] = 0.1
    batch = batch_of(array)
    assert batch.num_constant_channels == 1
    assert not batch.signal[..., 1].any()


@pytest.mark.parametrize(
    ("array", "batch_size", "flatten"),
    [
        (np.tile(random_images((1, 4, 4, 3)), (5, 1, 1, 1)), 5, True),
        (random_images(), 1, True),
        (np.stack([np.zeros((4, 4, 3))] * 9 + [np.ones((4, 4, 3))]), 1, False),
    ],
)
def test_refuses_a_batch_without_any_variation(array, batch_size, flatten):
    with pytest.raises(ValueError, match=f"no signal.*batch_size={batch_size}, flatten={flatten}"):
        batch_of(array, batch_size, flatten=flatten)


@pytest.mark.parametrize(("batch_size", "error"), [(11, ValueError), (0, ValueError), (2.0, TypeError)])
def test_refuses_batch_sizes_that_cannot_be(batch_size, error):
    with pytest.raises(error, match="Received: batch_size="):
        draw_batch(load_images(random_images()), batch_size, flatten=False, seed=np.random.SeedSequence(0))


def test_images_of_a_batch_are_different_and_all_are_drawn():
    array = np.arange(12, dtype=np.uint8).repeat(16).reshape(12, 4, 4)
    drawn = set()
    for seed in range(40):
        levels = batch_of(array, 6, seed=seed).signal[:, 0, 0, 0]
        assert len(set(levels.tolist())) == 6
        drawn.add(tuple(levels.argsort().tolist()))
    assert len(drawn) > 30


def test_noise_is_standard_normal_and_independent_of_the_images():
    noise = np.concatenate([batch_of(random_images(seed=seed), seed=seed).noise.ravel() for seed in range(100)])
    num = len(noise)
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((noise**power).mean(dtype=np.float64) - mean) < 4 * (variance / num) ** 0.5
    other = batch_of(random_images(seed=1), flatten=True, seed=3).noise
    np.testing.assert_array_equal(other.ravel(), batch_of(random_images(seed=2), seed=3).noise.ravel())


def test_a_batch_depends_on_its_seed_alone():
    images, seed = load_images(random_images()), np.random.SeedSequence(5, spawn_key=(4,))
    first = draw_batch(images, 4, flatten=False, seed=seed)
    seed.spawn(3)
    again = draw_batch(images, 4, flatten=False, seed=seed)
    other = draw_batch(images, 4, flatten=False, seed=child(np.random.SeedSequence(5), 3))
    for name in ("signal", "noise"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))
    assert seed.n_children_spawned == 3


@pytest.mark.usefixtures("nothing_known")
def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    from keras.src.datasets import mnist

    get_file = mnist.get_file
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts, and says nothing
        address = f"http://127.0.0.1:{server.getsockname()[1]}/mnist.npz"
        monkeypatch.setattr(mnist, "get_file", lambda name, **_: get_file(name, address, cache_dir=tmp_path))
        monkeypatch.setattr("moments_dnns._datasets.SECONDS_TO_ANSWER", 0.2)
        before = socket.getdefaulttimeout()
        with pytest.raises(ConnectionError, match=r"could not download.*dataset='photo' needs no network.*'mnist'"):
            load_images("mnist")
    assert socket.getdefaulttimeout() == before


def test_channels_first_are_refused():
    with pytest.raises(ValueError, match=r"Channels come last: np\.moveaxis.*Received: shape=\(10, 3, 32, 32\)"):
        load_images(np.random.default_rng(0).random((10, 3, 32, 32)))
    assert load_images(np.random.default_rng(0).random((10, 3, 3, 3))).images.shape == (10, 3, 3, 3)
