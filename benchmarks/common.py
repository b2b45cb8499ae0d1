"""What the benchmarks share: fresh processes, timing, the machine in words, and tables in README.md."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from cyclopts import Parameter

from moments_dnns import Experiment, _cli, run_experiment
from moments_dnns._backend import without_greetings
from moments_dnns._device import num_cores
from moments_dnns._validation import refusal
from moments_dnns.data import load_images
from moments_dnns.descriptions.parameters import parameters_of
from moments_dnns.execution.chunks import joined
from moments_dnns.results.provenance import versions
from moments_dnns.simulation.realizations import Simulator

# The option of every benchmark that puts its results into README.md.
WriteSwitch = Annotated[_cli.Switch, Parameter(name="--write")]
README = Path(__file__).with_name("README.md")
BACKENDS = ("tensorflow", "jax", "torch")


class Measurement(NamedTuple):
    """What was seen of an experiment in a process of its own.

    Args:
        first_call: Seconds for building and compiling the network and for its first realization.
        seconds: Seconds of each realization after that and a warm-up.
        peak_memory: Bytes that the process held at most, with Python, the backend and the dataset.
        arrays: The moments of all these realizations, by array name.
    """

    first_call: float
    seconds: tuple[float, ...]
    peak_memory: int
    arrays: Mapping[str, np.ndarray]

    @property
    def finite(self) -> bool:
        """Whether every number that would be stored was finite."""
        return all(np.isfinite(array).all() for array in self.arrays.values())

    @property
    def median(self) -> float:
        """Seconds of the median realization."""
        return statistics.median(self.seconds)

    @property
    def compiling(self) -> float:
        """Seconds of the first call beyond those of a realization."""
        return self.first_call - self.median


def installed_backends() -> tuple[str, ...]:
    """Return the backends of Keras that are installed."""
    return tuple(backend for backend in BACKENDS if importlib.util.find_spec(backend))


def measure(experiment: Experiment, repeats: int) -> Measurement:
    """Measure an experiment in this process, call by call."""
    import keras  # noqa: F401  The import is no part of the first call.

    images = load_images(experiment.dataset)
    start = time.perf_counter()
    simulator = Simulator(experiment, images)
    chunks = [simulator.run([0])]
    first_call = time.perf_counter() - start
    # The second call is a warm-up. Then as in a long run: the next images are drawn while the network computes.
    stream = simulator.stream(range(1, 1 + (2 + repeats) * simulator.per_call))
    chunks.append(next(stream))
    seconds = tuple(timed(lambda: chunks.append(next(stream))) / simulator.per_call for _ in range(repeats))
    return Measurement(first_call, seconds, peak_memory(), joined(chunks).arrays)


def measure_default(experiment: Experiment, most: int = 40, budget: float = 10.0) -> float:
    """Return the seconds per realization of `run_experiment` as anybody calls it, once its workers are there.

    Args:
        experiment: The description.
        most: Realizations, at most; there are two on each core at least.
        budget: Seconds that they may take together, about.
    """
    settings = {name: getattr(experiment, name) for name in parameters_of(Experiment)}

    def run(num_realizations: int) -> float:
        changes = {"num_realizations": num_realizations, "verbose": False}
        return timed(lambda: run_experiment(**{**settings, **changes}))

    least = 2 * num_cores()
    run(least)  # every worker has its network then
    each = run(least) / least
    count = max(least, num_cores() * round(min(most, budget / each) / num_cores()))
    return run(count) / count


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_memory() -> int:
    """Return the most bytes of memory that this process has held."""
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes if sys.platform == "darwin" else 1024 * kibibytes


def isolated(task: Callable[..., Any], *args: Any, backend: str) -> Any:
    """Return what a task returns in a fresh process on a backend: first calls and peaks of memory are its own."""
    # Fresh processes count the peak of the one that starts them as theirs: it must not import a backend itself.
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=use, initargs=(backend,)) as pool:
        return pool.submit(task, *args).result()


def use(backend: str) -> None:
    """Start Keras on a backend, without the greetings that TensorFlow cannot be asked to leave."""
    os.environ |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with without_greetings():
        import keras  # noqa: F401


def machine() -> str:
    """Return the processor, its cores, the memory and the versions of what ran, in words."""
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    software = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        f"{models[0] if models else platform.processor()}, {num_cores()} cores, {memory / 2**30:.0f} GiB, "
        f"{platform.system()}; {software}"
    )


def table(header: str, rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown.

    Example:

    >>> print(table("setting | seconds", [["A", "0.3"]]))
    | setting | seconds |
    |---|---|
    | A | 0.3 |
    """
    columns = header.split(" | ")
    return "\n".join([line(columns), "|---" * len(columns) + "|", *map(line, rows)])


def line(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return "| " + " | ".join(cells) + " |"


def write(section: str, text: str, path: Path = README) -> None:
    """Put text between the comments `<!-- section -->` and `<!-- /section -->` of a file.

    Raises:
        ValueError: If the file has no such comments.
    """
    between = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
    old = path.read_text()
    if not between.search(old):
        raise ValueError(refusal(f"expected the comments <!-- {section} --> and <!-- /{section} -->.", path=path))
    path.write_text(between.sub(lambda match: f"{match[1]}{text}\n{match[2]}", old))


def number(x: float) -> str:
    """Return a number with three digits.

    >>> [number(x) for x in (0.01234, 1.5, 123.4, 12345.6)]
    ['0.0123', '1.50', '123', '12,346']
    """
    return f"{x:,.0f}" if x >= 100 else f"{x:#.3g}"
