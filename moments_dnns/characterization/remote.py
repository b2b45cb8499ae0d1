"""Models on their way to workers: saved, sent once, and measured there as here."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import cloudpickle
import keras

from moments_dnns._backend import use_backend
from moments_dnns._device import check_threads
from moments_dnns._validation import cause, refusal
from moments_dnns.descriptions.characterization import Characterization
from moments_dnns.execution.chunks import Chunk, timed
from moments_dnns.execution.pool import WorkerPool

from .inputs import feed, numbers
from .measurement import Measurement, untouched
from .network import parts_of

# The measurement that a thread of a worker has prepared last, with its model.
_local = threading.local()


@attrs.frozen(eq=False)
class Parcel:
    """A model, its inputs and the arguments, pickled.

    Args:
        content: The bytes, or the path to them.
        sha256: Their hash.
        backend: The Keras backend of all workers.
        threads: The threads within an operation of all workers, see `_device.num_threads`.
    """

    content: bytes | Path
    sha256: str
    backend: str
    threads: int | None

    def measurement(self) -> tuple[keras.Model, Measurement]:
        """Return the model and its measurement, which stay for the next call.

        Raises:
            RuntimeError: If Keras runs on another backend here, or with another number of threads.
            ValueError: If the model that comes back is another one.
        """
        use_backend(self.backend)
        check_threads(self.threads)
        if getattr(_local, "key", None) != self.sha256:
            _local.key, _local.made = None, None
            content = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
            _local.made = _unpacked(content)
            _local.key = self.sha256
        made: tuple[keras.Model, Measurement] = _local.made
        return made


@contextmanager
def parcel(
    model: keras.Model,
    inputs: Any,
    arguments: Mapping[str, Any],
    description: Characterization,
    executor: Executor,
    device: Mapping[str, Any],
) -> Iterator[Parcel]:
    """Make a parcel: for workers of this machine a file, which is removed at the end, for others the bytes.

    Args:
        model: The model.
        inputs: One batch of its inputs.
        arguments: The other arguments of `Measurement.prepare`.
        description: The description, which must be that of the workers too.
        executor: Who computes.
        device: The device of the workers, as `describe_device` describes it.

    Raises:
        ValueError: If the model cannot be saved.
    """
    arrays = keras.tree.map_structure(lambda x: numbers("inputs", x), inputs)
    content = cloudpickle.dumps((_saved(model), _classes(model), arrays, dict(arguments), _essence(description)))
    sha256 = hashlib.sha256(content).hexdigest()
    if not isinstance(executor, WorkerPool):
        yield Parcel(content, sha256, device["backend"], device["threads"])
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pickle"
        path.write_bytes(content)
        yield Parcel(path, sha256, device["backend"], device["threads"])


def compute(sent: Parcel, realizations: Sequence[int]) -> Chunk:
    """Return some realizations: the task that an executor is given. It raises the errors of `Parcel.measurement`."""
    model, measurement = sent.measurement()
    with untouched(model):
        return timed(measurement.stream(realizations))


def _essence(description: Characterization) -> tuple[Any, ...]:
    return description.layers, description.sha256


def _saved(model: keras.Model) -> bytes:
    """Return the archive of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
            return path.read_bytes()
        except Exception as error:  # of any kind: the settings of layers are the user's own code
            raise ValueError(
                refusal(
                    f"workers need a model that can be saved: leave workers out ({cause(error)}).", model=model.name
                )
            ) from error


def _classes(model: keras.Model) -> dict[str, type[Any]]:
    """Return the classes of a model and its layers that are not Keras' own, by the names that Keras has for them."""
    classes = [type(part) for part in [model, *parts_of(model)]]
    own = [each for each in classes if not each.__module__.startswith("keras.")]
    return {name: each for each in own for name in (each.__name__, keras.saving.get_registered_name(each))}


def _unpacked(content: bytes) -> tuple[keras.Model, Measurement]:
    saved, classes, inputs, arguments, essence = cloudpickle.loads(content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(saved)
        try:
            # The functions of its Lambda layers are those of the model that runs here anyway.
            model = keras.models.load_model(path, custom_objects=classes, compile=False, safe_mode=False)
        except Exception as error:
            raise ValueError(
                refusal(
                    f"workers need a model that can be loaded after it was saved: leave workers out ({cause(error)}).",
                    model=path.stem,
                )
            ) from error
    with untouched(model):
        measurement = Measurement.prepare(model, feed(model, inputs), **arguments)
    if _essence(measurement.description) != essence:
        raise ValueError(
            refusal(
                "workers need a model that is the same after it was saved and loaded: leave workers out.",
                model=model.name,
                layers=measurement.description.layers,
            )
        )
    return model, measurement
